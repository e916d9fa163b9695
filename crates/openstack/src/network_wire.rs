//! Neutron's JSON, as far as we read it.

use protector_ports::{Network, NetworkPort, PortAddress, Quota, SecurityGroup, Subnet};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    compute_wire::count,
    rest::page,
    tolerant::{loose_bool, loose_number, null_default},
};

page!(NetworkPage, NetworkWire, "networks", "networks_links", |network| &network.id);
page!(SubnetPage, SubnetWire, "subnets", "subnets_links", |subnet| &subnet.id);
page!(PortPage, PortWire, "ports", "ports_links", |port| &port.id);
page!(GroupPage, GroupWire, "security_groups", "security_groups_links", |group| &group.id);

#[derive(Deserialize)]
pub(crate) struct NetworkWire {
    pub id: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
    project_id: Option<String>,
    tenant_id: Option<String>,
    #[serde(default, deserialize_with = "loose_bool")]
    shared: bool,
    #[serde(rename = "router:external", default, deserialize_with = "loose_bool")]
    external: bool,
}

impl NetworkWire {
    pub fn into_port(self) -> Network {
        Network {
            id: self.id,
            name: self.name,
            project_id: self.project_id.or(self.tenant_id).unwrap_or_default(),
            shared: self.shared,
            external: self.external,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct SubnetWire {
    pub id: String,
    #[serde(default, deserialize_with = "null_default")]
    network_id: String,
    #[serde(default, deserialize_with = "null_default")]
    cidr: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
}

impl SubnetWire {
    pub fn into_port(self) -> Subnet {
        Subnet { id: self.id, network_id: self.network_id, cidr: self.cidr, name: self.name }
    }
}

#[derive(Deserialize)]
pub(crate) struct NetworkAnswer {
    pub network: NetworkWire,
}

#[derive(Deserialize)]
pub(crate) struct SubnetAnswer {
    pub subnet: SubnetWire,
}

#[derive(Deserialize)]
pub(crate) struct PortAnswer {
    pub port: PortWire,
}

#[derive(Deserialize)]
pub(crate) struct PortWire {
    pub id: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
    #[serde(default, deserialize_with = "null_default")]
    network_id: String,
    #[serde(default, deserialize_with = "null_default")]
    mac_address: String,
    #[serde(default, deserialize_with = "null_default")]
    fixed_ips: Vec<AddressWire>,
    #[serde(default, deserialize_with = "null_default")]
    security_groups: Vec<String>,
    port_security_enabled: Option<bool>,
    #[serde(default)]
    allowed_address_pairs: Value,
    #[serde(rename = "binding:vnic_type")]
    vnic_type: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    device_id: String,
    #[serde(default, deserialize_with = "null_default")]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct AddressWire {
    #[serde(default, deserialize_with = "null_default")]
    subnet_id: String,
    ip_address: Option<String>,
}

impl PortWire {
    pub fn into_port(self) -> NetworkPort {
        NetworkPort {
            id: self.id,
            name: self.name,
            network_id: self.network_id,
            mac_address: self.mac_address,
            fixed_ips: self
                .fixed_ips
                .into_iter()
                .map(|a| PortAddress { subnet_id: a.subnet_id, ip_address: a.ip_address })
                .collect(),
            security_groups: self.security_groups,
            // Neutron without the extension filters always.
            port_security_enabled: self.port_security_enabled.unwrap_or(true),
            allowed_address_pairs: match self.allowed_address_pairs {
                Value::Null => Value::Array(Vec::new()),
                pairs => pairs,
            },
            vnic_type: self.vnic_type,
            device_id: self.device_id,
            tags: self.tags,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct GroupAnswer {
    pub security_group: GroupWire,
}

#[derive(Deserialize)]
pub(crate) struct GroupWire {
    pub id: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
    #[serde(default, deserialize_with = "null_default")]
    description: String,
    #[serde(default, deserialize_with = "null_default")]
    security_group_rules: Vec<Value>,
}

impl GroupWire {
    pub fn into_port(self) -> SecurityGroup {
        SecurityGroup {
            id: self.id,
            name: self.name,
            description: self.description,
            rules: self.security_group_rules,
        }
    }
}

/// `GET /quotas/{project}/details`.
#[derive(Deserialize)]
pub(crate) struct QuotaDetails {
    pub quota: DetailedPorts,
}

#[derive(Deserialize)]
pub(crate) struct DetailedPorts {
    pub port: QuotaDetail,
}

#[derive(Deserialize)]
pub(crate) struct QuotaDetail {
    #[serde(deserialize_with = "loose_number")]
    limit: i64,
    #[serde(default, deserialize_with = "loose_number")]
    used: i64,
    #[serde(default, deserialize_with = "loose_number")]
    reserved: i64,
}

impl QuotaDetail {
    pub fn into_port(self) -> Quota {
        Quota {
            limit: u64::try_from(self.limit).ok(),
            used: count(self.used) + count(self.reserved),
        }
    }
}

/// `GET /quotas/{project}`.
#[derive(Deserialize)]
pub(crate) struct PlainQuota {
    pub quota: PlainPorts,
}

#[derive(Deserialize)]
pub(crate) struct PlainPorts {
    #[serde(deserialize_with = "loose_number")]
    pub port: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_lack_extensions() {
        let port: PortWire = serde_json::from_str(
            r#"{"id": "p", "fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.4"}], "security_groups": null, "tags": null}"#,
        )
        .unwrap();
        let port = port.into_port();
        assert!(port.port_security_enabled);
        assert_eq!(port.allowed_address_pairs, Value::Array(vec![]));
        assert_eq!(port.fixed_ips[0].ip_address.as_deref(), Some("10.0.0.4"));
    }

    #[test]
    fn quotas_count_reservations() {
        let details: QuotaDetails =
            serde_json::from_str(r#"{"quota": {"port": {"limit": 10, "used": 3, "reserved": 1}}}"#)
                .unwrap();
        assert_eq!(details.quota.port.into_port(), Quota { limit: Some(10), used: 4 });
        let details: QuotaDetails =
            serde_json::from_str(r#"{"quota": {"port": {"limit": -1, "used": "3"}}}"#).unwrap();
        assert_eq!(details.quota.port.into_port(), Quota { limit: None, used: 3 });
    }
}
