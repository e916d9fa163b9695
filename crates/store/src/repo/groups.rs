//! Protection groups. Members, policy and outbox hang on a group's version: see `documents`.

use std::collections::BTreeMap;

use protector_types::{
    Epoch, GroupId, GroupStatus, KeptCopy, Mappings, OperationId, ProjectId, ProtectionGroup,
    ReplicationType, SiteId, VolumeTypeRef,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, Select,
};
use serde::{Deserialize, Serialize};

use crate::{
    Conflict, Page, PageRequest, Scope, Store, StoreError,
    convert::{Row, clean, json_text, number, time_text, word},
    db::transact,
    entity::{claim, group},
    error::duplicate,
    page::Keys,
    repo::{identity::count_write, outbox},
};

/// Filters of the list of groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Exactly this name.
    pub name: Option<String>,
    /// In this status.
    pub status: Option<GroupStatus>,
}

/// What is not queried.
#[derive(Serialize, Deserialize)]
struct Body {
    description: String,
    replication_type: ReplicationType,
    primary_site_id: SiteId,
    secondary_site_id: SiteId,
    projects: BTreeMap<SiteId, ProjectId>,
    volume_types: BTreeMap<SiteId, VolumeTypeRef>,
    test_volume_types: BTreeMap<SiteId, VolumeTypeRef>,
    mappings: Mappings,
    #[serde(default)]
    kept: Vec<KeptCopy>,
    #[serde(default)]
    epoch_raised_in: Option<OperationId>,
    #[serde(default)]
    epochs_before: Vec<Epoch>,
    #[serde(default)]
    array_group: Option<String>,
}

const KEYS: Keys<group::Entity> = Keys {
    what: "protection group",
    id: group::Column::Id,
    sort: &[
        ("name", group::Column::Name),
        ("created_at", group::Column::CreatedAt),
        ("id", group::Column::Id),
    ],
};

/// The row of a group as seen from a site: its project there decides who may see it.
pub(crate) fn write(group: &ProtectionGroup, own_site: SiteId) -> Result<group::Model, StoreError> {
    let project = group.projects.get(&own_site).ok_or_else(|| {
        let reason =
            format!("protection group {} has no project at this site, {own_site}", group.id);
        StoreError::invalid("projects", reason)
    })?;
    let body = Body {
        description: group.description.clone(),
        replication_type: group.replication_type,
        primary_site_id: group.primary_site_id,
        secondary_site_id: group.secondary_site_id,
        projects: group.projects.clone(),
        volume_types: group.volume_types.clone(),
        test_volume_types: group.test_volume_types.clone(),
        mappings: group.mappings.clone(),
        kept: group.kept.clone(),
        epoch_raised_in: group.epoch.raised_in,
        epochs_before: group.epochs_before.clone(),
        array_group: group.array_group.clone(),
    };
    Ok(group::Model {
        id: group.id.to_string(),
        project_id: word("project id", project.as_str())?,
        name: word("protection group name", &group.name)?,
        status: group.status.to_string(),
        version: number("version", group.version)?,
        epoch_number: number("epoch", group.epoch.number)?,
        epoch_raised_by: group.epoch.raised_by.to_string(),
        current_primary_site_id: group.current_primary_site_id.to_string(),
        replication_status: group.replication_status.to_string(),
        last_replication_at: group.last_replication_at.map(time_text),
        failover_count: number("failover_count", group.failover_count)?,
        current_operation_id: group.current_operation_id.map(|id| id.to_string()),
        active_test_operation_id: group.active_test_operation_id.map(|id| id.to_string()),
        quarantine: group.quarantine.as_deref().map(clean),
        created_at: time_text(group.created_at),
        updated_at: time_text(group.updated_at),
        body: json_text("protection group", &body)?,
    })
}

fn read(row: group::Model) -> Result<ProtectionGroup, StoreError> {
    let at = Row { table: "protection_groups", id: &row.id };
    let body: Body = at.json("body", &row.body)?;
    Ok(ProtectionGroup {
        id: at.parse("id", &row.id)?,
        description: body.description,
        replication_type: body.replication_type,
        primary_site_id: body.primary_site_id,
        secondary_site_id: body.secondary_site_id,
        projects: body.projects,
        volume_types: body.volume_types,
        test_volume_types: body.test_volume_types,
        mappings: body.mappings,
        kept: body.kept,
        status: at.parse("status", &row.status)?,
        current_primary_site_id: at
            .parse("current_primary_site_id", &row.current_primary_site_id)?,
        replication_status: at.parse("replication_status", &row.replication_status)?,
        failover_count: at.count("failover_count", row.failover_count)?,
        last_replication_at: at
            .time_some("last_replication_at", row.last_replication_at.as_deref())?,
        version: at.count("version", row.version)?,
        epoch: Epoch {
            number: at.count("epoch_number", row.epoch_number)?,
            raised_by: at.parse("epoch_raised_by", &row.epoch_raised_by)?,
            raised_in: body.epoch_raised_in,
        },
        epochs_before: body.epochs_before,
        current_operation_id: at
            .parse_some("current_operation_id", row.current_operation_id.as_deref())?,
        active_test_operation_id: at
            .parse_some("active_test_operation_id", row.active_test_operation_id.as_deref())?,
        created_at: at.time("created_at", &row.created_at)?,
        updated_at: at.time("updated_at", &row.updated_at)?,
        name: row.name,
        quarantine: row.quarantine,
        array_group: body.array_group,
    })
}

/// The groups that a scope may see.
pub(crate) fn visible(scope: &Scope) -> Select<group::Entity> {
    let all = group::Entity::find();
    match scope.project() {
        Some(project) => all.filter(group::Column::ProjectId.eq(project.as_str())),
        None => all,
    }
}

/// One group that a scope may see.
pub(crate) async fn find<C: ConnectionTrait>(
    conn: &C,
    scope: &Scope,
    id: GroupId,
) -> Result<ProtectionGroup, StoreError> {
    let row = visible(scope).filter(group::Column::Id.eq(id.to_string())).one(conn).await?;
    read(row.ok_or_else(|| StoreError::not_found("protection group", id))?)
}

/// One group, locked to the end of the transaction.
pub(crate) async fn lock<C: ConnectionTrait>(
    tx: &C,
    id: GroupId,
) -> Result<Option<ProtectionGroup>, StoreError> {
    let row = group::Entity::find_by_id(id.to_string()).lock_exclusive().one(tx).await?;
    row.map(read).transpose()
}

/// One group, locked, and still at the version that the caller has read.
pub(crate) async fn lock_at<C: ConnectionTrait>(
    tx: &C,
    id: GroupId,
    expected: u64,
) -> Result<ProtectionGroup, StoreError> {
    let group = lock(tx, id).await?.ok_or_else(|| StoreError::not_found("protection group", id))?;
    if group.version != expected {
        let actual = group.version;
        return Err(Conflict::StaleVersion { group: id, expected, actual }.into());
    }
    Ok(group)
}

impl Store {
    /// Adds a group as given (version and epoch too), with its outbox row.
    ///
    /// # Errors
    /// `AlreadyExists` for the id, or for the name in its project at this site; `Invalid` without a project
    /// at this site.
    pub async fn insert_group(&self, group: &ProtectionGroup) -> Result<(), StoreError> {
        let row = write(group, self.own_site_id().await?)?;
        transact!(self, tx => {
            self.add_group(tx, group, &row).await?;
            outbox::queue(tx, group, self.now()).await?;
            count_write(tx).await
        })
    }

    /// One group.
    ///
    /// # Errors
    /// `NotFound`, also for a group of another project.
    pub async fn group(&self, scope: &Scope, id: GroupId) -> Result<ProtectionGroup, StoreError> {
        find(self.reader(), scope, id).await
    }

    /// A page of groups. Keys: `name`, `created_at`, `id`.
    ///
    /// # Errors
    /// `Invalid` for an unknown key or marker.
    pub async fn list_groups(
        &self,
        scope: &Scope,
        filter: &GroupFilter,
        page: &PageRequest,
    ) -> Result<Page<ProtectionGroup>, StoreError> {
        let scoped = visible(scope);
        let mut filtered = scoped.clone();
        if let Some(name) = &filter.name {
            filtered = filtered.filter(group::Column::Name.eq(name.as_str()));
        }
        if let Some(status) = filter.status {
            filtered = filtered.filter(group::Column::Status.eq(status.as_str()));
        }
        KEYS.page(self.reader(), scoped, filtered, page).await?.try_map(read)
    }

    /// All groups, of all projects.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn all_groups(&self) -> Result<Vec<ProtectionGroup>, StoreError> {
        let rows = group::Entity::find().all(self.reader()).await?;
        rows.into_iter().map(read).collect()
    }

    /// Replaces a group's own record if it is still at `expected`. The stored version is `expected + 1`
    /// whatever `group.version` says; the group as stored comes back.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` for the name; `Conflict` for a stale version or an illegal change of
    /// status.
    pub async fn update_group(
        &self,
        group: &ProtectionGroup,
        expected: u64,
    ) -> Result<ProtectionGroup, StoreError> {
        transact!(self, tx => {
            let stored = lock_at(tx, group.id, expected).await?;
            let (from, to) = (stored.status, group.status);
            if !from.may_become(to) {
                return Err(Conflict::IllegalTransition { group: group.id, from, to }.into());
            }
            let mut next = group.clone();
            next.version = expected;
            self.save_group(tx, &mut next).await?;
            Ok(next)
        })
    }

    /// Removes a group with its members, policy, tokens and claim; operations stay as records. `expected`:
    /// only at this version.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for a stale version, or while an operation holds the group or a drill is open
    /// (both only with `expected`: without, the caller has reasons that are stronger).
    pub async fn delete_group(&self, id: GroupId, expected: Option<u64>) -> Result<(), StoreError> {
        transact!(self, tx => {
            if let Some(expected) = expected {
                let stored = lock_at(tx, id, expected).await?;
                if let Some(operation) = stored.current_operation_id {
                    return Err(Conflict::Busy { group: id, operation }.into());
                }
                if let Some(operation) = stored.active_test_operation_id {
                    return Err(Conflict::DrillOpen { group: id, operation }.into());
                }
            }
            claim::Entity::delete_by_id(id.to_string()).exec(tx).await?;
            let deleted = group::Entity::delete_by_id(id.to_string()).exec(tx).await?;
            if deleted.rows_affected == 0 {
                return Err(StoreError::not_found("protection group", id));
            }
            count_write(tx).await
        })
    }

    /// Inserts the row alone.
    pub(crate) async fn add_group<C: ConnectionTrait>(
        &self,
        tx: &C,
        group: &ProtectionGroup,
        row: &group::Model,
    ) -> Result<(), StoreError> {
        if group::Entity::find_by_id(row.id.clone()).one(tx).await?.is_some() {
            return Err(StoreError::AlreadyExists { what: "protection group", id: row.id.clone() });
        }
        group::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(tx)
            .await
            .map_err(duplicate("protection group", &group.name))?;
        Ok(())
    }

    /// Writes a group one version up, with its outbox row. `group.version` is the version that was read.
    pub(crate) async fn save_group<C: ConnectionTrait>(
        &self,
        tx: &C,
        group: &mut ProtectionGroup,
    ) -> Result<(), StoreError> {
        let read_at = group.version;
        group.version += 1;
        group.updated_at = self.now();
        self.overwrite_group(tx, group, read_at).await?;
        outbox::queue(tx, group, group.updated_at).await?;
        count_write(tx).await
    }

    /// Replaces the row if it is at `read_at`.
    pub(crate) async fn overwrite_group<C: ConnectionTrait>(
        &self,
        tx: &C,
        group: &ProtectionGroup,
        read_at: u64,
    ) -> Result<(), StoreError> {
        let row = write(group, self.site_in(tx).await?)?;
        let updated = group::Entity::update_many()
            .set(row.into_active_model().reset_all())
            .filter(group::Column::Id.eq(group.id.to_string()))
            .filter(group::Column::Version.eq(number("version", read_at)?))
            .exec(tx)
            .await
            .map_err(duplicate("protection group", &group.name))?;
        if updated.rows_affected == 0 {
            let (expected, actual) = (read_at, group.version);
            return Err(Conflict::StaleVersion { group: group.id, expected, actual }.into());
        }
        Ok(())
    }
}
