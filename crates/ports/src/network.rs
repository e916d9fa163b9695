//! Neutron, as far as we need it.

use async_trait::async_trait;
use protector_types::SecurityGroupRule;
use serde::{Deserialize, Serialize};

use crate::{DestroyPermit, PortResult, Quota};

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Owner project.
    pub project_id: String,
    /// Shared: a tenant may then not choose IP or MAC.
    pub shared: bool,
    /// External.
    pub external: bool,
}

/// A subnet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Id.
    pub id: String,
    /// Its network.
    pub network_id: String,
    /// `10.0.0.0/24`.
    pub cidr: String,
    /// Name.
    pub name: String,
}

/// An address of a port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortAddress {
    /// Subnet.
    pub subnet_id: String,
    /// Address; `None` in a request: any.
    pub ip_address: Option<String>,
}

/// A port as observed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkPort {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Network.
    pub network_id: String,
    /// MAC.
    pub mac_address: String,
    /// Addresses.
    pub fixed_ips: Vec<PortAddress>,
    /// Security group ids.
    pub security_groups: Vec<String>,
    /// Port security.
    pub port_security_enabled: bool,
    /// As Neutron gives them.
    pub allowed_address_pairs: serde_json::Value,
    /// `normal` ...
    pub vnic_type: Option<String>,
    /// Server it belongs to; empty if none.
    pub device_id: String,
    /// Tags.
    pub tags: Vec<String>,
}

/// A port to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewPort {
    /// Name; carries the marker.
    pub name: String,
    /// Network.
    pub network_id: String,
    /// MAC, if it must be kept.
    pub mac_address: Option<String>,
    /// Addresses; empty: any.
    pub fixed_ips: Vec<PortAddress>,
    /// Security group ids; `None`: the default group.
    pub security_groups: Option<Vec<String>>,
    /// Port security; `None`: the network's default.
    pub port_security_enabled: Option<bool>,
    /// As Neutron takes them.
    pub allowed_address_pairs: Option<serde_json::Value>,
    /// `normal` ...
    pub vnic_type: Option<String>,
}

/// A subnet to be made: without a gateway, so that nothing leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewSubnet {
    /// Name; carries the marker.
    pub name: String,
    /// Its network.
    pub network_id: String,
    /// `10.0.0.0/24`.
    pub cidr: String,
}

/// A security group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityGroup {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Rules as Neutron gives them.
    pub rules: Vec<serde_json::Value>,
}

/// Which ports to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortFilter {
    /// Of this server.
    pub device_id: Option<String>,
    /// Exact name.
    pub name: Option<String>,
    /// In this network.
    pub network_id: Option<String>,
}

/// Limits of the project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkQuota {
    /// Ports.
    pub ports: Quota,
}

/// Neutron at one site, in one project.
#[async_trait]
pub trait Networking: Send + Sync {
    /// Read; networks the project may use.
    async fn networks(&self) -> PortResult<Vec<Network>>;
    /// Read.
    async fn subnets(&self) -> PortResult<Vec<Subnet>>;
    /// Read; all pages.
    async fn ports(&self, filter: &PortFilter) -> PortResult<Vec<NetworkPort>>;
    /// Read.
    async fn port(&self, id: &str) -> PortResult<NetworkPort>;
    /// Create; find again by name. Conflict if address or MAC is taken, Denied if they may not be chosen.
    async fn create_port(&self, new: &NewPort) -> PortResult<NetworkPort>;
    /// Ensure; the port has this name.
    async fn rename_port(&self, id: &str, name: &str) -> PortResult<()>;
    /// Destroy.
    async fn delete_port(&self, id: &str, permit: &DestroyPermit) -> PortResult<()>;
    /// Create: a network of the project that is connected to nothing; find again by name.
    async fn create_network(&self, name: &str, description: &str) -> PortResult<Network>;
    /// Create; find again by name. Conflict if it overlaps with another one of the network.
    async fn create_subnet(&self, new: &NewSubnet) -> PortResult<Subnet>;
    /// Destroy, with its subnets; absent is success. Conflict while ports of servers are in it.
    async fn delete_network(&self, id: &str, permit: &DestroyPermit) -> PortResult<()>;
    /// Read; of the project.
    async fn security_groups(&self) -> PortResult<Vec<SecurityGroup>>;
    /// Create, with the rules that every new group has; find again by description. Names may repeat.
    async fn create_security_group(
        &self,
        name: &str,
        description: &str,
    ) -> PortResult<SecurityGroup>;
    /// Ensure; the group has this description.
    async fn describe_security_group(&self, id: &str, description: &str) -> PortResult<()>;
    /// Ensure; the group has this rule. `remote_group` is an id here.
    async fn add_security_group_rule(&self, id: &str, rule: &SecurityGroupRule) -> PortResult<()>;
    /// Destroy.
    async fn delete_security_group_rule(
        &self,
        rule_id: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()>;
    /// Destroy; Conflict while a port uses it.
    async fn delete_security_group(&self, id: &str, permit: &DestroyPermit) -> PortResult<()>;
    /// Read.
    async fn quota(&self) -> PortResult<NetworkQuota>;
}
