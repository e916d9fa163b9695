//! Starts the replication schedule of the group on the array that it runs on. A repeat sees it on. Undo turns it off, unless it was
//! on when the plan was made: then it protects the group, and the operation had nothing to do with it.

use async_trait::async_trait;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};

use super::stop_schedule::Input;
use crate::{attempt, deps::Deps, outcome};

/// Makes the step.
pub struct StartSchedule(pub Deps);

#[async_trait]
impl Step for StartSchedule {
    const KIND: &'static str = "start_schedule";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::outcome);
        match array.set_group_schedule(&input.array_group, true).await {
            Ok(()) => Outcome::done(()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        let group = attempt!(array.group(&input.array_group).await, outcome::found);
        if group.schedule_enabled { Found::present(()) } else { Found::Absent }
    }

    async fn undo(&self, _cx: &StepCx, input: &Input, _output: Option<()>) -> Undo {
        if input.was_on == Some(true) {
            return Undo::Done(None);
        }
        let array = attempt!(input.array.array(&self.0).await, outcome::undo);
        match array.set_group_schedule(&input.array_group, false).await {
            Ok(()) => Undo::Done(None),
            Err(error) => outcome::undo(error),
        }
    }
}
