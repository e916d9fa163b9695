//! Locks a stopped source server (Nova, service role), so that its tenant does not start it while its data moves.
//! Locked from our own project, as an administrator: the tenant cannot undo that. Only after the stop: a locked server refuses a tenant's stop. Undo unlocks, unless it was locked before.

use async_trait::async_trait;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct LockServer(pub Deps);

/// Which server, and how it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Nova id.
    pub server_id: String,
    /// It was locked when the plan was made: undo leaves the lock.
    pub was_locked: bool,
    /// Shown to the tenant.
    pub reason: String,
}

#[async_trait]
impl Step for LockServer {
    const KIND: &'static str = "lock_server";
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
        match cloud.compute().lock_server(&input.server_id, &input.reason).await {
            Ok(()) => Outcome::done(()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let cloud = attempt!(self.0.fabric.service_cloud(input.place.site).await, outcome::found);
        match cloud.compute().server(&input.server_id).await {
            Ok(server) if server.locked => Found::present(()),
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
        match cloud.compute().unlock_server(&input.server_id).await {
            Ok(()) => Undo::Done(None),
            Err(error) => outcome::undo(error),
        }
    }
}
