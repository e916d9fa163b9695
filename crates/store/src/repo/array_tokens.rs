//! API tokens of arrays, per group and site, under seal. Not part of the document.

use protector_types::{GroupId, Secret, SiteId};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::{Store, StoreError, convert::Row, db::transact, entity::array_token, repo::groups};

fn context(group: GroupId, site: SiteId) -> String {
    format!("array_tokens/{group}:{site}/token")
}

impl Store {
    /// Stores or replaces the token for the array of a group's site.
    ///
    /// # Errors
    /// `NotFound` for the group; `Vault`.
    pub async fn set_array_token(
        &self,
        group: GroupId,
        site: SiteId,
        token: &Secret,
    ) -> Result<(), StoreError> {
        let row = array_token::Model {
            group_id: group.to_string(),
            site_id: site.to_string(),
            sealed: self.vault().seal(&context(group, site), token)?,
        };
        transact!(self, tx => {
            groups::lock(tx, group)
                .await?
                .ok_or_else(|| StoreError::not_found("protection group", group))?;
            array_token::Entity::delete_by_id((row.group_id.clone(), row.site_id.clone()))
                .exec(tx)
                .await?;
            array_token::Entity::insert(row.clone().into_active_model())
                .exec_without_returning(tx)
                .await?;
            Ok(())
        })
    }

    /// The token for the array of a group's site, if it was given.
    ///
    /// # Errors
    /// `Vault` if it does not open.
    pub async fn array_token(
        &self,
        group: GroupId,
        site: SiteId,
    ) -> Result<Option<Secret>, StoreError> {
        let key = (group.to_string(), site.to_string());
        let Some(row) = array_token::Entity::find_by_id(key).one(self.reader()).await? else {
            return Ok(None);
        };
        Ok(Some(self.vault().open(&context(group, site), &row.sealed)?))
    }

    /// The sites for whose arrays a token is stored.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn array_token_sites(&self, group: GroupId) -> Result<Vec<SiteId>, StoreError> {
        let rows = array_token::Entity::find()
            .filter(array_token::Column::GroupId.eq(group.to_string()))
            .all(self.reader())
            .await?;
        rows.iter()
            .map(|row| {
                Row { table: "array_tokens", id: &row.group_id }.parse("site_id", &row.site_id)
            })
            .collect()
    }
}
