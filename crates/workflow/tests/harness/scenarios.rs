//! All scenarios for one plan.

use std::time::Duration;

use super::{
    Case,
    faults::{CommitFault, Faults, RunFault, UndoFault},
    play::Scenario,
    verdict::Expect,
};

/// Where the fault of a scenario strikes, for the tally.
#[derive(Debug, Clone, PartialEq)]
pub enum By {
    /// In calls of these steps.
    Steps(Vec<String>),
    /// At a commit.
    Commit,
}

/// One scenario with what it has to come to.
#[derive(Debug, Clone)]
pub struct Planned {
    /// How to play it.
    pub scenario: Scenario,
    /// How it has to end.
    pub expect: Expect,
    /// Name of the fault.
    pub fault: String,
    /// `before` or `after` the effect.
    pub when: &'static str,
    /// Where.
    pub by: By,
}

fn one(step: &str, fault: RunFault) -> Faults {
    Faults { run: [(step.to_owned(), fault)].into(), ..Faults::default() }
}

fn planned(faults: Faults, expect: Expect, fault: &str, when: &'static str, by: By) -> Planned {
    let mut scenario = Scenario { faults, ..Scenario::default() };
    if matches!(scenario.faults.commit.values().next(), Some(CommitFault::Down { writes: 100, .. }))
    {
        scenario.lease = Duration::from_secs(30);
    }
    if !matches!(expect, Expect::UndoStays(_)) {
        scenario.resumes = 3;
    }
    Planned { scenario, expect, fault: fault.into(), when, by }
}

/// Small plans: all steps. Large ones: first, middle and last of each kind.
pub fn representatives<W>(case: &Case<W>) -> Vec<String> {
    let steps = &case.plan.steps;
    if steps.len() <= 12 {
        return steps.iter().map(|s| s.id.clone()).collect();
    }
    let mut kinds: Vec<&str> = steps.iter().map(|s| s.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut chosen = Vec::new();
    for kind in kinds {
        let of: Vec<_> = steps.iter().filter(|s| s.kind == kind).map(|s| s.id.clone()).collect();
        chosen.extend([of[0].clone(), of[of.len() / 2].clone(), of[of.len() - 1].clone()]);
    }
    chosen.sort();
    chosen.dedup();
    chosen
}

/// Each fault in each step's run.
pub fn of_runs(steps: &[String]) -> Vec<Planned> {
    let mut all = Vec::new();
    for step in steps {
        for (fault, name, when) in RunFault::all() {
            let expect = if fault.is_failure() {
                Expect::Fails(step.clone())
            } else if fault.is_doubt() {
                Expect::Doubt(step.clone())
            } else if name == "slower than the deadline" {
                // A step that then still has to wait fails; one that is done is done.
                Expect::Consistent
            } else {
                Expect::Completed
            };
            all.push(planned(one(step, fault), expect, name, when, By::Steps(vec![step.clone()])));
        }
    }
    all
}

/// While one step fails, each fault in each other step's run: what is under way when the rollback begins.
pub fn of_pairs(steps: &[String]) -> Vec<Planned> {
    let mut all = Vec::new();
    for failing in steps {
        for other in steps.iter().filter(|o| *o != failing) {
            for (fault, name, when) in RunFault::all() {
                let mut faults = one(failing, RunFault::FailBefore);
                faults.run.insert(other.clone(), fault);
                let name = format!("{name} while another fails");
                let by = By::Steps(vec![other.clone()]);
                all.push(planned(faults, Expect::Consistent, &name, when, by));
            }
        }
    }
    all
}

/// One step fails, each fault in each other step's undo.
pub fn of_undos(steps: &[String]) -> Vec<Planned> {
    let mut all = Vec::new();
    for failing in steps {
        for other in steps {
            for (fault, name, when) in UndoFault::all() {
                // FailAfter leaves something of the failing step itself.
                let run = if other == failing { RunFault::FailAfter } else { RunFault::FailBefore };
                let mut faults = one(failing, run);
                faults.undo.insert(other.clone(), fault);
                let by = By::Steps(vec![other.clone()]);
                let expects = if fault.parks() {
                    vec![Expect::UndoParks(other.clone()), Expect::UndoStays(other.clone())]
                } else {
                    vec![Expect::Fails(failing.clone())]
                };
                for expect in expects {
                    all.push(planned(faults.clone(), expect, name, when, by.clone()));
                }
            }
        }
    }
    all
}

/// Each fault at each commit of a run that would complete, or of one in which a step fails.
pub fn of_commits(commits: u64, failing: Option<&str>) -> Vec<Planned> {
    let mut all = Vec::new();
    for number in 1..=commits {
        for (fault, name, when) in CommitFault::all() {
            let mut faults = failing.map(|f| one(f, RunFault::FailBefore)).unwrap_or_default();
            faults.commit.insert(number, fault);
            let cancels = matches!(fault, CommitFault::CancelBefore | CommitFault::CancelAfter);
            let expect = match failing {
                None if cancels => Expect::Cancel,
                None => Expect::Completed,
                Some(_) if cancels => Expect::Consistent,
                Some(step) => Expect::Fails(step.into()),
            };
            let name = failing.map_or_else(|| name.to_owned(), |_| format!("{name}, rollback"));
            all.push(planned(faults, expect, &name, when, By::Commit));
        }
    }
    all
}

/// Cancelled at each commit while a step's fate is open.
pub fn of_cancels(commits: u64, steps: &[String]) -> Vec<Planned> {
    let mut all = Vec::new();
    for number in 1..=commits {
        for step in steps {
            for (fault, name, when) in RunFault::all() {
                let mut faults = one(step, fault);
                faults.commit.insert(number, CommitFault::CancelAfter);
                let name = format!("{name}, cancelled");
                let by = By::Steps(vec![step.clone()]);
                all.push(planned(faults, Expect::Consistent, &name, when, by));
            }
        }
    }
    all
}

/// Two deaths, at each pair of commits.
pub fn of_double_deaths(commits: u64, failing: Option<&str>) -> Vec<Planned> {
    let mut all = Vec::new();
    for first in 1..=commits {
        for second in first + 1..=commits + 2 {
            for (fault, when) in
                [(CommitFault::CrashBefore, "before"), (CommitFault::CrashAfter, "after")]
            {
                let mut faults = failing.map(|f| one(f, RunFault::FailBefore)).unwrap_or_default();
                faults.commit.insert(first, fault);
                faults.commit.insert(second, fault);
                let expect = failing.map_or(Expect::Completed, |f| Expect::Fails(f.into()));
                all.push(planned(faults, expect, "two crashes", when, By::Commit));
            }
        }
    }
    all
}

/// Leases that nobody renews: many engines, one after the other.
pub fn of_short_leases(failing: Option<&str>) -> Vec<Planned> {
    let mut all = Vec::new();
    for ms in [7_000u64, 8_000, 9_500, 20_000] {
        let faults = failing.map(|f| one(f, RunFault::FailBefore)).unwrap_or_default();
        let mut item = planned(faults, Expect::Restful, "lease runs out", "after", By::Commit);
        // Shorter than the settle time nothing can ever be found absent: judge only what is left.
        item.scenario.lease = Duration::from_millis(ms);
        if ms > 9_000 {
            item.expect = failing.map_or(Expect::Completed, |f| Expect::Fails(f.into()));
        }
        all.push(item);
    }
    all
}
