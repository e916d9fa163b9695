//! `/v1/peer/...`: the other Protector's calls. One rule for all; never a tenant's token.

use axum::Json;
use http::StatusCode;
use protector_api_types::{
    ClaimBody, GroupStampBody, GroupStampsBody, PeerArrayTokenBody, PeerClaimBody, PeerDelegation,
    PeerDelegationsBody, PeerFencesBody, PeerForcedGroupBody, PeerGroupBody, PeerInfoBody,
    PeerJournalBody, PeerOperationBody, PeerSiteBody, PeerTenantMappingBody, StampOfGroup,
    read_body,
};
use protector_policy::Rule;
use protector_ports::{ClaimRequest, OperationPiece, SiteHandover};
use protector_types::{GroupId, OperationId, ProjectId, SiteId, TenantMappingId};

use crate::{
    call::{Call, id},
    convert,
    docs::{ChangeFails, ShowFails},
    error::ApiResult,
    extract::{
        MappingPath, PathOf, PeerClaimPath, PeerGroupPath, PeerOperationPath, PeerProjectPath,
        PeerTokenPath, RawBody, SitePath,
    },
    query::invalid,
};

fn allow(call: &Call) -> ApiResult<()> {
    call.enforce_admin(Rule::PeerCall)?;
    call.no_query()
}

/// The id of the path must be that of the body.
fn same<T: PartialEq + std::fmt::Display>(field: &str, path: T, body: T) -> ApiResult<()> {
    if path == body {
        return Ok(());
    }
    Err(invalid(field, format!("is {body}, but the path names {path}")).into())
}

/// Says who we are.
#[utoipa::path(
    get, path = "/v1/peer/info", tag = "peer",
    responses((status = 200, description = "This Protector", body = PeerInfoBody), ShowFails)
)]
pub async fn info(call: Call) -> ApiResult<Json<PeerInfoBody>> {
    allow(&call)?;
    Ok(Json(PeerInfoBody { peer: convert::peer_info(call.core().peer_info().await?) }))
}

/// Takes a site's record, its service user's password included.
#[utoipa::path(
    put, path = "/v1/peer/sites/{site_id}", tag = "peer", params(SitePath), request_body = PeerSiteBody,
    responses((status = 204, description = "Taken"), ChangeFails)
)]
pub async fn put_site(
    call: Call,
    PathOf(path): PathOf<SitePath>,
    RawBody(bytes): RawBody,
) -> ApiResult<StatusCode> {
    allow(&call)?;
    let site: SiteId = id("Site", &path.site_id)?;
    let body: PeerSiteBody = read_body(&bytes, call.version)?;
    same("site.id", site, body.site.id)?;
    call.core().accept_site(SiteHandover { site: body.site, password: body.password }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a tenant mapping.
#[utoipa::path(
    put, path = "/v1/peer/tenant-mappings/{mapping_id}", tag = "peer", params(MappingPath),
    request_body = PeerTenantMappingBody,
    responses((status = 204, description = "Taken"), ChangeFails)
)]
pub async fn put_tenant_mapping(
    call: Call,
    PathOf(path): PathOf<MappingPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<StatusCode> {
    allow(&call)?;
    let mapping: TenantMappingId = id("Tenant mapping", &path.mapping_id)?;
    let body: PeerTenantMappingBody = read_body(&bytes, call.version)?;
    same("tenant_mapping.id", mapping, body.tenant_mapping.id)?;
    call.core().accept_tenant_mapping(body.tenant_mapping).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a tenant mapping.
#[utoipa::path(
    delete, path = "/v1/peer/tenant-mappings/{mapping_id}", tag = "peer", params(MappingPath),
    responses((status = 204, description = "Removed"), ChangeFails)
)]
pub async fn delete_tenant_mapping(
    call: Call,
    PathOf(path): PathOf<MappingPath>,
) -> ApiResult<StatusCode> {
    allow(&call)?;
    call.core().drop_tenant_mapping(id("Tenant mapping", &path.mapping_id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a group's document, if it is newer.
#[utoipa::path(
    put, path = "/v1/peer/groups/{pg_id}", tag = "peer", params(PeerGroupPath), request_body = PeerGroupBody,
    responses((status = 200, description = "What our copy is now", body = GroupStampBody), ChangeFails)
)]
pub async fn put_group(
    call: Call,
    PathOf(path): PathOf<PeerGroupPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Json<GroupStampBody>> {
    allow(&call)?;
    let group: GroupId = id("Protection group", &path.pg_id)?;
    let body: PeerGroupBody = read_body(&bytes, call.version)?;
    same("document.group.id", group, body.document.group.id)?;
    let stamp = call.core().accept_group(body.document).await?;
    Ok(Json(GroupStampBody { stamp: convert::stamp(stamp) }))
}

/// Says what our copy of a group is.
#[utoipa::path(
    get, path = "/v1/peer/groups/{pg_id}", tag = "peer", params(PeerGroupPath),
    responses((status = 200, description = "What our copy is", body = GroupStampBody), ShowFails)
)]
pub async fn group_stamp(
    call: Call,
    PathOf(path): PathOf<PeerGroupPath>,
) -> ApiResult<Json<GroupStampBody>> {
    allow(&call)?;
    let stamp = call.core().group_stamp(id("Protection group", &path.pg_id)?).await?;
    Ok(Json(GroupStampBody { stamp: convert::stamp(stamp) }))
}

/// Removes our copy of a group that was deleted.
#[utoipa::path(
    delete, path = "/v1/peer/groups/{pg_id}", tag = "peer", params(PeerGroupPath),
    responses((status = 204, description = "Removed"), ChangeFails)
)]
pub async fn delete_group(
    call: Call,
    PathOf(path): PathOf<PeerGroupPath>,
) -> ApiResult<StatusCode> {
    allow(&call)?;
    call.core().drop_group(id("Protection group", &path.pg_id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an array's token, once; it is stored under our own key.
#[utoipa::path(
    put, path = "/v1/peer/groups/{pg_id}/array-tokens/{site_id}", tag = "peer", params(PeerTokenPath),
    request_body = PeerArrayTokenBody,
    responses((status = 204, description = "Taken"), ChangeFails)
)]
pub async fn put_array_token(
    call: Call,
    PathOf(path): PathOf<PeerTokenPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<StatusCode> {
    allow(&call)?;
    let group: GroupId = id("Protection group", &path.pg_id)?;
    let site: SiteId = id("Site", &path.site_id)?;
    let body: PeerArrayTokenBody = read_body(&bytes, call.version)?;
    call.core().accept_array_token(group, site, body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes how servers were before the other site fenced them.
#[utoipa::path(
    put, path = "/v1/peer/groups/{pg_id}/fences", tag = "peer", params(PeerGroupPath),
    request_body = PeerFencesBody,
    responses((status = 204, description = "Taken"), ChangeFails)
)]
pub async fn put_fences(
    call: Call,
    PathOf(path): PathOf<PeerGroupPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<StatusCode> {
    allow(&call)?;
    let group: GroupId = id("Protection group", &path.pg_id)?;
    let body: PeerFencesBody = read_body(&bytes, call.version)?;
    call.core().accept_fences(group, body.fences).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a piece of an operation that the other site drives: record, plan, journal entries.
#[utoipa::path(
    put, path = "/v1/peer/operations/{op_id}", tag = "peer", params(PeerOperationPath),
    request_body = PeerOperationBody,
    responses((status = 200, description = "How far the journal is here", body = PeerJournalBody), ChangeFails)
)]
pub async fn put_operation(
    call: Call,
    PathOf(path): PathOf<PeerOperationPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Json<PeerJournalBody>> {
    allow(&call)?;
    let operation: OperationId = id("Operation", &path.op_id)?;
    let body: PeerOperationBody = read_body(&bytes, call.version)?;
    let named = body.record.get("id").and_then(serde_json::Value::as_str).unwrap_or_default();
    same("record.id", operation.to_string().as_str(), named)?;
    let piece = OperationPiece {
        project_id: body.project_id,
        record: body.record,
        plan: body.plan,
        entries: body.entries,
    };
    let last_seq = call.core().accept_operation(operation, piece).await?;
    Ok(Json(PeerJournalBody { last_seq }))
}

/// Says what our copies of all groups are that are shared with a site.
#[utoipa::path(
    get, path = "/v1/peer/sites/{site_id}/groups", tag = "peer", params(SitePath),
    responses((status = 200, description = "Our copies", body = GroupStampsBody), ShowFails)
)]
pub async fn group_stamps(
    call: Call,
    PathOf(path): PathOf<SitePath>,
) -> ApiResult<Json<GroupStampsBody>> {
    allow(&call)?;
    let stamps = call.core().group_stamps(id("Site", &path.site_id)?).await?;
    let stamps = stamps
        .into_iter()
        .map(|(group_id, stamp)| StampOfGroup { group_id, stamp: convert::stamp(stamp) });
    Ok(Json(GroupStampsBody { stamps: stamps.collect() }))
}

/// Shows our whole copy of a group.
#[utoipa::path(
    get, path = "/v1/peer/groups/{pg_id}/document", tag = "peer", params(PeerGroupPath),
    responses((status = 200, description = "The document", body = PeerGroupBody), ShowFails)
)]
pub async fn group_document(
    call: Call,
    PathOf(path): PathOf<PeerGroupPath>,
) -> ApiResult<Json<PeerGroupBody>> {
    allow(&call)?;
    let document = call.core().show_document(id("Protection group", &path.pg_id)?).await?;
    Ok(Json(PeerGroupBody { document }))
}

/// Takes a group's document because a person says so (`sync-force`).
#[utoipa::path(
    put, path = "/v1/peer/groups/{pg_id}/forced", tag = "peer", params(PeerGroupPath),
    request_body = PeerForcedGroupBody,
    responses((status = 200, description = "What our copy is now", body = GroupStampBody), ChangeFails)
)]
pub async fn force_group(
    call: Call,
    PathOf(path): PathOf<PeerGroupPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Json<GroupStampBody>> {
    allow(&call)?;
    let group: GroupId = id("Protection group", &path.pg_id)?;
    let body: PeerForcedGroupBody = read_body(&bytes, call.version)?;
    same("document.group.id", group, body.document.group.id)?;
    let instead_of = body.instead_of.map(convert::stamp_of);
    let stamp = call.core().accept_forced_group(body.document, instead_of).await?;
    Ok(Json(GroupStampBody { stamp: convert::stamp(stamp) }))
}

/// Takes or renews our claim on a group for an operation of the other site.
#[utoipa::path(
    put, path = "/v1/peer/groups/{pg_id}/claim/{op_id}", tag = "peer", params(PeerClaimPath),
    request_body = PeerClaimBody,
    responses((status = 200, description = "Who has the claim", body = ClaimBody), ChangeFails)
)]
pub async fn put_claim(
    call: Call,
    PathOf(path): PathOf<PeerClaimPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Json<ClaimBody>> {
    allow(&call)?;
    let group: GroupId = id("Protection group", &path.pg_id)?;
    let operation_id: OperationId = id("Operation", &path.op_id)?;
    let body: PeerClaimBody = read_body(&bytes, call.version)?;
    let request = ClaimRequest { operation_id, holder_site_id: body.holder_site_id };
    let claim = convert::claim(call.core().grant_claim(group, request).await?);
    Ok(Json(ClaimBody { claim }))
}

/// Gives our claim on a group back.
#[utoipa::path(
    delete, path = "/v1/peer/groups/{pg_id}/claim/{op_id}", tag = "peer", params(PeerClaimPath),
    responses((status = 204, description = "Free, or somebody else's"), ChangeFails)
)]
pub async fn delete_claim(
    call: Call,
    PathOf(path): PathOf<PeerClaimPath>,
) -> ApiResult<StatusCode> {
    allow(&call)?;
    let group: GroupId = id("Protection group", &path.pg_id)?;
    call.core().free_claim(group, id("Operation", &path.op_id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says who delegated to us in a project, with the trusts: only our own service user, as whom the peer calls, can use
/// them.
#[utoipa::path(
    get, path = "/v1/peer/projects/{project_id}/delegations", tag = "peer", params(PeerProjectPath),
    responses((status = 200, description = "Those in force at our site", body = PeerDelegationsBody), ShowFails)
)]
pub async fn delegations(
    call: Call,
    PathOf(path): PathOf<PeerProjectPath>,
) -> ApiResult<Json<PeerDelegationsBody>> {
    allow(&call)?;
    let handed =
        call.core().delegations_for_peer(ProjectId::from(path.project_id.as_str())).await?;
    let delegations = handed
        .into_iter()
        .map(|it| PeerDelegation { delegation: it.delegation, trust: it.trust.expose().to_owned() })
        .collect();
    Ok(Json(PeerDelegationsBody { delegations }))
}
