//! The state of an operation, folded from its journal, and the pure decision on what comes next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use protector_types::OperationStatus;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EntryKind, OnFailure, Outputs, Plan, StepError};

/// Why everything is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A step failed for good.
    StepFailed {
        /// Which.
        step: String,
    },
    /// A user asked.
    Cancelled {
        /// Who.
        by: String,
    },
}

/// Where one step stands.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// Not begun: certainly nothing of it exists.
    Waiting,
    /// Intent committed, outcome unknown.
    Started {
        /// From 1.
        attempt: u32,
        /// End of patience.
        deadline_at: DateTime<Utc>,
    },
    /// Verified.
    Done,
    /// Failed for good; its undo will run.
    Failed,
    /// Failed, and the operation goes on.
    Warned,
    /// Never to run: a step of its branch failed, and only that branch ends.
    Cut,
    /// Taken out by a person.
    Skipped,
    /// Undo under way.
    Undoing,
    /// Nothing of it is left.
    Undone,
    /// Could not be undone.
    UndoFailed,
}

/// Where the operation stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    /// Towards its goal.
    Forward,
    /// Back.
    Unwinding(Cause),
    /// Waits for a person; `unwinding` tells which way it was going.
    Parked {
        /// What is wrong.
        reason: String,
        /// What it was doing, if undoing.
        unwinding: Option<Cause>,
    },
    /// Terminal.
    Ended(OperationStatus),
}

/// One failure, for `steps_failed`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub step: usize,
    pub error: StepError,
    pub retries: u32,
    pub warning: bool,
}

/// The fold of plan and journal. Applying an entry costs O(neighbours of its step), never O(plan).
#[derive(Clone)]
pub struct State {
    pub(crate) plan: Arc<Plan>,
    index: BTreeMap<String, usize>,
    dependents: Vec<Vec<usize>>,
    pub(crate) needs: Vec<Vec<usize>>,
    waiting_for: Vec<usize>,
    pub(crate) steps: Vec<StepState>,
    pub(crate) inputs: Vec<Option<Arc<Value>>>,
    intent_seq: Vec<u64>,
    outputs: Outputs,
    /// May start: all that they need is settled.
    pub(crate) ready: BTreeSet<usize>,
    /// Intent without outcome.
    pub(crate) started: BTreeSet<usize>,
    /// Those of `started` that cannot be taken back.
    pub(crate) no_return_started: usize,
    /// Counted in `settled_per_stage`.
    settled: Vec<bool>,
    /// Per step: dependents of which something may be left.
    left_dependents: Vec<usize>,
    /// Something may be left, nothing that depends on it (or its branch has ended), and its undo has not failed.
    pub(crate) undoable: BTreeSet<usize>,
    /// Engines that took the operation so far.
    claims: u32,
    /// Per step: `claims` when its undo was begun, or when a person let it go on.
    undo_since: Vec<u32>,
    /// Begun before a person let the operation go on: they get fresh patience.
    renewed: BTreeSet<usize>,
    /// Left as they are on a person's word.
    left_behind: BTreeSet<usize>,
    /// Failed for their own branch only.
    pub(crate) isolated: BTreeSet<usize>,
    /// A person wants it taken back, as soon as that is possible.
    pub(crate) cancel: Option<Cause>,
    /// Ids of the requests that the journal has.
    pub(crate) answered: BTreeSet<String>,
    /// A person gave up the rest: who, and why.
    pub(crate) abandoned: Option<(String, String)>,
    /// What a person should know that is about no step.
    pub(crate) remarks: Vec<String>,
    pub(crate) running_per_stage: Vec<usize>,
    pub(crate) settled_per_stage: Vec<usize>,
    pub(crate) total_per_stage: Vec<usize>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) notes: Vec<(usize, String)>,
    pub(crate) undo_failures: Vec<(usize, StepError)>,
    pub(crate) highest_progress: u8,
    pub(crate) error: Option<String>,
    pub(crate) unsettled: usize,
    pub(crate) mode: Mode,
    pub(crate) past_no_return: bool,
    last_seq: u64,
}

impl State {
    /// The state before the first entry. The plan must be valid.
    pub fn new(plan: Arc<Plan>) -> Self {
        let count = plan.steps.len();
        let index: BTreeMap<String, usize> =
            plan.steps.iter().enumerate().map(|(i, s)| (s.id.clone(), i)).collect();
        let mut dependents = vec![Vec::new(); count];
        let mut needs = vec![Vec::new(); count];
        for (position, step) in plan.steps.iter().enumerate() {
            let unique: BTreeSet<usize> =
                step.after.iter().filter_map(|id| index.get(id).copied()).collect();
            for &dependency in &unique {
                dependents[dependency].push(position);
            }
            needs[position] = unique.into_iter().collect();
        }
        let waiting_for: Vec<usize> = needs.iter().map(Vec::len).collect();
        let ready = (0..count).filter(|&s| waiting_for[s] == 0).collect();
        let mut total_per_stage = vec![0; plan.stages.len()];
        for step in &plan.steps {
            total_per_stage[step.stage] += 1;
        }
        Self {
            index,
            dependents,
            needs,
            waiting_for,
            steps: vec![StepState::Waiting; count],
            inputs: vec![None; count],
            intent_seq: vec![0; count],
            outputs: Outputs::default(),
            ready,
            started: BTreeSet::new(),
            no_return_started: 0,
            settled: vec![false; count],
            left_dependents: vec![0; count],
            undoable: BTreeSet::new(),
            claims: 0,
            undo_since: vec![0; count],
            renewed: BTreeSet::new(),
            left_behind: BTreeSet::new(),
            isolated: BTreeSet::new(),
            cancel: None,
            answered: BTreeSet::new(),
            abandoned: None,
            remarks: Vec::new(),
            running_per_stage: vec![0; plan.stages.len()],
            settled_per_stage: vec![0; plan.stages.len()],
            total_per_stage,
            failures: Vec::new(),
            notes: Vec::new(),
            undo_failures: Vec::new(),
            highest_progress: 0,
            error: None,
            unsettled: count,
            mode: Mode::Forward,
            past_no_return: false,
            last_seq: 0,
            plan,
        }
    }

    /// The state after these entries.
    pub fn fold<'a>(
        plan: Arc<Plan>,
        entries: impl IntoIterator<Item = (u64, &'a EntryKind)>,
    ) -> Self {
        let mut state = Self::new(plan);
        for (seq, entry) in entries {
            state.apply(seq, entry);
        }
        state
    }

    /// Index of a step.
    pub fn index_of(&self, step: &str) -> Option<usize> {
        self.index.get(step).copied()
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Outputs of the steps that are done.
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// Where a step stands.
    pub fn step(&self, index: usize) -> &StepState {
        &self.steps[index]
    }

    /// The resolved input of a started step.
    pub fn input(&self, index: usize) -> Option<&Arc<Value>> {
        self.inputs[index].as_ref()
    }

    /// Number of the entry that holds the step's intent.
    pub fn intent_seq(&self, index: usize) -> u64 {
        self.intent_seq[index]
    }

    /// Where the operation stands.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// The number of the last entry applied.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// How many engines have taken this step's undo over since it was begun, or since a person let it go on.
    pub fn undo_takeovers(&self, index: usize) -> u32 {
        self.claims.saturating_sub(self.undo_since[index])
    }

    /// True if a person let the operation go on after this step's run was begun: it gets fresh patience.
    pub fn is_renewed(&self, index: usize) -> bool {
        self.renewed.contains(&index)
    }

    /// Undos that did not work and were not tried again since: what they should have removed is still there.
    pub fn undo_failures(&self) -> impl Iterator<Item = (usize, &StepError)> {
        self.undo_failures.iter().map(|(step, error)| (*step, error))
    }

    /// What undos kept on purpose, in words.
    pub fn notes(&self) -> impl Iterator<Item = (usize, &str)> {
        self.notes.iter().map(|(step, note)| (*step, note.as_str()))
    }

    /// True if a person left what the step made as it is.
    pub fn is_left_behind(&self, index: usize) -> bool {
        self.left_behind.contains(&index)
    }

    /// True if the way forward no longer waits for this step.
    pub(crate) fn is_settled(&self, index: usize) -> bool {
        self.settled[index]
    }

    /// True once a step that cannot be taken back is done.
    pub fn past_no_return(&self) -> bool {
        self.past_no_return
    }

    /// True while a step that cannot be taken back may or may not have had its effect.
    pub fn no_return_under_way(&self) -> bool {
        self.no_return_started > 0
    }

    /// Applies one entry. Entries about unknown steps are ignored: a newer engine may have written them.
    pub fn apply(&mut self, seq: u64, entry: &EntryKind) {
        self.last_seq = self.last_seq.max(seq);
        match entry {
            EntryKind::Claimed { .. } => self.claims += 1,
            EntryKind::Started { step, attempt, input, deadline_at } => {
                self.at(step, |state, i| state.start(i, seq, *attempt, input, *deadline_at));
            }
            EntryKind::Done { step, output, .. } => self.at(step, |state, i| {
                state.outputs.0.insert(state.plan.steps[i].id.clone(), Arc::new(output.clone()));
                state.settle(i, StepState::Done);
                if state.plan.steps[i].no_return {
                    state.pass_no_return();
                }
            }),
            EntryKind::Failed { step, error, retries, warning } => self.at(step, |state, i| {
                state.failures.push(Failure {
                    step: i,
                    error: error.clone(),
                    retries: *retries,
                    warning: *warning,
                });
                if *warning {
                    state.settle(i, StepState::Warned);
                } else if state.on_failure(i) == OnFailure::Isolate && state.mode == Mode::Forward {
                    state.isolate(i);
                } else {
                    state.ready.remove(&i);
                    state.turn(i, StepState::Failed);
                }
            }),
            EntryKind::RollbackBegan { cause } => {
                self.mode = Mode::Unwinding(cause.clone());
                self.cancel = None;
                self.ready.clear();
            }
            EntryKind::UndoStarted { step } => self.at(step, |state, i| {
                state.undo_since[i] = state.claims;
                state.turn(i, StepState::Undoing);
            }),
            EntryKind::Undone { step, note } => self.at(step, |state, i| {
                state.turn(i, StepState::Undone);
                if let Some(note) = note {
                    state.notes.push((i, note.clone()));
                }
            }),
            EntryKind::UndoFailed { step, error } => self.at(step, |state, i| {
                state.turn(i, StepState::UndoFailed);
                state.undo_failures.push((i, error.clone()));
            }),
            EntryKind::Parked { reason, .. } => self.park(reason),
            EntryKind::Asked { request, refused } => self.asked(request, refused.as_deref()),
            EntryKind::Resumed { .. } => self.resume(),
            EntryKind::Skipped { step, .. } => self.at(step, Self::skip),
            EntryKind::Ended { status, error } => {
                self.mode = Mode::Ended(*status);
                self.error.clone_from(error);
            }
        }
        self.highest_progress = self.highest_progress.max(self.raw_progress());
    }

    fn at(&mut self, step: &str, change: impl FnOnce(&mut Self, usize)) {
        if let Some(&index) = self.index.get(step) {
            change(self, index);
        }
    }

    fn start(
        &mut self,
        index: usize,
        seq: u64,
        attempt: u32,
        input: &Value,
        deadline_at: DateTime<Utc>,
    ) {
        self.ready.remove(&index);
        self.renewed.remove(&index);
        self.intent_seq[index] = seq;
        let fresh = self.inputs[index].replace(Arc::new(input.clone())).is_none();
        if fresh {
            self.count_left(index, true);
        }
        self.turn(index, StepState::Started { attempt, deadline_at });
    }

    /// Something of the step may exist.
    pub(crate) fn is_left(&self, index: usize) -> bool {
        self.inputs[index].is_some()
            && self.steps[index] != StepState::Undone
            && !self.left_behind.contains(&index)
    }

    /// The one place where a step's state changes: keeps all that is counted.
    fn turn(&mut self, index: usize, to: StepState) {
        let was_left = self.is_left(index);
        self.count(index, false);
        self.steps[index] = to;
        self.count(index, true);
        let left = self.is_left(index);
        if left != was_left {
            self.count_left(index, left);
        }
        self.refresh_undoable(index);
    }

    fn count(&mut self, index: usize, add: bool) {
        let step = &self.plan.steps[index];
        let bump = |n: &mut usize| *n = if add { *n + 1 } else { n.saturating_sub(1) };
        match self.steps[index] {
            StepState::Started { .. } => {
                bump(&mut self.running_per_stage[step.stage]);
                if step.no_return {
                    bump(&mut self.no_return_started);
                }
                if add {
                    self.started.insert(index);
                } else {
                    self.started.remove(&index);
                }
            }
            StepState::Undoing => bump(&mut self.running_per_stage[step.stage]),
            _ => {}
        }
    }

    fn count_left(&mut self, index: usize, add: bool) {
        for position in 0..self.needs[index].len() {
            let need = self.needs[index][position];
            let count = &mut self.left_dependents[need];
            *count = if add { *count + 1 } else { count.saturating_sub(1) };
            self.refresh_undoable(need);
        }
    }

    fn refresh_undoable(&mut self, index: usize) {
        // What goes on without a failed branch does not hang on what that branch made.
        let free = self.left_dependents[index] == 0 || self.isolated.contains(&index);
        let undoable = free && self.is_left(index) && self.steps[index] != StepState::UndoFailed;
        if undoable {
            self.undoable.insert(index);
        } else {
            self.undoable.remove(&index);
        }
    }

    /// True on the way back, also while it waits for a person there.
    pub fn is_going_back(&self) -> bool {
        matches!(self.mode, Mode::Unwinding(_) | Mode::Parked { unwinding: Some(_), .. })
    }

    fn settle(&mut self, index: usize, to: StepState) {
        self.turn(index, to);
        self.ready.remove(&index);
        if std::mem::replace(&mut self.settled[index], true) {
            return;
        }
        self.unsettled -= 1;
        self.settled_per_stage[self.plan.steps[index].stage] += 1;
        for position in 0..self.dependents[index].len() {
            let dependent = self.dependents[index][position];
            self.waiting_for[dependent] -= 1;
            // While it is parked, a person may skip a step: what waited for it starts after the resumption.
            if self.waiting_for[dependent] == 0
                && self.steps[dependent] == StepState::Waiting
                && !self.is_going_back()
            {
                self.ready.insert(dependent);
            }
        }
    }

    /// The branch of a failed step ends: what needs it for the same subject is settled without having run.
    fn isolate(&mut self, index: usize) {
        self.isolated.insert(index);
        self.settle(index, StepState::Failed);
        let plan = self.plan.clone();
        let subject = &plan.steps[index].subject;
        let mut ended = vec![index];
        while let Some(at) = ended.pop() {
            for position in 0..self.dependents[at].len() {
                let dependent = self.dependents[at][position];
                if subject.is_some()
                    && plan.steps[dependent].subject == *subject
                    && self.steps[dependent] == StepState::Waiting
                {
                    self.settle(dependent, StepState::Cut);
                    ended.push(dependent);
                }
            }
        }
    }

    /// On the way forward the step is taken out of the plan; whatever was made of it still goes in a rollback. On the
    /// way back it is left as it is.
    fn skip(&mut self, index: usize) {
        if self.is_going_back() {
            let was_left = self.is_left(index);
            self.left_behind.insert(index);
            if was_left {
                self.count_left(index, false);
            }
            self.turn(index, StepState::Skipped);
            self.undo_failures.retain(|(step, _)| *step != index);
        } else if !self.settled[index] {
            self.settle(index, StepState::Skipped);
        }
    }

    fn park(&mut self, reason: &str) {
        let unwinding = match &self.mode {
            Mode::Unwinding(cause) => Some(cause.clone()),
            _ => None,
        };
        self.mode = Mode::Parked { reason: reason.to_owned(), unwinding };
    }

    /// A person said "go on": what failed is tried again.
    fn resume(&mut self) {
        let Mode::Parked { unwinding, .. } = &self.mode else { return };
        self.mode = unwinding.clone().map_or(Mode::Forward, Mode::Unwinding);
        self.undo_failures.clear();
        for index in 0..self.steps.len() {
            match self.steps[index] {
                StepState::UndoFailed | StepState::Undoing => {
                    // The next engine's claim is not a takeover.
                    self.undo_since[index] = self.claims + 1;
                    self.turn(index, StepState::Undoing);
                }
                StepState::Started { .. } => {
                    self.renewed.insert(index);
                }
                StepState::Failed
                    if self.mode == Mode::Forward && !self.isolated.contains(&index) =>
                {
                    self.failures.retain(|f| f.step != index || f.warning);
                    self.turn(index, StepState::Waiting);
                    self.ready.insert(index);
                }
                _ => {}
            }
        }
    }
}
