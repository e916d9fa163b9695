//! The current primary is accepted as primary: roles and mappings change places and the group is `active`, in the
//! transaction that commits this step's outcome. No external effect; there is no undo past it.

use async_trait::async_trait;
use protector_types::{DomainEffect, GroupId};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

/// Makes the step.
pub struct AcceptPrimary;

/// Which group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The group.
    pub group_id: GroupId,
}

#[async_trait]
impl Step for AcceptPrimary {
    const KIND: &'static str = "accept_primary";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        let effects = vec![DomainEffect::RolesSwapped { group_id: input.group_id }];
        Outcome::Done(Done { output: (), effects })
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
