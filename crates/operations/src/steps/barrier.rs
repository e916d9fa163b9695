//! Joins branches of the graph: done as soon as everything before it is done. Touches nothing.

use async_trait::async_trait;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};

/// Makes the step.
pub struct Barrier;

#[async_trait]
impl Step for Barrier {
    const KIND: &'static str = "barrier";
    type Planned = ();
    type Input = ();
    type Output = ();

    fn resolve(&self, (): (), _outputs: &Outputs) -> Result<(), StepError> {
        Ok(())
    }

    async fn run(&self, _cx: &StepCx, (): &()) -> Outcome<()> {
        Outcome::done(())
    }

    async fn find(&self, _cx: &StepCx, (): &()) -> Found<()> {
        Found::present(())
    }

    async fn undo(&self, _cx: &StepCx, (): &(), _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}
