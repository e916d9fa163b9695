//! `/v1/admin/tenant-mappings`.

use axum::{Json, response::IntoResponse};
use http::StatusCode;
use protector_api_types::{
    TenantMappingBody, TenantMappingCreateBody, TenantMappingView, TenantMappingsBody, read_body,
};
use protector_policy::Rule;

use super::location;
use crate::{
    call::{Call, id},
    convert,
    docs::{ChangeFails, ListFails, ShowFails},
    error::ApiResult,
    extract::{MappingPath, PageParams, PathOf, RawBody},
};

/// Pairs two projects.
#[utoipa::path(
    post, path = "/v1/admin/tenant-mappings", tag = "tenant mappings",
    request_body = TenantMappingCreateBody,
    responses((status = 201, description = "Made", body = TenantMappingBody), ChangeFails)
)]
pub async fn create(call: Call, RawBody(bytes): RawBody) -> ApiResult<impl IntoResponse> {
    call.enforce_admin(Rule::TenantMappingsCreate)?;
    call.no_query()?;
    let request: TenantMappingCreateBody = read_body(&bytes, call.version)?;
    let new = convert::new_tenant_mapping(request.tenant_mapping);
    let mapping = call.core().create_tenant_mapping(new).await?;
    let place = location(&call, &format!("/v1/admin/tenant-mappings/{}", mapping.id));
    Ok((StatusCode::CREATED, place, Json(TenantMappingBody { tenant_mapping: mapping.into() })))
}

/// Lists the tenant mappings.
#[utoipa::path(
    get, path = "/v1/admin/tenant-mappings", tag = "tenant mappings", params(PageParams),
    responses((status = 200, description = "A page", body = TenantMappingsBody), ListFails)
)]
pub async fn list(call: Call) -> ApiResult<Json<TenantMappingsBody>> {
    call.enforce_admin(Rule::TenantMappingsIndex)?;
    let mut query = call.query();
    let page = query.page(false)?;
    query.finish()?;
    let page = call.core().list_tenant_mappings(page).await?;
    let tenant_mappings_links = call.next_link(page.more, page.items.last().map(|it| it.id));
    let tenant_mappings = page.items.into_iter().map(TenantMappingView::from).collect();
    Ok(Json(TenantMappingsBody { tenant_mappings, tenant_mappings_links }))
}

/// Shows a tenant mapping.
#[utoipa::path(
    get, path = "/v1/admin/tenant-mappings/{mapping_id}", tag = "tenant mappings", params(MappingPath),
    responses((status = 200, description = "The mapping", body = TenantMappingBody), ShowFails)
)]
pub async fn show(
    call: Call,
    PathOf(path): PathOf<MappingPath>,
) -> ApiResult<Json<TenantMappingBody>> {
    call.enforce_admin(Rule::TenantMappingsShow)?;
    call.no_query()?;
    let mapping = call.core().tenant_mapping(id("Tenant mapping", &path.mapping_id)?).await?;
    Ok(Json(TenantMappingBody { tenant_mapping: mapping.into() }))
}

/// Removes a tenant mapping that no group uses.
#[utoipa::path(
    delete, path = "/v1/admin/tenant-mappings/{mapping_id}", tag = "tenant mappings", params(MappingPath),
    responses((status = 204, description = "Removed"), ChangeFails)
)]
pub async fn delete(call: Call, PathOf(path): PathOf<MappingPath>) -> ApiResult<StatusCode> {
    call.enforce_admin(Rule::TenantMappingsDelete)?;
    call.no_query()?;
    call.core().delete_tenant_mapping(id("Tenant mapping", &path.mapping_id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
