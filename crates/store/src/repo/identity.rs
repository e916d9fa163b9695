//! Who we are, and how often documents were changed here.

use protector_types::SiteId;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, Set,
    sea_query::Expr,
};

use crate::{
    Conflict, Store, StoreError,
    convert::Row,
    db::transact,
    entity::{group, instance},
    error::raced,
};

/// The one row's key.
const ONLY: i32 = 1;

impl Store {
    /// The id of the site that this Protector runs in: made at the first call, then always the same.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn own_site_id(&self) -> Result<SiteId, StoreError> {
        if let Some(site) = self.known_site() {
            return Ok(site);
        }
        let site = match read(self.reader()).await? {
            Some(site) => site,
            None => self.first_site_id(SiteId::generate()).await?,
        };
        self.remember_site(site);
        Ok(site)
    }

    /// Gives this Protector the id that its site has (a site restored from nothing). The same id again is
    /// accepted at any time.
    ///
    /// # Errors
    /// `Conflict` once there are groups under another id.
    pub async fn set_own_site_id(&self, site: SiteId) -> Result<(), StoreError> {
        self.first_site_id(site).await?;
        let outcome: Result<(), StoreError> = transact!(self, tx => {
            if read(tx).await? == Some(site) {
                return Ok(());
            }
            let groups = group::Entity::find().count(tx).await?;
            if groups > 0 {
                let (what, by) = ("site id", format!("{groups} protection groups"));
                return Err(Conflict::InUse { what, id: site.to_string(), by }.into());
            }
            instance::Entity::update_many()
                .col_expr(instance::Column::SiteId, Expr::value(site.to_string()))
                .filter(instance::Column::Id.eq(ONLY))
                .exec(tx)
                .await?;
            Ok(())
        });
        outcome?;
        self.remember_site(site);
        Ok(())
    }

    /// How many changes of documents this database has seen. A number lower than one seen before means
    /// that the database was restored from an old copy.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn write_counter(&self) -> Result<u64, StoreError> {
        let row = instance::Entity::find_by_id(ONLY).one(self.reader()).await?;
        row.map_or(Ok(0), |row| ROW.count("writes", row.writes))
    }

    /// The id, inside a transaction (which may hold the only connection).
    pub(crate) async fn site_in<C: ConnectionTrait>(&self, tx: &C) -> Result<SiteId, StoreError> {
        if let Some(site) = self.known_site() {
            return Ok(site);
        }
        let site =
            read(tx).await?.ok_or_else(|| StoreError::not_found("row of table", "instance"))?;
        self.remember_site(site);
        Ok(site)
    }

    /// The stored id; `candidate` if there was none yet.
    async fn first_site_id(&self, candidate: SiteId) -> Result<SiteId, StoreError> {
        let row = instance::ActiveModel {
            id: Set(ONLY),
            site_id: Set(candidate.to_string()),
            writes: Set(0),
        };
        transact!(self, tx => {
            if let Some(site) = read(tx).await? {
                return Ok(site);
            }
            instance::Entity::insert(row.clone()).exec_without_returning(tx).await.map_err(raced)?;
            Ok(candidate)
        })
    }
}

const ROW: Row<'static> = Row { table: "instance", id: "1" };

async fn read<C: ConnectionTrait>(conn: &C) -> Result<Option<SiteId>, StoreError> {
    let row = instance::Entity::find_by_id(ONLY).one(conn).await?;
    row.map(|row| ROW.parse("site_id", &row.site_id)).transpose()
}

/// Counts a change of a document. Last in its transaction: all such changes meet at this row.
pub(crate) async fn count_write<C: ConnectionTrait>(conn: &C) -> Result<(), StoreError> {
    instance::Entity::update_many()
        .col_expr(instance::Column::Writes, Expr::col(instance::Column::Writes).add(1))
        .filter(instance::Column::Id.eq(ONLY))
        .exec(conn)
        .await?;
    Ok(())
}
