//! `/v2.0/networks`.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{Common, NEUTRON, Network, State, denied, inner, listing, not_found, owner_of};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params};

/// `/network/v2.0/networks`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/network/v2.0/networks", get(list).post(create))
        .route("/network/v2.0/networks/{id}", get(show).put(update).delete(delete))
}

impl State {
    /// The network, if the caller may see it: own, shared, external, or admin and services.
    pub(super) fn visible_network(&self, caller: &Caller, id: &str) -> Result<&Network, ApiError> {
        self.networks.get(id).filter(|n| sees(caller, n)).ok_or_else(|| not_found("network", id))
    }
}

fn sees(caller: &Caller, network: &Network) -> bool {
    network.shared
        || network.external
        || super::privileged(caller)
        || caller.may_see(&network.common.project_id)
}

fn view(state: &State, caller: &Caller, network: &Network) -> Value {
    let mut out = state.network_json(network);
    if !super::privileged(caller)
        && let Some(fields) = out.as_object_mut()
    {
        fields.retain(|key, _| !key.starts_with("provider:"));
    }
    out
}

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let items = {
        let state = cloud.lock();
        let n = &state.neutron;
        n.networks.values().filter(|x| sees(&caller, x)).map(|x| view(n, &caller, x)).collect()
    };
    listing::list(&cloud, "networks", "networks", items, &params).map(Json)
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let state = cloud.lock();
    let network = state.neutron.visible_network(&caller, &id)?;
    Ok(Json(json!({"network": listing::pick(&view(&state.neutron, &caller, network), &params)})))
}

/// Attributes that only an administrator may set.
fn check_admin_attributes(caller: &Caller, body: &Value, verb: &str) -> Result<(), ApiError> {
    let asked = |key: &str| body.get(key).is_some_and(|v| !v.is_null() && *v != json!(false));
    for key in [
        "shared",
        "router:external",
        "provider:network_type",
        "provider:physical_network",
        "provider:segmentation_id",
    ] {
        if asked(key) && !caller.is_admin() {
            return Err(denied(&format!("{verb}_network:{key}")));
        }
    }
    Ok(())
}

async fn create(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let new = inner(&body, "network")?;
    check_admin_attributes(&caller, new, "create")?;
    let project_id = owner_of(&caller, new, "create_network")?;
    let flag = |key: &str, default: bool| new[key].as_bool().unwrap_or(default);
    let network = Network {
        common: Common::new(cloud.new_id(), new, project_id.clone(), cloud.now()),
        shared: flag("shared", false),
        external: flag("router:external", false),
        admin_state_up: flag("admin_state_up", true),
        port_security_enabled: flag("port_security_enabled", true),
        mtu: new["mtu"].as_u64().and_then(|m| u32::try_from(m).ok()).unwrap_or(1442),
        segmentation_id: new["provider:segmentation_id"]
            .as_u64()
            .and_then(|m| u32::try_from(m).ok())
            .unwrap_or(0),
    };
    let mut state = cloud.lock();
    state.check_network_quota(&project_id, "network")?;
    let n = &mut state.neutron;
    let id = network.common.id.clone();
    let network = n.insert_network(network);
    let answer = json!({"network": view(n, &caller, &network)});
    tracing::debug!(network = %id, "network made");
    Ok((StatusCode::CREATED, Json(answer)))
}

impl State {
    /// Stores a network; gives it a segment if it has none.
    pub(super) fn insert_network(&mut self, mut network: Network) -> Network {
        if network.segmentation_id == 0 {
            let highest = self.networks.values().map(|n| n.segmentation_id).max().unwrap_or(1000);
            network.segmentation_id = highest.max(1000) + 1;
        }
        self.networks.insert(network.common.id.clone(), network.clone());
        network
    }
}

/// The network if the caller may change it: 404 if it is invisible, 403 if it is another's.
fn changeable(state: &State, caller: &Caller, id: &str, rule: &str) -> Result<(), ApiError> {
    let network = state.visible_network(caller, id)?;
    if caller.may_see(&network.common.project_id) { Ok(()) } else { Err(denied(rule)) }
}

async fn update(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    let change = inner(&body, "network")?;
    let now = cloud.now();
    let mut state = cloud.lock();
    let n = &mut state.neutron;
    changeable(n, &caller, &id, "update_network")?;
    check_admin_attributes(&caller, change, "update")?;
    let network = n.networks.get_mut(&id).ok_or_else(|| not_found("network", &id))?;
    network.common.change(change, now);
    let flag = |key: &str, old: bool| change[key].as_bool().unwrap_or(old);
    network.shared = flag("shared", network.shared);
    network.external = flag("router:external", network.external);
    network.admin_state_up = flag("admin_state_up", network.admin_state_up);
    network.port_security_enabled = flag("port_security_enabled", network.port_security_enabled);
    let network = network.clone();
    Ok(Json(json!({"network": view(n, &caller, &network)})))
}

async fn delete(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    let n = &mut state.neutron;
    changeable(n, &caller, &id, "delete_network")?;
    if n.ports.values().any(|p| p.network_id == id) {
        return Err(NEUTRON
            .conflict(format!("Unable to complete operation on network {id}. There are one or more ports still in use on the network."))
            .kind("NetworkInUse"));
    }
    n.subnets.retain(|_, s| s.network_id != id);
    n.networks.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}
