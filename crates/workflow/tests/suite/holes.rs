//! Holes that were found by reading and by the harness: each test failed before its fix, but for the two whose
//! comment says that they keep what was right.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use protector_types::{BoxFuture, DomainEffect, OperationId, OperationStatus};
use protector_workflow::{
    Ask, CallScope, Cause, Control, Entry, EntryKind, Found, Journal, JournalError, Lease,
    MemoryJournal, NewEntry, OnFailure, Outcome, Request, RunEnd, StepError, StepState, Summary,
    Undo,
};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::stage::{Acts, Gauge, Theatre, in_turn};

pub fn done() -> Outcome<Value> {
    Outcome::done(Value::Null)
}

fn unknown() -> Outcome<Value> {
    Outcome::Unknown("no answer".into())
}

pub fn failed() -> Outcome<Value> {
    Outcome::Failed(StepError::new("no"))
}

pub fn after(seconds: u64, outcome: fn() -> Outcome<Value>) -> Acts {
    Acts::default().run(move |cx| async move {
        cx.sleep(Duration::from_secs(seconds)).await;
        outcome()
    })
}

pub fn deaf() -> Acts {
    Acts::default()
        .run(|_| async { unknown() })
        .find(|_| async { Found::Unknown("nobody answers".into()) })
}

fn cancel() -> Control {
    Control::Ask(Request { id: "eve-1".into(), by: "eve".into(), ask: Ask::Cancel })
}

pub fn completed() -> RunEnd {
    RunEnd::Ended(OperationStatus::Completed)
}

pub fn rolled_back() -> RunEnd {
    RunEnd::Ended(OperationStatus::Failed)
}

#[test]
fn a_revoked_lease_stops_the_executor_in_the_same_moment_even_inside_a_call() {
    let theatre = Theatre::new().step("slow", &[], after(3600, done));
    let end = theatre.run_with(|lease, _sender| {
        let theatre = theatre.clone();
        async move {
            theatre.sleep(7).await;
            lease.revoke();
        }
    });
    assert_eq!((end, theatre.seconds()), (RunEnd::Fenced, 7));
    assert_eq!(theatre.journal.entries().len(), 2, "claim and intent, nothing after");
}

#[test]
fn a_lease_that_runs_out_stops_it_and_one_that_is_renewed_does_not() {
    let mut theatre = Theatre::new().step("slow", &[], after(100, done));
    theatre.lease = Duration::from_secs(20);
    assert_eq!((theatre.run(), theatre.seconds()), (RunEnd::Fenced, 20));
    let end = theatre.run_with(|lease, _sender| {
        let theatre = theatre.clone();
        async move {
            for _ in 0..12 {
                theatre.sleep(10).await;
                lease.renew_from(
                    protector_types::Clock::monotonic(&theatre.clock),
                    Duration::from_secs(20),
                );
            }
        }
    });
    // The second engine looked, found nothing, and ran the step to its end.
    assert_eq!(end, completed());
}

#[test]
fn release_lets_short_calls_end_records_them_and_drops_the_rest_within_the_drain_time() {
    let theatre =
        Theatre::new().step("short", &[], after(10, done)).step("long", &[], after(5000, done));
    let end = theatre.run_with(|_lease, sender| {
        let theatre = theatre.clone();
        async move {
            theatre.sleep(1).await;
            sender.send(Control::Release).unwrap();
            // Keep the other end open.
            theatre.sleep(100).await;
        }
    });
    assert_eq!(end, RunEnd::Released);
    assert_eq!(*theatre.state().step(0), StepState::Done);
    assert!(matches!(theatre.state().step(1), StepState::Started { .. }));
    let last = theatre.journal.entries().last().unwrap().at.timestamp();
    assert!(last <= 30, "let go at {last} s");
}

#[test]
fn cancel_waits_for_the_outcome_of_a_step_that_cannot_be_taken_back() {
    for (outcome, end) in [(done as fn() -> Outcome<Value>, completed()), (failed, rolled_back())] {
        let undone = Arc::new(AtomicUsize::new(0));
        let counter = undone.clone();
        let first = Acts::default().undo(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            async { Undo::Done(None) }
        });
        let theatre = Theatre::new()
            .step("first", &[], first)
            .planned("swap", &["first"], after(20, outcome), |s| s.no_return = true)
            .step("beside", &["first"], after(5, done))
            .step("late", &["beside"], Acts::default())
            .step("last", &["swap"], Acts::default());
        let ended = theatre.run_with(|_lease, sender| {
            let theatre = theatre.clone();
            async move {
                theatre.sleep(1).await;
                sender.send(cancel()).unwrap();
            }
        });
        assert_eq!(ended, end);
        assert_eq!(undone.load(Ordering::SeqCst), usize::from(end == rolled_back()));
        // Nothing new begins while it is open whether all of it goes back.
        let late = theatre.at(|k| matches!(k, EntryKind::Started { step, .. } if step == "late"));
        let swap = theatre.at(|k| matches!(k, EntryKind::Done { step, .. } if step == "swap"));
        assert!(late.is_none_or(|late| swap.is_some_and(|swap| late > swap)));
    }
}

#[test]
fn a_failure_beside_a_step_of_no_return_waits_for_that_step() {
    let theatre = Theatre::new()
        .step("first", &[], Acts::default())
        .planned("swap", &["first"], after(20, done), |s| s.no_return = true)
        .step("beside", &["first"], Acts::default().run(move |_| async { failed() }))
        .step("last", &["swap"], Acts::default());
    let RunEnd::Parked(reason) = theatre.run() else { panic!("not parked") };
    assert!(reason.starts_with("beside failed after the point of no return"), "{reason}");
    assert!(theatre.at(|k| matches!(k, EntryKind::RollbackBegan { .. })).is_none());
    // The others went on before a person was called.
    assert_eq!(*theatre.state().step(3), StepState::Done);
}

#[test]
fn one_step_in_doubt_does_not_stop_the_others_and_none_is_left_in_flight() {
    let theatre = Theatre::new()
        .step("deaf", &[], deaf())
        .step("slow", &[], after(200, done))
        .planned("slower", &["slow"], after(200, done), |s| s.deadline_sec = 600)
        .step("end", &["deaf", "slower"], Acts::default());
    let RunEnd::Parked(reason) = theatre.run() else { panic!("not parked") };
    assert!(reason.starts_with("deaf: it is not known"), "{reason}");
    let state = theatre.state();
    assert!(matches!(state.step(0), StepState::Started { .. }));
    assert_eq!((state.step(1), state.step(2)), (&StepState::Done, &StepState::Done));
}

#[test]
fn an_operation_that_has_ended_or_is_parked_is_left_as_it_is() {
    let ends = Theatre::new().step("a", &[], Acts::default());
    assert_eq!(ends.run(), completed());
    let (entries, summary) = (ends.journal.entries(), ends.journal.summary());
    ends.play(ends.sleep(100));
    assert_eq!(ends.run(), completed());
    assert_eq!((ends.journal.entries(), ends.journal.summary()), (entries, summary));

    let parks = Theatre::new().step("deaf", &[], deaf());
    let parked = parks.run();
    let entries = parks.journal.entries();
    assert_eq!(parks.run(), parked);
    assert_eq!(parks.journal.entries(), entries);
}

#[test]
fn an_answer_lost_after_the_deadline_is_looked_for_once_before_a_person_is_called() {
    let late = after(100, unknown).find(|_| async { Found::present(Value::Null) });
    assert_eq!(Theatre::new().step("late", &[], late).run(), completed());
    // Proven absent by the settle time: a failure, not a doubt.
    assert_eq!(Theatre::new().step("late", &[], after(100, unknown)).run(), rolled_back());
}

#[test]
fn a_service_that_asks_for_a_long_pause_does_not_outlast_the_deadline() {
    let busy = Acts::default().run(|_| async {
        Outcome::Retry { reason: "busy".into(), after: Some(Duration::from_secs(50_000)) }
    });
    let theatre = Theatre::new().step("busy", &[], busy);
    assert_eq!(theatre.run(), rolled_back());
    assert!(theatre.seconds() < 70, "{} s", theatre.seconds());
}

#[test]
fn doubt_that_engines_hand_on_ends_with_a_person() {
    let mut theatre = Theatre::new().step("deaf", &[], deaf());
    theatre.lease = Duration::from_secs(20);
    let engines = (0..200).take_while(|_| theatre.run() == RunEnd::Fenced).count();
    assert!(engines < 20, "{engines} engines looked for a step with a minute of patience");
    theatre.resume();
    assert_eq!(theatre.run(), RunEnd::Fenced, "a person's word gives fresh patience");
}

#[test]
fn an_undo_that_engines_hand_on_ends_with_a_person() {
    let mut theatre = Theatre::new()
        .step("a", &[], Acts::default().undo(|_| async { Undo::Retry("busy".into()) }))
        .step("b", &["a"], Acts::default().run(|_| async { failed() }));
    theatre.lease = Duration::from_secs(30);
    let engines = (0..200).take_while(|_| theatre.run() == RunEnd::Fenced).count();
    assert!(engines < 20, "{engines} engines tried an undo of ten minutes' patience");
    theatre.resume();
    assert_eq!(theatre.run(), RunEnd::Fenced, "a person's word gives fresh patience");
}

#[test]
fn a_step_that_this_engine_does_not_know_parks_whatever_it_was_doing() {
    let mut theatre = Theatre::new().step("new", &[], after(500, done));
    theatre.lease = Duration::from_secs(20);
    assert_eq!(theatre.run(), RunEnd::Fenced);
    theatre.lease = Duration::from_secs(1000);
    theatre.forget("new");
    let RunEnd::Parked(reason) = theatre.run() else { panic!("not parked") };
    assert!(reason.contains("knows no step \"new\""), "{reason}");
}

#[test]
fn panics_outside_of_run_and_undo_do_not_take_the_engine_along() {
    let theatre =
        Theatre::new().step("bad", &[], Acts::default().resolve(|| panic!("planned panic")));
    assert_eq!(theatre.run(), rolled_back());

    struct Dropping;
    impl CallScope for Dropping {
        fn enter<'a>(&self, _: Lease, work: BoxFuture<'a, ()>) -> BoxFuture<'a, ()> {
            Box::pin(async move { drop(work) })
        }
    }
    let mut theatre = Theatre::new().step("a", &[], Acts::default());
    theatre.scope = Arc::new(Dropping);
    let RunEnd::Parked(reason) = theatre.run() else { panic!("not parked") };
    assert!(reason.contains("without an answer"), "{reason}");
}

#[test]
fn runs_and_undos_are_bounded_and_the_bound_is_used() {
    let (runs, undos) = (Gauge::default(), Gauge::default());
    let mut theatre = Theatre::new();
    for n in 0..40 {
        let (run, undo) = (runs.clone(), undos.clone());
        let acts = Acts::default()
            .run(move |cx| {
                let run = run.clone();
                async move {
                    run.call(cx).await;
                    done()
                }
            })
            .undo(move |cx| {
                let undo = undo.clone();
                async move {
                    undo.call(cx).await;
                    Undo::Done(None)
                }
            });
        theatre = theatre.step(&format!("n{n}"), &[], acts);
    }
    let all: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut theatre = theatre.step("end", &all, Acts::default().run(|_| async { failed() }));
    theatre.config.max_in_flight = 8;
    assert_eq!(theatre.run(), rolled_back());
    assert_eq!((runs.most(), undos.most()), (8, 8));
}

#[test]
fn a_retried_step_that_left_something_is_undone_when_it_turns_back_after_all() {
    // `left` fails while `swap` is in doubt; a person says go on; then swap fails for certain.
    let undone = Arc::new(AtomicUsize::new(0));
    let counter = undone.clone();
    let left = Acts::default().run(|_| async { failed() }).undo(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Undo::Done(None) }
    });
    let answers = in_turn(vec![unknown as fn() -> Outcome<Value>, failed]);
    let looks = in_turn(vec![
        true, true, true, true, true, true, true, true, true, true, true, true, true, false,
    ]);
    let swap = Acts::default()
        .run(move |_| {
            let answer = answers();
            async move { answer() }
        })
        .find(move |cx| {
            let deaf = looks() && cx.clock().monotonic() < Duration::from_secs(100);
            async move { if deaf { Found::Unknown("deaf".into()) } else { Found::Absent } }
        });
    let theatre =
        Theatre::new().step("left", &[], left).planned("swap", &[], swap, |s| s.no_return = true);
    assert!(matches!(theatre.run(), RunEnd::Parked(_)));
    assert!(
        theatre.at(|k| matches!(k, EntryKind::Failed { step, .. } if step == "left")).is_some()
    );
    theatre.play(theatre.sleep(100));
    theatre.resume();
    assert_eq!(theatre.run(), rolled_back());
    assert!(undone.load(Ordering::SeqCst) >= 1);
}

#[test]
fn a_cancel_is_heard_before_more_of_the_same() {
    // The answer and the cancel are there at the same time; the next step must not begin.
    for _ in 0..20 {
        let way: Arc<Mutex<Option<mpsc::UnboundedSender<Control>>>> = Arc::default();
        let inside = way.clone();
        let a = Acts::default().run(move |cx| {
            let inside = inside.clone();
            async move {
                cx.sleep(Duration::from_secs(5)).await;
                inside.lock().unwrap().as_ref().unwrap().send(cancel()).unwrap();
                done()
            }
        });
        let theatre = Theatre::new().step("a", &[], a).step("b", &["a"], Acts::default());
        let (_lease, sender, run) = theatre.engine();
        *way.lock().unwrap() = Some(sender);
        assert_eq!(theatre.play(run), RunEnd::Ended(OperationStatus::Cancelled));
        assert!(
            theatre.at(|k| matches!(k, EntryKind::Started { step, .. } if step == "b")).is_none()
        );
    }
}

#[test]
fn a_warned_step_whose_call_may_still_land_is_undone_after_the_settle_time() {
    let landed = Arc::new(AtomicBool::new(false));
    let gone = Arc::new(AtomicBool::new(false));
    let (land, look, remove) = (landed.clone(), landed.clone(), gone.clone());
    let warn = Acts::default()
        .run(move |cx| {
            let land = land.clone();
            async move {
                // Patience ends without an answer, and two seconds later it lands.
                let clock = cx.clock().clone();
                cx.sleep(Duration::from_secs(61)).await;
                tokio::spawn(async move {
                    clock.sleep(Duration::from_secs(2)).await;
                    land.store(true, Ordering::SeqCst);
                });
                unknown()
            }
        })
        .find(|_| async { Found::Unknown("deaf".into()) })
        .undo(move |_| {
            if look.load(Ordering::SeqCst) {
                remove.store(true, Ordering::SeqCst);
            }
            async { Undo::Done(None) }
        });
    let theatre = Theatre::new()
        .planned("warn", &[], warn, |s| s.on_failure = OnFailure::Warn)
        .step("end", &["warn"], Acts::default().run(|_| async { failed() }));
    assert_eq!(theatre.run(), rolled_back());
    theatre.play(theatre.sleep(10));
    assert!(
        landed.load(Ordering::SeqCst) && gone.load(Ordering::SeqCst),
        "it landed after its undo"
    );
}

/// A journal whose writes never answer from a moment on.
struct Hanging(MemoryJournal, AtomicUsize);

#[async_trait]
impl Journal for Hanging {
    async fn load(&self, operation: OperationId) -> Result<Vec<Entry>, JournalError> {
        self.0.load(operation).await
    }

    async fn append(
        &self,
        operation: OperationId,
        fence: u64,
        entries: &[NewEntry],
        effects: &[DomainEffect],
        summary: &Summary,
    ) -> Result<u64, JournalError> {
        if self.1.fetch_sub(1, Ordering::SeqCst) == 0 {
            std::future::pending::<()>().await;
        }
        self.0.append(operation, fence, entries, effects, summary).await
    }
}

#[test]
fn a_journal_that_never_answers_does_not_hold_the_engine_beyond_its_lease() {
    let mut theatre =
        Theatre::new().step("a", &[], Acts::default()).step("b", &["a"], Acts::default());
    theatre.instead = Some(Arc::new(Hanging(theatre.journal.clone(), AtomicUsize::new(1))));
    theatre.lease = Duration::from_secs(20);
    // The journal said nothing: that the lease is gone is all that is known.
    assert_eq!((theatre.run(), theatre.seconds()), (RunEnd::Fenced, 20));
    theatre.instead = None;
    assert_eq!(theatre.run(), completed());
}

// Was right.
#[test]
fn a_rollback_ordered_for_a_parked_operation_is_obeyed() {
    let theatre = Theatre::new().step("a", &[], Acts::default()).step("deaf", &["a"], deaf());
    assert!(matches!(theatre.run(), RunEnd::Parked(_)));
    theatre
        .by_hand(vec![EntryKind::RollbackBegan { cause: Cause::Cancelled { by: "eve".into() } }]);
    assert_eq!(theatre.run(), RunEnd::Ended(OperationStatus::Cancelled));
    assert_eq!(
        (theatre.state().step(0), theatre.state().step(1)),
        (&StepState::Undone, &StepState::Undone)
    );
}
