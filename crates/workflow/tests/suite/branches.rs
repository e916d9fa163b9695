//! A branch that fails alone.

use protector_types::OperationStatus;
use protector_workflow::{EntryKind, OnFailure, Outcome, RunEnd, StepError, StepState, Undo};
use serde_json::Value;

use crate::{
    holes::{completed, failed, rolled_back},
    stage::{Acts, Theatre},
};

/// Two members of a volume and a server, and an end that joins them.
fn two_members(first_volume: Acts, second_server: Acts, end: Acts) -> Theatre {
    let mut theatre = Theatre::new()
        .step("v1", &[], first_volume)
        .step("s1", &["v1"], Acts::default())
        .step("v2", &[], Acts::default())
        .step("s2", &["v2"], second_server)
        .step("end", &["s1", "s2"], end);
    for (at, member) in [(0, "m1"), (1, "m1"), (2, "m2"), (3, "m2")] {
        theatre.plan.steps[at].subject = Some(member.into());
        theatre.plan.steps[at].on_failure = OnFailure::Isolate;
    }
    theatre
}

fn fails() -> Acts {
    Acts::default().run(|_| async { failed() })
}

#[test]
fn what_fails_alone_is_undone_at_once_and_the_rest_goes_on() {
    let theatre = two_members(fails(), Acts::default(), Acts::default());
    assert_eq!(theatre.run(), RunEnd::Ended(OperationStatus::Failed));
    let state = theatre.state();
    assert_eq!(
        [0, 1, 2, 3, 4].map(|at| state.step(at).clone()),
        [StepState::Undone, StepState::Cut, StepState::Done, StepState::Done, StepState::Done]
    );
    let view = state.view();
    assert_eq!(view.steps_failed.len(), 1);
    assert_eq!(view.steps_failed[0].member.as_deref(), Some("m1"));
    assert!(view.error_message.unwrap().contains("(m1)"));
    assert_eq!(view.steps_completed, ["only"]);
    let back = |kind: &EntryKind| matches!(kind, EntryKind::RollbackBegan { .. });
    assert!(!theatre.journal.entries().iter().any(|e| back(&e.kind)), "nothing was rolled back");
}

#[test]
fn an_end_that_fails_takes_everything_back_that_is_still_there() {
    let theatre = two_members(fails(), Acts::default(), fails());
    assert_eq!(theatre.run(), rolled_back());
    let state = theatre.state();
    for at in [0, 2, 3, 4] {
        assert_eq!(*state.step(at), StepState::Undone, "step {at}");
    }
    assert_eq!(*state.step(1), StepState::Cut);
}

#[test]
fn what_a_branch_could_not_undo_is_told_and_does_not_stop_the_rest() {
    let stuck = fails().undo(|_| async { Undo::Failed(StepError::new("stuck")) });
    let theatre = two_members(Acts::default(), stuck, Acts::default());
    assert_eq!(theatre.run(), RunEnd::Ended(OperationStatus::Failed));
    let state = theatre.state();
    let left: Vec<_> = state.undo_failures().map(|(at, why)| (at, why.message.clone())).collect();
    assert_eq!(left, [(3, "stuck".to_owned())]);
}

#[test]
fn without_a_failure_it_completes() {
    let theatre = two_members(Acts::default(), Acts::default(), Acts::default());
    assert_eq!(theatre.run(), completed());
}

#[test]
fn a_branch_past_the_point_of_no_return_leaves_the_others_alone() {
    let sealed = Acts::default().run(|_| async { Outcome::done(Value::Null) });
    let mut theatre = two_members(fails(), sealed, Acts::default());
    theatre.plan.steps[3].no_return = true;
    assert_eq!(theatre.run(), RunEnd::Ended(OperationStatus::Failed));
    assert!(theatre.state().past_no_return());
    assert_eq!(*theatre.state().step(3), StepState::Done);
}
