//! Gives what a step of an earlier operation gave: the planner has looked that it is still there. Touches nothing: what an
//! earlier operation made is not this one's to undo.

use async_trait::async_trait;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Makes the step.
pub struct Recall;

/// What is recalled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The earlier step's output.
    pub output: Value,
    /// The source's id, for the old -> new maps of `result_data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
}

#[async_trait]
impl Step for Recall {
    const KIND: &'static str = "recall";
    type Planned = Input;
    type Input = Input;
    type Output = Value;

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<Value> {
        Outcome::done(input.output.clone())
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<Value> {
        Found::present(input.output.clone())
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<Value>) -> Undo {
        Undo::Done(None)
    }
}
