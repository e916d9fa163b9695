//! Failback: the table of its steps, its stages, and what its end means.
//!
//! | stage | steps, per group (g), member (m), volume (v), port (p) |
//! |---|---|
//! | `validate_target_site` 0-20 | ensure_group -> snapshot_group -> await_replication (g): the bulk moves while everything runs. Originals (m): fenced first if nobody did, verify_source, secure_volume (v). Then stop_server -> lock_server -> record_connections -> disconnect_volumes (m) at the current primary |
//! | `get_latest_snapshot` 20-30 | snapshot_group (g), once all are fenced -> await_replication (g) |
//! | `promote_volumes_on_flasharray` 30-40 | restore_content (v) of originals; clone_volume (v) of the others |
//! | `manage_volumes_into_cinder` 40-60 | manage_volume (v) -> dress_volume (v) of the others |
//! | `recreate_instances` 60-90 | restore_connections -> unlock_server -> start_server (m) of originals; free_port, take_port, create_port (p), create_server (m) -> settle_power (m) of the others |
//! | `update_protection_group_state` 90-100 | verify_source (m) -> **swap_back** (g, no return) -> retire_server (m), delete_port (p), stop_schedule, ensure_group, and with `reverse_replication` snapshot_group -> await_replication -> start_schedule; push_group (all warn) |
//!
//! Because everything at the original site depends on the final snapshot, and that on every fence, the reverse order of
//! undo is the rollback barrier. A member that never ran at the current primary is not overwritten.

pub mod layout;
pub mod originals;
pub mod plan;

use std::sync::Arc;

use protector_types::{BoxFuture, DomainEffect, KeptCopy, KeptThing, OperationId, OperationStatus};
use protector_workflow::{Definition, DynStep, IfLeft, Plan, State};
use serde_json::{Value, json};

use crate::{deps::Deps, failover, leaks, registry};

/// The definition's name in stored plans.
pub const NAME: &str = "failback";
/// Raised whenever a stored plan of the old kind would run differently.
pub const VERSION: u32 = 1;

/// Runs plans of this version.
pub struct Failback(pub Deps);

impl Definition for Failback {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn step(&self, kind: &str) -> Option<Arc<dyn DynStep>> {
        registry::step(&self.0, kind)
    }

    fn if_left(&self, kind: &str) -> IfLeft {
        registry::if_left(kind)
    }

    fn may_go_unseen(&self, kind: &str) -> bool {
        registry::may_go_unseen(kind)
    }

    fn on_end(&self, plan: &Plan, _status: OperationStatus, unwound: bool) -> Vec<DomainEffect> {
        // A completed failback has changed the group at its point of no return already.
        match plan.facts.get("group_id").map(|id| serde_json::from_value(id.clone())) {
            Some(Ok(group_id)) if unwound => vec![DomainEffect::Reverted { group_id }],
            _ => Vec::new(),
        }
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

/// As a failover's, with what became of the originals. Pure, from plan and journal.
pub fn result_data(state: &State) -> Value {
    let mut data = failover::result_data(state);
    let Ok(facts) = serde_json::from_value::<plan::PlanFacts>(state.plan().facts.clone()) else {
        return data;
    };
    if state.past_no_return() {
        for (key, map) in [("servers", &facts.servers), ("volumes", &facts.volumes)] {
            for (old, new) in map {
                data[key][old] = json!(new);
            }
        }
        let kept: Vec<KeptCopy> = state.outputs().get("swap").unwrap_or_default();
        data["kept"] = kept.iter().map(kept_view).collect();
    }
    data["reused"] = json!(facts.reused);
    data["rebuilt"] = json!(facts.rebuilt);
    data["not_overwritten"] = json!(facts.not_overwritten);
    let first_sync = state.outputs().get::<Value>("first-point").is_ok();
    data["replication_status"] = match (state.past_no_return(), facts.reverse_replication) {
        (true, true) if first_sync => json!("replicating"),
        (true, _) => json!("paused"),
        (false, _) => Value::Null,
    };
    data
}

fn kept_view(copy: &KeptCopy) -> Value {
    let what = match &copy.thing {
        KeptThing::CinderVolume { volume_id, .. } => json!({"volume": volume_id}),
        KeptThing::ArrayVolume { name, .. } => json!({"array_volume": name}),
        KeptThing::ArraySnapshot { name } => json!({"snapshot": name}),
    };
    json!({"what": what, "site_id": copy.site_id, "why": copy.why, "expires_at": copy.expires_at})
}
