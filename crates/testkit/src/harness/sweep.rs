//! Plays all points of an operation, on several threads, and tallies them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Context as _;
use protector_types::OperationStatus;
use protector_workflow::RunEnd;

use super::{
    canon::Reading,
    ends::Ends,
    faults::{Faults, RunFault},
    play::{Played, Scenario, Start, before, play},
    points::{self, By, Expect, Planned, Roles, Seen},
    probe::PLANNED_PANIC,
    table::Entry,
    verdict::{Golden, effects, judge},
};
use crate::{Inventory, expect::Problems};

/// Environment variable that selects the plays: `all`, `every:<k>`, or numbers as in `3,17`.
pub const SELECTION: &str = "PROTECTOR_PLAN_HARNESS";
/// Environment variable with the number of threads of one operation.
pub const THREADS: &str = "PROTECTOR_PLAN_HARNESS_THREADS";

/// (kind of step or of journal entry, fault, before or after).
pub type Point = (String, String, &'static str);

/// An operation at its start, with what its plays are judged by.
pub struct Case {
    /// Where it starts.
    pub start: Start,
    /// What its steps mean.
    pub roles: Roles,
    /// What plays are compared with.
    pub golden: Golden,
    /// All plays.
    pub plays: Vec<Planned>,
    /// What was wrong with the undisturbed run and the undisturbed rollback.
    pub wrong: Vec<String>,
}

/// Which plays are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Each.
    All,
    /// Those that each sample has, and each k-th of the others.
    Every(usize),
    /// These.
    Only(Vec<usize>),
}

impl Selection {
    /// As [`SELECTION`] says; without it, each k-th.
    ///
    /// # Errors
    /// When it is set to something else than described there.
    pub fn from_env(k: usize) -> anyhow::Result<Self> {
        match std::env::var(SELECTION) {
            Ok(text) => Self::parse(&text),
            Err(_) => Ok(Self::Every(k.max(1))),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let bad = || format!("{SELECTION}={text}: expected `all`, `every:<k>` or `3,17`");
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(k) = text.strip_prefix("every:") {
            let k: usize = k.parse().with_context(bad)?;
            anyhow::ensure!(k > 0, bad());
            return Ok(Self::Every(k));
        }
        let numbers = text.split(',').map(|n| n.trim().parse::<usize>());
        Ok(Self::Only(numbers.collect::<Result<_, _>>().with_context(bad)?))
    }

    fn takes(&self, number: usize, core: bool) -> bool {
        match self {
            Self::All => true,
            Self::Every(k) => core || number.is_multiple_of(*k),
            Self::Only(numbers) => numbers.contains(&number),
        }
    }
}

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Tally {
    /// Distinct points at which the fault really struck.
    pub points: BTreeSet<Point>,
    /// Plays.
    pub plays: usize,
    /// Plays whose fault did not strike: the operation took another way.
    pub missed: usize,
    /// What was wrong, by the play's number, each with the end of its events.
    pub wrong: BTreeMap<usize, String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.points.extend(other.points);
        self.plays += other.plays;
        self.missed += other.missed;
        self.wrong.extend(other.wrong);
    }

    /// Points per kind.
    pub fn by_kind(&self) -> BTreeMap<&str, usize> {
        let mut kinds = BTreeMap::new();
        for (kind, ..) in &self.points {
            *kinds.entry(kind.as_str()).or_default() += 1;
        }
        kinds
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (points, plays) = (self.points.len(), self.plays);
        write!(f, "{points} points in {plays} plays")?;
        if self.missed > 0 {
            write!(f, " ({} whose fault found nothing to strike)", self.missed)?;
        }
        match self.wrong.len() {
            0 => write!(f, ", all as they have to be"),
            n => write!(f, ", {n} WRONG"),
        }
    }
}

/// Planned panics need no stack trace on the screen.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&PLANNED_PANIC) {
                usual(info);
            }
        }));
    });
}

impl Case {
    /// Plays the operation undisturbed, and its rollback, and plans all other plays.
    ///
    /// # Errors
    /// When nothing can be played.
    pub fn of(start: Start, ends: fn(&Ends<'_>) -> Problems) -> anyhow::Result<Self> {
        quiet_panics();
        let roles = Roles::of(&start.plan);
        let first = before(&start)?;
        let reading = Reading::new(&first, &format!("ptr-{}", start.operation.short()));
        let complete = play(&start, &Scenario::default())?;
        let failing = roles.trigger.as_ref().map(|step| failing(step));
        let rollback = failing.map(|scenario| play(&start, &scenario)).transpose()?;
        let names = [0, 1].map(|at: usize| {
            let site = &start.world.sites()[at];
            (site.cloud.name.clone(), site.array.name())
        });
        let mut wrong = Vec::new();
        if complete.end == Some(RunEnd::Ended(OperationStatus::Completed)) {
            let (before, after) =
                (Inventory::read(&first, &names), Inventory::read(&complete.dump, &names));
            wrong.extend(ends(&Ends { before: &before, after: &after }));
        }
        // What is handed over is the tenant's: no marker of ours stays on it. A drill's things go again by their markers.
        let drill = start.plan.steps.iter().any(|step| step.input["keeps_marker"] == true);
        let finished = ["compute servers", "network ports", "network security_groups"];
        let mut marked = reading.marked(&complete.dump);
        marked.retain(|line| {
            !drill && finished.iter().any(|list| line.contains(&format!(" {list}: ")))
        });
        wrong.extend(marked.iter().map(|line| format!("still carries a marker: {line}")));
        let golden = Golden {
            before: reading.canon(&first),
            complete: reading.canon(&complete.dump),
            effects: effects(&reading, &complete.effects),
            rollback_effects: rollback
                .as_ref()
                .map(|r| effects(&reading, &r.effects))
                .unwrap_or_default(),
            reading,
        };
        let seen = Seen {
            commits: complete.gremlin.commits(),
            requests: &complete.requests,
            rollback_commits: rollback.as_ref().map_or(0, |r| r.gremlin.commits()),
            rollback_requests: rollback.as_ref().map_or(&[], |r| &r.requests),
        };
        let plays = points::all(&start.plan, &roles, &seen);
        let normal = match start.plan.steps.as_slice() {
            [only] if only.kind == points::REFUSE => Expect::Fails(only.id.clone()),
            _ => Expect::Completes,
        };
        wrong.extend(judge(&start.plan, &golden, &normal, &complete));
        if let (Some(step), Some(played)) = (&roles.trigger, &rollback) {
            wrong.extend(judge(&start.plan, &golden, &Expect::Fails(step.clone()), played));
        }
        Ok(Self { start, roles, golden, plays, wrong })
    }

    /// Of an entry of the table.
    ///
    /// # Errors
    /// When the world cannot be brought to the operation's start.
    pub fn set(entry: &Entry) -> anyhow::Result<Self> {
        Self::of(super::scene::set(entry)?, entry.ends)
    }

    /// The kinds of steps of the plan.
    pub fn kinds(&self) -> BTreeSet<&str> {
        self.start.plan.steps.iter().map(|s| s.kind.as_str()).collect()
    }

    /// Numbers of the plays that strike a step of this kind, and of those that strike a commit.
    pub fn plays_of(&self, kind: &str) -> Vec<usize> {
        let of_kind = |id: &str| self.start.plan.steps.iter().any(|s| s.id == id && s.kind == kind);
        let chosen = self.plays.iter().enumerate().filter(|(_, planned)| match &planned.by {
            By::Step(step) => of_kind(step),
            By::Commit(_) => true,
        });
        chosen.map(|(number, _)| number).collect()
    }

    /// Plays those that are selected.
    pub fn sweep(&self, selection: &Selection) -> Tally {
        let chosen: Vec<usize> =
            (0..self.plays.len()).filter(|n| selection.takes(*n, self.plays[*n].core)).collect();
        self.run(&chosen)
    }

    /// Plays these numbers.
    pub fn run(&self, chosen: &[usize]) -> Tally {
        let next = AtomicUsize::new(0);
        let total = Mutex::new(Tally::default());
        let threads = std::env::var(THREADS).ok().and_then(|t| t.parse().ok()).unwrap_or(1);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut tally = Tally::default();
                    while let Some(number) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                        self.one(*number, &mut tally);
                    }
                    total.lock().unwrap_or_else(PoisonError::into_inner).add(tally);
                });
            }
        });
        total.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn one(&self, number: usize, tally: &mut Tally) {
        let planned = &self.plays[number];
        tally.plays += 1;
        let played = match play(&self.start, &planned.scenario) {
            Ok(played) => played,
            Err(error) => {
                tally.wrong.insert(number, format!("{error:#}"));
                return;
            }
        };
        let struck = self.struck(planned, &played);
        if struck.is_empty() {
            // Nothing happened to it, or it took another way: no point, but never a bad end.
            tally.missed += 1;
        }
        let expect = match &planned.expect {
            Expect::RollsBack { failed, .. } if struck.is_empty() => {
                Expect::RollsBack { failed: failed.clone(), parks: None, may_park: false }
            }
            _ if struck.is_empty() => Expect::Rests,
            expect => expect.clone(),
        };
        let wrong = judge(&self.start.plan, &self.golden, &expect, &played);
        if !wrong.is_empty() {
            tally.wrong.insert(number, self.tell(number, planned, &wrong));
        }
        for kind in struck {
            tally.points.insert((kind, planned.fault.clone(), planned.when));
        }
    }

    fn tell(&self, number: usize, planned: &Planned, wrong: &[String]) -> String {
        let told = Scenario { told: true, ..planned.scenario.clone() };
        let events = play(&self.start, &told).map(|p| p.gremlin.events()).unwrap_or_default();
        let from = events.len().saturating_sub(60);
        format!(
            "play {number}: {} ({}) at {:?}, expected {:?}\n    - {}\n  events:\n    {}",
            planned.fault,
            planned.when,
            planned.by,
            planned.expect,
            wrong.join("\n    - "),
            events[from..].join("\n    ")
        )
    }

    /// The kinds of steps or entries that the fault really met.
    fn struck(&self, planned: &Planned, played: &Played) -> BTreeSet<String> {
        let struck = played.gremlin.struck();
        match &planned.by {
            By::Step(step) if struck.contains(step) => {
                let step = self.start.plan.steps.iter().find(|s| s.id == *step);
                step.map(|s| s.kind.clone()).into_iter().collect()
            }
            By::Commit(number) if struck.contains(&format!("commit {number}")) => {
                self.entries_of(played, *number)
            }
            By::Step(_) | By::Commit(_) => BTreeSet::new(),
        }
    }

    fn entries_of(&self, played: &Played, number: u64) -> BTreeSet<String> {
        let kind = |id: &str| {
            let step = self.start.plan.steps.iter().find(|s| s.id == id);
            step.map_or("?", |s| s.kind.as_str()).to_owned()
        };
        let entries = played.gremlin.entries_of(number);
        entries
            .iter()
            .map(|(entry, step)| match step {
                Some(step) => format!("{} [{entry}]", kind(step)),
                None => format!("[{entry}]"),
            })
            .collect()
    }
}

/// A play in which this step fails before its effect.
pub fn failing(step: &str) -> Scenario {
    Scenario { faults: Faults::of_run(step, RunFault::FailBefore), ..Scenario::default() }
}
