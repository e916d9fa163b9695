//! Plays one scenario: engines come and go until the operation is at rest.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use protector_types::{Clock, OperationId};
use protector_workflow::{
    Control, EntryKind, Executor, ExecutorConfig, Lease, NoHook, NoScope, RunEnd,
};
use tokio::sync::mpsc;

use super::{
    Case, Inventory, Trace, World,
    clock::VirtualClock,
    faults::Faults,
    journal::ProbeJournal,
    probe::{Gremlin, Probed},
};

/// One run of a case.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What goes wrong.
    pub faults: Faults,
    /// How often a person repairs what is broken and says "go on" to a parked operation.
    pub resumes: u32,
    /// How long a lease holds; nobody renews it.
    pub lease: Duration,
    /// Draws the latencies.
    pub seed: u64,
    /// Steps under way at most.
    pub max_in_flight: usize,
    /// Keep the events, for a person to read.
    pub told: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        let lease = Duration::from_secs(3600);
        Self {
            faults: Faults::default(),
            resumes: 0,
            lease,
            seed: 1,
            max_in_flight: 1024,
            told: false,
        }
    }
}

/// What came of it.
pub struct Played {
    /// How the last engine ended; none: it never did.
    pub end: Option<RunEnd>,
    /// How each engine ended (none: it died), and when by the clock.
    pub engines: Vec<(Option<RunEnd>, Duration)>,
    /// The journal.
    pub journal: Arc<ProbeJournal>,
    /// The faults.
    pub gremlin: Arc<Gremlin>,
    /// What happened.
    pub trace: Arc<Trace>,
    /// What there is.
    pub inventory: Inventory,
    /// Whose markers are left.
    pub markers: Vec<String>,
    /// Calls of dead engines and late stops are judged: time was virtual.
    pub strict: bool,
    /// The reason of the first parking.
    pub parked: Option<String>,
}

/// No operation takes longer than this by the clock.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// Plays in virtual time.
pub fn play<W: World>(case: &Case<W>, scenario: &Scenario) -> Played {
    let clock = VirtualClock::default();
    let runtime = clock.runtime();
    runtime.block_on(play_on(case, scenario, Arc::new(clock), true))
}

/// Plays on the given clock, in the runtime that is entered.
pub async fn play_on<W: World>(
    case: &Case<W>,
    scenario: &Scenario,
    clock: Arc<dyn Clock>,
    strict: bool,
) -> Played {
    let world = Arc::new(W::fresh());
    let trace = Arc::new(Trace::new(scenario.told));
    let operation: OperationId = "op-00000000-0000-7000-8000-0000000000aa".parse().unwrap();
    let faults = scenario.faults.commit.clone();
    let journal = Arc::new(ProbeJournal::new(&case.plan, faults, clock.clone(), trace.clone()));
    let gremlin = Arc::new(Gremlin::new(
        journal.clone(),
        trace.clone(),
        clock.clone(),
        &scenario.faults,
        scenario.seed,
        strict,
    ));
    let mut stage =
        Stage { case, scenario, world, operation, clock, journal, gremlin, engines: vec![] };
    let mut resumes = scenario.resumes;
    let mut parked = None;
    let end = loop {
        let end = stage.engine().await;
        match end {
            None | Some(RunEnd::Fenced | RunEnd::Released | RunEnd::JournalLost(_)) => {
                if stage.engines.len() > 400 {
                    trace.wrong("four hundred engines were not enough");
                    break end;
                }
            }
            Some(RunEnd::Parked(reason)) => {
                // A refused record has nothing to do with the steps.
                let refused = reason.contains("planned refusal");
                if !refused {
                    parked.get_or_insert_with(|| reason.clone());
                }
                if resumes == 0 {
                    break Some(RunEnd::Parked(reason));
                }
                resumes -= 1;
                if !refused {
                    stage.gremlin.heal();
                }
                stage.journal.by_hand(operation, EntryKind::Resumed { by: "adam".into() }).await;
            }
            Some(RunEnd::Ended(_)) => break end,
        }
        if stage.clock.monotonic() > FOREVER {
            trace.wrong("it never ends");
            break None;
        }
    };
    // Whatever is still on its way lands.
    let landing = stage.gremlin.quiet_at().saturating_sub(stage.clock.monotonic());
    if !landing.is_zero() {
        stage.clock.sleep(landing + Duration::from_secs(5)).await;
    }
    Played {
        end,
        inventory: stage.world.inventory(),
        markers: stage.world.markers().into_iter().collect(),
        engines: stage.engines,
        journal: stage.journal,
        gremlin: stage.gremlin,
        trace,
        strict,
        parked,
    }
}

struct Stage<'a, W> {
    case: &'a Case<W>,
    scenario: &'a Scenario,
    world: Arc<W>,
    operation: OperationId,
    clock: Arc<dyn Clock>,
    journal: Arc<ProbeJournal>,
    gremlin: Arc<Gremlin>,
    engines: Vec<(Option<RunEnd>, Duration)>,
}

impl<W: World> Stage<'_, W> {
    /// One engine, from its claim to its end; none: it died.
    async fn engine(&mut self) -> Option<RunEnd> {
        let number = self.engines.len() as u64 + 1;
        self.gremlin.engine.store(number, Ordering::SeqCst);
        let fence = self.journal.claim();
        let inner = (self.case.definition)(self.world.clone());
        let executor = Executor {
            operation: self.operation,
            definition: Arc::new(Probed::new(inner, self.gremlin.clone(), number)),
            journal: self.journal.clone(),
            lease: Lease::new(fence, self.clock.clone(), self.scenario.lease),
            clock: self.clock.clone(),
            hook: Arc::new(NoHook),
            scope: Arc::new(NoScope),
            config: ExecutorConfig {
                max_in_flight: self.scenario.max_in_flight,
                ..ExecutorConfig::default()
            },
            engine: format!("engine-{number}"),
        };
        let (sender, control) = mpsc::unbounded_channel::<Control>();
        self.journal.connect(sender);
        let crash = self.journal.crash.clone();
        let end = tokio::select! {
            biased;
            () = crash.notified() => None,
            end = executor.run(self.case.plan.clone(), control) => Some(end),
            () = self.clock.sleep(FOREVER) => {
                self.gremlin.trace.wrong("the executor waits for something that never comes");
                None
            }
        };
        self.gremlin.engine.store(0, Ordering::SeqCst);
        self.gremlin
            .trace
            .say(|| format!("engine {number} ends: {end:?} at {:?}", self.clock.monotonic()));
        self.engines.push((end.clone(), self.clock.monotonic()));
        end
    }
}
