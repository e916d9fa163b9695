//! A core without a world behind it: two sites, one group with one member, one finished operation.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;
use protector_api::{CoreApi, OperationCounts};
use protector_core::*;
use protector_ports::{
    ClaimAnswer, ClaimRequest, DelegationHandover, GroupStamp, OperationPiece, PeerInfo,
    RecoveryPoint, SiteHandover, TokenInfo, VolumeType,
};
use protector_types::*;
use serde_json::Value;

use crate::support::start;

pub use crate::fixtures::*;

/// What the core was asked.
#[derive(Default)]
pub struct Seen {
    pub authenticated: usize,
    pub actions: Vec<(Caller, ActionRequest)>,
    pub pages: Vec<PageRequest>,
    pub operation_filters: Vec<OperationFilter>,
    pub sites: Vec<NewSite>,
    pub policies: Vec<NewPolicy>,
    pub groups: Vec<NewGroup>,
    pub changes: Vec<(GroupChange, Option<u64>)>,
    pub deleted: Vec<Option<u64>>,
    pub servers: Vec<String>,
    pub detached: usize,
    pub tokens: Vec<(GroupId, SiteId, String)>,
    pub handovers: Vec<SiteHandover>,
    pub records: Vec<(ProjectId, Value)>,
    pub forced_from: Vec<Option<SiteId>>,
    /// User, project, token, and whether an application credential made it.
    pub callers: Vec<(String, ProjectId, String, bool)>,
}

pub struct FakeCore {
    pub seen: Mutex<Seen>,
    /// The next action, or the next look at the service, ends so.
    pub refusal: Mutex<Option<Refusal>>,
    pub record: Mutex<OperationRecord>,
    pub events: Mutex<Vec<OperationEvent>>,
    /// User id of a token that was revoked.
    pub revoked: Mutex<Option<String>>,
    pub database: Mutex<&'static str>,
    pub has_policy: Mutex<bool>,
    pub panics: Mutex<bool>,
}

impl FakeCore {
    pub fn new() -> Self {
        Self {
            seen: Mutex::default(),
            refusal: Mutex::default(),
            record: Mutex::new(record()),
            events: Mutex::new((1..=5).map(event).collect()),
            revoked: Mutex::default(),
            database: Mutex::new("ok"),
            has_policy: Mutex::new(true),
            panics: Mutex::new(false),
        }
    }

    fn refused(&self) -> Result<(), Refusal> {
        self.refusal.lock().take().map_or(Ok(()), Err)
    }

    /// One item that claims to have more behind it; nothing after it.
    fn page<T>(&self, request: PageRequest, item: T, id: String) -> Page<T> {
        let is_after = request.marker.as_deref() == Some(id.as_str());
        self.seen.lock().pages.push(request);
        match is_after {
            true => Page { items: Vec::new(), more: false },
            false => Page { items: vec![item], more: true },
        }
    }

    fn own(&self, project: &ProjectId, id: GroupId) -> Result<GroupDetail, Refusal> {
        if project.as_str() != PROJECT || id != group_id() {
            return Err(Refusal::new(
                Code::NotFound,
                format!("Protection group {id} does not exist"),
            ));
        }
        let policy = self.has_policy.lock().then(policy);
        Ok(GroupDetail { group: group(), members: vec![member()], policy })
    }
}

#[async_trait]
impl CoreApi for FakeCore {
    fn resolve_action(&self, request: &ActionRequest) -> Result<OperationType, Refusal> {
        protector_core::actions::resolve(request)
    }

    async fn sync_force(
        &self,
        _: &Caller,
        project: &ProjectId,
        id: GroupId,
        from: Option<SiteId>,
    ) -> Result<SyncStatus, Refusal> {
        self.own(project, id)?;
        self.seen.lock().forced_from.push(from);
        Ok(sync())
    }

    async fn register_site(&self, new: NewSite) -> Result<Site, Refusal> {
        self.refused()?;
        self.seen.lock().sites.push(new);
        Ok(site())
    }
    async fn list_sites(&self, page: PageRequest) -> Result<Page<Site>, Refusal> {
        Ok(self.page(page, site(), site_b().to_string()))
    }
    async fn site(&self, id: SiteId) -> Result<Site, Refusal> {
        let missing = || Refusal::new(Code::NotFound, format!("Site {id} does not exist"));
        (id == site_b()).then(site).ok_or_else(missing)
    }
    async fn update_site(&self, id: SiteId, _: SiteChange) -> Result<Site, Refusal> {
        self.site(id).await
    }
    async fn delete_site(&self, id: SiteId) -> Result<(), Refusal> {
        self.site(id).await.map(drop)
    }
    async fn validate_site(&self, id: SiteId) -> Result<ValidationReport, Refusal> {
        let check = Check {
            name: "keystone".into(),
            ok: false,
            reason: "401".into(),
            fix: Some("check the password".into()),
            warning: false,
        };
        Ok(ValidationReport { site_id: id, ok: false, observed_at: start(), checks: vec![check] })
    }
    async fn site_volume_types(&self, _: SiteId) -> Result<Vec<VolumeType>, Refusal> {
        Ok(vec![VolumeType { id: "t".into(), name: "gold".into(), ..VolumeType::default() }])
    }
    async fn create_tenant_mapping(&self, _: NewTenantMapping) -> Result<TenantMapping, Refusal> {
        Ok(mapping())
    }
    async fn list_tenant_mappings(
        &self,
        page: PageRequest,
    ) -> Result<Page<TenantMapping>, Refusal> {
        self.seen.lock().pages.push(page);
        Ok(Page { items: vec![mapping()], more: false })
    }
    async fn tenant_mapping(&self, _: TenantMappingId) -> Result<TenantMapping, Refusal> {
        Ok(mapping())
    }
    async fn delete_tenant_mapping(&self, _: TenantMappingId) -> Result<(), Refusal> {
        Ok(())
    }
    async fn create_group(
        &self,
        _: &Caller,
        project: &ProjectId,
        new: NewGroup,
    ) -> Result<GroupDetail, Refusal> {
        self.seen.lock().groups.push(new);
        self.own(project, group_id())
    }
    async fn list_groups(
        &self,
        project: &ProjectId,
        _: Option<String>,
        _: Option<GroupStatus>,
        page: PageRequest,
    ) -> Result<Page<GroupDetail>, Refusal> {
        let detail = self.own(project, group_id())?;
        Ok(self.page(page, detail, group_id().to_string()))
    }
    async fn group(&self, project: &ProjectId, id: GroupId) -> Result<GroupDetail, Refusal> {
        assert!(!*self.panics.lock(), "planted");
        self.own(project, id)
    }
    async fn update_group(
        &self,
        project: &ProjectId,
        id: GroupId,
        change: GroupChange,
        if_match: Option<u64>,
    ) -> Result<GroupDetail, Refusal> {
        self.seen.lock().changes.push((change, if_match));
        self.own(project, id)
    }
    async fn delete_group(
        &self,
        project: &ProjectId,
        id: GroupId,
        if_match: Option<u64>,
    ) -> Result<(), Refusal> {
        self.seen.lock().deleted.push(if_match);
        self.own(project, id).map(drop)
    }
    async fn detach_group(
        &self,
        _: &Caller,
        project: &ProjectId,
        id: GroupId,
        _: Option<u64>,
    ) -> Result<(), Refusal> {
        self.own(project, id)?;
        self.seen.lock().detached += 1;
        Ok(())
    }
    async fn add_member(
        &self,
        project: &ProjectId,
        id: GroupId,
        server: &str,
    ) -> Result<Member, Refusal> {
        self.own(project, id)?;
        self.refused()?;
        self.seen.lock().servers.push(server.into());
        Ok(member())
    }
    async fn list_members(
        &self,
        _: &ProjectId,
        _: GroupId,
        page: PageRequest,
    ) -> Result<Page<Member>, Refusal> {
        self.seen.lock().pages.push(page);
        Ok(Page { items: vec![member()], more: false })
    }
    async fn member(&self, _: &ProjectId, _: GroupId, id: MemberId) -> Result<Member, Refusal> {
        let missing = || Refusal::new(Code::NotFound, format!("Member {id} does not exist"));
        (id == member_id()).then(member).ok_or_else(missing)
    }
    async fn remove_member(
        &self,
        project: &ProjectId,
        group: GroupId,
        id: MemberId,
    ) -> Result<(), Refusal> {
        self.member(project, group, id).await.map(drop)
    }
    async fn refresh_member(
        &self,
        project: &ProjectId,
        group: GroupId,
        id: MemberId,
    ) -> Result<Member, Refusal> {
        self.member(project, group, id).await
    }
    async fn set_policy(
        &self,
        _: &ProjectId,
        _: GroupId,
        new: NewPolicy,
    ) -> Result<ReplicationPolicy, Refusal> {
        self.seen.lock().policies.push(new);
        Ok(policy())
    }
    async fn policy(&self, _: &ProjectId, _: GroupId) -> Result<ReplicationPolicy, Refusal> {
        Ok(policy())
    }
    async fn act(
        &self,
        caller: &Caller,
        project: &ProjectId,
        id: GroupId,
        request: ActionRequest,
    ) -> Result<ActionAnswer, Refusal> {
        self.refused()?;
        if request.action == Action::ResetStatus {
            let detail = Box::new(self.own(project, id)?);
            return Ok(ActionAnswer::Group { detail, warnings: vec!["look at it".into()] });
        }
        let operation_type = match request.action {
            Action::Cancel | Action::Retry | Action::Skip | Action::Abandon => {
                OperationType::Failover
            }
            Action::Takeover | Action::ReleaseQuarantine => OperationType::Failover,
            _ => self.resolve_action(&request)?,
        };
        self.seen.lock().actions.push((caller.clone(), request));
        let mut new = record();
        new.operation_type = operation_type;
        new.status = OperationStatus::Running;
        new.progress = 0;
        new.completed_at = None;
        new.steps_completed.clear();
        new.steps_failed.clear();
        new.result_data = None;
        Ok(ActionAnswer::operation(new))
    }
    async fn preview(
        &self,
        project: &ProjectId,
        id: GroupId,
        request: ActionRequest,
    ) -> Result<PlanPreview, Refusal> {
        self.own(project, id)?;
        self.refused()?;
        Ok(plan_preview(self.resolve_action(&request)?))
    }
    async fn list_operations(
        &self,
        _: &ProjectId,
        filter: OperationFilter,
        page: PageRequest,
    ) -> Result<Page<OperationRecord>, Refusal> {
        self.seen.lock().operation_filters.push(filter);
        Ok(self.page(page, self.record.lock().clone(), operation_id().to_string()))
    }
    async fn operation(
        &self,
        project: &ProjectId,
        id: OperationId,
    ) -> Result<OperationRecord, Refusal> {
        if project.as_str() != PROJECT || id != operation_id() {
            return Err(Refusal::new(Code::NotFound, format!("Operation {id} does not exist")));
        }
        Ok(self.record.lock().clone())
    }
    async fn operation_events(
        &self,
        _: &ProjectId,
        _: OperationId,
        after: u64,
        limit: u64,
    ) -> Result<Vec<OperationEvent>, Refusal> {
        let events = self.events.lock();
        let limit = usize::try_from(limit).unwrap();
        Ok(events.iter().filter(|e| e.seq > after).take(limit).cloned().collect())
    }
    async fn sync_status(&self, _: &ProjectId, _: GroupId) -> Result<SyncStatus, Refusal> {
        Ok(sync())
    }
    async fn consistency_group(
        &self,
        _: &ProjectId,
        id: GroupId,
    ) -> Result<ConsistencyGroupDetail, Refusal> {
        Ok(ConsistencyGroupDetail {
            group_id: id,
            array_group: format!("protector-{id}"),
            arrays: [(site_a(), "fa-a".into())].into(),
            volumes: Vec::new(),
            newest_point: Some(("fa-a:protector.1".into(), start())),
            observed_at: Some(start()),
            reason: None,
        })
    }
    async fn group_health(&self, _: &ProjectId, id: GroupId) -> Result<GroupHealth, Refusal> {
        Ok(GroupHealth {
            group_id: id,
            link: component("link", "ok"),
            lag_seconds: Some(60),
            rpo_compliant: Some(true),
            sync_status: SyncState::InSync,
            failover_ready: true,
            reasons: vec!["nothing".into()],
            acting: vec![ActingHealth {
                site_id: site_a(),
                acts_as: "trust".into(),
                user_name: Some("ann".into()),
                reason: None,
                observed_at: start(),
            }],
            observed_at: start(),
        })
    }
    async fn service_health(&self) -> Result<Vec<ComponentHealth>, Refusal> {
        self.refused()?;
        Ok(vec![component("database", *self.database.lock()), component("site:site-b", "unknown")])
    }
    async fn recovery_points(
        &self,
        _: &ProjectId,
        _: GroupId,
    ) -> Result<Vec<RecoveryPointDetail>, Refusal> {
        let point = RecoveryPoint {
            name: "fa-a:protector.1".into(),
            created: start(),
            completed: None,
            progress_milli: 505,
            volumes: ["v".to_owned()].into(),
        };
        let unusable = Some("its transfer to the target array is not complete".into());
        let older = RecoveryPoint {
            name: "fa-a:protector.0".into(),
            created: start() - chrono::TimeDelta::minutes(5),
            completed: Some(start()),
            progress_milli: 1000,
            ..point.clone()
        };
        let detail = |point, unusable| RecoveryPointDetail {
            point,
            unusable,
            age_seconds: 60,
            size_gib: 20,
        };
        Ok(vec![detail(point, unusable), detail(older, None)])
    }
    async fn peer_info(&self) -> Result<PeerInfo, Refusal> {
        Ok(PeerInfo {
            site_id: site_a(),
            site_name: "site-a".into(),
            version: "1.3".into(),
            now: start(),
            sees: Vec::new(),
        })
    }
    async fn accept_site(&self, handover: SiteHandover) -> Result<(), Refusal> {
        self.seen.lock().handovers.push(handover);
        Ok(())
    }
    async fn accept_tenant_mapping(&self, _: TenantMapping) -> Result<(), Refusal> {
        Ok(())
    }
    async fn drop_tenant_mapping(&self, _: TenantMappingId) -> Result<(), Refusal> {
        Ok(())
    }
    async fn accept_group(&self, _: GroupDocument) -> Result<GroupStamp, Refusal> {
        self.refused()?;
        Ok(stamp())
    }
    async fn group_stamp(&self, _: GroupId) -> Result<GroupStamp, Refusal> {
        Ok(stamp())
    }
    async fn drop_group(&self, _: GroupId) -> Result<(), Refusal> {
        Ok(())
    }
    async fn accept_fences(&self, _: GroupId, _: Vec<Fence>) -> Result<(), Refusal> {
        Ok(())
    }

    async fn accept_array_token(
        &self,
        group: GroupId,
        site: SiteId,
        token: Secret,
    ) -> Result<(), Refusal> {
        self.seen.lock().tokens.push((group, site, token.expose().into()));
        Ok(())
    }
    async fn group_stamps(&self, _: SiteId) -> Result<Vec<(GroupId, GroupStamp)>, Refusal> {
        Ok(vec![(group().id, stamp())])
    }
    async fn show_document(&self, _: GroupId) -> Result<GroupDocument, Refusal> {
        Ok(GroupDocument { group: group(), members: Vec::new(), policy: None })
    }
    async fn accept_forced_group(
        &self,
        _: GroupDocument,
        _: Option<GroupStamp>,
    ) -> Result<GroupStamp, Refusal> {
        Ok(stamp())
    }
    async fn grant_claim(&self, _: GroupId, request: ClaimRequest) -> Result<ClaimAnswer, Refusal> {
        Ok(ClaimAnswer {
            granted: true,
            operation_id: Some(request.operation_id),
            holder_site_id: Some(request.holder_site_id),
            reason: None,
            stamp: Some(stamp()),
        })
    }
    async fn free_claim(&self, _: GroupId, _: OperationId) -> Result<(), Refusal> {
        Ok(())
    }
    async fn accept_operation(
        &self,
        _: OperationId,
        piece: OperationPiece,
    ) -> Result<u64, Refusal> {
        self.seen.lock().records.push((piece.project_id, piece.record));
        Ok(0)
    }
    async fn delegations_for_peer(
        &self,
        project: ProjectId,
    ) -> Result<Vec<DelegationHandover>, Refusal> {
        let delegation = Delegation {
            site_id: site_a(),
            project_id: project,
            user_id: "u1".into(),
            user_name: "ann".into(),
            state: DelegationState::InForce,
            reason: None,
            used_at: start(),
            observed_at: start(),
        };
        Ok(vec![DelegationHandover { delegation, trust: Secret::new("trust-1") }])
    }
    async fn note_caller(
        &self,
        caller: &Caller,
        project: &ProjectId,
        token: &Secret,
        from_application_credential: bool,
    ) -> Result<(), Refusal> {
        let token = token.expose().to_owned();
        let noted = (caller.user_id.clone(), project.clone(), token, from_application_credential);
        self.seen.lock().callers.push(noted);
        Ok(())
    }
    async fn authenticate(&self, text: &Secret) -> Result<TokenInfo, Refusal> {
        self.seen.lock().authenticated += 1;
        let later = start() + chrono::Duration::hours(1);
        let info = match text.expose() {
            "member" => token("user-1", Some(PROJECT), &["member", "reader"], later),
            "reader" => token("user-2", Some(PROJECT), &["reader"], later),
            "nobody" => token("user-3", Some(PROJECT), &["some_role"], later),
            "foreign" => token("user-4", Some(OTHER_PROJECT), &["member", "reader"], later),
            "unscoped" => token("user-4", None, &["member", "reader"], later),
            "admin" => token("root", Some("admin-project"), &["admin", "member", "reader"], later),
            "service" => token("protector", Some("service-project"), &["service"], later),
            "brief" => token(
                "user-1",
                Some(PROJECT),
                &["member", "reader"],
                start() + chrono::Duration::seconds(30),
            ),
            "expired" => token("user-1", Some(PROJECT), &["member", "reader"], start()),
            "keystone-down" => {
                return Err(Refusal::new(Code::Unavailable, "Keystone does not answer"));
            }
            _ => return Err(Refusal::new(Code::Unauthenticated, "The token is not valid")),
        };
        if self.revoked.lock().as_deref() == Some(info.user_id.as_str()) {
            return Err(Refusal::new(Code::Unauthenticated, "The token is not valid"));
        }
        Ok(info)
    }
}

#[async_trait]
impl OperationCounts for FakeCore {
    async fn count_operations(
        &self,
    ) -> Result<BTreeMap<(OperationType, OperationStatus), u64>, Refusal> {
        Ok([((OperationType::Failover, OperationStatus::Running), 2)].into())
    }
}
