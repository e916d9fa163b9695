//! Drill: the failover's path on clones, with the primary untouched and replication running.
//!
//! | stage | steps, per group (g), member (m), volume (v), port (p) |
//! |---|---|
//! | `validate_target_site` 0-20 | recheck (g) -> stop_server (m), unless the primary is retained |
//! | `get_latest_snapshot` 20-30 | choose_point (g): no snapshot is taken |
//! | `promote_volumes_on_flasharray` 30-40 | clone_volume (v) |
//! | `manage_volumes_into_cinder` 40-60 | manage_volume (v), under a type that is not replicated -> dress_volume (v) |
//! | `recreate_instances` 60-90 | import_keypair, create_server_group, create_network -> create_subnet -> create_port (p); create_server (m) -> settle_power (m) |
//! | `update_protection_group_state` 90-100 | barrier (g): the group does not change |
//!
//! What it made stays until `test_cleanup`, [`cleanup`].

pub mod cleanup;
pub mod layout;
pub mod plan;
pub mod record;
pub mod remains;

use std::sync::Arc;

use protector_types::{DomainEffect, OperationStatus};
use protector_workflow::{Definition, DynStep, IfLeft, Plan, State};
use serde_json::{Value, json};

use crate::{deps::Deps, registry, results, steps::choose_point};

/// The definition's name in stored plans.
pub const NAME: &str = "test_failover";
/// Raised whenever a stored plan of the old kind would run differently.
pub const VERSION: u32 = 1;
/// Appended to the names of what a drill makes.
pub const SUFFIX: &str = "-drill";

/// Runs plans of this version.
pub struct Drill(pub Deps);

impl Definition for Drill {
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

    fn on_end(&self, _plan: &Plan, _status: OperationStatus, _unwound: bool) -> Vec<DomainEffect> {
        // The group stays as it is, whatever becomes of a drill.
        Vec::new()
    }

    fn result_data(&self, state: &State) -> Value {
        result_data(state)
    }
}

/// Every resource that the drill made (1.1), and what 1.3 adds. Pure, from plan and journal.
pub fn result_data(state: &State) -> Value {
    let mut made = results::made(state);
    let facts: Option<plan::Facts> = serde_json::from_value(state.plan().facts.clone()).ok();
    if let Some(facts) = &facts {
        made.not_preserved.extend(facts.not_preserved.iter().cloned());
    }
    let point: Option<choose_point::Output> = state.outputs().get("point").ok();
    let instances: Vec<_> =
        made.instances.iter().map(|(member, id)| json!({"id": id, "member": member})).collect();
    let volumes: Vec<_> = made
        .managed
        .iter()
        .map(|(member, id, serial)| json!({"id": id, "member": member, "serial": serial}))
        .collect();
    json!({
        "instances_created": made.instances.len(),
        "volumes_managed": made.managed.len(),
        "current_primary_site": facts.as_ref().map(|f| f.source_site.clone()),
        "test_instances": instances,
        "test_volumes": volumes,
        "test_ports": made.port_ids,
        "test_networks": made.networks,
        "test_server_groups": made.server_groups,
        "recovery_point_age_seconds": point.as_ref().map(|p| p.age_seconds),
        "recovery_point": point.map(|p| p.point),
        "not_preserved": made.not_preserved,
        "leaked": results::leaked(state),
        "primary": facts.map(|f| f.primary),
    })
}
