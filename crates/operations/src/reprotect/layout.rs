//! Lays out the steps of a reprotect: those of a sync, then the roles. Pure.

use protector_core::PlanRequest;
use protector_workflow::Plan;

use super::{NAME, VERSION};
use crate::{
    sketch::Sketch,
    steps,
    sync_volumes::{self, plan::Ready},
};

/// The plan.
pub fn lay_out(request: &PlanRequest, ready: &Ready) -> Plan {
    let mut sketch = Sketch::default();
    sync_volumes::layout::transfer(&mut sketch, request, ready);
    let input = steps::accept_primary::Input { group_id: request.group.id };
    sketch.add("accept", "accept_primary", 2, vec!["schedule".into()], input).no_return = true;
    sync_volumes::layout::push(&mut sketch, request, "accept");
    Plan {
        definition: NAME.into(),
        version: VERSION,
        stages: sync_volumes::stages(),
        steps: sketch.into_steps(),
        facts: serde_json::to_value(&ready.facts).unwrap_or_default(),
    }
}
