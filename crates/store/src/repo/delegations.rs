//! Delegations of tenants' users, per site, project and user; which trust it is stands under seal.

use protector_types::{Delegation, DelegationState, ProjectId, Secret, SiteId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};

use crate::{
    Store, StoreError,
    convert::{Row, clean, time_text, word},
    db::transact,
    entity::delegation,
};

fn context(site: &str, project: &str, user: &str) -> String {
    format!("delegations/{site}:{project}:{user}/trust")
}

fn read(row: &delegation::Model) -> Result<Delegation, StoreError> {
    let at = Row { table: "delegations", id: &row.user_id };
    Ok(Delegation {
        site_id: at.parse("site_id", &row.site_id)?,
        project_id: ProjectId(row.project_id.clone()),
        user_id: row.user_id.clone(),
        user_name: row.user_name.clone(),
        state: DelegationState::from_word(&row.state)
            .ok_or_else(|| at.corrupt("state", format!("{:?} is no state", row.state)))?,
        reason: row.reason.clone(),
        used_at: at.time("used_at", &row.used_at)?,
        observed_at: at.time("observed_at", &row.observed_at)?,
    })
}

impl Store {
    /// Records a user's delegation in place of what was known; `trust`: which one, if there is one.
    ///
    /// # Errors
    /// `Vault`; `Invalid` for ids that no column holds; `Unavailable`, also while the site is not registered.
    pub async fn put_delegation(
        &self,
        record: &Delegation,
        trust: Option<&Secret>,
    ) -> Result<(), StoreError> {
        let site = record.site_id.to_string();
        let place = context(&site, record.project_id.as_str(), &record.user_id);
        let row = delegation::Model {
            project_id: word("project id", record.project_id.as_str())?,
            user_id: word("user id", &record.user_id)?,
            user_name: word("user name", &record.user_name)?,
            state: record.state.as_str().to_owned(),
            reason: record.reason.as_deref().map(clean),
            sealed: trust.map(|trust| self.vault().seal(&place, trust)).transpose()?,
            used_at: time_text(record.used_at),
            observed_at: time_text(record.observed_at),
            site_id: site,
        };
        let key = (row.site_id.clone(), row.project_id.clone(), row.user_id.clone());
        transact!(self, tx => {
            delegation::Entity::delete_by_id(key.clone()).exec(tx).await?;
            delegation::Entity::insert(row.clone().into_active_model())
                .exec_without_returning(tx)
                .await?;
            Ok(())
        })
    }

    /// What is known of a user's delegation, with the trust if there is one.
    ///
    /// # Errors
    /// `Vault` if it does not open; `Unavailable`, `Corrupt`.
    pub async fn delegation(
        &self,
        site: SiteId,
        project: &ProjectId,
        user: &str,
    ) -> Result<Option<(Delegation, Option<Secret>)>, StoreError> {
        let key = (site.to_string(), project.to_string(), user.to_owned());
        match delegation::Entity::find_by_id(key).one(self.reader()).await? {
            Some(row) => Ok(Some((read(&row)?, self.trust_of(&row)?))),
            None => Ok(None),
        }
    }

    /// All that is known in a project at a site, with the trusts; whoever called last comes first.
    ///
    /// # Errors
    /// `Vault` if one does not open; `Unavailable`, `Corrupt`.
    pub async fn delegations(
        &self,
        site: SiteId,
        project: &ProjectId,
    ) -> Result<Vec<(Delegation, Option<Secret>)>, StoreError> {
        let rows = delegation::Entity::find()
            .filter(delegation::Column::SiteId.eq(site.to_string()))
            .filter(delegation::Column::ProjectId.eq(project.as_str()))
            .order_by_desc(delegation::Column::UsedAt)
            .order_by_asc(delegation::Column::UserId)
            .all(self.reader())
            .await?;
        rows.iter().map(|row| Ok((read(row)?, self.trust_of(row)?))).collect()
    }

    fn trust_of(&self, row: &delegation::Model) -> Result<Option<Secret>, StoreError> {
        let Some(sealed) = &row.sealed else { return Ok(None) };
        let place = context(&row.site_id, &row.project_id, &row.user_id);
        Ok(Some(self.vault().open(&place, sealed)?))
    }

    /// The user called again.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn delegation_used(
        &self,
        site: SiteId,
        project: &ProjectId,
        user: &str,
    ) -> Result<(), StoreError> {
        let row =
            delegation::ActiveModel { used_at: Set(time_text(self.now())), ..Default::default() };
        transact!(self, tx => {
            delegation::Entity::update_many()
                .set(row.clone())
                .filter(delegation::Column::SiteId.eq(site.to_string()))
                .filter(delegation::Column::ProjectId.eq(project.as_str()))
                .filter(delegation::Column::UserId.eq(user))
                .exec(tx)
                .await?;
            Ok(())
        })
    }

    /// Keystone no longer honours this trust. Nothing happens if another one stands there meanwhile.
    ///
    /// # Errors
    /// `Vault`, `Unavailable`, `Corrupt`.
    pub async fn end_delegation(
        &self,
        record: &Delegation,
        trust: &Secret,
        reason: &str,
    ) -> Result<(), StoreError> {
        let known = self.delegation(record.site_id, &record.project_id, &record.user_id).await?;
        let Some((known, Some(stored))) = known else { return Ok(()) };
        if stored.expose() != trust.expose() || known.state != DelegationState::InForce {
            return Ok(());
        }
        let ended = Delegation {
            state: DelegationState::Ended,
            reason: Some(reason.to_owned()),
            observed_at: self.now(),
            ..known
        };
        self.put_delegation(&ended, None).await
    }

    /// Forgets a user's delegation.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn remove_delegation(
        &self,
        site: SiteId,
        project: &ProjectId,
        user: &str,
    ) -> Result<(), StoreError> {
        let key = (site.to_string(), project.to_string(), user.to_owned());
        transact!(self, tx => {
            delegation::Entity::delete_by_id(key.clone()).exec(tx).await?;
            Ok(())
        })
    }
}
