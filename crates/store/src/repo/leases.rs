//! Which engine drives which operation: claim, heartbeat, release.

use protector_types::{OperationId, OperationStatus};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    UpdateMany, sea_query::Expr,
};

use crate::{
    Store, StoreError,
    convert::{Row, number},
    db::transact,
    entity::operation::{Column, Entity},
    repo::operations::TERMINAL,
};

/// An operation that an engine may have to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimable {
    /// Operation.
    pub id: OperationId,
    /// Its status.
    pub status: OperationStatus,
    /// The engine that has it; `None`: free at once.
    pub owner: Option<String>,
    /// The owner's heartbeat. If it stands still for long enough by the observer's own monotonic clock, the
    /// owner is dead.
    pub heartbeat: u64,
}

impl Store {
    /// Operations that have not ended, oldest first: without an owner, or with one whose heartbeat an observer
    /// should watch. Parked ones only when a person has asked for something.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn claimable(&self, limit: u64) -> Result<Vec<Claimable>, StoreError> {
        let live = OperationStatus::ALL.iter().filter(|status| !status.is_terminal());
        let parked = OperationStatus::NeedsAttention.as_str();
        let wanted = Condition::any()
            .add(Column::Status.ne(parked))
            .add(Column::Owner.is_not_null())
            .add(Column::Control.is_not_null());
        let rows: Vec<(String, String, Option<String>, i64)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::Status, Column::Owner, Column::Heartbeat])
            .filter(Column::Status.is_in(live.map(|status| status.as_str())))
            .filter(Column::Remote.eq(false))
            .filter(wanted)
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await?;
        rows.into_iter()
            .map(|(id, status, owner, heartbeat)| {
                let at = Row { table: "operations", id: &id };
                Ok(Claimable {
                    id: at.parse("id", &id)?,
                    status: at.parse("status", &status)?,
                    heartbeat: at.count("heartbeat", heartbeat)?,
                    owner,
                })
            })
            .collect()
    }

    /// Takes an operation if owner and heartbeat are still those that were seen. `Some(fence)`: it is ours,
    /// and every earlier fence is refused from now on. `None`: somebody else was faster, or the owner lives.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn claim(
        &self,
        id: OperationId,
        engine: &str,
        seen_owner: Option<&str>,
        seen_heartbeat: u64,
    ) -> Result<Option<u64>, StoreError> {
        let seen = number("heartbeat", seen_heartbeat)?;
        transact!(self, tx => {
            let owner = match seen_owner {
                Some(owner) => Column::Owner.eq(owner),
                None => Column::Owner.is_null(),
            };
            let updated = Entity::update_many()
                .col_expr(Column::Owner, Expr::value(engine))
                .col_expr(Column::Fence, Expr::col(Column::Fence).add(1))
                .col_expr(Column::Heartbeat, Expr::col(Column::Heartbeat).add(1))
                .filter(Column::Id.eq(id.to_string()))
                .filter(Column::Heartbeat.eq(seen))
                .filter(owner)
                .filter(Column::Remote.eq(false))
                .filter(Column::Status.is_not_in(TERMINAL))
                .exec(tx)
                .await?;
            if updated.rows_affected == 0 {
                return Ok(None);
            }
            let fence: Option<i64> = Entity::find_by_id(id.to_string())
                .select_only()
                .column(Column::Fence)
                .into_tuple()
                .one(tx)
                .await?;
            let text = id.to_string();
            let at = Row { table: "operations", id: &text };
            fence.map(|fence| at.count("fence", fence)).transpose()
        })
    }

    /// Shows that the owner lives. False: the operation is not ours any more, stop at once.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn heartbeat(
        &self,
        id: OperationId,
        engine: &str,
        fence: u64,
    ) -> Result<bool, StoreError> {
        let beat = owned(id, engine, fence)?
            .col_expr(Column::Heartbeat, Expr::col(Column::Heartbeat).add(1));
        self.hit(beat).await
    }

    /// Lets go, so that another engine may take the operation at once. False: it was not ours.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn release(
        &self,
        id: OperationId,
        engine: &str,
        fence: u64,
    ) -> Result<bool, StoreError> {
        let release = owned(id, engine, fence)?
            .col_expr(Column::Owner, Expr::value(Option::<String>::None))
            .col_expr(Column::Heartbeat, Expr::col(Column::Heartbeat).add(1));
        self.hit(release).await
    }

    /// Runs a conditional update of one row; true if the condition held.
    async fn hit(&self, update: UpdateMany<Entity>) -> Result<bool, StoreError> {
        transact!(self, tx => {
            Ok(update.clone().exec(tx).await?.rows_affected == 1)
        })
    }
}

fn owned(id: OperationId, engine: &str, fence: u64) -> Result<UpdateMany<Entity>, StoreError> {
    Ok(Entity::update_many()
        .filter(Column::Id.eq(id.to_string()))
        .filter(Column::Owner.eq(engine))
        .filter(Column::Fence.eq(number("fence", fence)?)))
}
