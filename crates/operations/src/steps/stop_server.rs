//! Stops a source server (Nova). A repeat sees SHUTOFF. Undo starts it again if it ran before, and only once nothing
//! that depends on its being stopped is left: the order of the graph is the rollback barrier.

use async_trait::async_trait;
use protector_ports::PortError;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
    watch::Listing,
};

/// Makes the step.
pub struct StopServer(pub Deps);

/// Which server, and how it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Nova id.
    pub server_id: String,
    /// It was ACTIVE when the plan was made: undo starts it.
    pub was_active: bool,
}

#[async_trait]
impl Step for StopServer {
    const KIND: &'static str = "stop_server";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        if !input.was_active {
            match self.find(cx, input).await {
                Found::Absent => {}
                other => return outcome::run_as_look(other),
            }
        }
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        match cloud.compute().stop_server(&input.server_id).await {
            Ok(()) => {
                self.0.hint(&cx.marker(), &input.server_id);
                Outcome::Pending("the server is being stopped".into())
            }
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<()> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        if let Some(id) = self.0.hinted(&cx.marker()) {
            // It stays ACTIVE until it is SHUTOFF. One wait; then its own look tells a stop that came to nothing.
            let running = Listing::Servers("ACTIVE");
            self.0.watch.still(cx.clock(), &input.place, &cloud, running, &id).await;
            self.0.forget_hint(&cx.marker());
        }
        match cloud.compute().server(&input.server_id).await {
            Ok(server) if server.status == "SHUTOFF" && server.task_state.is_none() => {
                Found::present(())
            }
            Ok(server) if server.task_state.is_some() => Found::Pending(format!(
                "server is {} ({})",
                server.status,
                server.task_state.unwrap_or_default()
            )),
            Ok(server) if server.status == "ACTIVE" => Found::Absent,
            Ok(server) => Found::Broken(StepError::new(format!(
                "server {} is {}; it can be stopped only from ACTIVE",
                server.name, server.status
            ))),
            Err(PortError::Absent { .. }) => Found::Broken(StepError::new(format!(
                "server {} no longer exists; remove the member",
                input.server_id
            ))),
            Err(error) => outcome::found(error),
        }
    }

    async fn undo(&self, _cx: &StepCx, input: &Input, _output: Option<()>) -> Undo {
        if !input.was_active {
            return Undo::Done(None);
        }
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::undo);
        let server = match cloud.compute().server(&input.server_id).await {
            Ok(server) => server,
            Err(PortError::Absent { .. }) => {
                return Undo::Done(Some(
                    "the server no longer exists and was not started again".into(),
                ));
            }
            Err(error) => return outcome::undo(error),
        };
        if server.status == "ACTIVE" && server.task_state.is_none() {
            return Undo::Done(None);
        }
        if server.task_state.is_some() {
            return Undo::Pending(format!("server is {}", server.task_state.unwrap_or_default()));
        }
        if server.status == "ERROR" {
            return Undo::Failed(StepError::new(format!(
                "server {} went to ERROR when it was started again: {}",
                server.name,
                server.fault.unwrap_or_default()
            )));
        }
        match cloud.compute().start_server(&input.server_id).await {
            Ok(()) => Undo::Pending("the server is being started".into()),
            Err(error) => outcome::undo(error),
        }
    }
}
