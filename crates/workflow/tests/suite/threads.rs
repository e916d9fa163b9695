//! The same scenarios on real threads and a fast clock: interleavings that virtual time does not have.

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use protector_workflow::ScaledClock;

use crate::harness::{
    Case,
    fake::FakeWorld,
    faults::{CommitFault, RunFault},
    plans,
    play::{Scenario, play_on},
    sweep::golden,
    verdict::{Expect, judge},
};

fn on_threads(case: &Case<FakeWorld>, scenarios: &[(Scenario, Expect)]) {
    crate::quiet();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let (golden, _, _) = golden(case);
    for (scenario, expect) in scenarios {
        let clock = Arc::new(ScaledClock::new(200.0, DateTime::UNIX_EPOCH));
        let played = runtime.block_on(play_on(case, scenario, clock, false));
        let wrong = judge(case, &golden, expect, &played);
        assert!(wrong.is_empty(), "{scenario:?}\n{wrong:?}\n    {}", played.trace.tail(80));
    }
}

fn scenario(runs: &[(&str, RunFault)], commits: &[(u64, CommitFault)]) -> Scenario {
    let mut scenario = Scenario { resumes: 3, told: true, ..Scenario::default() };
    scenario.faults.run = runs.iter().map(|(s, f)| ((*s).to_owned(), *f)).collect();
    scenario.faults.commit = commits.iter().copied().collect();
    scenario
}

#[test]
fn plans_hold_on_real_threads_with_a_fast_clock() {
    let later = RunFault::LandsLater(Duration::from_secs(2));
    on_threads(
        &plans::chain(),
        &[
            (scenario(&[], &[]), Expect::Completed),
            (scenario(&[("clone", later)], &[(3, CommitFault::CrashAfter)]), Expect::Completed),
            (
                scenario(&[("tag", RunFault::FailAfter)], &[(9, CommitFault::CrashBefore)]),
                Expect::Fails("tag".into()),
            ),
        ],
    );
    on_threads(
        &plans::fan_out(),
        &[
            (scenario(&[], &[]), Expect::Completed),
            (
                scenario(
                    &[("v7", later)],
                    &[(4, CommitFault::StolenBefore), (9, CommitFault::CrashAfter)],
                ),
                Expect::Completed,
            ),
            (
                scenario(&[("s30", RunFault::Broken)], &[(12, CommitFault::Release)]),
                Expect::Fails("s30".into()),
            ),
            (scenario(&[("v7", later)], &[(6, CommitFault::CancelAfter)]), Expect::Cancel),
        ],
    );
}
