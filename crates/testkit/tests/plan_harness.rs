//! The plan property harness over every step of every operation. By default a sample of the plays (each kind of step
//! under each fault, and each k-th of all others); all of them:
//! `PROTECTOR_PLAN_HARNESS=all cargo nextest run --release -P slow -p protector-testkit --test plan_harness --no-capture`
//! Some again: `PROTECTOR_PLAN_HARNESS=17,18 ... planned_failover`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "plan_harness/planted.rs"]
mod planted;

use std::collections::BTreeSet;

use protector_operations::registry;
use protector_testkit::harness::{
    play,
    points::REFUSE,
    sweep::{Case, Selection, Tally},
    table::{self, TABLE},
};
use protector_types::Clock as _;
use protector_workflow::SystemClock;

/// Of the plays that a sample may leave out, each so many-th is played.
const SAMPLE: usize = 10;
/// Faults that every kind of step must have met.
const EVERY_STEP: [&str; 6] = [
    "fail",
    "lost answer",
    "crash in run",
    "run twice",
    "pending for good",
    "lost answer, stale lists",
];

fn swept(name: &str) {
    let real = SystemClock::new();
    let entry = table::entry(name).unwrap();
    let case = Case::set(entry).unwrap();
    if !case.wrong.is_empty() {
        println!("{name}, undisturbed:\n  - {}", case.wrong.join("\n  - "));
    }
    assert_eq!(case.start.plan.definition, entry.definition);
    let kinds: BTreeSet<&str> = entry.kinds.iter().copied().collect();
    println!(
        "{name}: kinds not in the table: {:?}, not in the plan: {:?}",
        case.kinds().difference(&kinds).collect::<Vec<_>>(),
        kinds.difference(&case.kinds()).collect::<Vec<_>>()
    );
    let selection = Selection::from_env(SAMPLE).unwrap();
    let set = real.monotonic();
    let tally = case.sweep(&selection);
    let took = real.monotonic() - set;
    println!("{name}: {tally}  [of {} plays; {took:.1?}, set in {set:.1?}]", case.plays.len());
    println!("  points by kind: {:?}", tally.by_kind());
    for told in tally.wrong.values() {
        let head: Vec<_> =
            told.lines().take(4).map(|l| l.chars().take(500).collect::<String>()).collect();
        println!("  {}", head.join("\n  "));
    }
    assert_eq!(case.kinds(), kinds, "the table's kinds of {name}");
    assert!(case.wrong.is_empty(), "{name} is wrong already when it is undisturbed");
    let shown: Vec<_> = tally.wrong.values().take(4).cloned().collect();
    let numbers: Vec<_> = tally.wrong.keys().collect();
    assert!(tally.wrong.is_empty(), "{name}: {numbers:?} went wrong:\n{}", shown.join("\n\n"));
    if !matches!(selection, Selection::Only(_)) {
        has_points(&case, &tally);
    }
}

/// A kind of step without a point would be a hole in the sweep.
fn has_points(case: &Case, tally: &Tally) {
    for kind in case.kinds() {
        let faults = if kind == REFUSE { &["crash in run"][..] } else { &EVERY_STEP[..] };
        for fault in faults {
            let met = tally.points.iter().any(|(k, name, _)| k == kind && name == fault);
            assert!(met, "no point for {fault:?} in {kind}");
        }
    }
}

/// One test for each entry of the table, so that they run beside each other.
macro_rules! entries {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            swept($name);
        })*
        const SWEPT: &[&str] = &[$($name),*];
    };
}

entries! {
    planned_failover: "planned failover",
    planned_failover_that_needs_room: "planned failover that needs room",
    refused_failover: "refused failover",
    forced_failover: "forced failover",
    forced_failover_of_a_source_that_answers: "forced failover of a source that answers",
    completion_of_a_partial_failover: "completion of a partial failover",
    drill: "drill",
    cleanup_of_a_drill: "cleanup of a drill",
    failback: "failback",
    failback_without_the_original: "failback without the original",
    failback_beside_an_original: "failback beside an original that cannot be used",
    sync: "sync",
    reprotect: "reprotect",
    planned_failover_of_a_synchronous_group: "planned failover of a synchronous group",
    sync_of_a_synchronous_group: "sync of a synchronous group that has failed over",
}

#[test]
fn every_definition_and_every_kind_of_step_is_under_test() {
    let tested: BTreeSet<&str> = TABLE.iter().map(|e| e.definition).collect();
    let definitions = play::definitions();
    let known: BTreeSet<&str> = definitions.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(tested, known, "definitions in the harness's table, and in the catalog");
    let names: Vec<&str> = TABLE.iter().map(|e| e.name).collect();
    assert_eq!(names, SWEPT, "entries of the table, and tests");
    let tested: BTreeSet<&str> = TABLE.iter().flat_map(|e| e.kinds).copied().collect();
    let known: BTreeSet<&str> = registry::STEPS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(tested, known, "kinds of steps in the harness's table, and in the registry");
}
