//! A replicating array, in words that fit more than one vendor. The shipped client has no eradicate.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
pub use protector_types::ArrayConnection;
use protector_types::{Retention, Secret};
use serde::{Deserialize, Serialize};

use crate::{DestroyPermit, PortResult};

/// Which array this is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayInfo {
    /// Id.
    pub id: String,
    /// Name; part of every replicated name at its peers.
    pub name: String,
    /// Software version.
    pub version: String,
}

/// A replication link to another array.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayLink {
    /// The other array's name as this one knows it.
    pub remote: String,
    /// `connected`, `partially_connected`, ...
    pub status: String,
    /// Carries asynchronous replication.
    pub async_replication: bool,
    /// Carries synchronous replication.
    #[serde(default)]
    pub sync_replication: bool,
}

impl ArrayLink {
    /// `partially_connected` still replicates.
    pub fn is_usable(&self) -> bool {
        self.async_replication
            && matches!(self.status.as_str(), "connected" | "partially_connected")
    }
}

/// A volume on the array.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayVolume {
    /// Id; survives renames.
    pub id: Option<String>,
    /// Today's name.
    pub name: String,
    /// Serial; survives renames.
    pub serial: String,
    /// Bytes.
    pub size_bytes: u64,
    /// Destroyed, waiting for eradication.
    pub destroyed: bool,
}

/// How to name a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeKey {
    /// Today's name.
    Name(String),
    /// Serial: for finding again what Cinder renamed.
    Serial(String),
}

/// Where the volumes of a synchronous group are, and how each array's copy of them is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroup {
    /// What the arrays call the protection group of these volumes, the same at both.
    pub name: String,
    /// What holds the volumes, for messages.
    pub container: String,
    /// Array name and state of each copy.
    pub copies: Vec<SyncCopy>,
}

/// One array's copy of synchronously replicated volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncCopy {
    /// Which array.
    pub array: String,
    /// It holds every acknowledged write and can be written.
    pub online: bool,
    /// In the array's words.
    pub status: String,
}

impl SyncGroup {
    /// The state of the copy on one array, in the array's words; `None` when it is online.
    pub fn why_unusable(&self, array: &str) -> Option<String> {
        match self.copies.iter().find(|copy| copy.array.eq_ignore_ascii_case(array)) {
            Some(copy) if copy.online => None,
            Some(copy) => Some(format!("is {} at array {array}", copy.status)),
            None => Some(format!("is not at array {array}")),
        }
    }
}

/// The array's protection group of a PG.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayGroupSpec {
    /// Name.
    pub name: String,
    /// Name of the target array as the source knows it.
    pub target: String,
    /// Seconds between scheduled snapshots.
    pub interval_sec: u64,
    /// Kept on the target.
    pub retention: Retention,
}

/// The array's protection group as observed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayGroup {
    /// Name.
    pub name: String,
    /// Member volumes by today's name.
    pub volumes: BTreeSet<String>,
    /// Target arrays, and whether each allows it.
    pub targets: Vec<(String, bool)>,
    /// Schedule runs.
    pub schedule_enabled: bool,
    /// Seconds between scheduled snapshots.
    pub interval_sec: u64,
}

/// A group snapshot as the target array lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// Full name on the target, in the array's own form (a FlashArray's: `src:group.suffix`).
    pub name: String,
    /// Source time: the RPO's timestamp.
    pub created: DateTime<Utc>,
    /// When the transfer ended; `None`: in flight, not usable.
    pub completed: Option<DateTime<Utc>>,
    /// 0.0 to 1.0, in thousandths.
    pub progress_milli: u32,
    /// Source volume names that it holds (the last part of the volume snapshots' names).
    pub volumes: BTreeSet<String>,
}

impl RecoveryPoint {
    /// Complete, and with every one of these volumes (3-workflows.md section 7).
    pub fn is_usable_for<'a>(&self, volumes: impl IntoIterator<Item = &'a String>) -> bool {
        self.completed.is_some()
            && self.progress_milli >= 1000
            && volumes.into_iter().all(|v| self.volumes.contains(v))
    }
}

/// Opens arrays of one vendor.
pub trait ArrayDriver: Send + Sync {
    /// The array at an address that a policy names, with its token; `None`: the address is not of this kind. Nobody is
    /// called. Called once per address and token: what it gives holds the session.
    fn open(&self, url: &str, token: &Secret) -> Option<Arc<dyn ReplicationArray>>;
}

/// One array, with the token of one policy.
///
/// Names that Protector gives (of clones, of our group, `volume.suffix` of a snapshot) are its handles: an array with other
/// rules for names keeps its own beside them. Names that the array gives (of points, of groups from `sync_group`, of
/// volumes) are the array's: nobody takes them apart or puts them together.
#[async_trait]
pub trait ReplicationArray: Send + Sync {
    /// Read; proves address and token.
    async fn identify(&self) -> PortResult<ArrayInfo>;
    /// Read.
    async fn links(&self) -> PortResult<Vec<ArrayLink>>;
    /// Read; where volumes are that are written to this array and `partner` at once: the place of these volumes, or, if
    /// none are named, the one place that there is. `group`: what our protection group would be called by itself.
    ///
    /// A synchronous group is used under the name that this gives, and then `ensure_group` makes one without a target,
    /// `snapshot_group` takes a point that is complete on both arrays at once, and `allow_group` has nothing to allow.
    /// Its `targets` are the arrays of both copies, allowed where the copy is online.
    ///
    /// Invalid, in words, if the volumes are not in one such place, or if this kind of array has none.
    async fn sync_group(
        &self,
        group: &str,
        partner: &str,
        volumes: &[String],
    ) -> PortResult<SyncGroup>;
    /// Read; Absent if it is not there. Destroyed ones count as not there.
    async fn volume(&self, key: &VolumeKey) -> PortResult<ArrayVolume>;
    /// Read; several by name in few calls; those that are not there are left out.
    async fn volumes_named(&self, names: &[String]) -> PortResult<Vec<ArrayVolume>>;
    /// Create: clone one volume of a point to a fresh name without overwrite and without default protection.
    /// Conflict if the name is taken (also by a destroyed volume).
    async fn clone_from_point(
        &self,
        point: &str,
        source_volume: &str,
        new_name: &str,
    ) -> PortResult<ArrayVolume>;
    /// Destroy (recoverable; never eradicates).
    async fn destroy_volume(&self, key: &VolumeKey, permit: &DestroyPermit) -> PortResult<()>;
    /// Ensure; tags in our namespace.
    async fn tag_volume(&self, name: &str, tags: &[(String, String)]) -> PortResult<()>;
    /// Read; live volumes with this tag in our namespace.
    async fn volumes_tagged(&self, key: &str, value: &str) -> PortResult<Vec<ArrayVolume>>;
    /// Read.
    async fn connections(&self, volume: &str) -> PortResult<Vec<ArrayConnection>>;
    /// Destroy, reversible; absent is success.
    async fn disconnect(
        &self,
        volume: &str,
        connection: &ArrayConnection,
        permit: &DestroyPermit,
    ) -> PortResult<()>;
    /// Ensure; restores host and LUN.
    async fn connect(&self, volume: &str, connection: &ArrayConnection) -> PortResult<()>;
    /// Read; Absent if it is not there.
    async fn group(&self, name: &str) -> PortResult<ArrayGroup>;
    /// Ensure; makes the group with target, retention and interval, schedule still off.
    async fn ensure_group(&self, spec: &ArrayGroupSpec) -> PortResult<()>;
    /// Ensure; at the target: let (or do not let) the source's group replicate to here.
    async fn allow_group(&self, source_array: &str, group: &str, allowed: bool) -> PortResult<()>;
    /// Ensure.
    async fn set_group_schedule(&self, group: &str, enabled: bool) -> PortResult<()>;
    /// Ensure.
    async fn add_to_group(&self, group: &str, volumes: &[String]) -> PortResult<()>;
    /// Ensure; takes volumes out of *our* group only.
    async fn remove_from_group(&self, group: &str, volumes: &[String]) -> PortResult<()>;
    /// Destroy of the group, never of a volume.
    async fn destroy_group(&self, group: &str, permit: &DestroyPermit) -> PortResult<()>;
    /// Create: a snapshot `volume.suffix` of one volume; no retention of the array removes it. Conflict if the suffix is
    /// taken (also by a destroyed snapshot).
    async fn snapshot_volume(&self, volume: &str, suffix: &str) -> PortResult<()>;
    /// Read: is there a snapshot of one volume under this full name (`volume.suffix`)? Destroyed ones do not count.
    async fn has_volume_snapshot(&self, name: &str) -> PortResult<bool>;
    /// Destroy (recoverable; never eradicates); absent is success.
    async fn destroy_volume_snapshot(&self, name: &str, permit: &DestroyPermit) -> PortResult<()>;
    /// Destroy of what the volume holds: its content becomes that of a snapshot (full name); name, serial and connections
    /// stay. A repeat is harmless as long as nobody writes. Absent if volume or snapshot is not there: never makes one.
    async fn overwrite_volume(
        &self,
        volume: &str,
        snapshot: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()>;
    /// Destroy of what the volume holds, as [`ReplicationArray::overwrite_volume`]: its content becomes that of one volume
    /// of a point.
    async fn overwrite_from_point(
        &self,
        volume: &str,
        point: &str,
        source_volume: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()>;
    /// Create: a group snapshot, sent at once, under retention. Conflict if the suffix is taken.
    async fn snapshot_group(&self, group: &str, suffix: &str) -> PortResult<()>;
    /// Read; at the source: is there a snapshot `group.suffix`?
    async fn has_group_snapshot(&self, group: &str, suffix: &str) -> PortResult<bool>;
    /// Read; at the target: the point `source:group.suffix` with its transfer, `None` before it is listed.
    async fn recovery_point(
        &self,
        source_array: &str,
        group: &str,
        suffix: &str,
    ) -> PortResult<Option<RecoveryPoint>>;
    /// Read; at the target: all points of `source:group`, newest first, in-flight ones too.
    async fn recovery_points(
        &self,
        source_array: &str,
        group: &str,
    ) -> PortResult<Vec<RecoveryPoint>>;
}
