//! Consistency group sync: the table of its steps, its stages, and what its end means.
//!
//! | stage | steps |
//! |---|---|
//! | `create_group_snapshot` 0-30 | retype_volume (synchronous groups) -> ensure_group -> snapshot_group |
//! | `wait_for_replication` 30-90 | await_replication |
//! | `update_replication_state` 90-100 | stop_schedule of the old direction (warn), start_schedule, push_group (warn) |
//!
//! From the current primary to the other site: a group that has failed over gets its reverse replication with the first
//! sync. The group's status never changes.

pub mod layout;
pub mod plan;

use std::sync::Arc;

use protector_ports::RecoveryPoint;
use protector_types::{DomainEffect, OperationStatus};
use protector_workflow::{Definition, DynStep, IfLeft, Plan, Stage, State};
use serde_json::{Value, json};

use crate::{deps::Deps, registry};

/// The definition's name in stored plans.
pub const NAME: &str = "sync_volumes";
/// Raised whenever a stored plan of the old kind would run differently.
pub const VERSION: u32 = 1;

/// Stage names (3-workflows.md section 4), with their progress ranges.
pub const STAGES: [(&str, u8, u8); 3] = [
    ("create_group_snapshot", 0, 30),
    ("wait_for_replication", 30, 90),
    ("update_replication_state", 90, 100),
];

/// The stages as a plan holds them.
pub fn stages() -> Vec<Stage> {
    STAGES.iter().map(|&(name, from, to)| Stage { name: name.into(), from, to }).collect()
}

/// Runs plans of this version.
pub struct SyncVolumes(pub Deps);

impl Definition for SyncVolumes {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn step(&self, kind: &str) -> Option<Arc<dyn DynStep>> {
        registry::step(&self.0, kind)
    }

    /// What replicated was booked with the step that saw it; whatever else happens leaves the group as it was.
    fn if_left(&self, kind: &str) -> IfLeft {
        registry::if_left(kind)
    }

    fn on_end(&self, _plan: &Plan, _status: OperationStatus, _unwound: bool) -> Vec<DomainEffect> {
        Vec::new()
    }

    fn result_data(&self, state: &State) -> Value {
        result_data(state)
    }
}

/// Which point arrived, from where to where. Pure, from plan and journal.
pub fn result_data(state: &State) -> Value {
    let facts: Option<plan::PlanFacts> = serde_json::from_value(state.plan().facts.clone()).ok();
    let point: Option<RecoveryPoint> = state.outputs().get("point").ok();
    json!({
        "current_primary_site": facts.as_ref().map(|f| f.source_site.clone()),
        "target_site": facts.as_ref().map(|f| f.target_site.clone()),
        "volumes_synced": point.as_ref().map_or(0, |p| p.volumes.len()),
        "last_replication_at": point.as_ref().map(|p| p.created),
        "recovery_point": point,
    })
}
