//! Tenant mappings: project on one site <-> project on the other.

use protector_types::{ProjectId, SiteId, TenantMapping, TenantMappingId};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};

use crate::{
    Page, PageRequest, Store, StoreError,
    convert::{Row, time_text, word},
    db::transact,
    entity::{tenant_mapping, tenant_mapping_side},
    error::duplicate,
    page::Keys,
};

const KEYS: Keys<tenant_mapping::Entity> = Keys {
    what: "tenant mapping",
    id: tenant_mapping::Column::Id,
    sort: &[("created_at", tenant_mapping::Column::CreatedAt), ("id", tenant_mapping::Column::Id)],
};

fn write(mapping: &TenantMapping) -> Result<tenant_mapping::Model, StoreError> {
    Ok(tenant_mapping::Model {
        id: mapping.id.to_string(),
        primary_site_id: mapping.primary_site_id.to_string(),
        primary_project_id: word("project id", mapping.primary_project_id.as_str())?,
        secondary_site_id: mapping.secondary_site_id.to_string(),
        secondary_project_id: word("project id", mapping.secondary_project_id.as_str())?,
        created_at: time_text(mapping.created_at),
    })
}

fn sides(row: &tenant_mapping::Model) -> [tenant_mapping_side::Model; 2] {
    let side = |site: &str, project: &str, other: &str| tenant_mapping_side::Model {
        site_id: site.to_owned(),
        project_id: project.to_owned(),
        other_site_id: other.to_owned(),
        mapping_id: row.id.clone(),
    };
    [
        side(&row.primary_site_id, &row.primary_project_id, &row.secondary_site_id),
        side(&row.secondary_site_id, &row.secondary_project_id, &row.primary_site_id),
    ]
}

fn read(row: tenant_mapping::Model) -> Result<TenantMapping, StoreError> {
    let at = Row { table: "tenant_mappings", id: &row.id };
    Ok(TenantMapping {
        id: at.parse("id", &row.id)?,
        primary_site_id: at.parse("primary_site_id", &row.primary_site_id)?,
        primary_project_id: row.primary_project_id.as_str().into(),
        secondary_site_id: at.parse("secondary_site_id", &row.secondary_site_id)?,
        secondary_project_id: row.secondary_project_id.as_str().into(),
        created_at: at.time("created_at", &row.created_at)?,
    })
}

impl Store {
    /// Adds a mapping. Each project has at most one counterpart per other site, from both sides.
    ///
    /// # Errors
    /// `AlreadyExists`; `Invalid` for a site mapped to itself.
    pub async fn insert_tenant_mapping(&self, mapping: &TenantMapping) -> Result<(), StoreError> {
        if mapping.primary_site_id == mapping.secondary_site_id {
            return Err(StoreError::invalid("tenant mapping", "both sides are the same site"));
        }
        let row = write(mapping)?;
        let named =
            || format!("{} <-> {}", mapping.primary_project_id, mapping.secondary_project_id);
        transact!(self, tx => {
            tenant_mapping::Entity::insert(row.clone().into_active_model())
                .exec_without_returning(tx)
                .await
                .map_err(duplicate("tenant mapping", &row.id))?;
            tenant_mapping_side::Entity::insert_many(sides(&row).map(IntoActiveModel::into_active_model))
                .exec_without_returning(tx)
                .await
                .map_err(duplicate("tenant mapping of project", named()))?;
            Ok(())
        })
    }

    /// One mapping.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn tenant_mapping(&self, id: TenantMappingId) -> Result<TenantMapping, StoreError> {
        let row = tenant_mapping::Entity::find_by_id(id.to_string()).one(self.reader()).await?;
        read(row.ok_or_else(|| StoreError::not_found("tenant mapping", id))?)
    }

    /// The mapping of a project at one site to another site, whichever side it was made from.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn find_tenant_mapping(
        &self,
        site: SiteId,
        project: &ProjectId,
        other: SiteId,
    ) -> Result<Option<TenantMapping>, StoreError> {
        let key = (site.to_string(), project.to_string(), other.to_string());
        let side = tenant_mapping_side::Entity::find_by_id(key).one(self.reader()).await?;
        let Some(side) = side else { return Ok(None) };
        let row = tenant_mapping::Entity::find_by_id(side.mapping_id).one(self.reader()).await?;
        row.map(read).transpose()
    }

    /// Every mapping of a project at one site, oldest first.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn tenant_mappings_of(
        &self,
        site: SiteId,
        project: &ProjectId,
    ) -> Result<Vec<TenantMapping>, StoreError> {
        let sides = tenant_mapping_side::Entity::find()
            .filter(tenant_mapping_side::Column::SiteId.eq(site.to_string()))
            .filter(tenant_mapping_side::Column::ProjectId.eq(project.as_str()))
            .all(self.reader())
            .await?;
        let rows = tenant_mapping::Entity::find()
            .filter(tenant_mapping::Column::Id.is_in(sides.into_iter().map(|side| side.mapping_id)))
            .order_by_asc(tenant_mapping::Column::CreatedAt)
            .order_by_asc(tenant_mapping::Column::Id)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read).collect()
    }

    /// A page of mappings. Keys: `created_at`, `id`.
    ///
    /// # Errors
    /// `Invalid` for an unknown key or marker.
    pub async fn list_tenant_mappings(
        &self,
        page: &PageRequest,
    ) -> Result<Page<TenantMapping>, StoreError> {
        let all = tenant_mapping::Entity::find();
        KEYS.page(self.reader(), all.clone(), all, page).await?.try_map(read)
    }

    /// Removes a mapping.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete_tenant_mapping(&self, id: TenantMappingId) -> Result<(), StoreError> {
        transact!(self, tx => {
            let deleted = tenant_mapping::Entity::delete_by_id(id.to_string()).exec(tx).await?;
            if deleted.rows_affected == 0 {
                return Err(StoreError::not_found("tenant mapping", id));
            }
            Ok(())
        })
    }
}
