//! Accepting an action: resolve it, check state, peer and metadata, plan, and store operation and plan in one
//! transaction that claims the group. Refusals change nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use protector_store::{Accepted, GroupGate, NewOperation, OperationRow, Scope};
use protector_types::{
    Action, Code, GroupDocument, GroupId, GroupStatus, OperationId, OperationType, ProjectId,
    ProtectionGroup, Refusal, SiteId, SyncState, action_rule,
};
use protector_workflow::{Journal as _, Plan, State};

use crate::{
    ActionAnswer, ActionParams, ActionRequest, Caller, Core, OperationRecord, PlanPreview,
    PlanRequest,
    admission::{self, Situation},
    errors, health,
    operations::record,
    preview,
};

/// What a forced failover ends, running or parked.
const SUPERSEDED: [OperationType; 3] =
    [OperationType::TestFailover, OperationType::TestCleanup, OperationType::SyncVolumes];

/// How often a start is planned anew because the group has changed meanwhile.
const STALE: usize = 3;

/// How long a request waits for its plan; larger groups are accepted as `pending`, and the engine plans.
const PLANNING_PATIENCE: Duration = Duration::from_secs(10);

/// The operation type that an action means (1-product.md section 5). Pure.
///
/// # Errors
/// RequestInvalidValue for parameters that do not go together or belong to another action.
pub fn resolve(request: &ActionRequest) -> Result<OperationType, Refusal> {
    let params = &request.params;
    let bad = |message: String| Err(Refusal::new(Code::RequestInvalidValue, message));
    let operation = match request.action {
        Action::Failover if params.retain_primary && params.force => {
            return bad("force, retain_primary: a drill cannot be forced".into());
        }
        Action::Failover if params.retain_primary => OperationType::TestFailover,
        Action::Failover => OperationType::Failover,
        Action::Failback => OperationType::Failback,
        Action::TestFailover => OperationType::TestFailover,
        Action::TestCleanup => OperationType::TestCleanup,
        Action::SyncVolumes => OperationType::SyncVolumes,
        Action::Reprotect => OperationType::Reprotect,
        other => {
            return bad(format!("{other}: starts no operation of its own"));
        }
    };
    if params.recovery_point.is_some() && operation == OperationType::Failover && !params.force {
        return bad(
            "recovery_point: a planned failover always takes a final snapshot, so that nothing is lost; choose a point \
             for a forced failover or a drill"
                .into(),
        );
    }
    if params.force && operation != OperationType::Failover {
        return bad(format!("force: not a parameter of {}", request.action));
    }
    if params.allow_partial && !params.force {
        return bad(
            "allow_partial: only together with force; without it every member is moved".into()
        );
    }
    if params.preserve_addresses && operation != OperationType::TestFailover {
        return bad(
            "preserve_addresses: only for a drill; a failover keeps addresses by itself".into()
        );
    }
    Ok(operation)
}

/// What is to be started, after resolution.
#[derive(Clone)]
pub(crate) struct Start {
    /// Resolved type.
    pub operation: OperationType,
    /// With what.
    pub params: ActionParams,
    /// The ended operation that this one repeats.
    pub retried: Option<OperationRow>,
}

/// A start that may be made now, with its plan.
struct Ready {
    id: OperationId,
    document: GroupDocument,
    /// It ends an operation that is lost.
    lost: bool,
    /// `None`: gathering facts takes longer than a request may.
    plan: Option<Plan>,
}

impl Core {
    /// Does what an action asks: starts an operation, or speaks to one.
    ///
    /// # Errors
    /// As [`Core::start_operation`], [`Core::ask`] and [`Core::reset_status`].
    pub async fn act(
        &self,
        caller: &Caller,
        project: &ProjectId,
        id: GroupId,
        request: ActionRequest,
    ) -> Result<ActionAnswer, Refusal> {
        match request.action {
            Action::Cancel | Action::Retry | Action::Skip | Action::Abandon => {
                self.ask(caller, project, id, request).await.map(ActionAnswer::operation)
            }
            Action::ResetStatus => self.reset_status(caller, project, id, &request.params).await,
            Action::Takeover => {
                let taken = self.take_over(caller, project, id, request.params.force).await;
                taken.map(ActionAnswer::operation)
            }
            Action::ReleaseQuarantine => {
                let detail = Box::new(self.release_quarantine(project, id).await?);
                Ok(ActionAnswer::Group { detail, warnings: Vec::new() })
            }
            _ => self
                .start_operation(caller, project, id, request)
                .await
                .map(ActionAnswer::operation),
        }
    }

    /// Accepts an action as an operation.
    ///
    /// # Errors
    /// GroupWrongState, GroupBusy, Quarantined, PolicyMissing, NoMembers, PeerUnreachable, OutOfSync, PlanRefused with
    /// every reason, PlanChanged, IdempotencyMismatch.
    pub async fn start_operation(
        &self,
        caller: &Caller,
        project: &ProjectId,
        id: GroupId,
        request: ActionRequest,
    ) -> Result<OperationRecord, Refusal> {
        let operation = resolve(&request)?;
        if let Some(replayed) = self.replayed(project, &request).await? {
            return Ok(replayed);
        }
        let start = Start { operation, params: request.params.clone(), retried: None };
        self.start_or_replay(caller, project, id, start, &request).await
    }

    /// Of two equal requests at once, the one that comes second may meet the first one's operation as the group's
    /// holder: then it is answered with that operation, not refused because of it.
    pub(crate) async fn start_or_replay(
        &self,
        caller: &Caller,
        project: &ProjectId,
        id: GroupId,
        start: Start,
        request: &ActionRequest,
    ) -> Result<OperationRecord, Refusal> {
        let again = || self.start(caller, project, id, start.clone(), request.idempotency.clone());
        let mut started = again().await;
        for _ in 0..STALE {
            match &started {
                // What it ends, or a reconciler, changed the group while it was planned: planned anew.
                Err(refusal) if refusal.code == Code::VersionMismatch => started = again().await,
                _ => break,
            }
        }
        match started {
            Err(refusal) => match self.replayed(project, request).await? {
                Some(replayed) => Ok(replayed),
                None => Err(refusal),
            },
            started => started,
        }
    }

    async fn start(
        &self,
        caller: &Caller,
        project: &ProjectId,
        id: GroupId,
        start: Start,
        idempotency: Option<(String, String)>,
    ) -> Result<OperationRecord, Refusal> {
        // Who names a plan has waited for it once already.
        let patience = start.params.plan_hash.is_none().then_some(PLANNING_PATIENCE);
        let ready = self.prepare(project, id, &start, patience).await?;
        if let (Some(wanted), Some(plan)) = (&start.params.plan_hash, &ready.plan) {
            self.require_same_plan(wanted, &start, &ready.document, ready.id, plan)?;
        }
        let (source, target) = direction(&start, &ready.document);
        let new = NewOperation {
            id: ready.id,
            project_id: project.clone(),
            group_id: id,
            operation_type: start.operation,
            source_site_id: source,
            target_site_id: target,
            params: serde_json::to_value(&start.params).unwrap_or_default(),
            plan: ready.plan.map(preview::without_preview),
            user_id: caller.user_id.clone(),
            request_id: caller.request_id.clone(),
            retry_of: start.retried.as_ref().map(|row| row.id),
            idempotency,
        };
        let gate = GroupGate {
            expected_version: ready.document.group.version,
            allowed_in: allowed_in(&start, ready.lost),
            running: action_rule(start.operation).running,
            supersedes: supersedes(&start, ready.lost),
            holder_result: match ready.document.group.current_operation_id {
                Some(holder) if start.params.force => self.result_so_far(holder).await?,
                _ => None,
            },
        };
        let group = &ready.document.group;
        let needs_peer = self.needs_peer(&start, group).await?;
        self.claim_for(&ready.document, ready.id, needs_peer).await?;
        let accepted = self.store.insert_and_claim_group(&new, &gate).await.map_err(errors::store);
        if !matches!(accepted, Ok(Accepted::New { .. })) {
            self.release_later(group, ready.id).await;
        }
        match accepted? {
            Accepted::Replayed(row) => Ok(record(row)),
            Accepted::New { operation, .. } => {
                tracing::info!(operation = %operation.id, group = %id, user = %caller.user_id, "operation accepted");
                self.ring(operation.id);
                // The document of a forced operation waits for `sync-force`, and its peer is most likely dead.
                if !start.params.force {
                    self.announce(id, operation.id).await;
                }
                Ok(record(operation))
            }
        }
    }

    /// A forced failover is driven by the site that survives.
    async fn require_survivor(&self, group: &ProtectionGroup) -> Result<(), Refusal> {
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        if local != group.current_primary_site_id {
            return Ok(());
        }
        let sites = health::site_names(&self.store.all_sites().await.map_err(errors::store)?);
        let name = |site: SiteId| sites.get(&site).cloned().unwrap_or_else(|| site.to_string());
        Err(Refusal::new(
            Code::WrongSite,
            format!(
                "The group runs here, at {}: a forced failover is for the loss of this site and has to be asked for at \
                 {}. If both sites work, leave out force: a planned failover loses nothing",
                name(local),
                name(group.other_site(local))
            ),
        ))
    }

    /// What an operation has done so far, as its record would show it. `None`: it is not known here.
    async fn result_so_far(&self, id: OperationId) -> Result<Option<serde_json::Value>, Refusal> {
        let plan = match self.store.load_plan(id).await {
            Ok(plan) => plan,
            Err(protector_store::StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(errors::store(error)),
        };
        let Some(definition) = self.planner.definition(&plan.definition, plan.version) else {
            return Ok(None);
        };
        let entries = self.store.load(id).await.map_err(|error| {
            Refusal::new(Code::Unavailable, format!("the journal of {id} cannot be read: {error}"))
        })?;
        let state = State::fold(Arc::new(plan), entries.iter().map(|e| (e.seq, &e.kind)));
        Ok(Some(definition.result_data(&state)))
    }

    /// Everything that speaks against a start, and its plan. Changes nothing.
    async fn prepare(
        &self,
        project: &ProjectId,
        id: GroupId,
        start: &Start,
        patience: Option<Duration>,
    ) -> Result<Ready, Refusal> {
        let document = self
            .store
            .group_document(&Scope::Project(project.clone()), id)
            .await
            .map_err(errors::store)?;
        if start.params.force && start.retried.is_none() {
            self.require_survivor(&document.group).await?;
        }
        let lost = {
            let situation = self.situation(&document.group, start.params.force).await?;
            admit(start, &document, &situation)?;
            situation.lost
        };
        if self.needs_peer(start, &document.group).await? {
            self.require_in_sync(&document).await?;
        }
        let operation_id = OperationId::generate();
        let retry_of = start.retried.as_ref().map(|row| row.id);
        let request = self
            .plan_request(operation_id, start.operation, &start.params, &document, retry_of)
            .await?;
        let plan = match patience {
            None => Some(self.planner.plan(&request).await?),
            Some(patience) => tokio::select! {
                plan = self.planner.plan(&request) => Some(plan?),
                () = tokio::time::sleep(patience) => None,
            },
        };
        Ok(Ready { id: operation_id, document, lost, plan })
    }

    /// Forced operations need no peer, nor does the cleanup of a drill after one (1-product.md section 5).
    async fn needs_peer(&self, start: &Start, group: &ProtectionGroup) -> Result<bool, Refusal> {
        if start.params.force {
            return Ok(false);
        }
        if start.operation != OperationType::TestCleanup {
            return Ok(true);
        }
        let last = self.recent_operations(group.id, Some(OperationType::Failover), 1).await?;
        let forced = last.first().is_some_and(|row| row.params["force"] == true);
        Ok(!forced)
    }

    /// What an action would do, step by step. Touches nothing.
    ///
    /// # Errors
    /// Exactly those of the action itself.
    pub async fn preview(
        &self,
        project: &ProjectId,
        id: GroupId,
        request: ActionRequest,
    ) -> Result<PlanPreview, Refusal> {
        let start = match request.action {
            Action::Retry => {
                let scope = Scope::Project(project.clone());
                let group = self.store.group(&scope, id).await.map_err(errors::store)?;
                let ended = self.ended_operation(&scope, &group, &request.params).await?;
                self.retry_of(&group, ended, &request.params).await?
            }
            _ => Start {
                operation: resolve(&request)?,
                params: request.params.clone(),
                retried: None,
            },
        };
        let ready = self.prepare(project, id, &start, None).await?;
        let Some(plan) = &ready.plan else {
            return Err(Refusal::new(Code::Internal, "a plan without patience has no plan"));
        };
        if let Some(wanted) = &start.params.plan_hash {
            self.require_same_plan(wanted, &start, &ready.document, ready.id, plan)?;
        }
        let route = direction(&start, &ready.document);
        self.describe_plan(&start, &ready.document, ready.id, plan, route).await
    }

    pub(crate) async fn replayed(
        &self,
        project: &ProjectId,
        request: &ActionRequest,
    ) -> Result<Option<OperationRecord>, Refusal> {
        let Some((key, digest)) = &request.idempotency else { return Ok(None) };
        let known = self.store.find_idempotent(project, key).await.map_err(errors::store)?;
        match known {
            None => Ok(None),
            Some((id, with)) if with == *digest => self.operation(project, id).await.map(Some),
            Some((id, _)) => Err(Refusal::new(
                Code::IdempotencyMismatch,
                format!("The idempotency key was used for operation {id} with another body"),
            )),
        }
    }

    async fn require_in_sync(&self, document: &GroupDocument) -> Result<(), Refusal> {
        let mut sync = self.sync_of(document).await?;
        if sync.status == SyncState::OutOfSync {
            // The engine may just not have come to it.
            self.push_soon(document.group.id).await;
            sync = self.sync_of(document).await?;
        }
        if sync.status == SyncState::OutOfSync {
            self.must_be_free(document.group.id).await?;
        }
        match sync.status {
            SyncState::InSync => Ok(()),
            SyncState::Unreachable => Err(Refusal::peer_unreachable()),
            other => Err(Refusal::new(
                Code::OutOfSync,
                format!(
                    "The group's metadata is {other} (here version {}, at the peer {}): {}",
                    sync.local_version,
                    sync.remote_version.map_or_else(|| "unknown".into(), |v| v.to_string()),
                    sync.reason.unwrap_or_default()
                ),
            )),
        }
    }

    async fn plan_request(
        &self,
        operation_id: OperationId,
        operation: OperationType,
        params: &ActionParams,
        document: &GroupDocument,
        retry_of: Option<OperationId>,
    ) -> Result<PlanRequest, Refusal> {
        let policy = document.policy.clone().ok_or_else(policy_missing)?;
        let sites = self.store.all_sites().await.map_err(errors::store)?;
        let cinder_hosts: BTreeMap<SiteId, String> =
            sites.iter().filter_map(|s| s.cinder_host.clone().map(|host| (s.id, host))).collect();
        Ok(PlanRequest {
            operation_id,
            operation,
            params: params.clone(),
            group: document.group.clone(),
            members: document.members.clone(),
            policy,
            site_names: health::site_names(&sites),
            cinder_hosts,
            local_site: self.store.own_site_id().await.map_err(errors::store)?,
            fences: self.store.fences(document.group.id).await.map_err(errors::store)?,
            delegates: self.delegates(&document.group, !params.force).await?,
            drill: self.earlier(document.group.active_test_operation_id).await?,
            retried: self.earlier(retry_of).await?,
        })
    }

    /// Plans an operation that was accepted without a plan.
    ///
    /// # Errors
    /// A refusal that ends the operation, nothing touched.
    pub async fn plan_accepted(
        &self,
        id: OperationId,
    ) -> Result<protector_workflow::Plan, Refusal> {
        let row = self.store.operation(&Scope::System, id).await.map_err(errors::store)?;
        let document =
            self.store.group_document(&Scope::System, row.group_id).await.map_err(errors::store)?;
        let params = serde_json::from_value(row.params).map_err(|e| {
            Refusal::new(Code::Internal, format!("stored parameters cannot be read: {e}"))
        })?;
        let request =
            self.plan_request(id, row.operation_type, &params, &document, row.retry_of).await?;
        self.planner.plan(&request).await.map(preview::without_preview)
    }
}

fn policy_missing() -> Refusal {
    Refusal::new(
        Code::PolicyMissing,
        "The group has no replication policy; set one with POST .../policy",
    )
}

/// The statuses from which it may start: a partial failover is completed by a retry.
fn allowed_in(start: &Start, lost: bool) -> Vec<GroupStatus> {
    let mut allowed = action_rule(start.operation).allowed_in.to_vec();
    if lost {
        allowed.push(GroupStatus::FailingOver);
    }
    if start.retried.is_some() && start.operation == OperationType::Failover {
        allowed.push(GroupStatus::FailedOverPartial);
    }
    allowed
}

/// What it may end.
fn supersedes(start: &Start, lost: bool) -> Vec<OperationType> {
    let mut ends = if start.params.force { SUPERSEDED.to_vec() } else { Vec::new() };
    if lost {
        ends.push(OperationType::Failover);
    }
    ends
}

/// What the group itself says about starting. Pure.
fn admit(
    start: &Start,
    document: &GroupDocument,
    situation: &Situation<'_>,
) -> Result<(), Refusal> {
    let group = &document.group;
    let completes = start.retried.is_some()
        && group.current_operation_id.is_none()
        && group.status == GroupStatus::FailedOverPartial
        && start.operation == OperationType::Failover;
    let action = if completes { Action::Retry } else { admission::action_of(start.operation) };
    admission::admit(action, start.params.force, situation)?;
    if document.policy.is_none() {
        return Err(policy_missing());
    }
    if document.members.is_empty() {
        return Err(Refusal::new(Code::NoMembers, "The group has no members; add servers first"));
    }
    Ok(())
}

/// From and to. Only a failback goes to where the group was created; a retry goes the way of what it repeats.
fn direction(start: &Start, document: &GroupDocument) -> (SiteId, SiteId) {
    let group = &document.group;
    match (&start.retried, start.operation) {
        (Some(retried), _) => (retried.source_site_id, retried.target_site_id),
        (None, OperationType::Failback) => (group.current_primary_site_id, group.primary_site_id),
        (None, _) => (group.current_primary_site_id, group.current_secondary_site_id()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(action: Action, params: ActionParams) -> ActionRequest {
        ActionRequest { action, params, idempotency: None }
    }

    #[test]
    fn a_failover_that_retains_the_primary_is_a_drill() {
        let params = ActionParams { retain_primary: true, ..ActionParams::default() };
        assert_eq!(resolve(&request(Action::Failover, params)), Ok(OperationType::TestFailover));
        let both = ActionParams { retain_primary: true, force: true, ..ActionParams::default() };
        assert!(resolve(&request(Action::Failover, both)).is_err());
    }
}
