//! Nova, as far as we need it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{DestroyPermit, PortResult};

/// A server as observed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Nova id.
    pub id: String,
    /// Name.
    pub name: String,
    /// `ACTIVE`, `SHUTOFF`, `BUILD`, `ERROR`, ...
    pub status: String,
    /// Running task, if any.
    pub task_state: Option<String>,
    /// Owner project.
    pub project_id: String,
    /// Owner user.
    pub user_id: String,
    /// Locked by anybody.
    pub locked: bool,
    /// Description (2.19).
    pub description: Option<String>,
    /// Flavor by content (2.47).
    pub flavor: Flavor,
    /// Keypair name.
    pub key_name: Option<String>,
    /// User data, where we may see it.
    pub user_data: Option<String>,
    /// Config drive.
    pub config_drive: bool,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Tags (2.26).
    pub tags: Vec<String>,
    /// Availability zone.
    pub availability_zone: Option<String>,
    /// Server groups it is in (2.71), by id.
    pub server_groups: Vec<String>,
    /// Attached volumes, in Nova's order.
    pub volumes: Vec<AttachedVolume>,
    /// Image id; empty for boot from volume.
    pub image_id: Option<String>,
    /// The fault's message, for `ERROR`.
    pub fault: Option<String>,
    /// When it was created.
    pub created: Option<DateTime<Utc>>,
}

/// An attachment as the server shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedVolume {
    /// Cinder id.
    pub volume_id: String,
    /// `/dev/vda`; only from the attachment list.
    pub device: Option<String>,
    /// Deleted with the server.
    pub delete_on_termination: bool,
}

/// A flavor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flavor {
    /// Id; empty where Nova embeds the flavor.
    pub id: String,
    /// Name.
    pub name: String,
    /// Cores.
    pub vcpus: u32,
    /// MiB.
    pub ram_mib: u64,
    /// GiB.
    pub disk_gib: u64,
    /// GiB.
    pub ephemeral_gib: u64,
    /// MiB.
    pub swap_mib: u64,
    /// Where we may see them.
    pub extra_specs: BTreeMap<String, String>,
}

/// A server to be made. Everything it consumes exists already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewServer {
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Flavor id at the target.
    pub flavor_id: String,
    /// Ports in interface order.
    pub port_ids: Vec<String>,
    /// Volumes in device order; the first boots.
    pub volumes: Vec<NewServerVolume>,
    /// Keypair of the calling user.
    pub key_name: Option<String>,
    /// Base64.
    pub user_data: Option<String>,
    /// Config drive.
    pub config_drive: bool,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Tags; one of them is the marker by which a repeat finds it.
    pub tags: Vec<String>,
    /// Availability zone.
    pub availability_zone: Option<String>,
    /// Scheduler hint.
    pub server_group_id: Option<String>,
}

/// A volume of a server to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewServerVolume {
    /// Cinder id.
    pub volume_id: String,
    /// 0 boots, -1 does not.
    pub boot_index: i32,
    /// `/dev/vdb`, if it must be so.
    pub device: Option<String>,
    /// Deleted with the server.
    pub delete_on_termination: bool,
}

/// A keypair of the calling user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keypair {
    /// Name.
    pub name: String,
    /// OpenSSH public key.
    pub public_key: String,
}

/// A server group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerGroup {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Policy.
    pub policy: String,
    /// Server ids.
    pub members: Vec<String>,
}

/// One limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// `None`: unlimited.
    pub limit: Option<u64>,
    /// Used and reserved.
    pub used: u64,
}

impl Quota {
    /// What is left; `None`: unlimited.
    pub fn free(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }
}

/// Limits of the project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeQuota {
    /// Servers.
    pub instances: Quota,
    /// Cores.
    pub cores: Quota,
    /// MiB.
    pub ram_mib: Quota,
}

/// Which servers to list (of the session's project).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFilter {
    /// Exact name.
    pub name: Option<String>,
    /// Has this tag.
    pub tag: Option<String>,
}

/// Nova at one site, in one project.
#[async_trait]
pub trait Compute: Send + Sync {
    /// Read; all pages.
    async fn servers(&self, filter: &ServerFilter) -> PortResult<Vec<Server>>;
    /// Read; [`crate::PortError::Absent`] if it is not there.
    async fn server(&self, id: &str) -> PortResult<Server>;
    /// Read; ids of the project's servers in a status (`BUILD`): one short list for many who wait.
    async fn server_ids(&self, status: &str) -> PortResult<Vec<String>>;
    /// Read; attachments with devices, in Nova's order.
    async fn attachments(&self, server_id: &str) -> PortResult<Vec<AttachedVolume>>;
    /// Create; find again by a tag. Answers with the id at once; BUILD takes its time.
    async fn create_server(&self, new: &NewServer) -> PortResult<String>;
    /// Ensure; Conflict if the state does not allow it (already stopped, locked).
    async fn stop_server(&self, id: &str) -> PortResult<()>;
    /// Ensure; Conflict if the state does not allow it.
    async fn start_server(&self, id: &str) -> PortResult<()>;
    /// Ensure. The reason is shown to the tenant (2.73).
    async fn lock_server(&self, id: &str, reason: &str) -> PortResult<()>;
    /// Ensure.
    async fn unlock_server(&self, id: &str) -> PortResult<()>;
    /// Ensure: the volume outlives the server (`delete_on_termination` off, 2.85).
    async fn keep_volume(&self, server_id: &str, volume_id: &str) -> PortResult<()>;
    /// Destroy: unplugs a port. A port that Nova made itself goes with it, a passed-in one stays. Absent is success; the
    /// caller waits until the port is gone or free.
    async fn detach_port(
        &self,
        server_id: &str,
        port_id: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()>;
    /// Ensure: plugs an existing port into a stopped or running server.
    async fn attach_port(&self, server_id: &str, port_id: &str) -> PortResult<()>;
    /// Ensure; the tag is off.
    async fn remove_tag(&self, id: &str, tag: &str) -> PortResult<()>;
    /// Destroy; the caller waits for it to be gone.
    async fn delete_server(&self, id: &str, permit: &DestroyPermit) -> PortResult<()>;
    /// Read; all flavors of the project with extra specs where visible.
    async fn flavors(&self) -> PortResult<Vec<Flavor>>;
    /// Read; keypairs of the calling user.
    async fn keypairs(&self) -> PortResult<Vec<Keypair>>;
    /// Read; one keypair of another user, where the policy allows it.
    async fn keypair_of(&self, user_id: &str, name: &str) -> PortResult<Keypair>;
    /// Create; Conflict if the name is taken.
    async fn import_keypair(&self, keypair: &Keypair) -> PortResult<()>;
    /// Read.
    async fn server_groups(&self) -> PortResult<Vec<ServerGroup>>;
    /// Create; answers with the id.
    async fn create_server_group(&self, name: &str, policy: &str) -> PortResult<String>;
    /// Destroy.
    async fn delete_server_group(&self, id: &str, permit: &DestroyPermit) -> PortResult<()>;
    /// Read.
    async fn quota(&self) -> PortResult<ComputeQuota>;
    /// Read; names of availability zones that are up.
    async fn availability_zones(&self) -> PortResult<Vec<String>>;
}
