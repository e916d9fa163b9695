//! The Protector at the other site.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use protector_types::{
    Delegation, Epoch, Fence, GroupDocument, GroupId, OperationId, ProjectId, Secret, Site, SiteId,
    SiteStatus, TenantMapping,
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
    /// Its clock.
    pub now: DateTime<Utc>,
    /// How it sees other sites: it may not reach who reaches it.
    pub sees: Vec<SiteSeen>,
}

/// How a Protector sees a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteSeen {
    /// Which site.
    pub site_id: SiteId,
    /// As last observed.
    pub status: SiteStatus,
    /// Why it is not `active`.
    pub reason: Option<String>,
    /// When that was, by its clock.
    pub observed_at: Option<DateTime<Utc>>,
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupStamp {
    /// The epoch.
    pub epoch: Epoch,
    /// Those before it, oldest first.
    pub epochs_before: Vec<Epoch>,
    /// Version.
    pub version: u64,
    /// The primary that it names.
    pub primary: SiteId,
    /// Digest of the document.
    pub digest: String,
}

/// Asks for, or renews, the peer's claim on a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// The operation or change that it is for.
    pub operation_id: OperationId,
    /// The site that drives it: the caller's.
    pub holder_site_id: SiteId,
}

/// The peer's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// The caller has the claim.
    pub granted: bool,
    /// The operation or change that has it now.
    pub operation_id: Option<OperationId>,
    /// Who drives that.
    pub holder_site_id: Option<SiteId>,
    /// Why it was not granted, where nobody has it.
    pub reason: Option<String>,
    /// The peer's copy of the group; `None`: it knows none.
    pub stamp: Option<GroupStamp>,
}

/// A piece of an operation on its way to the other site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationPiece {
    /// The project at the receiving site.
    pub project_id: ProjectId,
    /// The record.
    pub record: serde_json::Value,
    /// The plan, with the first piece.
    pub plan: Option<serde_json::Value>,
    /// Journal entries, in order.
    pub entries: Vec<serde_json::Value>,
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
    /// Read; the peer's whole copy.
    async fn document(&self, group: GroupId) -> PortResult<GroupDocument>;
    /// Read; what the peer's copies of the groups that it shares with `with` are. Digests are left out.
    async fn group_stamps(&self, with: SiteId) -> PortResult<Vec<(GroupId, GroupStamp)>>;
    /// Ensure; a person says that the peer takes this document. `instead_of`: the peer's copy that he gives up in a
    /// conflict. Conflict when the peer holds something else by now.
    async fn force_group(
        &self,
        document: &GroupDocument,
        instead_of: Option<&GroupStamp>,
    ) -> PortResult<GroupStamp>;
    /// Ensure; takes or renews the claim.
    async fn claim(&self, group: GroupId, request: &ClaimRequest) -> PortResult<ClaimAnswer>;
    /// Ensure; nothing happens if the claim is not this operation's.
    async fn release_claim(&self, group: GroupId, operation: OperationId) -> PortResult<()>;
    /// Ensure; the group is gone.
    async fn delete_group(&self, group: GroupId) -> PortResult<()>;
    /// Ensure; hands an array token over once.
    async fn put_array_token(&self, group: GroupId, site: SiteId, token: &Secret)
    -> PortResult<()>;
    /// Ensure; hands over how servers were before they were fenced. Records of an older epoch change nothing.
    async fn put_fences(&self, group: GroupId, fences: &[Fence]) -> PortResult<()>;
    /// Ensure; a piece of an operation. Gives the number of the last journal entry that the peer has without a gap.
    /// Conflict when the peer drives the operation itself by now.
    async fn put_operation(
        &self,
        operation: OperationId,
        piece: &OperationPiece,
    ) -> PortResult<u64>;
}
