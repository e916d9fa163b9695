//! Takes the lock of a fence back (Nova, service role), unless the server was locked before the fence. A repeat sees it
//! unlocked. Undo locks it again.

use async_trait::async_trait;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};

use super::lock_server::Input;
use crate::{attempt, deps::Deps, outcome};

/// Makes the step.
pub struct UnlockServer(pub Deps);

#[async_trait]
impl Step for UnlockServer {
    const KIND: &'static str = "unlock_server";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        if input.was_locked {
            return Outcome::done(());
        }
        let cloud = attempt!(self.0.fabric.service_cloud(input.place.site).await, outcome::outcome);
        match cloud.compute().unlock_server(&input.server_id).await {
            Ok(()) => Outcome::done(()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let cloud = attempt!(self.0.fabric.service_cloud(input.place.site).await, outcome::found);
        match cloud.compute().server(&input.server_id).await {
            Ok(server) if !server.locked || input.was_locked => Found::present(()),
            Ok(_) => Found::Absent,
            Err(error) if error.is_absent() => Found::Broken(StepError::new(format!(
                "server {} no longer exists",
                input.server_id
            ))),
            Err(error) => outcome::found(error),
        }
    }

    async fn undo(&self, _cx: &StepCx, input: &Input, _output: Option<()>) -> Undo {
        if input.was_locked {
            return Undo::Done(None);
        }
        let cloud = attempt!(self.0.fabric.service_cloud(input.place.site).await, outcome::undo);
        match cloud.compute().lock_server(&input.server_id, &input.reason).await {
            Ok(()) => Undo::Done(None),
            Err(error) => outcome::undo(error),
        }
    }
}
