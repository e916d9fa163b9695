//! `/v3/users/{user}/application_credentials`.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{
    AppCredential, KS, State, collection, duplicate, expiry_of, inner, login::secret_hash,
    not_found, text, time,
};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params};

/// `/identity/v3/users/{user}/application_credentials`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/identity/v3/users/{user}/application_credentials", get(list).post(create))
        .route("/identity/v3/users/{user}/application_credentials/{id}", get(show).delete(delete))
}

fn credential_json(cloud: &Cloud, state: &State, c: &AppCredential) -> Value {
    let roles: Vec<Value> = c
        .role_ids
        .iter()
        .filter_map(|id| state.roles.get(id))
        .map(|r| json!({"id": r.id, "name": r.name, "domain_id": null}))
        .collect();
    json!({
        "id": c.id, "name": c.name, "description": c.description, "project_id": c.project_id, "user_id": c.user_id,
        "roles": roles, "expires_at": c.expires_at.map(time), "unrestricted": c.unrestricted, "system": null,
        "links": {"self": format!("{}/identity/v3/users/{}/application_credentials/{}", cloud.base_url(), c.user_id, c.id)},
    })
}

/// Only the user, with a token that is not itself delegated (unless the credential is unrestricted).
fn own_business(cloud: &Cloud, caller: &Caller, user_id: &str, rule: &str) -> Result<(), ApiError> {
    if caller.user_id != user_id {
        return Err(KS.policy_denied(rule));
    }
    if caller.trust_id.is_some() {
        return Err(KS.forbidden(
            "Using method 'trust' is not allowed for managing application credentials.",
        ));
    }
    let state = cloud.lock();
    let token = state.keystone.tokens.get(&caller.token);
    let credential = token
        .and_then(|t| t.app_credential_id.as_ref())
        .and_then(|id| state.keystone.app_credentials.get(id));
    if credential.is_some_and(|c| !c.unrestricted) {
        return Err(KS.forbidden("Using method 'application_credential' is not allowed for managing additional application credentials."));
    }
    Ok(())
}

async fn create(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(user_id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    own_business(&cloud, &caller, &user_id, "identity:create_application_credential")?;
    if caller.project_id.is_empty() {
        return Err(KS.bad_request("An application credential needs a project-scoped token."));
    }
    let new = inner(&body, "application_credential")?;
    let name = text(new, "name")?.to_owned();
    let secret = new["secret"]
        .as_str()
        .map_or_else(|| format!("{}{}", cloud.new_hex_id(), cloud.new_hex_id()), str::to_owned);
    let expires_at = expiry_of(new, cloud.now())?;
    let mut state = cloud.lock();
    let ks = &mut state.keystone;
    if ks.app_credentials.values().any(|c| c.user_id == user_id && c.name == name) {
        return Err(duplicate("application_credential", &name));
    }
    let credential = AppCredential {
        id: cloud.new_hex_id(),
        name,
        description: new["description"].as_str().unwrap_or_default().to_owned(),
        role_ids: wanted_roles(ks, new, &caller)?,
        user_id,
        project_id: caller.project_id.clone(),
        secret_hash: secret_hash(&secret),
        expires_at,
        unrestricted: new["unrestricted"].as_bool().unwrap_or(false),
    };
    let mut answer = credential_json(&cloud, ks, &credential);
    answer["secret"] = json!(secret);
    ks.app_credentials.insert(credential.id.clone(), credential);
    Ok((StatusCode::CREATED, Json(json!({"application_credential": answer}))))
}

/// The roles asked for, which the caller must hold; all of the token's if none are named.
fn wanted_roles(state: &State, new: &Value, caller: &Caller) -> Result<Vec<String>, ApiError> {
    let named: Vec<&Value> =
        new["roles"].as_array().map(|r| r.iter().collect()).unwrap_or_default();
    if named.is_empty() {
        return Ok(caller
            .roles
            .iter()
            .filter_map(|n| state.role_named(n))
            .map(|r| r.id.clone())
            .collect());
    }
    let mut ids = Vec::new();
    for role in named {
        let found = match (role["id"].as_str(), role["name"].as_str()) {
            (Some(id), _) => state.roles.get(id),
            (None, Some(name)) => state.role_named(name),
            _ => return Err(KS.bad_request("Each role needs an id or a name.")),
        };
        let role = found.filter(|r| caller.has_role(&r.name)).ok_or_else(|| {
            KS.bad_request("Invalid application credential: Could not find role assignment with the given role.")
        })?;
        ids.push(role.id.clone());
    }
    Ok(ids)
}

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(user_id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    if caller.user_id != user_id {
        caller.require_admin(KS, "identity:list_application_credentials")?;
    }
    let state = cloud.lock();
    let ks = &state.keystone;
    let wanted =
        |c: &&AppCredential| c.user_id == user_id && params.get("name").is_none_or(|n| n == c.name);
    let items = ks
        .app_credentials
        .values()
        .filter(wanted)
        .map(|c| credential_json(&cloud, ks, c))
        .collect();
    Ok(Json(collection(
        &cloud,
        "application_credentials",
        &format!("users/{user_id}/application_credentials"),
        items,
    )))
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((user_id, id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    if caller.user_id != user_id {
        caller.require_admin(KS, "identity:get_application_credential")?;
    }
    let state = cloud.lock();
    let ks = &state.keystone;
    let credential = ks.app_credentials.get(&id).filter(|c| c.user_id == user_id);
    let credential = credential.ok_or_else(|| not_found("Application Credential", &id))?;
    Ok(Json(json!({"application_credential": credential_json(&cloud, ks, credential)})))
}

async fn delete(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((user_id, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    if !caller.is_admin() {
        own_business(&cloud, &caller, &user_id, "identity:delete_application_credential")?;
    }
    let mut state = cloud.lock();
    let found = state.keystone.app_credentials.get(&id).is_some_and(|c| c.user_id == user_id);
    if !found {
        return Err(not_found("Application Credential", &id));
    }
    state.keystone.app_credentials.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}
