//! `/v1/{tenant_id}/protection-groups`.

use axum::{Json, response::IntoResponse};
use http::{HeaderName, HeaderValue, StatusCode, header::ETAG};
use protector_api_types::{
    GroupBody, GroupCreateBody, GroupUpdateBody, GroupsBody, Microversion, read_body,
};
use protector_policy::Rule;
use protector_types::ProjectId;

use super::{enforce, enforce_project, load, location};
use crate::{
    call::Call,
    convert,
    docs::{ChangeFails, ListFails, MatchFails, ShowFails},
    error::ApiResult,
    extract::{GroupPath, PageParams, PathOf, RawBody, TenantPath},
    model::GroupDetail,
    precondition::{etag, if_match},
    query::invalid,
};

type Tagged = ([(HeaderName, HeaderValue); 1], Json<GroupBody>);

fn tagged(detail: GroupDetail, project: ProjectId) -> Tagged {
    let tag = [(ETAG, etag(detail.group.version))];
    (tag, Json(GroupBody { protection_group: convert::group(detail, project) }))
}

/// Creates a group on both sites.
#[utoipa::path(
    post, path = "/v1/{tenant_id}/protection-groups", tag = "protection groups", params(TenantPath),
    request_body = GroupCreateBody,
    responses((status = 201, description = "Created", body = GroupBody), ChangeFails)
)]
pub async fn create(
    call: Call,
    PathOf(path): PathOf<TenantPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<impl IntoResponse> {
    let project = enforce_project(&call, &path.tenant_id, Rule::GroupsCreate)?;
    call.note_caller(&project).await?;
    call.no_query()?;
    let request: GroupCreateBody = read_body(&bytes, call.version)?;
    let new = convert::new_group(request.protection_group);
    let detail = call.core().create_group(&call.caller(), &project, new).await?;
    let place = location(&call, &format!("/v1/{project}/protection-groups/{}", detail.group.id));
    Ok((StatusCode::CREATED, place, tagged(detail, project)))
}

/// Lists the groups of the project.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/protection-groups", tag = "protection groups",
    params(
        TenantPath, PageParams,
        ("name" = Option<String>, Query, description = "Only the group of this name"),
        ("status" = Option<protector_types::GroupStatus>, Query, description = "Only groups in this status")
    ),
    responses((status = 200, description = "A page", body = GroupsBody), ListFails)
)]
pub async fn list(call: Call, PathOf(path): PathOf<TenantPath>) -> ApiResult<Json<GroupsBody>> {
    let project = enforce_project(&call, &path.tenant_id, Rule::GroupsIndex)?;
    let mut query = call.query();
    let name = query.text("name")?;
    let status = query.parsed("status")?;
    let page = query.page(false)?;
    query.finish()?;
    let page = call.core().list_groups(&project, name, status, page).await?;
    let protection_groups_links =
        call.next_link(page.more, page.items.last().map(|it| it.group.id));
    let protection_groups =
        page.items.into_iter().map(|it| convert::group(it, project.clone())).collect();
    Ok(Json(GroupsBody { protection_groups, protection_groups_links }))
}

/// Shows a group; its version is the ETag.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/protection-groups/{pg_id}", tag = "protection groups", params(GroupPath),
    responses((status = 200, description = "The group", body = GroupBody), ShowFails)
)]
pub async fn show(call: Call, PathOf(path): PathOf<GroupPath>) -> ApiResult<Tagged> {
    call.no_query()?;
    let loaded = load(&call, &path, Rule::GroupsShow).await?;
    Ok(tagged(loaded.detail, loaded.project))
}

/// Changes a group's name, description or standing mappings.
#[utoipa::path(
    patch, path = "/v1/{tenant_id}/protection-groups/{pg_id}", tag = "protection groups",
    params(GroupPath, ("If-Match" = Option<String>, Header, description = "ETag that the change is based on")),
    request_body = GroupUpdateBody,
    responses((status = 200, description = "The changed group", body = GroupBody), MatchFails)
)]
pub async fn update(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Tagged> {
    let loaded = load(&call, &path, Rule::GroupsUpdate).await?;
    call.no_query()?;
    let request: GroupUpdateBody = read_body(&bytes, call.version)?;
    let change = convert::group_change(request.protection_group);
    let version = if_match(&call, loaded.detail.group.version)?;
    let detail = call.core().update_group(&loaded.project, loaded.id(), change, version).await?;
    Ok(tagged(detail, loaded.project))
}

/// Deletes a group and its protection group on the array; never a volume or a server.
#[utoipa::path(
    delete, path = "/v1/{tenant_id}/protection-groups/{pg_id}", tag = "protection groups",
    params(
        GroupPath,
        ("If-Match" = Option<String>, Header, description = "ETag that the deletion is based on"),
        ("force" = Option<bool>, Query, description = "Administrators, 1.3: whatever its status; together with detach_peer"),
        ("detach_peer" = Option<bool>, Query, description = "Administrators, 1.3: the other site is lost for good and is not asked")
    ),
    responses((status = 204, description = "Deleted"), MatchFails)
)]
pub async fn delete(call: Call, PathOf(path): PathOf<GroupPath>) -> ApiResult<StatusCode> {
    let loaded = load(&call, &path, Rule::GroupsDelete).await?;
    let mut query = call.query();
    let (mut force, mut detach) = (false, false);
    // Parameters of 1.3: unknown in an earlier version.
    if call.version >= Microversion::V1_3 {
        force = query.parsed("force")?.unwrap_or(false);
        detach = query.parsed("detach_peer")?.unwrap_or(false);
    }
    query.finish()?;
    let version = if_match(&call, loaded.detail.group.version)?;
    let (project, id) = (&loaded.project, loaded.id());
    match (force, detach) {
        (false, false) => call.core().delete_group(project, id, version).await?,
        (true, true) => {
            enforce(&call, &loaded, Rule::GroupsForceDelete)?;
            call.core().detach_group(&call.caller(), project, id, version).await?;
        }
        _ => {
            let why = "force and detach_peer are given together: only a group whose other site is lost for good is \
                       deleted by force";
            return Err(invalid(if force { "force" } else { "detach_peer" }, why.into()).into());
        }
    }
    Ok(StatusCode::NO_CONTENT)
}
