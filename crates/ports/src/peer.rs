//! The Protector at the other site.

use async_trait::async_trait;
use protector_types::{
    Delegation, Fence, GroupDocument, GroupId, ProjectId, Secret, Site, SiteId, TenantMapping,
};
use serde::{Deserialize, Serialize};

use crate::PortResult;

/// What the peer says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Its own site.
    pub site_id: SiteId,
    /// Its name.
    pub site_name: String,
    /// Newest microversion.
    pub version: String,
}

/// A site record as one Protector hands it to the other, secret included; each side stores the secret under
/// its own key.
#[derive(Debug, Clone)]
pub struct SiteHandover {
    /// The record.
    pub site: Site,
    /// Password of the service user, or secret of the application credential.
    pub password: Secret,
}

/// What the peer's copy of a group is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStamp {
    /// Epoch number.
    pub epoch: u64,
    /// Who raised it.
    pub raised_by: SiteId,
    /// Version.
    pub version: u64,
    /// Digest of the document.
    pub digest: String,
}

/// A delegation that is in force at the peer's own site, with its trust: its service user there, as whom we act, can use
/// it.
#[derive(Debug, Clone)]
pub struct DelegationHandover {
    /// The record.
    pub delegation: Delegation,
    /// Keystone's id of the trust.
    pub trust: Secret,
}

/// Calls to the other Protector, with the peer site's service user.
#[async_trait]
pub trait PeerSite: Send + Sync {
    /// Read; proves reachability, credentials and version.
    async fn info(&self) -> PortResult<PeerInfo>;
    /// Ensure.
    async fn put_site(&self, handover: &SiteHandover) -> PortResult<()>;
    /// Ensure.
    async fn put_tenant_mapping(&self, mapping: &TenantMapping) -> PortResult<()>;
    /// Ensure.
    async fn delete_tenant_mapping(&self, mapping: &TenantMapping) -> PortResult<()>;
    /// Ensure; Conflict when the peer holds a newer document.
    async fn put_group(&self, document: &GroupDocument) -> PortResult<GroupStamp>;
    /// Read; the delegations of a project that are in force at the peer's own site.
    async fn delegations(&self, project: &ProjectId) -> PortResult<Vec<DelegationHandover>>;
    /// Read.
    async fn group_stamp(&self, group: GroupId) -> PortResult<GroupStamp>;
    /// Ensure; the group is gone.
    async fn delete_group(&self, group: GroupId) -> PortResult<()>;
    /// Ensure; hands an array token over once.
    async fn put_array_token(&self, group: GroupId, site: SiteId, token: &Secret)
    -> PortResult<()>;
    /// Ensure; hands over how servers were before they were fenced. Records of an older epoch change nothing.
    async fn put_fences(&self, group: GroupId, fences: &[Fence]) -> PortResult<()>;
    /// Ensure; the record of an operation, for reading at the other site.
    async fn put_operation(
        &self,
        project: &ProjectId,
        record: &serde_json::Value,
    ) -> PortResult<()>;
}
