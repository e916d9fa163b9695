//! `/v3/OS-TRUST/trusts`.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{KS, State, Target, Trust, collection, expiry_of, inner, not_found, text, time};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params};

/// `/identity/v3/OS-TRUST/trusts`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/identity/v3/OS-TRUST/trusts", get(list).post(create))
        .route("/identity/v3/OS-TRUST/trusts/{id}", get(show).delete(delete))
        .route("/identity/v3/OS-TRUST/trusts/{id}/roles", get(roles))
}

fn trust_json(cloud: &Cloud, state: &State, trust: &Trust, with_roles: bool) -> Value {
    let url = format!("{}/identity/v3/OS-TRUST/trusts/{}", cloud.base_url(), trust.id);
    let mut out = json!({
        "id": trust.id,
        "trustor_user_id": trust.trustor_user_id,
        "trustee_user_id": trust.trustee_user_id,
        "project_id": trust.project_id,
        "impersonation": trust.impersonation,
        "expires_at": trust.expires_at.map(time),
        "remaining_uses": trust.remaining_uses,
        "redelegation_count": 0,
        "redelegated_trust_id": null,
        "deleted_at": trust.deleted_at.map(time),
        "links": {"self": url},
    });
    if with_roles {
        out["roles"] = role_list(state, trust);
        out["roles_links"] =
            json!({"self": format!("{url}/roles"), "next": null, "previous": null});
    }
    out
}

fn role_list(state: &State, trust: &Trust) -> Value {
    let roles = trust.role_ids.iter().filter_map(|id| state.roles.get(id));
    roles.map(|r| json!({"id": r.id, "name": r.name, "domain_id": null})).collect()
}

/// Application credentials may neither make nor even read trusts (Keystone 30).
fn refuse_app_credential(caller: &Caller) -> Result<(), ApiError> {
    if caller.from_application_credential {
        return Err(KS.forbidden(
            "Using method 'application_credential' is not allowed for managing trusts.",
        ));
    }
    Ok(())
}

async fn create(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    refuse_app_credential(&caller)?;
    if caller.trust_id.is_some() {
        return Err(KS.forbidden("A trust cannot be made with a token that comes from a trust."));
    }
    let new = inner(&body, "trust")?;
    let trustor = text(new, "trustor_user_id")?;
    let trustee = text(new, "trustee_user_id")?;
    let impersonation = new["impersonation"].as_bool().ok_or_else(|| {
        KS.bad_request("Invalid input for field 'impersonation': a boolean is required.")
    })?;
    if trustor != caller.user_id {
        return Err(KS.forbidden("The authenticated user should match the trustor."));
    }
    let expires_at = expiry_of(new, cloud.now())?;
    let mut state = cloud.lock();
    let ks = &mut state.keystone;
    if !ks.users.contains_key(trustee) {
        return Err(not_found("user", trustee));
    }
    let project_id = text(new, "project_id")?.to_owned();
    if !ks.projects.contains_key(&project_id) {
        return Err(not_found("project", &project_id));
    }
    let trust = Trust {
        id: cloud.new_hex_id(),
        trustor_user_id: trustor.to_owned(),
        trustee_user_id: trustee.to_owned(),
        role_ids: delegated_roles(ks, new, trustor, &project_id)?,
        project_id,
        impersonation,
        expires_at,
        remaining_uses: new["remaining_uses"].as_u64().and_then(|n| u32::try_from(n).ok()),
        deleted_at: None,
    };
    let answer = json!({"trust": trust_json(&cloud, ks, &trust, true)});
    ks.trusts.insert(trust.id.clone(), trust);
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Ids of the roles to delegate, each of which the trustor must hold on the project.
fn delegated_roles(
    state: &State,
    new: &Value,
    trustor: &str,
    project_id: &str,
) -> Result<Vec<String>, ApiError> {
    let wanted = new["roles"].as_array().filter(|r| !r.is_empty());
    let wanted = wanted.ok_or_else(|| KS.forbidden("At least one role should be specified."))?;
    let held = state.roles_on(trustor, &Target::Project(project_id.to_owned()));
    let held = state.with_implied(&held);
    let mut ids = Vec::new();
    for role in wanted {
        let key = role["id"].as_str().or_else(|| role["name"].as_str()).unwrap_or_default();
        let found = held.iter().find(|r| r.id == key || r.name == key);
        ids.push(found.ok_or_else(|| not_found("role", key))?.id.clone());
    }
    Ok(ids)
}

/// A trust that is not deleted, if the caller is one of its ends or admin.
fn visible<'a>(state: &'a State, caller: &Caller, id: &str) -> Result<&'a Trust, ApiError> {
    refuse_app_credential(caller)?;
    let trust = state
        .trusts
        .get(id)
        .filter(|t| t.deleted_at.is_none())
        .ok_or_else(|| not_found("trust", id))?;
    let mine = caller.user_id == trust.trustor_user_id || caller.user_id == trust.trustee_user_id;
    if mine || caller.is_admin() { Ok(trust) } else { Err(KS.policy_denied("identity:get_trust")) }
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let now = cloud.now();
    let state = cloud.lock();
    let trust = visible(&state.keystone, &caller, &id)?;
    if trust.expires_at.is_some_and(|end| end <= now) {
        return Err(not_found("trust", &id));
    }
    Ok(Json(json!({"trust": trust_json(&cloud, &state.keystone, trust, true)})))
}

async fn roles(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let state = cloud.lock();
    let trust = visible(&state.keystone, &caller, &id)?;
    Ok(Json(json!({"roles": role_list(&state.keystone, trust)})))
}

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    refuse_app_credential(&caller)?;
    let (trustor, trustee) = (params.get("trustor_user_id"), params.get("trustee_user_id"));
    let mine = trustor == Some(&caller.user_id) || trustee == Some(&caller.user_id);
    if !mine {
        caller.require_admin(KS, "identity:list_trusts")?;
    }
    let state = cloud.lock();
    let wanted = |t: &&Trust| {
        t.deleted_at.is_none()
            && trustor.is_none_or(|u| u == t.trustor_user_id)
            && trustee.is_none_or(|u| u == t.trustee_user_id)
    };
    let items = state
        .keystone
        .trusts
        .values()
        .filter(wanted)
        .map(|t| trust_json(&cloud, &state.keystone, t, false))
        .collect();
    Ok(Json(collection(&cloud, "trusts", "OS-TRUST/trusts", items)))
}

async fn delete(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    refuse_app_credential(&caller)?;
    let now = cloud.now();
    let mut state = cloud.lock();
    let trust = state.keystone.trusts.get_mut(&id).filter(|t| t.deleted_at.is_none());
    let trust = trust.ok_or_else(|| not_found("trust", &id))?;
    if trust.trustor_user_id != caller.user_id && !caller.is_admin() {
        return Err(KS.policy_denied("identity:delete_trust"));
    }
    trust.deleted_at = Some(now);
    Ok(StatusCode::NO_CONTENT)
}
