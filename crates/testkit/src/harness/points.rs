//! All plays of one operation: what goes wrong in each, and how it has to end.

use std::collections::{BTreeMap, BTreeSet};

use protector_workflow::{OnFailure, Plan};

use super::{
    faults::{
        Class, CommitFault, Faults, Kind, Phase, READ_FAULTS, RUN_FAULTS, RunFault, Spot,
        UNDO_FAULTS, UndoFault, WIRE_FAULTS, WireFault,
    },
    gremlin::Request,
    play::Scenario,
};

/// The kind of the one step that fails on purpose.
pub const REFUSE: &str = "refuse";

/// How a play has to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// It completes as if nothing had happened, and nobody is asked.
    Completes,
    /// This step fails for good, and everything is taken back.
    Fails(String),
    /// This step fails, and the operation completes with a warning.
    Warns(String),
    /// A person is asked about this step, lets it go on, and it completes.
    Parks(String),
    /// This step fails; the undo of the other goes wrong, and a person is asked if it says so.
    RollsBack {
        /// Fails.
        failed: String,
        /// A person must be asked about the undo of this one.
        parks: Option<String>,
        /// A person may be asked.
        may_park: bool,
    },
    /// A definite refusal: it completes all the same, perhaps with less kept, or fails at this step.
    Either(String),
    /// This step fails, only its branch ends, and the operation ends as failed with the rest done.
    Isolates(String),
    /// Any end: the fault found nothing to strike.
    Rests,
    /// A person cancels: everything is taken back, or it completes.
    Cancelled,
}

/// Where the fault strikes, for the tally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// In a call of this step.
    Step(String),
    /// At the commit of this number.
    Commit(u64),
}

/// One play.
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
    /// In every sample: without it a kind of step would have no point of this fault.
    pub core: bool,
}

/// What a plan's steps mean for the operation when they fail.
pub struct Roles {
    after_no_return: BTreeSet<String>,
    warns: BTreeSet<String>,
    isolates: BTreeSet<String>,
    /// Fails late, so that everything is there to be taken back; none: nothing can be taken back.
    pub trigger: Option<String>,
}

impl Roles {
    /// Of a valid plan.
    pub fn of(plan: &Plan) -> Self {
        let mut after_no_return = BTreeSet::new();
        let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
        let mut left: Vec<_> = plan.steps.iter().collect();
        // A valid plan has no circles: each round settles at least one step.
        while !left.is_empty() {
            let (ready, rest): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|s| s.after.iter().all(|a| depth.contains_key(a.as_str())));
            for step in ready {
                let deepest = step.after.iter().filter_map(|a| depth.get(a.as_str())).max();
                depth.insert(&step.id, deepest.map_or(0, |d| d + 1));
                let sealed = plan.steps.iter().any(|need| {
                    step.after.contains(&need.id)
                        && (need.no_return || after_no_return.contains(&need.id))
                });
                if sealed {
                    after_no_return.insert(step.id.clone());
                }
            }
            left = rest;
        }
        let with = |on_failure: OnFailure| -> BTreeSet<String> {
            let steps = plan.steps.iter().filter(|s| s.on_failure == on_failure);
            steps.map(|s| s.id.clone()).collect()
        };
        let (warns, isolates) = (with(OnFailure::Warn), with(OnFailure::Isolate));
        let fit = plan.steps.iter().filter(|s| {
            s.on_failure == OnFailure::Rollback && !s.no_return && !after_no_return.contains(&s.id)
        });
        let trigger = fit.max_by_key(|s| depth[s.id.as_str()]).map(|s| s.id.clone());
        Self { after_no_return, warns, isolates, trigger }
    }

    /// What a definite failure of the step comes to.
    fn failure(&self, step: &str) -> Expect {
        if self.warns.contains(step) {
            Expect::Warns(step.to_owned())
        } else if self.isolates.contains(step) {
            Expect::Isolates(step.to_owned())
        } else if self.after_no_return.contains(step) {
            Expect::Parks(step.to_owned())
        } else {
            Expect::Fails(step.to_owned())
        }
    }

    fn doubt(&self, step: &str) -> Expect {
        match self.failure(step) {
            // A branch does not end either while nobody knows what is left of it: a server of it may run.
            Expect::Fails(step) | Expect::Isolates(step) => Expect::Parks(step),
            other => other,
        }
    }
}

/// What an undisturbed run and an undisturbed rollback did.
pub struct Seen<'a> {
    /// Commits of the run.
    pub commits: u64,
    /// Its requests.
    pub requests: &'a [Request],
    /// Commits of the rollback, if there is one.
    pub rollback_commits: u64,
    /// Its requests.
    pub rollback_requests: &'a [Request],
}

struct Planner<'a> {
    plan: &'a Plan,
    roles: &'a Roles,
    all: Vec<Planned>,
    core: BTreeSet<(String, String, &'static str)>,
}

/// Every play of a plan. The order is the same in each run: a number names a play.
pub fn all(plan: &Plan, roles: &Roles, seen: &Seen<'_>) -> Vec<Planned> {
    let mut planner = Planner { plan, roles, all: Vec::new(), core: BTreeSet::new() };
    if let [only] = plan.steps.as_slice()
        && only.kind == REFUSE
    {
        planner.refused(&only.id, seen.commits);
        return planner.all;
    }
    planner.runs();
    planner.undos();
    planner.wire(seen);
    planner.commits(seen);
    planner.stale();
    planner.all
}

impl Planner<'_> {
    fn kind(&self, step: &str) -> String {
        let step = self.plan.steps.iter().find(|s| s.id == step);
        step.map(|s| s.kind.clone()).unwrap_or_default()
    }

    fn add(
        &mut self,
        faults: Faults,
        expect: Expect,
        fault: impl Into<String>,
        when: &'static str,
        by: By,
    ) {
        let fault = fault.into();
        let core = match &by {
            By::Step(step) if !fault.starts_with("wire") => {
                self.core.insert((self.kind(step), fault.clone(), when))
            }
            By::Step(_) | By::Commit(_) => false,
        };
        let scenario = Scenario { faults, resumes: 3, told: false };
        self.all.push(Planned { scenario, expect, fault, when, by, core });
    }

    /// Each fault in each step's run.
    fn runs(&mut self) {
        for step in &self.plan.steps {
            for (fault, name, when, kind) in RUN_FAULTS {
                let expect = match kind {
                    Kind::Passes => Expect::Completes,
                    Kind::Fails => self.roles.failure(&step.id),
                    Kind::Doubt => self.roles.doubt(&step.id),
                };
                let faults = Faults::of_run(&step.id, fault);
                self.add(faults, expect, name, when, By::Step(step.id.clone()));
            }
        }
    }

    /// A late step fails, and each fault strikes each other step's undo; and its own, once it has had its effect.
    fn undos(&mut self) {
        let Some(trigger) = self.roles.trigger.clone() else { return };
        for step in &self.plan.steps {
            let back = !step.no_return && !self.roles.after_no_return.contains(&step.id);
            if !back || self.roles.isolates.contains(&step.id) {
                continue;
            }
            let run = if step.id == trigger { RunFault::FailAfter } else { RunFault::FailBefore };
            for (fault, name, when, parks) in UNDO_FAULTS {
                let faults = Faults::of_run(&trigger, run).and_undo(&step.id, fault);
                let expect = Expect::RollsBack {
                    failed: trigger.clone(),
                    parks: parks.then(|| step.id.clone()),
                    may_park: parks,
                };
                self.add(faults, expect, name, when, By::Step(step.id.clone()));
            }
            // What only half happened is undone twice, by two engines.
            if step.id != trigger && self.roles.failure(&step.id) == Expect::Fails(step.id.clone())
            {
                let faults = Faults::of_run(&step.id, RunFault::FailAfter)
                    .and_undo(&step.id, UndoFault::CrashAfter);
                let expect = Expect::Fails(step.id.clone());
                self.add(faults, expect, "fail, crash in undo", "after", By::Step(step.id.clone()));
            }
        }
    }

    /// Each fault at each request that may change something, and at the first read and log-in of each part of a step.
    fn wire(&mut self, seen: &Seen<'_>) {
        let run = |r: &&Request| r.spot.phase != Phase::Undo;
        let undo = |r: &&Request| r.spot.phase == Phase::Undo;
        for request in seen.requests.iter().filter(run) {
            self.request(request, Faults::default(), None);
        }
        let Some(trigger) = self.roles.trigger.clone() else { return };
        for request in seen.rollback_requests.iter().filter(undo) {
            let faults = Faults::of_run(&trigger, RunFault::FailBefore);
            self.request(request, faults, Some(&trigger));
        }
    }

    fn request(&mut self, request: &Request, base: Faults, failed: Option<&str>) {
        let spot = &request.spot;
        let rows = match spot.class {
            Class::Effect => &WIRE_FAULTS[..],
            Class::Read | Class::Login if spot.nth == 1 => &READ_FAULTS[..],
            Class::Read | Class::Login => return,
        };
        for (fault, name, when) in rows {
            let refusal = matches!(fault, WireFault::Status(403 | 409));
            let expect = match failed {
                Some(failed) => {
                    Expect::RollsBack { failed: failed.to_owned(), parks: None, may_park: refusal }
                }
                None if refusal => Expect::Either(spot.step.clone()),
                None => Expect::Completes,
            };
            let name = format!("wire {name}: {:?} {}", spot.phase, request.pattern);
            let faults = base.clone().and_wire(spot, *fault);
            self.add(faults, expect, name, when, By::Step(spot.step.clone()));
        }
        if failed.is_none() && spot.class == Class::Effect {
            self.late_and_taken_back(spot, &request.pattern);
        }
    }

    /// A request lands late, although it was repeated with success, while a later step fails: what lands then must not
    /// outlive the rollback.
    fn late_and_taken_back(&mut self, spot: &Spot, pattern: &str) {
        let next = self.plan.steps.iter().find(|s| s.after.contains(&spot.step));
        let Some(next) = next.filter(|n| matches!(self.roles.failure(&n.id), Expect::Fails(_)))
        else {
            return;
        };
        let late = WIRE_FAULTS.iter().find(|(f, ..)| matches!(f, WireFault::LandsLater(_)));
        let Some((fault, name, when)) = late else { return };
        let faults = Faults::of_run(&next.id, RunFault::FailBefore).and_wire(spot, *fault);
        let expect = Expect::Fails(next.id.clone());
        let name = format!("wire {name}, the next step fails: {:?} {pattern}", spot.phase);
        self.add(faults, expect, name, when, By::Step(spot.step.clone()));
    }

    /// A plan that can only fail: it does, whatever happens, and names its one step.
    fn refused(&mut self, step: &str, commits: u64) {
        let expect = Expect::Fails(step.to_owned());
        for (fault, name, when, kind) in RUN_FAULTS {
            if kind == Kind::Passes && !matches!(fault, RunFault::Twice) {
                let faults = Faults::of_run(step, fault);
                self.add(faults, expect.clone(), name, when, By::Step(step.to_owned()));
            }
        }
        for number in 1..=commits {
            for (fault, when) in
                [(CommitFault::CrashBefore, "before"), (CommitFault::CrashAfter, "after")]
            {
                let faults = Faults::default().and_commit(number, fault);
                self.add(faults, expect.clone(), "crash at commit", when, By::Commit(number));
            }
        }
        for (fault, name, when, parks) in UNDO_FAULTS {
            let faults = Faults::default().and_undo(step, fault);
            let parks = parks.then(|| step.to_owned());
            let may_park = parks.is_some();
            let expect = Expect::RollsBack { failed: step.to_owned(), parks, may_park };
            self.add(faults, expect, name, when, By::Step(step.to_owned()));
        }
    }

    /// A death, or a person's cancel, at each commit; a death at each commit of a rollback.
    fn commits(&mut self, seen: &Seen<'_>) {
        for number in 1..=seen.commits {
            for (fault, name, when, expect) in [
                (CommitFault::CrashBefore, "crash at commit", "before", Expect::Completes),
                (CommitFault::CrashAfter, "crash at commit", "after", Expect::Completes),
                (CommitFault::CancelAfter, "cancel at commit", "after", Expect::Cancelled),
            ] {
                let faults = Faults::default().and_commit(number, fault);
                self.add(faults, expect, name, when, By::Commit(number));
            }
        }
        let Some(trigger) = self.roles.trigger.clone() else { return };
        for number in 1..=seen.rollback_commits {
            for (fault, when) in
                [(CommitFault::CrashBefore, "before"), (CommitFault::CrashAfter, "after")]
            {
                let faults =
                    Faults::of_run(&trigger, RunFault::FailBefore).and_commit(number, fault);
                let expect = Expect::Fails(trigger.clone());
                self.add(faults, expect, "crash at commit, rollback", when, By::Commit(number));
            }
        }
    }

    /// Lists show the world of two seconds ago while an answer is lost, or an engine dies after the effect.
    fn stale(&mut self) {
        for step in &self.plan.steps {
            for (fault, name) in [
                (RunFault::LostAfter, "lost answer, stale lists"),
                (RunFault::CrashAfter, "crash in run, stale lists"),
            ] {
                let faults = Faults { stale_ms: Some(2_000), ..Faults::of_run(&step.id, fault) };
                self.add(faults, Expect::Completes, name, "after", By::Step(step.id.clone()));
            }
        }
    }
}
