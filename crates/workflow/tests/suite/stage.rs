//! A small stage for single situations: steps made of closures, one executor, virtual time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use protector_types::{BoxFuture, Clock, DomainEffect, OperationId, OperationStatus};
use protector_workflow::{
    CallScope, Control, Definition, DynStep, Entry, EntryKind, Executor, ExecutorConfig, Found,
    IfLeft, Journal, Lease, MemoryJournal, NewEntry, NoHook, NoScope, OnFailure, Outcome, Outputs,
    Plan, PlannedStep, RunEnd, Stage, State, StepCx, StepError, Summary, Undo,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::harness::clock::VirtualClock;

type Call<T> = Arc<dyn Fn(StepCx) -> BoxFuture<'static, T> + Send + Sync>;

/// A step made of closures; by default it is done at once.
#[derive(Clone)]
pub struct Acts {
    run: Call<Outcome<Value>>,
    find: Call<Found<Value>>,
    undo: Call<Undo>,
    resolve: Arc<dyn Fn() -> Result<Value, StepError> + Send + Sync>,
}

impl Default for Acts {
    fn default() -> Self {
        Self {
            run: Arc::new(|_| Box::pin(async { Outcome::done(Value::Null) })),
            find: Arc::new(|_| Box::pin(async { Found::Absent })),
            undo: Arc::new(|_| Box::pin(async { Undo::Done(None) })),
            resolve: Arc::new(|| Ok(Value::Null)),
        }
    }
}

impl Acts {
    /// With this run.
    pub fn run<F>(mut self, run: impl Fn(StepCx) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcome<Value>> + Send + 'static,
    {
        self.run = Arc::new(move |cx| Box::pin(run(cx)));
        self
    }

    /// With this find.
    pub fn find<F>(mut self, find: impl Fn(StepCx) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Found<Value>> + Send + 'static,
    {
        self.find = Arc::new(move |cx| Box::pin(find(cx)));
        self
    }

    /// With this undo.
    pub fn undo<F>(mut self, undo: impl Fn(StepCx) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Undo> + Send + 'static,
    {
        self.undo = Arc::new(move |cx| Box::pin(undo(cx)));
        self
    }

    /// With this resolve.
    pub fn resolve(
        mut self,
        resolve: impl Fn() -> Result<Value, StepError> + Send + Sync + 'static,
    ) -> Self {
        self.resolve = Arc::new(resolve);
        self
    }
}

#[async_trait]
impl DynStep for Acts {
    fn kind(&self) -> &'static str {
        "acts"
    }
    fn resolve(&self, _: &Value, _: &Outputs) -> Result<Value, StepError> {
        (self.resolve)()
    }
    async fn run(&self, cx: &StepCx, _: &Value) -> Outcome<Value> {
        (self.run)(cx.clone()).await
    }
    async fn find(&self, cx: &StepCx, _: &Value) -> Found<Value> {
        (self.find)(cx.clone()).await
    }
    async fn undo(&self, cx: &StepCx, _: &Value, _: Option<&Value>) -> Undo {
        (self.undo)(cx.clone()).await
    }
    fn poll(&self) -> Duration {
        Duration::from_millis(500)
    }
    fn settle(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// The plan, its steps, and the journal that outlives engines.
#[derive(Clone)]
pub struct Theatre {
    /// Virtual.
    pub clock: VirtualClock,
    /// Shared by all engines.
    pub journal: MemoryJournal,
    /// The plan; change it before the first engine.
    pub plan: Plan,
    acts: BTreeMap<String, Acts>,
    /// Wraps each call.
    pub scope: Arc<dyn CallScope>,
    /// Knobs.
    pub config: ExecutorConfig,
    /// How long each engine's lease holds.
    pub lease: Duration,
    /// Used instead of `journal`, if set.
    pub instead: Option<Arc<dyn Journal>>,
}

impl Theatre {
    /// An empty plan.
    pub fn new() -> Self {
        let stage = |name: &str, from, to| Stage { name: name.into(), from, to };
        Self {
            clock: VirtualClock::default(),
            journal: MemoryJournal::default(),
            plan: Plan {
                definition: "acts".into(),
                version: 1,
                stages: vec![stage("only", 0, 100)],
                steps: vec![],
                facts: Value::Null,
            },
            acts: BTreeMap::new(),
            scope: Arc::new(NoScope),
            config: ExecutorConfig::default(),
            lease: Duration::from_secs(100_000),
            instead: None,
        }
    }

    /// One more step, with a minute of patience.
    pub fn step(self, id: &str, after: &[&str], acts: Acts) -> Self {
        self.planned(id, after, acts, |_| {})
    }

    /// One more step, changed by `change`.
    pub fn planned(
        mut self,
        id: &str,
        after: &[&str],
        acts: Acts,
        change: impl Fn(&mut PlannedStep),
    ) -> Self {
        let mut step = PlannedStep {
            id: id.into(),
            kind: id.into(),
            stage: 0,
            after: after.iter().map(|a| (*a).to_owned()).collect(),
            input: json!({}),
            subject: None,
            deadline_sec: 60,
            no_return: false,
            on_failure: OnFailure::Rollback,
        };
        change(&mut step);
        self.acts.insert(id.into(), acts);
        self.plan.steps.push(step);
        self
    }

    /// The engine forgets how this kind of step goes.
    pub fn forget(&mut self, id: &str) {
        self.acts.remove(id);
    }

    /// Runs `body` in virtual time; fails when a day passes.
    pub fn play<T>(&self, body: impl Future<Output = T>) -> T {
        crate::quiet();
        self.clock.runtime().block_on(async {
            tokio::select! {
                biased;
                value = body => value,
                () = self.clock.sleep(Duration::from_secs(86_400)) => {
                    panic!("nothing happened for a day; the journal: {:#?}", self.journal.entries())
                }
            }
        })
    }

    /// One engine.
    pub fn engine(
        &self,
    ) -> (Lease, mpsc::UnboundedSender<Control>, impl Future<Output = RunEnd> + use<>) {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let lease = Lease::new(self.journal.claim(), clock.clone(), self.lease);
        let executor = Executor {
            operation: operation(),
            definition: Arc::new(Acting(self.acts.clone())),
            journal: self.instead.clone().unwrap_or_else(|| Arc::new(self.journal.clone())),
            lease: lease.clone(),
            clock,
            hook: Arc::new(NoHook),
            scope: self.scope.clone(),
            config: self.config.clone(),
            engine: "engine".into(),
        };
        let (sender, control) = mpsc::unbounded_channel();
        (lease, sender, executor.run(Arc::new(self.plan.clone()), control))
    }

    /// One engine that nobody disturbs.
    pub fn run(&self) -> RunEnd {
        let (_lease, _sender, run) = self.engine();
        self.play(run)
    }

    /// One engine; `body` gets its controls beside it.
    pub fn run_with<F: Future<Output = ()>>(
        &self,
        body: impl FnOnce(Lease, mpsc::UnboundedSender<Control>) -> F,
    ) -> RunEnd {
        let (lease, sender, run) = self.engine();
        let body = body(lease, sender);
        self.play(async { futures::join!(run, body).0 })
    }

    /// Sleeps by the theatre's clock.
    pub async fn sleep(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    /// Seconds that passed.
    pub fn seconds(&self) -> u64 {
        self.clock.monotonic().as_secs()
    }

    /// Writes an entry as a person would.
    pub fn by_hand(&self, kinds: Vec<EntryKind>) {
        let fence = self.journal.claim();
        let at = self.clock.now();
        let entries: Vec<_> = kinds.into_iter().map(|kind| NewEntry { at, kind }).collect();
        let mut state = self.state();
        for entry in &entries {
            state.apply(state.last_seq() + 1, &entry.kind);
        }
        let summary = Summary { view: state.view(), completed_at: None, result_data: None };
        let write = self.journal.append(operation(), fence, &entries, &[], &summary);
        self.clock.runtime().block_on(write).unwrap();
    }

    /// "Go on."
    pub fn resume(&self) {
        self.by_hand(vec![EntryKind::Resumed { by: "adam".into() }]);
    }

    /// The fold of the journal.
    pub fn state(&self) -> State {
        let entries = self.journal.entries();
        State::fold(Arc::new(self.plan.clone()), entries.iter().map(|e| (e.seq, &e.kind)))
    }

    /// Position of the first entry of which this is true.
    pub fn at(&self, wanted: impl Fn(&EntryKind) -> bool) -> Option<usize> {
        self.journal.entries().iter().position(|e: &Entry| wanted(&e.kind))
    }
}

/// The operation of all these tests.
pub fn operation() -> OperationId {
    "op-00000000-0000-7000-8000-0000000000bb".parse().unwrap()
}

/// Knows these steps.
#[derive(Default)]
pub struct Acting(BTreeMap<String, Acts>);

impl Definition for Acting {
    fn name(&self) -> &str {
        "acts"
    }
    fn version(&self) -> u32 {
        1
    }
    fn step(&self, kind: &str) -> Option<Arc<dyn DynStep>> {
        let acts = self.0.get(kind)?;
        Some(Arc::new(acts.clone()))
    }
    fn if_left(&self, kind: &str) -> IfLeft {
        match kind {
            "thing" | "deaf" | "end" => IfLeft::Things,
            "fence" => IfLeft::Fence,
            _ => IfLeft::Writer,
        }
    }
    fn may_go_unseen(&self, kind: &str) -> bool {
        kind == "unseen"
    }
    fn on_end(&self, _: &Plan, _: OperationStatus, _: bool) -> Vec<DomainEffect> {
        vec![]
    }
    fn result_data(&self, _: &State) -> Value {
        Value::Null
    }
}

/// Counts calls under way.
#[derive(Clone, Default)]
pub struct Gauge(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Gauge {
    /// A call of a second.
    pub async fn call(&self, cx: StepCx) {
        let now = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.1.fetch_max(now, Ordering::SeqCst);
        cx.sleep(Duration::from_secs(1)).await;
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// The most at once.
    pub fn most(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

/// Answers in turn; the last one for ever.
pub fn in_turn<T: Clone + Send + 'static>(
    answers: Vec<T>,
) -> impl Fn() -> T + Send + Sync + 'static {
    let left = Mutex::new(answers);
    move || {
        let mut left = left.lock().unwrap();
        if left.len() > 1 { left.remove(0) } else { left[0].clone() }
    }
}
