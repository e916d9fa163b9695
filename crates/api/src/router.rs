//! The whole API on one page.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    docs::{Frame, complete},
    error::{no_such_method, no_such_path, panicked},
    extract::{MAX_BODY, MAX_PEER_BODY},
    handlers::{
        actions, discovery, events, groups, health, members, operations, peer, policies,
        replication, sites, tenant_mappings,
    },
    layers::{authenticate, negotiate_version, observe},
    state::AppState,
};

/// Without a token.
fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Frame::openapi())
        .routes(routes!(discovery::versions))
        .routes(routes!(discovery::version))
        .routes(routes!(discovery::version_without_slash))
        .routes(routes!(discovery::healthz))
        .routes(routes!(discovery::metrics))
        .routes(routes!(discovery::document))
}

/// With a token of whoever the policy allows.
fn tenants_and_administrators() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(sites::create, sites::list))
        .routes(routes!(sites::show, sites::update, sites::delete))
        .routes(routes!(sites::validate))
        .routes(routes!(sites::volume_types))
        .routes(routes!(tenant_mappings::create, tenant_mappings::list))
        .routes(routes!(tenant_mappings::show, tenant_mappings::delete))
        .routes(routes!(groups::create, groups::list))
        .routes(routes!(groups::show, groups::update, groups::delete))
        .routes(routes!(members::create, members::list))
        .routes(routes!(members::show, members::delete))
        .routes(routes!(members::refresh))
        .routes(routes!(policies::show, policies::set))
        .routes(routes!(actions::act))
        .routes(routes!(actions::sync))
        .routes(routes!(actions::plan))
        .routes(routes!(replication::consistency_group))
        .routes(routes!(replication::recovery_points))
        .routes(routes!(replication::sync_status))
        .routes(routes!(replication::sync_force))
        .routes(routes!(health::group))
        .routes(routes!(health::service))
        .routes(routes!(operations::list))
        .routes(routes!(operations::show))
        .routes(routes!(events::list))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// With the service user of the other site.
fn peers() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(peer::info))
        .routes(routes!(peer::put_site))
        .routes(routes!(peer::put_tenant_mapping, peer::delete_tenant_mapping))
        .routes(routes!(peer::put_group, peer::group_stamp, peer::delete_group))
        .routes(routes!(peer::group_document))
        .routes(routes!(peer::group_stamps))
        .routes(routes!(peer::force_group))
        .routes(routes!(peer::put_claim, peer::delete_claim))
        .routes(routes!(peer::put_array_token))
        .routes(routes!(peer::put_fences))
        .routes(routes!(peer::put_operation))
        .routes(routes!(peer::delegations))
        .layer(DefaultBodyLimit::max(MAX_PEER_BODY))
}

/// The API, ready to be served.
pub fn router(state: AppState) -> Router {
    let (public, _) = public().split_for_parts();
    let (tenants, _) = tenants_and_administrators().split_for_parts();
    let (peers, _) = peers().split_for_parts();
    let with_token = tenants
        .merge(peers)
        .method_not_allowed_fallback(no_such_method)
        .route_layer(from_fn_with_state(state.clone(), authenticate));
    public
        .method_not_allowed_fallback(no_such_method)
        .merge(with_token)
        .fallback(no_such_path)
        .layer(from_fn(negotiate_version))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), observe))
        .with_state(state)
}

/// The OpenAPI document, generated from the handlers.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let all = public().merge(tenants_and_administrators()).merge(peers());
    complete(all.into_openapi())
}
