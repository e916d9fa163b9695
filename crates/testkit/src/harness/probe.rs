//! Puts faults around a definition's steps.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use protector_types::{DomainEffect, OperationStatus};
use protector_workflow::{
    Definition, DynStep, Found, IfLeft, Outcome, Outputs, Plan, State, StepCx, StepError, Undo,
};
use serde_json::Value;

use super::{
    faults::{Phase, RunFault, UndoFault},
    gremlin::Gremlin,
    wire::as_caller,
};

/// The text of planned panics: they need no stack trace.
pub const PLANNED_PANIC: &str = "planned panic";

/// Kinds whose look finds nothing by design: effect and outcome are one transaction, or to do it again is harmless and
/// simpler than to look. They are done again, and the end has to be the same.
const REPEATED: [&str; 9] = [
    "accept_primary",
    "arrive",
    "expect_none",
    "move_primary",
    "push_group",
    "refuse_source",
    "restore_content",
    "swap_back",
    "swap_primary",
];

/// A definition whose steps are disturbed.
pub struct Probed {
    inner: Arc<dyn Definition>,
    gremlin: Arc<Gremlin>,
}

impl Probed {
    /// Around `inner`.
    pub fn new(inner: Arc<dyn Definition>, gremlin: Arc<Gremlin>) -> Self {
        Self { inner, gremlin }
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
        Some(Arc::new(ProbedStep { inner, gremlin: self.gremlin.clone() }))
    }

    fn on_end(&self, plan: &Plan, status: OperationStatus, unwound: bool) -> Vec<DomainEffect> {
        self.inner.on_end(plan, status, unwound)
    }

    fn if_left(&self, kind: &str) -> IfLeft {
        self.inner.if_left(kind)
    }

    fn on_abandon(&self, state: &State) -> Vec<DomainEffect> {
        self.inner.on_abandon(state)
    }

    fn result_data(&self, state: &State) -> Value {
        self.inner.result_data(state)
    }
}

struct ProbedStep {
    inner: Arc<dyn DynStep>,
    gremlin: Arc<Gremlin>,
}

fn panic_as_planned() -> ! {
    std::panic::panic_any(PLANNED_PANIC)
}

impl ProbedStep {
    async fn really_run(&self, cx: &StepCx, input: &Value) -> Outcome<Value> {
        as_caller(cx.step_id(), Phase::Run, self.inner.run(cx, input)).await
    }

    async fn really_find(&self, cx: &StepCx, input: &Value) -> Found<Value> {
        as_caller(cx.step_id(), Phase::Find, self.inner.find(cx, input)).await
    }

    async fn really_undo(&self, cx: &StepCx, input: &Value, output: Option<&Value>) -> Undo {
        as_caller(cx.step_id(), Phase::Undo, self.inner.undo(cx, input, output)).await
    }

    fn lands_later(&self, cx: &StepCx, input: &Value, percent: u32) {
        let after = self.inner.settle() * percent / 100;
        self.gremlin.will_land(after);
        let (inner, cx, input) = (self.inner.clone(), cx.clone(), input.clone());
        let gremlin = self.gremlin.clone();
        let sleep = gremlin.clock.sleep(after);
        tokio::spawn(async move {
            sleep.await;
            gremlin.say(|| format!("{}: lands now", cx.step_id()));
            as_caller(cx.step_id(), Phase::Run, inner.run(&cx, &input)).await;
        });
    }

    /// Runs, and when it is done looks for it as a second engine would: it must be there, and be the same.
    async fn twice(&self, cx: &StepCx, input: &Value) -> Outcome<Value> {
        let first = self.really_run(cx, input).await;
        let step = cx.step_id();
        let mut seen = None;
        loop {
            match self.really_find(cx, input).await {
                Found::Pending(_) => cx.sleep(self.inner.poll()).await,
                Found::Present(found) => {
                    let before = match (&seen, &first) {
                        (Some(before), _) => Some(before),
                        (None, Outcome::Done(done)) => Some(done),
                        (None, _) => None,
                    };
                    if let Some(before) = before.filter(|b| **b != found) {
                        let now = &found;
                        self.gremlin.wrong(format!(
                            "the look of {step} gives {now:?}, before that it was {before:?}"
                        ));
                    }
                    if seen.is_some() {
                        return Outcome::Done(found);
                    }
                    seen = Some(found);
                }
                Found::Absent if REPEATED.contains(&self.inner.kind()) => {
                    return self.really_run(cx, input).await;
                }
                Found::Absent if matches!(first, Outcome::Done(_)) || seen.is_some() => {
                    self.gremlin.wrong(format!("{step} is done, and its look finds nothing"));
                    return self.really_run(cx, input).await;
                }
                // Its run said that it may be tried again, or that it does not know.
                Found::Absent => return first,
                Found::Broken(error) => return Outcome::Failed(error),
                Found::Unknown(why) => return Outcome::Unknown(why),
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
        let step = cx.step_id();
        let Some(fault) = gremlin.run_fault(step) else {
            return self.really_run(cx, input).await;
        };
        gremlin.say(|| format!("run of {step}: {fault:?}"));
        let unknown = || Outcome::Unknown("planned: no answer".into());
        let failed = || Outcome::Failed(StepError::new(format!("planned failure of {step}")));
        match fault {
            FailBefore => return failed(),
            LostBefore | DeafBefore => return unknown(),
            RetryLater(_) | RetryForever => {
                let after = Some(Duration::from_secs(1));
                return Outcome::Retry { reason: "planned: busy".into(), after };
            }
            LandsLater(percent) => {
                self.lands_later(cx, input, percent);
                return unknown();
            }
            CrashLandsLater(percent) => {
                self.lands_later(cx, input, percent);
                gremlin.die(step).await
            }
            PanicBefore => panic_as_planned(),
            CrashBefore => gremlin.die(step).await,
            Twice => return self.twice(cx, input).await,
            FailAfter | LostAfter | NeverReady | Broken | DeafAfter | PanicAfter | CrashAfter
            | CrashInFind => {}
        }
        let outcome = self.really_run(cx, input).await;
        match fault {
            FailAfter => failed(),
            LostAfter | DeafAfter | CrashInFind => unknown(),
            NeverReady | Broken => Outcome::Pending("planned: under way".into()),
            PanicAfter => panic_as_planned(),
            CrashAfter => gremlin.die(step).await,
            _ => outcome,
        }
    }

    async fn find(&self, cx: &StepCx, input: &Value) -> Found<Value> {
        use RunFault::*;
        let gremlin = &self.gremlin;
        let step = cx.step_id();
        match gremlin.find_fault(step) {
            // Nothing was made, also of a step without an effect, which would find itself done.
            Some(FailBefore) => Found::Absent,
            Some(NeverReady) => Found::Pending("planned: never ready".into()),
            Some(Broken) => Found::Broken(StepError::new(format!("planned failure of {step}"))),
            Some(DeafBefore | DeafAfter) => Found::Unknown("planned: nobody answers".into()),
            Some(CrashInFind) => {
                gremlin.end_run_fault(step);
                gremlin.die(step).await
            }
            _ => self.really_find(cx, input).await,
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Value, output: Option<&Value>) -> Undo {
        use UndoFault::*;
        let gremlin = &self.gremlin;
        let step = cx.step_id();
        let Some(fault) = gremlin.undo_fault(step) else {
            return self.really_undo(cx, input, output).await;
        };
        gremlin.say(|| format!("undo of {step}: {fault:?}"));
        match fault {
            Retry(_) | RetryForever => return Undo::Retry("planned: busy".into()),
            FailOnce => return Undo::Failed(StepError::new(format!("planned: {step} stays"))),
            Panic => panic_as_planned(),
            CrashBefore => gremlin.die(step).await,
            Pending(_) | Twice | CrashAfter => {}
        }
        let first = self.really_undo(cx, input, output).await;
        match fault {
            Pending(_) => Undo::Pending("planned: under way".into()),
            CrashAfter => gremlin.die(step).await,
            Twice if !matches!(first, Undo::Failed(_)) => self.really_undo(cx, input, output).await,
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
