//! What this site knows of a group for itself: outside the document, so that nothing of it travels with a push.

use protector_types::{GroupId, Quarantine, SiteFacts};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::Expr,
};

use crate::{
    Store, StoreError,
    convert::{Row, clean, json_text},
    db::transact,
    entity::{group, site_fact},
    repo::groups,
};

fn read(row: &site_fact::Model) -> Result<SiteFacts, StoreError> {
    Row { table: "site_facts", id: &row.group_id }.json("body", &row.body)
}

/// The facts, inside a transaction.
pub(crate) async fn find<C: ConnectionTrait>(
    conn: &C,
    group: GroupId,
) -> Result<SiteFacts, StoreError> {
    let row = site_fact::Entity::find_by_id(group.to_string()).one(conn).await?;
    row.as_ref().map_or_else(|| Ok(SiteFacts::default()), read)
}

/// Writes the facts, and what the group's own row says of a quarantine. The group's row is locked by the caller.
pub(crate) async fn put<C: ConnectionTrait>(
    tx: &C,
    group: GroupId,
    facts: &SiteFacts,
) -> Result<(), StoreError> {
    let id = group.to_string();
    let row = site_fact::Model { group_id: id.clone(), body: json_text("site facts", facts)? };
    site_fact::Entity::delete_by_id(id.clone()).exec(tx).await?;
    site_fact::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    let words = facts.quarantine.as_ref().map(|quarantine| clean(&quarantine.to_string()));
    group::Entity::update_many()
        .col_expr(group::Column::Quarantine, Expr::value(words))
        .filter(group::Column::Id.eq(id))
        .exec(tx)
        .await?;
    Ok(())
}

impl Store {
    /// What this site knows of a group for itself.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn site_facts(&self, group: GroupId) -> Result<SiteFacts, StoreError> {
        find(self.reader(), group).await
    }

    /// Changes what this site knows of a group; gives what `change` gives. The document and its version stay.
    ///
    /// # Errors
    /// `NotFound` for the group.
    pub async fn change_site_facts<T: Send>(
        &self,
        group: GroupId,
        change: impl Fn(&mut SiteFacts) -> T + Send + Sync,
    ) -> Result<T, StoreError> {
        transact!(self, tx => {
            groups::lock(tx, group)
                .await?
                .ok_or_else(|| StoreError::not_found("protection group", group))?;
            let mut facts = find(tx, group).await?;
            let before = facts.clone();
            let outcome = change(&mut facts);
            if facts != before {
                put(tx, group, &facts).await?;
            }
            Ok(outcome)
        })
    }

    /// The quarantined groups, with the reason.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn quarantined(&self) -> Result<Vec<(GroupId, Quarantine)>, StoreError> {
        let ids: Vec<String> = group::Entity::find()
            .select_only()
            .column(group::Column::Id)
            .filter(group::Column::Quarantine.is_not_null())
            .into_tuple()
            .all(self.reader())
            .await?;
        let mut found = Vec::new();
        for row in site_fact::Entity::find()
            .filter(site_fact::Column::GroupId.is_in(ids))
            .all(self.reader())
            .await?
        {
            let id =
                Row { table: "site_facts", id: &row.group_id }.parse("group_id", &row.group_id)?;
            if let Some(quarantine) = read(&row)?.quarantine {
                found.push((id, quarantine));
            }
        }
        Ok(found)
    }
}
