//! Reads a source server once more before the point of no return: one that is not SHUTOFF and disconnected fails the
//! operation, because it may have written what the target does not have. Changes nothing; undo has nothing to do.

use async_trait::async_trait;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps, Place},
    outcome,
};

/// Makes the step.
pub struct VerifySource(pub Deps);

/// Which server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Nova id.
    pub server_id: String,
    /// The source's array.
    pub array: ArrayPlace,
    /// Its array volumes.
    pub volumes: Vec<String>,
}

#[async_trait]
impl Step for VerifySource {
    const KIND: &'static str = "verify_source";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        outcome::run_as_look(self.find(cx, input).await)
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        let connections = input.volumes.iter().map(|v| array.connections(v));
        let (server, connections) = futures::join!(
            cloud.compute().server(&input.server_id),
            futures::future::join_all(connections)
        );
        let server = attempt!(server, outcome::found);
        if server.status != "SHUTOFF" {
            return Found::Broken(StepError::new(format!(
                "source server {} is {} although it was stopped: somebody started it; nothing is switched over",
                server.name, server.status
            )));
        }
        for (volume, connections) in input.volumes.iter().zip(connections) {
            if !attempt!(connections, outcome::found).is_empty() {
                return Found::Broken(StepError::new(format!(
                    "array volume {volume} of source server {} is connected again; nothing is switched over",
                    server.name
                )));
            }
        }
        Found::present(())
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}
