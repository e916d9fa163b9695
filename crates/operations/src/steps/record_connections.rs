//! Reads the array connections of a source server's volumes (host and LUN), so that the journal holds them before the
//! fence removes them. Changes nothing; undo has nothing to do.

use async_trait::async_trait;
use protector_types::FencedVolume;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
};

/// Makes the step.
pub struct RecordConnections(pub Deps);

/// Which volumes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Which array.
    pub array: ArrayPlace,
    /// Array volume names.
    pub volumes: Vec<String>,
}

#[async_trait]
impl Step for RecordConnections {
    const KIND: &'static str = "record_connections";
    type Planned = Input;
    type Input = Input;
    type Output = Vec<FencedVolume>;

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<Self::Output> {
        outcome::run_as_look(self.find(cx, input).await)
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<Self::Output> {
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        let reads = input.volumes.iter().map(|volume| {
            let array = &array;
            async move { (volume, array.connections(volume).await) }
        });
        let mut recorded = Vec::with_capacity(input.volumes.len());
        for (volume, connections) in futures::future::join_all(reads).await {
            match connections {
                Ok(connections) => {
                    recorded.push(FencedVolume { volume: volume.clone(), connections })
                }
                Err(error) if error.is_absent() => {
                    return Found::Broken(StepError::new(format!(
                        "array volume {volume} no longer exists"
                    )));
                }
                Err(error) => return outcome::found(error),
            }
        }
        Found::present(recorded)
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<Self::Output>) -> Undo {
        Undo::Done(None)
    }
}
