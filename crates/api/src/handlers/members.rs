//! `.../{pg_id}/members`.

use axum::{Json, response::IntoResponse};
use http::StatusCode;
use protector_api_types::{
    EmptyBody, MemberBody, MemberCreateBody, MemberView, MembersBody, read_body, read_optional_body,
};
use protector_policy::Rule;
use protector_types::{Member, MemberId};

use super::{LoadedGroup, load, location};
use crate::{
    call::{Call, id},
    docs::{ChangeFails, ListFails, MatchFails, ShowFails},
    error::ApiResult,
    extract::{GroupPath, MemberPath, PageParams, PathOf, RawBody},
    precondition::if_match,
};

fn body(call: &Call, loaded: &LoadedGroup, member: Member) -> Json<MemberBody> {
    let primary = loaded.detail.group.current_primary_site_id;
    Json(MemberBody { member: MemberView::new(member, primary).for_version(call.version) })
}

/// The group's part of the path, and the member's.
fn split(path: MemberPath) -> (GroupPath, String) {
    (GroupPath { tenant_id: path.tenant_id, pg_id: path.pg_id }, path.member_id)
}

fn member_id(text: &str) -> ApiResult<MemberId> {
    id("Member", text)
}

/// Puts a server into the group; refused with every reason when it cannot be protected.
#[utoipa::path(
    post, path = "/v1/{tenant_id}/protection-groups/{pg_id}/members", tag = "protection groups",
    params(GroupPath), request_body = MemberCreateBody,
    responses((status = 201, description = "Added", body = MemberBody), ChangeFails)
)]
pub async fn create(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<impl IntoResponse> {
    let loaded = load(&call, &path, Rule::MembersCreate).await?;
    call.no_query()?;
    let request: MemberCreateBody = read_body(&bytes, call.version)?;
    let server = &request.member.server;
    let member = call.core().add_member(&loaded.project, loaded.id(), server).await?;
    let (project, group) = (&loaded.project, loaded.id());
    let place = format!("/v1/{project}/protection-groups/{group}/members/{}", member.id);
    Ok((StatusCode::CREATED, location(&call, &place), body(&call, &loaded, member)))
}

/// Lists the members.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/protection-groups/{pg_id}/members", tag = "protection groups",
    params(GroupPath, PageParams),
    responses((status = 200, description = "A page", body = MembersBody), ListFails)
)]
pub async fn list(call: Call, PathOf(path): PathOf<GroupPath>) -> ApiResult<Json<MembersBody>> {
    let loaded = load(&call, &path, Rule::MembersIndex).await?;
    let mut query = call.query();
    let page = query.page(false)?;
    query.finish()?;
    let page = call.core().list_members(&loaded.project, loaded.id(), page).await?;
    let members_links = call.next_link(page.more, page.items.last().map(|it| it.id));
    let primary = loaded.detail.group.current_primary_site_id;
    let shown = |it| MemberView::new(it, primary).for_version(call.version);
    let members = page.items.into_iter().map(shown).collect();
    Ok(Json(MembersBody { members, members_links }))
}

/// Shows a member.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/protection-groups/{pg_id}/members/{member_id}", tag = "protection groups",
    params(MemberPath),
    responses((status = 200, description = "The member", body = MemberBody), ShowFails)
)]
pub async fn show(call: Call, PathOf(path): PathOf<MemberPath>) -> ApiResult<Json<MemberBody>> {
    let (path, member) = split(path);
    let loaded = load(&call, &path, Rule::MembersShow).await?;
    call.no_query()?;
    let member = call.core().member(&loaded.project, loaded.id(), member_id(&member)?).await?;
    Ok(body(&call, &loaded, member))
}

/// Takes a server out of the group; the server and its volumes stay as they are.
#[utoipa::path(
    delete, path = "/v1/{tenant_id}/protection-groups/{pg_id}/members/{member_id}", tag = "protection groups",
    params(MemberPath, ("If-Match" = Option<String>, Header, description = "ETag of the group")),
    responses((status = 204, description = "Removed"), MatchFails)
)]
pub async fn delete(call: Call, PathOf(path): PathOf<MemberPath>) -> ApiResult<StatusCode> {
    let (path, member) = split(path);
    let loaded = load(&call, &path, Rule::MembersDelete).await?;
    call.no_query()?;
    if_match(&call, loaded.detail.group.version)?;
    call.core().remove_member(&loaded.project, loaded.id(), member_id(&member)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the member's server again and stores what changed.
#[utoipa::path(
    post, path = "/v1/{tenant_id}/protection-groups/{pg_id}/members/{member_id}/refresh",
    tag = "protection groups", params(MemberPath),
    responses((status = 200, description = "The member as it is now", body = MemberBody), ChangeFails)
)]
pub async fn refresh(
    call: Call,
    PathOf(path): PathOf<MemberPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Json<MemberBody>> {
    let (path, member) = split(path);
    let loaded = load(&call, &path, Rule::MembersRefresh).await?;
    call.no_query()?;
    read_optional_body::<EmptyBody>(&bytes, call.version)?;
    let member = member_id(&member)?;
    let member = call.core().refresh_member(&loaded.project, loaded.id(), member).await?;
    Ok(body(&call, &loaded, member))
}
