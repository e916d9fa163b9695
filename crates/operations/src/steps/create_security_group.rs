//! Makes a security group at the target (Neutron) that the members' ports need and the project lacks, still with the
//! rules that every new group has: `fill_security_group` gives it its own. The marker is its description until then. A
//! group of that name that somebody made meanwhile is used as it is. Undo deletes what this step made.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::{Cloud, DestroyPermit, PortResult, SecurityGroup};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct CreateSecurityGroup(pub Deps);

/// Which group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Name.
    pub name: String,
}

/// Which group it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Neutron id.
    pub id: String,
    /// Made by this step; else it was there.
    pub made: bool,
}

#[async_trait]
impl Step for CreateSecurityGroup {
    const KIND: &'static str = "create_security_group";
    type Planned = Input;
    type Input = Input;
    type Output = Output;

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<Output> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        let known = attempt!(cloud.networking().security_groups().await, outcome::outcome);
        if let Some(there) = known.into_iter().find(|g| g.name == input.name) {
            return Outcome::done(Output { id: there.id, made: false });
        }
        let made = cloud.networking().create_security_group(&input.name, &cx.marker()).await;
        match made {
            Ok(group) => Outcome::done(Output { id: group.id, made: true }),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<Output> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        match attempt!(marked(cx, cloud.as_ref()).await, outcome::found).pop() {
            Some(group) => Found::present(Output { id: group.id, made: true }),
            None => Found::Absent,
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, output: Option<Output>) -> Undo {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::undo);
        let permit = DestroyPermit::made_by(cx.evidence());
        let ids: Vec<String> = match output {
            Some(Output { made: false, .. }) => return Undo::Done(None),
            Some(Output { id, .. }) => vec![id],
            None => attempt!(marked(cx, cloud.as_ref()).await, outcome::undo)
                .into_iter()
                .map(|group| group.id)
                .collect(),
        };
        for id in ids {
            // In use by somebody who found it useful: a Conflict, looked at again until patience ends.
            attempt!(cloud.networking().delete_security_group(&id, &permit).await, outcome::undo);
        }
        Undo::Done(None)
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(4)
    }
}

async fn marked(cx: &StepCx, cloud: &dyn Cloud) -> PortResult<Vec<SecurityGroup>> {
    let marker = cx.marker();
    let groups = cloud.networking().security_groups().await?;
    Ok(groups.into_iter().filter(|g| g.description == marker).collect())
}
