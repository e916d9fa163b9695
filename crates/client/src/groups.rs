//! Groups, members, policies and what is known of a group's copies: a tenant's calls.

use protector_api_types::{
    ConsistencyGroupBody, ConsistencyGroupView, GroupBody, GroupCreate, GroupCreateBody,
    GroupHealthBody, GroupHealthView, GroupUpdate, GroupUpdateBody, GroupView, GroupsBody,
    MemberBody, MemberCreate, MemberCreateBody, MemberView, MembersBody, PolicyBody, PolicySet,
    PolicyView, RecoveryPointView, RecoveryPointsBody, SyncStatusBody, SyncStatusView,
};
use protector_types::{GroupId, MemberId, ProjectId, Secret, SiteId};
use serde_json::{Value, json};

use crate::client::{ClientResult, ProtectorClient, segment};

pub(crate) fn group_path(project: &ProjectId, group: GroupId) -> String {
    format!("/v1/{}/protection-groups/{group}", segment(project))
}

impl ProtectorClient {
    /// Creates a group.
    ///
    /// # Errors
    /// The API's.
    pub async fn create_group(
        &self,
        project: &ProjectId,
        group: GroupCreate,
    ) -> ClientResult<GroupView> {
        let request = GroupCreateBody { protection_group: group };
        let path = format!("/v1/{}/protection-groups", segment(project));
        let body: GroupBody = self.post(&path, Some(&request)).await?;
        Ok(body.protection_group)
    }

    /// All groups of a project.
    ///
    /// # Errors
    /// The API's.
    pub async fn list_groups(&self, project: &ProjectId) -> ClientResult<Vec<GroupView>> {
        let path = format!("/v1/{}/protection-groups", segment(project));
        let read = |body: GroupsBody| (body.protection_groups, body.protection_groups_links);
        self.all(&path, &[], read, |group| group.id).await
    }

    /// One group.
    ///
    /// # Errors
    /// The API's.
    pub async fn group(&self, project: &ProjectId, id: GroupId) -> ClientResult<GroupView> {
        let body: GroupBody = self.get(&group_path(project, id)).await?;
        Ok(body.protection_group)
    }

    /// Changes a group.
    ///
    /// # Errors
    /// The API's.
    pub async fn update_group(
        &self,
        project: &ProjectId,
        id: GroupId,
        change: GroupUpdate,
    ) -> ClientResult<GroupView> {
        let request = GroupUpdateBody { protection_group: change };
        let body: GroupBody = self.patch(&group_path(project, id), &request).await?;
        Ok(body.protection_group)
    }

    /// Deletes a group.
    ///
    /// # Errors
    /// The API's.
    pub async fn delete_group_of(&self, project: &ProjectId, id: GroupId) -> ClientResult<()> {
        self.delete(&group_path(project, id)).await
    }

    /// Deletes a group whose other site is lost for good (administrators).
    ///
    /// # Errors
    /// The API's.
    pub async fn detach_group(&self, project: &ProjectId, id: GroupId) -> ClientResult<()> {
        self.delete(&format!("{}?force=true&detach_peer=true", group_path(project, id))).await
    }

    /// Puts a server, by id or name, into a group.
    ///
    /// # Errors
    /// The API's.
    pub async fn add_member(
        &self,
        project: &ProjectId,
        group: GroupId,
        server: &str,
    ) -> ClientResult<MemberView> {
        let request = MemberCreateBody { member: MemberCreate { server: server.to_owned() } };
        let path = format!("{}/members", group_path(project, group));
        let body: MemberBody = self.post(&path, Some(&request)).await?;
        Ok(body.member)
    }

    /// All members of a group.
    ///
    /// # Errors
    /// The API's.
    pub async fn list_members(
        &self,
        project: &ProjectId,
        group: GroupId,
    ) -> ClientResult<Vec<MemberView>> {
        let path = format!("{}/members", group_path(project, group));
        let read = |body: MembersBody| (body.members, body.members_links);
        self.all(&path, &[], read, |member| member.id).await
    }

    /// Takes a server out of a group.
    ///
    /// # Errors
    /// The API's.
    pub async fn remove_member(
        &self,
        project: &ProjectId,
        group: GroupId,
        member: MemberId,
    ) -> ClientResult<()> {
        self.delete(&format!("{}/members/{member}", group_path(project, group))).await
    }

    /// Reads a member's server again.
    ///
    /// # Errors
    /// The API's.
    pub async fn refresh_member(
        &self,
        project: &ProjectId,
        group: GroupId,
        member: MemberId,
    ) -> ClientResult<MemberView> {
        let path = format!("{}/members/{member}/refresh", group_path(project, group));
        let body: MemberBody = self.post(&path, None::<&()>).await?;
        Ok(body.member)
    }

    /// Sets or replaces a group's policy.
    ///
    /// # Errors
    /// The API's.
    pub async fn set_policy(
        &self,
        project: &ProjectId,
        group: GroupId,
        policy: &PolicySet,
    ) -> ClientResult<PolicyView> {
        let path = format!("{}/policy", group_path(project, group));
        let body: PolicyBody = self.post(&path, Some(&policy_body(policy))).await?;
        Ok(body.policy)
    }

    /// A group's policy; tokens are masked.
    ///
    /// # Errors
    /// The API's.
    pub async fn policy(&self, project: &ProjectId, group: GroupId) -> ClientResult<PolicyView> {
        let body: PolicyBody = self.get(&format!("{}/policy", group_path(project, group))).await?;
        Ok(body.policy)
    }

    /// A group's health.
    ///
    /// # Errors
    /// The API's.
    pub async fn group_health(
        &self,
        project: &ProjectId,
        group: GroupId,
    ) -> ClientResult<GroupHealthView> {
        let body: GroupHealthBody =
            self.get(&format!("{}/health", group_path(project, group))).await?;
        Ok(body.health)
    }

    /// Do both sites hold the same metadata?
    ///
    /// # Errors
    /// The API's.
    pub async fn sync_status(
        &self,
        project: &ProjectId,
        group: GroupId,
    ) -> ClientResult<SyncStatusView> {
        let path = format!("{}/sync-status", group_path(project, group));
        let body: SyncStatusBody = self.get(&path).await?;
        Ok(body.sync_status)
    }

    /// Pushes the metadata, or takes the copy of `from`.
    ///
    /// # Errors
    /// The API's.
    pub async fn sync_force(
        &self,
        project: &ProjectId,
        group: GroupId,
        from: Option<SiteId>,
    ) -> ClientResult<SyncStatusView> {
        let path = format!("{}/sync-force", group_path(project, group));
        let request = from.map_or_else(|| json!({}), |site| json!({"from": site}));
        let body: SyncStatusBody = self.post(&path, Some(&request)).await?;
        Ok(body.sync_status)
    }

    /// The group's volumes and newest usable point.
    ///
    /// # Errors
    /// The API's.
    pub async fn consistency_group(
        &self,
        project: &ProjectId,
        group: GroupId,
    ) -> ClientResult<ConsistencyGroupView> {
        let path = format!("{}/consistency-group", group_path(project, group));
        let body: ConsistencyGroupBody = self.get(&path).await?;
        Ok(body.consistency_group)
    }

    /// Points on the target array, newest first.
    ///
    /// # Errors
    /// The API's.
    pub async fn recovery_points(
        &self,
        project: &ProjectId,
        group: GroupId,
    ) -> ClientResult<Vec<RecoveryPointView>> {
        let path = format!("{}/recovery-points", group_path(project, group));
        let body: RecoveryPointsBody = self.get(&path).await?;
        Ok(body.recovery_points)
    }
}

/// The body with its secrets, which the request's type refuses to serialise by itself.
fn policy_body(policy: &PolicySet) -> Value {
    let secret = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
    json!({"policy": {
        "primary_fa_url": policy.primary_fa_url,
        "primary_fa_api_token": secret(&policy.primary_fa_api_token),
        "secondary_fa_url": policy.secondary_fa_url,
        "secondary_fa_api_token": secret(&policy.secondary_fa_api_token),
        "replication_interval": policy.replication_interval,
        "rpo_minutes": policy.rpo_minutes,
        "retention": policy.retention,
    }})
}
