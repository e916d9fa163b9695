//! Drives one claimed operation: heartbeat, plan, executor, end.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use protector_core::{sync::is_forced, takeover::was_taken_over};
use protector_store::{NewRequest, Scope, StoreError};
use protector_types::{Code, DomainEffect, GroupId, OperationId, OperationStatus, Refusal};
use protector_workflow::{
    Ask, Control, Definition, DynStep, EntryKind, Executor, ExecutorConfig, Gate, Journal, Lease,
    Mode, NewEntry, Plan, RunEnd, State,
};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Engine,
    leave::{self, PeerGate},
    rung,
};

/// Between two attempts to hand a plan over.
const HAND_OVER_AGAIN: Duration = Duration::from_secs(2);

/// One operation in this engine's hands.
pub(crate) struct Driver {
    pub engine: Arc<Engine>,
    pub operation: OperationId,
    pub fence: u64,
}

impl Driver {
    /// To its end, or until this engine has to let go.
    pub async fn drive(self, control: mpsc::UnboundedReceiver<Control>) -> OperationId {
        let lease = Lease::new(self.fence, self.engine.clock().clone(), self.engine.config.lease);
        let stop = CancellationToken::new();
        let (sender, controls) = mpsc::unbounded_channel();
        let heart = Heart {
            engine: self.engine.clone(),
            operation: self.operation,
            lease: lease.clone(),
            sender: sender.clone(),
            carried: BTreeSet::new(),
        };
        // Ends with this driver, however that ends: a beat without a driver would keep others from taking over.
        let heart = AbortOnDropHandle::new(tokio::spawn(heart.run(
            control,
            self.engine.core.bell(),
            stop.clone(),
        )));
        let end = match self.gate().await {
            Ok((gate, group, look_first)) => {
                // Ends with this driver too: a claim without one must die.
                let _leave = AbortOnDropHandle::new(tokio::spawn(leave::renew(
                    self.engine.clone(),
                    (self.operation, group),
                    gate.clone(),
                    lease.clone(),
                    stop.clone(),
                )));
                self.execute(&lease, (gate, look_first), Wire { sender, controls }).await
            }
            Err(end) => end,
        };
        stop.cancel();
        let _ = heart.await;
        self.after(&end).await;
        self.operation
    }

    /// The gate to the other site, the operation's group, and whether each step is looked for first.
    async fn gate(&self) -> Result<(Arc<PeerGate>, GroupId, bool), RunEnd> {
        let core = &self.engine.core;
        let lost = |error: StoreError| RunEnd::JournalLost(error.to_string());
        let row = core.store().operation(&Scope::System, self.operation).await.map_err(lost)?;
        let group = core.store().group(&Scope::System, row.group_id).await.map_err(lost)?;
        let local = core.store().own_site_id().await.map_err(lost)?;
        let held_back = core.is_held_back(&group).await.map_err(lost)?;
        let free = held_back || is_forced(row.operation_type, &row.params);
        let clock = self.engine.clock().clone();
        let gate = Arc::new(PeerGate::new(free, group.other_site(local), clock));
        Ok((gate, group.id, was_taken_over(&row.params)))
    }

    async fn execute(
        &self,
        lease: &Lease,
        (gate, look_first): (Arc<PeerGate>, bool),
        mut wire: Wire,
    ) -> RunEnd {
        let plan = match self.plan(lease, &mut wire).await {
            Ok(plan) => Arc::new(plan),
            Err(end) => return end,
        };
        if !gate.is_free()
            && let Err(end) = self.hand_plan_over(&mut wire).await
        {
            return end;
        }
        let core = &self.engine.core;
        let known = core.planner().definition(&plan.definition, plan.version);
        let definition = known.clone().unwrap_or_else(|| Arc::new(Unknown));
        if let Err(end) = self.attend(&plan, definition.as_ref(), lease).await {
            return end;
        }
        if known.is_none() {
            return self.park_unknown(&plan, lease).await;
        }
        let executor = Executor {
            operation: self.operation,
            definition,
            journal: Arc::new(core.store().clone()),
            lease: lease.clone(),
            clock: self.engine.clock().clone(),
            hook: self.engine.hook.clone(),
            scope: self.engine.scope.clone(),
            config: ExecutorConfig {
                gate: Gate::new(gate),
                look_first,
                ..ExecutorConfig::default()
            },
            engine: self.engine.id.clone(),
        };
        executor.run(plan, wire.controls).await
    }

    /// The stored plan; or, for an operation that was accepted before it could be planned, a new one.
    async fn plan(&self, lease: &Lease, wire: &mut Wire) -> Result<Plan, RunEnd> {
        let core = &self.engine.core;
        match core.store().load_plan(self.operation).await {
            Ok(plan) => return Ok(plan),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(RunEnd::JournalLost(error.to_string())),
        }
        let planned = tokio::select! {
            planned = core.plan_accepted(self.operation) => planned,
            end = self.stopped_while_planning(wire) => return Err(end),
        };
        let plan = match planned {
            Ok(plan) => plan,
            Err(refusal) if refusal.code == Code::Unavailable => {
                return Err(RunEnd::JournalLost(refusal.to_string()));
            }
            Err(refusal) => self.refused(&refusal).await?,
        };
        match core.store().set_plan(self.operation, lease.fence(), &plan).await {
            Ok(()) => Ok(plan),
            Err(StoreError::Conflict(_)) => Err(RunEnd::Fenced),
            Err(error) => Err(RunEnd::JournalLost(error.to_string())),
        }
    }

    /// Waits until the peer has record and plan, as every operation does that needs its leave: then it can go on with what
    /// was begun if this site dies, and what it does not know has not begun.
    async fn hand_plan_over(&self, wire: &mut Wire) -> Result<(), RunEnd> {
        let core = &self.engine.core;
        let lost = |error: StoreError| RunEnd::JournalLost(error.to_string());
        while !core.store().is_streamed(self.operation).await.map_err(lost)? {
            match core.stream_operation(self.operation).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::info!(operation = %self.operation, %error, "it begins once the peer has its plan");
                }
            }
            tokio::select! {
                () = self.engine.clock().sleep(HAND_OVER_AGAIN) => {}
                end = self.stopped_while_planning(wire) => return Err(end),
            }
        }
        Ok(())
    }

    /// Completes when an operation that is still being planned is cancelled or let go: nothing of it has begun.
    async fn stopped_while_planning(&self, wire: &mut Wire) -> RunEnd {
        let mut others = Vec::new();
        let end = loop {
            match wire.controls.recv().await {
                Some(Control::Release) => break RunEnd::Released,
                Some(Control::Ask(request)) if request.ask == Ask::Cancel => {
                    let us = Some((self.engine.id.as_str(), self.fence));
                    let store = self.engine.core.store();
                    let new =
                        NewRequest { request, project_id: String::new().into(), idempotency: None };
                    match store.cancel_pending(self.operation, &new, us).await {
                        Ok(Some(row)) => break RunEnd::Ended(row.status),
                        Ok(None) => break RunEnd::Fenced,
                        Err(error) => break RunEnd::JournalLost(error.to_string()),
                    }
                }
                Some(other) => others.push(other),
                None => std::future::pending::<()>().await,
            }
        };
        for control in others {
            // The receiver is ours and open.
            let _ = wire.sender.send(control);
        }
        end
    }

    async fn refused(&self, refusal: &Refusal) -> Result<Plan, RunEnd> {
        let core = &self.engine.core;
        let row = core
            .store()
            .operation(&Scope::System, self.operation)
            .await
            .map_err(|error| RunEnd::JournalLost(error.to_string()))?;
        Ok(core.planner().refused(row.operation_type, row.group_id, refusal))
    }

    /// A parked operation goes on, or ends, only when a person asked for it. One that is not parked is left to the
    /// executor, which hears requests by itself.
    async fn attend(
        &self,
        plan: &Arc<Plan>,
        definition: &dyn Definition,
        lease: &Lease,
    ) -> Result<(), RunEnd> {
        let store = self.engine.core.store();
        let lost = |error: String| RunEnd::JournalLost(error);
        let entries = store.load(self.operation).await.map_err(|e| lost(e.to_string()))?;
        let mut state = State::fold(plan.clone(), entries.iter().map(|e| (e.seq, &e.kind)));
        if state.status() != OperationStatus::NeedsAttention {
            return Ok(());
        }
        let requests = store.requests(self.operation).await.map_err(|e| lost(e.to_string()))?;
        let (mut answers, mut effects) = (Vec::new(), Vec::new());
        for request in requests {
            for kind in state.answer(&request, definition) {
                if matches!(kind, EntryKind::Ended { .. }) {
                    effects = definition.on_abandon(&state);
                }
                state.apply(state.last_seq() + 1, &kind);
                answers.push(kind);
            }
        }
        if !answers.is_empty() {
            self.write(answers, &effects, &state, definition, lease).await?;
        }
        match state.mode() {
            Mode::Ended(status) => Err(RunEnd::Ended(*status)),
            Mode::Parked { reason, .. } => Err(RunEnd::Parked(reason.clone())),
            Mode::Forward | Mode::Unwinding(_) => Ok(()),
        }
    }

    /// An unknown version is parked, never guessed at.
    async fn park_unknown(&self, plan: &Plan, lease: &Lease) -> RunEnd {
        let reason = format!(
            "this engine knows no definition {:?} version {}; run an engine of the release that made the plan, or newer",
            plan.definition, plan.version
        );
        let store = self.engine.core.store();
        let entries = match store.load(self.operation).await {
            Ok(entries) => entries,
            Err(error) => return RunEnd::JournalLost(error.to_string()),
        };
        let mut state =
            State::fold(Arc::new(plan.clone()), entries.iter().map(|e| (e.seq, &e.kind)));
        let kind = EntryKind::Parked { reason: reason.clone(), step: None };
        state.apply(state.last_seq() + 1, &kind);
        match self.write(vec![kind], &[], &state, &Unknown, lease).await {
            Ok(()) => RunEnd::Parked(reason),
            Err(end) => end,
        }
    }

    async fn write(
        &self,
        kinds: Vec<EntryKind>,
        effects: &[DomainEffect],
        state: &State,
        definition: &dyn Definition,
        lease: &Lease,
    ) -> Result<(), RunEnd> {
        let now = self.engine.clock().now();
        let summary = state.summary(now, definition);
        let entries: Vec<_> = kinds.into_iter().map(|kind| NewEntry { at: now, kind }).collect();
        let store = self.engine.core.store();
        match store.append(self.operation, lease.fence(), &entries, effects, &summary).await {
            Ok(_) => Ok(()),
            Err(protector_workflow::JournalError::Fenced { .. }) => Err(RunEnd::Fenced),
            Err(error) => Err(RunEnd::JournalLost(error.to_string())),
        }
    }

    async fn after(&self, end: &RunEnd) {
        match end {
            RunEnd::Ended(status) => {
                tracing::info!(operation = %self.operation, %status, "operation ended")
            }
            RunEnd::Parked(reason) => {
                tracing::warn!(operation = %self.operation, %reason, "operation needs attention")
            }
            RunEnd::Released => tracing::info!(operation = %self.operation, "operation released"),
            RunEnd::Fenced => {
                tracing::warn!(operation = %self.operation, "another engine has the operation, or the lease ran out");
                return;
            }
            RunEnd::JournalLost(reason) => {
                tracing::error!(operation = %self.operation, %reason, "the journal cannot be written");
            }
        }
        if matches!(end, RunEnd::Ended(_) | RunEnd::Parked(_)) {
            self.tell_peer().await;
        }
        if matches!(end, RunEnd::Ended(_)) {
            self.free_claims().await;
        }
        if let Err(error) =
            self.engine.core.store().release(self.operation, &self.engine.id, self.fence).await
        {
            tracing::warn!(operation = %self.operation, %error, "not released; it will be taken over when the lease ends");
        }
    }

    async fn free_claims(&self) {
        let core = &self.engine.core;
        let group = async {
            let row = core.store().operation(&Scope::System, self.operation).await?;
            core.store().group(&Scope::System, row.group_id).await
        };
        match group.await {
            Ok(group) => core.release_both(&group, self.operation).await,
            Err(error) => {
                tracing::warn!(operation = %self.operation, %error, "claims not given back; they will die")
            }
        }
    }

    /// Both sites show how it ended. A peer that is away gets the group's document later, from the outbox.
    async fn tell_peer(&self) {
        let core = &self.engine.core;
        let group = match core.store().operation(&Scope::System, self.operation).await {
            Ok(row) => row.group_id,
            Err(error) => {
                tracing::warn!(operation = %self.operation, %error, "the record cannot be read");
                return;
            }
        };
        let (document, record) =
            tokio::join!(core.push_group(group), core.stream_operation(self.operation));
        for error in [document.err(), record.err()].into_iter().flatten() {
            tracing::warn!(operation = %self.operation, %error, "the peer was not told how it ended");
        }
    }
}

/// What the executor hears, and the other end of it.
struct Wire {
    sender: mpsc::UnboundedSender<Control>,
    controls: mpsc::UnboundedReceiver<Control>,
}

/// Beats while the driver lives, renews the lease by what it *began*, and carries requests to the executor.
struct Heart {
    engine: Arc<Engine>,
    operation: OperationId,
    lease: Lease,
    sender: mpsc::UnboundedSender<Control>,
    /// Requests that were carried; they wait in the database until the journal has them.
    carried: BTreeSet<String>,
}

impl Heart {
    async fn run(
        mut self,
        mut control: mpsc::UnboundedReceiver<Control>,
        mut bell: broadcast::Receiver<OperationId>,
        stop: CancellationToken,
    ) {
        let clock = self.engine.clock().clone();
        let mut next = clock.monotonic() + self.engine.config.heartbeat;
        self.carry().await;
        loop {
            tokio::select! {
                () = clock.sleep(next.saturating_sub(clock.monotonic())) => {
                    next = clock.monotonic() + self.engine.config.heartbeat;
                    if !self.beat().await {
                        return;
                    }
                }
                rung = rung(&mut bell) => {
                    if rung.is_some_and(|operation| operation != self.operation) {
                        continue;
                    }
                }
                Some(control) = control.recv() => {
                    // The executor may just have ended.
                    let _ = self.sender.send(control);
                    continue;
                }
                () = stop.cancelled() => return,
            }
            self.carry().await;
        }
    }

    /// False: the operation is not ours any more.
    async fn beat(&self) -> bool {
        let begun = self.engine.clock().monotonic();
        let (id, fence) = (self.operation, self.lease.fence());
        match self.engine.core.store().heartbeat(id, &self.engine.id, fence).await {
            Ok(true) => self.lease.renew_from(begun, self.engine.config.lease),
            Ok(false) => {
                self.lease.revoke();
                return false;
            }
            // The lease runs out by itself if this goes on.
            Err(error) => tracing::warn!(operation = %id, %error, "heartbeat failed"),
        }
        true
    }

    async fn carry(&mut self) {
        let requests = match self.engine.core.store().requests(self.operation).await {
            Ok(requests) => requests,
            Err(error) => {
                tracing::warn!(operation = %self.operation, %error, "cannot look for requests");
                return;
            }
        };
        for request in requests {
            if self.carried.insert(request.id.clone()) {
                // The executor may just have ended; then the request waits for the next one.
                let _ = self.sender.send(Control::Ask(request));
            }
        }
    }
}

/// Stands in for a definition that this build does not know: only to write that it does not.
struct Unknown;

impl Definition for Unknown {
    fn name(&self) -> &str {
        "unknown"
    }

    fn version(&self) -> u32 {
        0
    }

    fn step(&self, _kind: &str) -> Option<Arc<dyn DynStep>> {
        None
    }

    fn on_end(&self, _plan: &Plan, _status: OperationStatus, _unwound: bool) -> Vec<DomainEffect> {
        Vec::new()
    }

    fn result_data(&self, _state: &State) -> Value {
        json!({})
    }
}
