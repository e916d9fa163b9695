//! `.../{pg_id}/policy`.

use axum::{Json, response::IntoResponse};
use http::StatusCode;
use protector_api_types::{PolicyBody, PolicySetBody, PolicyView, read_body};
use protector_policy::Rule;

use super::load;
use crate::{
    call::Call,
    convert,
    docs::{ChangeFails, ShowFails},
    error::ApiResult,
    extract::{GroupPath, PathOf, RawBody},
};

/// Shows the policy; tokens are shown as `***`.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/protection-groups/{pg_id}/policy", tag = "protection groups",
    params(GroupPath),
    responses((status = 200, description = "The policy", body = PolicyBody), ShowFails)
)]
pub async fn show(call: Call, PathOf(path): PathOf<GroupPath>) -> ApiResult<Json<PolicyBody>> {
    let loaded = load(&call, &path, Rule::PolicyShow).await?;
    call.no_query()?;
    let policy = call.core().policy(&loaded.project, loaded.id()).await?;
    let policy = PolicyView::new(policy, &loaded.detail.group, call.version);
    Ok(Json(PolicyBody { policy }))
}

/// Sets or replaces the policy. Both arrays are logged in to, and their link is checked, before it is stored.
#[utoipa::path(
    post, path = "/v1/{tenant_id}/protection-groups/{pg_id}/policy", tag = "protection groups",
    params(GroupPath), request_body = PolicySetBody,
    responses(
        (status = 200, description = "Replaced", body = PolicyBody),
        (status = 201, description = "Set for the first time", body = PolicyBody),
        ChangeFails
    )
)]
pub async fn set(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<impl IntoResponse> {
    let loaded = load(&call, &path, Rule::PolicyCreate).await?;
    call.no_query()?;
    let request: PolicySetBody = read_body(&bytes, call.version)?;
    let new = convert::new_policy(request.policy);
    let policy = call.core().set_policy(&loaded.project, loaded.id(), new).await?;
    let status = match loaded.detail.policy {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    let policy = PolicyView::new(policy, &loaded.detail.group, call.version);
    Ok((status, Json(PolicyBody { policy })))
}
