//! Sites, and their passwords under seal.

use protector_types::{Secret, Site, SiteId, SiteStatus};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Set,
};

use crate::{
    Conflict, Page, PageRequest, Store, StoreError,
    convert::{Row, json_text, time_text, word},
    db::transact,
    entity::{site, site_secret, tenant_mapping_side},
    error::duplicate,
    page::Keys,
};

const KEYS: Keys<site::Entity> = Keys {
    what: "site",
    id: site::Column::Id,
    sort: &[
        ("name", site::Column::Name),
        ("created_at", site::Column::CreatedAt),
        ("id", site::Column::Id),
    ],
};

fn context(site: SiteId) -> String {
    format!("sites/{site}/password")
}

fn write(site: &Site) -> Result<site::Model, StoreError> {
    Ok(site::Model {
        id: site.id.to_string(),
        name: word("site name", &site.name)?,
        is_local: site.is_local,
        status: site.status.to_string(),
        created_at: time_text(site.created_at),
        body: json_text("site", site)?,
    })
}

fn read(row: site::Model) -> Result<Site, StoreError> {
    let at = Row { table: "sites", id: &row.id };
    let site: Site = at.json("body", &row.body)?;
    if site.id.to_string() != row.id {
        return Err(at.corrupt("body", "names another site"));
    }
    Ok(site)
}

impl Store {
    /// Registers a site with its password (or the secret of its application credential).
    ///
    /// # Errors
    /// `AlreadyExists` for the id or the name.
    pub async fn insert_site(&self, site: &Site, password: &Secret) -> Result<(), StoreError> {
        let row = write(site)?;
        let sealed = self.vault().seal(&context(site.id), password)?;
        transact!(self, tx => {
            if site::Entity::find_by_id(row.id.clone()).one(tx).await?.is_some() {
                return Err(StoreError::AlreadyExists { what: "site", id: row.id.clone() });
            }
            site::Entity::insert(row.clone().into_active_model())
                .exec_without_returning(tx)
                .await
                .map_err(duplicate("site", &site.name))?;
            put_secret(tx, site.id, &sealed).await
        })
    }

    /// One site.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn site(&self, id: SiteId) -> Result<Site, StoreError> {
        let row = site::Entity::find_by_id(id.to_string()).one(self.reader()).await?;
        read(row.ok_or_else(|| StoreError::not_found("site", id))?)
    }

    /// One site by its name.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn site_by_name(&self, name: &str) -> Result<Option<Site>, StoreError> {
        let found = site::Entity::find().filter(site::Column::Name.eq(name));
        found.one(self.reader()).await?.map(read).transpose()
    }

    /// The site that is marked as local, if one is registered.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn local_site(&self) -> Result<Option<Site>, StoreError> {
        let found = site::Entity::find().filter(site::Column::IsLocal.eq(true));
        found.one(self.reader()).await?.map(read).transpose()
    }

    /// Every site, by name. There are few.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn all_sites(&self) -> Result<Vec<Site>, StoreError> {
        let rows = site::Entity::find().order_by_asc(site::Column::Name).all(self.reader()).await?;
        rows.into_iter().map(read).collect()
    }

    /// A page of sites. Keys: `name`, `created_at`, `id`.
    ///
    /// # Errors
    /// `Invalid` for an unknown key or marker.
    pub async fn list_sites(&self, page: &PageRequest) -> Result<Page<Site>, StoreError> {
        let all = site::Entity::find();
        KEYS.page(self.reader(), all.clone(), all, page).await?.try_map(read)
    }

    /// Replaces a site's record, and its password if one is given.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` if another site has the name.
    pub async fn update_site(
        &self,
        site: &Site,
        password: Option<&Secret>,
    ) -> Result<(), StoreError> {
        let row = write(site)?;
        let sealed = password.map(|p| self.vault().seal(&context(site.id), p)).transpose()?;
        transact!(self, tx => {
            replace(tx, &row).await?;
            match &sealed {
                Some(sealed) => put_secret(tx, site.id, sealed).await,
                None => Ok(()),
            }
        })
    }

    /// Records what was last seen of a site.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn observe_site(
        &self,
        id: SiteId,
        status: SiteStatus,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        transact!(self, tx => {
            let row = site::Entity::find_by_id(id.to_string()).lock_exclusive().one(tx).await?;
            let mut site = read(row.ok_or_else(|| StoreError::not_found("site", id))?)?;
            site.status = status;
            site.status_reason = reason.map(str::to_owned);
            site.status_observed_at = Some(self.now());
            replace(tx, &write(&site)?).await
        })
    }

    /// Removes a site and its password.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while tenant mappings name it.
    pub async fn delete_site(&self, id: SiteId) -> Result<(), StoreError> {
        transact!(self, tx => {
            let mappings = tenant_mapping_side::Entity::find()
                .filter(tenant_mapping_side::Column::SiteId.eq(id.to_string()))
                .count(tx)
                .await?;
            if mappings > 0 {
                let by = format!("{mappings} tenant mappings");
                return Err(Conflict::InUse { what: "site", id: id.to_string(), by }.into());
            }
            let deleted = site::Entity::delete_by_id(id.to_string()).exec(tx).await?;
            if deleted.rows_affected == 0 {
                return Err(StoreError::not_found("site", id));
            }
            Ok(())
        })
    }

    /// The password of a site's service user.
    ///
    /// # Errors
    /// `NotFound`; `Vault` if it does not open.
    pub async fn site_password(&self, id: SiteId) -> Result<Secret, StoreError> {
        let row = site_secret::Entity::find_by_id(id.to_string()).one(self.reader()).await?;
        let row = row.ok_or_else(|| StoreError::not_found("password of site", id))?;
        Ok(self.vault().open(&context(id), &row.sealed)?)
    }
}

async fn replace<C: ConnectionTrait>(conn: &C, row: &site::Model) -> Result<(), StoreError> {
    let updated = site::Entity::update_many()
        .set(row.clone().into_active_model().reset_all())
        .filter(site::Column::Id.eq(row.id.as_str()))
        .exec(conn)
        .await
        .map_err(duplicate("site", &row.name))?;
    if updated.rows_affected == 0 {
        return Err(StoreError::not_found("site", &row.id));
    }
    Ok(())
}

async fn put_secret<C: ConnectionTrait>(
    conn: &C,
    site: SiteId,
    sealed: &str,
) -> Result<(), StoreError> {
    site_secret::Entity::delete_by_id(site.to_string()).exec(conn).await?;
    let row =
        site_secret::ActiveModel { site_id: Set(site.to_string()), sealed: Set(sealed.to_owned()) };
    site_secret::Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}
