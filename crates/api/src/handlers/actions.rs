//! `.../{pg_id}/action` and `.../{pg_id}/consistency-group/sync`: what starts an operation.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use protector_api_types::{
    ActionBody, ActionGroupBody, ActionParamsBody, EmptyBody, OperationBody, PARAMS, PlanBody,
    read_action, read_optional_body,
};
use protector_policy::Rule;
use protector_types::{Action, Code};

use super::{LoadedGroup, enforce, find, load, location, operations::warning_headers};
use crate::{
    call::Call,
    convert,
    docs::ChangeFails,
    error::{ApiError, ApiResult},
    extract::{GroupPath, PathOf, RawBody},
    model::{ActionAnswer, ActionRequest},
    precondition::idempotency,
    query::invalid,
};

/// Starts an operation: exactly one key names it.
#[utoipa::path(
    post, path = "/v1/{tenant_id}/protection-groups/{pg_id}/action", tag = "operations",
    params(
        GroupPath,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body within 24 h answer the same operation")
    ),
    request_body = ActionBody,
    responses(
        (status = 202, description = "Accepted; poll the operation", body = OperationBody),
        (status = 200, description = "The group was changed (`reset_status`, `release_quarantine`)", body = ActionGroupBody),
        ChangeFails
    )
)]
pub async fn act(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Response> {
    call.tenant(&path.tenant_id)?;
    call.no_query()?;
    let action = read_action(&bytes, call.version)?;
    let loaded = find(&call, &path).await?;
    let key = idempotency(&call, loaded.id(), &action.canonical)?;
    let request = convert::action(action.action, action.params, key);
    enforce(&call, &loaded, rule_of(&call, &request)?)?;
    call.note_caller(&loaded.project).await?;
    answer(&call, &loaded, request).await
}

/// Takes a group snapshot and ships it: the same operation as the action `sync_volumes`.
#[utoipa::path(
    post, path = "/v1/{tenant_id}/protection-groups/{pg_id}/consistency-group/sync", tag = "operations",
    params(
        GroupPath,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key within 24 h answers the same operation")
    ),
    responses((status = 202, description = "Accepted; poll the operation", body = OperationBody), ChangeFails)
)]
pub async fn sync(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Response> {
    let loaded = load(&call, &path, Rule::ConsistencyGroupSync).await?;
    call.no_query()?;
    read_optional_body::<EmptyBody>(&bytes, call.version)?;
    let key = idempotency(&call, loaded.id(), r#"{"sync_volumes":{}}"#)?;
    let request = convert::action(Action::SyncVolumes, ActionParamsBody::default(), key);
    answer(&call, &loaded, request).await
}

/// The permission of the resolved type: a drill asked for as a failover needs the drill's.
fn rule_of(call: &Call, request: &ActionRequest) -> ApiResult<Rule> {
    let word = match request.action {
        Action::Failover
        | Action::Failback
        | Action::TestFailover
        | Action::TestCleanup
        | Action::SyncVolumes
        | Action::Reprotect => call.core().resolve_action(request)?.as_str(),
        other => other.as_str(),
    };
    Rule::for_action(word).ok_or_else(|| {
        ApiError::new(Code::Internal, format!("no policy rule for the action {word}"))
    })
}

async fn answer(call: &Call, loaded: &LoadedGroup, request: ActionRequest) -> ApiResult<Response> {
    let project = &loaded.project;
    match call.core().act(&call.caller(), project, loaded.id(), request).await? {
        ActionAnswer::Operation(record) => {
            let place = location(call, &format!("/v1/{project}/operations/{}", record.id));
            let warnings = warning_headers(call.version, &record.warnings);
            let operation = convert::operation(*record).for_version(call.version);
            let body = Json(OperationBody { operation });
            Ok((StatusCode::ACCEPTED, place, warnings, body).into_response())
        }
        ActionAnswer::Group { detail, warnings } => {
            let protection_group = convert::group(*detail, project.clone());
            Ok(Json(ActionGroupBody { protection_group, warnings }).into_response())
        }
    }
}

/// Shows what an action would do, step by step, and touches nothing. The body is the action's.
#[utoipa::path(
    post, path = "/v1/{tenant_id}/protection-groups/{pg_id}/plan", tag = "operations",
    params(GroupPath), request_body = ActionBody,
    responses((status = 200, description = "The plan, with the hash that runs exactly it", body = PlanBody), ChangeFails)
)]
pub async fn plan(
    call: Call,
    PathOf(path): PathOf<GroupPath>,
    RawBody(bytes): RawBody,
) -> ApiResult<Json<PlanBody>> {
    let loaded = load(&call, &path, Rule::PlanCreate).await?;
    call.no_query()?;
    let action = read_action(&bytes, call.version)?;
    let request = convert::action(action.action, action.params, None);
    if !is_planned(action.action) {
        let words = "starts nothing that is planned: plans are made of failover, failback, test_failover, test_cleanup, \
                     sync_volumes, reprotect and retry";
        return Err(invalid(action.action.as_str(), words.to_owned()).into());
    }
    let preview = call.core().preview(&loaded.project, loaded.id(), request).await?;
    Ok(Json(PlanBody { plan: convert::plan(preview) }))
}

/// The actions that take the hash of a plan.
fn is_planned(action: Action) -> bool {
    PARAMS.iter().any(|row| row.name == "plan_hash" && row.actions.contains(&action))
}
