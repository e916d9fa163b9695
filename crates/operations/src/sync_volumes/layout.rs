//! Lays out the steps of a sync. Pure.

use protector_core::PlanRequest;
use protector_workflow::{OnFailure, Plan};

use super::{NAME, VERSION, plan::Ready, stages};
use crate::{
    rebuild::suffix,
    replication::{BASELINE_SEC, Ship},
    sketch::Sketch,
    steps,
};

/// The plan.
pub fn lay_out(request: &PlanRequest, ready: &Ready) -> Plan {
    let mut sketch = Sketch::default();
    transfer(&mut sketch, request, ready);
    push(&mut sketch, request, "schedule");
    Plan {
        definition: NAME.into(),
        version: VERSION,
        stages: stages(),
        steps: sketch.into_steps(),
        facts: serde_json::to_value(&ready.facts).unwrap_or_default(),
    }
}

/// Group, snapshot, transfer; then the schedule of this direction and no other. Ends with the step `schedule`.
pub fn transfer(sketch: &mut Sketch, request: &PlanRequest, ready: &Ready) {
    let direction = &ready.direction;
    let mut retyped = Vec::new();
    for retype in &ready.retypes {
        let (name, input) = (&retype.subject, &retype.input);
        let step = sketch.add_for(name, &retype.id, "retype_volume", 0, vec![], input);
        // Cinder copies everything that the volume holds.
        step.deadline_sec = BASELINE_SEC;
        retyped.push(retype.id.clone());
    }
    direction.set_up(sketch, "group", 0, retyped, OnFailure::Rollback);
    let ship = Ship {
        snapshot: "snapshot",
        point: "point",
        suffix: &suffix(request.operation_id),
        taken_in: 0,
        awaited_in: 1,
        patience_sec: BASELINE_SEC,
        on_failure: OnFailure::Rollback,
    };
    direction.ship(sketch, ship, vec!["group".into()]);
    let after = || vec!["point".to_owned()];
    let mut before_start = after();
    if let Some(old) = &ready.old {
        old.stop(sketch, "old", 2, after(), false);
        before_start.push("old".into());
    }
    direction.start(sketch, "schedule", 2, before_start, OnFailure::Rollback);
}

/// The other site learns of it; the engine repeats what fails.
pub fn push(sketch: &mut Sketch, request: &PlanRequest, after: &str) {
    let input = steps::push_group::Input { group_id: request.group.id };
    let step = sketch.add("push", "push_group", 2, vec![after.to_owned()], input);
    (step.on_failure, step.deadline_sec) = (OnFailure::Warn, 60);
}
