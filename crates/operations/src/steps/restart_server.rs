//! Starts a server of the primary that a drill had stopped (Nova). A repeat sees ACTIVE. Undo has nothing to do: it runs
//! as it ran before the drill.

use async_trait::async_trait;
use protector_ports::absent_as_none;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct RestartServer(pub Deps);

/// Which server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Nova id.
    pub server_id: String,
}

#[async_trait]
impl Step for RestartServer {
    const KIND: &'static str = "restart_server";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        match self.find(cx, input).await {
            Found::Absent => {}
            other => return outcome::run_as_look(other),
        }
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        match cloud.compute().start_server(&input.server_id).await {
            Ok(()) => Outcome::Pending("the server is being started".into()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        let server = absent_as_none(cloud.compute().server(&input.server_id).await);
        // A server that its tenant has deleted meanwhile needs no start.
        let Some(server) = attempt!(server, outcome::found) else { return Found::present(()) };
        match server.status.as_str() {
            _ if server.task_state.is_some() => Found::Pending(format!(
                "server {} is {}",
                server.name,
                server.task_state.unwrap_or_default()
            )),
            "ACTIVE" => Found::present(()),
            "SHUTOFF" => Found::Absent,
            other => Found::Broken(StepError::new(format!(
                "server {} is {other} and cannot be started; bring it up by hand",
                server.name
            ))),
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}
