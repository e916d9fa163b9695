//! `/v3/domains` and `/v3/projects`.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{Domain, KS, Project, Target, collection, duplicate, inner, not_found, text};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params};

/// `/identity/v3/domains`, `/identity/v3/projects`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/identity/v3/domains", get(list_domains).post(create_domain))
        .route(
            "/identity/v3/domains/{id}",
            get(show_domain).patch(update_domain).delete(delete_domain),
        )
        .route("/identity/v3/projects", get(list).post(create))
        .route("/identity/v3/projects/{id}", get(show).patch(update).delete(delete))
}

pub(super) fn project_json(cloud: &Cloud, p: &Project) -> Value {
    json!({
        "id": p.id, "name": p.name, "domain_id": p.domain_id, "description": p.description, "enabled": p.enabled,
        "parent_id": p.domain_id, "is_domain": false, "tags": p.tags, "options": {},
        "links": {"self": format!("{}/identity/v3/projects/{}", cloud.base_url(), p.id)},
    })
}

pub(super) fn domain_json(cloud: &Cloud, d: &Domain) -> Value {
    json!({
        "id": d.id, "name": d.name, "description": d.description, "enabled": d.enabled, "tags": [], "options": {},
        "links": {"self": format!("{}/identity/v3/domains/{}", cloud.base_url(), d.id)},
    })
}

fn truthy(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text == "1"
}

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:list_projects")?;
    let state = cloud.lock();
    let wanted = |p: &&Project| {
        params.get("name").is_none_or(|n| n == p.name)
            && params.get("domain_id").is_none_or(|d| d == p.domain_id)
            && params.get("parent_id").is_none_or(|d| d == p.domain_id)
            && params.get("enabled").is_none_or(|e| truthy(e) == p.enabled)
            && !params.get("is_domain").is_some_and(truthy)
    };
    let items =
        state.keystone.projects.values().filter(wanted).map(|p| project_json(&cloud, p)).collect();
    Ok(Json(collection(&cloud, "projects", "projects", items)))
}

async fn create(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require_admin(KS, "identity:create_project")?;
    let new = inner(&body, "project")?;
    let project = Project {
        id: cloud.new_hex_id(),
        name: text(new, "name")?.to_owned(),
        domain_id: new["domain_id"].as_str().unwrap_or("default").to_owned(),
        description: new["description"].as_str().unwrap_or_default().to_owned(),
        enabled: new["enabled"].as_bool().unwrap_or(true),
        tags: Vec::new(),
    };
    let mut state = cloud.lock();
    let ks = &mut state.keystone;
    if !ks.domains.contains_key(&project.domain_id) {
        return Err(not_found("domain", &project.domain_id));
    }
    if ks.project_named(&project.name, &project.domain_id).is_some() {
        return Err(duplicate("project", &project.name));
    }
    let answer = json!({"project": project_json(&cloud, &project)});
    ks.projects.insert(project.id.clone(), project);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    if caller.project_id != id {
        caller.require_admin(KS, "identity:get_project")?;
    }
    let state = cloud.lock();
    let project = state.keystone.projects.get(&id).ok_or_else(|| not_found("project", &id))?;
    Ok(Json(json!({"project": project_json(&cloud, project)})))
}

async fn update(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:update_project")?;
    let change = inner(&body, "project")?;
    let mut state = cloud.lock();
    let ks = &mut state.keystone;
    let domain_id = ks
        .projects
        .get(&id)
        .map(|p| p.domain_id.clone())
        .ok_or_else(|| not_found("project", &id))?;
    if let Some(name) = change["name"].as_str()
        && ks.project_named(name, &domain_id).is_some_and(|p| p.id != id)
    {
        return Err(duplicate("project", name));
    }
    let project = ks.projects.get_mut(&id).ok_or_else(|| not_found("project", &id))?;
    if let Some(name) = change["name"].as_str() {
        name.clone_into(&mut project.name);
    }
    if let Some(description) = change["description"].as_str() {
        description.clone_into(&mut project.description);
    }
    project.enabled = change["enabled"].as_bool().unwrap_or(project.enabled);
    Ok(Json(json!({"project": project_json(&cloud, project)})))
}

async fn delete(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.require_admin(KS, "identity:delete_project")?;
    let mut state = cloud.lock();
    let ks = &mut state.keystone;
    ks.projects.remove(&id).ok_or_else(|| not_found("project", &id))?;
    ks.assignments.retain(|a| a.target != Target::Project(id.clone()));
    ks.app_credentials.retain(|_, c| c.project_id != id);
    Ok(StatusCode::NO_CONTENT)
}

async fn list_domains(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:list_domains")?;
    let state = cloud.lock();
    let wanted = |d: &&Domain| {
        params.get("name").is_none_or(|n| n == d.name)
            && params.get("enabled").is_none_or(|e| truthy(e) == d.enabled)
    };
    let items =
        state.keystone.domains.values().filter(wanted).map(|d| domain_json(&cloud, d)).collect();
    Ok(Json(collection(&cloud, "domains", "domains", items)))
}

async fn create_domain(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require_admin(KS, "identity:create_domain")?;
    let new = inner(&body, "domain")?;
    let domain = Domain {
        id: cloud.new_hex_id(),
        name: text(new, "name")?.to_owned(),
        description: new["description"].as_str().unwrap_or_default().to_owned(),
        enabled: new["enabled"].as_bool().unwrap_or(true),
    };
    let mut state = cloud.lock();
    if state.keystone.domain_named(&domain.name).is_some() {
        return Err(duplicate("domain", &domain.name));
    }
    let answer = json!({"domain": domain_json(&cloud, &domain)});
    state.keystone.domains.insert(domain.id.clone(), domain);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn show_domain(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    if caller.project_domain_id != id && caller.domain_id.as_ref() != Some(&id) {
        caller.require_admin(KS, "identity:get_domain")?;
    }
    let state = cloud.lock();
    let domain = state.keystone.domains.get(&id).ok_or_else(|| not_found("domain", &id))?;
    Ok(Json(json!({"domain": domain_json(&cloud, domain)})))
}

async fn update_domain(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:update_domain")?;
    let change = inner(&body, "domain")?;
    let mut state = cloud.lock();
    let domain = state.keystone.domains.get_mut(&id).ok_or_else(|| not_found("domain", &id))?;
    if let Some(name) = change["name"].as_str() {
        name.clone_into(&mut domain.name);
    }
    if let Some(description) = change["description"].as_str() {
        description.clone_into(&mut domain.description);
    }
    domain.enabled = change["enabled"].as_bool().unwrap_or(domain.enabled);
    Ok(Json(json!({"domain": domain_json(&cloud, domain)})))
}

async fn delete_domain(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.require_admin(KS, "identity:delete_domain")?;
    let mut state = cloud.lock();
    let ks = &mut state.keystone;
    let domain = ks.domains.get(&id).ok_or_else(|| not_found("domain", &id))?;
    if domain.enabled {
        return Err(
            KS.forbidden("Cannot delete a domain that is enabled, please disable it first.")
        );
    }
    ks.domains.remove(&id);
    let gone: Vec<String> =
        ks.projects.values().filter(|p| p.domain_id == id).map(|p| p.id.clone()).collect();
    ks.projects.retain(|_, p| p.domain_id != id);
    ks.users.retain(|_, u| u.domain_id != id);
    let users: Vec<String> = ks.users.keys().cloned().collect();
    ks.assignments.retain(|a| match &a.target {
        Target::Project(p) => !gone.contains(p) && users.contains(&a.user_id),
        Target::Domain(d) => *d != id && users.contains(&a.user_id),
    });
    Ok(StatusCode::NO_CONTENT)
}
