//! Judges what is left after a scenario.

use std::collections::BTreeSet;

use protector_types::OperationStatus;
use protector_workflow::{EntryKind, OnFailure, RunEnd};

use super::{
    Case, Inventory,
    model::{Model, Stand},
    play::Played,
};

/// How a scenario has to end.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// All is there, exactly once.
    Completed,
    /// This step fails for good: a warning, a rollback, or parked after the point of no return.
    Fails(String),
    /// What became of this step is not known: a warning or parked, then completed.
    Doubt(String),
    /// As the moment of the cancel demands.
    Cancel,
    /// The rollback meets an undo (of this step) that does not work, then a person lets it go on.
    UndoParks(String),
    /// The same, and nobody lets it go on: siblings are undone, ancestors are not.
    UndoStays(String),
    /// Any end, but a clean one.
    Consistent,
    /// Any clean end, or waiting for a person.
    Restful,
}

/// The inventories to compare with.
pub struct Golden {
    /// Before.
    pub fresh: Inventory,
    /// After completion.
    pub complete: Inventory,
}

/// Everything that is wrong.
pub fn judge<W>(case: &Case<W>, golden: &Golden, expect: &Expect, played: &Played) -> Vec<String> {
    let mut judge = Judge {
        case,
        golden,
        played,
        model: played.journal.model(),
        wrong: played.trace.violations(),
    };
    judge.end(expect);
    judge.what_is_left();
    judge.effects();
    judge.fenced();
    judge.wrong
}

struct Judge<'a, W> {
    case: &'a Case<W>,
    golden: &'a Golden,
    played: &'a Played,
    model: Model,
    wrong: Vec<String>,
}

impl<W> Judge<'_, W> {
    fn check(&mut self, right: bool, wrong: impl FnOnce() -> String) {
        if !right {
            self.wrong.push(wrong());
        }
    }

    fn ended(&self) -> Option<OperationStatus> {
        match &self.played.end {
            Some(RunEnd::Ended(status)) => Some(*status),
            _ => None,
        }
    }

    fn must_end(&mut self, status: OperationStatus) {
        let end = self.played.end.clone();
        self.check(self.ended() == Some(status), || format!("ended {end:?}, not {status:?}"));
    }

    fn warns(&self, step: &str) -> bool {
        let step = self.case.plan.steps.iter().find(|s| s.id == step);
        step.is_some_and(|s| s.on_failure == OnFailure::Warn)
    }

    /// A step of no return is surely done before this one begins / may be done at the same time.
    fn no_return_before(&self, step: &str) -> (bool, bool) {
        let seals = |i: &usize| self.case.plan.steps[*i].no_return;
        let mine: BTreeSet<usize> = self.model.ancestors(step);
        let beside = (0..self.case.plan.steps.len()).filter(seals).any(|i| {
            let id = &self.case.plan.steps[i].id;
            id != step
                && !mine.contains(&i)
                && !self.model.ancestors(id).iter().any(|a| self.case.plan.steps[*a].id == step)
        });
        (mine.iter().any(seals), beside)
    }

    fn end(&mut self, expect: &Expect) {
        match expect {
            Expect::Completed => self.must_end(OperationStatus::Completed),
            Expect::Fails(step) => self.failed_at(step),
            Expect::Doubt(step) => {
                self.must_end(OperationStatus::Completed);
                self.parked_or_warned(step);
            }
            Expect::Cancel => self.cancelled(),
            Expect::UndoParks(step) => {
                self.named(step);
                self.must_end(OperationStatus::Failed);
            }
            Expect::UndoStays(step) => self.stuck(step),
            Expect::Consistent => {
                let end = self.played.end.clone();
                self.check(self.ended().is_some(), || format!("rests as {end:?}"));
            }
            Expect::Restful => {
                let end = self.played.end.clone();
                let rests = matches!(end, Some(RunEnd::Ended(_) | RunEnd::Parked(_)));
                self.check(rests, || format!("rests as {end:?}"));
            }
        }
    }

    fn named(&mut self, step: &str) {
        let reason = self.played.parked.clone().unwrap_or_default();
        self.check(
            reason.contains(&format!("{step} ")) || reason.contains(&format!("{step}:")),
            || format!("parked with {reason:?}, which does not name {step}"),
        );
    }

    fn parked_or_warned(&mut self, step: &str) {
        if !self.warns(step) {
            return self.named(step);
        }
        let view = self.played.journal.folded().view();
        self.check(self.model.warned.contains(step), || format!("no warning for {step}"));
        self.check(!view.warnings.is_empty() && view.steps_failed.is_empty(), || {
            format!("the record shows {view:?}")
        });
        let parked = self.played.parked.clone();
        self.check(parked.is_none(), || format!("parked for a warning: {parked:?}"));
    }

    fn failed_at(&mut self, step: &str) {
        let (before, beside) = self.no_return_before(step);
        if self.warns(step) {
            self.must_end(OperationStatus::Completed);
            return self.parked_or_warned(step);
        }
        if before || (beside && self.ended() == Some(OperationStatus::Completed)) {
            self.must_end(OperationStatus::Completed);
            return self.named(step);
        }
        self.must_end(OperationStatus::Failed);
        self.which_failed(step, !self.model.is_isolated(step));
    }

    fn which_failed(&mut self, step: &str, rolls_back: bool) {
        let view = self.played.journal.folded().view();
        let failed: Vec<_> = view.steps_failed.iter().map(|f| f.step.as_str()).collect();
        self.check(failed == [step], || format!("steps_failed is {failed:?}, not [{step}]"));
        let cause = self.played.journal.entries().into_iter().find_map(|e| match e.kind {
            EntryKind::RollbackBegan { cause } => Some(cause),
            _ => None,
        });
        let right =
            matches!(&cause, Some(protector_workflow::Cause::StepFailed { step: s }) if s == step);
        let right = if rolls_back { right } else { cause.is_none() };
        self.check(right, || format!("rolled back because of {cause:?}, not {step}"));
        let message = view.error_message.unwrap_or_default();
        let error = view.steps_failed.first().map(|f| f.error.clone()).unwrap_or_default();
        self.check(!error.is_empty() && message.contains(&error), || {
            format!("error_message is {message:?}, the step said {error:?}")
        });
    }

    fn cancelled(&mut self) {
        use super::model::Way;
        let Some(at) = self.played.journal.cancelled() else {
            return self.check(false, || "the cancel was never sent".into());
        };
        let end = self.ended();
        let completed = Some(OperationStatus::Completed);
        let cancelled = Some(OperationStatus::Cancelled);
        let right = match at.way {
            Way::Ended(status) => end == Some(status),
            _ if at.past_no_return => end == completed,
            _ if at.no_return_begun => end == completed || end == cancelled,
            _ => end == cancelled,
        };
        self.check(right, || format!("cancelled in {at:?}, ended {end:?}"));
    }

    fn stuck(&mut self, step: &str) {
        self.named(step);
        let end = self.played.end.clone();
        self.check(matches!(end, Some(RunEnd::Parked(_))), || format!("ended {end:?}, not parked"));
        let above = self.model.ancestors(step);
        for (i, planned) in self.case.plan.steps.iter().enumerate() {
            let stand = self.model.stands[i];
            let right = match stand {
                Stand::Untouched | Stand::Failed => planned.id != step,
                _ if planned.id == step => stand == Stand::Stuck,
                _ if above.contains(&i) => stand != Stand::Undone && stand != Stand::Undoing,
                _ => stand == Stand::Undone,
            };
            self.check(right, || {
                format!("{} is {stand:?} after the undo of {step} failed", planned.id)
            });
        }
    }

    fn what_is_left(&mut self) {
        let (played, golden) = (self.played, self.golden);
        match self.ended() {
            Some(OperationStatus::Completed) => {
                let names: BTreeSet<_> =
                    golden.complete.keys().chain(played.inventory.keys()).collect();
                for name in names {
                    let (is, should) = (played.inventory.get(name), golden.complete.get(name));
                    let loose = self
                        .model
                        .warned
                        .iter()
                        .any(|step| self.case.things_of[step].contains(name));
                    let right = is == should
                        || (loose && is.map_or(0, Vec::len) <= should.map_or(1, Vec::len));
                    self.check(right, || {
                        format!("after completion {name} is {is:?}, should be {should:?}")
                    });
                }
                let view = played.journal.folded().view();
                let all = view.steps_completed.len() == self.case.plan.stages.len();
                self.check(all && view.progress == 100, || format!("completed as {view:?}"));
            }
            Some(_) if self.model.incomplete => self.what_is_left_of_branches(),
            Some(_) => {
                let (is, should) = (&played.inventory, &golden.fresh);
                self.check(is == should, || format!("rollback leaves {is:?}, not {should:?}"));
                let markers = &played.markers;
                self.check(markers.is_empty(), || {
                    format!("rollback leaves the markers {markers:?}")
                });
            }
            None => {}
        }
    }

    /// All is there but what belongs to the branches that failed.
    fn what_is_left_of_branches(&mut self) {
        let (played, golden) = (self.played, self.golden);
        let owner = |name: &String| {
            let mut steps = self.case.plan.steps.iter().enumerate();
            steps.find(|(_, s)| self.case.things_of[&s.id].contains(name)).map(|(i, _)| i)
        };
        let names: BTreeSet<_> = golden.complete.keys().chain(played.inventory.keys()).collect();
        let mut wrong = Vec::new();
        for name in names {
            let at = owner(name);
            let stand = at.map_or(Stand::Done, |at| self.model.stands[at]);
            let gone =
                at.is_some_and(|at| self.model.isolated.contains(&at)) || stand == Stand::Cut;
            let loose = matches!(stand, Stand::Stuck | Stand::Warned | Stand::Skipped);
            let should = if gone { &golden.fresh } else { &golden.complete }.get(name);
            let is = played.inventory.get(name);
            if !loose && is != should {
                wrong.push(format!(
                    "without the failed branches {name} is {is:?}, should be {should:?}"
                ));
            }
        }
        self.wrong.extend(wrong);
    }

    fn effects(&mut self) {
        let entries = self.played.journal.entries();
        let count =
            |wanted: fn(&EntryKind) -> bool| entries.iter().filter(|e| wanted(&e.kind)).count();
        let done = count(|k| matches!(k, EntryKind::Done { .. }))
            + count(|k| matches!(k, EntryKind::Ended { .. }));
        let effects = self.played.journal.effects();
        let same = effects.iter().enumerate().any(|(i, e)| effects[..i].contains(e));
        self.check(effects.len() == done && !same, || {
            format!("{} domain changes for {done} outcomes, repeated: {same}", effects.len())
        });
    }

    /// An engine that is fenced off stops at once.
    fn fenced(&mut self) {
        let Some(at) = self.played.journal.fenced_at().filter(|_| self.played.strict) else {
            return;
        };
        let next = self.played.engines.iter().find(|(_, ended)| *ended >= at);
        // It may also die in the same moment.
        let right = matches!(next, Some((Some(RunEnd::Fenced) | None, ended)) if *ended == at);
        self.check(right, || format!("fenced off at {at:?}, the engine ended as {next:?}"));
    }
}
