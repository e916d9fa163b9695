//! Claims on groups across sites (3-workflows.md section 3): each site keeps one row per claimed group. An
//! observer decides by its own monotonic clock how long `renewals` has stood still.

use chrono::{DateTime, Utc};
use protector_types::{GroupId, OperationId, SiteId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter,
    QuerySelect, sea_query::Expr,
};

use crate::{
    Conflict, Store, StoreError,
    convert::{Row, number, time_text},
    db::transact,
    entity::claim,
    error::raced,
};

/// Who may work on a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupClaim {
    /// Group.
    pub group_id: GroupId,
    /// For which operation.
    pub operation_id: OperationId,
    /// The site that drives it.
    pub holder_site_id: SiteId,
    /// Grows with each renewal.
    pub renewals: u64,
    /// When it was taken, by this site's clock. For display only.
    pub claimed_at: DateTime<Utc>,
}

fn read(row: claim::Model) -> Result<GroupClaim, StoreError> {
    let at = Row { table: "claims", id: &row.group_id };
    Ok(GroupClaim {
        group_id: at.parse("group_id", &row.group_id)?,
        operation_id: at.parse("operation_id", &row.operation_id)?,
        holder_site_id: at.parse("holder_site_id", &row.holder_site_id)?,
        renewals: at.count("renewals", row.renewals)?,
        claimed_at: at.time("claimed_at", &row.claimed_at)?,
    })
}

impl Store {
    /// Takes the claim on a group, or finds that this operation has it already.
    ///
    /// # Errors
    /// `Conflict::Claimed` naming the holder.
    pub async fn take_group_claim(
        &self,
        group: GroupId,
        operation: OperationId,
        holder: SiteId,
    ) -> Result<GroupClaim, StoreError> {
        self.put_group_claim(group, operation, holder, None).await
    }

    /// Takes a claim over whose renewals have stood still since `seen` was read.
    ///
    /// # Errors
    /// `Conflict::Claimed` if it was renewed, or changed hands, in between.
    pub async fn take_over_group_claim(
        &self,
        seen: &GroupClaim,
        operation: OperationId,
        holder: SiteId,
    ) -> Result<GroupClaim, StoreError> {
        self.put_group_claim(seen.group_id, operation, holder, Some(seen)).await
    }

    /// Takes a claim from whoever has it: a forced operation needs nobody's leave at its own site.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn force_group_claim(
        &self,
        group: GroupId,
        operation: OperationId,
        holder: SiteId,
    ) -> Result<GroupClaim, StoreError> {
        loop {
            let seen = self.group_claim(group).await?;
            let taken = match &seen {
                Some(seen) => self.take_over_group_claim(seen, operation, holder).await,
                None => self.take_group_claim(group, operation, holder).await,
            };
            match taken {
                Err(StoreError::Conflict(Conflict::Claimed { .. })) => {}
                other => return other,
            }
        }
    }

    /// All claims that this site knows.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn group_claims(&self) -> Result<Vec<GroupClaim>, StoreError> {
        let rows = claim::Entity::find().all(self.reader()).await?;
        rows.into_iter().map(read).collect()
    }

    /// Removes a claim that nobody renewed since `seen` was read. False: it was renewed, or changed hands.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn drop_dead_claim(&self, seen: &GroupClaim) -> Result<bool, StoreError> {
        let renewals = number("renewals", seen.renewals)?;
        transact!(self, tx => {
            let dropped = claim::Entity::delete_many()
                .filter(claim::Column::GroupId.eq(seen.group_id.to_string()))
                .filter(claim::Column::OperationId.eq(seen.operation_id.to_string()))
                .filter(claim::Column::Renewals.eq(renewals))
                .exec(tx)
                .await?;
            Ok(dropped.rows_affected == 1)
        })
    }

    /// Renews a claim. False: it is somebody else's, or gone.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn renew_group_claim(
        &self,
        group: GroupId,
        operation: OperationId,
    ) -> Result<bool, StoreError> {
        transact!(self, tx => {
            let updated = claim::Entity::update_many()
                .col_expr(claim::Column::Renewals, Expr::col(claim::Column::Renewals).add(1))
                .filter(claim::Column::GroupId.eq(group.to_string()))
                .filter(claim::Column::OperationId.eq(operation.to_string()))
                .exec(tx)
                .await?;
            Ok(updated.rows_affected == 1)
        })
    }

    /// Gives a claim back. Nothing happens if it is not this operation's.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn release_group_claim(
        &self,
        group: GroupId,
        operation: OperationId,
    ) -> Result<(), StoreError> {
        transact!(self, tx => {
            claim::Entity::delete_many()
                .filter(claim::Column::GroupId.eq(group.to_string()))
                .filter(claim::Column::OperationId.eq(operation.to_string()))
                .exec(tx)
                .await?;
            Ok(())
        })
    }

    /// The claim on a group as this site knows it.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn group_claim(&self, group: GroupId) -> Result<Option<GroupClaim>, StoreError> {
        let row = claim::Entity::find_by_id(group.to_string()).one(self.reader()).await?;
        row.map(read).transpose()
    }

    async fn put_group_claim(
        &self,
        group: GroupId,
        operation: OperationId,
        holder: SiteId,
        over: Option<&GroupClaim>,
    ) -> Result<GroupClaim, StoreError> {
        let claimed_at = self.now();
        transact!(self, tx => {
            let held = claim::Entity::find_by_id(group.to_string()).lock_exclusive().one(tx).await?;
            let mut renewals = 0;
            if let Some(row) = held {
                let held = read(row)?;
                if held.operation_id == operation && held.holder_site_id == holder {
                    return Ok(held);
                }
                if over != Some(&held) {
                    let (operation, holder) = (held.operation_id, held.holder_site_id);
                    return Err(Conflict::Claimed { group, operation, holder }.into());
                }
                // Goes on counting, so that an old look never fits again.
                renewals = held.renewals + 1;
                claim::Entity::delete_by_id(group.to_string()).exec(tx).await?;
            }
            let claim = GroupClaim {
                group_id: group,
                operation_id: operation,
                holder_site_id: holder,
                renewals,
                claimed_at,
            };
            insert(tx, &claim).await?;
            Ok(claim)
        })
    }
}

async fn insert<C: ConnectionTrait>(tx: &C, claim: &GroupClaim) -> Result<(), StoreError> {
    let row = claim::Model {
        group_id: claim.group_id.to_string(),
        operation_id: claim.operation_id.to_string(),
        holder_site_id: claim.holder_site_id.to_string(),
        renewals: number("renewals", claim.renewals)?,
        claimed_at: time_text(claim.claimed_at),
    };
    claim::Entity::insert(row.into_active_model())
        .exec_without_returning(tx)
        .await
        .map_err(raced)?;
    Ok(())
}
