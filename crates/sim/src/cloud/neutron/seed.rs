//! Networks that exist from the start.

use serde_json::json;

use super::{
    Common, Network, Subnet,
    ipam::{Cidr, default_pools},
};
use crate::cloud::{Cloud, State};

/// A network with one subnet.
#[derive(Debug, Clone)]
pub struct NetworkSeed {
    /// Its name; the subnet gets `-subnet` behind it.
    pub name: String,
    /// Owner project, by name, in the default domain.
    pub project: String,
    /// Shared with all projects.
    pub shared: bool,
    /// Range of the subnet; nonsense means no subnet.
    pub cidr: String,
}

impl NetworkSeed {
    /// A network.
    pub fn new(name: &str, project: &str, shared: bool, cidr: &str) -> Self {
        Self { name: name.to_owned(), project: project.to_owned(), shared, cidr: cidr.to_owned() }
    }
}

/// Makes the networks; those of unknown projects are left out.
pub fn seed(cloud: &Cloud, state: &mut State, networks: &[NetworkSeed]) {
    for wanted in networks {
        let Some(project_id) =
            state.keystone.project_named(&wanted.project, "default").map(|p| p.id.clone())
        else {
            continue;
        };
        let now = cloud.now();
        let network = state.neutron.insert_network(Network {
            common: Common::new(
                cloud.new_id(),
                &json!({"name": wanted.name}),
                project_id.clone(),
                now,
            ),
            shared: wanted.shared,
            external: false,
            admin_state_up: true,
            port_security_enabled: true,
            mtu: 1442,
            segmentation_id: 0,
        });
        let Some(cidr) = Cidr::parse(&wanted.cidr) else { continue };
        let gateway_ip = Some(cidr.hosts().0);
        let described = json!({"name": format!("{}-subnet", wanted.name)});
        let subnet = Subnet {
            common: Common::new(cloud.new_id(), &described, project_id, now),
            network_id: network.common.id,
            cidr,
            gateway_ip,
            enable_dhcp: true,
            pools: default_pools(&cidr, gateway_ip),
            dns_nameservers: json!([]),
            host_routes: json!([]),
        };
        state.neutron.subnets.insert(subnet.common.id.clone(), subnet);
    }
}
