//! Versions and extensions.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    routing::get,
};
use serde_json::{Value, json};

use super::NEUTRON;
use crate::cloud::{ApiError, Caller, Cloud};

/// (alias, name) of the extensions that are really there. No `router`: this cloud has no L3 service.
const EXTENSIONS: [(&str, &str); 18] = [
    ("allowed-address-pairs", "Allowed Address Pairs"),
    ("binding", "Port Binding"),
    ("external-net", "Neutron external network"),
    ("extra_dhcp_opt", "Neutron Extra DHCP options"),
    ("net-mtu", "Network MTU"),
    ("pagination", "Pagination support"),
    ("port-security", "Port Security"),
    ("project-id", "project_id field enabled"),
    ("provider", "Provider Network"),
    ("quota_details", "Quota details management support"),
    ("quotas", "Quota management support"),
    ("security-group", "security-group"),
    ("sorting", "Sorting support"),
    ("standard-attr-description", "standard-attr-description"),
    ("standard-attr-revisions", "Resource revision numbers"),
    (
        "standard-attr-tag",
        "Tag support for resources with standard attribute: port, subnet, network, security_group",
    ),
    ("standard-attr-timestamp", "Resource timestamps"),
    ("tag-creation", "Tag creation extension"),
];

/// `/network`, `/network/v2.0`, `/network/v2.0/extensions`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/network", get(versions))
        .route("/network/v2.0", get(resources))
        .route("/network/v2.0/extensions", get(extensions))
        .route("/network/v2.0/extensions/{alias}", get(extension))
}

async fn versions(Ext(cloud): Ext<Cloud>) -> Json<Value> {
    let href = format!("{}/network/v2.0/", cloud.base_url());
    Json(
        json!({"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}]}),
    )
}

async fn resources(Ext(cloud): Ext<Cloud>, _caller: Caller) -> Json<Value> {
    let names = [
        ("network", "networks"),
        ("subnet", "subnets"),
        ("port", "ports"),
        ("security_group", "security-groups"),
        ("security_group_rule", "security-group-rules"),
        ("quota", "quotas"),
    ];
    let entry = |(name, path): &(&str, &str)| {
        let href = format!("{}/network/v2.0/{path}", cloud.base_url());
        json!({"name": name, "collection": path.replace('-', "_"), "links": [{"rel": "self", "href": href}]})
    };
    Json(json!({"resources": names.iter().map(entry).collect::<Vec<_>>()}))
}

fn extension_json((alias, name): &(&str, &str)) -> Value {
    json!({"alias": alias, "name": name, "description": name, "links": [], "updated": "2016-01-01T00:00:00-00:00"})
}

async fn extensions(_caller: Caller) -> Json<Value> {
    Json(json!({"extensions": EXTENSIONS.iter().map(extension_json).collect::<Vec<_>>()}))
}

async fn extension(_caller: Caller, Path(alias): Path<String>) -> Result<Json<Value>, ApiError> {
    let found = EXTENSIONS.iter().find(|(a, _)| *a == alias);
    let found = found
        .ok_or_else(|| NEUTRON.not_found(format!("Extension with alias {alias} does not exist")))?;
    Ok(Json(json!({"extension": extension_json(found)})))
}
