//! Versions and JSON schemas.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};

use super::{GLANCE, state::BASE};
use crate::cloud::{ApiError, Caller, Cloud};

/// `/image`, `/image/versions`, `/image/v2/schemas`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/image", get(choices))
        .route("/image/versions", get(versions))
        .route("/image/v2/schemas/{name}", get(schema))
}

fn version_list(cloud: &Cloud) -> Value {
    let href = format!("{}/image/v2/", cloud.base_url());
    let entry = |minor: u32| {
        let status = if minor == 17 { "CURRENT" } else { "SUPPORTED" };
        json!({"id": format!("v2.{minor}"), "status": status, "links": [{"rel": "self", "href": href}]})
    };
    json!({"versions": (0..=17).rev().map(entry).collect::<Vec<_>>()})
}

async fn choices(Ext(cloud): Ext<Cloud>) -> (StatusCode, Json<Value>) {
    (StatusCode::MULTIPLE_CHOICES, Json(version_list(&cloud)))
}

async fn versions(Ext(cloud): Ext<Cloud>) -> Json<Value> {
    Json(version_list(&cloud))
}

fn image_schema() -> Value {
    let kind = |key: &str| match key {
        "min_disk" | "min_ram" => json!({"type": "integer"}),
        "size" | "virtual_size" => json!({"type": ["null", "integer"], "readOnly": true}),
        "protected" | "os_hidden" => json!({"type": "boolean"}),
        "tags" | "locations" => json!({"type": "array"}),
        "visibility" => {
            json!({"type": "string", "enum": ["community", "public", "private", "shared"]})
        }
        _ => json!({"type": ["null", "string"]}),
    };
    let properties: serde_json::Map<String, Value> =
        BASE.iter().map(|k| ((*k).to_owned(), kind(k))).collect();
    json!({
        "name": "image",
        "properties": properties,
        "additionalProperties": {"type": "string"},
        "links": [{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"}, {"rel": "describedby", "href": "{schema}"}],
    })
}

async fn schema(_caller: Caller, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    match name.as_str() {
        "image" => Ok(Json(image_schema())),
        "images" => Ok(Json(json!({
            "name": "images",
            "properties": {
                "images": {"type": "array", "items": image_schema()},
                "first": {"type": "string"}, "next": {"type": "string"}, "schema": {"type": "string"},
            },
            "links": [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, {"rel": "describedby", "href": "{schema}"}],
        }))),
        _ => Err(GLANCE.not_found(format!("No schema {name}"))),
    }
}
