//! Nova's objects.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// A flavor.
#[derive(Debug, Clone)]
pub struct Flavor {
    /// Its id; not always a UUID.
    pub id: String,
    /// Unique name.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: u64,
    /// MiB.
    pub ram: u64,
    /// GiB of the root disk; 0 for boot from volume.
    pub disk: u64,
    /// GiB.
    pub ephemeral: u64,
    /// MiB.
    pub swap: u64,
    /// Seen by all projects.
    pub is_public: bool,
    /// Extra specs.
    pub extra_specs: BTreeMap<String, String>,
    /// Text (2.55).
    pub description: Option<String>,
}

/// A public key of a user.
#[derive(Debug, Clone)]
pub struct Keypair {
    /// Unique per user.
    pub name: String,
    /// Owner.
    pub user_id: String,
    /// OpenSSH form.
    pub public_key: String,
    /// MD5 in colon form.
    pub fingerprint: String,
    /// `ssh` or `x509`.
    pub kind: String,
    /// Made at.
    pub created_at: DateTime<Utc>,
    /// A number.
    pub id: u64,
}

/// A server group.
#[derive(Debug, Clone)]
pub struct ServerGroup {
    /// UUID.
    pub id: String,
    /// Name.
    pub name: String,
    /// `affinity`, `anti-affinity`, `soft-affinity` or `soft-anti-affinity`.
    pub policy: String,
    /// `max_server_per_host`, for example.
    pub rules: Map<String, Value>,
    /// Server ids.
    pub members: Vec<String>,
    /// Owner.
    pub project_id: String,
    /// Who made it.
    pub user_id: String,
}

/// A block device of a server.
#[derive(Debug, Clone)]
pub struct Disk {
    /// `bdm_uuid`.
    pub id: String,
    /// `volume`, `image`, `snapshot` or `blank`.
    pub source: String,
    /// `volume` or `local`.
    pub destination: String,
    /// 0 is the root; none or negative: not for booting.
    pub boot_index: Option<i64>,
    /// The volume; none until one is made for it.
    pub volume_id: Option<String>,
    /// Image or snapshot that the volume is made of.
    pub source_id: Option<String>,
    /// GiB of a volume to be made.
    pub size: u64,
    /// Type of a volume to be made.
    pub volume_type: Option<String>,
    /// Cinder's attachment.
    pub attachment_id: Option<String>,
    /// Goes with the server.
    pub delete_on_termination: bool,
    /// `/dev/vda`.
    pub device: Option<String>,
    /// 2.42.
    pub tag: Option<String>,
}

/// A network interface of a server.
#[derive(Debug, Clone)]
pub struct Nic {
    /// The port; none until Nova makes it.
    pub port_id: Option<String>,
    /// Where Nova is to make the port.
    pub network_id: Option<String>,
    /// The address that was asked for.
    pub fixed_ip: Option<String>,
    /// Nova made the port and deletes it with the server.
    pub ours: bool,
    /// 2.42.
    pub tag: Option<String>,
}

/// Why a server is in ERROR, or why its last action failed.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Of the error.
    pub code: u16,
    /// Text.
    pub message: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// One entry of `os-instance-actions`.
#[derive(Debug, Clone)]
pub struct Action {
    /// `create`, `stop`, ...
    pub action: String,
    /// `req-...`.
    pub request_id: String,
    /// Who asked.
    pub user_id: String,
    /// In which project.
    pub project_id: String,
    /// When.
    pub start: DateTime<Utc>,
    /// When it ended.
    pub finish: Option<DateTime<Utc>>,
    /// `Error` if it failed.
    pub message: Option<String>,
}

/// A server.
#[derive(Debug, Clone)]
pub struct Server {
    /// UUID.
    pub id: String,
    /// Name.
    pub name: String,
    /// 2.19.
    pub description: Option<String>,
    /// 2.90, else made from the name.
    pub hostname: String,
    /// Owner.
    pub project_id: String,
    /// Who made it.
    pub user_id: String,
    /// A copy, as of the making.
    pub flavor: Flavor,
    /// Image; none if booted from a volume.
    pub image_id: Option<String>,
    /// Image properties (of the boot volume, if that is one).
    pub image_properties: BTreeMap<String, String>,
    /// Name of the user's key.
    pub key_name: Option<String>,
    /// Base64.
    pub user_data: Option<String>,
    /// Has a config drive.
    pub config_drive: bool,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// The zone that was asked for.
    pub pinned_zone: Option<String>,
    /// The compute host; none while it waits to be scheduled.
    pub host: Option<String>,
    /// `building`, `active`, `stopped`, `error`, `deleted`.
    pub vm_state: String,
    /// `scheduling`, `spawning`, `powering-off`, ...
    pub task_state: Option<String>,
    /// 0 none, 1 running, 4 shut down.
    pub power_state: u8,
    /// `owner` or `admin`.
    pub locked_by: Option<String>,
    /// 2.73.
    pub locked_reason: Option<String>,
    /// Made at.
    pub created_at: DateTime<Utc>,
    /// Changed at.
    pub updated_at: DateTime<Utc>,
    /// First ACTIVE at.
    pub launched_at: Option<DateTime<Utc>>,
    /// Deleted at.
    pub terminated_at: Option<DateTime<Utc>>,
    /// Is gone.
    pub deleted: bool,
    /// Last fault; shown in ERROR only.
    pub fault: Option<Fault>,
    /// Block devices, root first.
    pub volumes: Vec<Disk>,
    /// Interfaces.
    pub nics: Vec<Nic>,
    /// Security groups for ports that Nova makes (names or ids).
    pub security_groups: Vec<String>,
    /// `os:scheduler_hints`.
    pub hints: Map<String, Value>,
    /// Server group.
    pub group_id: Option<String>,
    /// `r-...`.
    pub reservation_id: String,
    /// Index in a multiple create.
    pub launch_index: usize,
    /// History.
    pub actions: Vec<Action>,
    /// `accessIPv4`.
    pub access_ip: String,
    /// Number in the order of making.
    pub(crate) order: u64,
}

impl Server {
    /// The public status.
    pub fn status(&self) -> &'static str {
        if self.deleted {
            return "DELETED";
        }
        match (self.vm_state.as_str(), self.task_state.as_deref()) {
            ("active", Some("rebooting" | "reboot_pending" | "reboot_started")) => "REBOOT",
            ("active", Some("rebooting_hard" | "reboot_pending_hard" | "reboot_started_hard")) => {
                "HARD_REBOOT"
            }
            ("active", _) => "ACTIVE",
            ("building", _) => "BUILD",
            ("stopped", _) => "SHUTOFF",
            ("error", _) => "ERROR",
            ("deleted", _) => "DELETED",
            _ => "UNKNOWN",
        }
    }

    /// The device it boots from.
    pub fn root(&self) -> Option<&Disk> {
        self.volumes.iter().find(|d| d.boot_index == Some(0))
    }

    /// The device of a volume.
    pub fn disk_of(&self, volume_id: &str) -> Option<&Disk> {
        self.volumes.iter().find(|d| d.volume_id.as_deref() == Some(volume_id))
    }
}
