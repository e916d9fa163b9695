//! What is known of a group's copies: consistency group, recovery points, metadata sync.

use axum::Json;
use protector_api_types::{
    ConsistencyGroupBody, RecoveryPointView, RecoveryPointsBody, SyncForceBody, SyncStatusBody,
    read_optional_body,
};
use protector_core::PageRequest;
use protector_policy::Rule;
use protector_types::Refusal;

use super::load;
use crate::{
    call::Call,
    convert,
    docs::{ChangeFails, ListFails, ShowFails},
    error::ApiResult,
    extract::{GroupPath, PageParams, PathOf, RawBody},
    query::invalid,
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
    params(GroupPath, PageParams),
    responses((status = 200, description = "A page", body = RecoveryPointsBody), ListFails)
)]
pub async fn recovery_points(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
) -> ApiResult<Json<RecoveryPointsBody>> {
    let loaded = load(&call, &path, Rule::RecoveryPointsIndex).await?;
    let mut query = call.query();
    let page = query.page(true)?;
    query.finish()?;
    let points = call.core().recovery_points(&loaded.project, loaded.id()).await?;
    let points = points.into_iter().map(convert::recovery_point).collect();
    let (recovery_points, more) = page_of(points, &page)?;
    let last = recovery_points.last().map(|point| point.name.clone());
    let recovery_points_links = call.next_link(more, last);
    Ok(Json(RecoveryPointsBody { recovery_points, recovery_points_links }))
}

/// The array gives the list whole: it is sorted and cut here. True: there are more.
fn page_of(
    mut points: Vec<RecoveryPointView>,
    page: &PageRequest,
) -> Result<(Vec<RecoveryPointView>, bool), Refusal> {
    match page.sort_key.as_deref() {
        None | Some("created_at") => {
            points.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
        }
        Some("name") => points.sort_by(|a, b| a.name.cmp(&b.name)),
        Some(_) => return Err(invalid("sort_key", "must be created_at or name".into())),
    }
    if page.descending {
        points.reverse();
    }
    if let Some(marker) = &page.marker {
        let at = points.iter().position(|point| point.name == *marker);
        let at = at.ok_or_else(|| invalid("marker", "names no recovery point".into()))?;
        points.drain(..=at);
    }
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = points.len() > limit;
    points.truncate(limit);
    Ok((points, more))
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
