//! Requests to and answers from the core, transport-free. `api` converts wire bodies to and from these.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use protector_types::{
    Action, GroupId, Mapping, Mappings, Member, OperationId, OperationStatus, OperationType,
    ProjectId, ProtectionGroup, ReplicationPolicy, ReplicationType, Retention, Secret, SiteId,
    SyncState,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::preview::{
    PlanPreview, PreviewMember, PreviewPoint, PreviewQuota, PreviewStage, PreviewStep,
};

/// Who asks, after authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `req-...`, also in log lines and journal entries.
    pub request_id: String,
    /// User id.
    pub user_id: String,
    /// User name.
    pub user_name: String,
    /// Project of the token.
    pub project_id: Option<ProjectId>,
    /// Role names.
    pub roles: Vec<String>,
}

/// `POST /v1/admin/sites`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSite {
    /// Unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Keystone v3.
    pub auth_url: String,
    /// Region.
    pub region_name: Option<String>,
    /// Our API there; `None`: from the catalog.
    pub protector_url: Option<String>,
    /// Service user.
    pub username: Option<String>,
    /// Its password, or the application credential's secret.
    pub password: Secret,
    /// Application credential instead of a user.
    pub application_credential_id: Option<String>,
    /// Its project.
    pub project_name: Option<String>,
    /// Domain of the user.
    pub user_domain_name: String,
    /// Domain of the project.
    pub project_domain_name: String,
    /// PEM.
    pub ca_cert: Option<String>,
    /// Do not check certificates.
    pub insecure: bool,
    /// The site that this Protector runs in.
    pub is_local: bool,
    /// `host@backend#pool`.
    pub cinder_host: Option<String>,
}

/// `PATCH /v1/admin/sites/{id}`: what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteChange {
    /// New name.
    pub name: Option<String>,
    /// New text.
    pub description: Option<String>,
    /// New Keystone URL.
    pub auth_url: Option<String>,
    /// New region.
    pub region_name: Option<String>,
    /// New API URL.
    pub protector_url: Option<String>,
    /// New user.
    pub username: Option<String>,
    /// New password.
    pub password: Option<Secret>,
    /// New project.
    pub project_name: Option<String>,
    /// New domain.
    pub user_domain_name: Option<String>,
    /// New domain.
    pub project_domain_name: Option<String>,
    /// New certificates.
    pub ca_cert: Option<String>,
    /// New.
    pub insecure: Option<bool>,
    /// New.
    pub cinder_host: Option<String>,
}

/// One line of a validation report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// `keystone`, `cinder.manage_policy`, ...
    pub name: String,
    /// Passed.
    pub ok: bool,
    /// What was seen.
    pub reason: String,
    /// What to do, if not ok.
    pub fix: Option<String>,
    /// It works, but is unwise.
    pub warning: bool,
}

/// `POST /v1/admin/sites/{id}/validate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// Which site.
    pub site_id: SiteId,
    /// All checks ok.
    pub ok: bool,
    /// When.
    pub observed_at: DateTime<Utc>,
    /// One by one.
    pub checks: Vec<Check>,
}

/// A project by id, or by name and domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectRef {
    /// Id.
    Id(ProjectId),
    /// Name and domain name.
    Name {
        /// Name.
        name: String,
        /// Domain name.
        domain: String,
    },
}

/// `POST /v1/admin/tenant-mappings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTenantMapping {
    /// One site.
    pub primary_site_id: SiteId,
    /// Its project.
    pub primary_project: ProjectRef,
    /// The other.
    pub secondary_site_id: SiteId,
    /// Its project.
    pub secondary_project: ProjectRef,
}

/// `POST /v1/{tenant_id}/protection-groups`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// Unique in the project.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Immutable.
    pub replication_type: ReplicationType,
    /// `None`: the local site.
    pub primary_site_id: Option<SiteId>,
    /// `None`: the site that the project is mapped to.
    pub secondary_site_id: Option<SiteId>,
    /// Id or name; `None`: matched by extra specs.
    pub primary_volume_type: Option<String>,
    /// Id or name; `None`: matched by extra specs.
    pub secondary_volume_type: Option<String>,
    /// Standing mappings.
    pub mappings: Mappings,
}

/// `PATCH .../{pg_id}`: what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// New name.
    pub name: Option<String>,
    /// New text.
    pub description: Option<String>,
    /// Replaces the mapping.
    pub network_mapping: Option<Mapping>,
    /// Replaces the mapping.
    pub flavor_mapping: Option<Mapping>,
    /// Replaces the mapping.
    pub image_mapping: Option<Mapping>,
    /// Replaces the mapping.
    pub security_group_mapping: Option<Mapping>,
    /// Replaces the mapping.
    pub keypair_mapping: Option<Mapping>,
}

/// `POST .../{pg_id}/policy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicy {
    /// Array of the group's primary site.
    pub primary_fa_url: String,
    /// Its token; `None` keeps the stored one.
    pub primary_fa_api_token: Option<Secret>,
    /// Array of the group's secondary site.
    pub secondary_fa_url: String,
    /// Its token; `None` keeps the stored one.
    pub secondary_fa_api_token: Option<Secret>,
    /// Seconds; the array's floor is 300.
    pub replication_interval: u64,
    /// RPO target.
    pub rpo_minutes: Option<u64>,
    /// Kept on the target.
    pub retention: Retention,
}

/// A group with what is shown beside its own record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDetail {
    /// The record.
    pub group: ProtectionGroup,
    /// Its members.
    pub members: Vec<Member>,
    /// Its policy, if set.
    pub policy: Option<ReplicationPolicy>,
}

/// The consistency group: its volumes, the array names on both sites, the newest usable point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyGroupDetail {
    /// Of this group.
    pub group_id: GroupId,
    /// `protector-<pg id>`.
    pub array_group: String,
    /// Array per site, by name.
    pub arrays: BTreeMap<SiteId, String>,
    /// Volumes in member order.
    pub volumes: Vec<ConsistencyVolume>,
    /// Newest usable point on the other site's array, with its source time.
    pub newest_point: Option<(String, DateTime<Utc>)>,
    /// When the point was looked for, and why it is missing if it could not be.
    pub observed_at: Option<DateTime<Utc>>,
    /// Why there is no point.
    pub reason: Option<String>,
}

/// One volume of a consistency group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyVolume {
    /// Member by name.
    pub member: String,
    /// `/dev/vda`.
    pub device: String,
    /// GiB.
    pub size_gib: u64,
    /// Cinder id per site.
    pub volume_ids: BTreeMap<SiteId, String>,
    /// Array volume per site.
    pub array_volumes: BTreeMap<SiteId, String>,
}

/// Parameters of an action, as the founding document names them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionParams {
    /// Current primary -> target.
    pub network_mapping: Mapping,
    /// Current primary -> target.
    pub flavor_mapping: Mapping,
    /// Bypass the peer check.
    pub force: bool,
    /// Drill: leave the primary running.
    pub retain_primary: bool,
    /// Failback: replicate again afterwards.
    pub reverse_replication: bool,
    /// A chosen group-consistent point, by name (1.3).
    pub recovery_point: Option<String>,
    /// Forced failover: leave out members whose mappings do not resolve (1.3).
    pub allow_partial: bool,
    /// Run only if this is still the plan (1.3).
    pub plan_hash: Option<String>,
    /// Drill: keep addresses and MACs also on mapped networks (1.3).
    pub preserve_addresses: bool,
    /// `cancel`, `retry`, `skip`, `abandon`: which operation; `None`: the group's current or last failed one (1.3).
    pub operation_id: Option<OperationId>,
    /// `skip`: which step (1.3).
    pub step: Option<String>,
    /// `skip`, `abandon`: why (1.3).
    pub reason: Option<String>,
    /// `reset_status`: to which status (1.3).
    pub status: Option<protector_types::GroupStatus>,
}

/// `POST .../{pg_id}/action` after resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRequest {
    /// What was asked.
    pub action: Action,
    /// With what.
    pub params: ActionParams,
    /// `Idempotency-Key`, with the digest of the body.
    pub idempotency: Option<(String, String)>,
}

/// What an action leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionAnswer {
    /// An operation that was started or spoken to.
    Operation(Box<OperationRecord>),
    /// A change of the group itself.
    Group {
        /// As it is now.
        detail: Box<GroupDetail>,
        /// What a person should know.
        warnings: Vec<String>,
    },
}

impl ActionAnswer {
    /// An operation.
    pub fn operation(record: OperationRecord) -> Self {
        Self::Operation(Box::new(record))
    }
}

/// A group-consistent point with what it is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryPointDetail {
    /// As the target array lists it.
    pub point: protector_ports::RecoveryPoint,
    /// Why a failover cannot use it; `None`: it can.
    pub unusable: Option<String>,
    /// How old its data is.
    pub age_seconds: u64,
    /// Size of the group's volumes in it, in GiB.
    pub size_gib: u64,
}

/// Filters of the operations list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// Of this group.
    pub protection_group_id: Option<GroupId>,
    /// Of this type.
    pub operation_type: Option<OperationType>,
    /// In this status.
    pub status: Option<OperationStatus>,
    /// Started at or after.
    pub since: Option<DateTime<Utc>>,
}

/// An operation as clients see it (all versions' fields; `api` hides what is newer than asked for).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationRecord {
    /// `op-...`.
    pub id: OperationId,
    /// What it does.
    pub operation_type: OperationType,
    /// Status.
    pub status: OperationStatus,
    /// 0-100.
    pub progress: u8,
    /// Its group.
    pub protection_group_id: GroupId,
    /// Project at this site.
    pub project_id: ProjectId,
    /// From.
    pub source_site_id: SiteId,
    /// To.
    pub target_site_id: SiteId,
    /// When it was accepted.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// For a person.
    pub error_message: Option<String>,
    /// Stage names.
    pub steps_completed: Vec<String>,
    /// What failed.
    pub steps_failed: Vec<protector_workflow::StepFailure>,
    /// What came of it.
    pub result_data: Option<Value>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Progress per stage.
    pub stages: Vec<protector_workflow::StageView>,
    /// Who asked.
    pub user_id: String,
    /// The call that started it.
    pub request_id: String,
    /// The ended operation that this one repeats.
    pub retry_of: Option<OperationId>,
}

/// One journal entry as a client sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// From 1.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// `started`, `done`, `failed` ...
    pub event: String,
    /// Step id, if it is about one.
    pub step: Option<String>,
    /// Stage of that step.
    pub stage: Option<String>,
    /// Member by name.
    pub member: Option<String>,
    /// For a person.
    pub message: String,
}

/// `GET .../{pg_id}/sync-status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStatus {
    /// In which state the two copies are.
    pub status: SyncState,
    /// Ours.
    pub local_version: u64,
    /// The peer's, if known.
    pub remote_version: Option<u64>,
    /// Ours.
    pub local_epoch: u64,
    /// The peer's, if known.
    pub remote_epoch: Option<u64>,
    /// Last confirmed push.
    pub last_synced_at: Option<DateTime<Utc>>,
    /// When the peer was asked.
    pub observed_at: DateTime<Utc>,
    /// Why it is not IN SYNC.
    pub reason: Option<String>,
}

/// Health of one component or group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentHealth {
    /// `database`, `site:site-b`, `engine` ...
    pub name: String,
    /// `ok`, `degraded`, `down`, `unknown`.
    pub status: String,
    /// Why.
    pub reason: Option<String>,
    /// When it was looked at.
    pub observed_at: DateTime<Utc>,
}

/// In whose name we act in a group's project at one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActingHealth {
    /// Which site.
    pub site_id: SiteId,
    /// `trust`, `service_user` or `unknown`.
    pub acts_as: String,
    /// Whose name, with a trust.
    pub user_name: Option<String>,
    /// Why it is not a user's.
    pub reason: Option<String>,
    /// When it was looked at.
    pub observed_at: DateTime<Utc>,
}

/// `GET .../{pg_id}/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupHealth {
    /// Which group.
    pub group_id: GroupId,
    /// Array link, as the source array sees it.
    pub link: ComponentHealth,
    /// Age of the newest usable point in seconds.
    pub lag_seconds: Option<u64>,
    /// Lag within `rpo_minutes`; `None`: no target or not known.
    pub rpo_compliant: Option<bool>,
    /// Metadata.
    pub sync_status: SyncState,
    /// A failover started now would be accepted.
    pub failover_ready: bool,
    /// Why not, per member or part.
    pub reasons: Vec<String>,
    /// In whose name we act, per site.
    pub acting: Vec<ActingHealth>,
    /// When.
    pub observed_at: DateTime<Utc>,
}
