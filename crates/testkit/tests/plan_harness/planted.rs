//! Bad steps around real ones, which the harness must catch. A harness that does not is worth nothing.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use protector_testkit::harness::{play::Start, scene, sweep::Case, table};
use protector_types::{DomainEffect, OperationId, OperationStatus};
use protector_workflow::{
    Definition, DynStep, Found, IfLeft, Outcome, Outputs, Plan, State, StepCx, StepError,
    SystemClock, Undo,
};
use serde_json::Value;

/// What is bad about a step.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bad {
    /// Never finds what it made.
    Blind,
    /// Puts no marker of its own on what it makes.
    Unmarked,
    /// Its undo leaves everything.
    Leaky,
    /// Its undo fails when there is nothing to undo.
    NeedsSomethingToUndo,
    /// Says "absent" at once, though the call may still land.
    Hasty,
    /// Makes its effect before its intent is committed.
    BeforeIntent,
    /// Its look makes what it does not find.
    LookThatMakes,
}

struct BadDefinition {
    inner: Arc<dyn Definition>,
    kind: &'static str,
    bad: Bad,
    operation: OperationId,
}

impl Definition for BadDefinition {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn version(&self) -> u32 {
        self.inner.version()
    }

    fn step(&self, kind: &str) -> Option<Arc<dyn DynStep>> {
        let inner = self.inner.step(kind)?;
        if kind != self.kind {
            return Some(inner);
        }
        Some(Arc::new(BadStep { inner, bad: self.bad, operation: self.operation }))
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

struct BadStep {
    inner: Arc<dyn DynStep>,
    bad: Bad,
    operation: OperationId,
}

#[async_trait]
impl DynStep for BadStep {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn resolve(&self, planned: &Value, outputs: &Outputs) -> Result<Value, StepError> {
        let input = self.inner.resolve(planned, outputs)?;
        if self.bad == Bad::BeforeIntent {
            let clock = Arc::new(SystemClock::new());
            let cx = StepCx::new(self.operation, "early", 0, clock);
            let (inner, input) = (self.inner.clone(), input.clone());
            tokio::spawn(async move { inner.run(&cx, &input).await });
        }
        Ok(input)
    }

    async fn run(&self, cx: &StepCx, input: &Value) -> Outcome<Value> {
        match self.bad {
            Bad::BeforeIntent => Outcome::Pending("it was made before".into()),
            Bad::Unmarked => {
                let clock = cx.clock().clone();
                let other = StepCx::new(cx.operation(), "somebody", 1, clock);
                self.inner.run(&other, input).await
            }
            _ => self.inner.run(cx, input).await,
        }
    }

    async fn find(&self, cx: &StepCx, input: &Value) -> Found<Value> {
        match self.bad {
            Bad::Blind => Found::Absent,
            Bad::LookThatMakes => match self.inner.find(cx, input).await {
                Found::Absent => {
                    self.inner.run(cx, input).await;
                    Found::Pending("it is now".into())
                }
                other => other,
            },
            _ => self.inner.find(cx, input).await,
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Value, output: Option<&Value>) -> Undo {
        match self.bad {
            Bad::Leaky => Undo::Done(None),
            Bad::NeedsSomethingToUndo if output.is_none() => {
                match self.inner.find(cx, input).await {
                    Found::Present(_) => self.inner.undo(cx, input, output).await,
                    _ => Undo::Failed(StepError::new("there is nothing to undo")),
                }
            }
            _ => self.inner.undo(cx, input, output).await,
        }
    }

    fn poll(&self) -> Duration {
        self.inner.poll()
    }

    fn settle(&self) -> Duration {
        if self.bad == Bad::Hasty { Duration::ZERO } else { self.inner.settle() }
    }
}

fn start() -> &'static Start {
    static START: OnceLock<Start> = OnceLock::new();
    START.get_or_init(|| scene::set(table::entry("planned failover").unwrap()).unwrap())
}

/// What the harness says of a plan whose steps of this kind are bad.
fn told(kind: &'static str, bad: Bad) -> Vec<String> {
    let operation = start().operation;
    let plant =
        move |inner| Arc::new(BadDefinition { inner, kind, bad, operation }) as Arc<dyn Definition>;
    let case = Case::of(start().with(Arc::new(plant)), |_| Vec::new()).unwrap();
    let tally = case.run(&case.plays_of(kind));
    let caught = tally.wrong.len();
    println!("{bad:?} {kind}: {caught} of {} plays show it", tally.plays);
    case.wrong.into_iter().chain(tally.wrong.into_values()).collect()
}

/// (kind, what is bad, words of the verdict that must be among those that are told).
const PLANTED: &[(&str, Bad, &str)] = &[
    ("create_server_group", Bad::Blind, "+ site-b compute server_groups"),
    ("create_port", Bad::Blind, "its look finds nothing"),
    ("create_port", Bad::Unmarked, "+ site-b network ports"),
    ("create_server", Bad::Unmarked, "+ site-b compute servers"),
    ("create_port", Bad::Leaky, "markers are left"),
    ("lock_server", Bad::Leaky, "after the rollback"),
    ("stop_server", Bad::Leaky, "after the rollback"),
    ("disconnect_volumes", Bad::Leaky, "cannot write"),
    ("create_server", Bad::NeedsSomethingToUndo, "a person was asked"),
    ("create_server_group", Bad::Hasty, "+ site-b compute server_groups"),
    ("create_server_group", Bad::BeforeIntent, "+ site-b compute server_groups"),
    ("create_server_group", Bad::LookThatMakes, "the look of"),
];

#[test]
fn planted_bad_steps_are_caught() {
    for (kind, bad, words) in PLANTED {
        let told = told(kind, *bad);
        let caught = told.iter().filter(|t| t.contains(words)).count();
        let first = told.first();
        assert!(caught > 0, "{bad:?} {kind} was not caught with {words:?}: {first:?}");
    }
}
