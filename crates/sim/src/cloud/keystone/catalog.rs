//! Version discovery, and the catalog with its services, endpoints and regions.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{CatalogService, Endpoint, KS, State, TokenView, collection, inner, not_found, text};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params};

/// Discovery, `/services`, `/endpoints`, `/regions`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/identity", get(versions))
        .route("/identity/v3", get(version))
        .route("/identity/v3/services", get(list_services).post(create_service))
        .route(
            "/identity/v3/services/{id}",
            get(show_service).patch(update_service).delete(delete_service),
        )
        .route("/identity/v3/endpoints", get(list_endpoints).post(create_endpoint))
        .route(
            "/identity/v3/endpoints/{id}",
            get(show_endpoint).patch(update_endpoint).delete(delete_endpoint),
        )
        .route("/identity/v3/regions", get(list_regions).post(create_region))
        .route("/identity/v3/regions/{id}", get(show_region).delete(delete_region))
}

fn version_json(cloud: &Cloud) -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/identity/v3/", cloud.base_url())}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    })
}

async fn versions(Ext(cloud): Ext<Cloud>) -> (StatusCode, Json<Value>) {
    let values = json!({"versions": {"values": [version_json(&cloud)]}});
    (StatusCode::MULTIPLE_CHOICES, Json(values))
}

async fn version(Ext(cloud): Ext<Cloud>) -> Json<Value> {
    Json(json!({"version": version_json(&cloud)}))
}

/// An endpoint's URL with the cloud's base and the project filled in; `None` if it wants a project
/// and there is none (real Keystone leaves such endpoints out).
fn endpoint_url(cloud: &Cloud, url: &str, project_id: Option<&str>) -> Option<String> {
    let url =
        if url.starts_with('/') { format!("{}{url}", cloud.base_url()) } else { url.to_owned() };
    let mut out = url;
    for pattern in ["$(project_id)s", "%(project_id)s", "$(tenant_id)s", "%(tenant_id)s"] {
        if out.contains(pattern) {
            out = out.replace(pattern, project_id?);
        }
    }
    Some(out)
}

/// The catalog of a token.
pub(super) fn catalog(cloud: &Cloud, state: &State, view: &TokenView) -> Value {
    let project = view.project.as_ref().map(|p| p.id.as_str());
    let entry = |service: &CatalogService| {
        let endpoints: Vec<Value> = state
            .endpoints
            .values()
            .filter(|e| e.enabled && e.service_id == service.id)
            .filter_map(|e| {
                let url = endpoint_url(cloud, &e.url, project)?;
                Some(json!({"id": e.id, "interface": e.interface, "region": e.region_id, "region_id": e.region_id, "url": url}))
            })
            .collect();
        json!({"id": service.id, "type": service.kind, "name": service.name, "endpoints": endpoints})
    };
    state.services.values().filter(|s| s.enabled).map(entry).collect()
}

fn service_json(cloud: &Cloud, s: &CatalogService) -> Value {
    json!({
        "id": s.id, "type": s.kind, "name": s.name, "description": s.description, "enabled": s.enabled,
        "links": {"self": format!("{}/identity/v3/services/{}", cloud.base_url(), s.id)},
    })
}

fn endpoint_json(cloud: &Cloud, e: &Endpoint) -> Value {
    let url = if e.url.starts_with('/') {
        format!("{}{}", cloud.base_url(), e.url)
    } else {
        e.url.clone()
    };
    json!({
        "id": e.id, "service_id": e.service_id, "interface": e.interface, "region": e.region_id,
        "region_id": e.region_id, "url": url, "enabled": e.enabled,
        "links": {"self": format!("{}/identity/v3/endpoints/{}", cloud.base_url(), e.id)},
    })
}

async fn list_services(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:list_services")?;
    let state = cloud.lock();
    let wanted = |s: &&CatalogService| {
        params.get("type").is_none_or(|t| t == s.kind)
            && params.get("name").is_none_or(|n| n == s.name)
    };
    let items =
        state.keystone.services.values().filter(wanted).map(|s| service_json(&cloud, s)).collect();
    Ok(Json(collection(&cloud, "services", "services", items)))
}

async fn create_service(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require_admin(KS, "identity:create_service")?;
    let new = inner(&body, "service")?;
    let service = CatalogService {
        id: cloud.new_hex_id(),
        kind: text(new, "type")?.to_owned(),
        name: new["name"].as_str().unwrap_or_default().to_owned(),
        description: new["description"].as_str().unwrap_or_default().to_owned(),
        enabled: new["enabled"].as_bool().unwrap_or(true),
    };
    let answer = json!({"service": service_json(&cloud, &service)});
    cloud.lock().keystone.services.insert(service.id.clone(), service);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn show_service(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:get_service")?;
    let state = cloud.lock();
    let service = state.keystone.services.get(&id).ok_or_else(|| not_found("service", &id))?;
    Ok(Json(json!({"service": service_json(&cloud, service)})))
}

async fn update_service(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:update_service")?;
    let change = inner(&body, "service")?;
    let mut state = cloud.lock();
    let service = state.keystone.services.get_mut(&id).ok_or_else(|| not_found("service", &id))?;
    set_text(&mut service.kind, change, "type");
    set_text(&mut service.name, change, "name");
    set_text(&mut service.description, change, "description");
    service.enabled = change["enabled"].as_bool().unwrap_or(service.enabled);
    Ok(Json(json!({"service": service_json(&cloud, service)})))
}

async fn delete_service(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.require_admin(KS, "identity:delete_service")?;
    let mut state = cloud.lock();
    state.keystone.services.remove(&id).ok_or_else(|| not_found("service", &id))?;
    state.keystone.endpoints.retain(|_, e| e.service_id != id);
    Ok(StatusCode::NO_CONTENT)
}

fn set_text(target: &mut String, change: &Value, key: &str) {
    if let Some(text) = change.get(key).and_then(Value::as_str) {
        text.clone_into(target);
    }
}

async fn list_endpoints(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:list_endpoints")?;
    let state = cloud.lock();
    let wanted = |e: &&Endpoint| {
        let is = |key: &str, value: &str| params.get(key).is_none_or(|v| v == value);
        is("service_id", &e.service_id)
            && is("interface", &e.interface)
            && is("region_id", &e.region_id)
            && is("region", &e.region_id)
    };
    let items = state
        .keystone
        .endpoints
        .values()
        .filter(wanted)
        .map(|e| endpoint_json(&cloud, e))
        .collect();
    Ok(Json(collection(&cloud, "endpoints", "endpoints", items)))
}

async fn create_endpoint(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require_admin(KS, "identity:create_endpoint")?;
    let new = inner(&body, "endpoint")?;
    let region = new.get("region_id").or_else(|| new.get("region")).and_then(Value::as_str);
    let endpoint = Endpoint {
        id: cloud.new_hex_id(),
        service_id: text(new, "service_id")?.to_owned(),
        interface: text(new, "interface")?.to_owned(),
        region_id: region.unwrap_or(&cloud.0.region).to_owned(),
        url: text(new, "url")?.to_owned(),
        enabled: new["enabled"].as_bool().unwrap_or(true),
    };
    if !matches!(endpoint.interface.as_str(), "public" | "internal" | "admin") {
        return Err(KS.bad_request(format!("Invalid input for field 'interface': '{}' is not one of ['admin', 'internal', 'public']", endpoint.interface)));
    }
    let answer = json!({"endpoint": endpoint_json(&cloud, &endpoint)});
    let mut state = cloud.lock();
    if !state.keystone.services.contains_key(&endpoint.service_id) {
        return Err(KS.bad_request(format!("Could not find service: {}.", endpoint.service_id)));
    }
    state.keystone.regions.insert(endpoint.region_id.clone());
    state.keystone.endpoints.insert(endpoint.id.clone(), endpoint);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn show_endpoint(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:get_endpoint")?;
    let state = cloud.lock();
    let endpoint = state.keystone.endpoints.get(&id).ok_or_else(|| not_found("endpoint", &id))?;
    Ok(Json(json!({"endpoint": endpoint_json(&cloud, endpoint)})))
}

async fn update_endpoint(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require_admin(KS, "identity:update_endpoint")?;
    let change = inner(&body, "endpoint")?;
    let mut state = cloud.lock();
    let endpoint =
        state.keystone.endpoints.get_mut(&id).ok_or_else(|| not_found("endpoint", &id))?;
    set_text(&mut endpoint.url, change, "url");
    set_text(&mut endpoint.interface, change, "interface");
    set_text(&mut endpoint.region_id, change, "region_id");
    endpoint.enabled = change["enabled"].as_bool().unwrap_or(endpoint.enabled);
    Ok(Json(json!({"endpoint": endpoint_json(&cloud, endpoint)})))
}

async fn delete_endpoint(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.require_admin(KS, "identity:delete_endpoint")?;
    cloud.lock().keystone.endpoints.remove(&id).ok_or_else(|| not_found("endpoint", &id))?;
    Ok(StatusCode::NO_CONTENT)
}

fn region_json(cloud: &Cloud, id: &str) -> Value {
    json!({"id": id, "description": "", "parent_region_id": null, "links": {"self": format!("{}/identity/v3/regions/{id}", cloud.base_url())}})
}

async fn list_regions(Ext(cloud): Ext<Cloud>) -> Json<Value> {
    let items = cloud.lock().keystone.regions.iter().map(|r| region_json(&cloud, r)).collect();
    Json(collection(&cloud, "regions", "regions", items))
}

async fn create_region(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.require_admin(KS, "identity:create_region")?;
    let id =
        inner(&body, "region")?["id"].as_str().map_or_else(|| cloud.new_hex_id(), str::to_owned);
    if !cloud.lock().keystone.regions.insert(id.clone()) {
        return Err(KS.conflict(format!(
            "Conflict occurred attempting to store region - Duplicate ID, {id}."
        )));
    }
    Ok((StatusCode::CREATED, Json(json!({"region": region_json(&cloud, &id)}))))
}

async fn show_region(
    Ext(cloud): Ext<Cloud>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let known = cloud.lock().keystone.regions.contains(&id);
    if known {
        Ok(Json(json!({"region": region_json(&cloud, &id)})))
    } else {
        Err(not_found("region", &id))
    }
}

async fn delete_region(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.require_admin(KS, "identity:delete_region")?;
    if cloud.lock().keystone.regions.remove(&id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(not_found("region", &id))
    }
}
