//! Failover: the table of its steps, its stages, and what its end means.
//!
//! | stage | steps, per group (g), member (m), volume (v), port (p) |
//! |---|---|
//! | `validate_target_site` 0-20 | recheck (g) -> stop_server (m) -> lock_server (m) -> record_connections (m) -> disconnect_volumes (m) |
//! | `get_latest_snapshot` 20-30 | snapshot_group (g), once all are fenced -> await_replication (g) |
//! | `promote_volumes_on_flasharray` 30-40 | clone_volume (v) |
//! | `manage_volumes_into_cinder` 40-60 | manage_volume (v) -> dress_volume (v) |
//! | `recreate_instances` 60-90 | import_keypair, create_server_group, create_security_group -> fill_security_group, create_port (p): at once; create_server (m) -> settle_power (m) -> finish_server (m, warn) |
//! | `update_protection_group_state` 90-100 | verify_source (m), once all servers are up -> **swap_primary** (g, no return) -> stop_schedule, push_group (g, warn) |
//!
//! A server is created as soon as *its own* volumes and ports are ready. Because everything at the target depends on
//! the final snapshot, and that on every fence, the reverse order of undo is the rollback barrier: a source server
//! starts again only when every server that this operation made is gone.

pub mod layout;
pub mod plan;

use std::sync::Arc;

use protector_types::{BoxFuture, DomainEffect, OperationId, OperationStatus};
use protector_workflow::{Definition, DynStep, IfLeft, Plan, Stage, State};
use serde_json::{Value, json};

use crate::{deps::Deps, leaks, registry, results};

/// The definition's name in stored plans.
pub const NAME: &str = "failover";
/// Raised whenever a stored plan of the old kind would run differently.
pub const VERSION: u32 = 1;

/// Stage names, exactly as the founding document has them, with their progress ranges.
pub const STAGES: [(&str, u8, u8); 6] = [
    ("validate_target_site", 0, 20),
    ("get_latest_snapshot", 20, 30),
    ("promote_volumes_on_flasharray", 30, 40),
    ("manage_volumes_into_cinder", 40, 60),
    ("recreate_instances", 60, 90),
    ("update_protection_group_state", 90, 100),
];

/// The stages as a plan holds them.
pub fn stages() -> Vec<Stage> {
    STAGES.iter().map(|&(name, from, to)| Stage { name: name.into(), from, to }).collect()
}

/// Runs plans of this version.
pub struct Failover(pub Deps);

impl Definition for Failover {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn step(&self, kind: &str) -> Option<Arc<dyn DynStep>> {
        registry::step(&self.0, kind)
    }

    fn on_end(&self, plan: &Plan, _status: OperationStatus, unwound: bool) -> Vec<DomainEffect> {
        // A completed failover has changed the group at its point of no return already.
        let Ok(facts) = serde_json::from_value::<plan::PlanFacts>(plan.facts.clone()) else {
            return Vec::new();
        };
        if unwound { vec![DomainEffect::Reverted { group_id: facts.group_id }] } else { Vec::new() }
    }

    fn if_left(&self, kind: &str) -> IfLeft {
        registry::if_left(kind)
    }

    fn may_go_unseen(&self, kind: &str) -> bool {
        registry::may_go_unseen(kind)
    }

    fn result_data(&self, state: &State) -> Value {
        result_data(state)
    }

    fn last_look<'a>(
        &'a self,
        operation: OperationId,
        state: &'a State,
    ) -> BoxFuture<'a, Option<Value>> {
        Box::pin(leaks::last_look(&self.0, operation, state))
    }
}

/// `result_data` of the founding document's Example 6, and what 1.3 adds to it. Pure, from plan and journal.
pub fn result_data(state: &State) -> Value {
    let plan = state.plan();
    let outputs = state.outputs();
    let mut made = results::made(state);
    let facts: Option<plan::PlanFacts> = serde_json::from_value(plan.facts.clone()).ok();
    if let Some(facts) = &facts {
        made.not_preserved.extend(facts.not_preserved.iter().cloned());
    }
    let switched = state.past_no_return();
    let site = facts
        .as_ref()
        .map(|f| if switched { f.target_site.clone() } else { f.source_site.clone() });
    json!({
        "instances_created": made.instances.len(),
        "volumes_managed": made.managed.len(),
        "current_primary_site": site,
        "servers": made.servers,
        "volumes": made.volumes,
        "ports": made.ports,
        "recovery_point": outputs.get::<Value>("point").ok(),
        // Planned: the final snapshot was taken after every source server was stopped and disconnected.
        "data_loss_seconds": if switched { json!(0) } else { Value::Null },
        "not_preserved": made.not_preserved,
        "leaked": results::leaked(state),
        "kept": results::kept(state),
    })
}
