//! What persons ask of an operation: who is heard, when, and what comes of it after a crash.

use protector_types::OperationStatus;
use protector_workflow::{
    Ask, Cause, Control, EntryKind, IfLeft, Mode, Request, RunEnd, State, StepError, StepState,
    Undo,
};

use crate::{
    holes::{after, completed, deaf, done, failed},
    stage::{Acting, Acts, Theatre},
};

fn request(id: &str, ask: Ask) -> Request {
    Request { id: id.into(), by: "adam".into(), ask }
}

fn skip(step: &str, force: bool) -> Ask {
    Ask::Skip { step: step.into(), reason: "seen by eye".into(), force }
}

fn abandon() -> Ask {
    Ask::Abandon { reason: "enough".into() }
}

fn stuck() -> Acts {
    Acts::default().undo(|_| async { Undo::Failed(StepError::new("stuck")) })
}

/// Answers a request as the engine does between two runs.
fn answer(theatre: &Theatre, request: &Request) -> Vec<EntryKind> {
    let answer = theatre.state().answer(request, &Acting::default());
    theatre.by_hand(answer.clone());
    answer
}

fn refusal(state: &State, ask: Ask) -> String {
    state.would_refuse(&request("r", ask), &Acting::default()).unwrap_err()
}

/// A failed step with two ancestors whose undo never works: a fence, and a server after it.
fn two_stuck() -> Theatre {
    Theatre::new()
        .step("thing", &[], Acts::default())
        .step("fence", &["thing"], stuck())
        .step("server", &["fence"], stuck())
        .step("end", &["server"], Acts::default().run(|_| async { failed() }))
}

#[test]
fn a_parked_operation_is_cancelled_and_undone() {
    let theatre =
        Theatre::new().step("first", &[], Acts::default()).step("deaf", &["first"], deaf());
    assert!(matches!(theatre.run(), RunEnd::Parked(_)));
    let cancel = request("r1", Ask::Cancel);
    assert_eq!(answer(&theatre, &cancel).len(), 2);
    assert_eq!(theatre.run(), RunEnd::Ended(OperationStatus::Cancelled));
    assert_eq!(*theatre.state().step(0), StepState::Undone);
    // The journal has it: the same request is not answered again.
    assert!(theatre.state().answer(&cancel, &Acting::default()).is_empty());
}

#[test]
fn a_cancel_is_in_the_journal_before_it_takes_effect_and_outlives_the_engine() {
    let theatre = Theatre::new().step("first", &[], Acts::default()).planned(
        "swap",
        &["first"],
        after(3000, failed),
        |s| {
            s.no_return = true;
            s.deadline_sec = 9000;
        },
    );
    let end = theatre.run_with(|lease, sender| {
        let theatre = theatre.clone();
        async move {
            theatre.sleep(1).await;
            sender.send(Control::Ask(request("r1", Ask::Cancel))).unwrap();
            theatre.sleep(1).await;
            assert_eq!(theatre.state().status(), OperationStatus::Cancelling);
            lease.revoke();
        }
    });
    assert_eq!(end, RunEnd::Fenced);
    assert_eq!(theatre.state().status(), OperationStatus::Cancelling);
    assert_eq!(theatre.run(), RunEnd::Ended(OperationStatus::Failed), "the step itself failed");
    assert!(theatre.at(|k| matches!(k, EntryKind::Asked { refused: None, .. })).is_some());
}

#[test]
fn running_steps_are_waited_for_under_the_name_cancelling() {
    let theatre =
        Theatre::new().step("slow", &[], after(30, done)).step("stays", &["slow"], Acts::default());
    let end = theatre.run_with(|_lease, sender| {
        let theatre = theatre.clone();
        async move {
            theatre.sleep(10).await;
            sender.send(Control::Ask(request("r1", Ask::Cancel))).unwrap();
            theatre.sleep(5).await;
            assert_eq!(theatre.state().status(), OperationStatus::Cancelling);
            assert!(matches!(theatre.state().mode(), Mode::Unwinding(Cause::Cancelled { .. })));
        }
    });
    assert_eq!(end, RunEnd::Ended(OperationStatus::Cancelled));
    let seconds = theatre.seconds();
    assert!(seconds >= 30, "the call under way was not waited for: {seconds} s");
}

#[test]
fn after_the_point_of_no_return_a_cancel_is_refused_in_words() {
    let theatre = Theatre::new()
        .planned("swap", &[], Acts::default(), |s| s.no_return = true)
        .step("deaf", &["swap"], deaf());
    assert!(matches!(theatre.run(), RunEnd::Parked(_)));
    let why = refusal(&theatre.state(), Ask::Cancel);
    assert!(why.contains("point of no return") && why.contains("swap"), "{why}");
    // One that was left all the same is in the record, with the reason.
    answer(&theatre, &request("r1", Ask::Cancel));
    let view = theatre.state().view();
    assert_eq!(view.status, OperationStatus::NeedsAttention);
    assert!(view.warnings.iter().any(|w| w.contains("came to nothing")), "{:?}", view.warnings);
    answer(&theatre, &request("r2", skip("deaf", true)));
    assert_eq!(theatre.run(), completed());
}

#[test]
fn a_step_that_may_leave_a_server_writing_is_skipped_only_with_force() {
    let theatre = two_stuck();
    assert!(matches!(theatre.run(), RunEnd::Parked(_)));
    let state = theatre.state();
    let why = refusal(&state, skip("server", false));
    assert!(why.contains("without force") && why.contains("rollback barrier"), "{why}");
    assert!(refusal(&state, skip("nowhere", true)).contains("no step"));
    assert!(refusal(&state, skip("end", true)).contains("nothing of it is left"));
    answer(&theatre, &request("r1", skip("server", true)));
    // On it goes: the fence's undo does not work either.
    assert!(matches!(theatre.run(), RunEnd::Parked(reason) if reason.contains("fence")));
    let skipped = |k: &EntryKind| {
        matches!(k, EntryKind::Skipped { step, reason, by }
            if step == "server" && reason == "seen by eye" && by == "adam")
    };
    assert!(theatre.at(skipped).is_some(), "who and why are in the journal");
    // A source that stays stopped endangers nobody.
    answer(&theatre, &request("r2", skip("fence", false)));
    assert_eq!(theatre.run(), RunEnd::Ended(OperationStatus::Failed));
    let left: Vec<_> = theatre.state().left().into_iter().map(|l| (l.step, l.state)).collect();
    assert_eq!(
        left,
        [("fence".into(), "not_undone".into()), ("server".into(), "not_undone".into())]
    );
    assert_eq!(*theatre.state().step(0), StepState::Undone);
}

#[test]
fn an_abandoned_operation_ends_and_says_what_is_left() {
    let theatre = two_stuck();
    assert!(matches!(theatre.run(), RunEnd::Parked(_)));
    answer(&theatre, &request("r1", abandon()));
    let state = theatre.state();
    assert_eq!(*state.mode(), Mode::Ended(OperationStatus::Failed));
    assert_eq!(state.abandoned(), Some(("adam", "enough")));
    let left: Vec<_> = state.left().into_iter().map(|l| l.step).collect();
    assert_eq!(left, ["thing", "fence", "server"]);
    let error = state.error_message().unwrap();
    assert!(error.contains("Abandoned by adam: enough") && error.contains("stuck"), "{error}");
    assert_eq!(theatre.run(), RunEnd::Ended(OperationStatus::Failed));
}

#[test]
fn what_is_not_parked_is_neither_retried_nor_skipped_nor_abandoned() {
    let state = Theatre::new().step("a", &[], Acts::default()).state();
    for ask in [Ask::Retry, skip("a", true), abandon()] {
        let why = refusal(&state, ask);
        assert!(why.contains("needs_attention") && why.contains("running"), "{why}");
    }
    assert!(state.would_refuse(&request("r", Ask::Cancel), &Acting::default()).is_ok());
}

#[test]
fn nothing_that_is_unknown_counts_as_harmless() {
    use protector_workflow::Definition as _;
    assert_eq!(Acting::default().if_left("no such kind"), IfLeft::Writer);
}
