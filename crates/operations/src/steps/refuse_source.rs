//! Tells the target array to take no more snapshots of the source's group (`allowed: false`), so that a dead source that
//! returns cannot ship what has diverged. A repeat sets it again. Undo allows it again.

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
pub struct RefuseSource(pub Deps);

/// Which group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The target's array.
    pub array: ArrayPlace,
    /// The source array's name as the target knows it.
    pub source_array: String,
    /// Name of the array's protection group at the source.
    pub array_group: String,
}

#[async_trait]
impl Step for RefuseSource {
    const KIND: &'static str = "refuse_source";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::outcome);
        match array.allow_group(&input.source_array, &input.array_group, false).await {
            Ok(()) => Outcome::done(()),
            Err(error) => outcome::outcome(error),
        }
    }

    /// To set it again is harmless and simpler than to look.
    async fn find(&self, _cx: &StepCx, _input: &Input) -> Found<()> {
        Found::Absent
    }

    async fn undo(&self, _cx: &StepCx, input: &Input, _output: Option<()>) -> Undo {
        let array = attempt!(input.array.array(&self.0).await, outcome::undo);
        match array.allow_group(&input.source_array, &input.array_group, true).await {
            Ok(()) | Err(PortError::Absent { .. }) => Undo::Done(None),
            Err(error) => outcome::undo(error),
        }
    }

    fn settle(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}
