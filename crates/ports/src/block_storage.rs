//! Cinder, as far as we need it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{DestroyPermit, PortResult, Quota};

/// A volume as observed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Cinder id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// `available`, `in-use`, `managing`, `error_managing` ...
    pub status: String,
    /// GiB.
    pub size_gib: u64,
    /// Type name.
    pub volume_type: Option<String>,
    /// Bootable.
    pub bootable: bool,
    /// Encrypted.
    pub encrypted: bool,
    /// Multi-attach.
    pub multiattach: bool,
    /// Cinder group, if in one.
    pub group_id: Option<String>,
    /// `host@backend#pool`, where we may see it.
    pub host: Option<String>,
    /// Owner project, where we may see it.
    pub project_id: Option<String>,
    /// Metadata, with the driver's `array_volume_name` and `array_name`.
    pub metadata: BTreeMap<String, String>,
    /// Image metadata.
    pub image_metadata: BTreeMap<String, String>,
    /// Servers it is attached to, with the device.
    pub attachments: Vec<VolumeAttachment>,
}

/// An attachment as Cinder shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeAttachment {
    /// Nova server.
    pub server_id: String,
    /// `/dev/vda`.
    pub device: Option<String>,
}

/// A volume type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeType {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Extra specs, where we may see them.
    pub extra_specs: BTreeMap<String, String>,
    /// Encrypted type, where we may see it.
    #[serde(default)]
    pub encrypted: bool,
}

/// A volume to be managed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManageVolume {
    /// `host@backend#pool`.
    pub host: String,
    /// Name on the array.
    pub source_name: String,
    /// Name in Cinder.
    pub name: String,
    /// Description.
    pub description: String,
    /// Type id or name.
    pub volume_type: String,
    /// Bootable.
    pub bootable: bool,
    /// Sent with the request: visible while it is `managing`, replaced by the driver's own when it succeeds.
    pub metadata: BTreeMap<String, String>,
}

/// A pool of a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendPool {
    /// `host@backend#pool`.
    pub name: String,
    /// `volume_backend_name`, where known.
    pub backend_name: Option<String>,
    /// Service is up, where known.
    pub up: bool,
}

/// Limits of the project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageQuota {
    /// Volumes.
    pub volumes: Quota,
    /// GiB.
    pub gigabytes: Quota,
}

/// Cinder at one site, in one project.
#[async_trait]
pub trait BlockStorage: Send + Sync {
    /// Read; all pages, of the session's project.
    async fn volumes(&self) -> PortResult<Vec<Volume>>;
    /// Read.
    async fn volume(&self, id: &str) -> PortResult<Volume>;
    /// Read; ids of the project's volumes in a status, as Cinder stores it (`managing`, which it shows as `creating`):
    /// one short list for many who wait.
    async fn volume_ids(&self, status: &str) -> PortResult<Vec<String>>;
    /// Create, asynchronous; answers with the new id. Cinder then renames the array volume to
    /// `volume-<id>-cinder`: find it again by the array volume's id or serial, never by name.
    async fn manage_volume(&self, request: &ManageVolume) -> PortResult<String>;
    /// Destroy of the Cinder record only; the array volume stays, renamed.
    async fn unmanage_volume(&self, id: &str, permit: &DestroyPermit) -> PortResult<()>;
    /// Destroy.
    async fn delete_volume(&self, id: &str, permit: &DestroyPermit) -> PortResult<()>;
    /// Ensure; adds keys. Only after `available`: manage replaces metadata.
    async fn set_metadata(&self, id: &str, metadata: &BTreeMap<String, String>) -> PortResult<()>;
    /// Ensure; before any server is made from it.
    async fn set_image_metadata(
        &self,
        id: &str,
        metadata: &BTreeMap<String, String>,
    ) -> PortResult<()>;
    /// Create, asynchronous: the type changes, and if the driver cannot do that in place Cinder copies to a new array
    /// volume, which takes the old one's place (name and serial on the array change). `retyping` meanwhile; a retype that
    /// failed leaves the type as it was.
    async fn retype_volume(&self, id: &str, volume_type: &str) -> PortResult<()>;
    /// Ensure.
    async fn set_bootable(&self, id: &str, bootable: bool) -> PortResult<()>;
    /// Read; all types with extra specs where visible.
    async fn volume_types(&self) -> PortResult<Vec<VolumeType>>;
    /// Read; pools by scheduler statistics or, failing that, hosts of `os-services`.
    async fn backend_pools(&self) -> PortResult<Vec<BackendPool>>;
    /// Read.
    async fn quota(&self) -> PortResult<StorageQuota>;
    /// Harmless proof of the manage right: a manage request that cannot work. Ok when the policy lets us
    /// through (the service then says 400 or 404), Denied when it does not.
    async fn prove_manage_right(&self) -> PortResult<()>;
}
