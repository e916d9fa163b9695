//! What persons ask of operations: requests wait beside the operation until its journal has them.

use protector_types::{OperationId, OperationStatus, OperationType, ProjectId};
use protector_workflow::{Ask, EntryKind, NewEntry, Request};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, sea_query::Expr,
};

use crate::{
    Conflict, OperationRow, Store, StoreError,
    convert::{Row, json_text, time_text},
    db::transact,
    entity::operation::{Column, Entity},
    repo::{groups, journal, operations},
};

/// So many requests wait at most; a client that repeats itself meets an end.
const MOST_WAITING: usize = 100;

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Requested {
    /// It waits for the engine; the record as it is now.
    Waiting(OperationRow),
    /// The same key and body came before: nothing was done.
    Replayed(OperationRow),
}

/// A request with what makes it repeatable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// The request.
    pub request: Request,
    /// Project of the caller: idempotency keys are a project's own.
    pub project_id: ProjectId,
    /// `Idempotency-Key` with the digest of the body.
    pub idempotency: Option<(String, String)>,
}

fn waiting(row: &OperationRow) -> Result<Vec<Request>, StoreError> {
    let text = row.id.to_string();
    let at = Row { table: "operations", id: &text };
    let stored = row.control.clone().map(serde_json::from_value).transpose();
    Ok(stored.map_err(|error| at.corrupt("control", error))?.unwrap_or_default())
}

/// Requests that entries bring into the journal wait no longer: the same transaction.
pub(crate) async fn taken(
    tx: &DatabaseTransaction,
    operation: OperationId,
    entries: &[NewEntry],
) -> Result<(), StoreError> {
    let asked = |entry: &NewEntry| match &entry.kind {
        EntryKind::Asked { request, .. } => Some(request.id.clone()),
        _ => None,
    };
    let ids: Vec<String> = entries.iter().filter_map(asked).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let row = Entity::find_by_id(operation.to_string()).lock_exclusive().one(tx).await?;
    let row = row.ok_or_else(|| StoreError::not_found("operation", operation))?;
    let mut left = waiting(&operations::read(row)?)?;
    left.retain(|request| !ids.contains(&request.id));
    set(tx, operation, &left).await
}

async fn set(
    tx: &DatabaseTransaction,
    operation: OperationId,
    requests: &[Request],
) -> Result<(), StoreError> {
    let text = match requests {
        [] => None,
        some => Some(json_text("control", &some)?),
    };
    Entity::update_many()
        .col_expr(Column::Control, Expr::value(text))
        .filter(Column::Id.eq(operation.to_string()))
        .exec(tx)
        .await?;
    Ok(())
}

impl Store {
    /// Leaves a request for the engine that drives the operation, or will. It stays until the journal has it.
    ///
    /// # Errors
    /// `NotFound` unless this site drives the operation; `Conflict::Ended`; `Conflict::IdempotencyMismatch`; `Invalid`
    /// when too many wait.
    pub async fn request_control(
        &self,
        id: OperationId,
        new: &NewRequest,
    ) -> Result<Requested, StoreError> {
        transact!(self, tx => {
            let row = Entity::find_by_id(id.to_string()).lock_exclusive().one(tx).await?;
            let key = new.idempotency.as_ref();
            if let Some(known) = self.known_by_key(tx, &new.project_id, key).await? {
                return Ok(Requested::Replayed(known));
            }
            let row = row.map(operations::read).transpose()?.filter(|row| !row.remote);
            let mut row =
                row.ok_or_else(|| StoreError::not_found("operation driven by this site", id))?;
            if row.status.is_terminal() {
                return Err(Conflict::Ended { operation: id, status: row.status }.into());
            }
            let mut requests = waiting(&row)?;
            if requests.len() >= MOST_WAITING {
                let reason = format!("{MOST_WAITING} requests wait already; is an engine running?");
                return Err(StoreError::invalid("operation", reason));
            }
            // Who asks twice for the same means it once.
            if requests.iter().all(|waiting| waiting.ask != new.request.ask) {
                requests.push(new.request.clone());
                set(tx, id, &requests).await?;
            }
            self.remember_key(tx, &new.project_id, key, id).await?;
            row.control = serde_json::to_value(&requests).ok();
            Ok(Requested::Waiting(row))
        })
    }

    /// Requests that wait, oldest first.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Corrupt`.
    pub async fn requests(&self, id: OperationId) -> Result<Vec<Request>, StoreError> {
        let control: Option<Option<String>> = Entity::find_by_id(id.to_string())
            .select_only()
            .column(Column::Control)
            .into_tuple()
            .one(self.reader())
            .await?;
        let control = control.ok_or_else(|| StoreError::not_found("operation", id))?;
        let text = id.to_string();
        let at = Row { table: "operations", id: &text };
        Ok(at.json_some("control", control.as_deref())?.unwrap_or_default())
    }

    /// Ends an operation of which nothing has begun, and lets its group go. `engine`: the one that has it, with its
    /// fence; without, it must be free. `None`: it is not so any more, nothing was done.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`; `Conflict` when the group cannot go back to where it was.
    pub async fn cancel_pending(
        &self,
        id: OperationId,
        new: &NewRequest,
        engine: Option<(&str, u64)>,
    ) -> Result<Option<OperationRow>, StoreError> {
        transact!(self, tx => {
            let row = Entity::find_by_id(id.to_string()).lock_exclusive().one(tx).await?;
            let row = row.map(operations::read).transpose()?.filter(|row| {
                let free = match engine {
                    None => row.owner.is_none(),
                    Some((name, fence)) => row.owner.as_deref() == Some(name) && row.fence == fence,
                };
                let fresh = row.status == OperationStatus::Pending && row.journal_seq == 0;
                !row.remote && free && fresh
            });
            let Some(mut row) = row else { return Ok(None) };
            let ended = self.end_unbegun(&mut row, &new.request);
            self.remember_key(tx, &new.project_id, new.idempotency.as_ref(), id).await?;
            let texts = ended
                .iter()
                .map(|kind| Ok((time_text(self.now()), json_text("journal entry", kind)?)))
                .collect::<Result<Vec<_>, StoreError>>()?;
            journal::insert(tx, self.backend(), id, 1, &texts).await?;
            Entity::update_many()
                .set(operations::write(&row)?.into_active_model().reset_all())
                .filter(Column::Id.eq(id.to_string()))
                .exec(tx)
                .await?;
            self.let_go(tx, &row).await?;
            Ok(Some(row))
        })
    }

    /// The record of an operation that ended before it began, and its journal.
    fn end_unbegun(&self, row: &mut OperationRow, request: &Request) -> [EntryKind; 2] {
        let why = match &request.ask {
            Ask::Abandon { reason } => format!("Abandoned by {}: {reason}", request.by),
            _ => format!("Cancelled by {}", request.by),
        };
        row.status = OperationStatus::Cancelled;
        row.view.status = row.status;
        row.view.error_message = Some(why.clone());
        row.error_message = Some(why.clone());
        row.completed_at = Some(self.now());
        row.control = None;
        row.owner = None;
        row.journal_seq = 2;
        row.fence += 1;
        [
            EntryKind::Asked { request: request.clone(), refused: None },
            EntryKind::Ended { status: row.status, error: Some(why), leaked: None },
        ]
    }

    /// The group of an operation that never began is where it was.
    async fn let_go(&self, tx: &DatabaseTransaction, row: &OperationRow) -> Result<(), StoreError> {
        let held = groups::lock(tx, row.group_id).await?;
        let Some(mut group) = held.filter(|g| g.current_operation_id == Some(row.id)) else {
            return Ok(());
        };
        let to = row.from_status.unwrap_or(group.status);
        if !group.status.may_become(to) {
            let from = group.status;
            return Err(Conflict::IllegalTransition { group: group.id, from, to }.into());
        }
        group.status = to;
        group.current_operation_id = None;
        if row.operation_type == OperationType::TestFailover
            && group.active_test_operation_id == Some(row.id)
        {
            group.active_test_operation_id = None;
        }
        self.save_group(tx, &mut group).await
    }
}
