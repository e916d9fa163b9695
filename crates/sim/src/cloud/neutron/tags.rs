//! `/v2.0/{resource}/{id}/tags[/{tag}]`.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{Common, NEUTRON, State, invalid, privileged};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody};

/// Tags of networks, subnets, ports and security groups.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route(
            "/network/v2.0/{resource}/{id}/tags",
            get(list).put(replace).post(add_all).delete(clear),
        )
        .route("/network/v2.0/{resource}/{id}/tags/{tag}", get(check).put(add).delete(remove))
}

fn object<'a>(
    state: &'a mut State,
    caller: &Caller,
    resource: &str,
    id: &str,
) -> Result<&'a mut Common, ApiError> {
    let found = match resource {
        "networks" => state.networks.get_mut(id).map(|x| &mut x.common),
        "subnets" => state.subnets.get_mut(id).map(|x| &mut x.common),
        "ports" => state.ports.get_mut(id).map(|x| &mut x.common),
        "security-groups" | "security_groups" => {
            state.security_groups.get_mut(id).map(|x| &mut x.common)
        }
        _ => None,
    };
    found.filter(|c| privileged(caller) || caller.may_see(&c.project_id)).ok_or_else(|| {
        NEUTRON
            .not_found(format!("Resource {resource} {id} could not be found."))
            .kind("TagResourceNotFound")
    })
}

fn tags_of(body: &Value) -> Result<Vec<String>, ApiError> {
    let list = body["tags"].as_array().ok_or_else(|| invalid("'tags' must be a list"))?;
    let mut tags = Vec::new();
    for tag in list {
        let tag = tag.as_str().filter(|t| !t.is_empty() && t.len() <= 255);
        tags.push(tag.ok_or_else(|| invalid("a tag is a text of 1 to 255 characters"))?.to_owned());
    }
    Ok(tags)
}

fn set(common: &mut Common, mut tags: Vec<String>, cloud: &Cloud) {
    tags.sort();
    tags.dedup();
    common.tags = tags;
    common.change(&Value::Null, cloud.now());
}

type Of = Path<(String, String)>;
type OfTag = Path<(String, String, String)>;

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((resource, id)): Of,
) -> Result<Json<Value>, ApiError> {
    let mut state = cloud.lock();
    let common = object(&mut state.neutron, &caller, &resource, &id)?;
    Ok(Json(json!({"tags": common.tags})))
}

async fn replace(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((resource, id)): Of,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    let tags = tags_of(&body)?;
    let mut state = cloud.lock();
    let common = object(&mut state.neutron, &caller, &resource, &id)?;
    set(common, tags, &cloud);
    Ok(Json(json!({"tags": common.tags})))
}

async fn add_all(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((resource, id)): Of,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let mut tags = tags_of(&body)?;
    let mut state = cloud.lock();
    let common = object(&mut state.neutron, &caller, &resource, &id)?;
    tags.extend(common.tags.clone());
    set(common, tags, &cloud);
    Ok((StatusCode::CREATED, Json(json!({"tags": common.tags}))))
}

async fn clear(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((resource, id)): Of,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    let common = object(&mut state.neutron, &caller, &resource, &id)?;
    set(common, Vec::new(), &cloud);
    Ok(StatusCode::NO_CONTENT)
}

fn no_tag(tag: &str) -> ApiError {
    NEUTRON.not_found(format!("Tag {tag} could not be found.")).kind("TagNotFound")
}

async fn check(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((resource, id, tag)): OfTag,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    let common = object(&mut state.neutron, &caller, &resource, &id)?;
    if common.tags.contains(&tag) { Ok(StatusCode::NO_CONTENT) } else { Err(no_tag(&tag)) }
}

async fn add(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((resource, id, tag)): OfTag,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    let common = object(&mut state.neutron, &caller, &resource, &id)?;
    let mut tags = common.tags.clone();
    tags.push(tag);
    set(common, tags, &cloud);
    Ok(StatusCode::CREATED)
}

async fn remove(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((resource, id, tag)): OfTag,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    let common = object(&mut state.neutron, &caller, &resource, &id)?;
    if !common.tags.contains(&tag) {
        return Err(no_tag(&tag));
    }
    let tags = common.tags.iter().filter(|t| **t != tag).cloned().collect();
    set(common, tags, &cloud);
    Ok(StatusCode::NO_CONTENT)
}
