//! What a person's `skip` means on the way forward and on the way back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use protector_workflow::{Decision, EntryKind, RunEnd, StepError, StepState, Undo};
use serde_json::Value;

use crate::{
    holes::{completed, deaf, failed, rolled_back},
    stage::{Acts, Theatre},
};

#[test]
fn what_waits_for_a_skipped_step_starts_after_the_resumption() {
    let theatre = Theatre::new().step("deaf", &[], deaf()).step("end", &["deaf"], Acts::default());
    assert!(matches!(theatre.run(), RunEnd::Parked(_)));
    let skipped =
        EntryKind::Skipped { step: "deaf".into(), reason: "seen by eye".into(), by: "adam".into() };
    theatre.by_hand(vec![skipped, EntryKind::Resumed { by: "adam".into() }]);
    assert_eq!(theatre.run(), completed());
    assert_eq!(*theatre.state().step(1), StepState::Done);
}

#[test]
fn a_step_skipped_on_the_way_forward_is_still_undone_in_a_rollback() {
    let undone = Arc::new(AtomicBool::new(false));
    let flag = undone.clone();
    let deaf = deaf().undo(move |_| {
        flag.store(true, Ordering::SeqCst);
        async { Undo::Done(None) }
    });
    let theatre = Theatre::new().step("deaf", &[], deaf).step(
        "end",
        &["deaf"],
        Acts::default().run(|_| async { failed() }),
    );
    assert!(matches!(theatre.run(), RunEnd::Parked(_)));
    let skipped = EntryKind::Skipped { step: "deaf".into(), reason: "r".into(), by: "adam".into() };
    theatre.by_hand(vec![skipped, EntryKind::Resumed { by: "adam".into() }]);
    assert_eq!(theatre.run(), rolled_back());
    assert!(undone.load(Ordering::SeqCst), "a started step was never undone");
}

// Was right.
#[test]
fn a_step_skipped_on_the_way_back_is_left_and_its_ancestors_are_undone() {
    let theatre = Theatre::new()
        .step("a", &[], Acts::default())
        .step(
            "b",
            &["a"],
            Acts::default().undo(|_| async { Undo::Failed(StepError::new("stuck")) }),
        )
        .step("c", &["b"], Acts::default().run(|_| async { failed() }));
    assert!(matches!(theatre.run(), RunEnd::Parked(_)));
    let skipped = EntryKind::Skipped { step: "b".into(), reason: "r".into(), by: "adam".into() };
    theatre.by_hand(vec![skipped, EntryKind::Resumed { by: "adam".into() }]);
    assert_eq!(theatre.run(), rolled_back());
    assert_eq!(
        (theatre.state().step(0), theatre.state().step(1)),
        (&StepState::Undone, &StepState::Skipped)
    );
}

#[test]
fn skipping_a_step_that_is_done_changes_nothing() {
    let mut state = Theatre::new()
        .step("a", &[], Acts::default())
        .step("b", &[], Acts::default())
        .step("c", &["a", "b"], Acts::default())
        .state();
    let done =
        |step: &str| EntryKind::Done { step: step.into(), output: Value::Null, adopted: false };
    state.apply(1, &done("a"));
    state.apply(2, &EntryKind::Parked { reason: "r".into(), step: None });
    state.apply(3, &EntryKind::Skipped { step: "a".into(), reason: "r".into(), by: "adam".into() });
    state.apply(4, &EntryKind::Resumed { by: "adam".into() });
    let Decision::Run(run) = state.decide(&Default::default()) else { panic!() };
    assert_eq!(run, [1], "c needs b, which is not done");
    state.apply(5, &done("b"));
    let deadline_at = chrono::DateTime::UNIX_EPOCH;
    state.apply(
        6,
        &EntryKind::Started { step: "c".into(), attempt: 1, input: Value::Null, deadline_at },
    );
    assert_eq!(state.decide(&[2].into()), Decision::Wait, "c is still to come");
}
