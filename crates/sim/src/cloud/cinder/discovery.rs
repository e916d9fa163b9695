//! Version documents, for callers without a token too.

use axum::{extract::State as Ext, response::Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::kit::reply;
use crate::cloud::Cloud;

fn v3_entry(cloud: &Cloud) -> Value {
    json!({
        "id": "v3.0",
        "status": "CURRENT",
        "version": "3.71",
        "min_version": "3.0",
        "updated": "2026-09-01T00:00:00Z",
        "links": [
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
            {"rel": "self", "href": format!("{}/volume/v3/", cloud.base_url())},
        ],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
    })
}

/// At `/volume`: 300, as the real one.
pub(super) async fn all(Ext(cloud): Ext<Cloud>) -> Response {
    reply(StatusCode::MULTIPLE_CHOICES, json!({"versions": [v3_entry(&cloud)]}))
}

/// At `/volume/v3`.
pub(super) async fn v3(Ext(cloud): Ext<Cloud>) -> Response {
    reply(StatusCode::OK, json!({"versions": [v3_entry(&cloud)]}))
}
