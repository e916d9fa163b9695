//! The operations under test: one entry each. A definition of `protector_operations::catalog::all` without an entry
//! fails the harness.

use std::fmt;

use protector_demo::scenario::{mappings, with};
use protector_sim::{cloud::Service, faults::Partition, world::World};
use serde_json::{Value, json};

use super::{
    ends::{self, Ends},
    scene::Scene,
};
use crate::expect::Problems;

/// The body of an action.
pub type Body = fn(&Scene) -> Value;

/// What happens before the operation under test is asked for.
#[derive(Clone, Copy)]
pub enum Before {
    /// This action, at this site's Protector, undisturbed to its end.
    Run {
        /// 0 or 1.
        at: usize,
        /// With this body.
        body: Body,
        /// The status that it ends with.
        ends: &'static str,
    },
    /// Something happens to the world, in words and in deed.
    World(&'static str, fn(&World)),
    /// An administrator deletes this server at site A.
    Delete(&'static str),
    /// This site's cloud and array refuse every connection.
    Down(usize),
    /// They answer again.
    Up(usize),
    /// So many seconds pass.
    Wait(u64),
}

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { at, .. } => write!(f, "an action at site {at}"),
            Self::World(what, _) => write!(f, "{what}"),
            Self::Delete(name) => write!(f, "{name} is deleted"),
            Self::Down(at) => write!(f, "site {at} down"),
            Self::Up(at) => write!(f, "site {at} up"),
            Self::Wait(seconds) => write!(f, "{seconds} s"),
        }
    }
}

/// One operation under test.
pub struct Entry {
    /// What it is called in the report.
    pub name: &'static str,
    /// The definition that its plan names.
    pub definition: &'static str,
    /// The kinds of steps that its plan has, all of them.
    pub kinds: &'static [&'static str],
    /// What comes before.
    pub before: &'static [Before],
    /// The site whose Protector is asked and drives it: 0 or 1.
    pub at: usize,
    /// The request.
    pub body: Body,
    /// Changes the world before each play (plays begin without faults).
    pub arrange: fn(&World),
    /// Its volumes replicate synchronously.
    pub synchronous: bool,
    /// Only refused: its plan is what an accepted operation gets that can no longer be planned.
    pub refused: bool,
    /// What must be there when it has completed, by the simulators' own account.
    pub ends: fn(&Ends<'_>) -> Problems,
}

/// Nothing to arrange.
pub fn as_is(_world: &World) {}

/// Site A is down.
fn without_a(world: &World) {
    world.partition(&world.cloud(0).name, Some(Partition::Refuse));
}

/// No server of that name can be built at site B, until [`build_web_1`].
fn refuse_web_1(world: &World) {
    world.cloud(1).fail_builds_of("web-1", Some("No valid host was found."));
}

fn build_web_1(world: &World) {
    world.cloud(1).fail_builds_of("web-1", None);
}

/// Somebody extended a volume of web-1 at site A while its data was elsewhere: the server cannot take it back.
fn extend_original(world: &World) {
    let mut state = world.cloud(0).lock();
    let of_web_1 = |name: &Option<String>| name.as_deref() == Some("web-1-1");
    for volume in state.cinder.volumes.values_mut().filter(|v| of_web_1(&v.name)) {
        volume.size += 5;
    }
}

/// The tenant's quota at site B is full with what is there.
fn fill_quota_of_b(world: &World) {
    let mut state = world.cloud(1).lock();
    let project = state.keystone.project_named("app", "default").map(|p| p.id.clone());
    let volumes = i64::try_from(state.cinder.volumes.len()).unwrap_or_default();
    if let Some(project) = project {
        state.quotas.set(Service::Cinder, &project, "volumes", volumes);
    }
}

fn failover(_: &Scene) -> Value {
    json!({"failover": mappings(0)})
}

fn forced(_: &Scene) -> Value {
    json!({"failover": with(mappings(0), "force", true)})
}

fn drill(_: &Scene) -> Value {
    json!({"test_failover": {"flavor_mapping": mappings(0)["flavor_mapping"]}})
}

fn failback(_: &Scene) -> Value {
    json!({"failback": with(mappings(1), "reverse_replication", true)})
}

fn sync(_: &Scene) -> Value {
    json!({"sync_volumes": {}})
}

/// Steps of every operation that rebuilds servers at the other site.
macro_rules! rebuilding {
    ($($more:literal),* $(,)?) => {
        &["clone_volume", "manage_volume", "dress_volume", "import_keypair", "create_server_group",
          "create_security_group", "fill_security_group", "create_port", "create_server", "settle_power",
          "finish_server", "barrier", $($more),*]
    };
}

/// The kinds of a planned failover.
const PLANNED: &[&str] = rebuilding![
    "recheck",
    "await_replication",
    "stop_server",
    "lock_server",
    "record_connections",
    "disconnect_volumes",
    "snapshot_group",
    "verify_source",
    "swap_primary",
    "stop_schedule",
    "push_group",
];

const SYNCED: Before = Before::Run { at: 0, body: sync, ends: "completed" };
const FAILED_OVER: Before = Before::Run { at: 0, body: failover, ends: "completed" };
const FAILED_BACK: Before = Before::Run { at: 1, body: failback, ends: "completed" };

/// An entry with nothing unusual.
const USUAL: Entry = Entry {
    name: "",
    definition: "",
    kinds: &[],
    before: &[],
    at: 0,
    body: failover,
    arrange: as_is,
    synchronous: false,
    refused: false,
    ends: ends::same_servers,
};

/// All of them.
pub const TABLE: &[Entry] = &[
    Entry {
        name: "planned failover",
        definition: "failover",
        kinds: PLANNED,
        ends: ends::failed_over,
        ..USUAL
    },
    Entry {
        name: "planned failover that needs room",
        definition: "failover",
        kinds: &[
            "clone_volume",
            "manage_volume",
            "dress_volume",
            "import_keypair",
            "create_port",
            "create_server",
            "settle_power",
            "finish_server",
            "barrier",
            "recheck",
            "await_replication",
            "stop_server",
            "lock_server",
            "record_connections",
            "disconnect_volumes",
            "snapshot_group",
            "verify_source",
            "swap_primary",
            "stop_schedule",
            "push_group",
            "remove_kept",
        ],
        before: &[FAILED_OVER, FAILED_BACK, Before::World("B's quota is full", fill_quota_of_b)],
        ends: ends::failed_over,
        ..USUAL
    },
    Entry {
        name: "refused failover",
        definition: "failover",
        kinds: &["refuse"],
        refused: true,
        ends: ends::nothing,
        ..USUAL
    },
    Entry {
        name: "forced failover",
        definition: "forced_failover",
        kinds: rebuilding!["choose_point", "move_primary", "arrive", "refuse_source"],
        before: &[SYNCED, Before::Down(0)],
        at: 1,
        body: forced,
        arrange: without_a,
        ends: ends::recovered,
        ..USUAL
    },
    Entry {
        name: "forced failover of a source that answers",
        definition: "forced_failover",
        kinds: rebuilding![
            "choose_point",
            "move_primary",
            "arrive",
            "stop_server",
            "lock_server",
            "record_connections",
            "disconnect_volumes",
            "snapshot_group",
            "await_replication",
            "refuse_source",
            "stop_schedule",
        ],
        before: &[SYNCED],
        at: 1,
        body: forced,
        ends: ends::failed_over,
        ..USUAL
    },
    Entry {
        name: "completion of a partial failover",
        definition: "forced_failover",
        kinds: &["create_server", "finish_server", "barrier", "recall", "arrive"],
        before: &[
            SYNCED,
            Before::World("no host for web-1", refuse_web_1),
            Before::Down(0),
            Before::Run { at: 1, body: forced, ends: "failed" },
            Before::World("a host for web-1", build_web_1),
        ],
        at: 1,
        body: |_| json!({"retry": {}}),
        arrange: without_a,
        ends: ends::complete,
        ..USUAL
    },
    Entry {
        name: "drill",
        definition: "test_failover",
        kinds: rebuilding![
            "recheck",
            "stop_server",
            "choose_point",
            "create_network",
            "create_subnet"
        ],
        before: &[SYNCED],
        body: drill,
        ends: ends::drilled,
        ..USUAL
    },
    Entry {
        name: "cleanup of a drill",
        definition: "test_cleanup",
        kinds: &["sweep", "list_leftovers", "expect_none", "restart_server"],
        before: &[SYNCED, Before::Run { at: 0, body: drill, ends: "completed" }],
        body: |_| json!({"test_cleanup": {}}),
        ends: ends::cleaned,
        ..USUAL
    },
    Entry {
        name: "failback",
        definition: "failback",
        kinds: &[
            "ensure_group",
            "snapshot_group",
            "await_replication",
            "verify_source",
            "secure_volume",
            "barrier",
            "stop_server",
            "lock_server",
            "record_connections",
            "disconnect_volumes",
            "restore_content",
            "restore_connections",
            "unlock_server",
            "start_server",
            "swap_back",
            "retire_server",
            "delete_port",
            "stop_schedule",
            "start_schedule",
            "push_group",
        ],
        before: &[FAILED_OVER],
        at: 1,
        body: failback,
        ends: ends::returned,
        ..USUAL
    },
    Entry {
        name: "failback without the original",
        definition: "failback",
        kinds: &[
            "clone_volume",
            "manage_volume",
            "create_port",
            "create_server",
            "finish_server",
            "barrier",
            "ensure_group",
            "snapshot_group",
            "await_replication",
            "verify_source",
            "secure_volume",
            "stop_server",
            "lock_server",
            "record_connections",
            "disconnect_volumes",
            "restore_content",
            "restore_connections",
            "unlock_server",
            "swap_back",
            "retire_server",
            "delete_port",
            "stop_schedule",
            "start_schedule",
            "push_group",
        ],
        before: &[FAILED_OVER, Before::Delete("web-1")],
        at: 1,
        body: failback,
        ends: ends::returned,
        ..USUAL
    },
    Entry {
        name: "failback beside an original that cannot be used",
        definition: "failback",
        kinds: &[
            "clone_volume",
            "manage_volume",
            "free_port",
            "take_port",
            "create_server",
            "finish_server",
            "barrier",
            "ensure_group",
            "snapshot_group",
            "await_replication",
            "verify_source",
            "secure_volume",
            "stop_server",
            "lock_server",
            "record_connections",
            "disconnect_volumes",
            "restore_content",
            "restore_connections",
            "unlock_server",
            "swap_back",
            "retire_server",
            "delete_port",
            "stop_schedule",
            "start_schedule",
            "push_group",
        ],
        before: &[
            FAILED_OVER,
            Before::World("a volume of web-1 was extended at A", extend_original),
        ],
        at: 1,
        body: failback,
        ends: ends::returned,
        ..USUAL
    },
    Entry {
        name: "sync",
        definition: "sync_volumes",
        kinds: &[
            "ensure_group",
            "snapshot_group",
            "await_replication",
            "start_schedule",
            "push_group",
        ],
        body: sync,
        ..USUAL
    },
    Entry {
        name: "reprotect",
        definition: "reprotect",
        kinds: &[
            "ensure_group",
            "snapshot_group",
            "await_replication",
            "stop_schedule",
            "start_schedule",
            "accept_primary",
            "push_group",
        ],
        before: &[FAILED_OVER],
        at: 1,
        body: |_| json!({"reprotect": {}}),
        ..USUAL
    },
    Entry {
        name: "planned failover of a synchronous group",
        definition: "failover",
        kinds: PLANNED,
        synchronous: true,
        ends: ends::failed_over,
        ..USUAL
    },
    Entry {
        name: "sync of a synchronous group that has failed over",
        definition: "sync_volumes",
        kinds: &[
            "retype_volume",
            "ensure_group",
            "snapshot_group",
            "await_replication",
            "start_schedule",
            "push_group",
        ],
        before: &[FAILED_OVER],
        at: 1,
        body: sync,
        synchronous: true,
        ..USUAL
    },
];

/// The entry of that name.
pub fn entry(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|e| e.name == name)
}
