//! Makes a port at the target (Neutron) with the member's addresses and MAC. Its name is the marker. Where the policy
//! does not let us choose (403), the port takes what it gets and the change is recorded. Undo deletes it.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::{DestroyPermit, NetworkPort, NewPort, PortError, PortFilter};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::create_security_group;
use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Begins an id that an earlier step gives: `from:net0`.
pub const FROM: &str = "from:";

/// Makes the step.
pub struct CreatePort(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// As resolved, without the security groups that are made first.
    #[serde(flatten)]
    pub input: Input,
    /// Steps that make security groups for it.
    #[serde(default)]
    pub security_groups_from: Vec<String>,
}

/// Which port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// The port; its name is set from the marker.
    pub port: NewPort,
    /// The source port that it stands for.
    pub source_port_id: String,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    /// Neutron id.
    pub port_id: String,
    /// MAC in use.
    pub mac_address: String,
    /// Addresses in use.
    pub ip_addresses: Vec<String>,
    /// What was asked for and not given.
    pub not_preserved: Vec<String>,
}

#[async_trait]
impl Step for CreatePort {
    const KIND: &'static str = "create_port";
    type Planned = Planned;
    type Input = Input;
    type Output = Output;

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let Planned { mut input, security_groups_from } = planned;
        let port = &mut input.port;
        let subnets = port.fixed_ips.iter_mut().map(|address| &mut address.subnet_id);
        for id in subnets.chain([&mut port.network_id]) {
            if let Some(step) = id.strip_prefix(FROM) {
                *id = outputs.get(step)?;
            }
        }
        for step in &security_groups_from {
            let group: create_security_group::Output = outputs.get(step)?;
            input.port.security_groups.get_or_insert_default().push(group.id);
        }
        Ok(input)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<Output> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        let mut wanted = NewPort { name: cx.marker(), ..input.port.clone() };
        let mut made = cloud.networking().create_port(&wanted).await;
        if matches!(made, Err(PortError::Denied { .. })) {
            wanted.mac_address = None;
            wanted.allowed_address_pairs = None;
            wanted.port_security_enabled = None;
            for address in &mut wanted.fixed_ips {
                address.ip_address = None;
            }
            made = cloud.networking().create_port(&wanted).await;
        }
        match made {
            Ok(port) => Outcome::done(output(input, &port)),
            Err(error @ PortError::Conflict { .. }) => match self.find(cx, input).await {
                // Not ours: somebody has the address.
                Found::Absent => Outcome::Failed(StepError::new(format!(
                    "{error}; free the address at the target or map the network elsewhere"
                ))),
                other => outcome::run_as_look(other),
            },
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<Output> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        let filter = PortFilter { name: Some(cx.marker()), ..PortFilter::default() };
        let ports = attempt!(cloud.networking().ports(&filter).await, outcome::found);
        match ports.first() {
            Some(port) => Found::present(output(input, port)),
            None => Found::Absent,
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, output: Option<Output>) -> Undo {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::undo);
        let filter = PortFilter { name: Some(cx.marker()), ..PortFilter::default() };
        let permit = DestroyPermit::made_by(cx.evidence());
        let marked = attempt!(cloud.networking().ports(&filter).await, outcome::undo);
        let mut ids: Vec<String> = marked.into_iter().map(|port| port.id).collect();
        // Once its server was finished the port has its own name.
        ids.extend(output.map(|output| output.port_id).filter(|id| !ids.contains(id)));
        for id in ids {
            match cloud.networking().delete_port(&id, &permit).await {
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

fn output(input: &Input, port: &NetworkPort) -> Output {
    let mut not_preserved = Vec::new();
    let has: Vec<String> = port.fixed_ips.iter().filter_map(|a| a.ip_address.clone()).collect();
    for wanted in input.port.fixed_ips.iter().filter_map(|a| a.ip_address.as_ref()) {
        if !has.contains(wanted) {
            not_preserved.push(format!("address {wanted} (is {})", has.join(", ")));
        }
    }
    if let Some(mac) = &input.port.mac_address
        && !mac.eq_ignore_ascii_case(&port.mac_address)
    {
        not_preserved.push(format!("MAC {mac} (is {})", port.mac_address));
    }
    Output {
        port_id: port.id.clone(),
        mac_address: port.mac_address.clone(),
        ip_addresses: has,
        not_preserved,
    }
}
