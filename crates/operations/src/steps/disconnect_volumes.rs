//! Removes the recorded array connections of a stopped and locked source server (the fence): from here on nothing can
//! write to its volumes, whatever Nova is asked. A repeat sees that they are gone. Undo restores exactly the recorded
//! hosts and LUNs: Nova's start does not export again.

use async_trait::async_trait;
use protector_ports::DestroyPermit;
use protector_types::FencedVolume;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
};

/// Makes the step.
pub struct DisconnectVolumes(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// Which array.
    pub array: ArrayPlace,
    /// The step that recorded the connections.
    pub recorded_by: String,
}

/// With the recorded connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Which array.
    pub array: ArrayPlace,
    /// What to remove, and to restore.
    pub volumes: Vec<FencedVolume>,
}

#[async_trait]
impl Step for DisconnectVolumes {
    const KIND: &'static str = "disconnect_volumes";
    type Planned = Planned;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        Ok(Input { array: planned.array, volumes: outputs.get(&planned.recorded_by)? })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::outcome);
        let permit = DestroyPermit::fence(cx.evidence());
        let calls =
            input.volumes.iter().flat_map(|v| v.connections.iter().map(move |c| (v, c))).map(
                |(volume, connection)| {
                    let (array, permit) = (&array, &permit);
                    async move { array.disconnect(&volume.volume, connection, permit).await }
                },
            );
        for result in futures::future::join_all(calls).await {
            attempt!(result, outcome::outcome);
        }
        Outcome::done(())
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        for volume in &input.volumes {
            if !attempt!(array.connections(&volume.volume).await, outcome::found).is_empty() {
                return Found::Absent;
            }
        }
        Found::present(())
    }

    async fn undo(&self, _cx: &StepCx, input: &Input, _output: Option<()>) -> Undo {
        let array = attempt!(input.array.array(&self.0).await, outcome::undo);
        for volume in &input.volumes {
            for connection in &volume.connections {
                attempt!(array.connect(&volume.volume, connection).await, outcome::undo);
            }
        }
        Undo::Done(None)
    }
}
