//! What the API asks of the core, as a trait, so that tests can put a small core of their own behind it.

use async_trait::async_trait;
use protector_core::{Core, Page, PageRequest};
use protector_ports::{
    ClaimAnswer, ClaimRequest, DelegationHandover, GroupStamp, OperationPiece, PeerInfo,
    SiteHandover, TokenInfo, VolumeType,
};
use protector_types::{
    Fence, GroupDocument, GroupId, GroupStatus, Member, MemberId, OperationId, OperationType,
    ProjectId, Refusal, ReplicationPolicy, Secret, Site, SiteId, TenantMapping, TenantMappingId,
};

use crate::model::*;

macro_rules! core_api {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $kind:ty),*) -> $answer:ty;)+) => {
        /// The core's calls, one by one; [`Core`] is the product's implementation.
        #[async_trait]
        pub trait CoreApi: Send + Sync {
            /// What an action will be recorded as: a `failover` with `retain_primary` is a `test_failover`.
            fn resolve_action(&self, request: &ActionRequest) -> Result<OperationType, Refusal>;

            $($(#[$doc])* async fn $name(&self, $($arg: $kind),*) -> Result<$answer, Refusal>;)+
        }

        #[async_trait]
        impl CoreApi for Core {
            fn resolve_action(&self, request: &ActionRequest) -> Result<OperationType, Refusal> {
                protector_core::actions::resolve(request)
            }

            $(async fn $name(&self, $($arg: $kind),*) -> Result<$answer, Refusal> {
                Core::$name(self, $($arg),*).await
            })+
        }
    };
}

core_api! {
    /// Registers a site, and hands the record to the peer.
    fn register_site(site: NewSite) -> Site;
    /// All sites.
    fn list_sites(page: PageRequest) -> Page<Site>;
    /// One site.
    fn site(id: SiteId) -> Site;
    /// Changes a site.
    fn update_site(id: SiteId, change: SiteChange) -> Site;
    /// Removes a site that nothing uses.
    fn delete_site(id: SiteId) -> ();
    /// Proves by harmless calls that a site can be used.
    fn validate_site(id: SiteId) -> ValidationReport;
    /// Replication-enabled volume types of a site.
    fn site_volume_types(id: SiteId) -> Vec<VolumeType>;
    /// Pairs two projects.
    fn create_tenant_mapping(mapping: NewTenantMapping) -> TenantMapping;
    /// All tenant mappings.
    fn list_tenant_mappings(page: PageRequest) -> Page<TenantMapping>;
    /// One tenant mapping.
    fn tenant_mapping(id: TenantMappingId) -> TenantMapping;
    /// Removes a tenant mapping that no group uses.
    fn delete_tenant_mapping(id: TenantMappingId) -> ();
    /// Creates a group on both sites.
    fn create_group(caller: &Caller, project: &ProjectId, group: NewGroup) -> GroupDetail;
    /// The groups of a project.
    fn list_groups(project: &ProjectId, name: Option<String>, status: Option<GroupStatus>, page: PageRequest) -> Page<GroupDetail>;
    /// One group.
    fn group(project: &ProjectId, id: GroupId) -> GroupDetail;
    /// Changes a group.
    fn update_group(project: &ProjectId, id: GroupId, change: GroupChange, if_match: Option<u64>) -> GroupDetail;
    /// Deletes a group, never a volume.
    fn delete_group(project: &ProjectId, id: GroupId, if_match: Option<u64>) -> ();
    /// Deletes a group whose other site is lost for good, here alone.
    fn detach_group(caller: &Caller, project: &ProjectId, id: GroupId, if_match: Option<u64>) -> ();
    /// Puts a server into a group.
    fn add_member(project: &ProjectId, group: GroupId, server: &str) -> Member;
    /// The members of a group.
    fn list_members(project: &ProjectId, group: GroupId, page: PageRequest) -> Page<Member>;
    /// One member.
    fn member(project: &ProjectId, group: GroupId, id: MemberId) -> Member;
    /// Takes a server out of a group.
    fn remove_member(project: &ProjectId, group: GroupId, id: MemberId) -> ();
    /// Reads a member's server again.
    fn refresh_member(project: &ProjectId, group: GroupId, id: MemberId) -> Member;
    /// Sets or replaces a group's policy.
    fn set_policy(project: &ProjectId, group: GroupId, policy: NewPolicy) -> ReplicationPolicy;
    /// A group's policy.
    fn policy(project: &ProjectId, group: GroupId) -> ReplicationPolicy;
    /// Does what an action asks.
    fn act(caller: &Caller, project: &ProjectId, group: GroupId, request: ActionRequest) -> ActionAnswer;
    /// What an action would do.
    fn preview(project: &ProjectId, group: GroupId, request: ActionRequest) -> PlanPreview;
    /// The operations of a project.
    fn list_operations(project: &ProjectId, filter: OperationFilter, page: PageRequest) -> Page<OperationRecord>;
    /// One operation.
    fn operation(project: &ProjectId, id: OperationId) -> OperationRecord;
    /// The journal of an operation after an entry.
    fn operation_events(project: &ProjectId, id: OperationId, after_seq: u64, limit: u64) -> Vec<OperationEvent>;
    /// Do both sites hold the same document?
    fn sync_status(project: &ProjectId, group: GroupId) -> SyncStatus;
    /// Makes both sites hold the same document: the newer one, or after a conflict that of `from`.
    fn sync_force(caller: &Caller, project: &ProjectId, group: GroupId, from: Option<SiteId>) -> SyncStatus;
    /// The group's volumes.
    fn consistency_group(project: &ProjectId, group: GroupId) -> ConsistencyGroupDetail;
    /// The group's health.
    fn group_health(project: &ProjectId, group: GroupId) -> GroupHealth;
    /// This Protector's health.
    fn service_health() -> Vec<ComponentHealth>;
    /// Points on the target array, newest first.
    fn recovery_points(project: &ProjectId, group: GroupId) -> Vec<RecoveryPointDetail>;
    /// Who we are, for the peer.
    fn peer_info() -> PeerInfo;
    /// Takes a site's record from the peer.
    fn accept_site(handover: SiteHandover) -> ();
    /// Takes a tenant mapping from the peer.
    fn accept_tenant_mapping(mapping: TenantMapping) -> ();
    /// The peer removed a tenant mapping.
    fn drop_tenant_mapping(id: TenantMappingId) -> ();
    /// Takes a newer group document.
    fn accept_group(document: GroupDocument) -> GroupStamp;
    /// What our copy of a group is.
    fn group_stamp(id: GroupId) -> GroupStamp;
    /// Our copies of the groups shared with a site.
    fn group_stamps(with: SiteId) -> Vec<(GroupId, GroupStamp)>;
    /// Our whole copy of a group, for the peer.
    fn show_document(id: GroupId) -> GroupDocument;
    /// Takes a document because a person says so.
    fn accept_forced_group(document: GroupDocument, instead_of: Option<GroupStamp>) -> GroupStamp;
    /// Our claim for the peer.
    fn grant_claim(group: GroupId, request: ClaimRequest) -> ClaimAnswer;
    /// The peer gives our claim back.
    fn free_claim(group: GroupId, operation: OperationId) -> ();
    /// The peer removed a group.
    fn drop_group(id: GroupId) -> ();
    /// Takes fence records from the peer.
    fn accept_fences(group: GroupId, fences: Vec<Fence>) -> ();
    /// Takes an array's token, once.
    fn accept_array_token(group: GroupId, site: SiteId, token: Secret) -> ();
    /// Takes a piece of an operation that the peer drives.
    fn accept_operation(id: OperationId, piece: OperationPiece) -> u64;
    /// The delegations of a project that are in force at our own site, for the peer.
    fn delegations_for_peer(project: ProjectId) -> Vec<DelegationHandover>;
    /// A user who may change things has called: lets us make a trust.
    fn note_caller(caller: &Caller, project: &ProjectId, token: &Secret, from_application_credential: bool) -> ();
    /// Who a token belongs to, by the local site's Keystone.
    fn authenticate(token: &Secret) -> TokenInfo;
}
