//! The pure decision on what comes next.

use std::collections::BTreeSet;

use protector_types::OperationStatus;

use crate::{Cause, Mode, OnFailure, State, StepState, state::Failure};

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// These steps (indices into the plan) may run: all that they need is done.
    Run(Vec<usize>),
    /// A step failed or a person cancelled: begin to take everything back.
    BeginRollback(Cause),
    /// These steps may be undone: nothing that depended on them is left.
    Undo(Vec<usize>),
    /// Nothing can start before something that runs has ended.
    Wait,
    /// A person is needed.
    Park {
        /// What is wrong and what leads out.
        reason: String,
        /// The step it is about.
        step: Option<String>,
    },
    /// All steps are done.
    Complete,
    /// All that could be done is done; branches that failed are left out.
    Incomplete,
    /// Everything is undone.
    Unwound(Cause),
    /// Terminal or parked already.
    Rest,
}

impl State {
    /// The pure decision. `in_flight`: steps that the executor is running or undoing right now.
    pub fn decide(&self, in_flight: &BTreeSet<usize>) -> Decision {
        match &self.mode {
            Mode::Ended(_) | Mode::Parked { .. } => Decision::Rest,
            Mode::Forward => self.decide_forward(in_flight),
            Mode::Unwinding(cause) => self.decide_back(cause, in_flight),
        }
    }

    /// The first step that failed for good and was not tried again or skipped since.
    fn failure(&self) -> Option<&Failure> {
        self.failures.iter().find(|f| {
            !f.warning
                && self.steps[f.step] == StepState::Failed
                && !self.isolated.contains(&f.step)
        })
    }

    fn decide_forward(&self, in_flight: &BTreeSet<usize>) -> Decision {
        let failure = self.failure();
        if !self.past_no_return {
            let failed =
                failure.map(|f| Cause::StepFailed { step: self.plan.steps[f.step].id.clone() });
            if let Some(cause) = failed.or_else(|| self.cancel.clone()) {
                return self.turn_around(cause, in_flight);
            }
        }
        let undo = self.undo_isolated(in_flight);
        if !undo.is_empty() {
            return Decision::Undo(undo);
        }
        let mut run = self.orphans(in_flight);
        run.extend(self.ready.iter().filter(|s| !in_flight.contains(s)));
        if !run.is_empty() {
            run.sort_unstable();
            return Decision::Run(run);
        }
        match failure {
            // Past the point of no return: the others go on first.
            Some(failure) if in_flight.is_empty() => self.park_for(failure),
            None if self.unsettled == 0 && in_flight.is_empty() => {
                if self.isolated.is_empty() {
                    Decision::Complete
                } else {
                    Decision::Incomplete
                }
            }
            _ => Decision::Wait,
        }
    }

    /// What failed for its own branch only is undone while the rest goes on.
    fn undo_isolated(&self, in_flight: &BTreeSet<usize>) -> Vec<usize> {
        let left = self.isolated.iter().filter(|s| self.undoable.contains(s));
        left.filter(|s| !in_flight.contains(s)).copied().collect()
    }

    /// Started without an outcome and not in flight: a killed engine left it.
    fn orphans(&self, in_flight: &BTreeSet<usize>) -> Vec<usize> {
        self.started.difference(in_flight).copied().collect()
    }

    /// Back, unless a step that cannot be taken back may have had its effect: then its outcome decides, and nothing
    /// new begins before.
    fn turn_around(&self, cause: Cause, in_flight: &BTreeSet<usize>) -> Decision {
        if !self.no_return_under_way() {
            return Decision::BeginRollback(cause);
        }
        let orphans = self.orphans(in_flight);
        if orphans.is_empty() { Decision::Wait } else { Decision::Run(orphans) }
    }

    fn park_for(&self, failure: &Failure) -> Decision {
        let step = &self.plan.steps[failure.step];
        Decision::Park {
            reason: format!(
                "{} failed after the point of no return: {}. `retry` tries it again, `skip` goes on without it",
                step.id, failure.error
            ),
            step: Some(step.id.clone()),
        }
    }

    fn decide_back(&self, cause: &Cause, in_flight: &BTreeSet<usize>) -> Decision {
        let undo: Vec<usize> =
            self.undoable.iter().rev().filter(|s| !in_flight.contains(s)).copied().collect();
        if !undo.is_empty() {
            return Decision::Undo(undo);
        }
        if !in_flight.is_empty() {
            return Decision::Wait;
        }
        match self.undo_failures.first() {
            Some((step, error)) => Decision::Park {
                reason: format!(
                    "{} could not be undone: {error}. `retry` tries again, `skip` leaves it, `abandon` leaves the rest",
                    self.plan.steps[*step].id
                ),
                step: Some(self.plan.steps[*step].id.clone()),
            },
            None => Decision::Unwound(cause.clone()),
        }
    }

    /// True if all that `index` needs is settled; for assertions in tests.
    pub fn is_unblocked(&self, index: usize) -> bool {
        self.needs[index].iter().all(|&n| {
            self.isolated.contains(&n)
                || matches!(
                    self.steps[n],
                    StepState::Done | StepState::Warned | StepState::Skipped | StepState::Cut
                )
        })
    }

    /// Whether the failure of this step rolls back.
    pub fn on_failure(&self, index: usize) -> OnFailure {
        self.plan.steps[index].on_failure
    }

    pub(crate) fn raw_progress(&self) -> u8 {
        if self.mode == Mode::Ended(OperationStatus::Completed) {
            return 100;
        }
        let share = |stage: usize| match self.total_per_stage[stage] {
            0 => 1.0,
            total => self.settled_per_stage[stage] as f64 / total as f64,
        };
        let sum: f64 = self
            .plan
            .stages
            .iter()
            .enumerate()
            .map(|(stage, s)| f64::from(s.to.saturating_sub(s.from)) * share(stage))
            .sum();
        (sum.floor() as u8).min(99)
    }
}
