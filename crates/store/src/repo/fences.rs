//! How servers were before they were fenced. Outside the document: the site that fenced hands its records to the peer,
//! and of two records of one member and site the one of the higher epoch holds; two of one epoch are merged.

use protector_types::{Fence, GroupId, MemberId, SiteId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};

use crate::{
    Store, StoreError,
    convert::{Row, json_text, number},
    db::transact,
    entity::fence,
    repo::groups,
};

fn read(row: fence::Model) -> Result<Fence, StoreError> {
    Row { table: "fences", id: &row.member_id }.json("body", &row.body)
}

/// Records fences; older ones than those known change nothing, those of the same epoch and server are merged. One that
/// found its server fenced already takes nobody's place: a restored database knows nothing of the fence that stands.
pub(crate) async fn put<C: ConnectionTrait>(
    tx: &C,
    group: GroupId,
    fences: &[Fence],
) -> Result<(), StoreError> {
    for record in fences {
        let key = (record.member_id.to_string(), record.site_id.to_string());
        let epoch = number("epoch", record.epoch)?;
        let known = fence::Entity::find_by_id(key.clone()).one(tx).await?.map(read).transpose()?;
        let same = known.as_ref().filter(|known| known.server_id == record.server_id);
        let is_empty = same.is_some_and(Fence::found_it_fenced) && !record.found_it_fenced();
        let is_older = known.as_ref().is_some_and(|known| known.epoch > record.epoch);
        if (is_older && !is_empty) || (same.is_some() && record.found_it_fenced()) {
            continue;
        }
        let known = known
            .filter(|known| known.epoch == record.epoch && known.server_id == record.server_id);
        let merged = match known {
            Some(known) => record.clone().merged(&known),
            None => record.clone(),
        };
        let row = fence::Model {
            member_id: key.0.clone(),
            site_id: key.1.clone(),
            group_id: group.to_string(),
            epoch,
            body: json_text("fence", &merged)?,
        };
        fence::Entity::delete_by_id(key).exec(tx).await?;
        fence::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Forgets the fences of members at a site.
pub(crate) async fn remove<C: ConnectionTrait>(
    tx: &C,
    site: SiteId,
    members: &[MemberId],
) -> Result<(), StoreError> {
    for member in members {
        fence::Entity::delete_by_id((member.to_string(), site.to_string())).exec(tx).await?;
    }
    Ok(())
}

impl Store {
    /// How the group's fenced servers were before, at both sites.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn fences(&self, group: GroupId) -> Result<Vec<Fence>, StoreError> {
        let rows = fence::Entity::find()
            .filter(fence::Column::GroupId.eq(group.to_string()))
            .order_by_asc(fence::Column::MemberId)
            .order_by_asc(fence::Column::SiteId)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read).collect()
    }

    /// Records fences. Of two records of one member and site the one of the higher epoch holds; two of one epoch are
    /// merged.
    ///
    /// # Errors
    /// `NotFound` for the group.
    pub async fn put_fences(&self, group: GroupId, fences: &[Fence]) -> Result<(), StoreError> {
        transact!(self, tx => {
            groups::lock(tx, group)
                .await?
                .ok_or_else(|| StoreError::not_found("protection group", group))?;
            put(tx, group, fences).await
        })
    }

    /// Records a fence unless one of the same server is known; gives the one that holds. For a quarantine: of two engines
    /// that begin at once, the first one has seen how the server was before.
    ///
    /// # Errors
    /// `NotFound` for the group.
    pub async fn add_fence(&self, group: GroupId, record: &Fence) -> Result<Fence, StoreError> {
        transact!(self, tx => {
            groups::lock(tx, group)
                .await?
                .ok_or_else(|| StoreError::not_found("protection group", group))?;
            let key = (record.member_id.to_string(), record.site_id.to_string());
            if let Some(row) = fence::Entity::find_by_id(key).one(tx).await? {
                let known = read(row)?;
                if known.server_id == record.server_id {
                    return Ok(known);
                }
            }
            put(tx, group, std::slice::from_ref(record)).await?;
            Ok(record.clone())
        })
    }

    /// Forgets the fences of members at a site.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn remove_fences(
        &self,
        site: SiteId,
        members: &[MemberId],
    ) -> Result<(), StoreError> {
        transact!(self, tx => { remove(tx, site, members).await })
    }
}
