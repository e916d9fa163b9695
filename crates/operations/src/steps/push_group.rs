//! Pushes the group's new document to the peer and has it confirmed. A repeat pushes again: the peer takes a document
//! once. A failure is a warning (OUT OF SYNC), and the engine goes on trying. Undo has nothing to do.

use async_trait::async_trait;
use protector_types::GroupId;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{deps::Deps, outcome};

/// Makes the step.
pub struct PushGroup(pub Deps);

/// Which group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The group.
    pub group_id: GroupId,
}

#[async_trait]
impl Step for PushGroup {
    const KIND: &'static str = "push_group";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        match self.0.push.push_group(input.group_id).await {
            Ok(()) => Outcome::done(()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, _input: &Input) -> Found<()> {
        // Pushing again is harmless and simpler than comparing.
        Found::Absent
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }

    fn settle(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}
