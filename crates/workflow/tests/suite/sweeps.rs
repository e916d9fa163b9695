//! The property harness over the plans of the fake world, and the proof that it catches bad steps.

use std::{collections::BTreeMap, time::Instant};

use crate::harness::{
    Case, World,
    fake::{FakeWorld, SOURCES},
    plans::{self, case, step},
    sweep::{Tally, golden, sweep},
};

fn swept(case: &Case<FakeWorld>, deep: bool) -> Tally {
    crate::quiet();
    let begun = Instant::now();
    let tally = sweep(case, deep);
    println!(
        "{}: {} points, {} runs, {:.1} s",
        case.name,
        tally.points.len(),
        tally.runs,
        begun.elapsed().as_secs_f64()
    );
    tally.assert_clean();
    // A kind of step without a point would be a hole in the sweep.
    for step in &case.plan.steps {
        for fault in ["fail", "crash in run", "crash in undo", "undo fails for good", "undo twice"]
        {
            let covered =
                tally.points.iter().any(|(_, kind, name, _)| *kind == step.kind && name == fault);
            let last = !case.plan.steps.iter().any(|s| s.after.contains(&step.id));
            assert!(covered || last, "{}: no point for {} in {}", case.name, fault, step.kind);
        }
    }
    tally
}

#[test]
fn every_plan_survives_everything() {
    let mut total = Tally::default();
    for case in [
        plans::chain(),
        plans::diamond(),
        plans::no_return(),
        plans::warnings(),
        plans::isolation(),
    ] {
        total.add(swept(&case, true));
    }
    total.add(swept(&plans::fan_out(), false));
    println!("all plans: {} points, {} runs", total.points.len(), total.runs);
    // A sweep that shrinks has to be noticed.
    assert!(total.points.len() > 3_500, "only {} points", total.points.len());
}

/// The sweep compares with an undisturbed run; this one is compared with the plan itself.
#[test]
fn an_undisturbed_run_makes_exactly_what_the_plan_says() {
    for case in [
        plans::chain(),
        plans::diamond(),
        plans::fan_out(),
        plans::no_return(),
        plans::warnings(),
        plans::isolation(),
    ] {
        let (golden, _, wrong) = golden(&case);
        assert_eq!(wrong, Vec::<String>::new());
        let mut expected = FakeWorld::fresh().inventory();
        for planned in case.plan.steps.iter().filter(|s| s.kind != "wait") {
            let value = if planned.kind == "set" { "off" } else { "made" };
            expected.insert(case.things_of[&planned.id][0].clone(), vec![value.to_owned()]);
        }
        assert_eq!(golden.complete, expected, "{}", case.name);
        assert_eq!(golden.fresh.len(), SOURCES);
    }
}

fn with_bad_step(kind: &'static str) -> Tally {
    crate::quiet();
    let bad = case(
        kind,
        &[
            step("a", "make", &[]),
            step("bad", kind, &[]),
            step("b", "make", &["a"]),
            step("c", "make", &["bad", "b"]),
        ],
    );
    sweep(&bad, false)
}

#[test]
fn planted_bad_steps_are_caught() {
    let mut told = BTreeMap::new();
    for (kind, what) in [
        ("blind", "thing-bad is Some([\"made\", \"made\"])"),
        ("unmarked", "thing-bad is Some([\"made\", \"made\"])"),
        ("leaky", "rollback leaves"),
        ("hasty", "thing-bad is Some([\"made\", \"made\"])"),
    ] {
        let tally = with_bad_step(kind);
        let caught = tally.wrong.iter().filter(|w| w.contains(what)).count();
        assert!(caught > 0, "{kind} was not caught: {:?}", tally.wrong.first());
        told.insert(kind, (caught, tally.runs));
    }
    println!("caught (runs that show it, runs): {told:?}");
    // And the same plan with a good step in its place is clean.
    with_bad_step("make").assert_clean();
}
