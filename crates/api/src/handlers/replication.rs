//! What is known of a group's copies: consistency group, recovery points, metadata sync.

use axum::Json;
use protector_api_types::{
    ConsistencyGroupBody, RecoveryPointsBody, SyncForceBody, SyncStatusBody, read_optional_body,
};
use protector_policy::Rule;

use super::load;
use crate::{
    call::Call,
    convert,
    docs::{ChangeFails, ListFails, ShowFails},
    error::ApiResult,
    extract::{GroupPath, PathOf, RawBody},
};

/// Shows the volumes, the array names on both sites, and the newest usable recovery point.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/protection-groups/{pg_id}/consistency-group", tag = "protection groups",
    params(GroupPath),
    responses((status = 200, description = "The consistency group", body = ConsistencyGroupBody), ShowFails)
)]
pub async fn consistency_group(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
) -> ApiResult<Json<ConsistencyGroupBody>> {
    let loaded = load(&call, &path, Rule::ConsistencyGroupShow).await?;
    call.no_query()?;
    let detail = call.core().consistency_group(&loaded.project, loaded.id()).await?;
    Ok(Json(ConsistencyGroupBody { consistency_group: convert::consistency_group(detail) }))
}

/// Lists the group-consistent points on the target array, newest first.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/protection-groups/{pg_id}/recovery-points", tag = "protection groups",
    params(GroupPath),
    responses((status = 200, description = "All of them", body = RecoveryPointsBody), ListFails)
)]
pub async fn recovery_points(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
) -> ApiResult<Json<RecoveryPointsBody>> {
    let loaded = load(&call, &path, Rule::RecoveryPointsIndex).await?;
    call.no_query()?;
    let points = call.core().recovery_points(&loaded.project, loaded.id()).await?;
    let recovery_points = points.into_iter().map(convert::recovery_point).collect();
    Ok(Json(RecoveryPointsBody { recovery_points, recovery_points_links: Vec::new() }))
}

/// Shows whether both sites hold the same metadata.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/protection-groups/{pg_id}/sync-status", tag = "protection groups",
    params(GroupPath),
    responses((status = 200, description = "The status", body = SyncStatusBody), ShowFails)
)]
pub async fn sync_status(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
) -> ApiResult<Json<SyncStatusBody>> {
    let loaded = load(&call, &path, Rule::SyncStatusShow).await?;
    call.no_query()?;
    let status = call.core().sync_status(&loaded.project, loaded.id()).await?;
    let sync_status = convert::sync_status(status).for_version(call.version);
    Ok(Json(SyncStatusBody { sync_status }))
}

/// Pushes the group's metadata to the other site, or chooses a side after a conflict.
#[utoipa::path(
    post, path = "/v1/{tenant_id}/protection-groups/{pg_id}/sync-force", tag = "protection groups",
    params(GroupPath), request_body = Option<SyncForceBody>,
    responses((status = 200, description = "The status afterwards", body = SyncStatusBody), ChangeFails)
)]
pub async fn sync_force(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Json<SyncStatusBody>> {
    let loaded = load(&call, &path, Rule::SyncStatusForce).await?;
    call.no_query()?;
    let request: SyncForceBody = read_optional_body(&bytes, call.version)?;
    let caller = call.caller();
    let status =
        call.core().sync_force(&caller, &loaded.project, loaded.id(), request.from).await?;
    let sync_status = convert::sync_status(status).for_version(call.version);
    Ok(Json(SyncStatusBody { sync_status }))
}
