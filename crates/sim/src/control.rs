//! `/_sim`: the tests' own door into each simulated site. It needs no token and ignores faults.

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    array::Array,
    cloud::{Cloud, Service},
    faults::{Gate, Partition, Rule},
};

/// Why the door refused.
fn bad(message: impl std::fmt::Display) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": message.to_string()}))).into_response()
}

fn faults_router(gate: Gate) -> Router {
    Router::new()
        .route("/_sim/faults", get(list_faults).post(add_fault).delete(remove_faults))
        .route("/_sim/partition", get(show_partition).post(set_partition).delete(end_partition))
        .with_state(gate)
}

/// A cloud's: dump, policy, quota, settings of the token's life, its guests' writes and what volumes hold. The faults are
/// added by the caller's state.
pub(crate) fn cloud_router() -> Router<Cloud> {
    Router::new()
        .route("/_sim/dump", get(|State(cloud): State<Cloud>| async move { Json(cloud.dump()) }))
        .route("/_sim/policy", get(show_policy).post(set_policy).delete(clear_policy))
        .route("/_sim/quota", post(set_quota))
        .route("/_sim/token-life", post(set_token_life))
        .route("/_sim/write", post(guest_write))
        .route("/_sim/content", get(volume_content))
        .route("/_sim/faults", get(cloud_faults).post(cloud_add).delete(cloud_remove))
        .route("/_sim/partition", get(cloud_partition).post(cloud_cut).delete(cloud_heal))
}

/// An array's: dump and faults.
pub(crate) fn array_router(array: &Array, gate: &Gate) -> Router {
    let dump = Router::new()
        .route("/_sim/dump", get(|State(array): State<Array>| async move { Json(array.dump()) }))
        .with_state(array.clone());
    faults_router(gate.clone()).merge(dump)
}

async fn list_faults(State(gate): State<Gate>) -> Json<Value> {
    Json(gate.plan().describe(Some(gate.site())))
}

/// One rule or a list of them. A rule without a site gets this one's; `"*"` means all sites.
async fn add_fault(State(gate): State<Gate>, Json(body): Json<Value>) -> Response {
    let items = body.as_array().cloned().unwrap_or_else(|| vec![body]);
    let mut rules = Vec::new();
    for item in items {
        match serde_json::from_value::<Rule>(item) {
            Ok(rule) => rules.push(rule),
            Err(error) => return bad(format!("not a fault rule: {error}")),
        }
    }
    let ids: Vec<u64> = rules
        .into_iter()
        .map(|mut rule| {
            rule.site = match rule.site.as_deref() {
                None => Some(gate.site().to_owned()),
                Some("*") => None,
                Some(other) => Some(other.to_owned()),
            };
            gate.plan().add(rule)
        })
        .collect();
    (StatusCode::CREATED, Json(json!({"ids": ids}))).into_response()
}

#[derive(Deserialize)]
struct Which {
    id: Option<u64>,
}

/// `?id=` removes one rule, else all that can hit this site.
async fn remove_faults(State(gate): State<Gate>, Query(which): Query<Which>) -> StatusCode {
    match which.id {
        Some(id) if gate.plan().remove(id) => StatusCode::NO_CONTENT,
        Some(_) => StatusCode::NOT_FOUND,
        None => {
            gate.plan().clear(Some(gate.site()));
            StatusCode::NO_CONTENT
        }
    }
}

async fn show_partition(State(gate): State<Gate>) -> Json<Value> {
    Json(json!({"mode": gate.plan().partitioned(gate.site())}))
}

#[derive(Deserialize)]
struct Mode {
    mode: Option<Partition>,
}

/// `{"mode": "refuse" | "hang" | null}`.
async fn set_partition(State(gate): State<Gate>, Json(mode): Json<Mode>) -> Json<Value> {
    gate.plan().partition(gate.site(), mode.mode);
    Json(json!({"mode": mode.mode}))
}

async fn end_partition(State(gate): State<Gate>) -> StatusCode {
    gate.plan().partition(gate.site(), None);
    StatusCode::NO_CONTENT
}

async fn cloud_faults(State(cloud): State<Cloud>) -> Json<Value> {
    list_faults(State(cloud.gate().clone())).await
}

async fn cloud_add(State(cloud): State<Cloud>, body: Json<Value>) -> Response {
    add_fault(State(cloud.gate().clone()), body).await
}

async fn cloud_remove(State(cloud): State<Cloud>, which: Query<Which>) -> StatusCode {
    remove_faults(State(cloud.gate().clone()), which).await
}

async fn cloud_partition(State(cloud): State<Cloud>) -> Json<Value> {
    show_partition(State(cloud.gate().clone())).await
}

async fn cloud_cut(State(cloud): State<Cloud>, mode: Json<Mode>) -> Json<Value> {
    set_partition(State(cloud.gate().clone()), mode).await
}

async fn cloud_heal(State(cloud): State<Cloud>) -> StatusCode {
    end_partition(State(cloud.gate().clone())).await
}

async fn show_policy(State(cloud): State<Cloud>) -> Json<Value> {
    Json(json!(cloud.lock().policies))
}

/// `{"volume_extension:volume_manage": "rule:admin_or_owner"}`; null restores the default.
async fn set_policy(State(cloud): State<Cloud>, Json(body): Json<Value>) -> Response {
    let Some(rules) = body.as_object() else {
        return bad("the body must be an object of rule names and expressions");
    };
    let mut state = cloud.lock();
    for (rule, expression) in rules {
        match expression {
            Value::String(text) => state.policies.insert(rule.clone(), text.clone()),
            Value::Null => state.policies.remove(rule),
            _ => return bad(format!("the expression of {rule} must be a text or null")),
        };
    }
    Json(json!(state.policies)).into_response()
}

async fn clear_policy(State(cloud): State<Cloud>) -> StatusCode {
    cloud.lock().policies.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Limit {
    /// `compute`, `volume` or `network`.
    service: String,
    /// Id; absent: everybody's.
    #[serde(default)]
    project_id: Option<String>,
    resource: String,
    limit: i64,
}

async fn set_quota(State(cloud): State<Cloud>, Json(limit): Json<Limit>) -> Response {
    let service = [Service::Nova, Service::Cinder, Service::Neutron]
        .into_iter()
        .find(|s| s.name() == limit.service);
    let Some(service) = service else { return bad(format!("no service {}", limit.service)) };
    let project = limit.project_id.as_deref().unwrap_or("*");
    cloud.lock().quotas.set(service, project, &limit.resource, limit.limit);
    StatusCode::NO_CONTENT.into_response()
}

#[derive(Deserialize)]
struct Life {
    seconds: i64,
}

/// Of tokens made from now on.
async fn set_token_life(State(cloud): State<Cloud>, Json(life): Json<Life>) -> StatusCode {
    cloud.lock().keystone.token_life = Some(chrono::Duration::seconds(life.seconds));
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Write {
    server: String,
    volume: String,
    stamp: String,
}

/// A running guest writes to a volume of its server, as far as its host is connected; refused with the reason.
async fn guest_write(State(cloud): State<Cloud>, Json(write): Json<Write>) -> Response {
    match cloud.guest_write(&write.server, &write.volume, &write.stamp) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            (StatusCode::CONFLICT, Json(json!({"error": error.to_string()}))).into_response()
        }
    }
}

#[derive(Deserialize)]
struct Held {
    volume: String,
}

/// `?volume=`: all that was written to it, oldest first.
async fn volume_content(State(cloud): State<Cloud>, Query(held): Query<Held>) -> Response {
    match cloud.volume_content(&held.volume) {
        Ok(stamps) => Json(json!({"stamps": stamps})).into_response(),
        Err(error) => (StatusCode::NOT_FOUND, Json(json!({"error": error}))).into_response(),
    }
}
