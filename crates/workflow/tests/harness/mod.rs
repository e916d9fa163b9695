//! A property harness for plans: runs one plan under every fault and judges what is left of it.
//!
//! It knows nothing of the steps: a [`World`] says what there is, a [`Case`] brings plan and definition. Faults are
//! put around the steps ([`probe`]) and around the journal ([`journal`]), time is virtual ([`clock`]), and an
//! independent reading of the journal ([`model`]) judges each commit and each call. So it can serve real plans over
//! simulated clouds as it serves the fake world ([`fake`]).

// Shared by suites that each use a part of it.
#![allow(dead_code)]

pub mod clock;
pub mod fake;
pub mod faults;
pub mod journal;
pub mod model;
pub mod plans;
pub mod play;
pub mod probe;
pub mod scenarios;
pub mod sweep;
pub mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use protector_workflow::{Definition, Plan};

/// What there is, by name; each thing with what matters of it (never ids that differ between two runs).
pub type Inventory = BTreeMap<String, Vec<String>>;

/// The world that steps change.
pub trait World: Send + Sync + 'static {
    /// The world before the operation.
    fn fresh() -> Self
    where
        Self: Sized;
    /// Everything there is.
    fn inventory(&self) -> Inventory;
    /// All markers of operations that are left on things.
    fn markers(&self) -> BTreeSet<String>;
}

/// A plan and all that is needed to run it.
pub struct Case<W> {
    /// For the tally of points.
    pub name: String,
    /// What runs.
    pub plan: Arc<Plan>,
    /// The steps, over a world.
    pub definition: fn(Arc<W>) -> Arc<dyn Definition>,
    /// Which names in the inventory a step is about: a step that only warns may leave them either way.
    pub things_of: BTreeMap<String, Vec<String>>,
}

/// What happened, in order (if it is to be told), and what was wrong with it.
#[derive(Default)]
pub struct Trace {
    told: bool,
    inner: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    events: Vec<String>,
    wrong: Vec<String>,
}

impl Trace {
    /// `told`: keep the events, not only what was wrong. A run in virtual time can be repeated to have them.
    pub fn new(told: bool) -> Self {
        Self { told, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened.
    pub fn say(&self, what: impl FnOnce() -> String) {
        if self.told {
            let what = what();
            self.lock().events.push(what);
        }
    }

    /// Something was wrong.
    pub fn wrong(&self, what: impl Into<String>) {
        let what = what.into();
        self.say(|| format!("WRONG: {what}"));
        self.lock().wrong.push(what);
    }

    /// What was wrong so far.
    pub fn violations(&self) -> Vec<String> {
        self.lock().wrong.clone()
    }

    /// The last events, for a failing test's message.
    pub fn tail(&self, count: usize) -> String {
        let inner = self.lock();
        let from = inner.events.len().saturating_sub(count);
        inner.events[from..].join("\n    ")
    }
}
