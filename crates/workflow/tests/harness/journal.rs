//! A journal that fails on command, and judges each commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use protector_types::{Clock, DomainEffect, OperationId, OperationStatus};
use protector_workflow::{
    Ask, Control, Entry, EntryKind, Journal, JournalError, MemoryJournal, NewEntry, Plan, Request,
    State, Summary,
};
use tokio::sync::{Notify, mpsc::UnboundedSender};

use super::{
    Trace,
    faults::CommitFault,
    model::{Model, Way},
};

/// The journal of one scenario.
pub struct ProbeJournal {
    inner: MemoryJournal,
    trace: Arc<Trace>,
    clock: Arc<dyn Clock>,
    /// Tells the driver that the engine dies now.
    pub crash: Arc<Notify>,
    state: Mutex<Watch>,
}

/// What a person's cancel met.
#[derive(Debug, Clone)]
pub struct Cancelled {
    /// The journal as it was committed when the executor heard of it.
    pub way: Way,
    /// A step of no return was done.
    pub past_no_return: bool,
    /// One was under way.
    pub no_return_begun: bool,
}

struct Watch {
    model: Model,
    folded: State,
    steps: BTreeMap<String, String>,
    stages: Vec<String>,
    faults: BTreeMap<u64, CommitFault>,
    commits: u64,
    intents: BTreeSet<String>,
    failing_writes: u32,
    failing_loads: u32,
    fence: u64,
    fenced: BTreeSet<u64>,
    fenced_at: Option<Duration>,
    control: Option<UnboundedSender<Control>>,
    shown: (u8, usize),
    cancelled: Option<Cancelled>,
    hit: Option<(CommitFault, BTreeSet<String>)>,
}

impl ProbeJournal {
    /// An empty journal.
    pub fn new(
        plan: &Arc<Plan>,
        faults: BTreeMap<u64, CommitFault>,
        clock: Arc<dyn Clock>,
        trace: Arc<Trace>,
    ) -> Self {
        Self {
            inner: MemoryJournal::default(),
            trace,
            clock,
            crash: Arc::default(),
            state: Mutex::new(Watch {
                model: Model::new(plan),
                folded: State::new(plan.clone()),
                steps: plan.steps.iter().map(|s| (s.id.clone(), s.kind.clone())).collect(),
                stages: plan.stages.iter().map(|s| s.name.clone()).collect(),
                faults,
                commits: 0,
                intents: BTreeSet::new(),
                failing_writes: 0,
                failing_loads: 0,
                fence: 0,
                fenced: BTreeSet::new(),
                fenced_at: None,
                control: None,
                shown: (0, 0),
                cancelled: None,
                hit: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new engine takes the operation.
    pub fn claim(&self) -> u64 {
        let fence = self.inner.claim();
        let mut watch = self.lock();
        watch.fence = fence;
        watch.failing_writes = 0;
        watch.failing_loads = 0;
        fence
    }

    /// Where commit faults send `cancel` and `release`.
    pub fn connect(&self, control: UnboundedSender<Control>) {
        self.lock().control = Some(control);
    }

    /// The reading of what is committed.
    pub fn model(&self) -> Model {
        self.lock().model.clone()
    }

    /// Looks at the reading without a copy.
    pub fn with_model<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.lock().model)
    }

    /// The fold of what is committed.
    pub fn folded(&self) -> State {
        self.lock().folded.clone()
    }

    /// Whether this evidence ends in the step and number of a committed intent.
    pub fn proves(&self, evidence: &str) -> bool {
        let step = evidence.find("step ").map_or("", |at| &evidence[at..]);
        self.lock().intents.contains(step)
    }

    /// Everything committed.
    pub fn entries(&self) -> Vec<Entry> {
        self.inner.entries()
    }

    /// Domain changes committed.
    pub fn effects(&self) -> Vec<DomainEffect> {
        self.inner.effects()
    }

    /// How many commits there were.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// What the cancel met, if one was sent.
    pub fn cancelled(&self) -> Option<Cancelled> {
        self.lock().cancelled.clone()
    }

    /// When an engine learnt last that it is fenced off.
    pub fn fenced_at(&self) -> Option<Duration> {
        self.lock().fenced_at
    }

    /// The fault that struck last, and which kinds of entries its commit had.
    pub fn hit(&self) -> Option<(CommitFault, BTreeSet<String>)> {
        self.lock().hit.clone()
    }

    /// An entry of a person, written as the API would.
    pub async fn by_hand(&self, operation: OperationId, kind: EntryKind) {
        let fence = self.claim();
        let mut state = self.folded();
        state.apply(state.last_seq() + 1, &kind);
        let entry = NewEntry { at: self.clock.now(), kind };
        let summary = Summary { view: state.view(), completed_at: None, result_data: None };
        self.lock().faults.clear();
        self.write(operation, fence, &[entry], &[], &summary).await.unwrap();
    }

    fn next_fault(&self, entries: &[NewEntry]) -> Option<CommitFault> {
        let mut watch = self.lock();
        let number = watch.commits + 1;
        let fault = watch.faults.remove(&number)?;
        let kinds = entries.iter().map(|e| describe(&e.kind, &watch.steps)).collect();
        watch.hit = Some((fault, kinds));
        drop(watch);
        self.trace.say(|| format!("commit {number}: {fault:?}"));
        Some(fault)
    }

    fn tell(&self, control: Control) {
        let mut watch = self.lock();
        if matches!(control, Control::Ask(_)) {
            watch.cancelled = Some(Cancelled {
                way: watch.model.way.clone(),
                past_no_return: watch.model.past_no_return(),
                no_return_begun: watch.model.no_return_begun(),
            });
        }
        if let Some(sender) = &watch.control {
            let _ = sender.send(control);
        }
    }

    async fn die(&self) -> ! {
        self.crash.notify_one();
        std::future::pending().await
    }

    /// Judges what is about to be committed, after the journal took it.
    fn judge(&self, first: u64, entries: &[NewEntry], summary: &Summary) {
        let mut watch = self.lock();
        watch.commits += 1;
        let number = watch.commits;
        for (offset, entry) in entries.iter().enumerate() {
            let entry =
                Entry { seq: first + offset as u64, at: entry.at, kind: entry.kind.clone() };
            self.trace.say(|| format!("commit {number}: {} {}", entry.seq, brief(&entry.kind)));
            if let Err(wrong) = watch.model.apply(&entry) {
                self.trace.wrong(wrong);
            }
            watch.folded.apply(entry.seq, &entry.kind);
            if let EntryKind::Started { step, .. } = &entry.kind {
                watch.intents.insert(format!("step {step} entry {}", entry.seq));
            }
        }
        let view = watch.folded.view();
        if summary.view != view {
            self.trace.wrong(format!("the summary {:?} is not the fold {view:?}", summary.view));
        }
        let (progress, stages) = (view.progress, view.steps_completed.len());
        let completed = view.status == OperationStatus::Completed;
        if progress < watch.shown.0 || (progress == 100) != completed {
            self.trace
                .wrong(format!("progress {progress} after {}: {:?}", watch.shown.0, view.status));
        }
        if stages < watch.shown.1 || !watch.stages.starts_with(&view.steps_completed) {
            self.trace.wrong(format!("steps_completed became {:?}", view.steps_completed));
        }
        if summary.completed_at.is_some() != view.status.is_terminal() {
            self.trace.wrong(format!("completed_at {:?}: {:?}", summary.completed_at, view.status));
        }
        watch.shown = (progress, stages);
    }

    async fn write(
        &self,
        operation: OperationId,
        fence: u64,
        entries: &[NewEntry],
        effects: &[DomainEffect],
        summary: &Summary,
    ) -> Result<u64, JournalError> {
        let written = self.inner.append(operation, fence, entries, effects, summary).await;
        match &written {
            Ok(first) => self.judge(*first, entries, summary),
            Err(_) => {
                let again = {
                    let mut watch = self.lock();
                    watch.fenced_at = Some(self.clock.monotonic());
                    !watch.fenced.insert(fence)
                };
                if again {
                    self.trace.wrong(format!(
                        "the engine of fence {fence} wrote again though fenced off"
                    ));
                }
            }
        }
        written
    }

    fn away(operation: OperationId) -> JournalError {
        JournalError::Unavailable { operation, message: "planned outage".into() }
    }
}

#[async_trait]
impl Journal for ProbeJournal {
    async fn load(&self, operation: OperationId) -> Result<Vec<Entry>, JournalError> {
        {
            let mut watch = self.lock();
            if watch.failing_loads > 0 {
                watch.failing_loads -= 1;
                return Err(Self::away(operation));
            }
        }
        self.inner.load(operation).await
    }

    async fn append(
        &self,
        operation: OperationId,
        fence: u64,
        entries: &[NewEntry],
        effects: &[DomainEffect],
        summary: &Summary,
    ) -> Result<u64, JournalError> {
        // A database takes its time: others report meanwhile, and the next commit is a group.
        self.clock.sleep(Duration::from_millis(2)).await;
        {
            let mut watch = self.lock();
            if watch.failing_writes > 0 {
                watch.failing_writes -= 1;
                return Err(Self::away(operation));
            }
        }
        let fault = self.next_fault(entries);
        match fault {
            Some(CommitFault::CrashBefore) => self.die().await,
            Some(CommitFault::CancelBefore) => self.tell(Control::Ask(cancel())),
            Some(CommitFault::Release) => self.tell(Control::Release),
            Some(CommitFault::StolenBefore) => {
                self.claim();
            }
            Some(CommitFault::Rejected) => {
                return Err(JournalError::Rejected {
                    operation,
                    message: "planned refusal".into(),
                });
            }
            Some(CommitFault::Down { writes, loads, landed }) => {
                if landed {
                    self.write(operation, fence, entries, effects, summary).await?;
                }
                let mut watch = self.lock();
                watch.failing_writes = writes - 1;
                watch.failing_loads = loads;
                return Err(Self::away(operation));
            }
            _ => {}
        }
        let written = self.write(operation, fence, entries, effects, summary).await;
        match fault {
            Some(CommitFault::CrashAfter) => self.die().await,
            Some(CommitFault::CancelAfter) => self.tell(Control::Ask(cancel())),
            Some(CommitFault::CancelBefore) => self.refresh_cancel(),
            Some(CommitFault::StolenAfter) => {
                self.claim();
            }
            Some(CommitFault::LandedThenStolen) if written.is_ok() => {
                if matches!(self.lock().model.way, Way::Ended(_) | Way::Parked(_)) {
                    self.claim();
                    return Err(Self::away(operation));
                }
                let thief = self.claim();
                let claimed = EntryKind::Claimed { engine: "thief".into(), fence: thief };
                let entry = NewEntry { at: self.clock.now(), kind: claimed };
                self.write(operation, thief, &[entry], &[], summary).await?;
                return Err(Self::away(operation));
            }
            _ => {}
        }
        written
    }
}

impl ProbeJournal {
    /// A cancel sent before a commit is heard after it.
    fn refresh_cancel(&self) {
        let mut watch = self.lock();
        watch.cancelled = Some(Cancelled {
            way: watch.model.way.clone(),
            past_no_return: watch.model.past_no_return(),
            no_return_begun: watch.model.no_return_begun(),
        });
    }
}

fn describe(kind: &EntryKind, steps: &BTreeMap<String, String>) -> String {
    let of = |name: &str, step: &String| format!("{name} {}", steps[step]);
    match kind {
        EntryKind::Claimed { .. } => "claimed".into(),
        EntryKind::Started { step, .. } => of("started", step),
        EntryKind::Done { step, .. } => of("done", step),
        EntryKind::Failed { step, .. } => of("failed", step),
        EntryKind::RollbackBegan { .. } => "rollback".into(),
        EntryKind::UndoStarted { step, .. } => of("undo started", step),
        EntryKind::Undone { step, .. } => of("undone", step),
        EntryKind::UndoFailed { step, .. } => of("undo failed", step),
        EntryKind::Parked { .. } => "parked".into(),
        EntryKind::Asked { .. } => "asked".into(),
        EntryKind::Resumed { .. } => "resumed".into(),
        EntryKind::Skipped { step, .. } => of("skipped", step),
        EntryKind::Ended { .. } => "ended".into(),
    }
}

/// What eve asks.
fn cancel() -> Request {
    Request { id: "eve-1".into(), by: "eve".into(), ask: Ask::Cancel }
}

fn brief(kind: &EntryKind) -> String {
    let text = format!("{kind:?}");
    text.chars().take(160).collect()
}
