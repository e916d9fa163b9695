//! Puts faults around a definition's steps, and judges each call by what is committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use protector_types::{Clock, DomainEffect, OperationStatus, Rng, SplitMix};
use protector_workflow::{
    Definition, DynStep, Found, Outcome, Outputs, Plan, State, StepCx, StepError, Undo,
};
use serde_json::Value;

use super::{
    Trace,
    faults::{RunFault, UndoFault},
    journal::ProbeJournal,
    model::{Stand, Way},
};

/// What all engines of one scenario share.
pub struct Gremlin {
    /// The scenario's journal.
    pub journal: Arc<ProbeJournal>,
    /// The scenario's trace.
    pub trace: Arc<Trace>,
    clock: Arc<dyn Clock>,
    seed: u64,
    /// The engine that may make calls.
    pub engine: AtomicU64,
    /// Judge calls of dead engines (not where threads are real).
    pub strict: bool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    run: BTreeMap<String, RunFault>,
    undo: BTreeMap<String, UndoFault>,
    hits: BTreeSet<String>,
    polls: BTreeMap<String, u32>,
    busy: BTreeSet<(u64, String)>,
    landing_until: Duration,
}

impl Gremlin {
    /// For one scenario.
    pub fn new(
        journal: Arc<ProbeJournal>,
        trace: Arc<Trace>,
        clock: Arc<dyn Clock>,
        faults: &super::faults::Faults,
        seed: u64,
        strict: bool,
    ) -> Self {
        let inner =
            Inner { run: faults.run.clone(), undo: faults.undo.clone(), ..Inner::default() };
        let engine = AtomicU64::new(0);
        Self { journal, trace, clock, seed, engine, strict, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Faults of steps that struck.
    pub fn hits(&self) -> BTreeSet<String> {
        self.lock().hits.clone()
    }

    /// A person repaired what was broken for good.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.run.clear();
        inner.undo.clear();
    }

    /// When the last late effect lands.
    pub fn quiet_at(&self) -> Duration {
        self.lock().landing_until
    }

    /// The fault of this run. `once`: it is gone after that.
    fn run_fault(&self, step: &str) -> Option<RunFault> {
        use RunFault::*;
        let mut inner = self.lock();
        let fault = *inner.run.get(step)?;
        inner.hits.insert(step.to_owned());
        match fault {
            RetryLater(0) => {
                inner.run.remove(step);
                return None;
            }
            RetryLater(n) => {
                inner.run.insert(step.to_owned(), RetryLater(n - 1));
            }
            // The looks go on with these.
            FailBefore | RetryForever | NeverReady | Broken | DeafBefore | DeafAfter
            | Pending(_) | CrashInFind => {}
            _ => {
                inner.run.remove(step);
            }
        }
        Some(fault)
    }

    fn undo_fault(&self, step: &str) -> Option<UndoFault> {
        use UndoFault::*;
        let mut inner = self.lock();
        let fault = *inner.undo.get(step)?;
        inner.hits.insert(step.to_owned());
        let left = match fault {
            Retry(n) if n > 1 => Some(Retry(n - 1)),
            Pending(n) if n > 1 => Some(Pending(n - 1)),
            FailForGood | RetryForever => Some(fault),
            _ => None,
        };
        match left {
            Some(left) => inner.undo.insert(step.to_owned(), left),
            None => inner.undo.remove(step),
        };
        Some(fault)
    }

    /// The network's share of a call: different for each step, the same in each repetition.
    async fn latency(&self, step: &str) {
        let share = SplitMix::keyed(self.seed, step).next_f64();
        self.clock.sleep(Duration::from_millis(5).mul_f64(1.0 + 40.0 * share)).await;
    }

    async fn die(&self, step: &str) -> ! {
        self.trace.say(|| format!("{step}: the engine dies"));
        self.journal.crash.notify_one();
        std::future::pending().await
    }

    /// Judges the beginning of a call.
    fn begin(&self, engine: u64, cx: &StepCx, undo: bool) -> Busy<'_> {
        let step = cx.step_id();
        let what = if undo { "undo" } else { "run" };
        self.trace
            .say(|| format!("engine {engine}: {what} {step} at {:?}", self.clock.monotonic()));
        if self.strict && self.engine.load(Ordering::SeqCst) != engine {
            self.trace.wrong(format!("{what} of {step} by engine {engine}, which is dead"));
        }
        if !self.lock().busy.insert((engine, step.to_owned())) {
            self.trace.wrong(format!("{what} of {step} while another call of it is under way"));
        }
        let wrong = self.journal.with_model(|model| {
            let stand = model.stand(step);
            if undo {
                let alone = model.way == Way::Forward && model.is_isolated(step);
                let back = (alone || matches!(model.way, Way::Back(_))) && stand == Stand::Undoing;
                (!back || model.needed(step).is_some()).then(|| {
                    format!(
                        "undo of {step} while {stand:?}, {:?}, needed: {:?}",
                        model.way,
                        model.needed(step)
                    )
                })
            } else {
                // A rollback may have been committed in the same moment; the call was on its way then.
                let forward = matches!(model.way, Way::Forward | Way::Back(_));
                (stand != Stand::Started || !forward || !model.unblocked(step)).then(|| {
                    format!(
                        "run of {step} while {stand:?}, {:?}, unblocked: {}",
                        model.way,
                        model.unblocked(step)
                    )
                })
            }
        });
        if let Some(wrong) = wrong {
            self.trace.wrong(wrong);
        }
        Busy { gremlin: self, key: (engine, step.to_owned()) }
    }

    /// The proof that a step carries must be its committed intent.
    fn check_evidence(&self, cx: &StepCx) {
        let evidence = cx.evidence().to_string();
        let own = evidence.contains(&format!("step {} ", cx.step_id()));
        if !own || !self.journal.proves(&evidence) {
            self.trace.wrong(format!("{evidence} is not a committed intent of {}", cx.step_id()));
        }
    }
}

/// While it lives, a call is under way.
struct Busy<'a> {
    gremlin: &'a Gremlin,
    key: (u64, String),
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.gremlin.lock().busy.remove(&self.key);
    }
}

/// A definition whose steps are watched and disturbed, for one engine.
pub struct Probed {
    inner: Arc<dyn Definition>,
    gremlin: Arc<Gremlin>,
    engine: u64,
}

impl Probed {
    /// Around `inner`.
    pub fn new(inner: Arc<dyn Definition>, gremlin: Arc<Gremlin>, engine: u64) -> Self {
        Self { inner, gremlin, engine }
    }
}

impl Definition for Probed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn version(&self) -> u32 {
        self.inner.version()
    }

    fn step(&self, kind: &str) -> Option<Arc<dyn DynStep>> {
        let inner = self.inner.step(kind)?;
        Some(Arc::new(ProbedStep { inner, gremlin: self.gremlin.clone(), engine: self.engine }))
    }

    fn on_end(&self, plan: &Plan, status: OperationStatus, unwound: bool) -> Vec<DomainEffect> {
        self.inner.on_end(plan, status, unwound)
    }

    fn result_data(&self, state: &State) -> Value {
        self.inner.result_data(state)
    }
}

struct ProbedStep {
    inner: Arc<dyn DynStep>,
    gremlin: Arc<Gremlin>,
    engine: u64,
}

impl ProbedStep {
    fn lands_later(&self, cx: &StepCx, input: &Value, after: Duration) {
        let (inner, cx, input) = (self.inner.clone(), cx.clone(), input.clone());
        let gremlin = self.gremlin.clone();
        let at = gremlin.clock.monotonic() + after;
        {
            let mut state = gremlin.lock();
            state.landing_until = state.landing_until.max(at);
        }
        let sleep = gremlin.clock.sleep(after);
        tokio::spawn(async move {
            sleep.await;
            gremlin.trace.say(|| format!("{}: lands now", cx.step_id()));
            inner.run(&cx, &input).await;
        });
    }

    async fn twice(&self, cx: &StepCx, input: &Value) -> Outcome<Value> {
        let first = self.inner.run(cx, input).await;
        let step = cx.step_id();
        loop {
            match (self.inner.find(cx, input).await, &first) {
                (Found::Pending(_), _) => cx.sleep(self.inner.poll()).await,
                (Found::Present(found), Outcome::Done(done)) if found != *done => {
                    self.gremlin
                        .trace
                        .wrong(format!("find of {step} gives {found:?}, run gave {done:?}"));
                    return Outcome::Done(found);
                }
                (Found::Present(found), _) => return Outcome::Done(found),
                (Found::Absent, _) => return self.inner.run(cx, input).await,
                (Found::Broken(error), _) => return Outcome::Failed(error),
                (Found::Unknown(why), _) => return Outcome::Unknown(why),
            }
        }
    }
}

#[async_trait]
impl DynStep for ProbedStep {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn resolve(&self, planned: &Value, outputs: &Outputs) -> Result<Value, StepError> {
        self.inner.resolve(planned, outputs)
    }

    async fn run(&self, cx: &StepCx, input: &Value) -> Outcome<Value> {
        use RunFault::*;
        let gremlin = &self.gremlin;
        let _busy = gremlin.begin(self.engine, cx, false);
        gremlin.check_evidence(cx);
        gremlin.latency(cx.step_id()).await;
        let Some(fault) = gremlin.run_fault(cx.step_id()) else {
            return self.inner.run(cx, input).await;
        };
        gremlin.trace.say(|| format!("{}: {fault:?}", cx.step_id()));
        let unknown = || Outcome::Unknown("planned: no answer".into());
        let failed =
            || Outcome::Failed(StepError::new(format!("planned failure of {}", cx.step_id())));
        // What happens before the effect.
        match fault {
            FailBefore => return failed(),
            LostBefore | DeafBefore => return unknown(),
            RetryLater(_) | RetryForever => {
                let after = Some(Duration::from_secs(1));
                return Outcome::Retry { reason: "planned: busy".into(), after };
            }
            LandsLater(after) => {
                self.lands_later(cx, input, after);
                return unknown();
            }
            CrashLandsLater(after) => {
                self.lands_later(cx, input, after);
                gremlin.die(cx.step_id()).await
            }
            PanicBefore => panic!("planned panic"),
            CrashBefore => gremlin.die(cx.step_id()).await,
            Slow(time) => gremlin.clock.sleep(time).await,
            Twice => return self.twice(cx, input).await,
            _ => {}
        }
        let outcome = self.inner.run(cx, input).await;
        match fault {
            FailAfter => failed(),
            LostAfter | DeafAfter | CrashInFind => unknown(),
            Pending(_) | NeverReady | Broken => Outcome::Pending("planned: under way".into()),
            PanicAfter => panic!("planned panic"),
            CrashAfter => gremlin.die(cx.step_id()).await,
            _ => outcome,
        }
    }

    async fn find(&self, cx: &StepCx, input: &Value) -> Found<Value> {
        use RunFault::*;
        let gremlin = &self.gremlin;
        gremlin.trace.say(|| {
            format!(
                "engine {}: find {} at {:?}",
                self.engine,
                cx.step_id(),
                gremlin.clock.monotonic()
            )
        });
        gremlin.latency(cx.step_id()).await;
        let fault = {
            let inner = gremlin.lock();
            let struck = inner.hits.contains(cx.step_id());
            inner.run.get(cx.step_id()).copied().filter(|f| struck || *f == FailBefore)
        };
        match fault {
            // Nothing was made, also of a step without an effect, which would find itself done.
            Some(FailBefore) => Found::Absent,
            Some(NeverReady) => Found::Pending("planned: never ready".into()),
            Some(Broken) => Found::Broken(StepError::new("planned: in ERROR")),
            Some(DeafBefore | DeafAfter) => Found::Unknown("planned: nobody answers".into()),
            Some(Pending(left)) => {
                let mut inner = gremlin.lock();
                let polls = inner.polls.entry(cx.step_id().to_owned()).or_default();
                *polls += 1;
                if *polls >= left {
                    inner.run.remove(cx.step_id());
                }
                Found::Pending("planned: under way".into())
            }
            Some(CrashInFind) => {
                gremlin.lock().run.remove(cx.step_id());
                gremlin.die(cx.step_id()).await
            }
            _ => self.inner.find(cx, input).await,
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Value, output: Option<&Value>) -> Undo {
        use UndoFault::*;
        let gremlin = &self.gremlin;
        let _busy = gremlin.begin(self.engine, cx, true);
        gremlin.check_evidence(cx);
        gremlin.latency(cx.step_id()).await;
        let Some(fault) = gremlin.undo_fault(cx.step_id()) else {
            return self.inner.undo(cx, input, output).await;
        };
        gremlin.trace.say(|| format!("undo {}: {fault:?}", cx.step_id()));
        let failed = || Undo::Failed(StepError::new(format!("planned: {} stays", cx.step_id())));
        match fault {
            Retry(_) | RetryForever => return Undo::Retry("planned: busy".into()),
            FailOnce | FailForGood => return failed(),
            Panic => panic!("planned panic"),
            CrashBefore => gremlin.die(cx.step_id()).await,
            _ => {}
        }
        let first = self.inner.undo(cx, input, output).await;
        match fault {
            Pending(_) => Undo::Pending("planned: under way".into()),
            CrashAfter => gremlin.die(cx.step_id()).await,
            Twice => self.inner.undo(cx, input, output).await,
            _ => first,
        }
    }

    fn poll(&self) -> Duration {
        self.inner.poll()
    }

    fn settle(&self) -> Duration {
        self.inner.settle()
    }
}
