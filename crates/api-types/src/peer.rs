//! `/v1/peer/...`: site to site only.

use chrono::{DateTime, Utc};
use protector_types::{
    Delegation, Epoch, Fence, GroupDocument, GroupId, OperationId, ProjectId, Secret, SiteId,
    SiteStatus, TenantMapping,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{Checked, FieldErrors, body::secret, time};

/// What a Protector says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerInfoView {
    /// Its own site.
    pub site_id: SiteId,
    /// Its name.
    pub site_name: String,
    /// Newest microversion.
    pub version: String,
    /// Its clock.
    #[serde(with = "time")]
    pub now: DateTime<Utc>,
    /// How it sees other sites.
    pub sees: Vec<SiteSeenView>,
}

/// How a Protector sees a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SiteSeenView {
    /// Which site.
    pub site_id: SiteId,
    /// As last observed.
    pub status: SiteStatus,
    /// Why it is not `active`.
    pub reason: Option<String>,
    /// When that was, by its clock.
    #[serde(with = "time::optional")]
    pub observed_at: Option<DateTime<Utc>>,
}

/// Answer of `GET /v1/peer/info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerInfoBody {
    /// The other Protector.
    pub peer: PeerInfoView,
}

/// Body of `PUT /v1/peer/tenant-mappings/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerTenantMappingBody {
    /// The mapping.
    #[schema(value_type = Object)]
    pub tenant_mapping: TenantMapping,
}

/// Body of `PUT /v1/peer/groups/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerGroupBody {
    /// Group, members, policy without tokens.
    #[schema(value_type = Object)]
    pub document: GroupDocument,
}

/// What a site's copy of a group is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupStampView {
    /// The epoch.
    #[schema(value_type = Object)]
    pub epoch: Epoch,
    /// Those before it, oldest first.
    #[schema(value_type = Vec<Object>)]
    pub epochs_before: Vec<Epoch>,
    /// Version.
    pub version: u64,
    /// The primary that it names.
    pub primary: SiteId,
    /// Digest of the document.
    pub digest: String,
}

/// Answer of `PUT` and `GET /v1/peer/groups/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupStampBody {
    /// The stamp.
    pub stamp: GroupStampView,
}

/// Body of `PUT /v1/peer/groups/{id}/array-tokens/{site_id}`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerArrayTokenBody {
    /// The token. Write-only.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, write_only)]
    pub token: Secret,
}

/// Body of `PUT /v1/peer/groups/{id}/fences`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerFencesBody {
    /// How fenced servers were before.
    #[schema(value_type = Vec<Object>)]
    pub fences: Vec<Fence>,
}

/// Body of `PUT /v1/peer/groups/{id}/claim/{op_id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerClaimBody {
    /// The site that drives the operation: the caller's.
    pub holder_site_id: SiteId,
}

/// Who has the claim on a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClaimView {
    /// The caller has it.
    pub granted: bool,
    /// The operation or change that has it.
    pub operation_id: Option<OperationId>,
    /// Who drives that.
    pub holder_site_id: Option<SiteId>,
    /// Why it was not granted, where nobody has it.
    pub reason: Option<String>,
    /// The answering site's copy of the group; `null`: it knows none.
    pub stamp: Option<GroupStampView>,
}

/// Answer of the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClaimBody {
    /// The claim.
    pub claim: ClaimView,
}

/// A group with its stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StampOfGroup {
    /// Which group.
    pub group_id: GroupId,
    /// Its stamp; the digest is left out.
    pub stamp: GroupStampView,
}

/// Answer of `GET /v1/peer/sites/{site_id}/groups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupStampsBody {
    /// All groups shared with that site.
    pub stamps: Vec<StampOfGroup>,
}

/// Body of `PUT /v1/peer/groups/{id}/forced`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerForcedGroupBody {
    /// Group, members, policy without tokens.
    #[schema(value_type = Object)]
    pub document: GroupDocument,
    /// In a conflict: the copy that the person gave up.
    pub instead_of: Option<GroupStampView>,
}

/// Answer of `PUT /v1/peer/operations/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerJournalBody {
    /// Number of the last entry that is here without a gap.
    pub last_seq: u64,
}

/// Body of `PUT /v1/peer/operations/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerOperationBody {
    /// Project at the receiving site.
    pub project_id: ProjectId,
    /// The record, as the sending core wrote it.
    #[schema(value_type = Object)]
    pub record: Value,
    /// The plan, with the first piece.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub plan: Option<Value>,
    /// Journal entries, in order.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub entries: Vec<Value>,
}

/// A delegation that is in force at the answering site.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PeerDelegation {
    /// The record.
    #[schema(value_type = Object)]
    pub delegation: Delegation,
    /// Keystone's id of the trust: only the site's own service user can use it.
    pub trust: String,
}

/// Answer of `GET /v1/peer/projects/{id}/delegations`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PeerDelegationsBody {
    /// Whoever called last comes first.
    pub delegations: Vec<PeerDelegation>,
}

impl Checked for PeerTenantMappingBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("peer", None);
    fn check(&self, _: &mut FieldErrors) {}
}

impl Checked for PeerGroupBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("peer", None);
    fn check(&self, errors: &mut FieldErrors) {
        errors.name("document.group.name", &self.document.group.name);
    }
}

impl Checked for PeerClaimBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("peer", None);
    fn check(&self, _: &mut FieldErrors) {}
}

impl Checked for PeerForcedGroupBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("peer", None);
    fn check(&self, errors: &mut FieldErrors) {
        errors.name("document.group.name", &self.document.group.name);
    }
}

impl Checked for PeerFencesBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("peer", None);
    fn check(&self, _: &mut FieldErrors) {}
}

impl Checked for PeerArrayTokenBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("peer", None);
    fn check(&self, errors: &mut FieldErrors) {
        errors.secret("token", &self.token);
    }
}

impl Checked for PeerOperationBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("peer", None);
    fn check(&self, errors: &mut FieldErrors) {
        if !self.record.is_object() {
            errors.wrong("record", "must be an object");
        }
    }
}
