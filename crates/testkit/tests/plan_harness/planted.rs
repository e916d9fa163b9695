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

/// Plays a plan whose steps of this kind are bad until the verdict has these words; at worst all plays that strike such a
/// step or a commit.
fn caught(kind: &'static str, bad: Bad, words: &str) {
    let operation = start().operation;
    let plant =
        move |inner| Arc::new(BadDefinition { inner, kind, bad, operation }) as Arc<dyn Definition>;
    let case = Case::of(start().with(Arc::new(plant)), |_| Vec::new()).unwrap();
    let mut told = case.wrong.clone();
    let mut plays = 0;
    if told.iter().any(|t| t.contains(words)) {
        println!("{bad:?} {kind}: shown when it is undisturbed");
        return;
    }
    for number in case.plays_of(kind) {
        if told.iter().any(|t| t.contains(words)) {
            println!("{bad:?} {kind}: shown after {plays} plays");
            return;
        }
        plays += 1;
        told.extend(case.run(&[number]).wrong.into_values());
    }
    let first = told.first();
    assert!(
        told.iter().any(|t| t.contains(words)),
        "{bad:?} {kind} was not caught with {words:?} in {plays} plays: {first:?}"
    );
}

/// One test for each bad step: the kind, what is bad, words of the verdict.
macro_rules! planted {
    ($($test:ident: $kind:literal, $bad:ident, $words:literal;)*) => {
        $(#[test]
        fn $test() {
            caught($kind, Bad::$bad, $words);
        })*
    };
}

planted! {
    blind_server_group: "create_server_group", Blind, "+ site-b compute server_groups";
    blind_port: "create_port", Blind, "its look finds nothing";
    unmarked_port: "create_port", Unmarked, "+ site-b network ports";
    unmarked_server: "create_server", Unmarked, "still carries a marker";
    leaky_port: "create_port", Leaky, "markers are left";
    leaky_lock: "lock_server", Leaky, "after the rollback";
    leaky_stop: "stop_server", Leaky, "after the rollback";
    leaky_fence: "disconnect_volumes", Leaky, "cannot write";
    undo_that_needs_something: "create_server", NeedsSomethingToUndo, "a person was asked";
    hasty_server_group: "create_server_group", Hasty, "+ site-b compute server_groups";
    effect_before_intent: "create_server_group", BeforeIntent, "+ site-b compute server_groups";
    look_that_makes: "create_server_group", LookThatMakes, "the look of";
}
