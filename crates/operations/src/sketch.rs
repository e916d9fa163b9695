//! A plan while it is being laid out.

use protector_workflow::{OnFailure, PlannedStep};
use serde::Serialize;
use serde_json::{Value, json};

/// How long a step may take unless its plan says otherwise.
const DEADLINE_SEC: u64 = 900;

/// Steps in preference order.
#[derive(Debug, Default)]
pub struct Sketch {
    steps: Vec<PlannedStep>,
}

impl Sketch {
    /// One more step; what is unusual about it is set on the result.
    pub fn add(
        &mut self,
        id: &str,
        kind: &str,
        stage: usize,
        after: Vec<String>,
        input: impl Serialize,
    ) -> &mut PlannedStep {
        self.steps.push(PlannedStep {
            id: id.to_owned(),
            kind: kind.to_owned(),
            stage,
            after,
            input: serde_json::to_value(input).unwrap_or_default(),
            subject: None,
            deadline_sec: DEADLINE_SEC,
            no_return: false,
            on_failure: OnFailure::Rollback,
        });
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    /// The same, for a member.
    pub fn add_for(
        &mut self,
        member: &str,
        id: &str,
        kind: &str,
        stage: usize,
        after: Vec<String>,
        input: impl Serialize,
    ) -> &mut PlannedStep {
        let step = self.add(id, kind, stage, after, input);
        step.subject = Some(member.to_owned());
        step
    }

    /// Changes a step that stands already.
    pub fn change(&mut self, id: &str, change: impl FnOnce(&mut PlannedStep)) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.id == id) {
            change(step);
        }
    }

    /// The step `id` also waits for another one.
    pub fn also_after(&mut self, id: &str, other: &str) {
        self.change(id, |step| step.after.push(other.to_owned()));
    }

    /// One step instead of many times many edges.
    pub fn barrier(&mut self, id: &str, stage: usize, after: Vec<String>) {
        self.add(id, "barrier", stage, after, Value::Null);
    }

    /// What was laid out so far, to set what differs.
    pub fn steps_mut(&mut self) -> impl Iterator<Item = &mut PlannedStep> {
        self.steps.iter_mut()
    }

    /// The steps, for a plan.
    pub fn into_steps(self) -> Vec<PlannedStep> {
        self.steps
    }
}

/// The source's id beside the step's own input, for the old -> new maps of `result_data`.
pub fn with_source(input: &impl Serialize, source_id: &str) -> Value {
    let mut value = serde_json::to_value(input).unwrap_or_default();
    value["source_id"] = json!(source_id);
    value
}
