//! An independent reading of the journal: what each committed entry may say after those before it.

use std::collections::{BTreeMap, BTreeSet};

use protector_types::OperationStatus;
use protector_workflow::{Cause, Entry, EntryKind, OnFailure, Plan};

/// Where a step stands by the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// Never begun.
    Untouched,
    /// Intent without outcome.
    Started,
    /// Verified.
    Done,
    /// For good.
    Failed,
    /// Failed, the operation goes on.
    Warned,
    /// Taken out.
    Skipped,
    /// Undo under way.
    Undoing,
    /// Nothing left.
    Undone,
    /// Left as it is.
    Stuck,
    /// Left on a person's word.
    Left,
    /// Its branch had ended before it began.
    Cut,
}

/// Where the operation stands by the journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// To its goal.
    Forward,
    /// Back.
    Back(Cause),
    /// Waiting for a person.
    Parked(Option<Cause>),
    /// Over.
    Ended(OperationStatus),
}

/// The reading.
#[derive(Clone)]
pub struct Model {
    index: BTreeMap<String, usize>,
    needs: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
    no_return: Vec<bool>,
    warns: Vec<bool>,
    alone: Vec<Option<String>>,
    /// Failed for their own branch only.
    pub isolated: BTreeSet<usize>,
    /// It ended on the way forward, with branches that failed.
    pub incomplete: bool,
    /// Per step.
    pub stands: Vec<Stand>,
    intents: Vec<bool>,
    /// The operation.
    pub way: Way,
    /// Entries so far.
    pub count: u64,
    /// Steps in the order in which they failed for good.
    pub failed: Vec<String>,
    /// Steps that failed with a warning.
    pub warned: BTreeSet<String>,
}

impl Model {
    /// Before the first entry.
    pub fn new(plan: &Plan) -> Self {
        let index: BTreeMap<_, _> =
            plan.steps.iter().enumerate().map(|(i, s)| (s.id.clone(), i)).collect();
        let needs: Vec<Vec<usize>> =
            plan.steps.iter().map(|s| s.after.iter().map(|a| index[a]).collect()).collect();
        let mut dependents = vec![vec![]; plan.steps.len()];
        for (step, needed) in needs.iter().enumerate() {
            for &need in needed {
                dependents[need].push(step);
            }
        }
        Self {
            index,
            needs,
            dependents,
            no_return: plan.steps.iter().map(|s| s.no_return).collect(),
            warns: plan.steps.iter().map(|s| s.on_failure == OnFailure::Warn).collect(),
            alone: plan
                .steps
                .iter()
                .map(|s| s.subject.clone().filter(|_| s.on_failure == OnFailure::Isolate))
                .collect(),
            isolated: BTreeSet::new(),
            incomplete: false,
            stands: vec![Stand::Untouched; plan.steps.len()],
            intents: vec![false; plan.steps.len()],
            way: Way::Forward,
            count: 0,
            failed: vec![],
            warned: BTreeSet::new(),
        }
    }

    /// Where a step stands.
    pub fn stand(&self, step: &str) -> Stand {
        self.stands[self.index[step]]
    }

    /// All that a step needs is settled.
    pub fn unblocked(&self, step: &str) -> bool {
        use Stand::*;
        self.needs[self.index[step]].iter().all(|&n| {
            matches!(self.stands[n], Done | Warned | Skipped | Cut) || self.isolated.contains(&n)
        })
    }

    /// Something that depends on the step may still exist.
    pub fn needed(&self, step: &str) -> Option<usize> {
        let at = self.index[step];
        // Who goes on without a failed branch does not need it.
        let mut needing =
            self.dependents[at].iter().copied().filter(|_| !self.isolated.contains(&at));
        needing.find(|&d| self.exists(d))
    }

    fn exists(&self, step: usize) -> bool {
        self.intents[step] && !matches!(self.stands[step], Stand::Undone | Stand::Left)
    }

    /// True if its failure ended only its branch.
    pub fn is_isolated(&self, step: &str) -> bool {
        self.isolated.contains(&self.index[step])
    }

    /// Never to begin, since the branch has ended.
    fn cut(&mut self, from: usize) {
        for at in self.dependents[from].clone() {
            if self.alone[at] == self.alone[from] && self.stands[at] == Stand::Untouched {
                self.stands[at] = Stand::Cut;
                self.cut(at);
            }
        }
    }

    /// A step that cannot be taken back is done.
    pub fn past_no_return(&self) -> bool {
        (0..self.stands.len()).any(|s| self.no_return[s] && self.stands[s] == Stand::Done)
    }

    /// A step that cannot be taken back may have had its effect.
    pub fn no_return_begun(&self) -> bool {
        (0..self.stands.len()).any(|s| self.no_return[s] && self.stands[s] == Stand::Started)
    }

    /// All steps that `step` needs, directly or not.
    pub fn ancestors(&self, step: &str) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut todo = vec![self.index[step]];
        while let Some(next) = todo.pop() {
            todo.extend(self.needs[next].iter().filter(|n| found.insert(**n)));
        }
        found
    }

    /// Takes one entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        self.count += 1;
        if entry.seq != self.count {
            return Err(format!("entry {} comes as number {}", entry.seq, self.count));
        }
        if matches!(self.way, Way::Ended(_)) {
            return Err(format!("entry {} after the end: {:?}", entry.seq, entry.kind));
        }
        let before = match &entry.kind {
            EntryKind::Claimed { .. } => return Ok(()),
            EntryKind::Started { step, .. }
            | EntryKind::Done { step, .. }
            | EntryKind::Failed { step, .. }
            | EntryKind::UndoStarted { step, .. }
            | EntryKind::Undone { step, .. }
            | EntryKind::UndoFailed { step, .. }
            | EntryKind::Skipped { step, .. } => Some(self.stand(step)),
            _ => None,
        };
        let way = self.way.clone();
        let allowed = self.change(&entry.kind, before);
        if allowed {
            return Ok(());
        }
        Err(format!(
            "entry {} {:?} while the step was {before:?}, the operation {way:?}",
            entry.seq, entry.kind
        ))
    }

    fn change(&mut self, kind: &EntryKind, before: Option<Stand>) -> bool {
        use Stand::*;
        let stand = before.unwrap_or(Untouched);
        let forward = self.way == Way::Forward;
        let back = matches!(self.way, Way::Back(_));
        match kind {
            EntryKind::Started { step, .. } => {
                let free = matches!(stand, Untouched | Started) && self.unblocked(step);
                let i = self.index[step];
                self.stands[i] = Started;
                self.intents[i] = true;
                forward && free
            }
            EntryKind::Done { step, .. } => {
                self.stands[self.index[step]] = Done;
                stand == Started && (forward || back)
            }
            EntryKind::Failed { step, warning, .. } => {
                let i = self.index[step];
                self.stands[i] = if *warning { Warned } else { Failed };
                if *warning {
                    self.warned.insert(step.clone());
                } else {
                    self.failed.push(step.clone());
                    if forward && self.alone[i].is_some() {
                        self.isolated.insert(i);
                        self.cut(i);
                    }
                }
                matches!(stand, Started | Untouched) && *warning == self.warns[i]
            }
            EntryKind::RollbackBegan { cause } => {
                let allowed = forward && !self.past_no_return() && !self.no_return_begun();
                self.way = Way::Back(cause.clone());
                allowed
            }
            EntryKind::UndoStarted { step, .. } => {
                let alone = forward && self.is_isolated(step);
                let allowed = (back || alone)
                    && self.exists(self.index[step])
                    && !matches!(stand, Undoing | Undone | Stuck | Left)
                    && self.needed(step).is_none();
                self.stands[self.index[step]] = Undoing;
                allowed
            }
            EntryKind::Undone { step, .. } => {
                self.stands[self.index[step]] = Undone;
                (back || self.is_isolated(step)) && stand == Undoing
            }
            EntryKind::UndoFailed { step, .. } => {
                self.stands[self.index[step]] = Stuck;
                (back || self.is_isolated(step)) && stand == Undoing
            }
            EntryKind::Skipped { step, .. } => {
                let Way::Parked(cause) = &self.way else { return false };
                self.stands[self.index[step]] = if cause.is_some() { Left } else { Skipped };
                true
            }
            EntryKind::Parked { .. } => self.park(),
            EntryKind::Resumed { .. } => self.resume(),
            EntryKind::Ended { status, .. } => self.end(*status),
            EntryKind::Claimed { .. } | EntryKind::Asked { .. } => true,
        }
    }

    fn park(&mut self) -> bool {
        let cause = match &self.way {
            Way::Back(cause) => Some(cause.clone()),
            _ => None,
        };
        let allowed = matches!(self.way, Way::Forward | Way::Back(_));
        self.way = Way::Parked(cause);
        allowed
    }

    fn resume(&mut self) -> bool {
        let Way::Parked(cause) = self.way.clone() else { return false };
        let forward = cause.is_none();
        self.way = cause.map_or(Way::Forward, Way::Back);
        for (i, stand) in self.stands.iter_mut().enumerate() {
            match stand {
                Stand::Stuck => *stand = Stand::Undoing,
                Stand::Failed if forward && !self.isolated.contains(&i) => {
                    *stand = Stand::Untouched
                }
                _ => {}
            }
        }
        true
    }

    fn end(&mut self, status: OperationStatus) -> bool {
        use Stand::*;
        let way = std::mem::replace(&mut self.way, Way::Ended(status));
        match (way, status) {
            (Way::Forward, OperationStatus::Completed) => {
                self.stands.iter().all(|s| matches!(s, Done | Warned | Skipped))
            }
            (Way::Forward, OperationStatus::Failed) => {
                self.incomplete = true;
                let settled = |(i, s): (usize, &Stand)| match s {
                    Done | Warned | Skipped | Cut => true,
                    Undone | Stuck => self.isolated.contains(&i),
                    _ => false,
                };
                !self.isolated.is_empty() && self.stands.iter().enumerate().all(settled)
            }
            (Way::Back(cause), status) => {
                let gone = (0..self.stands.len()).all(|s| !self.exists(s));
                let right = match cause {
                    Cause::Cancelled { .. } => OperationStatus::Cancelled,
                    Cause::StepFailed { .. } => OperationStatus::Failed,
                };
                gone && status == right
            }
            _ => false,
        }
    }
}
