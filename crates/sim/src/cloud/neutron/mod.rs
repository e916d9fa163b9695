//! Simulated Neutron v2.0 below `/network`.

mod discovery;
mod ipam;
mod listing;
mod networks;
mod ports;
mod ports_api;
mod quotas;
mod security_groups;
mod seed;
mod state;
mod subnets;
mod tags;

use axum::Router;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{ApiError, Caller, Cloud, Service};

pub use ports::{NewPort, WishedIp};
pub use seed::{NetworkSeed, seed};
pub use state::*;

const NEUTRON: Service = Service::Neutron;

/// All of Neutron's paths.
pub fn router() -> Router<Cloud> {
    Router::new()
        .merge(discovery::router())
        .merge(networks::router())
        .merge(subnets::router())
        .merge(ports_api::router())
        .merge(security_groups::router())
        .merge(quotas::router())
        .merge(tags::router())
}

/// Everything, as an administrator would list it.
pub fn dump(cloud: &Cloud) -> Value {
    let state = cloud.lock();
    let n = &state.neutron;
    json!({
        "networks": n.networks.values().map(|x| n.network_json(x)).collect::<Vec<_>>(),
        "subnets": n.subnets.values().map(Subnet::json).collect::<Vec<_>>(),
        "ports": n.ports.values().map(|x| x.json(true)).collect::<Vec<_>>(),
        "security_groups": n.security_groups.values().map(SecurityGroup::json).collect::<Vec<_>>(),
    })
}

/// Neutron's time format.
fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The object below a body's key, or 400.
fn inner<'a>(body: &'a Value, key: &str) -> Result<&'a Value, ApiError> {
    body.get(key).filter(|v| v.is_object()).ok_or_else(|| {
        NEUTRON
            .bad_request(format!("Unable to find '{key}' in request body"))
            .kind("HTTPBadRequest")
    })
}

/// 400 `InvalidInput`.
fn invalid(message: impl std::fmt::Display) -> ApiError {
    NEUTRON.bad_request(format!("Invalid input for operation: {message}.")).kind("InvalidInput")
}

/// 404 in Neutron's words: `Port 1234 could not be found.`
fn not_found(kind: &str, id: &str) -> ApiError {
    let (spoken, class) = match kind {
        "network" => ("Network", "NetworkNotFound"),
        "subnet" => ("Subnet", "SubnetNotFound"),
        "port" => ("Port", "PortNotFound"),
        "security_group" => ("Security group", "SecurityGroupNotFound"),
        "security_group_rule" => ("Security group rule", "SecurityGroupRuleNotFound"),
        other => (other, "ResourceNotFound"),
    };
    let message = match kind {
        "security_group" => format!("{spoken} {id} does not exist"),
        "security_group_rule" => format!("{spoken} {id} does not exist"),
        _ => format!("{spoken} {id} could not be found."),
    };
    NEUTRON.not_found(message).kind(class)
}

/// 403 in Neutron's words.
fn denied(rule: &str) -> ApiError {
    NEUTRON.forbidden(format!("rule:{rule} is disallowed by policy")).kind("PolicyNotAuthorized")
}

/// Admin, or the role `service`: what current policies let choose bindings and addresses anywhere.
fn privileged(caller: &Caller) -> bool {
    caller.is_admin() || caller.has_role("service")
}

/// The project of a new object: the caller's, or another's if the caller is privileged.
fn owner_of(caller: &Caller, new: &Value, rule: &str) -> Result<String, ApiError> {
    let asked = new.get("project_id").or_else(|| new.get("tenant_id")).and_then(Value::as_str);
    match asked.filter(|p| !p.is_empty()) {
        Some(project) if project == caller.project_id || privileged(caller) => {
            Ok(project.to_owned())
        }
        Some(_) => Err(denied(rule)),
        None => Ok(caller.project_id.clone()),
    }
}
