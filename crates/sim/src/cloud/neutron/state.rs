//! Neutron's objects.

use std::{collections::BTreeMap, net::IpAddr};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{ipam::Cidr, time};

/// What all objects have.
#[derive(Debug, Clone)]
pub struct Common {
    /// Id.
    pub id: String,
    /// Name; need not be unique.
    pub name: String,
    /// Owner.
    pub project_id: String,
    /// Free text.
    pub description: String,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// Creation.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
    /// Counts changes.
    pub revision: u64,
}

impl Common {
    /// A new object's.
    pub(super) fn new(id: String, new: &Value, project_id: String, now: DateTime<Utc>) -> Self {
        let text = |key: &str| new[key].as_str().unwrap_or_default().to_owned();
        let tags = new["tags"].as_array();
        let mut tags: Vec<String> = tags
            .map(|t| t.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        tags.sort();
        tags.dedup();
        Self {
            id,
            name: text("name"),
            project_id,
            description: text("description"),
            tags,
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }

    /// Takes name and description from a change, and notes that there was one.
    pub(super) fn change(&mut self, change: &Value, now: DateTime<Utc>) {
        if let Some(name) = change["name"].as_str() {
            name.clone_into(&mut self.name);
        }
        if let Some(description) = change["description"].as_str() {
            description.clone_into(&mut self.description);
        }
        self.updated_at = now;
        self.revision += 1;
    }

    fn fill(&self, mut out: Value) -> Value {
        out["id"] = json!(self.id);
        out["name"] = json!(self.name);
        out["project_id"] = json!(self.project_id);
        out["tenant_id"] = json!(self.project_id);
        out["description"] = json!(self.description);
        out["tags"] = json!(self.tags);
        out["created_at"] = json!(time(self.created_at));
        out["updated_at"] = json!(time(self.updated_at));
        out["revision_number"] = json!(self.revision);
        out
    }
}

/// A network.
#[derive(Debug, Clone)]
pub struct Network {
    /// Id, name, owner ...
    pub common: Common,
    /// Everybody may use it.
    pub shared: bool,
    /// External.
    pub external: bool,
    /// Administrative state.
    pub admin_state_up: bool,
    /// What new ports get.
    pub port_security_enabled: bool,
    /// Bytes.
    pub mtu: u32,
    /// VNI.
    pub segmentation_id: u32,
}

/// A subnet.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// Id, name, owner ...
    pub common: Common,
    /// Its network.
    pub network_id: String,
    /// Range.
    pub cidr: Cidr,
    /// Gateway; `None`: none.
    pub gateway_ip: Option<IpAddr>,
    /// DHCP.
    pub enable_dhcp: bool,
    /// From where addresses are given, (first, last).
    pub pools: Vec<(IpAddr, IpAddr)>,
    /// Name servers.
    pub dns_nameservers: Value,
    /// Routes.
    pub host_routes: Value,
}

/// A port.
#[derive(Debug, Clone)]
pub struct Port {
    /// Id, name, owner ...
    pub common: Common,
    /// Its network.
    pub network_id: String,
    /// MAC, lower case.
    pub mac_address: String,
    /// (subnet id, address).
    pub fixed_ips: Vec<(String, IpAddr)>,
    /// Security group ids.
    pub security_groups: Vec<String>,
    /// Port security.
    pub port_security_enabled: bool,
    /// As given.
    pub allowed_address_pairs: Vec<Value>,
    /// As given.
    pub extra_dhcp_opts: Value,
    /// Administrative state.
    pub admin_state_up: bool,
    /// Server it belongs to; empty if none.
    pub device_id: String,
    /// `compute:nova`, for example.
    pub device_owner: String,
    /// Hypervisor it is bound to; empty if none.
    pub host_id: String,
    /// As given.
    pub profile: Value,
    /// `normal` ...
    pub vnic_type: String,
    /// A guest is plugged in: status ACTIVE.
    pub plugged: bool,
}

/// A security group.
#[derive(Debug, Clone)]
pub struct SecurityGroup {
    /// Id, name, owner ...
    pub common: Common,
    /// Rules.
    pub rules: Vec<Rule>,
}

/// A rule of a security group.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Id, owner ...
    pub common: Common,
    /// Its group.
    pub security_group_id: String,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `IPv4` or `IPv6`.
    pub ethertype: String,
    /// `tcp` ...; `None`: any.
    pub protocol: Option<String>,
    /// First port, or ICMP type.
    pub port_range_min: Option<i64>,
    /// Last port, or ICMP code.
    pub port_range_max: Option<i64>,
    /// CIDR of the other end.
    pub remote_ip_prefix: Option<String>,
    /// Group of the other end.
    pub remote_group_id: Option<String>,
}

/// Networks, subnets, ports, security groups of one cloud.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// By id.
    pub networks: BTreeMap<String, Network>,
    /// By id.
    pub subnets: BTreeMap<String, Subnet>,
    /// By id.
    pub ports: BTreeMap<String, Port>,
    /// By id.
    pub security_groups: BTreeMap<String, SecurityGroup>,
}

impl State {
    /// A network with the ids of its subnets.
    pub(super) fn network_json(&self, network: &Network) -> Value {
        let subnets: Vec<&str> = self
            .subnets
            .values()
            .filter(|s| s.network_id == network.common.id)
            .map(|s| s.common.id.as_str())
            .collect();
        network.common.fill(json!({
            "admin_state_up": network.admin_state_up,
            "status": "ACTIVE",
            "shared": network.shared,
            "router:external": network.external,
            "is_default": false,
            "port_security_enabled": network.port_security_enabled,
            "mtu": network.mtu,
            "subnets": subnets,
            "availability_zone_hints": [],
            "availability_zones": ["nova"],
            "ipv4_address_scope": null,
            "ipv6_address_scope": null,
            "provider:network_type": "geneve",
            "provider:physical_network": null,
            "provider:segmentation_id": network.segmentation_id,
        }))
    }
}

impl Subnet {
    /// As listed.
    pub(super) fn json(&self) -> Value {
        let pools: Vec<Value> =
            self.pools.iter().map(|(first, last)| json!({"start": first, "end": last})).collect();
        let version = if self.cidr.is_v4() { 4 } else { 6 };
        self.common.fill(json!({
            "network_id": self.network_id,
            "cidr": self.cidr.to_string(),
            "ip_version": version,
            "gateway_ip": self.gateway_ip,
            "enable_dhcp": self.enable_dhcp,
            "allocation_pools": pools,
            "dns_nameservers": self.dns_nameservers,
            "host_routes": self.host_routes,
            "ipv6_address_mode": null,
            "ipv6_ra_mode": null,
            "subnetpool_id": null,
            "service_types": [],
            "dns_publish_fixed_ip": false,
        }))
    }
}

impl Port {
    /// `ACTIVE` with a guest plugged in, else `DOWN`.
    pub fn status(&self) -> &'static str {
        if self.plugged && self.admin_state_up { "ACTIVE" } else { "DOWN" }
    }

    /// As listed; the binding is for administrators and services.
    pub fn json(&self, privileged: bool) -> Value {
        let ips: Vec<Value> = self
            .fixed_ips
            .iter()
            .map(|(subnet, ip)| json!({"subnet_id": subnet, "ip_address": ip}))
            .collect();
        let mut out = self.common.fill(json!({
            "network_id": self.network_id,
            "mac_address": self.mac_address,
            "fixed_ips": ips,
            "security_groups": self.security_groups,
            "port_security_enabled": self.port_security_enabled,
            "allowed_address_pairs": self.allowed_address_pairs,
            "extra_dhcp_opts": self.extra_dhcp_opts,
            "admin_state_up": self.admin_state_up,
            "status": self.status(),
            "device_id": self.device_id,
            "device_owner": self.device_owner,
            "binding:vnic_type": self.vnic_type,
        }));
        if privileged {
            let bound = !self.host_id.is_empty();
            out["binding:host_id"] = json!(self.host_id);
            out["binding:profile"] = self.profile.clone();
            out["binding:vif_type"] = json!(if bound { "ovs" } else { "unbound" });
            out["binding:vif_details"] =
                if bound { json!({"port_filter": true, "connectivity": "l2"}) } else { json!({}) };
        }
        out
    }
}

impl SecurityGroup {
    /// As listed, with its rules.
    pub(super) fn json(&self) -> Value {
        let rules: Vec<Value> = self.rules.iter().map(Rule::json).collect();
        self.common.fill(json!({"stateful": true, "shared": false, "security_group_rules": rules}))
    }
}

impl Rule {
    /// As listed.
    pub(super) fn json(&self) -> Value {
        let mut out = self.common.fill(json!({
            "security_group_id": self.security_group_id,
            "direction": self.direction,
            "ethertype": self.ethertype,
            "protocol": self.protocol,
            "port_range_min": self.port_range_min,
            "port_range_max": self.port_range_max,
            "remote_ip_prefix": self.remote_ip_prefix,
            "remote_group_id": self.remote_group_id,
            "remote_address_group_id": null,
            "normalized_cidr": self.remote_ip_prefix,
            "belongs_to_default_sg": false,
        }));
        if let Some(fields) = out.as_object_mut() {
            fields.remove("name");
            fields.remove("tags");
        }
        out
    }
}
