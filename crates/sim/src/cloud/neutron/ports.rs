//! What can happen to a port, for the HTTP handlers and for Nova.

use std::net::IpAddr;

use protector_types::{Rng, SplitMix};
use serde_json::{Value, json};

use super::{Common, NEUTRON, Port, State, invalid, ipam::WantedIp, not_found};
use crate::cloud::{ApiError, Inner, State as CloudState};

/// (subnet id, address); what is `None` is Neutron's to choose.
pub type WishedIp = (Option<String>, Option<IpAddr>);

/// A port to be made. Everything that is not set is Neutron's to choose.
#[derive(Debug, Clone, Default)]
pub struct NewPort {
    /// Network id.
    pub network_id: String,
    /// Owner.
    pub project_id: String,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Tags.
    pub tags: Vec<String>,
    /// MAC; `None`: any.
    pub mac_address: Option<String>,
    /// `None`: one per IP version.
    pub fixed_ips: Option<Vec<WishedIp>>,
    /// Security group ids; `None`: the project's `default`.
    pub security_groups: Option<Vec<String>>,
    /// `None`: the network's default.
    pub port_security_enabled: Option<bool>,
    /// As Neutron takes them.
    pub allowed_address_pairs: Vec<Value>,
    /// As Neutron takes them.
    pub extra_dhcp_opts: Option<Value>,
    /// `None`: `normal`.
    pub vnic_type: Option<String>,
    /// Server.
    pub device_id: String,
    /// `compute:nova`, for example.
    pub device_owner: String,
    /// Hypervisor.
    pub host_id: String,
    /// Binding profile.
    pub profile: Option<Value>,
    /// `None`: up.
    pub admin_state_up: Option<bool>,
}

/// Lower case with colons, or 400.
pub(super) fn mac_of(text: &str) -> Result<String, ApiError> {
    let mac = text.to_ascii_lowercase().replace('-', ":");
    let parts: Vec<&str> = mac.split(':').collect();
    let valid =
        parts.len() == 6 && parts.iter().all(|p| p.len() == 2 && u8::from_str_radix(p, 16).is_ok());
    if !valid || mac == "00:00:00:00:00:00" {
        return Err(invalid(format!("'{text}' is not a valid MAC address")));
    }
    Ok(mac)
}

pub(super) fn wanted_ips(ips: &[WishedIp]) -> Vec<WantedIp> {
    ips.iter().map(|(s, ip)| WantedIp { subnet_id: s.clone(), ip_address: *ip }).collect()
}

impl State {
    /// True if a port of the network, other than `but`, has the MAC.
    fn mac_taken(&self, network_id: &str, mac: &str, but: Option<&str>) -> bool {
        self.ports.values().any(|p| {
            p.network_id == network_id && p.mac_address == mac && Some(p.common.id.as_str()) != but
        })
    }

    /// A wanted MAC, or a free one drawn by (seed, port id).
    pub(super) fn choose_mac(
        &self,
        cloud: &Inner,
        network_id: &str,
        port_id: &str,
        wanted: Option<&str>,
    ) -> Result<String, ApiError> {
        if let Some(wanted) = wanted {
            let mac = mac_of(wanted)?;
            if self.mac_taken(network_id, &mac, Some(port_id)) {
                return Err(NEUTRON
                    .conflict(format!("Unable to complete operation for network {network_id}. The mac address {mac} is in use."))
                    .kind("MacAddressInUse"));
            }
            return Ok(mac);
        }
        let mut rng = SplitMix::keyed(cloud.seed, &format!("{}/mac/{port_id}", cloud.name));
        loop {
            let n = rng.next_u64();
            let mac =
                format!("fa:16:3e:{:02x}:{:02x}:{:02x}", n as u8, (n >> 8) as u8, (n >> 16) as u8);
            if !self.mac_taken(network_id, &mac, None) {
                return Ok(mac);
            }
        }
    }

    /// All groups must exist; port security must be on if there are any.
    pub(super) fn check_security(
        &self,
        groups: &[String],
        pairs: &[Value],
        port_security: bool,
    ) -> Result<(), ApiError> {
        for id in groups {
            if !self.security_groups.contains_key(id) {
                return Err(not_found("security_group", id));
            }
        }
        if !port_security && !groups.is_empty() {
            return Err(NEUTRON
                .conflict("Port Security must be enabled and port must have an IP address in order to use security groups.")
                .kind("PortSecurityAndIPRequiredForSecurityGroups"));
        }
        if !port_security && !pairs.is_empty() {
            return Err(NEUTRON
                .conflict("Port Security must be enabled in order to have allowed address pairs on a port.")
                .kind("AddressPairAndPortSecurityRequired"));
        }
        Ok(())
    }
}

impl CloudState {
    /// Makes a port for a project without asking any policy: what Nova does with its own rights, and
    /// what the HTTP handler does when the policy was asked. 404 for an unknown network, 409 for a taken
    /// address, for exhausted pools and for a used-up quota, 400 for an impossible address.
    pub fn create_port_for(&mut self, cloud: &Inner, new: NewPort) -> Result<Port, ApiError> {
        let network = self.neutron.networks.get(&new.network_id);
        let network = network.ok_or_else(|| not_found("network", &new.network_id))?.clone();
        self.check_network_quota(&new.project_id, "port")?;
        let port_security = new.port_security_enabled.unwrap_or(network.port_security_enabled);
        let groups = match &new.security_groups {
            Some(groups) => groups.clone(),
            None if port_security => vec![self.neutron.default_group(cloud, &new.project_id)],
            None => Vec::new(),
        };
        let n = &mut self.neutron;
        n.check_security(&groups, &new.allowed_address_pairs, port_security)?;
        let id = cloud.new_id();
        let mac_address = n.choose_mac(cloud, &new.network_id, &id, new.mac_address.as_deref())?;
        let wanted = new.fixed_ips.as_deref().map(wanted_ips);
        let fixed_ips = n.allocate(&new.network_id, wanted.as_deref(), None)?;
        let described = json!({"name": new.name, "description": new.description, "tags": new.tags});
        let port = Port {
            common: Common::new(id, &described, new.project_id, cloud.now()),
            network_id: new.network_id,
            mac_address,
            fixed_ips,
            security_groups: groups,
            port_security_enabled: port_security,
            allowed_address_pairs: new.allowed_address_pairs,
            extra_dhcp_opts: new.extra_dhcp_opts.unwrap_or_else(|| json!([])),
            admin_state_up: new.admin_state_up.unwrap_or(true),
            device_id: new.device_id,
            device_owner: new.device_owner,
            host_id: new.host_id,
            profile: new.profile.unwrap_or_else(|| json!({})),
            vnic_type: new.vnic_type.unwrap_or_else(|| "normal".to_owned()),
            plugged: false,
        };
        n.ports.insert(port.common.id.clone(), port.clone());
        Ok(port)
    }

    /// Binds a port to a server on a hypervisor and plugs the guest in (status ACTIVE). 404 for an
    /// unknown port, 409 `PortInUse` if another device has it.
    pub fn bind_port(
        &mut self,
        cloud: &Inner,
        port_id: &str,
        device_id: &str,
        device_owner: &str,
        host: &str,
    ) -> Result<Port, ApiError> {
        let port = self.neutron.ports.get_mut(port_id).ok_or_else(|| not_found("port", port_id))?;
        if !port.device_id.is_empty() && port.device_id != device_id {
            return Err(NEUTRON
                .conflict(format!("Port {port_id} is still in use."))
                .kind("PortInUse"));
        }
        device_id.clone_into(&mut port.device_id);
        device_owner.clone_into(&mut port.device_owner);
        host.clone_into(&mut port.host_id);
        port.plugged = true;
        port.common.change(&Value::Null, cloud.now());
        Ok(port.clone())
    }

    /// Takes the server and the binding off a port; it stays. An absent port is fine.
    pub fn unbind_port(&mut self, cloud: &Inner, port_id: &str) {
        if let Some(port) = self.neutron.ports.get_mut(port_id) {
            port.device_id.clear();
            port.device_owner.clear();
            port.host_id.clear();
            port.plugged = false;
            port.common.change(&Value::Null, cloud.now());
        }
    }

    /// Deletes a port. 404 for an unknown one.
    pub fn delete_port(&mut self, port_id: &str) -> Result<(), ApiError> {
        self.neutron.ports.remove(port_id).map(|_| ()).ok_or_else(|| not_found("port", port_id))
    }
}
