//! Forced failover, from the surviving site, and the completion of a partial one. Nothing that could block on the dead site.
//!
//! | stage | steps, per group (g), member (m), volume (v), port (p) |
//! |---|---|
//! | `validate_target_site` 0-20 | barrier (g); refuse (m) for members that are left out; if the source answers: stop_server -> lock_server -> record_connections -> disconnect_volumes (m, warn) |
//! | `get_latest_snapshot` 20-30 | if the source answers: snapshot_group -> await_replication (g, warn); choose_point (g) -> move_primary (g): the epoch is raised |
//! | `promote_volumes_on_flasharray` 30-40 | clone_volume (v), of all members -> barrier -> refuse_source (g, warn) |
//! | `manage_volumes_into_cinder` 40-60 | manage_volume (v) -> dress_volume (v) |
//! | `recreate_instances` 60-90 | import_keypair, create_server_group, create_port (p); **create_server** (m, no return), once all volumes are cloned -> settle_power (m, warn) |
//! | `update_protection_group_state` 90-100 | arrive (g), once every member is up or given up -> stop_schedule (g, warn) |
//!
//! The first ACTIVE server is the point of no return: a member that fails ends its own branch only, and the operation ends
//! as failed with the group `failed_over_partial`. If no server came up, `arrive` fails and everything is undone.
//! Where a member had a server at the target before (after `reprotect`), its successor takes that one's ports over
//! (free_port -> take_port); once it runs, the old server goes (retire_server, warn) and its volumes are kept.
//! A retry brings up what is missing from the clones that the first attempt made.

pub mod fit;
pub mod layout;
pub mod plan;
pub mod retry;
pub mod superseded;

use std::sync::Arc;

use protector_types::{BoxFuture, DomainEffect, OperationId, OperationStatus};
use protector_workflow::{Definition, DynStep, IfLeft, Plan, State, Step as _};
use serde_json::{Value, json};

use crate::{
    deps::Deps,
    leaks, registry, results,
    steps::{
        arrive::{Arrive, Input},
        choose_point,
    },
};

/// The definition's name in stored plans.
pub const NAME: &str = "forced_failover";
/// Raised whenever a stored plan of the old kind would run differently.
pub const VERSION: u32 = 1;

/// Runs plans of this version.
pub struct ForcedFailover(pub Deps);

impl Definition for ForcedFailover {
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

    fn on_end(&self, plan: &Plan, _status: OperationStatus, unwound: bool) -> Vec<DomainEffect> {
        let Ok(facts) = serde_json::from_value::<plan::Facts>(plan.facts.clone()) else {
            return Vec::new();
        };
        let group_id = facts.group_id;
        match (unwound, facts.retry_of) {
            (false, _) => Vec::new(),
            (true, Some(_)) => vec![DomainEffect::Reverted { group_id }],
            // A further epoch with the old primary: when its site returns, it takes its quarantine back.
            (true, None) => vec![
                DomainEffect::MovePrimary {
                    group_id,
                    primary: facts.source_site_id,
                    raised_by: facts.driven_by,
                },
                DomainEffect::Reverted { group_id },
            ],
        }
    }

    /// Given up after the first server came up: what has come up counts, and the group says that it is not all.
    fn on_abandon(&self, state: &State) -> Vec<DomainEffect> {
        if !state.past_no_return() {
            return state.proven_origin(self);
        }
        let plan = state.plan();
        let arrive = plan.steps.iter().find(|step| step.kind == "arrive");
        let planned = arrive.filter(|step| !state.outputs().has(&step.id));
        let arrived = planned.and_then(|step| {
            let planned = serde_json::from_value(step.input.clone()).ok()?;
            Arrive.resolve(planned, state.outputs()).ok()
        });
        // What is superseded was not removed, and is not booked: nobody knows how long to keep it.
        let effects = arrived.map(|input| Input { kept: Vec::new(), ..input }.effects());
        effects.unwrap_or_default()
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

/// The record's `result_data`. Pure, from plan and journal.
pub fn result_data(state: &State) -> Value {
    let mut made = results::made(state);
    let outputs = state.outputs();
    let facts: Option<plan::Facts> = serde_json::from_value(state.plan().facts.clone()).ok();
    if let Some(facts) = &facts {
        made.not_preserved.extend(facts.not_preserved.iter().cloned());
    }
    let arrived = outputs.has("arrive");
    let point: Option<choose_point::Output> = outputs.get("point").ok();
    let is_retry = facts.as_ref().is_some_and(|f| f.retry_of.is_some());
    let site = facts.map(|f| if arrived || is_retry { f.target_site } else { f.source_site });
    // Clones that no server uses stay for a retry, so that it has the same point.
    let up: Vec<_> = made.instances.iter().map(|(member, _)| member.as_str()).collect();
    let kept: Vec<_> = state
        .plan()
        .steps
        .iter()
        .filter(|step| arrived && matches!(step.kind.as_str(), "clone_volume" | "recall"))
        .filter(|step| step.subject.as_deref().is_some_and(|member| !up.contains(&member)))
        .filter_map(|step| {
            let volume: protector_ports::ArrayVolume = outputs.get(&step.id).ok()?;
            Some(json!({"member": step.subject, "array_volume": volume.name, "serial": volume.serial}))
        })
        .collect();
    json!({
        "instances_created": made.instances.len(),
        "volumes_managed": made.managed.len(),
        "current_primary_site": site,
        "servers": made.servers,
        "volumes": made.volumes,
        "ports": made.ports,
        "data_loss_seconds": point.as_ref().filter(|_| arrived).map(|p| p.age_seconds),
        "recovery_point": point.map(|p| p.point),
        "kept_for_retry": kept,
        "not_preserved": made.not_preserved,
        "leaked": results::leaked(state),
        "kept": results::kept(state),
    })
}
