//! Drives one claimed operation: heartbeat, plan, executor, end.

use std::sync::Arc;

use protector_store::{Scope, StoreError};
use protector_types::{Code, DomainEffect, OperationId, OperationStatus, Refusal};
use protector_workflow::{
    Control, Definition, DynStep, EntryKind, Executor, ExecutorConfig, Journal, Lease, NewEntry,
    Plan, RunEnd, State,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::Engine;

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
        // Ends with this driver, however that ends: a beat without a driver would keep others from taking over.
        let heart = AbortOnDropHandle::new(tokio::spawn(heartbeat(
            self.engine.clone(),
            self.operation,
            lease.clone(),
            sender,
            control,
            stop.clone(),
        )));
        let end = self.execute(&lease, controls).await;
        stop.cancel();
        let _ = heart.await;
        self.after(&end).await;
        self.operation
    }

    async fn execute(&self, lease: &Lease, controls: mpsc::UnboundedReceiver<Control>) -> RunEnd {
        let plan = match self.plan(lease).await {
            Ok(plan) => Arc::new(plan),
            Err(end) => return end,
        };
        let core = &self.engine.core;
        let Some(definition) = core.planner().definition(&plan.definition, plan.version) else {
            return self.park_unknown(&plan, lease).await;
        };
        if let Err(end) = self.resume_if_asked(&plan, &definition, lease).await {
            return end;
        }
        let executor = Executor {
            operation: self.operation,
            definition,
            journal: Arc::new(core.store().clone()),
            lease: lease.clone(),
            clock: self.engine.clock().clone(),
            hook: self.engine.hook.clone(),
            scope: self.engine.scope.clone(),
            config: ExecutorConfig::default(),
            engine: self.engine.id.clone(),
        };
        executor.run(plan, controls).await
    }

    /// The stored plan; or, for an operation that was accepted before it could be planned, a new one.
    async fn plan(&self, lease: &Lease) -> Result<Plan, RunEnd> {
        let core = &self.engine.core;
        match core.store().load_plan(self.operation).await {
            Ok(plan) => return Ok(plan),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(RunEnd::JournalLost(error.to_string())),
        }
        let plan = match core.plan_accepted(self.operation).await {
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

    async fn refused(&self, refusal: &Refusal) -> Result<Plan, RunEnd> {
        let core = &self.engine.core;
        let row = core
            .store()
            .operation(&Scope::System, self.operation)
            .await
            .map_err(|error| RunEnd::JournalLost(error.to_string()))?;
        Ok(core.planner().refused(row.operation_type, row.group_id, refusal))
    }

    /// A parked operation goes on only when a person asked for it.
    async fn resume_if_asked(
        &self,
        plan: &Arc<Plan>,
        definition: &Arc<dyn Definition>,
        lease: &Lease,
    ) -> Result<(), RunEnd> {
        let store = self.engine.core.store();
        let lost = |error: String| RunEnd::JournalLost(error);
        let entries = store.load(self.operation).await.map_err(|e| lost(e.to_string()))?;
        let mut state = State::fold(plan.clone(), entries.iter().map(|e| (e.seq, &e.kind)));
        if state.status() != OperationStatus::NeedsAttention {
            return Ok(());
        }
        let asked = store
            .take_control(self.operation, &self.engine.id, self.fence)
            .await
            .map_err(|e| lost(e.to_string()))?;
        let Some(by) = asked
            .as_ref()
            .and_then(|c| c.get("retry"))
            .and_then(|r| r.get("by"))
            .and_then(Value::as_str)
        else {
            return Err(RunEnd::Parked(state.error_message().unwrap_or_default()));
        };
        let kind = EntryKind::Resumed { by: by.to_owned() };
        state.apply(state.last_seq() + 1, &kind);
        self.write(kind, &state, definition.as_ref(), lease).await
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
        match self.write(kind, &state, &Unknown, lease).await {
            Ok(()) => RunEnd::Parked(reason),
            Err(end) => end,
        }
    }

    async fn write(
        &self,
        kind: EntryKind,
        state: &State,
        definition: &dyn Definition,
        lease: &Lease,
    ) -> Result<(), RunEnd> {
        let now = self.engine.clock().now();
        let summary = state.summary(now, definition);
        let entry = NewEntry { at: now, kind };
        let store = self.engine.core.store();
        match store.append(self.operation, lease.fence(), &[entry], &[], &summary).await {
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
        if let Err(error) =
            self.engine.core.store().release(self.operation, &self.engine.id, self.fence).await
        {
            tracing::warn!(operation = %self.operation, %error, "not released; it will be taken over when the lease ends");
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
            tokio::join!(core.push_group(group), core.push_operation(self.operation));
        for error in [document.err(), record.err()].into_iter().flatten() {
            tracing::warn!(operation = %self.operation, %error, "the peer was not told how it ended");
        }
    }
}

/// Beats while the driver lives, renews the lease by what it *began*, and carries requests to the executor.
async fn heartbeat(
    engine: Arc<Engine>,
    operation: OperationId,
    lease: Lease,
    sender: mpsc::UnboundedSender<Control>,
    mut control: mpsc::UnboundedReceiver<Control>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = engine.clock().sleep(engine.config.heartbeat) => {}
            Some(control) = control.recv() => {
                let _ = sender.send(control);
                continue;
            }
            () = stop.cancelled() => return,
        }
        let begun = engine.clock().monotonic();
        match engine.core.store().heartbeat(operation, &engine.id, lease.fence()).await {
            Ok(true) => lease.renew_from(begun, engine.config.lease),
            Ok(false) => {
                lease.revoke();
                return;
            }
            // The lease runs out by itself if this goes on.
            Err(error) => tracing::warn!(%operation, %error, "heartbeat failed"),
        }
        if let Ok(Some(request)) =
            engine.core.store().take_control(operation, &engine.id, lease.fence()).await
            && let Some(by) =
                request.get("cancel").and_then(|c| c.get("by")).and_then(Value::as_str)
        {
            let _ = sender.send(Control::Cancel { by: by.to_owned() });
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
