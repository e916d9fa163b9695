//! The operations under test: one entry each. A definition of `protector_operations::catalog::all` without an entry
//! fails the harness.

use std::fmt;

use protector_sim::world::World;
use serde_json::Value;

use super::{
    ends::{self, Ends},
    scene::{Scene, failover_body},
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
    },
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
    /// Only refused: its plan is what an accepted operation gets that can no longer be planned.
    pub refused: bool,
    /// What must be there when it has completed, by the simulators' own account.
    pub ends: fn(&Ends<'_>) -> Problems,
}

/// Nothing to arrange.
pub fn as_is(_world: &World) {}

/// Steps of every operation that rebuilds servers at the other site.
macro_rules! rebuilding {
    ($($more:literal),*) => {
        &["recheck", "await_replication", "clone_volume", "manage_volume", "dress_volume",
          "import_keypair", "create_server_group", "create_port", "create_server", "settle_power",
          "barrier", $($more),*]
    };
}

/// All of them.
pub const TABLE: &[Entry] = &[
    Entry {
        name: "planned failover",
        definition: "failover",
        kinds: rebuilding![
            "stop_server",
            "lock_server",
            "record_connections",
            "disconnect_volumes",
            "snapshot_group",
            "verify_source",
            "swap_primary",
            "stop_schedule",
            "push_group"
        ],
        before: &[],
        at: 0,
        body: failover_body,
        arrange: as_is,
        refused: false,
        ends: ends::failed_over,
    },
    Entry {
        name: "refused failover",
        definition: "failover",
        kinds: &["refuse"],
        before: &[],
        at: 0,
        body: failover_body,
        arrange: as_is,
        refused: true,
        ends: ends::nothing,
    },
];

/// The entry of that name.
pub fn entry(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|e| e.name == name)
}
