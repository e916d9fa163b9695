//! Makes an isolated network for a drill (Neutron): of the project, connected to nothing. Its name is the marker. Undo
//! deletes it with its subnets.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::{DestroyPermit, Network, PortError, PortResult};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct CreateNetwork(pub Deps);

/// For which network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Name of the source network that it stands for.
    pub stands_for: String,
}

impl CreateNetwork {
    async fn mine(&self, cx: &StepCx, input: &Input) -> PortResult<Vec<Network>> {
        let networks = input.place.cloud(&self.0).await?.networking().networks().await?;
        Ok(networks.into_iter().filter(|network| network.name == cx.marker()).collect())
    }
}

#[async_trait]
impl Step for CreateNetwork {
    const KIND: &'static str = "create_network";
    type Planned = Input;
    type Input = Input;
    /// Neutron id.
    type Output = String;

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<String> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        let description = format!("isolated, in place of {}, for a drill", input.stands_for);
        match cloud.networking().create_network(&cx.marker(), &description).await {
            Ok(network) => Outcome::done(network.id),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<String> {
        match attempt!(self.mine(cx, input).await, outcome::found).into_iter().next() {
            Some(network) => Found::present(network.id),
            None => Found::Absent,
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, _output: Option<String>) -> Undo {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::undo);
        let permit = DestroyPermit::made_by(cx.evidence());
        for network in attempt!(self.mine(cx, input).await, outcome::undo) {
            match cloud.networking().delete_network(&network.id, &permit).await {
                Ok(()) | Err(PortError::Absent { .. }) => {}
                Err(error) => return outcome::undo(error),
            }
        }
        Undo::Done(None)
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(4)
    }
}
