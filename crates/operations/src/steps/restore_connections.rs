//! Takes a fence back on the array: exactly the recorded hosts and LUNs, because Nova's start does not export again. A
//! repeat sees them. Undo removes them again, once the server is off.

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
pub struct RestoreConnections(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// Which array.
    pub array: ArrayPlace,
    /// What the fence's record says.
    pub volumes: Vec<FencedVolume>,
    /// The step that recorded it, if it was this operation.
    pub recorded_by: Option<String>,
}

/// Complete.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Which array.
    pub array: ArrayPlace,
    /// What to restore.
    pub volumes: Vec<FencedVolume>,
}

#[async_trait]
impl Step for RestoreConnections {
    const KIND: &'static str = "restore_connections";
    type Planned = Planned;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let volumes = match &planned.recorded_by {
            Some(step) => outputs.get(step)?,
            None => planned.volumes,
        };
        Ok(Input { array: planned.array, volumes })
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::outcome);
        for volume in &input.volumes {
            for connection in &volume.connections {
                attempt!(array.connect(&volume.volume, connection).await, outcome::outcome);
            }
        }
        Outcome::done(())
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        for volume in &input.volumes {
            let there = attempt!(array.connections(&volume.volume).await, outcome::found);
            if volume.connections.iter().any(|wanted| !there.contains(wanted)) {
                return Found::Absent;
            }
        }
        Found::present(())
    }

    async fn undo(&self, cx: &StepCx, input: &Input, _output: Option<()>) -> Undo {
        let array = attempt!(input.array.array(&self.0).await, outcome::undo);
        let permit = DestroyPermit::fence(cx.evidence());
        for volume in &input.volumes {
            for connection in &volume.connections {
                let gone = array.disconnect(&volume.volume, connection, &permit).await;
                attempt!(gone, outcome::undo);
            }
        }
        Undo::Done(None)
    }
}
