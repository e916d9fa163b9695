//! The plan property harness over every step of every operation. By default a sample of the plays (each kind of step
//! under each fault, and each k-th of all others); all of them:
//! `PROTECTOR_PLAN_HARNESS=all cargo nextest run --release -P slow -p protector-testkit --test plan_harness --no-capture`
//! Some again: `PROTECTOR_PLAN_HARNESS=17,18 ... planned_failover`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use protector_testkit::harness::{
    sweep::{Case, Selection, Tally},
    table,
};
use protector_types::Clock as _;
use protector_workflow::SystemClock;

/// Of the plays that a sample may leave out, each so many-th is played.
const SAMPLE: usize = 10;

fn swept(name: &str) -> Tally {
    let real = SystemClock::new();
    let case = Case::set(table::entry(name).unwrap()).unwrap();
    assert!(case.wrong.is_empty(), "{name}, undisturbed:\n  - {}", case.wrong.join("\n  - "));
    let selection = Selection::from_env(SAMPLE).unwrap();
    let ready = real.monotonic();
    let tally = case.sweep(&selection);
    let took = (real.monotonic() - ready).as_secs_f64();
    println!("{name}: {tally}  [{} plays planned, {took:.1} s, {ready:.1?} to set]", case.plays.len());
    println!("  points by kind: {:?}", tally.by_kind());
    let shown: Vec<_> = tally.wrong.values().take(4).cloned().collect();
    let numbers: Vec<_> = tally.wrong.keys().collect();
    assert!(tally.wrong.is_empty(), "{name}: {numbers:?} went wrong:\n{}", shown.join("\n\n"));
    tally
}

#[test]
fn planned_failover() {
    swept("planned failover");
}
