//! The one handle on the core.

use std::sync::Arc;

use protector_ports::Fabric;
use protector_store::Store;
use protector_types::Clock;

use crate::Planner;

/// Everything `api` and `engine` ask of the product. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    pub(crate) store: Store,
    pub(crate) fabric: Arc<dyn Fabric>,
    pub(crate) planner: Arc<dyn Planner>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Core {
    /// Wired by `server`.
    pub fn new(
        store: Store,
        fabric: Arc<dyn Fabric>,
        planner: Arc<dyn Planner>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, fabric, planner, clock }
    }

    /// The planner, for the engine.
    pub fn planner(&self) -> &Arc<dyn Planner> {
        &self.planner
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The store, for the engine.
    pub fn store(&self) -> &Store {
        &self.store
    }
}
