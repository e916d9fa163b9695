//! What a client sees of an operation, computed from plan and journal by pure functions.

use chrono::{DateTime, Utc};
use protector_types::OperationStatus;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Cause, Definition, Mode, State, Summary};

/// One entry of `steps_failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    /// Public stage name.
    pub stage: String,
    /// Step id.
    pub step: String,
    /// Member by name.
    pub member: Option<String>,
    /// In the service's own words.
    pub error: String,
    /// Transient failures before that.
    pub retries: u32,
}

/// How far one stage is, for a progress display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageView {
    /// Public name.
    pub name: String,
    /// Steps done (or warned, or skipped).
    pub done: usize,
    /// Steps in all.
    pub total: usize,
    /// Steps under way.
    pub running: usize,
}

/// The derived part of an operation's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Status.
    pub status: OperationStatus,
    /// 0-100, never falling.
    pub progress: u8,
    /// Names of the stages that are complete, in order.
    pub steps_completed: Vec<String>,
    /// What failed.
    pub steps_failed: Vec<StepFailure>,
    /// What failed without stopping the operation, and what an undo kept on purpose.
    pub warnings: Vec<String>,
    /// For a person.
    pub error_message: Option<String>,
    /// Per stage.
    pub stages: Vec<StageView>,
}

impl State {
    /// The public status.
    pub fn status(&self) -> OperationStatus {
        match &self.mode {
            Mode::Forward if self.cancel.is_some() => OperationStatus::Cancelling,
            Mode::Forward => OperationStatus::Running,
            // Steps that ran when the request came are waited for.
            Mode::Unwinding(Cause::Cancelled { .. }) if !self.started.is_empty() => {
                OperationStatus::Cancelling
            }
            Mode::Unwinding(_) => OperationStatus::RollingBack,
            Mode::Parked { .. } => OperationStatus::NeedsAttention,
            Mode::Ended(status) => *status,
        }
    }

    /// 0-100, never falling; 100 only on completion.
    pub fn progress(&self) -> u8 {
        self.highest_progress
    }

    /// The sentence for `error_message`.
    pub fn error_message(&self) -> Option<String> {
        if self.mode == Mode::Ended(OperationStatus::Completed) {
            return None;
        }
        if let Some(error) = &self.error {
            return Some(error.clone());
        }
        match &self.mode {
            Mode::Parked { reason, .. } => Some(reason.clone()),
            Mode::Unwinding(cause) => Some(self.explain(cause)),
            _ => None,
        }
    }

    /// A cause in words.
    pub fn explain(&self, cause: &Cause) -> String {
        match cause {
            Cause::Cancelled { by } => format!("Cancelled by {by}"),
            Cause::StepFailed { step } => {
                let index = self.index_of(step);
                let failure = self.failures.iter().find(|f| Some(f.step) == index);
                let stage =
                    index.map_or("?", |i| self.plan.stages[self.plan.steps[i].stage].name.as_str());
                let subject = index.and_then(|i| self.plan.steps[i].subject.as_deref());
                let on = subject.map(|s| format!(" ({s})")).unwrap_or_default();
                match failure {
                    Some(failure) => format!("{stage}{on}: {}", failure.error),
                    None => format!("{stage}{on} failed"),
                }
            }
        }
    }

    /// What failed while the rest went on, in words.
    pub fn explain_isolated(&self) -> String {
        let mut failed = self.isolated.iter();
        let Some(&first) = failed.next() else { return String::new() };
        let cause = Cause::StepFailed { step: self.plan.steps[first].id.clone() };
        let others = match failed.count() {
            0 => String::new(),
            n => format!(" (and {n} more; see steps_failed)"),
        };
        format!("{}{others}", self.explain(&cause))
    }

    /// The names of complete stages: a stage counts once it and all before it are complete.
    pub fn stages_completed(&self) -> Vec<String> {
        self.plan
            .stages
            .iter()
            .enumerate()
            .take_while(|(i, _)| self.settled_per_stage[*i] == self.total_per_stage[*i])
            .map(|(_, stage)| stage.name.clone())
            .collect()
    }

    fn failures(&self) -> Vec<StepFailure> {
        self.failures
            .iter()
            .filter(|f| !f.warning)
            .map(|f| {
                let step = &self.plan.steps[f.step];
                StepFailure {
                    stage: self.plan.stages[step.stage].name.clone(),
                    step: step.id.clone(),
                    member: step.subject.clone(),
                    error: f.error.message.clone(),
                    retries: f.retries,
                }
            })
            .collect()
    }

    fn warnings(&self) -> Vec<String> {
        let named = |step: usize| {
            let step = &self.plan.steps[step];
            step.subject
                .as_ref()
                .map_or_else(|| step.kind.clone(), |s| format!("{} ({s})", step.kind))
        };
        let failed = self
            .failures
            .iter()
            .filter(|f| f.warning)
            .map(|f| format!("{}: {}", named(f.step), f.error));
        let kept = self.notes.iter().map(|(step, note)| format!("{}: {note}", named(*step)));
        let remarks = self.remarks.iter().cloned();
        self.plan.warnings().into_iter().chain(failed).chain(kept).chain(remarks).collect()
    }

    /// Everything that is derived.
    pub fn view(&self) -> View {
        View {
            status: self.status(),
            progress: self.progress(),
            steps_completed: self.stages_completed(),
            steps_failed: self.failures(),
            warnings: self.warnings(),
            error_message: self.error_message(),
            stages: self
                .plan
                .stages
                .iter()
                .enumerate()
                .map(|(i, stage)| StageView {
                    name: stage.name.clone(),
                    done: self.settled_per_stage[i],
                    total: self.total_per_stage[i],
                    running: self.running_per_stage[i],
                })
                .collect(),
        }
    }

    /// `result_data` with what was left on a person's word.
    fn with_left(&self, mut data: Value) -> Value {
        let left = self.left();
        if let (false, Value::Object(map)) = (left.is_empty(), &mut data) {
            map.insert("left".into(), json!(left));
        }
        data
    }

    /// `result_data.leaked`: what the definition knows of, and what the last look found beside it.
    fn with_leaks(&self, mut result_data: Value) -> Value {
        if let (Some(Value::Array(found)), Value::Object(data)) = (&self.leaked, &mut result_data) {
            let leaked = data.entry("leaked").or_insert_with(|| json!([]));
            if let Value::Array(known) = leaked {
                known.extend(found.iter().cloned());
            }
        }
        result_data
    }

    /// What the operation's row repeats.
    pub fn summary(&self, now: DateTime<Utc>, definition: &dyn Definition) -> Summary {
        let view = self.view();
        let at_rest = view.status.is_terminal() || view.status == OperationStatus::NeedsAttention;
        Summary {
            completed_at: view.status.is_terminal().then_some(now),
            result_data: at_rest
                .then(|| self.with_leaks(self.with_left(definition.result_data(self)))),
            view,
        }
    }
}
