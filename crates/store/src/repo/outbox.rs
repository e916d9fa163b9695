//! Which group documents the peer has not confirmed yet.

use chrono::{DateTime, Utc};
use protector_types::{Epoch, GroupId, ProtectionGroup};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use crate::{
    Store, StoreError,
    convert::{Row, clean, number, time_text},
    db::transact,
    entity::outbox,
};

/// A document on its way to the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Group.
    pub group_id: GroupId,
    /// Version here.
    pub version: u64,
    /// Epoch here.
    pub epoch: u64,
    /// When the last change was queued.
    pub queued_at: DateTime<Utc>,
    /// The last version that the peer confirmed.
    pub pushed_version: Option<u64>,
    /// When that was.
    pub pushed_at: Option<DateTime<Utc>>,
    /// Failed pushes since the last confirmed one.
    pub attempts: u64,
    /// Why the last push failed.
    pub last_error: Option<String>,
}

fn read(row: outbox::Model) -> Result<OutboxRow, StoreError> {
    let at = Row { table: "outbox", id: &row.group_id };
    Ok(OutboxRow {
        group_id: at.parse("group_id", &row.group_id)?,
        version: at.count("version", row.version)?,
        epoch: at.count("epoch", row.epoch)?,
        queued_at: at.time("queued_at", &row.queued_at)?,
        pushed_version: row.pushed_version.map(|v| at.count("pushed_version", v)).transpose()?,
        pushed_at: at.time_some("pushed_at", row.pushed_at.as_deref())?,
        attempts: at.count("attempts", row.attempts)?,
        last_error: row.last_error,
    })
}

/// Queues the group as it is. Its row is locked by the caller, so nobody else writes here.
pub(crate) async fn queue<C: ConnectionTrait>(
    tx: &C,
    group: &ProtectionGroup,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let version = number("version", group.version)?;
    let epoch = number("epoch", group.epoch.number)?;
    let updated = outbox::Entity::update_many()
        .col_expr(outbox::Column::Version, Expr::value(version))
        .col_expr(outbox::Column::Epoch, Expr::value(epoch))
        .col_expr(outbox::Column::QueuedAt, Expr::value(time_text(now)))
        .filter(outbox::Column::GroupId.eq(group.id.to_string()))
        .exec(tx)
        .await?;
    if updated.rows_affected == 0 {
        let row = outbox::Model {
            group_id: group.id.to_string(),
            version,
            epoch,
            queued_at: time_text(now),
            pushed_version: None,
            pushed_at: None,
            attempts: 0,
            last_error: None,
        };
        outbox::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// The peer has this very document: it came from there.
pub(crate) async fn in_step<C: ConnectionTrait>(
    tx: &C,
    group: &ProtectionGroup,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    queue(tx, group, now).await?;
    let version = number("version", group.version)?;
    let row = outbox::Model {
        group_id: group.id.to_string(),
        version,
        epoch: number("epoch", group.epoch.number)?,
        queued_at: time_text(now),
        pushed_version: Some(version),
        pushed_at: Some(time_text(now)),
        attempts: 0,
        last_error: None,
    };
    outbox::Entity::update_many()
        .set(row.into_active_model().reset_all())
        .filter(outbox::Column::GroupId.eq(group.id.to_string()))
        .exec(tx)
        .await?;
    Ok(())
}

impl Store {
    /// Documents that the peer has not confirmed in their present version, oldest change first.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn outbox_due(&self, limit: u64) -> Result<Vec<OutboxRow>, StoreError> {
        let unconfirmed = Condition::any()
            .add(outbox::Column::PushedVersion.is_null())
            .add(Expr::col(outbox::Column::PushedVersion).ne(Expr::col(outbox::Column::Version)));
        let rows = outbox::Entity::find()
            .filter(unconfirmed)
            .order_by_asc(outbox::Column::QueuedAt)
            .order_by_asc(outbox::Column::GroupId)
            .limit(limit)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read).collect()
    }

    /// What is known of the last push of a group.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn outbox_row(&self, group: GroupId) -> Result<Option<OutboxRow>, StoreError> {
        let row = outbox::Entity::find_by_id(group.to_string()).one(self.reader()).await?;
        row.map(read).transpose()
    }

    /// The peer confirmed this version, in this epoch: both sites hold it. A later change stays due.
    ///
    /// # Errors
    /// `NotFound` for the group; `Unavailable`.
    pub async fn outbox_confirmed(
        &self,
        group: GroupId,
        version: u64,
        epoch: Epoch,
    ) -> Result<(), StoreError> {
        self.change_site_facts(group, |facts| {
            if facts.agreed_epoch.is_none_or(|known| known.number <= epoch.number) {
                facts.agreed_epoch = Some(epoch);
            }
        })
        .await?;
        self.outbox_pushed(group, version).await
    }

    /// The peer confirmed this version. A later change stays due.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn outbox_pushed(&self, group: GroupId, version: u64) -> Result<(), StoreError> {
        let pushed = number("version", version)?;
        let now = time_text(self.now());
        transact!(self, tx => {
            outbox::Entity::update_many()
                .col_expr(outbox::Column::PushedVersion, Expr::value(pushed))
                .col_expr(outbox::Column::PushedAt, Expr::value(now.clone()))
                .col_expr(outbox::Column::Attempts, Expr::value(0i64))
                .col_expr(outbox::Column::LastError, Expr::value(Option::<String>::None))
                .filter(outbox::Column::GroupId.eq(group.to_string()))
                // An answer that comes late does not undo a newer one.
                .filter(Condition::any()
                    .add(outbox::Column::PushedVersion.is_null())
                    .add(outbox::Column::PushedVersion.lte(pushed)))
                .exec(tx)
                .await?;
            Ok(())
        })
    }

    /// A push failed: counted, and kept for `sync-status`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn outbox_failed(&self, group: GroupId, reason: &str) -> Result<(), StoreError> {
        transact!(self, tx => {
            outbox::Entity::update_many()
                .col_expr(outbox::Column::Attempts, Expr::col(outbox::Column::Attempts).add(1))
                .col_expr(outbox::Column::LastError, Expr::value(clean(reason)))
                .filter(outbox::Column::GroupId.eq(group.to_string()))
                .exec(tx)
                .await?;
            Ok(())
        })
    }
}
