//! Reading operations and their events.

use protector_types::OperationId;
use protector_workflow::Entry;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use crate::{
    OperationFilter, OperationRow, Page, PageRequest, Scope, Store, StoreError,
    convert::{number, time_text},
    entity::{entry, operation},
    page::Keys,
    repo::{journal, operations},
};

const KEYS: Keys<operation::Entity> = Keys {
    what: "operation",
    id: operation::Column::Id,
    sort: &[
        ("created_at", operation::Column::CreatedAt),
        // The founding document's name for the time of acceptance.
        ("started_at", operation::Column::CreatedAt),
        ("id", operation::Column::Id),
    ],
};

fn visible(scope: &Scope) -> Select<operation::Entity> {
    let all = operation::Entity::find();
    match scope.project() {
        Some(project) => all.filter(operation::Column::ProjectId.eq(project.as_str())),
        None => all,
    }
}

impl Store {
    /// One operation, driven here or by the peer.
    ///
    /// # Errors
    /// `NotFound`, also for an operation of another project.
    pub async fn operation(
        &self,
        scope: &Scope,
        id: OperationId,
    ) -> Result<OperationRow, StoreError> {
        let found = visible(scope).filter(operation::Column::Id.eq(id.to_string()));
        let row = found.one(self.reader()).await?;
        operations::read(row.ok_or_else(|| StoreError::not_found("operation", id))?)
    }

    /// A page of operations, those of the peer included. Keys: `created_at` (also called `started_at`), `id`.
    ///
    /// # Errors
    /// `Invalid` for an unknown key or marker.
    pub async fn list_operations(
        &self,
        scope: &Scope,
        filter: &OperationFilter,
        page: &PageRequest,
    ) -> Result<Page<OperationRow>, StoreError> {
        let scoped = visible(scope);
        let mut filtered = scoped.clone();
        if let Some(group) = filter.group_id {
            filtered = filtered.filter(operation::Column::GroupId.eq(group.to_string()));
        }
        if let Some(kind) = filter.operation_type {
            filtered = filtered.filter(operation::Column::OperationType.eq(kind.as_str()));
        }
        if let Some(status) = filter.status {
            filtered = filtered.filter(operation::Column::Status.eq(status.as_str()));
        }
        if let Some(since) = filter.since {
            filtered = filtered.filter(operation::Column::CreatedAt.gte(time_text(since)));
        }
        KEYS.page(self.reader(), scoped, filtered, page).await?.try_map(operations::read)
    }

    /// Journal entries after a number, in order.
    ///
    /// # Errors
    /// `NotFound` for the operation, also for one of another project.
    pub async fn entries(
        &self,
        scope: &Scope,
        id: OperationId,
        after_seq: u64,
        limit: u64,
    ) -> Result<Vec<Entry>, StoreError> {
        let project: Option<String> = operation::Entity::find_by_id(id.to_string())
            .select_only()
            .column(operation::Column::ProjectId)
            .into_tuple()
            .one(self.reader())
            .await?;
        if !project.is_some_and(|project| scope.admits(&project)) {
            return Err(StoreError::not_found("operation", id));
        }
        let rows = entry::Entity::find()
            .filter(entry::Column::OperationId.eq(id.to_string()))
            .filter(entry::Column::Seq.gt(number("after_seq", after_seq)?))
            .order_by_asc(entry::Column::Seq)
            .limit(limit)
            .all(self.reader())
            .await?;
        rows.into_iter().map(journal::read).collect()
    }
}
