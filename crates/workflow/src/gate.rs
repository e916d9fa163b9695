//! Which steps may begin: an operation that needs the other site's leave begins nothing there without it.

use std::{fmt, sync::Arc, time::Duration};

use crate::PlannedStep;

/// Asked before each step begins or goes on after a restart. Undo never asks: it only takes back.
pub trait StepGate: Send + Sync {
    /// True if the step may begin now.
    fn admits(&self, step: &PlannedStep) -> bool;
}

/// A gate, or none.
#[derive(Clone, Default)]
pub struct Gate(Option<Arc<dyn StepGate>>);

impl Gate {
    /// How often a closed gate is tried again.
    pub(crate) const LOOK: Duration = Duration::from_millis(500);

    /// This one.
    pub fn new(gate: Arc<dyn StepGate>) -> Self {
        Self(Some(gate))
    }

    /// True if the step may begin now.
    pub fn admits(&self, step: &PlannedStep) -> bool {
        self.0.as_ref().is_none_or(|gate| gate.admits(step))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Gate(asked)" } else { "Gate(open)" })
    }
}
