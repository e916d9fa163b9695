//! One engine's run of an operation: takes reports, decides, announces and launches calls of steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use protector_types::{DomainEffect, OperationStatus};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Cause, Control, Decision, DynStep, EntryKind, Executor, Gate, Mode, NewEntry, OnFailure,
    RunEnd, State, StepCx, StepError, StepState,
    drive::{Drive, DriveEnd, UndoEnd},
};

/// What became of a call.
enum Report {
    Forward { step: usize, end: DriveEnd },
    Back { step: usize, end: UndoEnd },
}

/// What is committed together, and what may begin after that.
#[derive(Default)]
pub(crate) struct Batch {
    pub entries: Vec<NewEntry>,
    pub effects: Vec<DomainEffect>,
    pub launches: Vec<Launch>,
}

/// A step to be run or undone.
pub(crate) enum Launch {
    Forward { step: usize, resumed: bool },
    Back { step: usize, uncertain: bool },
}

impl Launch {
    fn step(&self) -> usize {
        let (Self::Forward { step, .. } | Self::Back { step, .. }) = self;
        *step
    }

    /// What to report when the call ends without an answer.
    fn no_answer(&self, why: &str) -> Report {
        match *self {
            Self::Forward { step, .. } => {
                Report::Forward { step, end: DriveEnd::Unclear { reason: why.to_owned() } }
            }
            Self::Back { step, .. } => {
                Report::Back { step, end: UndoEnd::Failed(StepError::new(why)) }
            }
        }
    }
}

/// Sends exactly one report, whatever happens to the task: a step without a report would be waited for forever.
struct Reporter {
    sender: mpsc::UnboundedSender<Report>,
    otherwise: Option<Report>,
}

impl Reporter {
    fn send(mut self, report: Report) {
        self.otherwise = Some(report);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(report) = self.otherwise.take() {
            // The receiver is gone only when the run is over; then nobody waits for the report.
            let _ = self.sender.send(report);
        }
    }
}

/// The run.
pub(crate) struct Run<'a> {
    pub executor: &'a Executor,
    pub state: State,
    /// Steps that are not to be launched: they are being run or undone, or are in `unclear`.
    in_flight: BTreeSet<usize>,
    /// Patience ended in doubt: they wait until nothing else moves, then the operation parks.
    unclear: BTreeMap<usize, String>,
    tasks: JoinSet<()>,
    reports: mpsc::UnboundedReceiver<Report>,
    sender: mpsc::UnboundedSender<Report>,
    forward_stop: CancellationToken,
    all_stop: CancellationToken,
    /// Asked to let go; at this moment of the clock calls under way are dropped.
    release_at: Option<Duration>,
    /// A step could begin, but the gate is closed.
    is_gated: bool,
    steps: BTreeMap<String, Arc<dyn DynStep>>,
}

impl<'a> Run<'a> {
    /// From this state on.
    pub fn new(executor: &'a Executor, state: State) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        Self {
            executor,
            state,
            in_flight: BTreeSet::new(),
            unclear: BTreeMap::new(),
            tasks: JoinSet::new(),
            reports,
            sender,
            forward_stop: CancellationToken::new(),
            all_stop: CancellationToken::new(),
            release_at: None,
            is_gated: false,
            steps: BTreeMap::new(),
        }
    }

    fn calls(&self) -> usize {
        self.in_flight.len() - self.unclear.len()
    }

    /// Whether this run is over.
    pub fn end(&self) -> Option<RunEnd> {
        match self.state.mode() {
            Mode::Ended(status) => Some(RunEnd::Ended(*status)),
            Mode::Parked { reason, .. } => Some(RunEnd::Parked(reason.clone())),
            _ if !self.executor.lease.is_held() => Some(RunEnd::Fenced),
            _ if self.release_at.is_some() && self.calls() == 0 => Some(RunEnd::Released),
            _ => None,
        }
    }

    /// Drops what still runs, at once: whoever goes on after us looks for it. Nothing of ours runs after that.
    pub async fn stop(&mut self) {
        self.forward_stop.cancel();
        self.all_stop.cancel();
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Waits for at least one report or request, takes all that are there.
    pub async fn next_batch(&mut self, control: &mut mpsc::UnboundedReceiver<Control>) -> Batch {
        let mut batch = Batch::default();
        let executor = self.executor;
        let drained = async {
            match self.release_at {
                Some(at) => {
                    executor.clock.sleep(at.saturating_sub(executor.clock.monotonic())).await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // A person's request goes before more of the same, and a lost lease before all.
            biased;
            () = executor.lease.lost() => return batch,
            Some(control) = control.recv() => self.control(control, &mut batch),
            report = self.reports.recv() => {
                if let Some(report) = report {
                    self.take(report, &mut batch);
                }
            }
            () = drained => self.drop_calls(),
            () = executor.clock.sleep(Gate::LOOK), if self.is_gated => {}
        }
        while let Ok(control) = control.try_recv() {
            self.control(control, &mut batch);
        }
        while let Ok(report) = self.reports.try_recv() {
            self.take(report, &mut batch);
        }
        while self.tasks.try_join_next().is_some() {}
        batch
    }

    fn drop_calls(&mut self) {
        self.tasks.abort_all();
        self.in_flight.clear();
        self.unclear.clear();
    }

    fn control(&mut self, control: Control, batch: &mut Batch) {
        match control {
            Control::Release => {
                let until = self.executor.clock.monotonic() + self.executor.config.drain;
                self.release_at.get_or_insert(until);
                self.forward_stop.cancel();
                self.all_stop.cancel();
            }
            Control::Ask(request) => {
                let answer = self.state.answer(&request, self.executor.definition.as_ref());
                for kind in answer {
                    self.record(kind, batch);
                }
                // What is committed with this batch already knows of it.
                if let Decision::BeginRollback(cause) = self.state.decide(&self.in_flight) {
                    self.begin_rollback(cause, batch);
                }
            }
        }
    }

    /// Applies an entry and puts it into the batch.
    pub fn record(&mut self, kind: EntryKind, batch: &mut Batch) {
        // The number that the entry will get: one writer, no gaps.
        let seq = self.state.last_seq() + 1;
        self.state.apply(seq, &kind);
        batch.entries.push(NewEntry { at: self.executor.clock.now(), kind });
    }

    fn begin_rollback(&mut self, cause: Cause, batch: &mut Batch) {
        self.forward_stop.cancel();
        // The undo of a started step looks for itself what became of it.
        for step in std::mem::take(&mut self.unclear).into_keys() {
            self.in_flight.remove(&step);
        }
        self.record(EntryKind::RollbackBegan { cause }, batch);
    }

    fn take(&mut self, report: Report, batch: &mut Batch) {
        match report {
            Report::Forward { step, end } => {
                if self.in_flight.remove(&step) {
                    self.take_forward(step, end, batch);
                }
            }
            Report::Back { step, end } => {
                self.in_flight.remove(&step);
                let id = self.id(step);
                match end {
                    UndoEnd::Undone { note, effects } => {
                        batch.effects.extend(effects);
                        self.record(EntryKind::Undone { step: id, note }, batch);
                    }
                    UndoEnd::Failed(error) => {
                        self.record(EntryKind::UndoFailed { step: id, error }, batch)
                    }
                    UndoEnd::Interrupted => {}
                }
            }
        }
    }

    fn take_forward(&mut self, step: usize, end: DriveEnd, batch: &mut Batch) {
        match end {
            DriveEnd::Done { done, adopted } => {
                batch.effects.extend(done.effects);
                let step = self.id(step);
                self.record(EntryKind::Done { step, output: done.output, adopted }, batch);
            }
            DriveEnd::Failed { error, retries } => self.fail(step, error, retries, batch),
            DriveEnd::Unclear { reason } if self.warns_unseen(step) => {
                self.fail_with(step, StepError::new(reason), 0, true, batch);
            }
            DriveEnd::Unclear { reason } if *self.state.mode() == Mode::Forward => {
                self.in_flight.insert(step);
                self.unclear.insert(step, reason);
            }
            DriveEnd::Unclear { .. } | DriveEnd::Interrupted => {}
        }
    }

    fn fail(&mut self, step: usize, error: StepError, retries: u32, batch: &mut Batch) {
        let warning = self.state.on_failure(step) == OnFailure::Warn;
        self.fail_with(step, error, retries, warning, batch);
    }

    fn fail_with(
        &mut self,
        step: usize,
        error: StepError,
        retries: u32,
        warning: bool,
        batch: &mut Batch,
    ) {
        self.record(EntryKind::Failed { step: self.id(step), error, retries, warning }, batch);
    }

    /// Not to know how the step ended is a warning: always, or because it only looks at a site that is dead.
    fn warns_unseen(&self, step: usize) -> bool {
        let kind = &self.state.plan().steps[step].kind;
        self.state.on_failure(step) == OnFailure::Warn
            || (self.executor.config.look_first && self.executor.definition.may_go_unseen(kind))
    }

    /// The patience with a step, in seconds.
    fn patience(&self, step: usize) -> i64 {
        let planned = self.state.plan().steps[step].deadline_sec;
        let unseen = match self.is_shortened(step) {
            true => self.executor.config.unseen_patience.as_secs(),
            false => u64::MAX,
        };
        i64::try_from(planned.min(unseen)).unwrap_or(i64::MAX / 4096)
    }

    fn is_shortened(&self, step: usize) -> bool {
        self.executor.config.look_first && self.warns_unseen(step)
    }

    fn id(&self, step: usize) -> String {
        self.state.plan().steps[step].id.clone()
    }

    /// Turns decisions into entries until nothing more can be decided without an outcome.
    pub fn decide_into(&mut self, batch: &mut Batch) {
        self.is_gated = false;
        while self.release_at.is_none() {
            let room = self.executor.config.max_in_flight.saturating_sub(self.calls());
            match self.state.decide(&self.in_flight) {
                Decision::Rest => return,
                Decision::Wait => {
                    if self.calls() > 0 || self.unclear.is_empty() {
                        return;
                    }
                    self.park_unclear(batch);
                }
                Decision::Run(_) | Decision::Undo(_) if room == 0 => return,
                Decision::Run(mut steps) => {
                    let plan = self.state.plan().clone();
                    let gate = &self.executor.config.gate;
                    let wanted = steps.len();
                    steps.retain(|&step| gate.admits(&plan.steps[step]));
                    self.is_gated = steps.len() < wanted;
                    if steps.is_empty() {
                        return;
                    }
                    for step in steps.into_iter().take(room) {
                        self.launch_forward(step, batch);
                    }
                }
                Decision::BeginRollback(cause) => self.begin_rollback(cause, batch),
                Decision::Undo(steps) => {
                    for step in steps.into_iter().take(room) {
                        self.launch_back(step, batch);
                    }
                }
                Decision::Park { reason, step } => {
                    self.record(EntryKind::Parked { reason, step }, batch)
                }
                Decision::Complete => self.finish(OperationStatus::Completed, None, false, batch),
                Decision::Incomplete => {
                    let error = self.state.explain_isolated();
                    self.finish(OperationStatus::Failed, Some(error), false, batch);
                }
                Decision::Unwound(cause) => {
                    let status = match cause {
                        Cause::Cancelled { .. } => OperationStatus::Cancelled,
                        Cause::StepFailed { .. } => OperationStatus::Failed,
                    };
                    let error = self.state.explain(&cause);
                    self.finish(status, Some(error), true, batch);
                }
            }
        }
    }

    /// Nothing else moves: a person has to say what became of these steps.
    fn park_unclear(&mut self, batch: &mut Batch) {
        let unclear = std::mem::take(&mut self.unclear);
        let others = match unclear.len() {
            0 | 1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let Some((step, why)) = unclear.into_iter().next() else { return };
        let id = self.id(step);
        let reason = format!(
            "{id}: it is not known what became of this step: {why}{others}. `retry` looks again"
        );
        self.record(EntryKind::Parked { reason, step: Some(id) }, batch);
    }

    fn finish(
        &mut self,
        status: OperationStatus,
        error: Option<String>,
        unwound: bool,
        batch: &mut Batch,
    ) {
        let definition = &self.executor.definition;
        batch.effects.extend(definition.on_end(self.state.plan(), status, unwound));
        self.record(EntryKind::Ended { status, error, leaked: None }, batch);
    }

    /// The last look, before the end is committed. The end does not wait for it longer than its patience or the lease.
    pub async fn look_back(&mut self, batch: &mut Batch) {
        let executor = self.executor;
        let found = {
            let look = executor.definition.last_look(executor.operation, &self.state);
            tokio::select! {
                found = look => found,
                () = executor.clock.sleep(executor.config.last_look) => Some(json!([format!(
                    "clouds and arrays did not answer within {} s: what is left is not known",
                    executor.config.last_look.as_secs()
                )])),
                () = executor.lease.lost() => None,
            }
        };
        for entry in &mut batch.entries {
            if let EntryKind::Ended { leaked, .. } = &mut entry.kind {
                leaked.clone_from(&found);
            }
        }
        self.state.leaked = found;
    }

    fn deadline_after(&self, patience: chrono::Duration) -> DateTime<Utc> {
        self.executor.clock.now().checked_add_signed(patience).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The number of the next attempt at something that an earlier engine began, or none if it goes on under the
    /// patience that it has. Time that passed while no engine was there is forgiven a few times, not forever.
    fn next_attempt(&self, step: usize, attempt: u32, deadline_at: DateTime<Utc>) -> Option<u32> {
        let allowed = self.executor.config.unattended_attempts;
        if self.state.is_renewed(step) {
            return Some(1);
        }
        (deadline_at <= self.executor.clock.now() && attempt < allowed).then_some(attempt + 1)
    }

    fn launch_forward(&mut self, step: usize, batch: &mut Batch) {
        let plan = self.state.plan().clone();
        let planned = &plan.steps[step];
        let (input, attempt, resumed) = match *self.state.step(step) {
            StepState::Started { attempt, deadline_at } => {
                let next = self.next_attempt(step, attempt, deadline_at);
                // The engine that died had more patience with this step than is left to wait for.
                let shorter = self.is_shortened(step).then_some(attempt + 1);
                let Some(attempt) = next.or(shorter) else {
                    self.in_flight.insert(step);
                    batch.launches.push(Launch::Forward { step, resumed: true });
                    return;
                };
                let input =
                    self.state.input(step).map(|i| i.as_ref().clone()).unwrap_or(Value::Null);
                (Ok(input), attempt, true)
            }
            // A step that an operator retries was started before: look first.
            // So is one that an engine elsewhere may have started without our knowing.
            _ => {
                let look = self.executor.config.look_first || self.state.input(step).is_some();
                (self.resolve(step), 1, look)
            }
        };
        match input {
            Ok(input) => {
                let seconds = self.patience(step);
                let deadline_at = self.deadline_after(chrono::Duration::seconds(seconds));
                let kind =
                    EntryKind::Started { step: planned.id.clone(), attempt, input, deadline_at };
                self.record(kind, batch);
                self.in_flight.insert(step);
                batch.launches.push(Launch::Forward { step, resumed });
            }
            Err(error) => self.fail(step, error, 0, batch),
        }
    }

    fn resolve(&mut self, step: usize) -> Result<Value, StepError> {
        let plan = self.state.plan().clone();
        let planned = &plan.steps[step];
        let Some(known) = self.step(&planned.kind) else {
            return Err(StepError::new(format!("this engine knows no step {:?}", planned.kind)));
        };
        let outputs = self.state.outputs();
        std::panic::catch_unwind(AssertUnwindSafe(|| known.resolve(&planned.input, outputs)))
            .unwrap_or_else(|_| Err(StepError::new("the step's own code panicked; this is a bug")))
    }

    fn launch_back(&mut self, step: usize, batch: &mut Batch) {
        // Without a definite outcome the last call may still land.
        let uncertain = match self.state.step(step) {
            StepState::Done | StepState::Failed => false,
            StepState::Undoing => !self.state.outputs().has(&self.id(step)),
            _ => true,
        };
        if *self.state.step(step) != StepState::Undoing {
            self.record(EntryKind::UndoStarted { step: self.id(step) }, batch);
        }
        self.in_flight.insert(step);
        batch.launches.push(Launch::Back { step, uncertain });
    }

    /// The end of an undo's patience. An undo that goes from engine to engine gets one more try in the end.
    fn undo_deadline(&self, step: usize) -> DateTime<Utc> {
        let config = &self.executor.config;
        if self.state.undo_takeovers(step) > config.undo_takeovers {
            return self.executor.clock.now();
        }
        let patience = chrono::Duration::from_std(config.undo_patience);
        self.deadline_after(patience.unwrap_or(chrono::Duration::MAX))
    }

    fn step(&mut self, kind: &str) -> Option<Arc<dyn DynStep>> {
        if let Some(step) = self.steps.get(kind) {
            return Some(step.clone());
        }
        let step = self.executor.definition.step(kind)?;
        self.steps.insert(kind.to_owned(), step.clone());
        Some(step)
    }

    /// Lets a call loose; its intent is committed.
    pub fn spawn(&mut self, launch: Launch) {
        let plan = self.state.plan().clone();
        let planned = &plan.steps[launch.step()];
        let lost = launch.no_answer("its task ended without an answer; this is a bug");
        let reporter = Reporter { sender: self.sender.clone(), otherwise: Some(lost) };
        let Some(step) = self.step(&planned.kind) else {
            let why = format!("this engine knows no step {:?}", planned.kind);
            return reporter.send(launch.no_answer(&why));
        };
        let drive = self.drive(step, &launch);
        let (scope, lease) = (self.executor.scope.clone(), self.executor.lease.clone());
        let output = self.state.outputs().0.get(&planned.id).cloned();
        self.tasks.spawn(async move {
            let work = Box::pin(async move {
                let call = async {
                    match launch {
                        Launch::Forward { step, .. } => {
                            Report::Forward { step, end: drive.forward().await }
                        }
                        Launch::Back { step, uncertain } => {
                            let end = drive.backward(output, uncertain).await;
                            Report::Back { step, end }
                        }
                    }
                };
                let report = AssertUnwindSafe(call).catch_unwind().await;
                let panicked = |_| launch.no_answer("the step's own code panicked; this is a bug");
                reporter.send(report.unwrap_or_else(panicked));
            });
            scope.enter(lease, work).await;
        });
    }

    fn drive(&self, step: Arc<dyn DynStep>, launch: &Launch) -> Drive {
        let executor = self.executor;
        let index = launch.step();
        let deadline_at = match self.state.step(index) {
            StepState::Started { deadline_at, .. } => *deadline_at,
            _ => self.undo_deadline(index),
        };
        let back = matches!(launch, Launch::Back { .. });
        Drive {
            step,
            cx: StepCx {
                operation: executor.operation,
                step: self.id(index),
                intent_seq: self.state.intent_seq(index),
                clock: executor.clock.clone(),
            },
            input: self.state.input(index).cloned().unwrap_or_default(),
            deadline_at,
            resumed: matches!(launch, Launch::Forward { resumed: true, .. }),
            lease: executor.lease.clone(),
            interrupt: if back { self.all_stop.clone() } else { self.forward_stop.clone() },
            hook: executor.hook.clone(),
        }
    }
}
