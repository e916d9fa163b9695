//! Takes the final group snapshot on the source array and sends it at once. The suffix carries the operation, so a
//! repeat finds it. Undo leaves the snapshot: it is a copy, and the retention removes it.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::PortError;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
};

/// Makes the step.
pub struct SnapshotGroup(pub Deps);

/// Which group, under which suffix.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Which array.
    pub array: ArrayPlace,
    /// Name of the array's protection group.
    pub array_group: String,
    /// Of the snapshot.
    pub suffix: String,
}

#[async_trait]
impl Step for SnapshotGroup {
    const KIND: &'static str = "snapshot_group";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::outcome);
        match array.snapshot_group(&input.array_group, &input.suffix).await {
            Ok(()) => Outcome::done(()),
            Err(error @ PortError::Conflict { .. }) => Outcome::Unknown(error.to_string()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        match array.has_group_snapshot(&input.array_group, &input.suffix).await {
            Ok(true) => Found::present(()),
            Ok(false) => Found::Absent,
            Err(error) => outcome::found(error),
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(3)
    }
}
