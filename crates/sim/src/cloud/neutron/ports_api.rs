//! `/v2.0/ports`.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{
    NEUTRON, Network, NewPort, Port, State, denied, inner, invalid, listing, not_found, owner_of,
    ports::{WishedIp, wanted_ips},
    privileged,
};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params};

/// `/network/v2.0/ports`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/network/v2.0/ports", get(list).post(create))
        .route("/network/v2.0/ports/{id}", get(show).put(update).delete(delete))
}

/// Own ports, and all ports of own networks.
fn sees(state: &State, caller: &Caller, port: &Port) -> bool {
    let owns_network =
        state.networks.get(&port.network_id).is_some_and(|n| caller.may_see(&n.common.project_id));
    privileged(caller) || caller.may_see(&port.common.project_id) || owns_network
}

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let items = {
        let state = cloud.lock();
        let n = &state.neutron;
        n.ports
            .values()
            .filter(|p| sees(n, &caller, p))
            .map(|p| p.json(privileged(&caller)))
            .collect()
    };
    listing::list(&cloud, "ports", "ports", items, &params).map(Json)
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let state = cloud.lock();
    let n = &state.neutron;
    let port =
        n.ports.get(&id).filter(|p| sees(n, &caller, p)).ok_or_else(|| not_found("port", &id))?;
    Ok(Json(json!({"port": listing::pick(&port.json(privileged(&caller)), &params)})))
}

/// Attributes whose choice needs admin, the role `service`, or membership in the network's owner.
fn check_policy(
    caller: &Caller,
    body: &Value,
    network: &Network,
    verb: &str,
) -> Result<(), ApiError> {
    let given = |key: &str| body.get(key).is_some_and(|v| !v.is_null());
    let refuse = |key: &str| Err(denied(&format!("{verb}_port and rule:{verb}_port:{key}")));
    let network_owner = caller.may_see(&network.common.project_id);
    if !privileged(caller) {
        if given("binding:host_id") {
            return refuse("binding:host_id");
        }
        if !network_owner {
            for key in ["mac_address", "allowed_address_pairs", "port_security_enabled"] {
                if given(key) {
                    return refuse(key);
                }
            }
            let ips = body.get("fixed_ips").and_then(Value::as_array);
            if ips.is_some_and(|ips| {
                ips.iter().any(|ip| ip.get("ip_address").is_some_and(|a| !a.is_null()))
            }) {
                return refuse("fixed_ips:ip_address");
            }
            if body["device_owner"].as_str().is_some_and(|o| o.starts_with("network:")) {
                return refuse("device_owner");
            }
        }
    }
    // Current releases let only services write the binding profile; administrators not.
    let profile =
        body.get("binding:profile").is_some_and(|p| p.as_object().is_some_and(|o| !o.is_empty()));
    if profile && !caller.has_role("service") {
        return refuse("binding:profile");
    }
    Ok(())
}

/// `fixed_ips` of a body: absent or null is `None`.
fn fixed_ips_of(body: &Value) -> Result<Option<Vec<WishedIp>>, ApiError> {
    let Some(list) = body.get("fixed_ips").filter(|v| !v.is_null()) else { return Ok(None) };
    let list = list
        .as_array()
        .ok_or_else(|| invalid(format!("Invalid data format for fixed IP: '{list}'")))?;
    let mut out = Vec::new();
    for item in list {
        let ip = match item.get("ip_address").filter(|v| !v.is_null()) {
            None => None,
            Some(value) => {
                let text = value.as_str().unwrap_or_default();
                Some(
                    text.parse()
                        .map_err(|_| invalid(format!("'{text}' is not a valid IP address")))?,
                )
            }
        };
        out.push((item["subnet_id"].as_str().map(str::to_owned), ip));
    }
    Ok(Some(out))
}

fn strings(value: Option<&Value>) -> Option<Vec<String>> {
    let list = value?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn values(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_array).cloned().unwrap_or_default()
}

fn new_port(caller: &Caller, new: &Value) -> Result<NewPort, ApiError> {
    let text = |key: &str| new[key].as_str().unwrap_or_default().to_owned();
    Ok(NewPort {
        network_id: text("network_id"),
        project_id: owner_of(caller, new, "create_port")?,
        name: text("name"),
        description: text("description"),
        tags: strings(new.get("tags")).unwrap_or_default(),
        mac_address: new["mac_address"].as_str().map(str::to_owned),
        fixed_ips: fixed_ips_of(new)?,
        security_groups: strings(new.get("security_groups")),
        port_security_enabled: new["port_security_enabled"].as_bool(),
        allowed_address_pairs: values(new.get("allowed_address_pairs")),
        extra_dhcp_opts: new.get("extra_dhcp_opts").filter(|v| v.is_array()).cloned(),
        vnic_type: new["binding:vnic_type"].as_str().map(str::to_owned),
        device_id: text("device_id"),
        device_owner: text("device_owner"),
        host_id: text("binding:host_id"),
        profile: new.get("binding:profile").filter(|v| v.is_object()).cloned(),
        admin_state_up: new["admin_state_up"].as_bool(),
    })
}

fn create_one(cloud: &Cloud, caller: &Caller, new: &Value) -> Result<Port, ApiError> {
    let port = new_port(caller, new)?;
    if port.network_id.is_empty() {
        return Err(NEUTRON.bad_request(
            "Failed to parse request. Required attribute 'network_id' not specified",
        ));
    }
    let mut state = cloud.lock();
    let network = state.neutron.visible_network(caller, &port.network_id)?.clone();
    if network.external
        && !network.shared
        && !privileged(caller)
        && !caller.may_see(&network.common.project_id)
    {
        return Err(denied("create_port"));
    }
    check_policy(caller, new, &network, "create")?;
    check_groups_visible(&state.neutron, caller, port.security_groups.as_deref())?;
    state.create_port_for(cloud, port)
}

/// Another project's security group does not exist for a tenant.
fn check_groups_visible(
    state: &State,
    caller: &Caller,
    groups: Option<&[String]>,
) -> Result<(), ApiError> {
    for id in groups.unwrap_or_default() {
        let visible = state
            .security_groups
            .get(id)
            .is_some_and(|g| privileged(caller) || caller.may_see(&g.common.project_id));
        if !visible {
            return Err(not_found("security_group", id));
        }
    }
    Ok(())
}

async fn create(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    if let Some(list) = body.get("ports").and_then(Value::as_array) {
        let mut made: Vec<Port> = Vec::new();
        for new in list {
            match create_one(&cloud, &caller, new) {
                Ok(port) => made.push(port),
                Err(error) => {
                    // Bulk creation is all or nothing.
                    let mut state = cloud.lock();
                    for port in made {
                        state.delete_port(&port.common.id)?;
                    }
                    return Err(error);
                }
            }
        }
        let items: Vec<Value> = made.iter().map(|p| p.json(privileged(&caller))).collect();
        return Ok((StatusCode::CREATED, Json(json!({"ports": items}))));
    }
    let port = create_one(&cloud, &caller, inner(&body, "port")?)?;
    Ok((StatusCode::CREATED, Json(json!({"port": port.json(privileged(&caller))}))))
}

async fn update(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    let change = inner(&body, "port")?;
    let now = cloud.now();
    let mut state = cloud.lock();
    let n = &mut state.neutron;
    let port = n
        .ports
        .get(&id)
        .filter(|p| sees(n, &caller, p))
        .ok_or_else(|| not_found("port", &id))?
        .clone();
    if !privileged(&caller) && !caller.may_see(&port.common.project_id) {
        return Err(denied("update_port"));
    }
    let network = n
        .networks
        .get(&port.network_id)
        .ok_or_else(|| not_found("network", &port.network_id))?
        .clone();
    check_policy(&caller, change, &network, "update")?;
    let mut port = changed_addresses(&cloud, n, port, change)?;
    changed_security(n, &caller, &mut port, change)?;
    changed_device(&mut port, change);
    port.common.change(change, now);
    n.ports.insert(id, port.clone());
    Ok(Json(json!({"port": port.json(privileged(&caller))})))
}

fn changed_addresses(
    cloud: &Cloud,
    n: &State,
    mut port: Port,
    change: &Value,
) -> Result<Port, ApiError> {
    if let Some(mac) = change["mac_address"].as_str()
        && !mac.eq_ignore_ascii_case(&port.mac_address)
    {
        if !port.host_id.is_empty() {
            return Err(NEUTRON
                .conflict(format!("Unable to complete operation on port {}, port is already bound, port type: ovs, old_mac {}, new_mac {mac}.", port.common.id, port.mac_address))
                .kind("PortBound"));
        }
        port.mac_address = n.choose_mac(cloud, &port.network_id, &port.common.id, Some(mac))?;
    }
    if let Some(ips) = fixed_ips_of(change)? {
        port.fixed_ips = n.allocate(&port.network_id, Some(&wanted_ips(&ips)), Some(&port))?;
    }
    Ok(port)
}

fn changed_security(
    n: &State,
    caller: &Caller,
    port: &mut Port,
    change: &Value,
) -> Result<(), ApiError> {
    port.port_security_enabled =
        change["port_security_enabled"].as_bool().unwrap_or(port.port_security_enabled);
    if let Some(groups) = strings(change.get("security_groups")) {
        check_groups_visible(n, caller, Some(&groups))?;
        port.security_groups = groups;
    }
    if change.get("allowed_address_pairs").is_some() {
        port.allowed_address_pairs = values(change.get("allowed_address_pairs"));
    }
    n.check_security(&port.security_groups, &port.allowed_address_pairs, port.port_security_enabled)
}

fn changed_device(port: &mut Port, change: &Value) {
    let targets = [
        ("device_id", &mut port.device_id),
        ("device_owner", &mut port.device_owner),
        ("binding:host_id", &mut port.host_id),
        ("binding:vnic_type", &mut port.vnic_type),
    ];
    for (key, target) in targets {
        match change.get(key) {
            Some(Value::String(text)) => text.clone_into(target),
            Some(Value::Null) => target.clear(),
            _ => {}
        }
    }
    if port.host_id.is_empty() || port.device_id.is_empty() {
        port.plugged = false;
    }
    port.admin_state_up = change["admin_state_up"].as_bool().unwrap_or(port.admin_state_up);
    if let Some(profile) = change.get("binding:profile").filter(|v| v.is_object()) {
        port.profile = profile.clone();
    }
    if let Some(options) = change.get("extra_dhcp_opts").filter(|v| v.is_array()) {
        port.extra_dhcp_opts = options.clone();
    }
}

async fn delete(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    let n = &state.neutron;
    n.ports.get(&id).filter(|p| sees(n, &caller, p)).ok_or_else(|| not_found("port", &id))?;
    state.delete_port(&id)?;
    Ok(StatusCode::NO_CONTENT)
}
