//! Neutron.

use async_trait::async_trait;
use http::Method;
use protector_http::CallKind;
use protector_ports::{
    DestroyPermit, Network, NetworkPort, NetworkQuota, Networking, NewPort, NewSubnet, PortAddress,
    PortError, PortFilter, PortResult, Quota, SecurityGroup, Subnet,
};
use protector_types::SecurityGroupRule;
use serde_json::{Map, Value, json};

use crate::{
    network_wire::{
        GroupAnswer, GroupPage, GroupWire, NetworkAnswer, NetworkPage, NetworkWire, PlainQuota,
        PortAnswer, PortPage, PortWire, QuotaDetails, SubnetAnswer, SubnetPage, SubnetWire,
    },
    rest::{Api, Ask, part},
};

/// Neutron at one site, in one project.
pub struct Neutron {
    api: Api,
}

impl Neutron {
    pub(crate) fn new(api: Api) -> Self {
        Self { api }
    }

    async fn project(&self) -> PortResult<String> {
        Ok(self.api.session.token().await?.project().to_owned())
    }

    async fn change(&self, path: String, body: &Value) -> PortResult<()> {
        self.api.send(Ask::new(Method::PUT, CallKind::Ensure, path).json(body)).await.map(drop)
    }

    /// Absent is success.
    async fn destroy(&self, path: String, permit: &DestroyPermit) -> PortResult<()> {
        tracing::info!(
            service = self.api.service.label(),
            path,
            reason = permit.reason(),
            "delete"
        );
        match self.api.send(Ask::delete(path)).await {
            Ok(_) | Err(PortError::Absent { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn plain_quota(&self, project: &str) -> PortResult<Quota> {
        let plain: PlainQuota =
            self.api.json(Ask::get(format!("/quotas/{}", part(project)))).await?;
        let used = self.ports(&PortFilter::default()).await?.len() as u64;
        Ok(Quota { limit: u64::try_from(plain.quota.port).ok(), used })
    }
}

fn new_port_body(new: &NewPort) -> Value {
    let mut port = Map::new();
    port.insert("network_id".into(), json!(new.network_id));
    port.insert("name".into(), json!(new.name));
    port.insert("admin_state_up".into(), json!(true));
    if let Some(mac) = &new.mac_address {
        port.insert("mac_address".into(), json!(mac));
    }
    if !new.fixed_ips.is_empty() {
        let addresses: Vec<Value> = new.fixed_ips.iter().map(address).collect();
        port.insert("fixed_ips".into(), addresses.into());
    }
    if let Some(groups) = &new.security_groups {
        port.insert("security_groups".into(), json!(groups));
    }
    if let Some(enabled) = new.port_security_enabled {
        port.insert("port_security_enabled".into(), json!(enabled));
    }
    // An empty list needs the same right as a filled one, and is what a port has anyway.
    if let Some(pairs) = &new.allowed_address_pairs
        && pairs.as_array().is_some_and(|pairs| !pairs.is_empty())
    {
        port.insert("allowed_address_pairs".into(), pairs.clone());
    }
    if let Some(kind) = &new.vnic_type {
        port.insert("binding:vnic_type".into(), json!(kind));
    }
    json!({"port": port})
}

fn new_subnet_body(new: &NewSubnet) -> Value {
    json!({"subnet": {
        "name": new.name,
        "network_id": new.network_id,
        "cidr": new.cidr,
        "ip_version": if new.cidr.contains(':') { 6 } else { 4 },
        "gateway_ip": null,
        "enable_dhcp": true,
    }})
}

fn address(address: &PortAddress) -> Value {
    let mut entry = Map::new();
    if !address.subnet_id.is_empty() {
        entry.insert("subnet_id".into(), json!(address.subnet_id));
    }
    if let Some(ip) = &address.ip_address {
        entry.insert("ip_address".into(), json!(ip));
    }
    entry.into()
}

#[async_trait]
impl Networking for Neutron {
    async fn networks(&self) -> PortResult<Vec<Network>> {
        let project = self.project().await?;
        let networks = self.api.list::<NetworkPage>("/networks", None).await?;
        // An administrator's list holds other projects' networks too.
        Ok(networks
            .into_iter()
            .map(NetworkWire::into_port)
            .filter(|network| network.shared || network.external || network.project_id == project)
            .collect())
    }

    async fn subnets(&self) -> PortResult<Vec<Subnet>> {
        let subnets = self.api.list::<SubnetPage>("/subnets", None).await?;
        Ok(subnets.into_iter().map(SubnetWire::into_port).collect())
    }

    async fn ports(&self, filter: &PortFilter) -> PortResult<Vec<NetworkPort>> {
        let mut query: Vec<String> = Vec::new();
        for (key, value) in [
            ("device_id", &filter.device_id),
            ("name", &filter.name),
            ("network_id", &filter.network_id),
        ] {
            if let Some(value) = value {
                query.push(format!("{key}={}", part(value)));
            }
        }
        // A server's ports are its own whoever made them; other lists stay in the project.
        if filter.device_id.is_none() {
            query.push(format!("project_id={}", part(&self.project().await?)));
        }
        let ports = self.api.list::<PortPage>(&format!("/ports?{}", query.join("&")), None).await?;
        let fits = |port: &NetworkPort| {
            filter.device_id.as_ref().is_none_or(|id| port.device_id == *id)
                && filter.name.as_ref().is_none_or(|name| port.name == *name)
                && filter.network_id.as_ref().is_none_or(|id| port.network_id == *id)
        };
        Ok(ports.into_iter().map(PortWire::into_port).filter(fits).collect())
    }

    async fn port(&self, id: &str) -> PortResult<NetworkPort> {
        let answer: PortAnswer = self.api.json(Ask::get(format!("/ports/{}", part(id)))).await?;
        Ok(answer.port.into_port())
    }

    async fn create_port(&self, new: &NewPort) -> PortResult<NetworkPort> {
        let ask = Ask::post(CallKind::Effect, "/ports").json(&new_port_body(new));
        Ok(self.api.json::<PortAnswer>(ask).await?.port.into_port())
    }

    async fn rename_port(&self, id: &str, name: &str) -> PortResult<()> {
        self.change(format!("/ports/{}", part(id)), &json!({"port": {"name": name}})).await
    }

    async fn delete_port(&self, id: &str, permit: &DestroyPermit) -> PortResult<()> {
        self.destroy(format!("/ports/{}", part(id)), permit).await
    }

    async fn create_network(&self, name: &str, description: &str) -> PortResult<Network> {
        let body = json!({"network": {
            "name": name, "description": description, "admin_state_up": true,
        }});
        let ask = Ask::post(CallKind::Effect, "/networks").json(&body);
        Ok(self.api.json::<NetworkAnswer>(ask).await?.network.into_port())
    }

    async fn create_subnet(&self, new: &NewSubnet) -> PortResult<Subnet> {
        let ask = Ask::post(CallKind::Effect, "/subnets").json(&new_subnet_body(new));
        Ok(self.api.json::<SubnetAnswer>(ask).await?.subnet.into_port())
    }

    async fn delete_network(&self, id: &str, permit: &DestroyPermit) -> PortResult<()> {
        tracing::info!(
            service = self.api.service.label(),
            network = id,
            reason = permit.reason(),
            "delete"
        );
        match self.api.send(Ask::delete(format!("/networks/{}", part(id)))).await {
            Ok(_) | Err(PortError::Absent { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn security_groups(&self) -> PortResult<Vec<SecurityGroup>> {
        let path = format!("/security-groups?project_id={}", part(&self.project().await?));
        let groups = self.api.list::<GroupPage>(&path, None).await?;
        Ok(groups.into_iter().map(GroupWire::into_port).collect())
    }

    async fn create_security_group(
        &self,
        name: &str,
        description: &str,
    ) -> PortResult<SecurityGroup> {
        let body = json!({"security_group": {"name": name, "description": description}});
        let ask = Ask::post(CallKind::Effect, "/security-groups").json(&body);
        Ok(self.api.json::<GroupAnswer>(ask).await?.security_group.into_port())
    }

    async fn describe_security_group(&self, id: &str, description: &str) -> PortResult<()> {
        let body = json!({"security_group": {"description": description}});
        self.change(format!("/security-groups/{}", part(id)), &body).await
    }

    async fn add_security_group_rule(&self, id: &str, rule: &SecurityGroupRule) -> PortResult<()> {
        let body = json!({"security_group_rule": {
            "security_group_id": id,
            "direction": rule.direction,
            "ethertype": rule.ethertype,
            "protocol": rule.protocol,
            "port_range_min": rule.port_range_min,
            "port_range_max": rule.port_range_max,
            "remote_ip_prefix": rule.remote_ip_prefix,
            "remote_group_id": rule.remote_group,
            "description": rule.description,
        }});
        // Neutron refuses a rule that is there already: a repeat is harmless.
        let ask = Ask::post(CallKind::Ensure, "/security-group-rules").json(&body);
        match self.api.send(ask).await {
            Ok(_) => Ok(()),
            Err(PortError::Conflict { message, .. }) if message.contains("already exists") => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn delete_security_group_rule(
        &self,
        rule_id: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        self.destroy(format!("/security-group-rules/{}", part(rule_id)), permit).await
    }

    async fn delete_security_group(&self, id: &str, permit: &DestroyPermit) -> PortResult<()> {
        self.destroy(format!("/security-groups/{}", part(id)), permit).await
    }

    async fn quota(&self) -> PortResult<NetworkQuota> {
        let project = self.project().await?;
        let path = format!("/quotas/{}/details", part(&project));
        let ports = match self.api.json::<QuotaDetails>(Ask::get(path)).await {
            Ok(details) => details.quota.port.into_port(),
            // Without the extension, or for administrators only.
            Err(
                PortError::Absent { .. } | PortError::Denied { .. } | PortError::Unknown { .. },
            ) => self.plain_quota(&project).await?,
            Err(error) => return Err(error),
        };
        Ok(NetworkQuota { ports })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_subnet_leads_nowhere() {
        let new = NewSubnet { cidr: "fd00::/64".into(), ..NewSubnet::default() };
        let body = new_subnet_body(&new);
        assert_eq!(body["subnet"]["ip_version"], 6);
        assert_eq!(body["subnet"].get("gateway_ip"), Some(&Value::Null));
    }

    #[test]
    fn a_new_port_asks_for_no_more_rights_than_it_needs() {
        let new = NewPort {
            name: "n".into(),
            network_id: "net".into(),
            fixed_ips: vec![PortAddress { subnet_id: "s".into(), ip_address: None }],
            allowed_address_pairs: Some(json!([])),
            ..NewPort::default()
        };
        let body = new_port_body(&new);
        assert_eq!(body["port"]["fixed_ips"], json!([{"subnet_id": "s"}]));
        for key in
            ["mac_address", "allowed_address_pairs", "port_security_enabled", "security_groups"]
        {
            assert!(body["port"].get(key).is_none(), "{key}");
        }
    }
}
