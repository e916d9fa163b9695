//! What needs no token: versions, liveness, metrics, the OpenAPI document.

use std::time::Duration;

use axum::{
    Json,
    extract::{OriginalUri, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use protector_api_types::{LivenessBody, VersionBody, VersionEntry, VersionsBody};
use protector_types::{Code, Refusal};

use crate::{call::base_url, error::ApiResult, state::AppState};

/// How long `/healthz` waits for the parts.
const PATIENCE: Duration = Duration::from_secs(2);

/// All versions, in the form that OpenStack clients discover.
#[utoipa::path(
    get, path = "/", tag = "discovery",
    responses((status = 200, description = "The versions", body = VersionsBody))
)]
pub async fn versions(
    State(state): State<AppState>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Json<VersionsBody> {
    Json(VersionsBody { versions: vec![VersionEntry::v1(&base_url(&state, &headers, &uri))] })
}

/// Version 1.
#[utoipa::path(
    get, path = "/v1/", tag = "discovery",
    responses((status = 200, description = "The version", body = VersionBody))
)]
pub async fn version(
    State(state): State<AppState>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Json<VersionBody> {
    Json(VersionBody { version: VersionEntry::v1(&base_url(&state, &headers, &uri)) })
}

/// Version 1, without the slash.
#[utoipa::path(
    get, path = "/v1", tag = "discovery",
    responses((status = 200, description = "The version", body = VersionBody))
)]
pub async fn version_without_slash(
    state: State<AppState>,
    uri: OriginalUri,
    headers: HeaderMap,
) -> Json<VersionBody> {
    version(state, uri, headers).await
}

/// For load balancers: can this process answer requests?
#[utoipa::path(
    get, path = "/healthz", tag = "discovery",
    responses(
        (status = 200, description = "It can", body = LivenessBody),
        (status = 503, description = "It cannot: its database does not answer", body = LivenessBody)
    )
)]
pub async fn healthz(State(state): State<AppState>) -> Response {
    let down = |reason: String| {
        let body = LivenessBody { status: "down".into(), reason: Some(reason) };
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    };
    let components = tokio::select! {
        biased;
        components = state.core().service_health() => components,
        () = state.clock().sleep(PATIENCE) => {
            return down(format!("no answer within {} s", PATIENCE.as_secs()));
        }
    };
    match components {
        // Nobody without a token learns why.
        Err(_) => down("the database does not answer".into()),
        Ok(components) if components.iter().any(|c| c.name == "database" && c.status == "down") => {
            down("the database does not answer".into())
        }
        Ok(_) => Json(LivenessBody { status: "ok".into(), reason: None }).into_response(),
    }
}

/// For Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "discovery",
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"))
)]
pub async fn metrics(State(state): State<AppState>) -> ApiResult<Response> {
    let text = state.metrics().render(state.counts()).await;
    let text = text.map_err(|e| Refusal::new(Code::Internal, e.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "discovery",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(crate::router::openapi())
}
