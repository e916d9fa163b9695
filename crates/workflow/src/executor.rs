//! The one writer of an operation's journal: obeys the pure decision, commits in groups, runs steps concurrently.

use std::{sync::Arc, time::Duration};

use protector_types::{Clock, OperationId, OperationStatus};
use tokio::sync::mpsc;

use crate::{
    CallScope, Definition, EntryKind, FaultHook, Gate, Journal, Lease, Mode, Plan, Request, State,
    commit,
    run::{Batch, Run},
};

/// What is asked of whoever drives an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// A person's request. It is in the journal with the next commit; one that the journal has is passed over.
    Ask(Request),
    /// The engine is being stopped: let go within its drain time, another one resumes.
    Release,
}

/// Knobs.
#[derive(Debug, Clone)]
pub struct ExecutorConfig {
    /// At most this many steps under way (services have their own, adaptive bounds).
    pub max_in_flight: usize,
    /// Patience of an undo.
    pub undo_patience: Duration,
    /// How often a step whose deadline passed while no engine was there gets fresh patience before a person is asked.
    pub unattended_attempts: u32,
    /// How many engines may take over one undo, each with the whole patience, before a person is asked.
    pub undo_takeovers: u32,
    /// After [`Control::Release`]: how long calls under way may take to answer before they are dropped. What is
    /// dropped stays started in the journal, and the next engine looks for it.
    pub drain: Duration,
    /// Which steps may begin.
    pub gate: Gate,
    /// Look for each step before it runs for the first time: the journal may lag behind what was done (takeover).
    pub look_first: bool,
    /// Patience, in an operation that was taken over, of steps that may fail with a warning: the site they are about is
    /// most likely dead.
    pub unseen_patience: Duration,
    /// Patience of the last look for what an operation left.
    pub last_look: Duration,
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self {
            max_in_flight: 1024,
            undo_patience: Duration::from_secs(600),
            unattended_attempts: 3,
            undo_takeovers: 10,
            drain: Duration::from_secs(25),
            gate: Gate::default(),
            look_first: false,
            unseen_patience: Duration::from_secs(10),
            last_look: Duration::from_secs(120),
        }
    }
}

/// How an executor's run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEnd {
    /// Terminal.
    Ended(OperationStatus),
    /// Waits for a person.
    Parked(String),
    /// Released on request; nothing is in flight.
    Released,
    /// Another engine has it, or the lease ran out, be it in the middle of a write.
    Fenced,
    /// The journal says that it cannot be read or written: the engine lets go, and recovery will resume.
    JournalLost(String),
}

/// Executes one operation.
pub struct Executor {
    /// Which operation.
    pub operation: OperationId,
    /// Knows the steps.
    pub definition: Arc<dyn Definition>,
    /// Where entries go.
    pub journal: Arc<dyn Journal>,
    /// Our right to go on.
    pub lease: Lease,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Test hook.
    pub hook: Arc<dyn FaultHook>,
    /// Lease check on the way out.
    pub scope: Arc<dyn CallScope>,
    /// Knobs.
    pub config: ExecutorConfig,
    /// Name of the engine, for the journal.
    pub engine: String,
}

impl Executor {
    /// Runs or resumes the operation until it ends, parks, is released or fenced off. An operation that has ended or
    /// is parked already is left as it is. Dropping the future at any moment is safe: it is what a crash is.
    ///
    /// # Errors
    /// None: everything that can go wrong is a [`RunEnd`].
    pub async fn run(
        self,
        plan: Arc<Plan>,
        mut control: mpsc::UnboundedReceiver<Control>,
    ) -> RunEnd {
        let entries = match commit::load(&self).await {
            Ok(entries) => entries,
            Err(end) => return end,
        };
        let state = State::fold(plan, entries.iter().map(|e| (e.seq, &e.kind)));
        match state.mode() {
            Mode::Ended(status) => return RunEnd::Ended(*status),
            Mode::Parked { reason, .. } => return RunEnd::Parked(reason.clone()),
            Mode::Forward | Mode::Unwinding(_) => {}
        }
        let mut run = Run::new(&self, state);
        let mut batch = Batch::default();
        let claimed = EntryKind::Claimed { engine: self.engine.clone(), fence: self.lease.fence() };
        run.record(claimed, &mut batch);
        let end = loop {
            run.decide_into(&mut batch);
            if matches!(run.state.mode(), Mode::Ended(_)) {
                run.look_back(&mut batch).await;
            }
            if !self.lease.is_held() {
                break RunEnd::Fenced;
            }
            if let Err(end) = run.commit(batch).await {
                break end;
            }
            if let Some(end) = run.end() {
                break end;
            }
            batch = run.next_batch(&mut control).await;
        };
        run.stop().await;
        end
    }
}
