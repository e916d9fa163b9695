//! `/v2/images`: list, show, create, patch, delete, tags.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    routing::{get, put},
};
use serde_json::{Value, json};

use super::{GLANCE, Image, State, state::BASE};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params, paginate};

/// `/image/v2/images`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/image/v2/images", get(list).post(create))
        .route("/image/v2/images/{id}", get(show).patch(patch).delete(delete))
        .route("/image/v2/images/{id}/tags/{tag}", put(tag).delete(untag))
}

pub(super) fn absent(id: &str) -> ApiError {
    GLANCE.not_found(format!("Failed to find image {id}"))
}

impl State {
    /// An image, if the caller may see it by id: own, public, community, or admin.
    pub fn visible(&self, caller: &Caller, id: &str) -> Result<&Image, ApiError> {
        let open = |i: &Image| matches!(i.visibility.as_str(), "public" | "community");
        let image = self.images.get(id).filter(|i| open(i) || caller.may_see(&i.owner));
        image.ok_or_else(|| absent(id))
    }

    /// An image, if the caller may change it: 404 if invisible, 403 if another's.
    pub(super) fn changeable(&mut self, caller: &Caller, id: &str) -> Result<&mut Image, ApiError> {
        let owner = self.visible(caller, id)?.owner.clone();
        if !caller.may_see(&owner) {
            return Err(GLANCE.policy_denied("modify_image"));
        }
        self.images.get_mut(id).ok_or_else(|| absent(id))
    }
}

fn listed(caller: &Caller, image: &Image, params: &Params) -> bool {
    let own = image.owner == caller.project_id;
    let visibility = params.get("visibility");
    let visible = match image.visibility.as_str() {
        "public" => true,
        "community" => own || visibility == Some("community"),
        _ => own || caller.is_admin(),
    };
    let hidden = params.get("os_hidden").is_some_and(|h| h.eq_ignore_ascii_case("true"));
    visible && image.hidden == hidden
}

fn operand<'a>(text: &'a str, have: &str) -> bool {
    let inside = |list: &'a str| list.split(',').any(|x| x.trim_matches('"') == have);
    text.strip_prefix("in:").map_or(text == have, inside)
}

fn wanted(image: &Value, params: &Params) -> bool {
    const NOT_FILTERS: [&str; 9] = [
        "limit",
        "marker",
        "sort",
        "sort_key",
        "sort_dir",
        "os_hidden",
        "member_status",
        "size_min",
        "size_max",
    ];
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    params.0.iter().filter(|(k, _)| !NOT_FILTERS.contains(&k.as_str())).all(|(key, want)| match key
        .as_str()
    {
        "visibility" if want == "all" => true,
        "tag" => image["tags"].as_array().is_some_and(|t| t.contains(&json!(want))),
        "protected" => image["protected"] == json!(want.eq_ignore_ascii_case("true")),
        key => match image.get(key) {
            Some(have) => operand(want, &plain(have)),
            None => false,
        },
    })
}

async fn list(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let mut items: Vec<(chrono::DateTime<chrono::Utc>, Value)> = {
        let state = cloud.lock();
        let images = state.glance.images.values().filter(|i| listed(&caller, i, &params));
        images.map(|i| (i.created_at, i.json())).filter(|(_, i)| wanted(i, &params)).collect()
    };
    items.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut items: Vec<Value> = items.into_iter().map(|(_, i)| i).collect();
    sort(&mut items, &params);
    let page = paginate(&cloud, GLANCE, "/image/v2/images", items, &params, 1000)?;
    let mut out =
        json!({"images": page.items, "schema": "/v2/schemas/images", "first": "/v2/images"});
    if let Some((_, query)) = page.next.as_deref().and_then(|n| n.split_once('?')) {
        out["next"] = json!(format!("/v2/images?{query}"));
    }
    Ok(Json(out))
}

/// `sort=name:asc,created_at:desc` or `sort_key`/`sort_dir`.
fn sort(items: &mut [Value], params: &Params) {
    let mut keys: Vec<(String, bool)> = Vec::new();
    for part in params.get("sort").unwrap_or_default().split(',').filter(|p| !p.is_empty()) {
        let (key, dir) = part.split_once(':').unwrap_or((part, "desc"));
        keys.push((key.to_owned(), dir == "asc"));
    }
    let dirs: Vec<&str> = params.all("sort_dir").collect();
    for (at, key) in params.all("sort_key").enumerate() {
        keys.push((key.to_owned(), dirs.get(at).or_else(|| dirs.first()).copied() == Some("asc")));
    }
    items.sort_by(|a, b| {
        let mut orders = keys.iter().map(|(key, ascending)| {
            let order = a[key].to_string().cmp(&b[key].to_string());
            if *ascending { order } else { order.reverse() }
        });
        orders.find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let state = cloud.lock();
    Ok(Json(state.glance.visible(&caller, &id)?.json()))
}

async fn create(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, HeaderMap, Json<Value>), ApiError> {
    let body =
        body.as_object().ok_or_else(|| GLANCE.bad_request("The body must be a JSON object."))?;
    let image = Image::of_body(&cloud, &caller, body)?;
    let mut headers = HeaderMap::new();
    if let Ok(location) =
        HeaderValue::from_str(&format!("{}/image/v2/images/{}", cloud.base_url(), image.id))
    {
        headers.insert(header::LOCATION, location);
    }
    let mut state = cloud.lock();
    if state.glance.images.contains_key(&image.id) {
        return Err(GLANCE.conflict(format!("Image ID {} already exists!", image.id)));
    }
    let answer = image.json();
    state.glance.images.insert(image.id.clone(), image);
    Ok((StatusCode::CREATED, headers, Json(answer)))
}

async fn patch(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    let operations = body.as_array().ok_or_else(|| {
        GLANCE.bad_request("Request body must be a JSON array of operation objects.")
    })?;
    let now = cloud.now();
    let mut state = cloud.lock();
    let stored = state.glance.changeable(&caller, &id)?;
    // All operations or none.
    let mut image = stored.clone();
    for operation in operations {
        apply(&caller, &mut image, operation)?;
    }
    image.updated_at = now;
    *stored = image;
    Ok(Json(stored.json()))
}

fn apply(caller: &Caller, image: &mut Image, operation: &Value) -> Result<(), ApiError> {
    let path = operation["path"].as_str().unwrap_or_default();
    let key = path.strip_prefix('/').filter(|k| !k.is_empty() && !k.contains('/'));
    let key = key.ok_or_else(|| {
        GLANCE.bad_request(format!("Invalid JSON pointer for this resource: '{path}'"))
    })?;
    let key = key.replace("~1", "/").replace("~0", "~");
    match operation["op"].as_str().unwrap_or_default() {
        "add" => image.set(caller, &key, &operation["value"]),
        "replace" if BASE.contains(&key.as_str()) || image.properties.contains_key(&key) => {
            image.set(caller, &key, &operation["value"])
        }
        "replace" => Err(GLANCE.conflict(format!("Property {key} does not exist."))),
        "remove" if BASE.contains(&key.as_str()) => {
            Err(GLANCE.forbidden(format!("Property '{key}' is reserved.")))
        }
        "remove" => match image.properties.remove(&key) {
            Some(_) => Ok(()),
            None => Err(GLANCE.conflict(format!("Property {key} does not exist."))),
        },
        other => {
            Err(GLANCE
                .bad_request(format!("Unable to find '{other}' operation in JSON Schema change")))
        }
    }
}

async fn delete(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    if state.glance.changeable(&caller, &id)?.protected {
        return Err(GLANCE.forbidden(format!("Image {id} is protected and cannot be deleted.")));
    }
    state.glance.images.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}

async fn tag(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    let image = state.glance.changeable(&caller, &id)?;
    if !image.tags.contains(&tag) {
        image.tags.push(tag);
        image.tags.sort();
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn untag(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut state = cloud.lock();
    let image = state.glance.changeable(&caller, &id)?;
    if !image.tags.contains(&tag) {
        return Err(GLANCE.not_found(format!("Tag {tag} could not be found.")));
    }
    image.tags.retain(|t| *t != tag);
    Ok(StatusCode::NO_CONTENT)
}
