//! Members of groups. Each change raises the group's version.

use protector_types::{GroupId, Member, MemberId, SiteId};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder,
};

use crate::{
    Page, PageRequest, Scope, Store, StoreError,
    convert::{Row, json_text, time_text, word},
    db::transact,
    entity::{member, member_server},
    error::duplicate,
    page::Keys,
    repo::groups,
};

const KEYS: Keys<member::Entity> = Keys {
    what: "member",
    id: member::Column::Id,
    sort: &[("name", member::Column::Name), ("id", member::Column::Id)],
};

fn write(member: &Member) -> Result<member::Model, StoreError> {
    Ok(member::Model {
        id: member.id.to_string(),
        group_id: member.group_id.to_string(),
        name: word("server name", &member.spec.name)?,
        servers: json_text("servers", &member.servers)?,
        spec: json_text("spec", &member.spec)?,
        volumes: json_text("volumes", &member.volumes)?,
        observed_at: time_text(member.observed_at),
        abandoned: member.abandoned.as_ref().map(|it| json_text("abandoned", it)).transpose()?,
    })
}

fn read(row: member::Model) -> Result<Member, StoreError> {
    let at = Row { table: "members", id: &row.id };
    Ok(Member {
        id: at.parse("id", &row.id)?,
        group_id: at.parse("group_id", &row.group_id)?,
        servers: at.json("servers", &row.servers)?,
        spec: at.json("spec", &row.spec)?,
        volumes: at.json("volumes", &row.volumes)?,
        observed_at: at.time("observed_at", &row.observed_at)?,
        abandoned: at.json_some("abandoned", row.abandoned.as_deref())?,
    })
}

/// Inserts a member and the places of its servers.
pub(crate) async fn add<C: ConnectionTrait>(tx: &C, member: &Member) -> Result<(), StoreError> {
    member::Entity::insert(write(member)?.into_active_model())
        .exec_without_returning(tx)
        .await
        .map_err(duplicate("member", member.id))?;
    add_servers(tx, member).await
}

/// Replaces a member's record and the places of its servers.
pub(crate) async fn replace<C: ConnectionTrait>(tx: &C, member: &Member) -> Result<(), StoreError> {
    let updated = member::Entity::update_many()
        .set(write(member)?.into_active_model().reset_all())
        .filter(member::Column::Id.eq(member.id.to_string()))
        .filter(member::Column::GroupId.eq(member.group_id.to_string()))
        .exec(tx)
        .await?;
    if updated.rows_affected == 0 {
        return Err(StoreError::not_found("member", member.id));
    }
    member_server::Entity::delete_many()
        .filter(member_server::Column::MemberId.eq(member.id.to_string()))
        .exec(tx)
        .await?;
    add_servers(tx, member).await
}

async fn add_servers<C: ConnectionTrait>(tx: &C, member: &Member) -> Result<(), StoreError> {
    for (site, server) in &member.servers {
        let row = member_server::Model {
            site_id: site.to_string(),
            server_id: word("server id", server)?,
            member_id: member.id.to_string(),
        };
        member_server::Entity::insert(row.into_active_model())
            .exec_without_returning(tx)
            .await
            .map_err(duplicate("member with server", server))?;
    }
    Ok(())
}

/// The members of several groups, in order of group, name and id.
pub(crate) async fn of_groups<C: ConnectionTrait>(
    conn: &C,
    groups: &[GroupId],
) -> Result<Vec<Member>, StoreError> {
    let rows = member::Entity::find()
        .filter(member::Column::GroupId.is_in(groups.iter().map(ToString::to_string)))
        .order_by_asc(member::Column::GroupId)
        .order_by_asc(member::Column::Name)
        .order_by_asc(member::Column::Id)
        .all(conn)
        .await?;
    rows.into_iter().map(read).collect()
}

impl Store {
    /// Adds a member to its group, which must be at `expected`; gives the group's new version.
    ///
    /// # Errors
    /// `AlreadyExists` if the server is in a group already; `NotFound` for the group; `Conflict` for a stale
    /// version.
    pub async fn insert_member(&self, member: &Member, expected: u64) -> Result<u64, StoreError> {
        transact!(self, tx => {
            let mut group = groups::lock_at(tx, member.group_id, expected).await?;
            add(tx, member).await?;
            self.save_group(tx, &mut group).await?;
            Ok(group.version)
        })
    }

    /// Replaces a member's record; gives the group's new version.
    ///
    /// # Errors
    /// As [`Store::insert_member`]; `NotFound` for the member.
    pub async fn update_member(&self, member: &Member, expected: u64) -> Result<u64, StoreError> {
        transact!(self, tx => {
            let mut group = groups::lock_at(tx, member.group_id, expected).await?;
            replace(tx, member).await?;
            self.save_group(tx, &mut group).await?;
            Ok(group.version)
        })
    }

    /// Takes a member out of its group; gives the group's new version.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for a stale version.
    pub async fn delete_member(
        &self,
        group: GroupId,
        id: MemberId,
        expected: u64,
    ) -> Result<u64, StoreError> {
        transact!(self, tx => {
            let mut stored = groups::lock_at(tx, group, expected).await?;
            let deleted = member::Entity::delete_many()
                .filter(member::Column::Id.eq(id.to_string()))
                .filter(member::Column::GroupId.eq(group.to_string()))
                .exec(tx)
                .await?;
            if deleted.rows_affected == 0 {
                return Err(StoreError::not_found("member", id));
            }
            self.save_group(tx, &mut stored).await?;
            Ok(stored.version)
        })
    }

    /// One member of a group.
    ///
    /// # Errors
    /// `NotFound` for the group or the member.
    pub async fn member(
        &self,
        scope: &Scope,
        group: GroupId,
        id: MemberId,
    ) -> Result<Member, StoreError> {
        groups::find(self.reader(), scope, group).await?;
        let row = member::Entity::find_by_id(id.to_string())
            .filter(member::Column::GroupId.eq(group.to_string()))
            .one(self.reader())
            .await?;
        read(row.ok_or_else(|| StoreError::not_found("member", id))?)
    }

    /// Every member of a group, by name.
    ///
    /// # Errors
    /// `NotFound` for the group.
    pub async fn members(&self, scope: &Scope, group: GroupId) -> Result<Vec<Member>, StoreError> {
        groups::find(self.reader(), scope, group).await?;
        of_groups(self.reader(), &[group]).await
    }

    /// The members of several groups, for a page of groups. Groups that the scope may not see give none.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn members_of(
        &self,
        scope: &Scope,
        groups: &[GroupId],
    ) -> Result<Vec<Member>, StoreError> {
        let visible = self.only_visible(scope, groups).await?;
        of_groups(self.reader(), &visible).await
    }

    /// A page of a group's members. Keys: `name`, `id`.
    ///
    /// # Errors
    /// `NotFound` for the group; `Invalid` for an unknown key or marker.
    pub async fn list_members(
        &self,
        scope: &Scope,
        group: GroupId,
        page: &PageRequest,
    ) -> Result<Page<Member>, StoreError> {
        groups::find(self.reader(), scope, group).await?;
        let all = member::Entity::find().filter(member::Column::GroupId.eq(group.to_string()));
        KEYS.page(self.reader(), all.clone(), all, page).await?.try_map(read)
    }

    /// The member that a server is, in whatever group. For admission: a server is in one group at most, so
    /// the look goes across projects; show a tenant no more than that it is taken.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn find_member_by_server(
        &self,
        site: SiteId,
        server: &str,
    ) -> Result<Option<Member>, StoreError> {
        let key = (site.to_string(), server.to_owned());
        let place = member_server::Entity::find_by_id(key).one(self.reader()).await?;
        let Some(place) = place else { return Ok(None) };
        let row = member::Entity::find_by_id(place.member_id).one(self.reader()).await?;
        row.map(read).transpose()
    }

    pub(crate) async fn only_visible(
        &self,
        scope: &Scope,
        groups: &[GroupId],
    ) -> Result<Vec<GroupId>, StoreError> {
        if scope.project().is_none() {
            return Ok(groups.to_vec());
        }
        let mut visible = Vec::with_capacity(groups.len());
        let ids = groups.iter().map(ToString::to_string);
        let rows = groups::visible(scope)
            .filter(crate::entity::group::Column::Id.is_in(ids))
            .all(self.reader())
            .await?;
        for row in rows {
            visible.push(Row { table: "protection_groups", id: &row.id }.parse("id", &row.id)?);
        }
        Ok(visible)
    }
}
