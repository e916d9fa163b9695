//! Raises the epoch in our own database: the group's current primary is another one from here on, before any server is
//! made there. No external effect. The end of an operation that was undone gives the primary back under a further epoch.

use async_trait::async_trait;
use protector_types::{DomainEffect, GroupId, SiteId};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

/// Makes the step.
pub struct MovePrimary;

/// Whereto.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The group.
    pub group_id: GroupId,
    /// The primary from now on.
    pub primary: SiteId,
    /// Who raises the epoch.
    pub raised_by: SiteId,
}

#[async_trait]
impl Step for MovePrimary {
    const KIND: &'static str = "move_primary";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        let effect = DomainEffect::MovePrimary {
            group_id: input.group_id,
            primary: input.primary,
            raised_by: input.raised_by,
        };
        Outcome::Done(Done { output: (), effects: vec![effect] })
    }

    /// Effect and outcome are one transaction: started without outcome means that nothing was applied.
    async fn find(&self, _cx: &StepCx, _input: &Input) -> Found<()> {
        Found::Absent
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }

    fn settle(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}
