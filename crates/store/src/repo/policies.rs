//! Replication policies, without tokens.

use protector_types::{GroupId, ReplicationPolicy};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::{
    Scope, Store, StoreError,
    convert::{Row, json_text, time_text},
    db::transact,
    entity::policy,
    repo::groups,
};

/// Inserts a policy where none is.
pub(crate) async fn add<C: ConnectionTrait>(
    tx: &C,
    group: GroupId,
    policy: &ReplicationPolicy,
) -> Result<(), StoreError> {
    let row = policy::Model {
        group_id: group.to_string(),
        body: json_text("policy", policy)?,
        updated_at: time_text(policy.updated_at),
    };
    policy::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

fn read(row: policy::Model) -> Result<ReplicationPolicy, StoreError> {
    Row { table: "policies", id: &row.group_id }.json("body", &row.body)
}

/// A group's policy.
pub(crate) async fn find<C: ConnectionTrait>(
    conn: &C,
    group: GroupId,
) -> Result<Option<ReplicationPolicy>, StoreError> {
    let row = policy::Entity::find_by_id(group.to_string()).one(conn).await?;
    row.map(read).transpose()
}

impl Store {
    /// Sets or replaces a group's policy; gives the group's new version.
    ///
    /// # Errors
    /// `NotFound` for the group; `Conflict` for a stale version.
    pub async fn set_policy(
        &self,
        group: GroupId,
        policy: &ReplicationPolicy,
        expected: u64,
    ) -> Result<u64, StoreError> {
        transact!(self, tx => {
            let mut stored = groups::lock_at(tx, group, expected).await?;
            policy::Entity::delete_by_id(group.to_string()).exec(tx).await?;
            add(tx, group, policy).await?;
            self.save_group(tx, &mut stored).await?;
            Ok(stored.version)
        })
    }

    /// A group's policy, if it has one.
    ///
    /// # Errors
    /// `NotFound` for the group.
    pub async fn policy(
        &self,
        scope: &Scope,
        group: GroupId,
    ) -> Result<Option<ReplicationPolicy>, StoreError> {
        groups::find(self.reader(), scope, group).await?;
        find(self.reader(), group).await
    }

    /// The policies of several groups, for a page of groups. Groups that the scope may not see give none.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn policies_of(
        &self,
        scope: &Scope,
        groups: &[GroupId],
    ) -> Result<Vec<(GroupId, ReplicationPolicy)>, StoreError> {
        let visible = self.only_visible(scope, groups).await?;
        let rows = policy::Entity::find()
            .filter(policy::Column::GroupId.is_in(visible.iter().map(ToString::to_string)))
            .all(self.reader())
            .await?;
        rows.into_iter()
            .map(|row| {
                let id = Row { table: "policies", id: &row.group_id }
                    .parse("group_id", &row.group_id)?;
                Ok((id, read(row)?))
            })
            .collect()
    }
}
