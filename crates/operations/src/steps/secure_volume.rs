//! Takes a safety snapshot of a volume (array) before its content is replaced (law 1): no retention of the array removes
//! it, our books name it until its time has passed. Its suffix carries the operation, so a repeat finds it. Undo destroys
//! it, after the content was put back.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::{DestroyPermit, PortError};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
};

/// Makes the step.
pub struct SecureVolume(pub Deps);

/// Which volume.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Which array.
    pub array: ArrayPlace,
    /// Array volume.
    pub volume: String,
    /// Of the snapshot.
    pub suffix: String,
}

impl Input {
    /// The snapshot's full name.
    pub fn snapshot(&self) -> String {
        format!("{}.{}", self.volume, self.suffix)
    }
}

#[async_trait]
impl Step for SecureVolume {
    const KIND: &'static str = "secure_volume";
    type Planned = Input;
    type Input = Input;
    /// Full name of the snapshot.
    type Output = String;

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<String> {
        let array = attempt!(input.array.array(&self.0).await, outcome::outcome);
        match array.snapshot_volume(&input.volume, &input.suffix).await {
            Ok(()) => Outcome::done(input.snapshot()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<String> {
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        match array.has_volume_snapshot(&input.snapshot()).await {
            Ok(true) => Found::present(input.snapshot()),
            Ok(false) => Found::Absent,
            Err(error) => outcome::found(error),
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, _output: Option<String>) -> Undo {
        let array = attempt!(input.array.array(&self.0).await, outcome::undo);
        let permit = DestroyPermit::made_by(cx.evidence());
        match array.destroy_volume_snapshot(&input.snapshot(), &permit).await {
            Ok(()) | Err(PortError::Absent { .. }) => Undo::Done(None),
            Err(error) => outcome::undo(error),
        }
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(4)
    }
}
