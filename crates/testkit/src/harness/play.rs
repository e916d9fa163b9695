//! Plays an operation once in virtual time: engines come and go until it is at rest.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::DateTime;
use protector_http::RouterTransport;
use protector_operations::{Deps, catalog};
use protector_server::hooks::LeaseScope;
use protector_sim::{
    faults::{Effect, Rule},
    world::{World, WorldConfig},
};
use protector_types::{Clock, DomainEffect, OperationId, SiteId};
use protector_workflow::{
    Control, Definition, Entry, EntryKind, Executor, ExecutorConfig, Journal, Lease, MemoryJournal,
    NewEntry, NoHook, Plan, RunEnd, State, View,
};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    clock::{Moment, VirtualClock},
    fabric::{Pushes, SimFabric},
    faults::Faults,
    gremlin::{Gremlin, Request},
    journal::PlayJournal,
    probe::Probed,
    wire::Wire,
};

/// No operation takes longer than this by the clock.
const FOREVER: Duration = Duration::from_secs(4 * 24 * 3600);
/// After the end: for what clouds do by and by (deletions, detachments).
const QUIET: Duration = Duration::from_secs(60);
/// An operation that needs more engines than this does not get on.
const MOST_ENGINES: usize = 60;

/// An operation that is about to run, in a world that stands still.
pub struct Start {
    /// The world, as it was when the operation was accepted.
    pub world: World,
    /// When that was.
    pub moment: Moment,
    /// The accepted plan.
    pub plan: Arc<Plan>,
    /// Its id: part of every marker.
    pub operation: OperationId,
    /// Site A, site B.
    pub site_ids: [SiteId; 2],
    /// Changes the world before each play: a site that is down, for one.
    pub arrange: fn(&World),
    /// Puts bad steps in the place of good ones.
    pub planted: Option<Plant>,
}

/// Wraps a definition's steps.
pub type Plant = Arc<dyn Fn(Arc<dyn Definition>) -> Arc<dyn Definition> + Send + Sync>;

impl Start {
    /// The same operation at the same moment, with these steps.
    pub fn with(&self, plant: Plant) -> Self {
        Self {
            world: self.world.fork(Arc::new(VirtualClock::at(self.moment))),
            moment: self.moment,
            plan: self.plan.clone(),
            operation: self.operation,
            site_ids: self.site_ids,
            arrange: self.arrange,
            planted: Some(plant),
        }
    }
}

/// How to play.
#[derive(Debug, Clone, Default)]
pub struct Scenario {
    /// What goes wrong.
    pub faults: Faults,
    /// How often a person repairs what is broken and lets a parked operation go on.
    pub resumes: u32,
    /// Keep the events, for a person to read.
    pub told: bool,
}

/// What came of it.
pub struct Played {
    /// How the last engine ended; none: it died, and there was none after it.
    pub end: Option<RunEnd>,
    /// Reasons of all parkings.
    pub parked: Vec<String>,
    /// Engines that were needed.
    pub engines: usize,
    /// The journal.
    pub entries: Vec<Entry>,
    /// Domain changes, in order.
    pub effects: Vec<DomainEffect>,
    /// What a client sees.
    pub view: View,
    /// The record's `result_data`.
    pub result_data: Value,
    /// The world once it is quiet.
    pub dump: Value,
    /// Servers that ran before and cannot write to their volumes now: (site, server, why).
    pub cannot_write: Vec<(usize, String, String)>,
    /// The faults.
    pub gremlin: Arc<Gremlin>,
    /// Requests to the world, in order.
    pub requests: Vec<Request>,
}

/// Plays.
///
/// # Errors
/// When there is no runtime, or no definition for the plan.
pub fn play(start: &Start, scenario: &Scenario) -> anyhow::Result<Played> {
    let clock = VirtualClock::at(start.moment);
    let runtime = clock.runtime()?;
    runtime.block_on(async move {
        let stage = Stage::set(start, scenario, Arc::new(clock));
        stage.play().await
    })
}

/// What the world is before anything happens, by its own dump, and which servers run.
///
/// # Errors
/// When there is no runtime.
pub fn before(start: &Start) -> anyhow::Result<Value> {
    let clock = VirtualClock::at(start.moment);
    let runtime = clock.runtime()?;
    runtime.block_on(async move {
        let world = start.world.fork(Arc::new(clock.clone()));
        (start.arrange)(&world);
        clock.sleep(QUIET).await;
        Ok(world.dump())
    })
}

/// Every definition of this build: name and version.
pub fn definitions() -> BTreeSet<(String, u32)> {
    let epoch = Moment { now: DateTime::UNIX_EPOCH, monotonic: Duration::ZERO };
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::at(epoch));
    let world = World::new(WorldConfig::new(0, clock.clone()));
    let transport = Arc::new(RouterTransport::new(clock.clone()));
    let ids = [SiteId::generate(), SiteId::generate()];
    let fabric = SimFabric::new(&world, ids, transport, clock);
    let deps = Deps::new(Arc::new(fabric), Arc::new(Pushes));
    catalog::all(&deps).iter().map(|d| (d.name().to_owned(), d.version())).collect()
}

struct Stage<'a> {
    start: &'a Start,
    scenario: &'a Scenario,
    world: Arc<World>,
    clock: Arc<dyn Clock>,
    memory: MemoryJournal,
    gremlin: Arc<Gremlin>,
    wire: Arc<Wire>,
    engines: usize,
}

impl<'a> Stage<'a> {
    fn set(start: &'a Start, scenario: &'a Scenario, clock: Arc<dyn Clock>) -> Self {
        let world = Arc::new(start.world.fork(clock.clone()));
        (start.arrange)(&world);
        if let Some(ms) = scenario.faults.stale_ms {
            for list in ["/servers/detail", "/volumes/detail", "/ports?", "/os-server-groups"] {
                world.faults().add(Rule::new(Effect::Stale { ms }).method("GET").path(list));
            }
        }
        let gremlin = Arc::new(Gremlin::new(clock.clone(), &scenario.faults, scenario.told));
        let wire = Arc::new(Wire::new(world.clone(), gremlin.clone()));
        let memory = MemoryJournal::default();
        Self { start, scenario, world, clock, memory, gremlin, wire, engines: 0 }
    }

    /// The definition with fresh sessions, hints and shared lists: another process.
    fn definition(&self) -> anyhow::Result<Arc<dyn Definition>> {
        let plan = &self.start.plan;
        let fabric =
            SimFabric::new(&self.world, self.start.site_ids, self.wire.clone(), self.clock.clone());
        let deps = Deps::new(Arc::new(fabric), Arc::new(Pushes));
        let known = catalog::all(&deps)
            .into_iter()
            .find(|d| d.name() == plan.definition && d.version() == plan.version);
        let known = known.ok_or_else(|| {
            anyhow::anyhow!("no definition {:?} version {}", plan.definition, plan.version)
        })?;
        Ok(match &self.start.planted {
            Some(plant) => plant(known),
            None => known,
        })
    }

    /// One engine, from its claim to its end; none: it died.
    async fn engine(&mut self) -> anyhow::Result<Option<RunEnd>> {
        self.engines += 1;
        let (sender, control) = mpsc::unbounded_channel::<Control>();
        let journal = PlayJournal::new(self.memory.clone(), self.gremlin.clone(), sender);
        let fence = self.memory.claim();
        let executor = Executor {
            operation: self.start.operation,
            definition: Arc::new(Probed::new(self.definition()?, self.gremlin.clone())),
            journal: Arc::new(journal),
            lease: Lease::new(fence, self.clock.clone(), FOREVER * 2),
            clock: self.clock.clone(),
            hook: Arc::new(NoHook),
            scope: Arc::new(LeaseScope),
            config: ExecutorConfig::default(),
            engine: format!("engine-{}", self.engines),
        };
        let end = tokio::select! {
            biased;
            () = self.gremlin.crash.notified() => None,
            end = executor.run(self.start.plan.clone(), control) => Some(end),
            () = self.clock.sleep(FOREVER) => {
                self.gremlin.wrong("the executor waits for something that never comes".into());
                None
            }
        };
        self.gremlin.say(|| format!("engine {} ends: {end:?}", self.engines));
        Ok(end)
    }

    async fn play(mut self) -> anyhow::Result<Played> {
        let mut resumes = self.scenario.resumes;
        let mut parked = Vec::new();
        let end = loop {
            if self.engines >= MOST_ENGINES {
                self.gremlin.wrong(format!("{MOST_ENGINES} engines were not enough"));
                break None;
            }
            match self.engine().await? {
                None | Some(RunEnd::Fenced | RunEnd::Released | RunEnd::JournalLost(_)) => {}
                Some(RunEnd::Parked(reason)) => {
                    parked.push(reason.clone());
                    if resumes == 0 {
                        break Some(RunEnd::Parked(reason));
                    }
                    resumes -= 1;
                    self.gremlin.heal();
                    self.resume().await?;
                }
                Some(RunEnd::Ended(status)) => break Some(RunEnd::Ended(status)),
            }
        };
        self.wait_for_quiet().await;
        self.result(end, parked)
    }

    fn folded(&self) -> State {
        let entries = self.memory.entries();
        State::fold(self.start.plan.clone(), entries.iter().map(|e| (e.seq, &e.kind)))
    }

    /// A person lets the operation go on.
    async fn resume(&self) -> anyhow::Result<()> {
        let mut state = self.folded();
        let kind = EntryKind::Resumed { by: "adam".into() };
        state.apply(state.last_seq() + 1, &kind);
        let now = self.clock.now();
        let summary = state.summary(now, self.definition()?.as_ref());
        let fence = self.memory.claim();
        let entry = NewEntry { at: now, kind };
        self.memory.append(self.start.operation, fence, &[entry], &[], &summary).await?;
        Ok(())
    }

    /// Whatever is still on its way lands, and the clouds finish what they began.
    async fn wait_for_quiet(&self) {
        let landing = self.gremlin.quiet_at().saturating_sub(self.clock.monotonic());
        self.clock.sleep(landing + QUIET).await;
    }

    fn result(self, end: Option<RunEnd>, parked: Vec<String>) -> anyhow::Result<Played> {
        let state = self.folded();
        let dump = self.world.dump();
        Ok(Played {
            end,
            parked,
            engines: self.engines,
            entries: self.memory.entries(),
            effects: self.memory.effects(),
            view: state.view(),
            result_data: self.definition()?.result_data(&state),
            cannot_write: cannot_write(&self.world, &dump),
            dump,
            requests: self.gremlin.requests(),
            gremlin: self.gremlin,
        })
    }
}

/// Each ACTIVE server's guest writes to each of its disks. After the dump: a stamp changes the content.
fn cannot_write(world: &World, dump: &Value) -> Vec<(usize, String, String)> {
    let mut cannot = Vec::new();
    for (at, site) in world.sites().iter().enumerate() {
        let servers = dump["clouds"][&site.cloud.name]["compute"]["servers"].as_array();
        for server in servers.into_iter().flatten().filter(|s| s["status"] == "ACTIVE") {
            let id = server["id"].as_str().unwrap_or_default();
            for disk in server["disks"].as_array().into_iter().flatten() {
                let volume = disk["volume_id"].as_str().unwrap_or_default();
                if let Err(error) = site.cloud.guest_write(id, volume, "after the end") {
                    let name = server["name"].as_str().unwrap_or_default().to_owned();
                    cannot.push((at, name, error.to_string()));
                }
            }
        }
    }
    cannot
}
