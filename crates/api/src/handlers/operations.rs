//! `/v1/{tenant_id}/operations`.

use axum::{
    Json,
    response::{AppendHeaders, IntoResponse},
};
use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue, header::WARNING};
use protector_api_types::{Microversion, OperationBody, OperationsBody};
use protector_policy::{Rule, Target};
use protector_types::OperationStatus;

use super::enforce_project;
use crate::{
    call::{Call, id},
    convert,
    docs::{ListFails, ShowFails},
    error::ApiResult,
    extract::{OperationPath, PageParams, PathOf, TenantPath},
    model::OperationFilter,
    query::{Query, invalid},
};

/// Longest text of a `Warning` header.
const LONGEST_WARNING: usize = 512;

/// Lists the operations of the project.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/operations", tag = "operations",
    params(
        TenantPath, PageParams,
        ("protection_group_id" = Option<String>, Query, description = "Only of this group"),
        ("operation_type" = Option<protector_types::OperationType>, Query, description = "Only of this type"),
        ("status" = Option<OperationStatus>, Query, description = "Only in this status"),
        ("since" = Option<DateTime<Utc>>, Query, description = "Only those started at or after this time")
    ),
    responses((status = 200, description = "A page", body = OperationsBody), ListFails)
)]
pub async fn list(call: Call, PathOf(path): PathOf<TenantPath>) -> ApiResult<Json<OperationsBody>> {
    let project = enforce_project(&call, &path.tenant_id, Rule::OperationsIndex)?;
    let mut query = call.query();
    let filter = filter(&mut query, call.version)?;
    let page = query.page(true)?;
    query.finish()?;
    let page = call.core().list_operations(&project, filter, page).await?;
    let operations_links = call.next_link(page.more, page.items.last().map(|it| it.id));
    let operations =
        page.items.into_iter().map(|it| convert::operation(it).for_version(call.version)).collect();
    Ok(Json(OperationsBody { operations, operations_links }))
}

fn filter(query: &mut Query, version: Microversion) -> ApiResult<OperationFilter> {
    let status: Option<OperationStatus> = query.parsed("status")?;
    if let Some(status) = status
        && version < Microversion::V1_3
        && status.before_1_3() != status
    {
        let message = format!("{status} needs version 1.3; this request is version {version}");
        return Err(invalid("status", message).into());
    }
    Ok(OperationFilter {
        protection_group_id: query.parsed("protection_group_id")?,
        operation_type: query.parsed("operation_type")?,
        status,
        since: query.parsed::<DateTime<Utc>>("since")?,
    })
}

/// Shows an operation.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/operations/{op_id}", tag = "operations", params(OperationPath),
    responses((status = 200, description = "The operation", body = OperationBody), ShowFails)
)]
pub async fn show(call: Call, PathOf(path): PathOf<OperationPath>) -> ApiResult<impl IntoResponse> {
    let project = call.tenant(&path.tenant_id)?;
    let record = call.core().operation(&project, id("Operation", &path.op_id)?).await?;
    let group = record.protection_group_id.to_string();
    call.enforce(
        Rule::OperationsShow,
        &Target::project(&project).with("protection_group_id", group),
    )?;
    call.no_query()?;
    let warnings = warning_headers(call.version, &record.warnings);
    let operation = convert::operation(record).for_version(call.version);
    Ok((warnings, Json(OperationBody { operation })))
}

/// Before 1.3 the record has no `warnings`: they are told in headers.
pub(crate) fn warning_headers(
    version: Microversion,
    warnings: &[String],
) -> AppendHeaders<Vec<(HeaderName, HeaderValue)>> {
    if version >= Microversion::V1_3 {
        return AppendHeaders(Vec::new());
    }
    let header = |text: &String| {
        let plain: String = text
            .chars()
            .take(LONGEST_WARNING)
            .map(|c| match c {
                '"' | '\\' => '\'',
                ' '..='~' => c,
                _ => '?',
            })
            .collect();
        HeaderValue::from_str(&format!("299 protector \"{plain}\"")).ok().map(|v| (WARNING, v))
    };
    AppendHeaders(warnings.iter().filter_map(header).collect())
}
