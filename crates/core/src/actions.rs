//! Accepting an action: resolve it, check state, peer and metadata, plan, and store operation and plan in one
//! transaction that claims the group. Refusals change nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use protector_store::{Accepted, GroupGate, NewOperation, OperationFilter, PageRequest, Scope};
use protector_types::{
    Action, Code, GroupDocument, GroupId, GroupStatus, OperationId, OperationType, ProjectId,
    Refusal, SiteId, SyncState, action_rule,
};
use protector_workflow::{Journal as _, State};

use crate::{
    ActionParams, ActionRequest, Caller, Core, OperationRecord, PlanRequest, errors, health,
    operations::record,
};

/// What a forced failover ends, running or parked.
const SUPERSEDED: [OperationType; 3] =
    [OperationType::TestFailover, OperationType::TestCleanup, OperationType::SyncVolumes];

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
            return Err(Refusal::new(
                Code::PlanRefused,
                format!("This release of Protector does not support the action {other} yet"),
            ));
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
    Ok(operation)
}

/// Whether a group in this status accepts the operation. Pure; the founding document's sentences.
///
/// # Errors
/// GroupWrongState naming the state and what is allowed in it.
pub fn check_state(operation: OperationType, status: GroupStatus) -> Result<(), Refusal> {
    let rule = action_rule(operation);
    if rule.allowed_in.contains(&status) {
        return Ok(());
    }
    let allowed_here: Vec<&str> = OperationType::ALL
        .iter()
        .filter(|o| action_rule(**o).allowed_in.contains(&status))
        .map(|o| o.as_str())
        .collect();
    let needed = match operation {
        OperationType::Failback => "failed_over".to_owned(),
        _ => rule.allowed_in.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" or "),
    };
    let allowed_here =
        if allowed_here.is_empty() { "nothing".to_owned() } else { allowed_here.join(", ") };
    Err(Refusal::new(
        Code::GroupWrongState,
        format!(
            "Protection Group is not in {needed} state: it is {status}; allowed in {status}: {allowed_here}"
        ),
    ))
}

impl Core {
    /// Accepts an action as an operation.
    ///
    /// # Errors
    /// GroupWrongState, GroupBusy, Quarantined, PolicyMissing, NoMembers, PeerUnreachable, OutOfSync, PlanRefused with
    /// every reason, IdempotencyMismatch.
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
        let document = self
            .store
            .group_document(&Scope::Project(project.clone()), id)
            .await
            .map_err(errors::store)?;
        let group = &document.group;
        let forced = request.params.force;
        if forced {
            self.require_survivor(group).await?;
        }
        admit(operation, forced, &document)?;
        if !forced && !self.needs_no_peer(operation, id).await? {
            self.require_in_sync(&document).await?;
        }
        let operation_id = OperationId::generate();
        let plan_request =
            self.plan_request(operation_id, operation, &request.params, &document, None).await?;
        let plan = tokio::select! {
            plan = self.planner.plan(&plan_request) => Some(plan?),
            () = tokio::time::sleep(PLANNING_PATIENCE) => None,
        };
        let (source, target) = direction(operation, &document);
        let new = NewOperation {
            id: operation_id,
            project_id: project.clone(),
            group_id: id,
            operation_type: operation,
            source_site_id: source,
            target_site_id: target,
            params: serde_json::to_value(&request.params).unwrap_or_default(),
            plan,
            user_id: caller.user_id.clone(),
            request_id: caller.request_id.clone(),
            retry_of: None,
            idempotency: request.idempotency.clone(),
        };
        let rule = action_rule(operation);
        let gate = GroupGate {
            expected_version: group.version,
            allowed_in: rule.allowed_in.to_vec(),
            running: rule.running,
            supersedes: if forced { SUPERSEDED.to_vec() } else { Vec::new() },
            holder_result: match group.current_operation_id {
                Some(holder) if forced => self.result_so_far(holder).await?,
                _ => None,
            },
        };
        let accepted =
            self.store.insert_and_claim_group(&new, &gate).await.map_err(errors::store)?;
        match accepted {
            Accepted::Replayed(row) => Ok(record(row)),
            Accepted::New { operation, .. } => {
                tracing::info!(operation = %operation.id, group = %id, user = %caller.user_id, "operation accepted");
                // The document of a forced operation waits for `sync-force`, and its peer is most likely dead.
                if !forced {
                    self.push_soon(id).await;
                }
                Ok(record(operation))
            }
        }
    }

    /// A forced failover is driven by the site that survives.
    async fn require_survivor(
        &self,
        group: &protector_types::ProtectionGroup,
    ) -> Result<(), Refusal> {
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

    /// After a forced failover the peer is most likely dead, and its site's drill can be removed without it.
    async fn needs_no_peer(&self, operation: OperationType, id: GroupId) -> Result<bool, Refusal> {
        if operation != OperationType::TestCleanup {
            return Ok(false);
        }
        let filter = OperationFilter {
            group_id: Some(id),
            operation_type: Some(OperationType::Failover),
            ..OperationFilter::default()
        };
        let page = PageRequest::default();
        let failovers = self
            .store
            .list_operations(&Scope::System, &filter, &page)
            .await
            .map_err(errors::store)?;
        let newest = failovers.items.iter().max_by_key(|row| row.created_at);
        Ok(newest.is_some_and(|row| !row.remote && row.params["force"] == true))
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

    async fn replayed(
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
        self.planner.plan(&request).await
    }
}

fn policy_missing() -> Refusal {
    Refusal::new(
        Code::PolicyMissing,
        "The group has no replication policy; set one with POST .../policy",
    )
}

/// What the group itself says about starting. Pure.
fn admit(operation: OperationType, forced: bool, document: &GroupDocument) -> Result<(), Refusal> {
    let group = &document.group;
    // In `active` only what a forced failover supersedes can hold the group; the store looks once more.
    let superseded = forced && group.status == GroupStatus::Active;
    if let Some(holder) = group.current_operation_id.filter(|_| !superseded) {
        return Err(Refusal::new(
            Code::GroupBusy,
            format!(
                "Operation {holder} holds the group (status {}); wait until it has ended",
                group.status
            ),
        ));
    }
    check_state(operation, group.status)?;
    check_drill(operation, group.active_test_operation_id)?;
    if let Some(reason) = &group.quarantine {
        return Err(Refusal::new(
            Code::Quarantined,
            format!("The group is read-only at this site: {reason}"),
        ));
    }
    if document.policy.is_none() {
        return Err(policy_missing());
    }
    if document.members.is_empty() {
        return Err(Refusal::new(Code::NoMembers, "The group has no members; add servers first"));
    }
    Ok(())
}

/// One drill at a time, and no cleanup without one. Pure.
fn check_drill(operation: OperationType, open: Option<OperationId>) -> Result<(), Refusal> {
    match (operation, open) {
        (OperationType::TestFailover, Some(drill)) => Err(Refusal::new(
            Code::GroupBusy,
            format!("The drill {drill} is still open; remove what it made with test_cleanup first"),
        )),
        (OperationType::TestCleanup, None) => Err(Refusal::new(
            Code::GroupWrongState,
            "No drill of the group is open: there is nothing to clean up",
        )),
        _ => Ok(()),
    }
}

/// From and to. Only a failback goes to where the group was created.
fn direction(operation: OperationType, document: &GroupDocument) -> (SiteId, SiteId) {
    let group = &document.group;
    match operation {
        OperationType::Failback => (group.current_primary_site_id, group.primary_site_id),
        _ => (group.current_primary_site_id, group.current_secondary_site_id()),
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

    #[test]
    fn every_cell_of_the_state_table_answers_as_documented() {
        for &operation in OperationType::ALL {
            for &status in GroupStatus::ALL {
                let allowed = action_rule(operation).allowed_in.contains(&status);
                match check_state(operation, status) {
                    Ok(()) => assert!(allowed, "{operation} in {status}"),
                    Err(refusal) => {
                        assert!(!allowed, "{operation} in {status}");
                        assert_eq!(refusal.code, Code::GroupWrongState);
                        assert!(refusal.detail.contains(status.as_str()), "{refusal}");
                    }
                }
            }
        }
    }

    #[test]
    fn failback_has_the_documented_sentence() {
        let refusal = check_state(OperationType::Failback, GroupStatus::Active).unwrap_err();
        assert!(
            refusal.detail.starts_with("Protection Group is not in failed_over state"),
            "{refusal}"
        );
    }
}
