//! `/v1/peer/...`: site to site only.

use protector_types::{Delegation, Fence, GroupDocument, ProjectId, Secret, SiteId, TenantMapping};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{Checked, FieldErrors, body::secret};

/// What a Protector says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerInfoView {
    /// Its own site.
    pub site_id: SiteId,
    /// Its name.
    pub site_name: String,
    /// Newest microversion.
    pub version: String,
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
    /// Epoch number.
    pub epoch: u64,
    /// Who raised it.
    pub raised_by: SiteId,
    /// Version.
    pub version: u64,
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

/// Body of `PUT /v1/peer/operations/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerOperationBody {
    /// Project at the receiving site.
    pub project_id: ProjectId,
    /// The record, as the sending core wrote it.
    #[schema(value_type = Object)]
    pub record: Value,
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
