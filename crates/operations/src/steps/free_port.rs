//! Unplugs a port from a fenced original that cannot be used again (Nova, service role), so that its successor can have
//! the address. A port that Nova made goes with it. A repeat sees it free or gone. Undo plugs it in again; one that went
//! is made anew with the same addresses, MAC and name (the marker stands there until it is plugged in: afterwards nothing
//! may take the server's own port for a leftover), and says so, since its id is another one.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::{
    DestroyPermit, NetworkPort, Networking, NewPort, PortFilter, PortResult, absent_as_none,
};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// How long an accepted request to unplug may go unseen.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// Makes the step.
pub struct FreePort(pub Deps);

/// Which port of which server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// The server that has it.
    pub server_id: String,
    /// The port as it was.
    pub port: NetworkPort,
}

#[async_trait]
impl Step for FreePort {
    const KIND: &'static str = "free_port";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        let cloud = attempt!(self.0.fabric.service_cloud(input.place.site).await, outcome::outcome);
        let permit = DestroyPermit::fence(cx.evidence());
        match cloud.compute().detach_port(&input.server_id, &input.port.id, &permit).await {
            Ok(()) => Outcome::Pending("the port is being unplugged".into()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        let port =
            attempt!(absent_as_none(cloud.networking().port(&input.port.id).await), outcome::found);
        match port {
            Some(port) if port.device_id == input.server_id => Found::Absent,
            _ => Found::present(()),
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, output: Option<()>) -> Undo {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::undo);
        let neutron = cloud.networking();
        if output.is_none() {
            // Nova shows nowhere that it is unplugging: a port that is still there may go in a moment.
            cx.clock().sleep(UNDER_WAY).await;
        }
        let known = attempt!(absent_as_none(neutron.port(&input.port.id).await), outcome::undo);
        let port = match known {
            Some(port) => port,
            None => attempt!(self.anew(cx, neutron, input).await, outcome::undo),
        };
        if port.device_id == input.server_id {
            if port.id == input.port.id {
                return Undo::Done(None);
            }
            attempt!(neutron.rename_port(&port.id, &input.port.name).await, outcome::undo);
            return Undo::Done(Some(format!(
                "port {} went with its interface; {} has its addresses and MAC now",
                input.port.id, port.id
            )));
        }
        let admin = attempt!(self.0.fabric.service_cloud(input.place.site).await, outcome::undo);
        match admin.compute().attach_port(&input.server_id, &port.id).await {
            Ok(()) => Undo::Pending("the port is being plugged in again".into()),
            Err(error) if error.is_absent() => Undo::Done(Some(format!(
                "server {} is gone; its port {} stays free",
                input.server_id, port.id
            ))),
            Err(error) => outcome::undo(error),
        }
    }
}

impl FreePort {
    /// The port that stands for one that went: made already, and perhaps plugged in and named, or made now.
    async fn anew(
        &self,
        cx: &StepCx,
        neutron: &dyn Networking,
        input: &Input,
    ) -> PortResult<NetworkPort> {
        let marker = cx.marker();
        let filter =
            PortFilter { network_id: Some(input.port.network_id.clone()), ..PortFilter::default() };
        let made = neutron.ports(&filter).await?.into_iter().find(|port| {
            let plugged = port.device_id == input.server_id
                && port.mac_address.eq_ignore_ascii_case(&input.port.mac_address);
            plugged || port.name == marker
        });
        match made {
            Some(port) => Ok(port),
            None => neutron.create_port(&as_it_was(&input.port, marker)).await,
        }
    }
}

fn as_it_was(port: &NetworkPort, name: String) -> NewPort {
    NewPort {
        name,
        network_id: port.network_id.clone(),
        mac_address: Some(port.mac_address.clone()),
        fixed_ips: port.fixed_ips.clone(),
        security_groups: port.port_security_enabled.then(|| port.security_groups.clone()),
        port_security_enabled: (!port.port_security_enabled).then_some(false),
        allowed_address_pairs: port
            .allowed_address_pairs
            .as_array()
            .filter(|pairs| !pairs.is_empty())
            .map(|pairs| serde_json::Value::Array(pairs.clone())),
        vnic_type: port.vnic_type.clone().filter(|v| v != "normal"),
    }
}
