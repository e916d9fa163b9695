//! The ways out of an operation: cancel, retry, skip, abandon. None of them needs the peer: a request waits beside the
//! operation, in this site's database, until the engine that drives it has it in its journal.

use std::sync::Arc;

use protector_store::{NewRequest, OperationRow, Requested, Scope, StoreError};
use protector_types::{
    Abandoned, Action, Code, GroupId, GroupStatus, OperationId, OperationStatus, OperationType,
    ProjectId, ProtectionGroup, Refusal,
};
use protector_workflow::{Ask, Journal as _, Request, State};

use crate::{
    ActionParams, ActionRequest, Caller, Core, OperationRecord,
    actions::Start,
    admission::{self, Situation},
    errors,
    operations::record,
    peer::PEER_PATIENCE,
};

/// What changes where a group runs: a retry of something older than the last of these makes no sense.
const MOVES: [OperationType; 3] =
    [OperationType::Failover, OperationType::Failback, OperationType::Reprotect];
/// So many of a group's last operations are looked at.
const RECENT: u64 = 50;

/// Who asks, for the journal.
fn name_of(caller: &Caller) -> String {
    match caller.user_name.as_str() {
        "" => caller.user_id.clone(),
        name => format!("{name} ({})", caller.user_id),
    }
}

fn ask_of(action: Action, params: &ActionParams) -> Result<Ask, Refusal> {
    let needed = |field: &str, value: &Option<String>| {
        value.clone().filter(|text| !text.trim().is_empty()).ok_or_else(|| {
            Refusal::new(Code::RequestInvalidValue, format!("{action}.{field}: is required"))
        })
    };
    Ok(match action {
        Action::Retry => Ask::Retry,
        Action::Skip => Ask::Skip {
            step: needed("step", &params.step)?,
            reason: needed("reason", &params.reason)?,
            force: params.force,
        },
        Action::Abandon => Ask::Abandon { reason: needed("reason", &params.reason)? },
        _ => Ask::Cancel,
    })
}

impl Core {
    /// Hears a person: cancel, retry, skip, abandon.
    ///
    /// # Errors
    /// GroupWrongState and GroupBusy naming the state and what is allowed in it; NotFound; what [`Core::start_operation`]
    /// refuses, for a retry of an operation that has ended.
    pub(crate) async fn ask(
        &self,
        caller: &Caller,
        project: &ProjectId,
        id: GroupId,
        request: ActionRequest,
    ) -> Result<OperationRecord, Refusal> {
        let ask = ask_of(request.action, &request.params)?;
        if let Some(replayed) = self.replayed(project, &request).await? {
            return Ok(replayed);
        }
        let scope = Scope::Project(project.clone());
        let group = self.store.group(&scope, id).await.map_err(errors::store)?;
        let holder = self.holder_status(&group).await?;
        let target = match request.params.operation_id {
            Some(operation) => self.named_operation(&scope, &group, operation).await?,
            None => {
                admission::admit(request.action, false, &Situation::of(&group, holder))?;
                self.meant_operation(&scope, &group, request.action).await?
            }
        };
        if target.status.is_terminal() {
            return match ask {
                Ask::Retry => self.retry_ended(caller, project, &group, target, request).await,
                Ask::Abandon { reason } => self.abandon_ended(caller, &group, target, reason).await,
                _ => Err(has_ended(&target, request.action)),
            };
        }
        if let (Ask::Retry, Some(why)) = (&ask, &group.quarantine) {
            let detail = format!("The group is read-only at this site: {why}");
            return Err(Refusal::new(Code::Quarantined, detail));
        }
        let new = NewRequest {
            request: Request { id: uuid::Uuid::now_v7().to_string(), by: name_of(caller), ask },
            project_id: project.clone(),
            idempotency: request.idempotency,
        };
        self.leave_request(target, new).await
    }

    /// Judges a request by the journal as it is now, and leaves it for the engine.
    async fn leave_request(
        &self,
        target: OperationRow,
        new: NewRequest,
    ) -> Result<OperationRecord, Refusal> {
        let (id, group) = (target.id, target.group_id);
        if target.remote {
            return Err(driven_elsewhere(id));
        }
        if target.status == OperationStatus::Pending && new.request.ask == Ask::Cancel {
            let ended = self.store.cancel_pending(id, &new, None).await.map_err(errors::store)?;
            if let Some(row) = ended {
                self.let_go_soon(group, id);
                return Ok(record(row));
            }
        }
        self.judge(&target, &new.request).await?;
        let asked = self.store.request_control(id, &new).await;
        let row = match asked {
            Ok(Requested::Waiting(row) | Requested::Replayed(row)) => row,
            Err(StoreError::NotFound { .. }) => return Err(driven_elsewhere(id)),
            Err(error) => return Err(errors::store(error)),
        };
        self.ring(id);
        // The point of no return may have come between the look and the request: then the journal says so, too.
        if new.request.ask == Ask::Cancel
            && self.folded(id).await?.is_some_and(|state| state.past_no_return())
        {
            self.judge(&row, &new.request).await?;
        }
        tracing::info!(operation = %id, by = %new.request.by, ask = new.request.ask.word(), "a person asks");
        Ok(record(row))
    }

    /// Whether the operation would hear the request.
    async fn judge(&self, target: &OperationRow, request: &Request) -> Result<(), Refusal> {
        let plan = match self.store.load_plan(target.id).await {
            Ok(plan) => plan,
            // Still to be planned: nothing of it can be parked, and a cancel ends it.
            Err(StoreError::NotFound { .. }) if request.ask == Ask::Cancel => return Ok(()),
            Err(StoreError::NotFound { .. }) => {
                return Err(cannot(target, request, "it is still being planned"));
            }
            Err(error) => return Err(errors::store(error)),
        };
        let entries = self.store.load(target.id).await.map_err(|error| {
            Refusal::new(Code::Unavailable, format!("The journal cannot be read: {error}"))
        })?;
        let known = self.planner.definition(&plan.definition, plan.version);
        let state = State::fold(Arc::new(plan), entries.iter().map(|e| (e.seq, &e.kind)));
        let judged = match &known {
            Some(definition) => state.would_refuse(request, definition.as_ref()),
            // Parked as unknown: an engine that knows it may go on, and anybody may give it up.
            None => Ok(()),
        };
        judged.map_err(|why| {
            let refusal = cannot(target, request, &why);
            let heard = known.is_some_and(|definition| {
                forced(request).is_some_and(|f| state.would_refuse(&f, definition.as_ref()).is_ok())
            });
            if heard { Refusal { code: Code::NeedsForce, ..refusal } } else { refusal }
        })
    }

    /// The status of the operation that holds a group, if this site knows it.
    pub(crate) async fn holder_status(
        &self,
        group: &ProtectionGroup,
    ) -> Result<Option<OperationStatus>, Refusal> {
        let Some(holder) = group.current_operation_id else { return Ok(None) };
        match self.store.operation(&Scope::System, holder).await {
            Ok(row) => Ok(Some(row.status)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(errors::store(error)),
        }
    }

    async fn named_operation(
        &self,
        scope: &Scope,
        group: &ProtectionGroup,
        id: OperationId,
    ) -> Result<OperationRow, Refusal> {
        match self.store.operation(scope, id).await {
            Ok(row) if row.group_id == group.id => Ok(row),
            Err(StoreError::NotFound { .. }) if group.current_operation_id == Some(id) => {
                Err(driven_elsewhere(id))
            }
            Ok(_) | Err(StoreError::NotFound { .. }) => Err(Refusal::new(
                Code::NotFound,
                format!("Operation {id} does not exist in protection group {}", group.name),
            )),
            Err(error) => Err(errors::store(error)),
        }
    }

    /// The one that holds the group, else the last one.
    async fn meant_operation(
        &self,
        scope: &Scope,
        group: &ProtectionGroup,
        action: Action,
    ) -> Result<OperationRow, Refusal> {
        if let Some(holder) = group.current_operation_id {
            return self.named_operation(scope, group, holder).await;
        }
        let mut recent = self.recent_operations(group.id, None, 1).await?;
        match recent.is_empty() {
            false => Ok(recent.remove(0)),
            true => Err(Refusal::new(
                Code::GroupWrongState,
                format!(
                    "The group has had no operation yet: there is nothing to {action}; it is {}; allowed in {}: {}",
                    group.status,
                    group.status,
                    admission::allowed(&Situation::of(group, None))
                ),
            )),
        }
    }

    /// A group's last operations, newest first.
    pub(crate) async fn recent_operations(
        &self,
        group: GroupId,
        kind: Option<OperationType>,
        limit: u64,
    ) -> Result<Vec<OperationRow>, Refusal> {
        let filter = protector_store::OperationFilter {
            group_id: Some(group),
            operation_type: kind,
            ..protector_store::OperationFilter::default()
        };
        let page = protector_store::PageRequest {
            limit,
            descending: true,
            ..protector_store::PageRequest::default()
        };
        let page = self.store.list_operations(&Scope::System, &filter, &page).await;
        Ok(page.map_err(errors::store)?.items)
    }

    /// A new operation that does what an ended one did not.
    async fn retry_ended(
        &self,
        caller: &Caller,
        project: &ProjectId,
        group: &ProtectionGroup,
        ended: OperationRow,
        request: ActionRequest,
    ) -> Result<OperationRecord, Refusal> {
        let start = self.retry_of(group, ended, &request.params).await?;
        self.start_or_replay(caller, project, group.id, start, &request).await
    }

    /// The operation that a plan of a retry is about.
    pub(crate) async fn ended_operation(
        &self,
        scope: &Scope,
        group: &ProtectionGroup,
        params: &ActionParams,
    ) -> Result<OperationRow, Refusal> {
        let holder = self.holder_status(group).await?;
        let row = match params.operation_id {
            Some(id) => self.named_operation(scope, group, id).await?,
            None => {
                admission::admit(Action::Retry, false, &Situation::of(group, holder))?;
                self.meant_operation(scope, group, Action::Retry).await?
            }
        };
        if row.status.is_terminal() {
            return Ok(row);
        }
        Err(Refusal::new(
            Code::GroupWrongState,
            format!(
                "Operation {} has not ended ({}): a retry goes on with the plan that it has; only a retry of an ended \
                 operation is planned anew",
                row.id, row.status
            ),
        ))
    }

    /// What a retry of an ended operation starts.
    ///
    /// # Errors
    /// GroupWrongState when there is nothing to retry.
    pub(crate) async fn retry_of(
        &self,
        group: &ProtectionGroup,
        ended: OperationRow,
        given: &ActionParams,
    ) -> Result<Start, Refusal> {
        let refuse = |why: String| {
            Err(Refusal::new(
                Code::GroupWrongState,
                format!(
                    "Operation {} cannot be retried: {why}; the group is {}",
                    ended.id, group.status
                ),
            ))
        };
        if ended.status == OperationStatus::Completed {
            return refuse(format!("it has completed ({})", ended.operation_type));
        }
        let recent = self.recent_operations(group.id, None, RECENT).await?;
        let later: Vec<_> = recent.iter().take_while(|row| row.id != ended.id).collect();
        let moved = |row: &&&OperationRow| {
            row.retry_of == Some(ended.id)
                || row.operation_type == ended.operation_type
                || (MOVES.contains(&row.operation_type) && row.status == OperationStatus::Completed)
        };
        if let Some(later) = later.iter().find(moved) {
            return refuse(format!(
                "operation {} ({}) came after it",
                later.id, later.operation_type
            ));
        }
        let params: ActionParams =
            serde_json::from_value(ended.params.clone()).map_err(|error| {
                Refusal::new(Code::Internal, format!("stored parameters cannot be read: {error}"))
            })?;
        Ok(Start {
            operation: ended.operation_type,
            params: ActionParams { plan_hash: given.plan_hash.clone(), ..params },
            retried: Some(ended),
        })
    }

    /// The rest of a failover that ended as partial is given up: recorded at the members that are left behind, since an
    /// ended record never changes.
    async fn abandon_ended(
        &self,
        caller: &Caller,
        group: &ProtectionGroup,
        ended: OperationRow,
        reason: String,
    ) -> Result<OperationRecord, Refusal> {
        let scope = Scope::System;
        let mut members = self.store.members(&scope, group.id).await.map_err(errors::store)?;
        let here = group.current_primary_site_id;
        members.retain(|member| !member.servers.contains_key(&here) && member.abandoned.is_none());
        if group.status != GroupStatus::FailedOverPartial
            || ended.operation_type != OperationType::Failover
            || ended.status == OperationStatus::Completed
            || members.is_empty()
        {
            return Err(Refusal::new(
                Code::GroupWrongState,
                format!(
                    "Operation {} has ended ({}) and left nothing to abandon: the group is {}; allowed in {}: {}",
                    ended.id,
                    ended.status,
                    group.status,
                    group.status,
                    admission::allowed(&Situation::of(group, None))
                ),
            ));
        }
        let mut version = group.version;
        for member in &mut members {
            member.abandoned = Some(Abandoned {
                operation_id: ended.id,
                by: name_of(caller),
                reason: reason.clone(),
                at: self.clock.now(),
            });
            version = self.store.update_member(member, version).await.map_err(errors::store)?;
        }
        self.tell_peer_soon(group.id, ended.id);
        let names: Vec<_> = members.iter().map(|member| member.spec.name.as_str()).collect();
        tracing::info!(operation = %ended.id, members = %names.join(", "), "members are given up");
        Ok(record(ended))
    }

    /// The peer is told of an operation that ended before it began, and both claims are free again, without anybody
    /// waiting for it.
    fn let_go_soon(&self, group: GroupId, operation: OperationId) {
        let core = self.clone();
        tokio::spawn(async move {
            core.tell_peer(group, operation).await;
            match core.store.group(&Scope::System, group).await {
                Ok(group) => core.release_both(&group, operation).await,
                Err(error) => {
                    tracing::info!(%group, %error, "claims were not given back; they will die")
                }
            }
        });
    }

    /// Without anybody waiting for it.
    pub(crate) fn tell_peer_soon(&self, group: GroupId, operation: OperationId) {
        let core = self.clone();
        tokio::spawn(async move { core.tell_peer(group, operation).await });
    }

    /// The peer is told of an operation that was accepted: its record and plan first, so that no site ever shows a group
    /// that is held by somebody whom it does not know.
    pub(crate) async fn announce(&self, group: GroupId, operation: OperationId) {
        match tokio::time::timeout(PEER_PATIENCE, self.stream_operation(operation)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(%operation, %error, "the peer was not told yet"),
            Err(_) => tracing::info!(%operation, "the peer was not told in time"),
        }
        self.push_soon(group).await;
    }

    async fn tell_peer(&self, group: GroupId, operation: OperationId) {
        self.push_soon(group).await;
        if let Err(error) = self.stream_operation(operation).await {
            tracing::info!(%operation, %error, "the peer was not told; the outbox repeats the document");
        }
    }
}

fn has_ended(row: &OperationRow, action: Action) -> Refusal {
    let out = match row.status {
        OperationStatus::Completed => "",
        _ => "; `retry` starts a new operation that does what it did not",
    };
    Refusal::new(
        Code::GroupWrongState,
        format!(
            "Operation {} has ended ({}): there is nothing to {action}{out}",
            row.id, row.status
        ),
    )
}

/// The same request with `force`, if it knows it and has it not.
fn forced(request: &Request) -> Option<Request> {
    match &request.ask {
        Ask::Skip { step, reason, force: false } => {
            let (step, reason) = (step.clone(), reason.clone());
            Some(Request { ask: Ask::Skip { step, reason, force: true }, ..request.clone() })
        }
        _ => None,
    }
}

fn cannot(row: &OperationRow, request: &Request, why: &str) -> Refusal {
    Refusal::new(
        Code::GroupWrongState,
        format!(
            "{} of operation {} ({}) is refused: {why}",
            request.ask.word(),
            row.id,
            row.status
        ),
    )
}

fn driven_elsewhere(id: OperationId) -> Refusal {
    Refusal::new(
        Code::GroupBusy,
        format!(
            "Operation {id} is driven by the other site: ask there. If that site is dead, `takeover` with force lets \
             this one go on with it"
        ),
    )
}
