//! Random plans under random faults, several at once.

use std::time::Duration;

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::harness::{
    faults::{CommitFault, Faults, RunFault, UndoFault},
    plans::{Sketch, any_plan, case},
    play::{Scenario, play},
    sweep::golden,
    verdict::{Expect, judge},
};

#[derive(Debug, Clone)]
struct Draw {
    plan: Vec<Sketch>,
    runs: Vec<(usize, usize)>,
    undos: Vec<(usize, usize)>,
    commits: Vec<(u64, usize)>,
    seed: u64,
    in_flight: usize,
    lease: u64,
}

fn draw() -> impl Strategy<Value = Draw> {
    let runs = prop::collection::vec((0..12usize, 0..RunFault::all().len()), 0..4);
    let undos = prop::collection::vec((0..12usize, 0..UndoFault::all().len()), 0..3);
    let commits = prop::collection::vec((1..30u64, 0..CommitFault::all().len()), 0..4);
    let knobs = (
        any::<u64>(),
        prop::sample::select(vec![1usize, 2, 1024]),
        prop::sample::select(vec![12u64, 40, 3600]),
    );
    (any_plan(), runs, undos, commits, knobs).prop_map(
        |(plan, runs, undos, commits, (seed, in_flight, lease))| Draw {
            plan,
            runs,
            undos,
            commits,
            seed,
            in_flight,
            lease,
        },
    )
}

fn scenario(draw: &Draw) -> Scenario {
    let id = |step: usize| draw.plan[step % draw.plan.len()].id.clone();
    let faults = Faults {
        run: draw.runs.iter().map(|(s, f)| (id(*s), RunFault::all()[*f].0)).collect(),
        undo: draw.undos.iter().map(|(s, f)| (id(*s), UndoFault::all()[*f].0)).collect(),
        commit: draw.commits.iter().map(|(n, f)| (*n, CommitFault::all()[*f].0)).collect(),
    };
    Scenario {
        faults,
        resumes: 8,
        lease: Duration::from_secs(draw.lease),
        seed: draw.seed,
        max_in_flight: draw.in_flight,
        told: false,
    }
}

#[test]
fn random_plans_end_cleanly_under_random_faults() {
    crate::quiet();
    // The same plans every time; a longer look with another seed: PROTECTOR_RANDOM_PLANS=300000:7.
    let wish = std::env::var("PROTECTOR_RANDOM_PLANS").unwrap_or_default();
    let (cases, seed) = wish.split_once(':').unwrap_or(("6000", "0"));
    let (cases, seed) = (cases.parse().unwrap(), seed.parse::<u8>().unwrap());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&draw(), |draw| {
        let case = case("random", &draw.plan);
        let (golden, _, wrong) = golden(&case);
        prop_assert!(wrong.is_empty(), "undisturbed: {wrong:?}");
        let played = play(&case, &scenario(&draw));
        // With people who always resume, every operation ends, and ends cleanly.
        let wrong = judge(&case, &golden, &Expect::Consistent, &played);
        if !wrong.is_empty() {
            let again = play(&case, &Scenario { told: true, ..scenario(&draw) });
            let told = again.trace.tail(120);
            prop_assert!(false, "{}\n  trace:\n    {told}", wrong.join("\n"));
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
