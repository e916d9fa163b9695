//! A property harness for plans: runs one plan under every fault and judges what is left of it.
//!
//! It knows nothing of the steps: a [`World`] says what there is, a [`Case`] brings plan and definition. Faults are
//! put around the steps ([`probe`]) and around the journal ([`journal`]), time is virtual ([`clock`]), and an
//! independent reading of the journal ([`model`]) judges each commit and each call. So it can serve real plans over
//! simulated clouds as it serves the fake world ([`fake`]).

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
    sync::{Arc, Mutex, PoisonError},
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

/// What happened, in order, and what was wrong with it.
#[derive(Default)]
pub struct Trace(Mutex<(Vec<String>, Vec<String>)>);

impl Trace {
    /// Something happened.
    pub fn say(&self, what: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.push(what.into());
    }

    /// Something was wrong.
    pub fn wrong(&self, what: impl Into<String>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let what = what.into();
        inner.0.push(format!("WRONG: {what}"));
        inner.1.push(what);
    }

    /// What was wrong so far.
    pub fn violations(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// The last events, for a failing test's message.
    pub fn tail(&self, count: usize) -> String {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = inner.0.len().saturating_sub(count);
        inner.0[from..].join("\n    ")
    }
}
