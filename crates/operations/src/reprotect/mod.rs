//! Reprotect (1.3): the site that a group has failed over to is accepted as its primary.
//!
//! | stage | steps |
//! |---|---|
//! | `create_group_snapshot` 0-30 | retype_volume (synchronous groups) -> ensure_group -> snapshot_group |
//! | `wait_for_replication` 30-90 | await_replication |
//! | `update_replication_state` 90-100 | stop_schedule of the old direction (warn) -> start_schedule -> **accept_primary** (no return) -> push_group (warn) |
//!
//! A failed one leaves the group's status as it was.

pub mod layout;
pub mod plan;

use std::sync::Arc;

use protector_types::{DomainEffect, OperationStatus};
use protector_workflow::{Definition, DynStep, IfLeft, Plan, State};
use serde_json::Value;

use crate::{deps::Deps, registry, sync_volumes};

/// The definition's name in stored plans.
pub const NAME: &str = "reprotect";
/// Raised whenever a stored plan of the old kind would run differently.
pub const VERSION: u32 = 1;

/// Runs plans of this version.
pub struct Reprotect(pub Deps);

impl Definition for Reprotect {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn step(&self, kind: &str) -> Option<Arc<dyn DynStep>> {
        registry::step(&self.0, kind)
    }

    /// The roles change with their own step; whatever else happens leaves the group as it was.
    fn if_left(&self, kind: &str) -> IfLeft {
        registry::if_left(kind)
    }

    fn on_end(&self, _plan: &Plan, _status: OperationStatus, _unwound: bool) -> Vec<DomainEffect> {
        Vec::new()
    }

    fn result_data(&self, state: &State) -> Value {
        sync_volumes::result_data(state)
    }
}
