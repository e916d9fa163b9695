//! What Nova asks of Neutron, Glance and Keystone.

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::{Map, Value, json};

use super::model::{Nic, Server};
use crate::cloud::{
    ApiError, Caller,
    cinder::{
        Attachment,
        kit::{Refusal, Who, World},
    },
    neutron::{NewPort, Port},
};

/// What Nova and Cinder need of an image.
pub(crate) struct ImageFacts {
    pub status: String,
    /// Bytes.
    pub size: u64,
    /// GiB.
    pub min_disk: u64,
    /// MiB.
    pub min_ram: u64,
    /// What a volume made of it gets as image metadata.
    pub metadata: BTreeMap<String, String>,
}

fn told(error: ApiError) -> Refusal {
    Refusal { code: error.status.as_u16(), message: error.message }
}

impl World<'_> {
    /// Reserves a volume through Cinder's attachments API. A 400 of Cinder comes wrapped as the client
    /// library renders it.
    pub(crate) fn reserve_through_api(
        &mut self,
        volume_id: &str,
        server_id: &str,
        multiattach_known: bool,
    ) -> Result<Attachment, Refusal> {
        if self.volume_record(volume_id)?.multiattach && !multiattach_known {
            return Err(Refusal::bad(
                "Multiattach volumes are only supported starting with compute API version 2.60.",
            ));
        }
        self.reserve_volume(volume_id, Some(server_id)).map_err(|refusal| {
            let request = self.new_id("request", volume_id);
            self.wrapped(refusal, &request)
        })
    }

    pub(crate) fn wrapped(&self, refusal: Refusal, request: &str) -> Refusal {
        if refusal.code != 400 {
            return refusal;
        }
        Refusal::bad(format!(
            "Invalid input received: {} (HTTP 400) (Request-ID: req-{request})",
            refusal.message
        ))
    }

    /// Neutron as `compute:nova` sees it: with its own rights.
    pub(crate) fn plug(
        &mut self,
        server: &Server,
        nic: &Nic,
        host: &str,
        zone: &str,
    ) -> Result<String, Refusal> {
        let owner = format!("compute:{zone}");
        let port = match &nic.port_id {
            Some(port) => port.clone(),
            None => self.make_port(server, nic, &owner, host)?,
        };
        let cloud = self.inner;
        self.st.bind_port(cloud, &port, &server.id, &owner, host).map_err(told)?;
        Ok(port)
    }

    fn make_port(
        &mut self,
        server: &Server,
        nic: &Nic,
        owner: &str,
        host: &str,
    ) -> Result<String, Refusal> {
        let address =
            match &nic.fixed_ip {
                Some(ip) => Some(ip.parse::<IpAddr>().map_err(|_| {
                    Refusal::bad(format!("Invalid fixed IP Address {ip} in request"))
                })?),
                None => None,
            };
        let new = NewPort {
            network_id: nic.network_id.clone().unwrap_or_default(),
            project_id: server.project_id.clone(),
            fixed_ips: address.map(|ip| vec![(None, Some(ip))]),
            security_groups: (!server.security_groups.is_empty())
                .then(|| server.security_groups.clone()),
            device_id: server.id.clone(),
            device_owner: owner.to_owned(),
            host_id: host.to_owned(),
            ..NewPort::default()
        };
        let cloud = self.inner;
        Ok(self.st.create_port_for(cloud, new).map_err(told)?.common.id)
    }

    /// Ports that Nova made go; ports that were passed in stay, unbound.
    pub(crate) fn release_nic(&mut self, nic: &Nic) {
        let Some(port) = &nic.port_id else { return };
        if nic.ours {
            // Gone already is fine.
            drop(self.st.delete_port(port));
        } else {
            let cloud = self.inner;
            self.st.unbind_port(cloud, port);
        }
    }

    /// Ports of a passed-in list must exist, be the project's, have an address and be free.
    pub(crate) fn check_port(&self, who: &Who, id: &str) -> Result<(), Refusal> {
        let port = self
            .st
            .neutron
            .ports
            .get(id)
            .filter(|p| who.may_see(&p.common.project_id))
            .ok_or_else(|| Refusal::bad(format!("Port id {id} could not be found.")))?;
        if !port.device_id.is_empty() || self.promised(id) {
            return Err(Refusal::conflict(format!("Port {id} is still in use.")));
        }
        if port.fixed_ips.is_empty() && port.port_security_enabled {
            return Err(Refusal::bad(format!("Port {id} requires a FixedIP in order to be used.")));
        }
        Ok(())
    }

    /// A server that is not built yet will take the port. (The real service finds out in the build.)
    fn promised(&self, port: &str) -> bool {
        self.st
            .nova
            .waiting
            .iter()
            .filter_map(|id| self.st.nova.servers.get(id))
            .any(|s| s.nics.iter().any(|n| n.port_id.as_deref() == Some(port)))
    }

    pub(crate) fn check_network(&self, who: &Who, id: &str) -> Result<(), Refusal> {
        self.st
            .neutron
            .networks
            .get(id)
            .filter(|n| n.shared || who.may_see(&n.common.project_id))
            .map(drop)
            .ok_or_else(|| Refusal::bad(format!("Network {id} could not be found.")))
    }

    /// Networks that a server without a choice could get: the project's own, then shared ones.
    pub(crate) fn networks_of(&self, who: &Who) -> Vec<String> {
        let all = &self.st.neutron.networks;
        let own: Vec<String> = all
            .values()
            .filter(|n| !n.external && n.common.project_id == who.project_id)
            .map(|n| n.common.id.clone())
            .collect();
        if own.is_empty() {
            all.values().filter(|n| n.shared && !n.external).map(|n| n.common.id.clone()).collect()
        } else {
            own
        }
    }

    /// A security group of the project by id or name.
    pub(crate) fn security_group_id(&self, who: &Who, wanted: &str) -> Result<String, Refusal> {
        let mut mine = self
            .st
            .neutron
            .security_groups
            .values()
            .filter(|g| g.common.project_id == who.project_id);
        let found: Vec<&str> = mine
            .by_ref()
            .filter(|g| g.common.id == wanted || g.common.name == wanted)
            .map(|g| g.common.id.as_str())
            .collect();
        match found.as_slice() {
            [one] => Ok((*one).to_owned()),
            [] => Err(Refusal::bad(format!(
                "Security group {wanted} not found for project {}.",
                who.project_id
            ))),
            _ => Err(Refusal::conflict(format!(
                "Multiple security groups found matching '{wanted}'. Use an ID to be more specific."
            ))),
        }
    }

    pub(crate) fn ports_of<'b>(
        &'b self,
        server: &'b Server,
    ) -> impl Iterator<Item = &'b Port> + 'b {
        server.nics.iter().filter_map(|n| self.st.neutron.ports.get(n.port_id.as_deref()?))
    }

    /// `{network name: [address, ...]}`.
    pub(crate) fn addresses_of(&self, server: &Server) -> Value {
        let mut out: Map<String, Value> = Map::new();
        for port in self.ports_of(server) {
            let network = self.st.neutron.networks.get(&port.network_id);
            let name = network.map_or("unknown", |n| n.common.name.as_str());
            let rows = out.entry(name.to_owned()).or_insert_with(|| json!([]));
            for (_, ip) in &port.fixed_ips {
                if let Some(rows) = rows.as_array_mut() {
                    rows.push(json!({
                        "addr": ip, "version": if ip.is_ipv4() { 4 } else { 6 },
                        "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": port.mac_address,
                    }));
                }
            }
        }
        Value::Object(out)
    }

    /// Names of the security groups on a server's ports.
    pub(crate) fn security_groups_of(&self, server: &Server) -> Vec<String> {
        let groups = &self.st.neutron.security_groups;
        self.ports_of(server)
            .flat_map(|p| p.security_groups.iter())
            .map(|id| groups.get(id).map_or_else(|| id.clone(), |g| g.common.name.clone()))
            .collect()
    }

    /// The owner of a server, acting through Nova.
    pub(crate) fn owner_of(&self, server: &Server) -> Who {
        let caller = Caller {
            token: String::new(),
            user_id: server.user_id.clone(),
            user_name: String::new(),
            user_domain_id: String::new(),
            project_id: server.project_id.clone(),
            project_name: String::new(),
            project_domain_id: String::new(),
            domain_id: None,
            roles: vec!["member".to_owned()],
            service_token: true,
            from_application_credential: false,
            trust_id: None,
        };
        Who { caller, version: 0 }
    }
}

impl World<'_> {
    /// The image, if the project may use it.
    pub(crate) fn image_facts(&self, who: &Who, id: &str) -> Option<ImageFacts> {
        let image = self.st.glance.images.get(id)?;
        let open = matches!(image.visibility.as_str(), "public" | "community");
        if !open && !who.may_see(&image.owner) {
            return None;
        }
        let size = image.data.as_ref().map_or(0, |data| data.len() as u64);
        let mut metadata: BTreeMap<String, String> = image
            .properties
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
            .collect();
        let base = [
            ("image_id", Some(image.id.clone())),
            ("image_name", image.name.clone()),
            ("container_format", image.container_format.clone()),
            ("disk_format", image.disk_format.clone()),
            ("min_disk", Some(image.min_disk.to_string())),
            ("min_ram", Some(image.min_ram.to_string())),
            ("size", Some(size.to_string())),
        ];
        metadata.extend(base.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))));
        Some(ImageFacts {
            status: image.status.clone(),
            size,
            min_disk: image.min_disk,
            min_ram: image.min_ram,
            metadata,
        })
    }
}
