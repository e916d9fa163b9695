//! Fails with the planner's words: the one step of an operation that was accepted before it could be planned, and whose
//! plan was refused. Touches nothing.

use async_trait::async_trait;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};

/// Makes the step.
pub struct Refuse;

#[async_trait]
impl Step for Refuse {
    const KIND: &'static str = "refuse";
    type Planned = String;
    type Input = String;
    type Output = ();

    fn resolve(&self, planned: String, _outputs: &Outputs) -> Result<String, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &String) -> Outcome<()> {
        Outcome::Failed(StepError::new(input.clone()))
    }

    async fn find(&self, _cx: &StepCx, input: &String) -> Found<()> {
        Found::Broken(StepError::new(input.clone()))
    }

    async fn undo(&self, _cx: &StepCx, _input: &String, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}
