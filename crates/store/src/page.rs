//! Keyset pagination: the cost of a page does not depend on its depth.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ModelTrait, Order, QueryFilter,
    QueryOrder, QuerySelect, Select,
};

use crate::StoreError;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many items (1 or more).
    pub limit: u64,
    /// Id of the last item of the page before; it must still exist and be visible in the scope.
    pub marker: Option<String>,
    /// Each list names its keys; `None` is the list's first.
    pub sort_key: Option<String>,
    /// Descending.
    pub descending: bool,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: 100, marker: None, sort_key: None, descending: false }
    }
}

/// Items of one page where a whole list is read.
const WHOLE_LIST_PAGE: u64 = 1000;

/// A whole list, page by page. `id`: what marks an item's place.
///
/// # Errors
/// The first that a page gave.
pub async fn whole_list<T, E, F: Future<Output = Result<Page<T>, E>>>(
    id: impl Fn(&T) -> String,
    read: impl Fn(PageRequest) -> F,
) -> Result<Vec<T>, E> {
    let mut page = PageRequest { limit: WHOLE_LIST_PAGE, ..PageRequest::default() };
    let mut all = Vec::new();
    loop {
        let got = read(page.clone()).await?;
        page.marker = got.items.last().map(&id);
        all.extend(got.items);
        if !got.more {
            return Ok(all);
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// There are more after the last.
    pub more: bool,
}

impl<T> Page<T> {
    pub(crate) fn try_map<U>(
        self,
        read: impl FnMut(T) -> Result<U, StoreError>,
    ) -> Result<Page<U>, StoreError> {
        let items = self.items.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page { items, more: self.more })
    }
}

/// What a list can be sorted by: never-null columns that an index covers; ties are broken by id.
pub(crate) struct Keys<E: EntityTrait> {
    pub(crate) what: &'static str,
    pub(crate) id: E::Column,
    pub(crate) sort: &'static [(&'static str, E::Column)],
}

impl<E: EntityTrait> Keys<E> {
    fn column(&self, name: Option<&str>) -> Result<E::Column, StoreError> {
        let found = match name {
            None => self.sort.first(),
            Some(name) => self.sort.iter().find(|(key, _)| *key == name),
        };
        found.map(|(_, column)| *column).ok_or_else(|| {
            let known: Vec<_> = self.sort.iter().map(|(key, _)| *key).collect();
            StoreError::invalid("sort_key", format!("use one of {}", known.join(", ")))
        })
    }

    /// One page of `filtered`. The marker is looked up in `scoped`, so that a row that has left a filter
    /// still marks its place.
    pub(crate) async fn page<C: ConnectionTrait>(
        &self,
        conn: &C,
        scoped: Select<E>,
        filtered: Select<E>,
        request: &PageRequest,
    ) -> Result<Page<E::Model>, StoreError> {
        let sort = self.column(request.sort_key.as_deref())?;
        let mut select = filtered;
        if let Some(marker) = &request.marker {
            let row =
                scoped.filter(self.id.eq(marker.as_str())).one(conn).await?.ok_or_else(|| {
                    StoreError::invalid("marker", format!("there is no {} {marker}", self.what))
                })?;
            select = select.filter(after(sort, self.id, &row, request.descending));
        }
        let order = if request.descending { Order::Desc } else { Order::Asc };
        let limit = usize::try_from(request.limit.max(1)).unwrap_or(usize::MAX);
        let mut items = select
            .order_by(sort, order.clone())
            .order_by(self.id, order)
            .limit(request.limit.max(1).saturating_add(1))
            .all(conn)
            .await?;
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(Page { items, more })
    }
}

/// Rows after `row`. The first half bounds the index scan; row values would not do so on every database.
fn after<M: ModelTrait>(
    sort: <M::Entity as EntityTrait>::Column,
    id: <M::Entity as EntityTrait>::Column,
    row: &M,
    descending: bool,
) -> Condition {
    let (key, tie) = (row.get(sort), row.get(id));
    if descending {
        Condition::all()
            .add(sort.lte(key.clone()))
            .add(Condition::any().add(sort.lt(key)).add(id.lt(tie)))
    } else {
        Condition::all()
            .add(sort.gte(key.clone()))
            .add(Condition::any().add(sort.gt(key)).add(id.gt(tie)))
    }
}
