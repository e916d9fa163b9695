//! Gives a rebuilt server the port of its original (Neutron): it has the member's MAC and addresses. One that went when the
//! original let it go is made anew. A repeat finds it by its id, else by the name of the new one. Undo deletes the new one;
//! the original's own stays, since deleting a server leaves a port that was passed in.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::absent_as_none;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::create_port::{self, CreatePort};
use crate::{attempt, deps::Deps, outcome};

/// Makes the step.
pub struct TakePort(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// The port as it would be made anew.
    #[serde(flatten)]
    pub new: create_port::Planned,
    /// The original's, by Neutron id.
    pub port_id: String,
}

/// Which port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The port as it would be made anew.
    #[serde(flatten)]
    pub new: create_port::Input,
    /// The original's, by Neutron id.
    pub port_id: String,
}

#[async_trait]
impl Step for TakePort {
    const KIND: &'static str = "take_port";
    type Planned = Planned;
    type Input = Input;
    type Output = create_port::Output;

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let new = CreatePort(self.0.clone()).resolve(planned.new, outputs)?;
        Ok(Input { new, port_id: planned.port_id })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<create_port::Output> {
        match self.find(cx, input).await {
            Found::Absent => CreatePort(self.0.clone()).run(cx, &input.new).await,
            other => outcome::run_as_look(other),
        }
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<create_port::Output> {
        let cloud = attempt!(input.new.place.cloud(&self.0).await, outcome::found);
        let port = absent_as_none(cloud.networking().port(&input.port_id).await);
        match attempt!(port, outcome::found) {
            Some(port) => Found::present(create_port::Output {
                port_id: port.id,
                mac_address: port.mac_address,
                ip_addresses: port.fixed_ips.into_iter().filter_map(|a| a.ip_address).collect(),
                not_preserved: Vec::new(),
            }),
            None => CreatePort(self.0.clone()).find(cx, &input.new).await,
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, output: Option<create_port::Output>) -> Undo {
        let made = output.filter(|output| output.port_id != input.port_id);
        CreatePort(self.0.clone()).undo(cx, &input.new, made).await
    }

    fn settle(&self) -> Duration {
        CreatePort(self.0.clone()).settle()
    }
}
