//! `/v2.0/subnets`.

use std::net::IpAddr;

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{
    Common, NEUTRON, State, Subnet, denied, inner, invalid,
    ipam::{Cidr, default_pools},
    listing, not_found, owner_of,
};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params};

/// `/network/v2.0/subnets`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/network/v2.0/subnets", get(list).post(create))
        .route("/network/v2.0/subnets/{id}", get(show).put(update).delete(delete))
}

fn sees(state: &State, caller: &Caller, subnet: &Subnet) -> bool {
    state.visible_network(caller, &subnet.network_id).is_ok()
}

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let items = {
        let state = cloud.lock();
        let n = &state.neutron;
        n.subnets.values().filter(|s| sees(n, &caller, s)).map(Subnet::json).collect()
    };
    listing::list(&cloud, "subnets", "subnets", items, &params).map(Json)
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let state = cloud.lock();
    let n = &state.neutron;
    let subnet = n
        .subnets
        .get(&id)
        .filter(|s| sees(n, &caller, s))
        .ok_or_else(|| not_found("subnet", &id))?;
    Ok(Json(json!({"subnet": listing::pick(&subnet.json(), &params)})))
}

fn address(value: &Value) -> Result<IpAddr, ApiError> {
    let text = value.as_str().unwrap_or_default();
    text.parse().map_err(|_| invalid(format!("'{text}' is not a valid IP address")))
}

/// `allocation_pools` of a body, if given.
fn pools_of(body: &Value, cidr: &Cidr) -> Result<Option<Vec<(IpAddr, IpAddr)>>, ApiError> {
    let Some(pools) = body.get("allocation_pools").and_then(Value::as_array) else {
        return Ok(None);
    };
    let mut out = Vec::new();
    for pool in pools {
        let (first, last) = (address(&pool["start"])?, address(&pool["end"])?);
        if first > last || !cidr.contains(first) || !cidr.contains(last) {
            return Err(NEUTRON
                .bad_request(format!(
                    "The allocation pool {first}-{last} spans beyond the subnet cidr {cidr}."
                ))
                .kind("OutOfBoundsAllocationPool"));
        }
        out.push((first, last));
    }
    Ok(Some(out))
}

/// Absent: the first address. Null: none.
fn gateway_of(body: &Value, cidr: &Cidr) -> Result<Option<IpAddr>, ApiError> {
    match body.get("gateway_ip") {
        None => Ok(Some(cidr.hosts().0)),
        Some(Value::Null) => Ok(None),
        Some(value) => address(value).map(Some),
    }
}

async fn create(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let new = inner(&body, "subnet")?;
    let project_id = owner_of(&caller, new, "create_subnet")?;
    let network_id = new["network_id"].as_str().unwrap_or_default().to_owned();
    let text = new["cidr"]
        .as_str()
        .ok_or_else(|| invalid("A cidr must be specified in the absence of a subnet pool"))?;
    let cidr =
        Cidr::parse(text).ok_or_else(|| invalid(format!("'{text}' is not a valid IP subnet")))?;
    let asked = new["ip_version"].as_u64();
    if asked.is_some_and(|v| v != if cidr.is_v4() { 4 } else { 6 }) {
        return Err(invalid(format!("The cidr {cidr} does not match the ip_version")));
    }
    let gateway_ip = gateway_of(new, &cidr)?;
    let pools = pools_of(new, &cidr)?.unwrap_or_else(|| default_pools(&cidr, gateway_ip));
    let list =
        |key: &str| new.get(key).filter(|v| v.is_array()).cloned().unwrap_or_else(|| json!([]));
    let subnet = Subnet {
        common: Common::new(cloud.new_id(), new, project_id.clone(), cloud.now()),
        network_id: network_id.clone(),
        cidr,
        gateway_ip,
        enable_dhcp: new["enable_dhcp"].as_bool().unwrap_or(true),
        pools,
        dns_nameservers: list("dns_nameservers"),
        host_routes: list("host_routes"),
    };
    let mut state = cloud.lock();
    let network = state.neutron.visible_network(&caller, &network_id)?;
    if !caller.may_see(&network.common.project_id) {
        return Err(denied("create_subnet"));
    }
    let mut siblings = state.neutron.subnets.values().filter(|s| s.network_id == network_id);
    if let Some(other) = siblings.find(|s| s.cidr.overlaps(&cidr)) {
        return Err(invalid(format!(
            "Requested subnet with cidr: {cidr} for network: {network_id} overlaps with another subnet ({})",
            other.cidr
        )));
    }
    state.check_network_quota(&project_id, "subnet")?;
    let answer = json!({"subnet": subnet.json()});
    state.neutron.subnets.insert(subnet.common.id.clone(), subnet);
    Ok((StatusCode::CREATED, Json(answer)))
}

fn changeable<'a>(
    state: &'a mut State,
    caller: &Caller,
    id: &str,
    rule: &str,
) -> Result<&'a mut Subnet, ApiError> {
    let visible = state.subnets.get(id).is_some_and(|s| sees(state, caller, s));
    let subnet =
        state.subnets.get_mut(id).filter(|_| visible).ok_or_else(|| not_found("subnet", id))?;
    if caller.may_see(&subnet.common.project_id) { Ok(subnet) } else { Err(denied(rule)) }
}

async fn update(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    let change = inner(&body, "subnet")?;
    let now = cloud.now();
    let mut state = cloud.lock();
    let subnet = changeable(&mut state.neutron, &caller, &id, "update_subnet")?;
    if change.get("cidr").is_some() || change.get("network_id").is_some() {
        return Err(NEUTRON.bad_request("Cannot update read-only attribute cidr or network_id"));
    }
    let pools = pools_of(change, &subnet.cidr)?;
    let gateway = change.get("gateway_ip").map(|_| gateway_of(change, &subnet.cidr)).transpose()?;
    subnet.common.change(change, now);
    subnet.pools = pools.unwrap_or_else(|| subnet.pools.clone());
    subnet.gateway_ip = gateway.unwrap_or(subnet.gateway_ip);
    subnet.enable_dhcp = change["enable_dhcp"].as_bool().unwrap_or(subnet.enable_dhcp);
    for (key, target) in
        [("dns_nameservers", &mut subnet.dns_nameservers), ("host_routes", &mut subnet.host_routes)]
    {
        if let Some(value) = change.get(key).filter(|v| v.is_array()) {
            *target = value.clone();
        }
    }
    Ok(Json(json!({"subnet": subnet.json()})))
}

async fn delete(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    changeable(&mut state.neutron, &caller, &id, "delete_subnet")?;
    if state.neutron.ports.values().any(|p| p.fixed_ips.iter().any(|(s, _)| *s == id)) {
        return Err(NEUTRON
            .conflict(format!("Unable to complete operation on subnet {id}: One or more ports have an IP allocation from this subnet."))
            .kind("SubnetInUse"));
    }
    state.neutron.subnets.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}
