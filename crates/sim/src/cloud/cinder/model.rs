//! Cinder's objects.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// A volume.
#[derive(Debug, Clone)]
pub struct Volume {
    /// UUID.
    pub id: String,
    /// Display name.
    pub name: Option<String>,
    /// Display description.
    pub description: Option<String>,
    /// Internal status; `managing` and `error_managing` are shown otherwise.
    pub status: String,
    /// What it was before `extending`, `retyping` and the like.
    pub previous_status: Option<String>,
    /// `attached` or `detached`.
    pub attach_status: String,
    /// Of a migration; none otherwise.
    pub migration_status: Option<String>,
    /// GiB.
    pub size: u64,
    /// Id of its type.
    pub type_id: Option<String>,
    /// Owner.
    pub project_id: String,
    /// Who made it.
    pub user_id: String,
    /// Zone.
    pub availability_zone: String,
    /// `host@backend#pool`; none if the scheduler found no backend.
    pub host: Option<String>,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// `volume_image_metadata`.
    pub image_metadata: BTreeMap<String, String>,
    /// May a server boot from it.
    pub bootable: bool,
    /// From the type.
    pub multiattach: bool,
    /// From the type; no key is kept.
    pub encrypted: bool,
    /// `enabled`, `disabled` or none.
    pub replication_status: Option<String>,
    /// Made from this snapshot.
    pub snapshot_id: Option<String>,
    /// Made from this volume.
    pub source_volid: Option<String>,
    /// Generic group.
    pub group_id: Option<String>,
    /// The driver's name for it, which is its name on the array.
    pub provider_id: Option<String>,
    /// The service that made it; a managed volume has none.
    pub service_uuid: Option<String>,
    /// Made at.
    pub created_at: DateTime<Utc>,
    /// Changed at.
    pub updated_at: Option<DateTime<Utc>>,
    /// Counts in the project's quota (not while managing).
    pub counted: bool,
    /// Number in the order of making.
    pub(crate) order: u64,
}

impl Volume {
    /// Its name on the array: the driver's template over the id, unless the driver recorded another.
    pub fn array_name(&self) -> String {
        self.provider_id.clone().unwrap_or_else(|| array_name_of(&self.id))
    }
}

/// The Pure driver's name for a Cinder volume.
pub(crate) fn array_name_of(id: &str) -> String {
    format!("volume-{id}-cinder")
}

/// A volume type.
#[derive(Debug, Clone)]
pub struct VolumeType {
    /// UUID.
    pub id: String,
    /// Unique name.
    pub name: String,
    /// Text.
    pub description: Option<String>,
    /// Seen by all projects.
    pub is_public: bool,
    /// Projects that may use a private type.
    pub access: Vec<String>,
    /// Extra specs.
    pub extra_specs: BTreeMap<String, String>,
    /// Has an encryption provider.
    pub encrypted: bool,
}

/// How a type replicates, in the driver's reading of the extra specs (exact strings).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replication {
    None,
    Async,
    /// `sync` (and `trisync`, which this backend does not tell apart): in the stretched pod.
    Sync,
}

impl VolumeType {
    pub(crate) fn replication(&self) -> Replication {
        if self.extra_specs.get("replication_enabled").map(String::as_str) != Some("<is> True") {
            return Replication::None;
        }
        match self.extra_specs.get("replication_type").map(String::as_str) {
            None | Some("<in> async") => Replication::Async,
            Some("<in> sync" | "<in> trisync") => Replication::Sync,
            Some(_) => Replication::None,
        }
    }

    pub(crate) fn multiattach(&self) -> bool {
        self.extra_specs.get("multiattach").map(String::as_str) == Some("<is> True")
    }

    /// Public, or the project was given access.
    pub(crate) fn visible_to(&self, project: &str) -> bool {
        self.is_public || self.access.iter().any(|p| p == project)
    }
}

/// A snapshot.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// UUID.
    pub id: String,
    /// Display name.
    pub name: Option<String>,
    /// Display description.
    pub description: Option<String>,
    /// `creating`, `available`, `deleting`, `error`.
    pub status: String,
    /// Of which volume.
    pub volume_id: String,
    /// GiB of the volume then.
    pub size: u64,
    /// Owner.
    pub project_id: String,
    /// Who made it.
    pub user_id: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// Made at.
    pub created_at: DateTime<Utc>,
    /// Changed at.
    pub updated_at: Option<DateTime<Utc>>,
    /// Name of what holds its content on the array.
    pub array_name: String,
    /// Number in the order of making.
    pub(crate) order: u64,
}

/// An attachment record.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// UUID.
    pub id: String,
    /// Of which volume.
    pub volume_id: String,
    /// The server, if it is one's.
    pub server_id: Option<String>,
    /// Owner of the volume.
    pub project_id: String,
    /// `reserved`, `attaching`, `attached`.
    pub status: String,
    /// `rw`, `ro` or `null`.
    pub mode: String,
    /// `/dev/vda`.
    pub mountpoint: Option<String>,
    /// The compute host.
    pub attached_host: Option<String>,
    /// The array's host that the volume was connected to.
    pub array_host: Option<String>,
    /// What the client sent.
    pub connector: Option<Value>,
    /// What the driver answered.
    pub connection_info: Option<Value>,
    /// When.
    pub attached_at: Option<DateTime<Utc>>,
}
