//! Reading operations: records, lists and events.

use protector_store::{OperationRow, Page, PageRequest, Scope};
use protector_types::{Code, OperationId, OperationStatus, OperationType, ProjectId, Refusal};
use protector_workflow::{Ask, Entry, EntryKind, Plan, Request};

use crate::{Core, OperationEvent, OperationFilter, OperationRecord, errors};

/// How that warning begins, whoever gives it: the planner knows how many servers it is about.
pub(crate) const RETAIN_PRIMARY: &str = "retain_primary is false";
/// `retain_primary` is false unless it is given: who forgets it is told.
pub(crate) const PRIMARY_STOPS: &str = "retain_primary is false: the servers at the current primary are stopped for the \
     drill and started again by its test_cleanup";

/// A stored row as clients see it.
pub fn record(row: OperationRow) -> OperationRecord {
    let mut warnings = advice(&row);
    let status = status(&row);
    warnings.extend(row.view.warnings);
    OperationRecord {
        id: row.id,
        operation_type: row.operation_type,
        status,
        progress: row.progress,
        protection_group_id: row.group_id,
        project_id: row.project_id,
        source_site_id: row.source_site_id,
        target_site_id: row.target_site_id,
        started_at: row.created_at,
        completed_at: row.completed_at,
        error_message: row.error_message,
        steps_completed: row.view.steps_completed,
        steps_failed: row.view.steps_failed,
        result_data: row.result_data,
        warnings,
        stages: row.view.stages,
        user_id: row.user_id,
        request_id: row.request_id,
        retry_of: row.retry_of,
    }
}

/// A request to cancel that no engine has heard yet shows at once.
fn status(row: &OperationRow) -> OperationStatus {
    let open = matches!(row.status, OperationStatus::Pending | OperationStatus::Running);
    let requests: Vec<Request> =
        row.control.clone().and_then(|json| serde_json::from_value(json).ok()).unwrap_or_default();
    match requests.iter().any(|request| request.ask == Ask::Cancel) {
        true if open => OperationStatus::Cancelling,
        _ => row.status,
    }
}

/// What a person should know of the request itself.
fn advice(row: &OperationRow) -> Vec<String> {
    let flag = |name: &str| row.params.get(name).and_then(serde_json::Value::as_bool) == Some(true);
    let stops = row.operation_type == OperationType::TestFailover && !flag("retain_primary");
    let told = row.view.warnings.iter().any(|warning| warning.starts_with(RETAIN_PRIMARY));
    (stops && !told).then(|| PRIMARY_STOPS.to_owned()).into_iter().collect()
}

impl Core {
    /// One operation, driven here or by the peer.
    ///
    /// # Errors
    /// NotFound, also for another project's.
    pub async fn operation(
        &self,
        project: &ProjectId,
        id: OperationId,
    ) -> Result<OperationRecord, Refusal> {
        let row = self
            .store
            .operation(&Scope::Project(project.clone()), id)
            .await
            .map_err(errors::store)?;
        Ok(record(row))
    }

    /// A project's operations, newest first unless asked otherwise.
    ///
    /// # Errors
    /// RequestInvalidValue for an unknown marker or sort key.
    pub async fn list_operations(
        &self,
        project: &ProjectId,
        filter: OperationFilter,
        page: PageRequest,
    ) -> Result<Page<OperationRecord>, Refusal> {
        let filter = protector_store::OperationFilter {
            group_id: filter.protection_group_id,
            operation_type: filter.operation_type,
            status: filter.status,
            since: filter.since,
        };
        let scope = Scope::Project(project.clone());
        let page =
            self.store.list_operations(&scope, &filter, &page).await.map_err(errors::store)?;
        Ok(Page { items: page.items.into_iter().map(record).collect(), more: page.more })
    }

    /// Journal entries after a number, in words.
    ///
    /// # Errors
    /// NotFound.
    pub async fn operation_events(
        &self,
        project: &ProjectId,
        id: OperationId,
        after_seq: u64,
        limit: u64,
    ) -> Result<Vec<OperationEvent>, Refusal> {
        let scope = Scope::Project(project.clone());
        let entries =
            self.store.entries(&scope, id, after_seq, limit).await.map_err(errors::store)?;
        let plan = match self.store.load_plan(id).await.map_err(errors::store) {
            Ok(plan) => Some(plan),
            Err(refusal) if refusal.code == Code::NotFound => None,
            Err(refusal) => return Err(refusal),
        };
        Ok(entries.into_iter().map(|entry| event(entry, plan.as_ref())).collect())
    }
}

fn event(entry: Entry, plan: Option<&Plan>) -> OperationEvent {
    let (name, step, message) = describe(&entry.kind);
    let planned = step.as_ref().and_then(|id| plan?.steps.iter().find(|s| s.id == *id));
    OperationEvent {
        seq: entry.seq,
        at: entry.at,
        event: name.into(),
        stage: planned.and_then(|s| plan?.stages.get(s.stage)).map(|s| s.name.clone()),
        member: planned.and_then(|s| s.subject.clone()),
        step,
        message,
    }
}

fn describe(kind: &EntryKind) -> (&'static str, Option<String>, String) {
    match kind {
        EntryKind::Claimed { engine, fence } => {
            ("claimed", None, format!("engine {engine} drives it (fence {fence})"))
        }
        EntryKind::Started { step, attempt, .. } => {
            ("started", Some(step.clone()), format!("attempt {attempt}"))
        }
        EntryKind::Done { step, adopted, .. } => {
            let how = if *adopted { "verified" } else { "done" };
            ("done", Some(step.clone()), how.into())
        }
        EntryKind::Failed { step, error, warning, .. } => {
            let name = if *warning { "warning" } else { "failed" };
            (name, Some(step.clone()), error.to_string())
        }
        EntryKind::RollbackBegan { cause } => {
            let why = match cause {
                protector_workflow::Cause::StepFailed { step } => format!("because {step} failed"),
                protector_workflow::Cause::Cancelled { by } => format!("cancelled by {by}"),
            };
            ("rollback_began", None, why)
        }
        EntryKind::UndoStarted { step, .. } => ("undo_started", Some(step.clone()), String::new()),
        EntryKind::Undone { step, note } => {
            ("undone", Some(step.clone()), note.clone().unwrap_or_default())
        }
        EntryKind::UndoFailed { step, error } => {
            ("undo_failed", Some(step.clone()), error.to_string())
        }
        EntryKind::Parked { reason, step } => ("parked", step.clone(), reason.clone()),
        EntryKind::Asked { request, refused } => {
            let (word, by) = (request.ask.word(), &request.by);
            let step = match &request.ask {
                Ask::Skip { step, .. } => Some(step.clone()),
                _ => None,
            };
            let message = match (refused, &request.ask) {
                (Some(why), _) => format!("{word} by {by}, refused: {why}"),
                (None, Ask::Skip { reason, .. } | Ask::Abandon { reason }) => {
                    format!("{word} by {by}: {reason}")
                }
                (None, _) => format!("{word} by {by}"),
            };
            ("asked", step, message)
        }
        EntryKind::Resumed { by } => ("resumed", None, format!("by {by}")),
        EntryKind::Skipped { step, reason, by } => {
            ("skipped", Some(step.clone()), format!("by {by}: {reason}"))
        }
        EntryKind::Ended { status, error } => {
            ("ended", None, error.clone().unwrap_or_else(|| status.to_string()))
        }
    }
}
