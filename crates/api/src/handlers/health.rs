//! `.../{pg_id}/health` and `/v1/health`.

use axum::Json;
use protector_api_types::{GroupHealthBody, ServiceHealthBody, ServiceHealthView};
use protector_policy::{Rule, Target};

use super::load;
use crate::{
    call::Call,
    convert,
    docs::ShowFails,
    error::ApiResult,
    extract::{GroupPath, PathOf},
};

/// Shows link, lag, RPO, sync status and whether a failover would be accepted; partial when a part is down.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/protection-groups/{pg_id}/health", tag = "health", params(GroupPath),
    responses((status = 200, description = "The health", body = GroupHealthBody), ShowFails)
)]
pub async fn group(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
) -> ApiResult<Json<GroupHealthBody>> {
    let loaded = load(&call, &path, Rule::HealthShow).await?;
    call.no_query()?;
    let health = call.core().group_health(&loaded.project, loaded.id()).await?;
    Ok(Json(GroupHealthBody { health: convert::group_health(health).for_version(call.version) }))
}

/// Shows the parts of this site's Protector, and the sites it knows.
#[utoipa::path(
    get, path = "/v1/health", tag = "health",
    responses((status = 200, description = "The health", body = ServiceHealthBody), ShowFails)
)]
pub async fn service(call: Call) -> ApiResult<Json<ServiceHealthBody>> {
    // No project in the path: the caller's own.
    let target = call.identity.token.project_id.as_ref().map(Target::project).unwrap_or_default();
    call.enforce(Rule::HealthShow, &target)?;
    call.no_query()?;
    let components = call.core().service_health().await?;
    let components = components.into_iter().map(convert::component).collect();
    Ok(Json(ServiceHealthBody { health: ServiceHealthView::new(components, call.version) }))
}
