//! Makes a server group at the target (Nova), so that anti-affinity holds again. A repeat finds it by name and policy.
//! Undo removes it if this operation made it and it is empty.

use async_trait::async_trait;
use protector_ports::{DestroyPermit, PortError};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct CreateServerGroup(pub Deps);

/// Which group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Name.
    pub name: String,
    /// `anti-affinity` ...
    pub policy: String,
}

#[async_trait]
impl Step for CreateServerGroup {
    const KIND: &'static str = "create_server_group";
    type Planned = Input;
    type Input = Input;
    /// Its id.
    type Output = String;

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<String> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        match cloud.compute().create_server_group(&input.name, &input.policy).await {
            Ok(id) => Outcome::done(id),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<String> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        let groups = attempt!(cloud.compute().server_groups().await, outcome::found);
        match groups.into_iter().find(|g| g.name == input.name && g.policy == input.policy) {
            Some(group) => Found::present(group.id),
            None => Found::Absent,
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, _output: Option<String>) -> Undo {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::undo);
        let groups = attempt!(cloud.compute().server_groups().await, outcome::undo);
        let Some(group) =
            groups.into_iter().find(|g| g.name == input.name && g.policy == input.policy)
        else {
            return Undo::Done(None);
        };
        if !group.members.is_empty() {
            return Undo::Done(Some(format!("server group {} is in use and stays", input.name)));
        }
        match cloud
            .compute()
            .delete_server_group(&group.id, &DestroyPermit::made_by(cx.evidence()))
            .await
        {
            Ok(()) | Err(PortError::Absent { .. }) => Undo::Done(None),
            Err(error) => outcome::undo(error),
        }
    }
}
