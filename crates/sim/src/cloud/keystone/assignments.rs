//! `/v3/roles`, `/v3/role_assignments` and the grants below projects and domains.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::{get, put},
};
use serde_json::{Value, json};

use super::{Assignment, KS, Role, State, Target, collection, duplicate, inner, not_found, text};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params};

/// Roles and grants.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/identity/v3/roles", get(list_roles).post(create_role))
        .route("/identity/v3/roles/{id}", get(show_role).delete(delete_role))
        .route("/identity/v3/role_assignments", get(list))
        .route("/identity/v3/{kind}/{target}/users/{user}/roles", get(roles_of_user))
        .route(
            "/identity/v3/{kind}/{target}/users/{user}/roles/{role}",
            put(grant).head(check).get(check).delete(revoke),
        )
}

fn role_json(cloud: &Cloud, role: &Role) -> Value {
    json!({
        "id": role.id, "name": role.name, "domain_id": null, "description": null, "options": {},
        "links": {"self": format!("{}/identity/v3/roles/{}", cloud.base_url(), role.id)},
    })
}

async fn list_roles(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:list_roles")?;
    let state = cloud.lock();
    let wanted = |r: &&Role| {
        params.get("name").is_none_or(|n| n == r.name) && params.get("domain_id").is_none()
    };
    let items =
        state.keystone.roles.values().filter(wanted).map(|r| role_json(&cloud, r)).collect();
    Ok(Json(collection(&cloud, "roles", "roles", items)))
}

async fn create_role(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require_admin(KS, "identity:create_role")?;
    let name = text(inner(&body, "role")?, "name")?.to_owned();
    let mut state = cloud.lock();
    if state.keystone.role_named(&name).is_some() {
        return Err(duplicate("role", &name));
    }
    let role = Role { id: cloud.new_hex_id(), name };
    let answer = json!({"role": role_json(&cloud, &role)});
    state.keystone.roles.insert(role.id.clone(), role);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn show_role(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:get_role")?;
    let state = cloud.lock();
    let role = state.keystone.roles.get(&id).ok_or_else(|| not_found("role", &id))?;
    Ok(Json(json!({"role": role_json(&cloud, role)})))
}

async fn delete_role(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.require_admin(KS, "identity:delete_role")?;
    let mut state = cloud.lock();
    state.keystone.roles.remove(&id).ok_or_else(|| not_found("role", &id))?;
    state.keystone.assignments.retain(|a| a.role_id != id);
    Ok(StatusCode::NO_CONTENT)
}

/// `projects` or `domains` with an id that exists.
fn target_of(state: &State, kind: &str, id: &str) -> Result<Target, ApiError> {
    match kind {
        "projects" if state.projects.contains_key(id) => Ok(Target::Project(id.to_owned())),
        "projects" => Err(not_found("project", id)),
        "domains" if state.domains.contains_key(id) => Ok(Target::Domain(id.to_owned())),
        "domains" => Err(not_found("domain", id)),
        _ => Err(KS.not_found("The resource could not be found.")),
    }
}

/// The assignment that a path names; 404 for whatever does not exist.
fn named(state: &State, path: &(String, String, String, String)) -> Result<Assignment, ApiError> {
    let (kind, target, user, role) = path;
    let target = target_of(state, kind, target)?;
    if !state.users.contains_key(user) {
        return Err(not_found("user", user));
    }
    if !state.roles.contains_key(role) {
        return Err(not_found("role", role));
    }
    Ok(Assignment { role_id: role.clone(), user_id: user.clone(), target })
}

type GrantPath = Path<(String, String, String, String)>;

async fn grant(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(path): GrantPath,
) -> Result<StatusCode, ApiError> {
    caller.require_admin(KS, "identity:create_grant")?;
    let mut state = cloud.lock();
    let assignment = named(&state.keystone, &path)?;
    state.keystone.assignments.insert(assignment);
    Ok(StatusCode::NO_CONTENT)
}

async fn check(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(path): GrantPath,
) -> Result<StatusCode, ApiError> {
    caller.require_admin(KS, "identity:check_grant")?;
    let state = cloud.lock();
    let assignment = named(&state.keystone, &path)?;
    if state.keystone.assignments.contains(&assignment) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(KS.not_found(format!("Could not find role assignment with role: {}.", assignment.role_id)))
}

async fn revoke(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(path): GrantPath,
) -> Result<StatusCode, ApiError> {
    caller.require_admin(KS, "identity:revoke_grant")?;
    let mut state = cloud.lock();
    let assignment = named(&state.keystone, &path)?;
    if state.keystone.assignments.remove(&assignment) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(KS.not_found(format!("Could not find role assignment with role: {}.", assignment.role_id)))
}

async fn roles_of_user(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((kind, target, user)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:list_grants")?;
    let state = cloud.lock();
    let ks = &state.keystone;
    let on = target_of(ks, &kind, &target)?;
    if !ks.users.contains_key(&user) {
        return Err(not_found("user", &user));
    }
    let held = ks.roles_on(&user, &on);
    let items =
        held.iter().filter_map(|id| ks.roles.get(id)).map(|r| role_json(&cloud, r)).collect();
    Ok(Json(collection(&cloud, "roles", &format!("{kind}/{target}/users/{user}/roles"), items)))
}

/// Assignments as held, or with the implied roles spelled out.
fn assignments(state: &State, effective: bool) -> Vec<Assignment> {
    if !effective {
        return state.assignments.iter().cloned().collect();
    }
    let spelled = state.assignments.iter().flat_map(|a| {
        let roles = state.with_implied(std::slice::from_ref(&a.role_id));
        roles.into_iter().map(|r| Assignment {
            role_id: r.id,
            user_id: a.user_id.clone(),
            target: a.target.clone(),
        })
    });
    let unique: std::collections::BTreeSet<Assignment> = spelled.collect();
    unique.into_iter().collect()
}

fn assignment_json(cloud: &Cloud, state: &State, a: &Assignment, names: bool) -> Value {
    let mut role = json!({"id": a.role_id});
    let mut user = json!({"id": a.user_id});
    let (kind, id) = match &a.target {
        Target::Project(id) => ("project", id),
        Target::Domain(id) => ("domain", id),
    };
    let mut target = json!({"id": id});
    if names {
        let domain =
            |id: &str| json!({"id": id, "name": state.domains.get(id).map(|d| d.name.clone())});
        role["name"] = json!(state.roles.get(&a.role_id).map(|r| r.name.clone()));
        if let Some(u) = state.users.get(&a.user_id) {
            user["name"] = json!(u.name);
            user["domain"] = domain(&u.domain_id);
        }
        match &a.target {
            Target::Project(id) => {
                if let Some(p) = state.projects.get(id) {
                    target["name"] = json!(p.name);
                    target["domain"] = domain(&p.domain_id);
                }
            }
            Target::Domain(id) => target["name"] = domain(id)["name"].clone(),
        }
    }
    let link = format!(
        "{}/identity/v3/{kind}s/{id}/users/{}/roles/{}",
        cloud.base_url(),
        a.user_id,
        a.role_id
    );
    json!({"role": role, "user": user, "scope": {kind: target}, "links": {"assignment": link}})
}

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:list_role_assignments")?;
    let state = cloud.lock();
    let ks = &state.keystone;
    let wanted = |a: &&Assignment| {
        let on = |key: &str, target: &dyn Fn(&str) -> Target| {
            params.get(key).is_none_or(|id| a.target == target(id))
        };
        params.get("user.id").is_none_or(|u| u == a.user_id)
            && params.get("role.id").is_none_or(|r| r == a.role_id)
            && on("scope.project.id", &|id| Target::Project(id.to_owned()))
            && on("scope.domain.id", &|id| Target::Domain(id.to_owned()))
            && params.get("group.id").is_none()
            && params.get("scope.system").is_none()
    };
    let names = params.flag("include_names");
    let all = assignments(ks, params.flag("effective"));
    let items = all.iter().filter(wanted).map(|a| assignment_json(&cloud, ks, a, names)).collect();
    Ok(Json(collection(&cloud, "role_assignments", "role_assignments", items)))
}
