//! What an array holds. Objects of all connected arrays live in one [`super::fabric::Fabric`], because
//! a stretched pod's volumes are on two arrays at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::Value;

use super::config::ArrayConfig;

/// An internal id, unique in the process.
pub(crate) type Key = u64;
/// Milliseconds since the UNIX epoch, or a span of milliseconds.
pub(crate) type Ms = i64;
/// What was written to a volume, oldest first; shared until somebody writes.
pub(crate) type Content = Arc<Vec<Arc<str>>>;

/// One day.
pub(crate) const DAY_MS: Ms = 86_400_000;

/// Where an object lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Home {
    /// On one array.
    Array(Key),
    /// In a pod, and so on all arrays of the pod.
    Pod(Key),
}

/// The kinds of objects that have a name of their own on an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A volume.
    Volume,
    /// A volume snapshot.
    Snapshot,
    /// A protection group, of this array or replicated to it.
    Group,
    /// A protection group snapshot.
    GroupSnapshot,
    /// A pod.
    Pod,
    /// A volume group.
    VolumeGroup,
}

impl Kind {
    /// How messages call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Volume => "Volume",
            Self::Snapshot => "Volume snapshot",
            Self::Group => "Protection group",
            Self::GroupSnapshot => "Protection group snapshot",
            Self::Pod => "Pod",
            Self::VolumeGroup => "Volume group",
        }
    }
}

/// One array.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// Settings.
    pub config: Arc<ArrayConfig>,
    /// Id on the wire.
    pub id: String,
    /// Today's name.
    pub name: String,
    /// Drawn ids so far.
    pub drawn: u64,
    /// Sessions die after so much idleness; 0 = never.
    pub idle_timeout: u64,
    /// Destroyed objects live for so long.
    pub eradication_delay: Ms,
    /// Text at login.
    pub banner: String,
    /// Names (lower case) of everything that this array shows.
    pub names: BTreeMap<(Kind, String), Key>,
    /// Hosts by lower-case name.
    pub hosts: BTreeMap<String, Host>,
    /// Host groups by lower-case name.
    pub host_groups: BTreeMap<String, String>,
    /// (volume, peer) -> LUN.
    pub connections: BTreeMap<(Key, Peer), u64>,
    /// Live sessions by token.
    pub sessions: HashMap<String, Session>,
    /// Groups that new volumes outside pods join.
    pub default_protections: Vec<Key>,
    /// The names of `/network-interfaces` and so on are made from it.
    pub index: u64,
    /// Calls so far, and in the current window of the limiter.
    pub calls: u64,
    /// (start of the window, calls in it).
    pub window: (Ms, u64),
}

/// Who a volume is connected to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Peer {
    /// A host, by lower-case name.
    Host(String),
    /// A host group, by lower-case name.
    Group(String),
}

/// A login.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Number on the wire.
    pub id: u64,
    /// Account.
    pub user: String,
    /// May it only read?
    pub readonly: bool,
    /// Made.
    pub started: Ms,
    /// Last used.
    pub used: Ms,
}

/// A host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    /// Name as it was given.
    pub name: String,
    /// iSCSI initiators.
    pub iqns: Vec<String>,
    /// Fibre Channel initiators.
    pub wwns: Vec<String>,
    /// NVMe initiators.
    pub nqns: Vec<String>,
    /// Host group (lower case).
    pub group: Option<String>,
    /// `esxi`, `oracle-vm-server`, ...; empty for none.
    pub personality: String,
    /// Arrays with the shorter way.
    pub preferred_arrays: Vec<String>,
    /// CHAP settings as they were given, without passwords.
    pub chap: Value,
}

/// The wire between two arrays.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// One end.
    pub a: Key,
    /// Other end.
    pub b: Key,
    /// `async-replication` or `sync-replication` (which replicates asynchronously as well).
    pub kind: LinkType,
    /// Does it carry data?
    pub status: LinkStatus,
    /// Throttle as it was given.
    pub throttle: Value,
}

/// What a connection between two arrays may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkType {
    /// Protection group snapshots only.
    Async,
    /// Stretched pods as well.
    Sync,
}

/// The state of a connection between two arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkStatus {
    /// All paths are there.
    Connected,
    /// Some paths are gone; replication still works.
    PartiallyConnected,
    /// Nothing gets through.
    Broken,
}

/// A volume.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub id: String,
    pub serial: String,
    pub home: Home,
    pub vgroup: Option<Key>,
    pub base: String,
    pub provisioned: u64,
    pub created: Ms,
    pub destroyed: Option<Ms>,
    /// (id, name) of what it was copied from.
    pub source: Option<(String, String)>,
    pub content: Content,
    pub demoted: bool,
    pub qos: Value,
    /// (namespace, key) -> (value, copyable).
    pub tags: BTreeMap<(String, String), (String, bool)>,
    pub groups: BTreeSet<Key>,
    /// Snapshots of the volume alone.
    pub snaps: Vec<Key>,
    /// Next numeric suffix.
    pub next_number: u64,
}

/// Whose a volume snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapOwner {
    /// A snapshot of one volume.
    Volume(Key),
    /// A part of a protection group snapshot.
    Group(Key),
}

/// A volume snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Snap {
    pub id: String,
    pub serial: String,
    pub owner: SnapOwner,
    /// The suffix, or the volume's name as it was (a part of a group snapshot).
    pub part: String,
    /// (id, name) of the volume when the snapshot was taken.
    pub source: (String, String),
    /// The volume; it may be gone.
    pub volume: Key,
    pub created: Ms,
    pub destroyed: Option<Ms>,
    pub provisioned: u64,
    pub content: Content,
}

/// When something is done by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schedule {
    pub enabled: bool,
    pub frequency: Ms,
    /// Milliseconds since midnight.
    pub at: Option<Ms>,
    /// Milliseconds since midnight (start, end).
    pub blackout: Option<(Ms, Ms)>,
    /// Next tick.
    pub next: Option<Ms>,
}

/// How long snapshots are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub all_for_sec: i64,
    pub per_day: i64,
    pub days: i64,
}

/// A local protection group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub id: String,
    pub home: Home,
    pub base: String,
    pub destroyed: Option<Ms>,
    pub volumes: BTreeSet<Key>,
    pub replication: Schedule,
    pub snapshot: Schedule,
    pub source_retention: Retention,
    pub target_retention: Retention,
    pub ratcheted: bool,
    /// One per target.
    pub replicas: Vec<Key>,
    pub snaps: Vec<Key>,
    pub next_number: u64,
    /// A tick fell due while the previous replication was under way.
    pub overdue: bool,
}

/// A protection group as a target sees it: `source:group`.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub id: String,
    /// The target.
    pub on: Key,
    /// The array that the group is on.
    pub from: Key,
    pub group: Key,
    pub name: String,
    pub allowed: bool,
    /// False after the target was removed from the group.
    pub attached: bool,
    /// From when on the target shows it.
    pub visible_from: Ms,
    /// From when on the source knows of the last change of `allowed`.
    pub known_from: Ms,
    pub destroyed: Option<Ms>,
    pub snaps: Vec<Key>,
    /// Shipments that are not complete, in the order in which they were asked for.
    pub flights: Vec<Key>,
}

/// Whose a protection group snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// Taken here.
    Group(Key),
    /// Replicated to here.
    Replica(Key),
}

/// The state of a shipment to a target.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub started: Option<Ms>,
    pub completed: Option<Ms>,
    pub duration: Ms,
    pub done: Ms,
    /// When `done` was true.
    pub checked: Ms,
    pub bytes: u64,
}

/// A protection group snapshot.
#[derive(Debug, Clone)]
pub(crate) struct GroupSnap {
    pub id: String,
    pub owner: Owner,
    pub suffix: String,
    /// On the source.
    pub created: Ms,
    /// Does retention apply?
    pub retained: bool,
    pub destroyed: Option<Ms>,
    pub members: Vec<Key>,
    /// The shipment that brought it (on a target).
    pub transfer: Option<Transfer>,
    /// The copies on targets (on the source).
    pub copies: Vec<Key>,
    /// The original (on a target); it may be gone.
    pub original: Option<Key>,
}

/// A pod.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub id: String,
    pub name: String,
    /// Where it is, and what state that copy is in.
    pub arrays: Vec<PodArray>,
    pub destroyed: Option<Ms>,
    pub mediator: String,
    pub preferences: Vec<Key>,
    pub demoted: bool,
    pub source: Option<(String, String)>,
    pub default_protections: Vec<Key>,
    pub quota: Option<u64>,
    /// Left by an unstretch: may be copied from, not recovered.
    pub remnant: bool,
}

/// One array's copy of a pod.
#[derive(Debug, Clone)]
pub(crate) struct PodArray {
    pub array: Key,
    pub state: PodState,
}

/// The state of one copy of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PodState {
    Online,
    /// Lost the race for the mediator at that time.
    Offline(Ms),
    /// (from, until).
    Resyncing(Ms, Ms),
}

/// A volume group.
#[derive(Debug, Clone)]
pub(crate) struct VolumeGroup {
    pub id: String,
    pub home: Home,
    pub base: String,
    pub destroyed: Option<Ms>,
    pub qos: Value,
}

/// Anything that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Obj {
    Volume(Key),
    Snap(Key),
    Group(Key),
    Replica(Key),
    GroupSnap(Key),
    Pod(Key),
    VolumeGroup(Key),
}

/// What happens by itself; each is checked again when its time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Event {
    /// The tick of a replication schedule.
    Replicate(Key),
    /// The tick of a snapshot schedule.
    Snapshot(Key),
    /// A shipment may be complete.
    Transfer(Key),
    /// Retention of a group may have something to remove.
    Retain(Owner),
    /// A destroyed object's time is over.
    Eradicate(Obj),
    /// A local copy that was made for replication only.
    DropLocal(Key),
    /// A pod's copy may be in sync again.
    Resync(Key),
}
