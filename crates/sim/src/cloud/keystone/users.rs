//! `/v3/users`.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Map, Value, json};

use super::{KS, Target, User, collection, duplicate, inner, not_found, projects, text};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params};

/// `/identity/v3/users`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/identity/v3/users", get(list).post(create))
        .route("/identity/v3/users/{id}", get(show).patch(update).delete(delete))
        .route("/identity/v3/users/{id}/password", post(change_password))
        .route("/identity/v3/users/{id}/projects", get(list_projects))
        .route("/identity/v3/users/{id}/groups", get(list_groups))
        .route("/identity/v3/groups", get(all_groups))
}

fn user_json(cloud: &Cloud, user: &User) -> Value {
    let mut out = user.extra.clone();
    out.insert("id".into(), json!(user.id));
    out.insert("name".into(), json!(user.name));
    out.insert("domain_id".into(), json!(user.domain_id));
    out.insert("enabled".into(), json!(user.enabled));
    out.insert("options".into(), json!({}));
    out.insert("password_expires_at".into(), Value::Null);
    if let Some(project) = &user.default_project_id {
        out.insert("default_project_id".into(), json!(project));
    }
    out.insert(
        "links".into(),
        json!({"self": format!("{}/identity/v3/users/{}", cloud.base_url(), user.id)}),
    );
    Value::Object(out)
}

fn self_or_admin(caller: &Caller, id: &str, rule: &str) -> Result<(), ApiError> {
    if caller.user_id == id { Ok(()) } else { caller.require_admin(KS, rule) }
}

fn wanted(params: &Params, user: &User) -> bool {
    let enabled = params
        .get("enabled")
        .is_none_or(|e| (e.eq_ignore_ascii_case("true") || e == "1") == user.enabled);
    params.get("name").is_none_or(|n| n == user.name)
        && params.get("domain_id").is_none_or(|d| d == user.domain_id)
        && enabled
}

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:list_users")?;
    let state = cloud.lock();
    let users = state.keystone.users.values();
    let items = users.filter(|u| wanted(&params, u)).map(|u| user_json(&cloud, u)).collect();
    Ok(Json(collection(&cloud, "users", "users", items)))
}

fn extra_of(body: &Value) -> Map<String, Value> {
    const KNOWN: [&str; 8] = [
        "id",
        "name",
        "domain_id",
        "enabled",
        "password",
        "original_password",
        "default_project_id",
        "options",
    ];
    let fields = body.as_object().cloned().unwrap_or_default();
    fields.into_iter().filter(|(k, _)| !KNOWN.contains(&k.as_str())).collect()
}

async fn create(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require_admin(KS, "identity:create_user")?;
    let new = inner(&body, "user")?;
    let user = User {
        id: cloud.new_hex_id(),
        name: text(new, "name")?.to_owned(),
        domain_id: new["domain_id"].as_str().unwrap_or("default").to_owned(),
        password: new["password"].as_str().unwrap_or_default().to_owned(),
        enabled: new["enabled"].as_bool().unwrap_or(true),
        default_project_id: new["default_project_id"].as_str().map(str::to_owned),
        extra: extra_of(new),
    };
    let mut state = cloud.lock();
    let ks = &mut state.keystone;
    if !ks.domains.contains_key(&user.domain_id) {
        return Err(not_found("domain", &user.domain_id));
    }
    if ks.user_named(&user.name, &user.domain_id).is_some() {
        return Err(duplicate("user", &user.name));
    }
    let answer = json!({"user": user_json(&cloud, &user)});
    ks.users.insert(user.id.clone(), user);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    self_or_admin(&caller, &id, "identity:get_user")?;
    let state = cloud.lock();
    let user = state.keystone.users.get(&id).ok_or_else(|| not_found("user", &id))?;
    Ok(Json(json!({"user": user_json(&cloud, user)})))
}

async fn update(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:update_user")?;
    let change = inner(&body, "user")?;
    let mut state = cloud.lock();
    if change["password"].is_string() || change["enabled"] == json!(false) {
        // They stay void when the user is enabled again.
        state.keystone.revoke_tokens_of(&id);
    }
    let user = state.keystone.users.get_mut(&id).ok_or_else(|| not_found("user", &id))?;
    if let Some(name) = change["name"].as_str() {
        name.clone_into(&mut user.name);
    }
    if let Some(password) = change["password"].as_str() {
        password.clone_into(&mut user.password);
    }
    if let Some(enabled) = change["enabled"].as_bool() {
        user.enabled = enabled;
    }
    if let Some(project) = change.get("default_project_id") {
        user.default_project_id = project.as_str().map(str::to_owned);
    }
    user.extra.extend(extra_of(change));
    Ok(Json(json!({"user": user_json(&cloud, user)})))
}

async fn delete(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.require_admin(KS, "identity:delete_user")?;
    let now = cloud.now();
    let mut state = cloud.lock();
    let ks = &mut state.keystone;
    ks.users.remove(&id).ok_or_else(|| not_found("user", &id))?;
    ks.assignments.retain(|a| a.user_id != id);
    ks.app_credentials.retain(|_, c| c.user_id != id);
    for trust in
        ks.trusts.values_mut().filter(|t| t.trustor_user_id == id || t.trustee_user_id == id)
    {
        trust.deleted_at.get_or_insert(now);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn change_password(
    Ext(cloud): Ext<Cloud>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<StatusCode, ApiError> {
    let change = inner(&body, "user")?;
    let (old, new) = (text(change, "original_password")?, text(change, "password")?);
    let mut state = cloud.lock();
    let user =
        state.keystone.users.get_mut(&id).filter(|u| u.enabled).ok_or_else(|| KS.unauthorized())?;
    if user.password != old {
        return Err(KS.unauthorized());
    }
    new.clone_into(&mut user.password);
    state.keystone.revoke_tokens_of(&id);
    Ok(StatusCode::NO_CONTENT)
}

async fn list_projects(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    self_or_admin(&caller, &id, "identity:list_user_projects")?;
    let state = cloud.lock();
    let ks = &state.keystone;
    if !ks.users.contains_key(&id) {
        return Err(not_found("user", &id));
    }
    let held = |p: &str| !ks.roles_on(&id, &Target::Project(p.to_owned())).is_empty();
    let items = ks
        .projects
        .values()
        .filter(|p| held(&p.id))
        .map(|p| projects::project_json(&cloud, p))
        .collect();
    Ok(Json(collection(&cloud, "projects", &format!("users/{id}/projects"), items)))
}

async fn list_groups(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    self_or_admin(&caller, &id, "identity:list_groups_for_user")?;
    Ok(Json(collection(&cloud, "groups", &format!("users/{id}/groups"), Vec::new())))
}

async fn all_groups(Ext(cloud): Ext<Cloud>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:list_groups")?;
    Ok(Json(collection(&cloud, "groups", "groups", Vec::new())))
}
