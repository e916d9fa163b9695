//! What a person asks of an operation while it lives, and the pure answer to it. A request is kept with the operation
//! until the journal has it, together with what came of it: none is lost, and none is answered twice.

use protector_types::{DomainEffect, OperationStatus};
use serde::{Deserialize, Serialize};

use crate::{Cause, Definition, EntryKind, Mode, State, StepState};

/// A request, as it waits beside the operation and as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Unique: a request that the journal has is not answered again.
    pub id: String,
    /// Who asks.
    pub by: String,
    /// For what.
    pub ask: Ask,
}

/// The ways out of an operation that runs or is parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Stop and undo. While a step that cannot be taken back is under way its outcome decides first.
    Cancel,
    /// Go on; what failed is tried again.
    Retry,
    /// Go on without one step.
    Skip {
        /// Step id.
        step: String,
        /// Why.
        reason: String,
        /// Also where a server may write that should not.
        force: bool,
    },
    /// Leave everything as it is and end.
    Abandon {
        /// Why.
        reason: String,
    },
}

impl Ask {
    /// The action's key.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Skip { .. } => "skip",
            Self::Abandon { .. } => "abandon",
        }
    }
}

/// What a step that is not undone, or is left out, leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfLeft {
    /// Nothing, or things that nobody writes to: volumes, ports, snapshots. It is not in doubt who runs the group.
    Things,
    /// Done, it keeps a server from writing; left out, that server may write.
    Fence,
    /// Done, a server runs or may run; left behind, it may write.
    Writer,
}

/// A step that an abandoned operation, or a skip on the way back, left as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftStep {
    /// Step id.
    pub step: String,
    /// What it does.
    pub kind: String,
    /// Public stage name.
    pub stage: String,
    /// Member by name.
    pub member: Option<String>,
    /// `done`, `unknown`, `failed`, `not_undone`, `not_run`.
    pub state: String,
}

impl State {
    /// What comes of a request, as journal entries: the request itself with the reason if it is refused, then what it
    /// leads to. Nothing for a request that the journal has.
    pub fn answer(&self, request: &Request, definition: &dyn Definition) -> Vec<EntryKind> {
        if self.answered.contains(&request.id) {
            return Vec::new();
        }
        let (refused, leads_to) = match self.judge(request, definition) {
            Ok(leads_to) => (None, leads_to),
            Err(why) => (Some(why), Vec::new()),
        };
        let asked = EntryKind::Asked { request: request.clone(), refused };
        std::iter::once(asked).chain(leads_to).collect()
    }

    /// A person's request is in the journal.
    pub(crate) fn asked(&mut self, request: &Request, refused: Option<&str>) {
        self.answered.insert(request.id.clone());
        if let Some(why) = refused {
            let (word, by) = (request.ask.word(), &request.by);
            self.remarks.push(format!("{word} by {by} came to nothing: {why}"));
            return;
        }
        match &request.ask {
            Ask::Cancel if !self.is_going_back() => {
                self.cancel = Some(Cause::Cancelled { by: request.by.clone() });
            }
            Ask::Abandon { reason } => {
                self.abandoned = Some((request.by.clone(), reason.clone()));
            }
            Ask::Cancel | Ask::Retry | Ask::Skip { .. } => {}
        }
    }

    /// From here on it only goes forward: a request to cancel that waited for this step's outcome is void.
    pub(crate) fn pass_no_return(&mut self) {
        self.past_no_return = true;
        if let Some(Cause::Cancelled { by }) = self.cancel.take() {
            self.remarks.push(format!(
                "cancel by {by} came to nothing: a step that cannot be taken back was under way, and was done"
            ));
        }
    }

    /// For who only wants to know: why a request would be refused.
    ///
    /// # Errors
    /// The reason, for a person.
    pub fn would_refuse(
        &self,
        request: &Request,
        definition: &dyn Definition,
    ) -> Result<(), String> {
        self.judge(request, definition).map(|_| ())
    }

    fn judge(
        &self,
        request: &Request,
        definition: &dyn Definition,
    ) -> Result<Vec<EntryKind>, String> {
        if let Mode::Ended(status) = &self.mode {
            return Err(format!("the operation has ended: {status}"));
        }
        match &request.ask {
            Ask::Cancel => self.judge_cancel(&request.by),
            Ask::Retry => {
                self.must_be_parked("retry")?;
                Ok(vec![EntryKind::Resumed { by: request.by.clone() }])
            }
            Ask::Skip { step, reason, force } => {
                self.must_be_parked("skip")?;
                self.may_skip(step, *force, definition)?;
                let (step, reason, by) = (step.clone(), reason.clone(), request.by.clone());
                let skipped = EntryKind::Skipped { step, reason, by };
                Ok(vec![skipped, EntryKind::Resumed { by: request.by.clone() }])
            }
            Ask::Abandon { reason } => {
                self.must_be_parked("abandon")?;
                let parked = self.error_message().unwrap_or_default();
                let error = format!("Abandoned by {}: {reason}. Before that: {parked}", request.by);
                let status = OperationStatus::Failed;
                Ok(vec![EntryKind::Ended { status, error: Some(error), leaked: None }])
            }
        }
    }

    fn judge_cancel(&self, by: &str) -> Result<Vec<EntryKind>, String> {
        if self.past_no_return {
            let step = self.no_return_done().unwrap_or_default();
            return Err(format!(
                "the point of no return has passed ({step} is done): from here on it only goes forward. When it has \
                 ended, the next operation of the group leads back"
            ));
        }
        match &self.mode {
            Mode::Parked { unwinding: Some(_), .. } => Err(
                "it is being undone already and waits for a person: `retry` tries again, `skip` leaves one step, \
                 `abandon` leaves the rest"
                    .into(),
            ),
            Mode::Unwinding(Cause::StepFailed { step }) => {
                Err(format!("it is being undone already, because {step} failed"))
            }
            Mode::Parked { unwinding: None, .. } if self.no_return_under_way() => {
                Ok(vec![EntryKind::Resumed { by: by.to_owned() }])
            }
            Mode::Parked { unwinding: None, .. } => {
                let cause = Cause::Cancelled { by: by.to_owned() };
                Ok(vec![EntryKind::RollbackBegan { cause }])
            }
            // Running: the executor turns around as soon as it may. Asked twice: nothing more to do.
            Mode::Forward | Mode::Unwinding(Cause::Cancelled { .. }) | Mode::Ended(_) => {
                Ok(Vec::new())
            }
        }
    }

    fn must_be_parked(&self, word: &str) -> Result<(), String> {
        match self.mode {
            Mode::Parked { .. } => Ok(()),
            _ => Err(format!(
                "it is {}: `{word}` is for an operation that waits for a person (needs_attention)",
                self.status()
            )),
        }
    }

    fn may_skip(&self, step: &str, force: bool, definition: &dyn Definition) -> Result<(), String> {
        let Some(index) = self.index_of(step) else {
            return Err(format!("there is no step {step:?} in its plan; `events` names the steps"));
        };
        let back = self.is_going_back();
        let open = if back { self.is_left(index) } else { !self.is_settled(index) };
        if !open {
            let why = if back { "nothing of it is left to be undone" } else { "it is settled" };
            return Err(format!("step {step} cannot be skipped: {why}"));
        }
        let kind = self.plan.steps[index].kind.as_str();
        let danger = match (definition.if_left(kind), back) {
            (IfLeft::Writer, true) => {
                "a server that this operation made or started may still run, and the servers that it stopped are \
                 started again without waiting for that one (the rollback barrier)"
            }
            (IfLeft::Fence, false) => {
                "a server that should be stopped and disconnected may still write"
            }
            _ => return Ok(()),
        };
        if force {
            return Ok(());
        }
        Err(format!("step {step} cannot be skipped without force: {danger}"))
    }

    /// The step that cannot be taken back and is done.
    fn no_return_done(&self) -> Option<&str> {
        let steps = self.plan.steps.iter().enumerate();
        let mut done = steps.filter(|(i, s)| s.no_return && self.steps[*i] == StepState::Done);
        done.next().map(|(_, step)| step.id.as_str())
    }

    /// Something of the step may exist: it was begun and not undone, whoever may have left it.
    pub fn may_be_left(&self, index: usize) -> bool {
        self.is_left(index) || self.is_left_behind(index)
    }

    /// What was left on a person's word: all that is open in an abandoned operation, and what was skipped on the way
    /// back.
    pub fn left(&self) -> Vec<LeftStep> {
        let abandoned = self.abandoned.is_some();
        let forward_only = self.past_no_return;
        (0..self.steps.len())
            .filter(|&index| {
                let open = match forward_only {
                    true => !self.is_settled(index),
                    false => self.is_left(index),
                };
                self.is_left_behind(index) || (abandoned && open)
            })
            .map(|index| self.left_step(index))
            .collect()
    }

    fn left_step(&self, index: usize) -> LeftStep {
        let planned = &self.plan.steps[index];
        let state = match self.steps[index] {
            StepState::Waiting => "not_run",
            StepState::Started { .. } => "unknown",
            StepState::Done => "done",
            StepState::Failed | StepState::Warned => "failed",
            _ => "not_undone",
        };
        LeftStep {
            step: planned.id.clone(),
            kind: planned.kind.clone(),
            stage: self.plan.stages[planned.stage].name.clone(),
            member: planned.subject.clone(),
            state: state.to_owned(),
        }
    }

    /// Who abandoned the operation, and why.
    pub fn abandoned(&self) -> Option<(&str, &str)> {
        self.abandoned.as_ref().map(|(by, reason)| (by.as_str(), reason.as_str()))
    }

    /// Domain changes of an operation that is abandoned now: those of a complete rollback if nothing that is left puts
    /// into doubt who runs the group, else none.
    pub fn proven_origin<D: Definition + ?Sized>(&self, definition: &D) -> Vec<DomainEffect> {
        let doubtful = |step: &LeftStep| definition.if_left(&step.kind) != IfLeft::Things;
        if self.past_no_return || self.left().iter().any(doubtful) {
            return Vec::new();
        }
        definition.on_end(&self.plan, OperationStatus::Failed, true)
    }
}
