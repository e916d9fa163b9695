//! Members: adding a server, reading it again, removing it.

use std::sync::Arc;

use protector_ports::{Cloud, ReplicationArray};
use protector_store::{Page, PageRequest, Scope};
use protector_types::{
    Code, GroupId, Member, MemberId, ProjectId, ProtectionGroup, Refusal, SiteId,
};

use crate::{Core, errors, facts};

/// What a member change needs of the current primary.
struct Primary {
    site: SiteId,
    cloud: Arc<dyn Cloud>,
    admin: Arc<dyn Cloud>,
    array: Option<Arc<dyn ReplicationArray>>,
}

impl Core {
    /// Adds a server by id or name; its volumes join the array's protection group.
    ///
    /// # Errors
    /// MemberNotEligible with every reason; AlreadyExists when it is in a group; GroupBusy; PeerUnreachable.
    pub async fn add_member(
        &self,
        project: &ProjectId,
        id: GroupId,
        server: &str,
    ) -> Result<Member, Refusal> {
        let change = self.begin_change(project, id, None).await?;
        let done = self.add_claimed(&change.group, server).await;
        self.end_change(change, done.is_ok()).await;
        done
    }

    async fn add_claimed(&self, group: &ProtectionGroup, server: &str) -> Result<Member, Refusal> {
        let id = group.id;
        let primary = self.primary(group).await?;
        let server = facts::find_server(primary.cloud.as_ref(), server).await?;
        let other = self
            .store
            .find_member_by_server(primary.site, &server.id)
            .await
            .map_err(errors::store)?;
        if let Some(other) = other {
            return Err(Refusal::new(
                Code::AlreadyExists,
                format!(
                    "Server {} is already in protection group {}{}",
                    server.name,
                    other.group_id,
                    if other.group_id == id {
                        " (this one)"
                    } else {
                        "; a server can be in one group only"
                    }
                ),
            ));
        }
        let member = self.observe_member(group, &primary, MemberId::generate(), &server).await?;
        self.join_array_group(group, &primary, &member).await?;
        if let Err(error) = self.store.insert_member(&member, group.version).await {
            self.leave_array_group(group, &primary, &member).await;
            return Err(errors::store(error));
        }
        Ok(member)
    }

    /// The current primary without its array.
    async fn primary_cloud(&self, group: &ProtectionGroup) -> Result<Primary, Refusal> {
        let site = group.current_primary_site_id;
        let project = group.projects.get(&site).ok_or_else(|| {
            Refusal::new(
                Code::TenantMappingMissing,
                "The group has no project at its current primary",
            )
        })?;
        let cloud = self
            .fabric
            .cloud(site, project)
            .await
            .map_err(errors::site("The current primary cannot be used"))?;
        let admin = self.service_cloud(site).await?;
        Ok(Primary { site, cloud, admin, array: None })
    }

    async fn primary(&self, group: &ProtectionGroup) -> Result<Primary, Refusal> {
        let mut primary = self.primary_cloud(group).await?;
        let policy = self.store.policy(&Scope::System, group.id).await.map_err(errors::store)?;
        if policy.is_some() {
            let array = self.fabric.array(group.id, primary.site).await;
            primary.array = Some(array.map_err(|e| Refusal::new(Code::ArrayError, e.to_string()))?);
        }
        Ok(primary)
    }

    async fn observe_member(
        &self,
        group: &ProtectionGroup,
        primary: &Primary,
        id: MemberId,
        server: &protector_ports::Server,
    ) -> Result<Member, Refusal> {
        let volume_type = group.volume_types.get(&primary.site).ok_or_else(|| {
            Refusal::new(
                Code::Internal,
                format!("group {} has no volume type at its current primary", group.id),
            )
        })?;
        // As an administrator we see what a member does not: user data above all.
        let server =
            &primary.admin.compute().server(&server.id).await.unwrap_or_else(|_| server.clone());
        let observation = facts::Observation {
            cloud: primary.cloud.as_ref(),
            admin: primary.admin.as_ref(),
            array: primary.array.as_deref(),
            site: primary.site,
            volume_type,
            group_id: group.id,
            mirror: facts::Mirror::of(group, primary.site),
        };
        observation.member(id, server, self.clock.now()).await
    }

    async fn join_array_group(
        &self,
        group: &ProtectionGroup,
        primary: &Primary,
        member: &Member,
    ) -> Result<(), Refusal> {
        let Some(array) = &primary.array else { return Ok(()) };
        let name = group.array_group_name();
        let reversed = group.current_primary_site_id != group.primary_site_id;
        if reversed && group.is_synchronous() {
            // On one array only until they are retyped, which a sync or a reprotect does.
            return Ok(());
        }
        if reversed {
            // The reverse group is made by the first sync or failback, with all volumes.
            match array.group(&name).await {
                Err(error) if error.is_absent() => return Ok(()),
                _ => {}
            }
        }
        array.add_to_group(&name, &array_volumes(member, primary.site)).await.map_err(|error| {
            Refusal::new(
                Code::ArrayError,
                format!("The volumes could not join the array group: {error}"),
            )
        })
    }

    /// After a failed commit; what cannot be taken back is harmless and reported by the drift check.
    async fn leave_array_group(&self, group: &ProtectionGroup, primary: &Primary, member: &Member) {
        let Some(array) = &primary.array else { return };
        let volumes = array_volumes(member, primary.site);
        if let Err(error) = array.remove_from_group(&group.array_group_name(), &volumes).await {
            tracing::warn!(group = %group.id, %error, "volumes stay in the array group of a group they are not in");
        }
    }

    /// A group's members.
    ///
    /// # Errors
    /// NotFound for the group.
    pub async fn list_members(
        &self,
        project: &ProjectId,
        group: GroupId,
        page: PageRequest,
    ) -> Result<Page<Member>, Refusal> {
        self.store
            .list_members(&Scope::Project(project.clone()), group, &page)
            .await
            .map_err(errors::store)
    }

    /// One member.
    ///
    /// # Errors
    /// NotFound.
    pub async fn member(
        &self,
        project: &ProjectId,
        group: GroupId,
        id: MemberId,
    ) -> Result<Member, Refusal> {
        self.store.member(&Scope::Project(project.clone()), group, id).await.map_err(errors::store)
    }

    /// Removes a member: its volumes leave the array's protection group, nothing else happens to them.
    ///
    /// # Errors
    /// NotFound, GroupBusy, PeerUnreachable, ArrayError.
    pub async fn remove_member(
        &self,
        project: &ProjectId,
        id: GroupId,
        member: MemberId,
    ) -> Result<(), Refusal> {
        let change = self.begin_change(project, id, None).await?;
        let done = match self.member(project, id, member).await {
            Ok(member) => self.remove_claimed(&change.group, &member).await,
            Err(refusal) => Err(refusal),
        };
        self.end_change(change, done.is_ok()).await;
        done
    }

    async fn remove_claimed(
        &self,
        group: &ProtectionGroup,
        member: &Member,
    ) -> Result<(), Refusal> {
        let primary = self.primary(group).await?;
        if let Some(array) = &primary.array {
            array
                .remove_from_group(&group.array_group_name(), &array_volumes(member, primary.site))
                .await
                .map_err(|e| {
                    Refusal::new(
                        Code::ArrayError,
                        format!("The volumes could not leave the array group: {e}"),
                    )
                })?;
        }
        self.store
            .delete_member(group.id, member.id, group.version)
            .await
            .map_err(errors::store)?;
        Ok(())
    }

    /// Reads a member's server and volumes again.
    ///
    /// # Errors
    /// MemberNotEligible with every reason; GroupBusy; PeerUnreachable.
    pub async fn refresh_member(
        &self,
        project: &ProjectId,
        id: GroupId,
        member: MemberId,
    ) -> Result<Member, Refusal> {
        let change = self.begin_change(project, id, None).await?;
        let done = match self.member(project, id, member).await {
            Ok(old) => self.refresh_claimed(&change.group, &old).await,
            Err(refusal) => Err(refusal),
        };
        self.end_change(change, done.is_ok()).await;
        done
    }

    async fn refresh_claimed(
        &self,
        group: &ProtectionGroup,
        old: &Member,
    ) -> Result<Member, Refusal> {
        let primary = self.primary(group).await?;
        let fresh = self.reobserve(group, &primary, old).await?;
        self.join_array_group(group, &primary, &fresh).await?;
        self.store.update_member(&fresh, group.version).await.map_err(errors::store)?;
        Ok(fresh)
    }

    /// The member as its server is now, with what is known of the other site kept.
    async fn reobserve(
        &self,
        group: &ProtectionGroup,
        primary: &Primary,
        old: &Member,
    ) -> Result<Member, Refusal> {
        let gone = || {
            Refusal::new(
                Code::MemberNotReady,
                format!(
                    "The server of member {} no longer exists; remove the member",
                    old.spec.name
                ),
            )
        };
        let server_id = old.servers.get(&primary.site).ok_or_else(gone)?;
        let server = primary.cloud.compute().server(server_id).await.map_err(|error| {
            if error.is_absent() {
                gone()
            } else {
                Refusal::new(Code::SiteError, error.to_string())
            }
        })?;
        let mut fresh = self.observe_member(group, primary, old.id, &server).await?;
        for (site, server) in &old.servers {
            fresh.servers.entry(*site).or_insert_with(|| server.clone());
        }
        for volume in &mut fresh.volumes {
            let here = volume.placements.get(&primary.site).map(|p| p.volume_id.clone());
            let before = old
                .volumes
                .iter()
                .find(|v| v.placements.get(&primary.site).map(|p| &p.volume_id) == here.as_ref());
            for (site, placement) in before.iter().flat_map(|v| &v.placements) {
                volume.placements.entry(*site).or_insert_with(|| placement.clone());
            }
        }
        Ok(fresh)
    }

    /// Reads all members again once a policy names the array: their serials become known. Gives them unstored.
    pub(crate) async fn reobserve_all(
        &self,
        group: &ProtectionGroup,
        array: &Arc<dyn ReplicationArray>,
    ) -> Result<Vec<Member>, Refusal> {
        let mut primary = self.primary_cloud(group).await?;
        primary.array = Some(array.clone());
        let members = self.store.members(&Scope::System, group.id).await.map_err(errors::store)?;
        let mut fresh = Vec::with_capacity(members.len());
        for member in &members {
            fresh.push(self.reobserve(group, &primary, member).await?);
        }
        Ok(fresh)
    }
}

/// The member's array volumes at a site.
pub(crate) fn array_volumes(member: &Member, site: SiteId) -> Vec<String> {
    member
        .volumes
        .iter()
        .filter_map(|v| v.placements.get(&site))
        .map(|p| p.array_volume.clone())
        .collect()
}
