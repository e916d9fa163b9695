//! `/v2.0/security-groups` and `/v2.0/security-group-rules`.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{
    Common, NEUTRON, Rule, SecurityGroup, State, inner, invalid, ipam::Cidr, listing, not_found,
    owner_of, privileged,
};
use crate::cloud::{ApiError, Caller, Cloud, Inner, JsonBody, Params};

/// Groups and rules.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/network/v2.0/security-groups", get(list).post(create))
        .route("/network/v2.0/security-groups/{id}", get(show).put(update).delete(delete))
        .route("/network/v2.0/security-group-rules", get(list_rules).post(create_rule))
        .route("/network/v2.0/security-group-rules/{id}", get(show_rule).delete(delete_rule))
}

impl State {
    /// The project's `default` group, made on first use: everything out, in from its own members.
    pub fn default_group(&mut self, cloud: &Inner, project_id: &str) -> String {
        let found = self
            .security_groups
            .values()
            .find(|g| g.common.project_id == project_id && g.common.name == "default");
        if let Some(group) = found {
            return group.common.id.clone();
        }
        let described = json!({"name": "default", "description": "Default security group"});
        let mut group = new_group(cloud, &described, project_id);
        for ethertype in ["IPv4", "IPv6"] {
            let mut rule = egress(cloud, &group.common, ethertype);
            rule.direction = "ingress".to_owned();
            rule.remote_group_id = Some(group.common.id.clone());
            group.rules.push(rule);
        }
        let id = group.common.id.clone();
        self.security_groups.insert(id.clone(), group);
        id
    }

    fn visible_group(&self, caller: &Caller, id: &str) -> Result<&SecurityGroup, ApiError> {
        let group = self.security_groups.get(id).filter(|g| sees(caller, &g.common));
        group.ok_or_else(|| not_found("security_group", id))
    }
}

fn sees(caller: &Caller, common: &Common) -> bool {
    privileged(caller) || caller.may_see(&common.project_id)
}

fn egress(cloud: &Inner, group: &Common, ethertype: &str) -> Rule {
    Rule {
        common: Common::new(cloud.new_id(), &Value::Null, group.project_id.clone(), cloud.now()),
        security_group_id: group.id.clone(),
        direction: "egress".to_owned(),
        ethertype: ethertype.to_owned(),
        protocol: None,
        port_range_min: None,
        port_range_max: None,
        remote_ip_prefix: None,
        remote_group_id: None,
    }
}

/// A group with the rules that every new group has.
fn new_group(cloud: &Inner, new: &Value, project_id: &str) -> SecurityGroup {
    let common = Common::new(cloud.new_id(), new, project_id.to_owned(), cloud.now());
    let rules = ["IPv4", "IPv6"].iter().map(|e| egress(cloud, &common, e)).collect();
    SecurityGroup { common, rules }
}

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let items = {
        let mut state = cloud.lock();
        let n = &mut state.neutron;
        n.default_group(&cloud, &caller.project_id);
        n.security_groups
            .values()
            .filter(|g| sees(&caller, &g.common))
            .map(SecurityGroup::json)
            .collect()
    };
    listing::list(&cloud, "security_groups", "security-groups", items, &params).map(Json)
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let state = cloud.lock();
    let group = state.neutron.visible_group(&caller, &id)?;
    Ok(Json(json!({"security_group": listing::pick(&group.json(), &params)})))
}

async fn create(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let new = inner(&body, "security_group")?;
    let project_id = owner_of(&caller, new, "create_security_group")?;
    let mut state = cloud.lock();
    state.neutron.default_group(&cloud, &project_id);
    if new["name"].as_str() == Some("default") {
        return Err(NEUTRON
            .conflict("Default security group already exists.")
            .kind("SecurityGroupDefaultAlreadyExists"));
    }
    state.check_network_quota(&project_id, "security_group")?;
    let group = new_group(&cloud, new, &project_id);
    let answer = json!({"security_group": group.json()});
    state.neutron.security_groups.insert(group.common.id.clone(), group);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn update(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    let change = inner(&body, "security_group")?;
    let now = cloud.now();
    let mut state = cloud.lock();
    let n = &mut state.neutron;
    let is_default = n.visible_group(&caller, &id)?.common.name == "default";
    if is_default && change.get("name").is_some() {
        return Err(NEUTRON
            .conflict("Updating default security group not allowed.")
            .kind("SecurityGroupCannotUpdateDefault"));
    }
    let group = n.security_groups.get_mut(&id).ok_or_else(|| not_found("security_group", &id))?;
    group.common.change(change, now);
    Ok(Json(json!({"security_group": group.json()})))
}

async fn delete(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    let n = &mut state.neutron;
    let is_default = n.visible_group(&caller, &id)?.common.name == "default";
    if is_default && !caller.is_admin() {
        return Err(NEUTRON
            .conflict("Insufficient rights for removing default security group.")
            .kind("SecurityGroupCannotRemoveDefault"));
    }
    if n.ports.values().any(|p| p.security_groups.contains(&id)) {
        return Err(NEUTRON
            .conflict(format!("Security Group {id} in use."))
            .kind("SecurityGroupInUse"));
    }
    n.security_groups.remove(&id);
    for group in n.security_groups.values_mut() {
        group.rules.retain(|r| r.remote_group_id.as_ref() != Some(&id));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn list_rules(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let items = {
        let mut state = cloud.lock();
        let n = &mut state.neutron;
        n.default_group(&cloud, &caller.project_id);
        let groups = n.security_groups.values().filter(|g| sees(&caller, &g.common));
        groups.flat_map(|g| g.rules.iter().map(Rule::json)).collect()
    };
    listing::list(&cloud, "security_group_rules", "security-group-rules", items, &params).map(Json)
}

async fn show_rule(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let state = cloud.lock();
    let mut rules = state
        .neutron
        .security_groups
        .values()
        .filter(|g| sees(&caller, &g.common))
        .flat_map(|g| &g.rules);
    let rule =
        rules.find(|r| r.common.id == id).ok_or_else(|| not_found("security_group_rule", &id))?;
    Ok(Json(json!({"security_group_rule": rule.json()})))
}

/// `protocol` may be a name or a number; `any` and null are none.
fn protocol_of(new: &Value) -> Result<Option<String>, ApiError> {
    const KNOWN: [&str; 14] = [
        "tcp",
        "udp",
        "icmp",
        "icmpv6",
        "ipv6-icmp",
        "sctp",
        "udplite",
        "gre",
        "esp",
        "ah",
        "igmp",
        "vrrp",
        "ospf",
        "rsvp",
    ];
    let text = match &new["protocol"] {
        Value::Null => return Ok(None),
        Value::Number(n) => n.to_string(),
        Value::String(text) => text.to_ascii_lowercase(),
        other => return Err(invalid(format!("protocol {other}"))),
    };
    if text == "any" || text.is_empty() {
        return Ok(None);
    }
    if text.parse::<u8>().is_ok() || KNOWN.contains(&text.as_str()) {
        return Ok(Some(text));
    }
    Err(NEUTRON
        .bad_request(format!("Security group rule protocol {text} not supported."))
        .kind("SecurityGroupRuleInvalidProtocol"))
}

fn rule_of(cloud: &Inner, new: &Value, project_id: String) -> Result<Rule, ApiError> {
    let text = |key: &str| new[key].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let number =
        |key: &str| new[key].as_i64().or_else(|| new[key].as_str().and_then(|t| t.parse().ok()));
    let rule = Rule {
        common: Common::new(cloud.new_id(), new, project_id, cloud.now()),
        security_group_id: text("security_group_id").unwrap_or_default(),
        direction: text("direction").unwrap_or_default(),
        ethertype: text("ethertype").unwrap_or_else(|| "IPv4".to_owned()),
        protocol: protocol_of(new)?,
        port_range_min: number("port_range_min"),
        port_range_max: number("port_range_max"),
        remote_ip_prefix: text("remote_ip_prefix"),
        remote_group_id: text("remote_group_id"),
    };
    if !matches!(rule.direction.as_str(), "ingress" | "egress") {
        return Err(invalid(format!("'{}' is not in ['ingress', 'egress']", rule.direction)));
    }
    if !matches!(rule.ethertype.as_str(), "IPv4" | "IPv6") {
        return Err(invalid(format!("'{}' is not in ['IPv4', 'IPv6']", rule.ethertype)));
    }
    if rule.remote_ip_prefix.is_some() && rule.remote_group_id.is_some() {
        return Err(NEUTRON
            .bad_request("Only remote_ip_prefix or remote_group_id may be provided.")
            .kind("SecurityGroupRemoteGroupAndRemoteIpPrefix"));
    }
    check_ranges(&rule)?;
    Ok(rule)
}

fn check_ranges(rule: &Rule) -> Result<(), ApiError> {
    if let Some(prefix) = &rule.remote_ip_prefix {
        let cidr = Cidr::parse(prefix).or_else(|| {
            prefix.parse::<std::net::IpAddr>().ok().and_then(|ip| {
                Cidr::parse(&format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 }))
            })
        });
        let cidr = cidr.ok_or_else(|| invalid(format!("'{prefix}' is not a valid IP subnet")))?;
        if cidr.is_v4() != (rule.ethertype == "IPv4") {
            return Err(NEUTRON
                .bad_request(format!(
                    "Conflicting value ethertype {} for CIDR {prefix}",
                    rule.ethertype
                ))
                .kind("SecurityGroupRuleParameterConflict"));
        }
    }
    let ports = (rule.port_range_min, rule.port_range_max);
    let has_range = ports.0.is_some() || ports.1.is_some();
    if has_range && rule.protocol.is_none() {
        return Err(NEUTRON
            .bad_request("Must also specify protocol if port range is given.")
            .kind("SecurityGroupProtocolRequiredWithPorts"));
    }
    let layer4 =
        matches!(rule.protocol.as_deref(), Some("tcp" | "udp" | "sctp" | "udplite" | "6" | "17"));
    if let (true, (Some(min), Some(max))) = (layer4, ports)
        && (min > max || !(0..=65535).contains(&min) || !(0..=65535).contains(&max))
    {
        return Err(NEUTRON
            .bad_request("For TCP/UDP protocols, port_range_min must be <= port_range_max")
            .kind("SecurityGroupInvalidPortRange"));
    }
    Ok(())
}

fn same_rule(a: &Rule, b: &Rule) -> bool {
    let key = |r: &Rule| {
        (
            r.direction.clone(),
            r.ethertype.clone(),
            r.protocol.clone(),
            r.port_range_min,
            r.port_range_max,
            r.remote_ip_prefix.clone(),
            r.remote_group_id.clone(),
        )
    };
    key(a) == key(b)
}

async fn create_rule(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let new = inner(&body, "security_group_rule")?;
    let group_id = new["security_group_id"].as_str().unwrap_or_default().to_owned();
    let mut state = cloud.lock();
    let owner = state.neutron.visible_group(&caller, &group_id)?.common.project_id.clone();
    let rule = rule_of(&cloud, new, owner.clone())?;
    if let Some(remote) = &rule.remote_group_id {
        state.neutron.visible_group(&caller, remote)?;
    }
    state.check_network_quota(&owner, "security_group_rule")?;
    let group = state
        .neutron
        .security_groups
        .get_mut(&group_id)
        .ok_or_else(|| not_found("security_group", &group_id))?;
    if let Some(other) = group.rules.iter().find(|r| same_rule(r, &rule)) {
        return Err(NEUTRON
            .conflict(format!(
                "Security group rule already exists. Rule id is {}.",
                other.common.id
            ))
            .kind("SecurityGroupRuleExists"));
    }
    let answer = json!({"security_group_rule": rule.json()});
    group.rules.push(rule);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn delete_rule(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    let mut groups =
        state.neutron.security_groups.values_mut().filter(|g| sees(&caller, &g.common));
    let group = groups.find(|g| g.rules.iter().any(|r| r.common.id == id));
    let group = group.ok_or_else(|| not_found("security_group_rule", &id))?;
    group.rules.retain(|r| r.common.id != id);
    Ok(StatusCode::NO_CONTENT)
}
