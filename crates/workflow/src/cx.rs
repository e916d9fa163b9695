//! What a step gets to know beside its input.

use std::{sync::Arc, time::Duration};

use protector_types::{Clock, Evidence, OperationId};

/// The context of one step's calls.
#[derive(Clone)]
pub struct StepCx {
    pub(crate) operation: OperationId,
    pub(crate) step: String,
    pub(crate) intent_seq: u64,
    pub(crate) clock: Arc<dyn Clock>,
}

impl StepCx {
    /// A context outside an executor, for tests of single steps.
    pub fn new(operation: OperationId, step: &str, intent_seq: u64, clock: Arc<dyn Clock>) -> Self {
        Self { operation, step: step.to_owned(), intent_seq, clock }
    }

    /// The operation.
    pub fn operation(&self) -> OperationId {
        self.operation
    }

    /// The step's id in the plan.
    pub fn step_id(&self) -> &str {
        &self.step
    }

    /// The text by which whatever this step makes can be found again: at most 60 characters (Nova's limit for a tag),
    /// of letters, digits, dots and dashes.
    pub fn marker(&self) -> String {
        marker(self.operation, &self.step)
    }

    /// Proof that the intent of this step is committed.
    pub fn evidence(&self) -> Evidence {
        Evidence::from_journal(self.operation, &self.step, self.intent_seq)
    }

    /// The engine's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Sleeps on the engine's clock.
    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }
}

/// See [`StepCx::marker`].
pub fn marker(operation: OperationId, step: &str) -> String {
    format!("ptr-{}-{step}", operation.short())
}
