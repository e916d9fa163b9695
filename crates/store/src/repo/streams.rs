//! Operations on their way to the other site: record, plan and journal, in order, in batches, from where the peer is.

use protector_types::{GroupId, OperationId, OperationStatus, OperationType};
use protector_workflow::{Entry, Plan};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, Query},
};

use crate::{
    Conflict, Store, StoreError,
    convert::{Row, json_text, number, time_text},
    db::transact,
    entity::{entry, operation, operation_plan, outbox, stream},
    repo::operations::TERMINAL,
};

/// An operation of which the peer does not have everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamDue {
    /// Which.
    pub operation: OperationId,
    /// The last entry that the peer confirmed; `None`: it knows nothing of it.
    pub acked_seq: Option<u64>,
}

impl Store {
    /// Operations of which the peer does not have everything, oldest first: those driven here, and those of the peer's
    /// own that it asked for again.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn streams_due(&self, limit: u64) -> Result<Vec<StreamDue>, StoreError> {
        use operation::Column;
        let known = Query::select()
            .expr(Expr::value(1))
            .from(stream::Entity)
            .and_where(
                Expr::col((stream::Entity, stream::Column::OperationId))
                    .equals((operation::Entity, Column::Id)),
            )
            .to_owned();
        let same = known
            .clone()
            .and_where(
                Expr::col((stream::Entity, stream::Column::AckedSeq))
                    .equals((operation::Entity, Column::JournalSeq)),
            )
            .and_where(
                Expr::col((stream::Entity, stream::Column::Status))
                    .equals((operation::Entity, Column::Status)),
            )
            .to_owned();
        let ids: Vec<String> = operation::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Remote.eq(false).or(Expr::exists(known)))
            .filter(Expr::exists(same).not())
            .order_by_asc(Column::CreatedAt)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await?;
        let known = stream::Entity::find()
            .filter(stream::Column::OperationId.is_in(ids.clone()))
            .all(self.reader())
            .await?;
        ids.iter()
            .map(|id| {
                let at = Row { table: "operation_streams", id };
                let row = known.iter().find(|row| row.operation_id == *id);
                Ok(StreamDue {
                    operation: at.parse("operation_id", id)?,
                    acked_seq: row.map(|row| at.count("acked_seq", row.acked_seq)).transpose()?,
                })
            })
            .collect()
    }

    /// True once the peer has the beginning of an operation's journal, and with it surely its record and plan.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn is_streamed(&self, operation: OperationId) -> Result<bool, StoreError> {
        let row = stream::Entity::find_by_id(operation.to_string()).one(self.reader()).await?;
        Ok(row.is_some_and(|row| row.acked_seq > 0))
    }

    /// The peer has the journal up to here, and the record in this status.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn stream_acked(
        &self,
        operation: OperationId,
        seq: u64,
        status: OperationStatus,
    ) -> Result<(), StoreError> {
        let row = stream::Model {
            operation_id: operation.to_string(),
            acked_seq: number("acked_seq", seq)?,
            status: status.to_string(),
        };
        transact!(self, tx => {
            stream::Entity::delete_by_id(row.operation_id.clone()).exec(tx).await?;
            stream::Entity::insert(row.clone().into_active_model()).exec_without_returning(tx).await?;
            Ok(())
        })
    }

    /// The peer has lost a group, or is behind: its document and its operations are due again, those too that the peer
    /// drove and that have ended.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn hand_over_again(&self, group: GroupId) -> Result<(), StoreError> {
        transact!(self, tx => {
            outbox::Entity::update_many()
                .col_expr(outbox::Column::PushedVersion, Expr::value(Option::<i64>::None))
                .filter(outbox::Column::GroupId.eq(group.to_string()))
                .exec(tx)
                .await?;
            history_is_due(tx, group).await
        })
    }

    /// The peer asked for our copy of a group because its own is behind: its database may be an old copy, without the
    /// operations that have ended since, whoever drove them.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn hand_history_over_again(&self, group: GroupId) -> Result<(), StoreError> {
        transact!(self, tx => { history_is_due(tx, group).await })
    }

    /// Takes plan and entries of an operation that the peer drives; gives the number of the last entry that is here
    /// without a gap. Entries that are here already, or would leave a gap, change nothing.
    ///
    /// # Errors
    /// `NotFound` before its record came.
    pub async fn put_remote_journal(
        &self,
        operation: OperationId,
        plan: Option<&Plan>,
        entries: &[Entry],
    ) -> Result<u64, StoreError> {
        let id = operation.to_string();
        let plan = plan.map(|plan| json_text("plan", plan)).transpose()?;
        transact!(self, tx => {
            let row = operation::Entity::find_by_id(id.clone()).lock_exclusive().one(tx).await?;
            let is_remote = row.ok_or_else(|| StoreError::not_found("operation", operation))?.remote;
            let mut last = last_entry(tx, &id).await?;
            // Taken over: from here on this site writes the journal.
            if !is_remote {
                return Ok(last);
            }
            if let Some(plan) = &plan
                && operation_plan::Entity::find_by_id(id.clone()).count(tx).await? == 0
            {
                let row = operation_plan::Model { operation_id: id.clone(), plan: plan.clone() };
                operation_plan::Entity::insert(row.into_active_model())
                    .exec_without_returning(tx)
                    .await?;
            }
            for entry in entries {
                if entry.seq != last + 1 {
                    continue;
                }
                let row = entry::Model {
                    operation_id: id.clone(),
                    seq: number("seq", entry.seq)?,
                    written_at: time_text(entry.at),
                    kind: json_text("journal entry", &entry.kind)?,
                };
                entry::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
                last = entry.seq;
            }
            Ok(last)
        })
    }

    /// Operations of a group that this site drives and that have not ended.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn driven_here(&self, group: GroupId) -> Result<Vec<OperationId>, StoreError> {
        let ids: Vec<String> = operation::Entity::find()
            .select_only()
            .column(operation::Column::Id)
            .filter(operation::Column::GroupId.eq(group.to_string()))
            .filter(operation::Column::Remote.eq(false))
            .filter(operation::Column::Status.is_not_in(TERMINAL))
            .into_tuple()
            .all(self.reader())
            .await?;
        ids.iter().map(|id| Row { table: "operations", id }.parse("id", id)).collect()
    }

    /// Ends an operation that the group has gone on without: `failed`, naming why. Whoever drives it is fenced off. False:
    /// it had ended already.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn end_overtaken(&self, id: OperationId, why: &str) -> Result<bool, StoreError> {
        use operation::Column;
        let now = time_text(self.now());
        transact!(self, tx => {
            let row = operation::Entity::find_by_id(id.to_string()).lock_exclusive().one(tx).await?;
            let Some(row) = row.filter(|row| !TERMINAL.contains(&row.status.as_str())) else {
                return Ok(false);
            };
            let at = Row { table: "operations", id: &row.id };
            let mut view: protector_workflow::View = at.json("view_json", &row.view_json)?;
            view.status = OperationStatus::Failed;
            view.error_message = Some(why.to_owned());
            operation::Entity::update_many()
                .col_expr(Column::Status, Expr::value(OperationStatus::Failed.as_str()))
                .col_expr(Column::ErrorMessage, Expr::value(why))
                .col_expr(Column::ViewJson, Expr::value(json_text("view", &view)?))
                .col_expr(Column::CompletedAt, Expr::value(now.clone()))
                .col_expr(Column::Fence, Expr::col(Column::Fence).add(1))
                .col_expr(Column::Owner, Expr::value(Option::<String>::None))
                .filter(Column::Id.eq(row.id.as_str()))
                .exec(tx)
                .await?;
            Ok(true)
        })
    }

    /// The peer has taken this operation over: from here on its record there counts, and no engine here may touch it.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn yield_operation(&self, id: OperationId) -> Result<(), StoreError> {
        use operation::Column;
        transact!(self, tx => {
            operation::Entity::update_many()
                .col_expr(Column::Remote, Expr::value(true))
                .col_expr(Column::Fence, Expr::col(Column::Fence).add(1))
                .col_expr(Column::Owner, Expr::value(Option::<String>::None))
                .filter(Column::Id.eq(id.to_string()))
                .filter(Column::Status.is_not_in(TERMINAL))
                .exec(tx)
                .await?;
            Ok(())
        })
    }

    /// Makes an operation that the dead peer was driving this site's own, under a new fence: from here on it is forced.
    /// Its entries are those that were streamed.
    ///
    /// # Errors
    /// `NotFound` without its plan; `Conflict::Ended`.
    pub async fn adopt_operation(
        &self,
        id: OperationId,
        params: &serde_json::Value,
    ) -> Result<OperationType, StoreError> {
        use operation::Column;
        let params = json_text("params", params)?;
        transact!(self, tx => {
            let text = id.to_string();
            let row = operation::Entity::find_by_id(text.clone()).lock_exclusive().one(tx).await?;
            let row = row.ok_or_else(|| StoreError::not_found("operation", id))?;
            let at = Row { table: "operations", id: &row.id };
            if TERMINAL.contains(&row.status.as_str()) {
                let status = at.parse("status", &row.status)?;
                return Err(Conflict::Ended { operation: id, status }.into());
            }
            if operation_plan::Entity::find_by_id(text.clone()).count(tx).await? == 0 {
                return Err(StoreError::not_found("plan of operation", id));
            }
            let last = number("seq", last_entry(tx, &text).await?)?;
            operation::Entity::update_many()
                .col_expr(Column::Remote, Expr::value(false))
                .col_expr(Column::Params, Expr::value(params.clone()))
                .col_expr(Column::JournalSeq, Expr::value(last))
                .col_expr(Column::Fence, Expr::col(Column::Fence).add(1))
                .col_expr(Column::Owner, Expr::value(Option::<String>::None))
                .filter(Column::Id.eq(text.as_str()))
                .exec(tx)
                .await?;
            at.parse("operation_type", &row.operation_type)
        })
    }
}

async fn last_entry<C: ConnectionTrait>(conn: &C, operation: &str) -> Result<u64, StoreError> {
    let last: Option<Option<i64>> = entry::Entity::find()
        .select_only()
        .column_as(entry::Column::Seq.max(), "last")
        .filter(entry::Column::OperationId.eq(operation))
        .into_tuple()
        .one(conn)
        .await?;
    let at = Row { table: "operation_entries", id: operation };
    last.flatten().map_or(Ok(0), |seq| at.count("seq", seq))
}

async fn history_is_due(
    tx: &sea_orm::DatabaseTransaction,
    group: GroupId,
) -> Result<(), StoreError> {
    use operation::Column;
    let rows: Vec<(String, bool, String)> = operation::Entity::find()
        .select_only()
        .columns([Column::Id, Column::Remote, Column::Status])
        .filter(Column::GroupId.eq(group.to_string()))
        .into_tuple()
        .all(tx)
        .await?;
    let ids = rows.iter().map(|(id, ..)| id.clone());
    stream::Entity::delete_many().filter(stream::Column::OperationId.is_in(ids)).exec(tx).await?;
    // One that the peer still drives is its own to tell.
    let theirs = rows
        .into_iter()
        .filter(|(_, remote, status)| *remote && TERMINAL.contains(&status.as_str()));
    for (operation_id, ..) in theirs {
        let row = stream::Model { operation_id, acked_seq: 0, status: String::new() };
        stream::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    }
    Ok(())
}
