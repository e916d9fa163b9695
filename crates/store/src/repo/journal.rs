//! The journal: fenced, atomic, in few statements.

use async_trait::async_trait;
use protector_types::{DomainEffect, GroupId, OperationId, OperationType};
use protector_workflow::{Entry, Journal, JournalError, NewEntry, Summary};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, ExprTrait,
    QueryFilter, QueryOrder, QuerySelect, Statement, Value,
    sea_query::{Expr, Func},
};

use crate::{
    Conflict, Store, StoreError,
    convert::{Row, clean, json_text, number, time_text},
    db::transact,
    entity::{
        entry,
        operation::{Column, Entity},
    },
    repo::{operations::TERMINAL, requests},
};

/// Rows per insert: powers of two only, so that seven prepared statements serve every batch.
const LARGEST_INSERT: usize = 64;

/// What an append needs to know of the operation that it writes to.
pub(crate) struct Head {
    pub(crate) operation: OperationId,
    pub(crate) group: GroupId,
    pub(crate) kind: OperationType,
    last_seq: i64,
}

pub(crate) fn read(row: entry::Model) -> Result<Entry, StoreError> {
    let at = Row { table: "operation_entries", id: &row.operation_id };
    Ok(Entry {
        seq: at.count("seq", row.seq)?,
        at: at.time("written_at", &row.written_at)?,
        kind: at.json("kind", &row.kind)?,
    })
}

impl Store {
    async fn load_entries(&self, operation: OperationId) -> Result<Vec<Entry>, StoreError> {
        let rows = entry::Entity::find()
            .filter(entry::Column::OperationId.eq(operation.to_string()))
            .order_by_asc(entry::Column::Seq)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read).collect()
    }

    async fn append_entries(
        &self,
        operation: OperationId,
        fence: u64,
        entries: &[NewEntry],
        effects: &[DomainEffect],
        summary: &Summary,
    ) -> Result<u64, StoreError> {
        // Serialized before the transaction: on SQLite it holds the only writer.
        let texts = entries
            .iter()
            .map(|entry| Ok((time_text(entry.at), json_text("journal entry", &entry.kind)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        let row = SummaryText::new(summary)?;
        let added = number("entries", entries.len() as u64)?;
        transact!(self, tx => {
            let head = self.advance(tx, operation, fence, added, &row).await?;
            let first = head.last_seq - added + 1;
            insert(tx, self.backend(), operation, first, &texts).await?;
            requests::taken(tx, operation, entries).await?;
            self.apply_effects(tx, &head, effects, summary).await?;
            u64::try_from(first).map_err(|_| StoreError::invalid("journal_seq", "negative"))
        })
    }

    /// The fence: must hit one row.
    async fn advance(
        &self,
        tx: &DatabaseTransaction,
        operation: OperationId,
        fence: u64,
        added: i64,
        row: &SummaryText,
    ) -> Result<Head, StoreError> {
        let started =
            Func::coalesce([Expr::col(Column::StartedAt), Expr::value(time_text(self.now()))]);
        let updated = Entity::update_many()
            .col_expr(Column::JournalSeq, Expr::col(Column::JournalSeq).add(added))
            .col_expr(Column::Status, Expr::value(row.status))
            .col_expr(Column::Progress, Expr::value(row.progress))
            .col_expr(Column::ErrorMessage, Expr::value(row.error_message.clone()))
            .col_expr(Column::ViewJson, Expr::value(row.view.as_str()))
            .col_expr(Column::StartedAt, started.into())
            .col_expr(Column::CompletedAt, Expr::value(row.completed_at.clone()))
            .col_expr(Column::ResultData, Expr::value(row.result_data.clone()))
            .filter(Column::Id.eq(operation.to_string()))
            .filter(Column::Fence.eq(number("fence", fence)?))
            .filter(Column::Status.is_not_in(TERMINAL))
            .exec(tx)
            .await?;
        let found: Option<(String, String, String, i64, i64)> =
            Entity::find_by_id(operation.to_string())
                .select_only()
                .columns([
                    Column::GroupId,
                    Column::OperationType,
                    Column::Status,
                    Column::JournalSeq,
                    Column::Fence,
                ])
                .into_tuple()
                .one(tx)
                .await?;
        let (group, kind, status, last_seq, stored_fence) =
            found.ok_or_else(|| StoreError::not_found("operation", operation))?;
        let text = operation.to_string();
        let at = Row { table: "operations", id: &text };
        if updated.rows_affected == 0 {
            if at.count("fence", stored_fence)? != fence {
                return Err(Conflict::Fenced { operation, fence }.into());
            }
            let status = at.parse("status", &status)?;
            return Err(Conflict::Ended { operation, status }.into());
        }
        Ok(Head {
            operation,
            group: at.parse("group_id", &group)?,
            kind: at.parse("operation_type", &kind)?,
            last_seq,
        })
    }
}

/// A summary as columns.
struct SummaryText {
    status: &'static str,
    progress: i32,
    error_message: Option<String>,
    view: String,
    completed_at: Option<String>,
    result_data: Option<String>,
}

impl SummaryText {
    fn new(summary: &Summary) -> Result<Self, StoreError> {
        let result = summary.result_data.as_ref();
        Ok(Self {
            status: summary.view.status.as_str(),
            progress: i32::from(summary.view.progress),
            error_message: summary.view.error_message.as_deref().map(clean),
            view: json_text("view", &summary.view)?,
            completed_at: summary.completed_at.map(time_text),
            result_data: result.map(|data| json_text("result_data", data)).transpose()?,
        })
    }
}

pub(crate) async fn insert(
    tx: &DatabaseTransaction,
    backend: DbBackend,
    operation: OperationId,
    first: i64,
    texts: &[(String, String)],
) -> Result<(), StoreError> {
    let operation = operation.to_string();
    let (mut rest, mut seq, mut size) = (texts, first, LARGEST_INSERT);
    while !rest.is_empty() {
        while size > rest.len() {
            size /= 2;
        }
        let (now, later) = rest.split_at(size);
        let mut values: Vec<Value> = Vec::with_capacity(size * 4);
        for (at, kind) in now {
            values.extend([
                operation.as_str().into(),
                seq.into(),
                at.as_str().into(),
                kind.as_str().into(),
            ]);
            seq += 1;
        }
        tx.execute_raw(Statement::from_sql_and_values(backend, insert_sql(backend, size), values))
            .await?;
        rest = later;
    }
    Ok(())
}

fn insert_sql(backend: DbBackend, rows: usize) -> String {
    let mut sql =
        String::from("INSERT INTO operation_entries (operation_id, seq, written_at, kind) VALUES ");
    for row in 0..rows {
        if row > 0 {
            sql.push(',');
        }
        match backend {
            DbBackend::Postgres => {
                let n = row * 4;
                sql.push_str(&format!("(${},${},${},${})", n + 1, n + 2, n + 3, n + 4));
            }
            _ => sql.push_str("(?,?,?,?)"),
        }
    }
    sql
}

fn journal_error(operation: OperationId, error: StoreError) -> JournalError {
    match error {
        StoreError::Conflict(Conflict::Fenced { operation, fence }) => {
            JournalError::Fenced { operation, fence }
        }
        StoreError::Unavailable { reason, .. } => {
            JournalError::Unavailable { operation, message: reason }
        }
        other => JournalError::Rejected { operation, message: other.to_string() },
    }
}

#[async_trait]
impl Journal for Store {
    async fn load(&self, operation: OperationId) -> Result<Vec<Entry>, JournalError> {
        self.load_entries(operation).await.map_err(|error| journal_error(operation, error))
    }

    async fn append(
        &self,
        operation: OperationId,
        fence: u64,
        entries: &[NewEntry],
        effects: &[DomainEffect],
        summary: &Summary,
    ) -> Result<u64, JournalError> {
        self.append_entries(operation, fence, entries, effects, summary)
            .await
            .map_err(|error| journal_error(operation, error))
    }
}
