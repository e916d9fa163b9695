//! Version documents, for callers without a token too.

use axum::{extract::State as Ext, response::Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::cloud::{Cloud, cinder::kit::reply};

fn entry(cloud: &Cloud) -> Value {
    json!({
        "id": "v2.1",
        "status": "CURRENT",
        "version": "2.100",
        "min_version": "2.1",
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": format!("{}/compute/v2.1/", cloud.base_url())}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}],
    })
}

/// At `/compute`.
pub(super) async fn all(Ext(cloud): Ext<Cloud>) -> Response {
    reply(StatusCode::OK, json!({"versions": [entry(&cloud)]}))
}

/// At `/compute/v2.1`.
pub(super) async fn v21(Ext(cloud): Ext<Cloud>) -> Response {
    reply(StatusCode::OK, json!({"version": entry(&cloud)}))
}
