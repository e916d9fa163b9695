//! Plays all scenarios of a plan and tallies the points.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use protector_workflow::EntryKind;

use super::{
    Case, World,
    faults::RunFault,
    play::{Played, Scenario, play},
    scenarios::{self, By, Planned},
    verdict::{Expect, Golden, judge},
};

/// (plan, kind of step or entry, fault, before or after).
pub type Point = (String, String, String, &'static str);

/// What a sweep found.
#[derive(Default)]
pub struct Tally {
    /// Distinct points at which the fault really struck.
    pub points: BTreeSet<Point>,
    /// Runs.
    pub runs: usize,
    /// What was wrong, each with its scenario and the end of its trace.
    pub wrong: Vec<String>,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: Tally) {
        self.points.extend(other.points);
        self.runs += other.runs;
        self.wrong.extend(other.wrong);
    }

    /// Fails the test with the first few wrongs.
    pub fn assert_clean(&self) {
        let shown = self.wrong.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
        assert!(
            self.wrong.is_empty(),
            "{} of {} runs went wrong:\n{shown}",
            self.wrong.len(),
            self.runs
        );
    }
}

/// What an undisturbed run leaves, and its number of commits.
pub fn golden<W: World>(case: &Case<W>) -> (Golden, u64, Vec<String>) {
    let played = play(case, &Scenario::default());
    let golden = Golden { fresh: W::fresh().inventory(), complete: played.inventory.clone() };
    let wrong = judge(case, &golden, &Expect::Completed, &played);
    (golden, played.journal.commits(), wrong)
}

/// Everything. `deep`: also pairs of faults.
pub fn sweep<W: World>(case: &Case<W>, deep: bool) -> Tally {
    let (golden, commits, wrong) = golden(case);
    let mut tally = Tally { runs: 1, wrong, ..Tally::default() };
    let steps = scenarios::representatives(case);
    let mut all = scenarios::of_runs(&steps);
    all.extend(scenarios::of_undos(&steps));
    all.extend(scenarios::of_commits(commits, None));
    all.extend(scenarios::of_short_leases(None));
    // Of a large plan every second one: its steps are much alike.
    let every = if case.plan.steps.len() > 12 { 2 } else { 1 };
    for failing in steps.iter().step_by(every) {
        let mut base = Scenario::default();
        base.faults.run.insert(failing.clone(), RunFault::FailBefore);
        let commits = play(case, &base).journal.commits();
        all.extend(scenarios::of_commits(commits, Some(failing)));
        all.extend(scenarios::of_short_leases(Some(failing)));
        if deep {
            all.extend(scenarios::of_double_deaths(commits, Some(failing)));
        }
    }
    if deep {
        all.extend(scenarios::of_pairs(&steps));
        all.extend(scenarios::of_cancels(commits, &steps));
        all.extend(scenarios::of_double_deaths(commits, None));
    }
    tally.add(run_all(case, &golden, &all));
    tally
}

/// On all cores; the order of the runs does not matter.
pub fn run_all<W: World>(case: &Case<W>, golden: &Golden, all: &[Planned]) -> Tally {
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut tally = Tally::default();
                while let Some(planned) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    one(case, golden, planned, &mut tally);
                }
                total.lock().unwrap().add(tally);
            });
        }
    });
    total.into_inner().unwrap()
}

fn one<W: World>(case: &Case<W>, golden: &Golden, planned: &Planned, tally: &mut Tally) {
    let played = play(case, &planned.scenario);
    tally.runs += 1;
    let mut expect = planned.expect.clone();
    let struck = struck(case, planned, &played);
    let undo_failed =
        played.journal.entries().iter().any(|e| matches!(e.kind, EntryKind::UndoFailed { .. }));
    if let (false, Expect::UndoParks(_) | Expect::UndoStays(_)) = (undo_failed, &expect) {
        // The step had not begun when the other failed, or there was no way back: nothing to undo.
        expect = Expect::Restful;
    }
    let model = played.journal.model();
    if let (true, Expect::UndoParks(step) | Expect::UndoStays(step)) =
        (model.incomplete, &expect.clone())
    {
        // It had failed for its own branch only: the operation ends, and what is left is named.
        assert!(model.is_isolated(step), "{step} was undone on the way forward");
        expect = Expect::Restful;
    }
    let wrong = judge(case, golden, &expect, &played);
    if !wrong.is_empty() {
        let again = play(case, &Scenario { told: true, ..planned.scenario.clone() });
        tally.wrong.push(format!(
            "{} / {} ({}) / {:?} / expected {expect:?}\n  - {}\n  trace:\n    {}",
            case.name,
            planned.fault,
            planned.when,
            planned.scenario.faults,
            wrong.join("\n  - "),
            again.trace.tail(80)
        ));
    }
    for kind in struck {
        tally.points.insert((case.name.clone(), kind, planned.fault.clone(), planned.when));
    }
}

/// The kinds of steps or entries that the fault really met.
fn struck<W>(case: &Case<W>, planned: &Planned, played: &Played) -> BTreeSet<String> {
    match &planned.by {
        By::Commit => played.journal.hit().map(|(_, kinds)| kinds).unwrap_or_default(),
        By::Steps(steps) => {
            let hits = played.gremlin.hits();
            let hit =
                case.plan.steps.iter().filter(|s| steps.contains(&s.id) && hits.contains(&s.id));
            hit.map(|s| s.kind.clone()).collect()
        }
    }
}
