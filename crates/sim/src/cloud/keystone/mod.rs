//! Simulated Keystone v3 below `/identity`.

mod app_credentials;
mod assignments;
mod catalog;
mod login;
mod projects;
mod seed;
mod state;
mod tokens;
mod trusts;
mod users;

use axum::Router;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{ApiError, Cloud, Service};

pub use seed::{Account, SeedConfig, seed};
pub use state::*;

const KS: Service = Service::Keystone;

/// All of Keystone's paths.
pub fn router() -> Router<Cloud> {
    Router::new()
        .merge(catalog::router())
        .merge(tokens::router())
        .merge(users::router())
        .merge(app_credentials::router())
        .merge(projects::router())
        .merge(assignments::router())
        .merge(trusts::router())
}

/// Everything but secrets.
pub fn dump(cloud: &Cloud) -> Value {
    let now = cloud.now();
    let state = cloud.lock();
    let ks = &state.keystone;
    json!({
        "projects": ks.projects.values().map(|p| json!({"id": p.id, "name": p.name, "domain_id": p.domain_id, "enabled": p.enabled})).collect::<Vec<_>>(),
        "users": ks.users.values().map(|u| json!({"id": u.id, "name": u.name, "domain_id": u.domain_id, "enabled": u.enabled})).collect::<Vec<_>>(),
        "roles": ks.roles.values().map(|r| json!({"id": r.id, "name": r.name})).collect::<Vec<_>>(),
        "role_assignments": ks.assignments.iter().map(|a| {
            let (kind, id) = match &a.target { Target::Project(p) => ("project", p), Target::Domain(d) => ("domain", d) };
            json!({"role_id": a.role_id, "user_id": a.user_id, kind: id})
        }).collect::<Vec<_>>(),
        "trusts": ks.trusts.values().map(|t| json!({
            "id": t.id, "trustor_user_id": t.trustor_user_id, "trustee_user_id": t.trustee_user_id,
            "project_id": t.project_id, "usable": ks.trust_holds(t, now), "deleted": t.deleted_at.is_some(),
        })).collect::<Vec<_>>(),
        "application_credentials": ks.app_credentials.values().map(|c| json!({"id": c.id, "name": c.name, "user_id": c.user_id, "project_id": c.project_id})).collect::<Vec<_>>(),
        "services": ks.services.values().map(|s| json!({"id": s.id, "type": s.kind, "name": s.name})).collect::<Vec<_>>(),
        "endpoints": ks.endpoints.values().map(|e| json!({"id": e.id, "service_id": e.service_id, "interface": e.interface, "region_id": e.region_id, "url": e.url})).collect::<Vec<_>>(),
        "live_tokens": ks.tokens.values().filter(|t| t.expires_at > now && !t.revoked).count(),
    })
}

/// Keystone's time format.
fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.with_timezone(&Utc));
    }
    let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(naive.and_utc())
}

/// `expires_at` of a body: absent or null is none; nonsense and the past are 400.
fn expiry_of(body: &Value, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ApiError> {
    match body.get("expires_at") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let at = value.as_str().and_then(parse_time).ok_or_else(|| {
                KS.bad_request("The 'expires_at' must be an ISO 8601 date and time.")
            })?;
            if at <= now {
                return Err(KS.bad_request("The 'expires_at' must not be before now. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error."));
            }
            Ok(Some(at))
        }
    }
}

/// 404 in Keystone's words.
fn not_found(kind: &str, id: &str) -> ApiError {
    KS.not_found(format!("Could not find {kind}: {id}."))
}

/// 409 in Keystone's words.
fn duplicate(kind: &str, name: &str) -> ApiError {
    KS.conflict(format!(
        "Conflict occurred attempting to store {kind} - Duplicate entry found with name {name}."
    ))
}

/// `{"projects": [...], "links": {...}}`.
fn collection(cloud: &Cloud, key: &str, path: &str, items: Vec<Value>) -> Value {
    json!({
        key: items,
        "links": {"self": format!("{}/identity/v3/{path}", cloud.base_url()), "previous": null, "next": null},
    })
}

/// The object below a body's key, or 400.
fn inner<'a>(body: &'a Value, key: &str) -> Result<&'a Value, ApiError> {
    body.get(key).filter(|v| v.is_object()).ok_or_else(|| {
        KS.bad_request(format!("Expecting to find {key} in request body. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error."))
    })
}

/// A text that must be there and must not be empty.
fn text<'a>(body: &'a Value, key: &str) -> Result<&'a str, ApiError> {
    body.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).ok_or_else(|| {
        KS.bad_request(format!("Invalid input for field '{key}': a non-empty string is required."))
    })
}
