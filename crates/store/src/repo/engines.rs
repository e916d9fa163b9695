//! Engines that have shown a sign of life, for health.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, QueryOrder, sea_query::Expr,
};

use crate::{
    Store, StoreError,
    convert::{Row, time_text, word},
    db::transact,
    entity::engine,
    error::raced,
};

/// One engine process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineRow {
    /// Made by the process at its start.
    pub id: String,
    /// Where it runs.
    pub hostname: String,
    /// When it started, by its own clock.
    pub started_at: DateTime<Utc>,
    /// Beats so far. Compare it with an earlier look, never times of two hosts.
    pub heartbeat: u64,
    /// Time of the last beat, by its own clock. For display only.
    pub seen_at: DateTime<Utc>,
}

fn read(row: engine::Model) -> Result<EngineRow, StoreError> {
    let at = Row { table: "engines", id: &row.id };
    Ok(EngineRow {
        started_at: at.time("started_at", &row.started_at)?,
        heartbeat: at.count("heartbeat", row.heartbeat)?,
        seen_at: at.time("seen_at", &row.seen_at)?,
        hostname: row.hostname,
        id: row.id,
    })
}

impl Store {
    /// An engine starts. The same id again counts as a restart.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn engine_started(&self, id: &str, hostname: &str) -> Result<(), StoreError> {
        let now = time_text(self.now());
        let row = engine::Model {
            id: word("engine id", id)?,
            hostname: word("host name", hostname)?,
            started_at: now.clone(),
            heartbeat: 0,
            seen_at: now,
        };
        transact!(self, tx => {
            engine::Entity::delete_by_id(id).exec(tx).await?;
            engine::Entity::insert(row.clone().into_active_model())
                .exec_without_returning(tx)
                .await
                .map_err(raced)?;
            Ok(())
        })
    }

    /// An engine lives. False: its row is gone, and it should start anew.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn engine_heartbeat(&self, id: &str) -> Result<bool, StoreError> {
        let now = time_text(self.now());
        transact!(self, tx => {
            let updated = engine::Entity::update_many()
                .col_expr(engine::Column::Heartbeat, Expr::col(engine::Column::Heartbeat).add(1))
                .col_expr(engine::Column::SeenAt, Expr::value(now.clone()))
                .filter(engine::Column::Id.eq(id))
                .exec(tx)
                .await?;
            Ok(updated.rows_affected == 1)
        })
    }

    /// An engine has ended, or has been silent for so long that nobody asks any more.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn engine_stopped(&self, id: &str) -> Result<(), StoreError> {
        transact!(self, tx => {
            engine::Entity::delete_by_id(id).exec(tx).await?;
            Ok(())
        })
    }

    /// Every engine that has not said that it ends, by id.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn engines(&self) -> Result<Vec<EngineRow>, StoreError> {
        let rows =
            engine::Entity::find().order_by_asc(engine::Column::Id).all(self.reader()).await?;
        rows.into_iter().map(read).collect()
    }
}
