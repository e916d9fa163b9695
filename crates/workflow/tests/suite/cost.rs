//! What the machine itself costs per step, without any waiting.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use protector_types::{DomainEffect, OperationId, OperationStatus};
use protector_workflow::{
    Definition, DynStep, Erased, Executor, ExecutorConfig, Found, Lease, MemoryJournal, NoHook,
    NoScope, OnFailure, Outcome, Outputs, Plan, PlannedStep, RunEnd, Stage, State, Step, StepCx,
    StepError, SystemClock, Undo,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Done at once; `true` as input: fails.
struct Instantly;

#[async_trait]
impl Step for Instantly {
    const KIND: &'static str = "instantly";
    type Planned = bool;
    type Input = bool;
    type Output = String;

    fn resolve(&self, planned: bool, _: &Outputs) -> Result<bool, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, fails: &bool) -> Outcome<String> {
        if *fails {
            return Outcome::Failed(StepError::new("planned"));
        }
        Outcome::done(cx.marker())
    }

    async fn find(&self, cx: &StepCx, _: &bool) -> Found<String> {
        Found::present(cx.marker())
    }

    async fn undo(&self, _: &StepCx, _: &bool, _: Option<String>) -> Undo {
        Undo::Done(None)
    }
}

struct Instant0;

impl Definition for Instant0 {
    fn name(&self) -> &str {
        "cost"
    }
    fn version(&self) -> u32 {
        1
    }
    fn step(&self, _: &str) -> Option<Arc<dyn DynStep>> {
        Some(Arc::new(Erased(Instantly)))
    }
    fn on_end(&self, _: &Plan, _: OperationStatus, _: bool) -> Vec<DomainEffect> {
        vec![]
    }
    fn result_data(&self, _: &State) -> Value {
        json!({})
    }
}

/// `after(n)`: numbers of the steps that step `n` needs.
fn plan(count: usize, after: impl Fn(usize) -> Vec<usize>, failing: Option<usize>) -> Plan {
    let steps = (0..count)
        .map(|n| PlannedStep {
            id: format!("n{n}"),
            kind: "instantly".into(),
            stage: n * 5 / count,
            after: after(n).into_iter().map(|a| format!("n{a}")).collect(),
            input: json!(failing == Some(n)),
            subject: Some(format!("member {n}")),
            deadline_sec: 600,
            no_return: false,
            on_failure: OnFailure::Rollback,
        })
        .collect();
    let stages = (0..5u8)
        .map(|s| Stage { name: format!("stage {s}"), from: s * 20, to: s * 20 + 20 })
        .collect();
    Plan { definition: "cost".into(), version: 1, stages, steps, facts: Value::Null }
}

/// Time that this thread was on a core; wall time where the system does not tell.
fn on_cpu(begun: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|t| t.split_whitespace().next().and_then(|n| n.parse().ok()));
    nanos.map_or_else(|| begun.elapsed(), Duration::from_nanos)
}

fn cost(name: &str, plan: Plan, end: &RunEnd) -> f64 {
    let count = plan.steps.len();
    plan.validate().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let journal = MemoryJournal::default();
    let clock = Arc::new(SystemClock::new());
    let executor = Executor {
        operation: OperationId::generate(),
        definition: Arc::new(Instant0),
        lease: Lease::new(journal.claim(), clock.clone(), Duration::from_secs(600)),
        journal: Arc::new(journal.clone()),
        clock,
        hook: Arc::new(NoHook),
        scope: Arc::new(NoScope),
        config: ExecutorConfig::default(),
        engine: "cost".into(),
    };
    let (_sender, control) = mpsc::unbounded_channel();
    let begun = Instant::now();
    let before = on_cpu(begun);
    let ended = runtime.block_on(executor.run(Arc::new(plan), control));
    let spent = on_cpu(begun).saturating_sub(before);
    assert_eq!(ended, *end);
    let summary = journal.summary().unwrap();
    assert!(summary.view.status.is_terminal());
    let per_step = spent.as_secs_f64() * 1000.0 / count as f64;
    println!(
        "{name}: {count} steps, {} entries, {per_step:.4} ms of CPU per step",
        journal.entries().len()
    );
    per_step
}

#[test]
fn a_step_costs_well_under_a_third_of_a_millisecond() {
    let completed = RunEnd::Ended(OperationStatus::Completed);
    let failed = RunEnd::Ended(OperationStatus::Failed);
    let last = 1999;
    let earlier = |n: usize| if n == 0 { vec![] } else { vec![n - 1] };
    let members = |n: usize| match n {
        0 => vec![],
        n if n == last => (last - 50..last).collect(),
        n if n <= 50 => vec![0],
        n => vec![n - 50],
    };
    let wide = |n: usize| if n == last { (0..last).collect() } else { vec![] };
    let layers = |n: usize| if n < 50 { vec![] } else { (n / 50 * 50 - 50..n / 50 * 50).collect() };
    let worst = [
        cost("chain", plan(2000, earlier, None), &completed),
        cost("50 members of 40 steps", plan(2000, members, None), &completed),
        cost("2000 at once, one barrier", plan(2000, wide, None), &completed),
        cost("40 layers of 50, all to all", plan(2000, layers, None), &completed),
        cost("chain, rollback", plan(2000, earlier, Some(last)), &failed),
        cost("50 members, rollback", plan(2000, members, Some(last)), &failed),
        cost("2000 at once, rollback", plan(2000, wide, Some(last)), &failed),
        cost("layers, rollback", plan(2000, layers, Some(last)), &failed),
    ]
    .into_iter()
    .fold(0.0, f64::max);
    assert!(worst < 0.3, "{worst:.3} ms of CPU per step");
}

#[test]
fn a_step_costs_the_same_in_a_plan_ten_times_as_large() {
    let completed = RunEnd::Ended(OperationStatus::Completed);
    let earlier = |n: usize| if n == 0 { vec![] } else { vec![n - 1] };
    let small = cost("chain", plan(1000, earlier, None), &completed);
    let large = cost("chain", plan(10_000, earlier, None), &completed);
    assert!(large < small * 4.0, "{small:.4} ms became {large:.4} ms per step");
}
