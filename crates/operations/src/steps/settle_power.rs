//! Stops a recovered server whose original was off (Nova, target). A repeat sees SHUTOFF. Undo has nothing to do: the
//! server itself goes.

use async_trait::async_trait;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct SettlePower(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// Where.
    pub place: Place,
    /// The step that made the server.
    pub server_from: String,
}

/// With the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Nova id.
    pub server_id: String,
}

#[async_trait]
impl Step for SettlePower {
    const KIND: &'static str = "settle_power";
    type Planned = Planned;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        Ok(Input { server_id: outputs.get(&planned.server_from)?, place: planned.place })
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        match cloud.compute().stop_server(&input.server_id).await {
            Ok(()) => Outcome::Pending("the server is being stopped".into()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        let server = attempt!(cloud.compute().server(&input.server_id).await, outcome::found);
        match server.status.as_str() {
            _ if server.task_state.is_some() => {
                Found::Pending("the server is being stopped".into())
            }
            "SHUTOFF" => Found::present(()),
            "ACTIVE" => Found::Absent,
            other => Found::Broken(StepError::new(format!("server {} is {other}", server.name))),
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}
