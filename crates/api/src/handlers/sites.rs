//! `/v1/admin/sites`.

use axum::{Json, response::IntoResponse};
use http::StatusCode;
use protector_api_types::{
    SiteBody, SiteCreateBody, SiteUpdateBody, SiteView, SitesBody, ValidationBody, VolumeTypesBody,
    read_body,
};
use protector_policy::Rule;
use protector_types::{Site, SiteId};

use super::location;
use crate::{
    call::{Call, id},
    convert,
    docs::{ChangeFails, ListFails, ShowFails},
    error::ApiResult,
    extract::{PageParams, PathOf, RawBody, SitePath},
};

fn body(call: &Call, site: Site) -> Json<SiteBody> {
    Json(SiteBody { site: SiteView::new(site, call.version) })
}

fn site_id(path: &SitePath) -> ApiResult<SiteId> {
    id("Site", &path.site_id)
}

/// Registers a site.
#[utoipa::path(
    post, path = "/v1/admin/sites", tag = "sites", request_body = SiteCreateBody,
    responses((status = 201, description = "Registered", body = SiteBody), ChangeFails)
)]
pub async fn create(call: Call, RawBody(bytes): RawBody) -> ApiResult<impl IntoResponse> {
    call.enforce_admin(Rule::SitesCreate)?;
    call.no_query()?;
    let request: SiteCreateBody = read_body(&bytes, call.version)?;
    let site = call.core().register_site(convert::new_site(request.site)).await?;
    let place = location(&call, &format!("/v1/admin/sites/{}", site.id));
    Ok((StatusCode::CREATED, place, body(&call, site)))
}

/// Lists the sites.
#[utoipa::path(
    get, path = "/v1/admin/sites", tag = "sites", params(PageParams),
    responses((status = 200, description = "A page", body = SitesBody), ListFails)
)]
pub async fn list(call: Call) -> ApiResult<Json<SitesBody>> {
    call.enforce_admin(Rule::SitesIndex)?;
    let mut query = call.query();
    let page = query.page(false)?;
    query.finish()?;
    let page = call.core().list_sites(page).await?;
    let sites_links = call.next_link(page.more, page.items.last().map(|site| site.id));
    let sites = page.items.into_iter().map(|s| SiteView::new(s, call.version)).collect();
    Ok(Json(SitesBody { sites, sites_links }))
}

/// Shows a site.
#[utoipa::path(
    get, path = "/v1/admin/sites/{site_id}", tag = "sites", params(SitePath),
    responses((status = 200, description = "The site", body = SiteBody), ShowFails)
)]
pub async fn show(call: Call, PathOf(path): PathOf<SitePath>) -> ApiResult<Json<SiteBody>> {
    call.enforce_admin(Rule::SitesShow)?;
    call.no_query()?;
    let site = call.core().site(site_id(&path)?).await?;
    Ok(body(&call, site))
}

/// Changes a site's record or credentials.
#[utoipa::path(
    patch, path = "/v1/admin/sites/{site_id}", tag = "sites", params(SitePath),
    request_body = SiteUpdateBody,
    responses((status = 200, description = "The changed site", body = SiteBody), ChangeFails)
)]
pub async fn update(
    call: Call,
    PathOf(path): PathOf<SitePath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Json<SiteBody>> {
    call.enforce_admin(Rule::SitesUpdate)?;
    call.no_query()?;
    let request: SiteUpdateBody = read_body(&bytes, call.version)?;
    let change = convert::site_change(request.site);
    let site = call.core().update_site(site_id(&path)?, change).await?;
    Ok(body(&call, site))
}

/// Removes a site that nothing uses.
#[utoipa::path(
    delete, path = "/v1/admin/sites/{site_id}", tag = "sites", params(SitePath),
    responses((status = 204, description = "Removed"), ChangeFails)
)]
pub async fn delete(call: Call, PathOf(path): PathOf<SitePath>) -> ApiResult<StatusCode> {
    call.enforce_admin(Rule::SitesDelete)?;
    call.no_query()?;
    call.core().delete_site(site_id(&path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Proves by harmless calls that a site can be used.
#[utoipa::path(
    post, path = "/v1/admin/sites/{site_id}/validate", tag = "sites", params(SitePath),
    responses((status = 200, description = "Every check with reason and fix", body = ValidationBody), ChangeFails)
)]
pub async fn validate(
    call: Call,
    PathOf(path): PathOf<SitePath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Json<ValidationBody>> {
    call.enforce_admin(Rule::SitesValidate)?;
    call.no_query()?;
    protector_api_types::read_optional_body::<protector_api_types::EmptyBody>(
        &bytes,
        call.version,
    )?;
    let report = call.core().validate_site(site_id(&path)?).await?;
    Ok(Json(ValidationBody { validation: convert::validation(report) }))
}

/// Lists a site's replication-enabled volume types.
#[utoipa::path(
    get, path = "/v1/admin/sites/{site_id}/volume-types", tag = "sites", params(SitePath),
    responses((status = 200, description = "All of them", body = VolumeTypesBody), ListFails)
)]
pub async fn volume_types(
    call: Call,
    PathOf(path): PathOf<SitePath>,
) -> ApiResult<Json<VolumeTypesBody>> {
    call.enforce_admin(Rule::SitesVolumeTypes)?;
    call.no_query()?;
    let types = call.core().site_volume_types(site_id(&path)?).await?;
    let volume_types = types.into_iter().map(convert::volume_type).collect();
    Ok(Json(VolumeTypesBody { volume_types, volume_types_links: Vec::new() }))
}
