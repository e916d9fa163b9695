//! The one handle on the core.

use std::sync::Arc;

use parking_lot::Mutex;
use protector_ports::Fabric;
use protector_store::Store;
use protector_types::{Clock, OperationId};
use tokio::sync::broadcast;

use crate::{Planner, claims::ClaimWatch, preview::Remembered};

/// So many rings may wait for a slow listener; who misses some looks at everything.
const BELL_DEPTH: usize = 64;

/// Everything `api` and `engine` ask of the product. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    pub(crate) store: Store,
    pub(crate) fabric: Arc<dyn Fabric>,
    pub(crate) planner: Arc<dyn Planner>,
    pub(crate) clock: Arc<dyn Clock>,
    bell: broadcast::Sender<OperationId>,
    pub(crate) previews: Arc<Mutex<Remembered>>,
    pub(crate) claims: Arc<ClaimWatch>,
    /// Held while a trust is made.
    pub(crate) delegating: Arc<tokio::sync::Mutex<()>>,
}

impl Core {
    /// Wired by `server`.
    pub fn new(
        store: Store,
        fabric: Arc<dyn Fabric>,
        planner: Arc<dyn Planner>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let bell = broadcast::Sender::new(BELL_DEPTH);
        Self {
            store,
            fabric,
            planner,
            clock,
            bell,
            previews: Arc::default(),
            claims: Arc::default(),
            delegating: Arc::default(),
        }
    }

    /// Rung for an operation that is new or of which a person asked something: an engine in this process hears it at
    /// once, others look by themselves.
    pub fn bell(&self) -> broadcast::Receiver<OperationId> {
        self.bell.subscribe()
    }

    pub(crate) fn ring(&self, operation: OperationId) {
        // Without an engine in this process nobody listens.
        let _ = self.bell.send(operation);
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
