//! Makes a subnet with the source's CIDR in an isolated network (Neutron), without a gateway. Its name is the marker. Undo
//! leaves it to the network's undo.
//!
//! DHCP stays on: a guest without config drive gets the address of its port from nowhere else, and a drill whose servers
//! have no address proves nothing. It cannot do harm: the network is the drill's own, no router is on it, and its server
//! answers only the ports of that network, with their own addresses.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::{NewSubnet, PortError};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct CreateSubnet(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// Where.
    pub place: Place,
    /// The step that made the network.
    pub network_from: String,
    /// As at the source.
    pub cidr: String,
}

/// With the network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Neutron id of the network.
    pub network_id: String,
    /// As at the source.
    pub cidr: String,
}

#[async_trait]
impl Step for CreateSubnet {
    const KIND: &'static str = "create_subnet";
    type Planned = Planned;
    type Input = Input;
    /// Neutron id.
    type Output = String;

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let network_id = outputs.get(&planned.network_from)?;
        Ok(Input { place: planned.place, network_id, cidr: planned.cidr })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<String> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        let new = NewSubnet {
            name: cx.marker(),
            network_id: input.network_id.clone(),
            cidr: input.cidr.clone(),
        };
        match cloud.networking().create_subnet(&new).await {
            Ok(subnet) => Outcome::done(subnet.id),
            Err(error @ PortError::Conflict { .. }) => match self.find(cx, input).await {
                Found::Absent => Outcome::Failed(StepError::new(error.to_string())),
                other => outcome::run_as_look(other),
            },
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<String> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        let subnets = attempt!(cloud.networking().subnets().await, outcome::found);
        let mine = |s: &&protector_ports::Subnet| {
            s.network_id == input.network_id && s.name == cx.marker()
        };
        match subnets.iter().find(mine) {
            Some(subnet) => Found::present(subnet.id.clone()),
            None => Found::Absent,
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<String>) -> Undo {
        Undo::Done(None)
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(4)
    }
}
