//! Judges what is left after a play.

use std::collections::{BTreeMap, BTreeSet};

use protector_types::{DomainEffect, OperationStatus};
use protector_workflow::{EntryKind, OnFailure, Plan, RunEnd};

use serde_json::Value;

use super::{
    canon::{Canon, Reading},
    leaves::{Leaves, spared, volume_of},
    play::Played,
    points::Expect,
};

/// What plays of one operation are compared with.
pub struct Golden {
    /// Makes dumps comparable.
    pub reading: Reading,
    /// The world before.
    pub before: Canon,
    /// After an undisturbed run.
    pub complete: Canon,
    /// Domain changes of an undisturbed run, new ids replaced.
    pub effects: Vec<String>,
    /// And of an undisturbed rollback.
    pub rollback_effects: Vec<String>,
}

/// Domain changes in comparable form; steps that are under way at the same time end in any order.
pub fn effects(reading: &Reading, effects: &[DomainEffect]) -> Vec<String> {
    let mut plain: Vec<_> = effects.iter().map(|effect| reading.plain(effect)).collect();
    plain.sort();
    plain
}

/// Everything that is wrong.
pub fn judge(plan: &Plan, golden: &Golden, expect: &Expect, played: &Played) -> Vec<String> {
    let mut judge = Judge { plan, golden, played, wrong: played.gremlin.wrongs() };
    judge.end(expect);
    judge.wrong
}

struct Judge<'a> {
    plan: &'a Plan,
    golden: &'a Golden,
    played: &'a Played,
    wrong: Vec<String>,
}

impl Judge<'_> {
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

    fn must_end(&mut self, status: OperationStatus) -> bool {
        let right = self.ended() == Some(status);
        let (end, view) = (&self.played.end, &self.played.view);
        self.wrong.extend((!right).then(|| {
            let message = view.error_message.clone().unwrap_or_default();
            format!("ended {end:?}, not {status:?}; parked: {:?}; {message}", self.played.parked)
        }));
        right
    }

    fn never_parked(&mut self) {
        let parked = self.played.parked.clone();
        self.check(parked.is_empty(), || format!("a person was asked: {parked:?}"));
    }

    fn end(&mut self, expect: &Expect) {
        match expect {
            Expect::Completes => {
                self.never_parked();
                self.completed(Care::Exact);
            }
            Expect::Warns(step) | Expect::Either(step) if self.no_room(step) => {
                self.never_parked();
                let failed = self.played.view.steps_failed.first().map(|f| f.step.clone());
                self.rolled_back(&failed.unwrap_or_default());
                let view = &self.played.view;
                let told = view.warnings.iter().any(|warning| warning.starts_with("remove_kept"));
                let shown = format!("{view:?}");
                self.check(told, || format!("no warning for {step}: {shown}"));
            }
            Expect::Warns(step) => {
                self.never_parked();
                let kind = self.plan.steps.iter().find(|s| s.id == *step).map(|s| s.kind.as_str());
                self.completed(Care::Counts(spared(kind.unwrap_or_default())));
                let view = &self.played.view;
                let told = !view.warnings.is_empty() && view.steps_failed.is_empty();
                let shown = format!("{view:?}");
                self.check(told, || format!("no warning for {step}: {shown}"));
            }
            Expect::Parks(step) => {
                self.asked_about(step);
                self.completed(Care::Exact);
            }
            Expect::Fails(step) => {
                self.never_parked();
                self.rolled_back(step);
            }
            Expect::RollsBack { failed, parks, may_park } => {
                match parks {
                    Some(step) => self.asked_about(step),
                    None if *may_park => {}
                    None => self.never_parked(),
                }
                self.rolled_back(failed);
            }
            Expect::Either(step) => {
                let struck = self.sibling(step);
                let own = self.plan.steps.iter().find(|s| s.id == struck);
                let isolates = own.is_some_and(|s| s.on_failure == OnFailure::Isolate);
                match self.ended() {
                    Some(OperationStatus::Failed) if isolates => self.isolated(&struck),
                    Some(OperationStatus::Failed) => self.rolled_back(&struck),
                    _ => self.completed(Care::Counts(spared(own.map_or("", |s| s.kind.as_str())))),
                }
            }
            Expect::Isolates(step) => self.isolated(step),
            Expect::Rests => {
                let end = self.played.end.clone();
                self.check(self.ended().is_some(), || format!("ended {end:?}"));
            }
            Expect::Cancelled => {
                self.never_parked();
                match self.ended() {
                    Some(OperationStatus::Cancelled) => self.nothing_left(),
                    _ => self.completed(Care::Exact),
                }
            }
        }
    }

    /// The step did not remove a copy whose place is needed: the copy is still there, and what was to be managed in its
    /// place does not fit. That the room may suffice without it holds elsewhere.
    fn no_room(&self, step: &str) -> bool {
        let planned = |id: &str| self.plan.steps.iter().find(|s| s.id == id);
        let Some(copy) = planned(step).filter(|s| s.kind == "remove_kept") else { return false };
        let Some(volume) = volume_of(&copy.input["copy"]["thing"]) else { return false };
        let clouds = self.played.dump["clouds"].as_object().into_iter().flatten();
        let mut volumes = clouds.flat_map(|(_, cloud)| values(&cloud["volume"]["volumes"]));
        let is_there = volumes.any(|v| v["id"] == volume);
        let failed = &self.played.view.steps_failed;
        let is_managing = |id: &str| planned(id).is_some_and(|s| s.kind == "manage_volume");
        is_there && !failed.is_empty() && failed.iter().all(|f| is_managing(&f.step))
    }

    /// The step itself, or one of its kind whose request of the same form was on its way at the same moment and met the
    /// service's refusal in its place.
    fn sibling(&self, step: &str) -> String {
        let kind = |id: &str| self.plan.steps.iter().find(|s| s.id == id).map(|s| s.kind.as_str());
        let first = self.played.view.steps_failed.first().map(|f| f.step.as_str());
        first.filter(|id| kind(id) == kind(step)).unwrap_or(step).to_owned()
    }

    fn asked_about(&mut self, step: &str) {
        let named = self.played.parked.iter().any(|reason| {
            reason.contains(&format!("{step} ")) || reason.contains(&format!("{step}:"))
        });
        let parked = self.played.parked.clone();
        self.check(named, || format!("nobody was asked about {step}: parked {parked:?}"));
    }

    fn completed(&mut self, care: Care) {
        if !self.must_end(OperationStatus::Completed) {
            return;
        }
        let (golden, played) = (self.golden, self.played);
        let canon = golden.reading.canon(&played.dump);
        match care {
            Care::Exact => {
                let differences = golden.complete.differences(&canon, |_, _| false);
                self.report("after completion", differences);
            }
            Care::Counts(spared) => {
                let (mut is, mut should) = (canon.counts(), golden.complete.counts());
                for counts in [&mut is, &mut should] {
                    counts.retain(|section, _| !spared.contains(section));
                }
                self.check(is == should, || {
                    let differences = golden.complete.differences(&canon, |_, _| false);
                    format!("after completion there are {is:?}, not {should:?}: {differences:#?}")
                });
            }
        }
        if care == Care::Exact {
            let has = effects(&golden.reading, &played.effects);
            self.check(has == golden.effects, || {
                format!("domain changes {has:#?}, not {:#?}", golden.effects)
            });
        }
        let view = &played.view;
        let all = view.steps_completed.len() == self.plan.stages.len() && view.progress == 100;
        self.check(all, || format!("completed as {view:?}"));
        self.writers();
    }

    fn rolled_back(&mut self, step: &str) {
        if !self.must_end(OperationStatus::Failed) {
            return;
        }
        self.which_failed(step);
        self.nothing_left();
    }

    /// One branch ended and the others went on: nothing is there that an undisturbed run would not have made.
    fn isolated(&mut self, step: &str) {
        self.never_parked();
        if !self.must_end(OperationStatus::Failed) {
            return;
        }
        self.which_failed(step);
        let (golden, played) = (self.golden, self.played);
        let leaves = Leaves::of(self.plan, &played.effects);
        let unbooked = |section: &str, line: &str| {
            let booked = section.starts_with("array") && leaves.is_booked(line);
            (!booked).then(|| line.to_owned())
        };
        let is = golden.reading.canon(&played.dump).mapped(unbooked);
        // An operation that removes things and fails leaves what was there before.
        let (should, before) = (golden.complete.counts(), golden.before.counts());
        let count = |of: &BTreeMap<&str, usize>, name: &str| of.get(name).copied().unwrap_or(0);
        let most = |name: &str| count(&should, name).max(count(&before, name));
        let more: Vec<_> = is.counts().into_iter().filter(|(name, n)| *n > most(name)).collect();
        let text = format!("{more:?}");
        self.check(more.is_empty(), || format!("there is more than after completion: {text}"));
        self.writers();
    }

    /// The record names the step, by stage and member, and nobody else.
    fn which_failed(&mut self, step: &str) {
        let Some(planned) = self.plan.steps.iter().find(|s| s.id == step) else { return };
        let stage = self.plan.stages[planned.stage].name.clone();
        let view = &self.played.view;
        let failed: Vec<_> = view
            .steps_failed
            .iter()
            .map(|f| (f.step.clone(), f.stage.clone(), f.member.clone()))
            .collect();
        let should = (step.to_owned(), stage.clone(), planned.subject.clone());
        // What needed a shared thing that could not be made fails for want of it, and is named after it.
        let needs_it = self.dependents(step);
        let right = failed.split_first().is_some_and(|(first, rest)| {
            *first == should && rest.iter().all(|(other, ..)| needs_it.contains(other.as_str()))
        });
        self.check(right, || format!("steps_failed is {failed:?}, not {should:?}"));
        let message = view.error_message.clone().unwrap_or_default();
        let named = message.starts_with(&stage)
            && planned.subject.as_ref().is_none_or(|subject| message.contains(subject.as_str()));
        self.check(named, || {
            format!("error_message {message:?} does not name {stage} ({:?})", planned.subject)
        });
    }

    /// Steps that wait for this one, if it is the group's and not a member's: their branch ends with it.
    fn dependents(&self, step: &str) -> BTreeSet<&str> {
        let shared = self.plan.steps.iter().any(|s| s.id == step && s.subject.is_none());
        let mut found = BTreeSet::from([step]);
        let mut size = 0;
        while shared && found.len() > size {
            size = found.len();
            let next = self
                .plan
                .steps
                .iter()
                .filter(|s| s.after.iter().any(|a| found.contains(a.as_str())));
            let next: Vec<&str> = next.map(|s| s.id.as_str()).collect();
            found.extend(next);
        }
        found.remove(step);
        found
            .into_iter()
            .filter_map(|id| self.plan.steps.iter().find(|s| s.id == id))
            .map(|s| s.id.as_str())
            .collect()
    }

    /// Everything is as it was before, no marker is left, and who ran runs and writes.
    fn nothing_left(&mut self) {
        let (golden, played) = (self.golden, self.played);
        let canon = golden.reading.canon(&played.dump);
        let leaves = Leaves::of(self.plan, &played.effects);
        let (before, after) = (leaves.without_lost(&golden.before), leaves.without_lost(&canon));
        let differences = before.differences(&after, |section, line| leaves.allows(section, line));
        self.report("after the rollback", differences);
        let mut marked = golden.reading.marked(&played.dump);
        marked.retain(|line| !leaves.is_booked(line));
        self.check(marked.is_empty(), || format!("markers are left on {marked:#?}"));
        let has = effects(&golden.reading, &played.effects);
        // The sooner it turns around, the less was changed on the way.
        let more = has.iter().any(|effect| !golden.rollback_effects.contains(effect));
        let right = !more && has.len() <= golden.rollback_effects.len();
        self.check(right, || {
            format!("domain changes {has:#?}, not {:#?}", golden.rollback_effects)
        });
        self.writers();
    }

    fn writers(&mut self) {
        // A source whose stop failed with a warning runs on, cut off from its volumes: that is the fence.
        let is_cut_off = |name: &str| {
            self.plan.steps.iter().any(|s| {
                let warned = s.kind == "stop_server" && s.on_failure == OnFailure::Warn;
                warned && s.subject.as_deref() == Some(name) && !self.is_done(&s.id)
            })
        };
        let cannot: Vec<_> = self
            .played
            .cannot_write
            .iter()
            .filter(|(at, name, _)| *at != 0 || !is_cut_off(name))
            .collect();
        let text = format!("{cannot:?}");
        self.check(cannot.is_empty(), || format!("servers that cannot write: {text}"));
    }

    fn is_done(&self, step: &str) -> bool {
        let done =
            |kind: &EntryKind| matches!(kind, EntryKind::Done { step: id, .. } if id == step);
        self.played.entries.iter().any(|entry| done(&entry.kind))
    }

    fn report(&mut self, when: &str, differences: Vec<String>) {
        let more = differences.len().saturating_sub(12);
        let shown = differences.into_iter().take(12).collect::<Vec<_>>().join("\n      ");
        self.check(shown.is_empty(), || format!("{when} (+{more} more):\n      {shown}"));
    }
}

fn values(list: &Value) -> Vec<&Value> {
    match list {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// How exactly a completed play must be like the undisturbed one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Everything.
    Exact,
    /// As many things of each kind but these: a warned step may have had its effect or not.
    Counts(&'static [&'static str]),
}
