//! What all engines of one play share: the faults that are still to strike, what was seen, what was wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use protector_types::Clock;
use tokio::sync::Notify;

use super::faults::{Class, CommitFault, Faults, Phase, RunFault, Spot, UndoFault, WireFault};

/// A request as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Who made it.
    pub spot: Spot,
    /// Method and path, ids and names replaced.
    pub pattern: String,
}

/// A journal entry's word, and the step that it is about.
pub type EntryLabel = (String, Option<String>);

/// What strikes and what was seen.
pub struct Gremlin {
    /// The play's time.
    pub clock: Arc<dyn Clock>,
    /// Tells the play that the engine dies now.
    pub crash: Notify,
    told: bool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    faults: Faults,
    struck: BTreeSet<String>,
    commits: Vec<Vec<EntryLabel>>,
    counts: BTreeMap<(String, Phase, Class), u32>,
    requests: Vec<Request>,
    landing_until: Duration,
    events: Vec<String>,
    wrong: Vec<String>,
}

impl Gremlin {
    /// For one play. `told`: keep the events, for a person.
    pub fn new(clock: Arc<dyn Clock>, faults: &Faults, told: bool) -> Self {
        let inner = Inner { faults: faults.clone(), ..Inner::default() };
        Self { clock, crash: Notify::new(), told, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened.
    pub fn say(&self, what: impl FnOnce() -> String) {
        if self.told {
            let what = format!("{:>9.3} {}", self.clock.monotonic().as_secs_f64(), what());
            self.lock().events.push(what);
        }
    }

    /// Something was wrong.
    pub fn wrong(&self, what: String) {
        self.say(|| format!("WRONG: {what}"));
        self.lock().wrong.push(what);
    }

    /// What was wrong so far.
    pub fn wrongs(&self) -> Vec<String> {
        self.lock().wrong.clone()
    }

    /// What happened, if it was to be told.
    pub fn events(&self) -> Vec<String> {
        self.lock().events.clone()
    }

    /// Steps (and `commit n`) whose faults struck.
    pub fn struck(&self) -> BTreeSet<String> {
        self.lock().struck.clone()
    }

    /// Requests in the order in which they were sent.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// Commits so far.
    pub fn commits(&self) -> u64 {
        self.lock().commits.len() as u64
    }

    /// What the commit of this number (from 1) was about.
    pub fn entries_of(&self, number: u64) -> Vec<EntryLabel> {
        let at = usize::try_from(number).unwrap_or_default().saturating_sub(1);
        self.lock().commits.get(at).cloned().unwrap_or_default()
    }

    /// A person repaired what was broken for good.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.faults.run.clear();
        inner.faults.undo.clear();
        inner.faults.wire.clear();
    }

    /// When the last late effect lands.
    pub fn quiet_at(&self) -> Duration {
        self.lock().landing_until
    }

    /// Something lands so much later.
    pub fn will_land(&self, after: Duration) {
        let at = self.clock.monotonic() + after;
        let mut inner = self.lock();
        inner.landing_until = inner.landing_until.max(at);
    }

    /// The engine dies here: this never comes back.
    pub async fn die(&self, who: &str) -> ! {
        self.say(|| format!("{who}: the engine dies"));
        self.crash.notify_one();
        std::future::pending().await
    }

    /// The fault of this run, taken out unless it lasts.
    pub fn run_fault(&self, step: &str) -> Option<RunFault> {
        use RunFault::*;
        let mut inner = self.lock();
        let fault = *inner.faults.run.get(step)?;
        inner.struck.insert(step.to_owned());
        match fault {
            RetryLater(0) => {
                inner.faults.run.remove(step);
                return None;
            }
            RetryLater(n) => {
                inner.faults.run.insert(step.to_owned(), RetryLater(n - 1));
            }
            // The looks go on with these.
            FailBefore | RetryForever | NeverReady | Broken | DeafBefore | DeafAfter
            | CrashInFind => {}
            _ => {
                inner.faults.run.remove(step);
            }
        }
        Some(fault)
    }

    /// The fault that a look meets: those of runs that go on.
    pub fn find_fault(&self, step: &str) -> Option<RunFault> {
        let inner = self.lock();
        let fault = inner.faults.run.get(step).copied()?;
        (inner.struck.contains(step) || fault == RunFault::FailBefore).then_some(fault)
    }

    /// The look's fault is over.
    pub fn end_run_fault(&self, step: &str) {
        self.lock().faults.run.remove(step);
    }

    /// The fault of this undo, counted down or taken out.
    pub fn undo_fault(&self, step: &str) -> Option<UndoFault> {
        use UndoFault::*;
        let mut inner = self.lock();
        let fault = *inner.faults.undo.get(step)?;
        inner.struck.insert(step.to_owned());
        let left = match fault {
            Retry(n) if n > 1 => Some(Retry(n - 1)),
            Pending(n) if n > 1 => Some(Pending(n - 1)),
            RetryForever => Some(fault),
            _ => None,
        };
        match left {
            Some(left) => inner.faults.undo.insert(step.to_owned(), left),
            None => inner.faults.undo.remove(step),
        };
        Some(fault)
    }

    /// Notes a commit; gives its number and its fault.
    pub fn commit(&self, entries: Vec<EntryLabel>) -> (u64, Option<CommitFault>) {
        let mut inner = self.lock();
        inner.commits.push(entries);
        let number = inner.commits.len() as u64;
        let fault = inner.faults.commit.remove(&number);
        if fault.is_some() {
            inner.struck.insert(format!("commit {number}"));
        }
        (number, fault)
    }

    /// Notes a request; gives its fault.
    pub fn request(
        &self,
        step: &str,
        phase: Phase,
        class: Class,
        pattern: String,
    ) -> Option<WireFault> {
        let mut inner = self.lock();
        let nth = inner.counts.entry((step.to_owned(), phase, class)).or_default();
        *nth += 1;
        let spot = Spot { step: step.to_owned(), phase, class, nth: *nth };
        let fault = inner.faults.wire.remove(&spot);
        if fault.is_some() {
            inner.struck.insert(step.to_owned());
        }
        inner.requests.push(Request { spot, pattern });
        fault
    }
}
