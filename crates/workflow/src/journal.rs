//! The append-only record of each step's intent and outcome.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use protector_types::{DomainEffect, Evidence, OperationId, OperationStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Cause, Request, StepError, View};

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum EntryKind {
    /// An engine took the operation (first time or after another's death).
    Claimed {
        /// Which engine.
        engine: String,
        /// Its fencing number.
        fence: u64,
    },
    /// Intent: committed before the effect, with all that find and undo need.
    Started {
        /// Step id.
        step: String,
        /// From 1; counted anew when a person let the operation go on.
        attempt: u32,
        /// Resolved.
        input: Value,
        /// End of patience, by the engine's wall clock.
        deadline_at: DateTime<Utc>,
    },
    /// The effect is there, verified.
    Done {
        /// Step id.
        step: String,
        /// What it gave.
        output: Value,
        /// Found by a look, not by the run's own answer.
        adopted: bool,
    },
    /// Failed for good.
    Failed {
        /// Step id.
        step: String,
        /// Why.
        error: StepError,
        /// Transient failures before that.
        retries: u32,
        /// Recorded as a warning; the operation goes on.
        warning: bool,
    },
    /// From here on everything is taken back.
    RollbackBegan {
        /// Why.
        cause: Cause,
    },
    /// Intent to undo.
    UndoStarted {
        /// Step id.
        step: String,
    },
    /// Undone.
    Undone {
        /// Step id.
        step: String,
        /// What is kept on purpose.
        note: Option<String>,
    },
    /// Could not be undone.
    UndoFailed {
        /// Step id.
        step: String,
        /// Why.
        error: StepError,
    },
    /// Waits for a person.
    Parked {
        /// What is wrong and what leads out.
        reason: String,
        /// The step it is about.
        step: Option<String>,
    },
    /// A person asked for something. What came of it stands in the entries that follow, in the same commit.
    Asked {
        /// Who, for what.
        request: Request,
        /// Why nothing came of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// A person let it go on after it was parked.
    Resumed {
        /// Who.
        by: String,
    },
    /// A person took one step out.
    Skipped {
        /// Step id.
        step: String,
        /// Why.
        reason: String,
        /// Who.
        by: String,
    },
    /// The end.
    Ended {
        /// Terminal.
        status: OperationStatus,
        /// For `error_message`.
        error: Option<String>,
        /// What the last look found that should be gone; `None`: nobody looked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaked: Option<Value>,
    },
}

/// An entry to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// When, by the engine's wall clock.
    pub at: DateTime<Utc>,
    /// What.
    pub kind: EntryKind,
}

/// An entry as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    /// When, by the writing engine's wall clock.
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub kind: EntryKind,
}

/// What the operation's row repeats of its journal, for lists. Equal to the pure view; a property test says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Status, progress, stages, failures, warnings.
    pub view: View,
    /// Set with a terminal status.
    pub completed_at: Option<DateTime<Utc>>,
    /// What came of it; computed when the operation ends or parks.
    pub result_data: Option<Value>,
}

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another engine has the operation: stop at once.
    #[error("operation {operation} was taken over by another engine (our fence {fence} is stale)")]
    Fenced {
        /// Which.
        operation: OperationId,
        /// Ours.
        fence: u64,
    },
    /// The database did not do it; it may or may not be committed.
    #[error("the journal of {operation} could not be written: {message}")]
    Unavailable {
        /// Which.
        operation: OperationId,
        /// Why.
        message: String,
    },
    /// A domain change was impossible: a bug, or a foreign hand in the database.
    #[error("the journal of {operation} refused a change: {message}")]
    Rejected {
        /// Which.
        operation: OperationId,
        /// Why.
        message: String,
    },
}

/// Where entries are kept. One writer per operation; the fence is checked in the same transaction.
#[async_trait]
pub trait Journal: Send + Sync {
    /// All entries, in order.
    async fn load(&self, operation: OperationId) -> Result<Vec<Entry>, JournalError>;
    /// Writes entries, domain effects and summary in one transaction, if `fence` still holds. Gives the number of
    /// the first entry. Nothing or everything.
    async fn append(
        &self,
        operation: OperationId,
        fence: u64,
        entries: &[NewEntry],
        effects: &[DomainEffect],
        summary: &Summary,
    ) -> Result<u64, JournalError>;
}

impl Entry {
    /// Proof that something was made by this entry's step; `None` if the entry is no intent.
    pub fn evidence(&self, operation: OperationId) -> Option<Evidence> {
        match &self.kind {
            EntryKind::Started { step, .. } => {
                Some(Evidence::from_journal(operation, step, self.seq))
            }
            _ => None,
        }
    }
}

/// A journal in memory, for tests of plans and steps.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    entries: Vec<Entry>,
    effects: Vec<DomainEffect>,
    summary: Option<Summary>,
    fence: u64,
}

impl MemoryJournal {
    /// A new owner: older fences are refused from now on.
    pub fn claim(&self) -> u64 {
        let mut memory = self.0.lock();
        memory.fence += 1;
        memory.fence
    }

    /// Everything written so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.0.lock().entries.clone()
    }

    /// Domain effects applied so far.
    pub fn effects(&self) -> Vec<DomainEffect> {
        self.0.lock().effects.clone()
    }

    /// The last summary.
    pub fn summary(&self) -> Option<Summary> {
        self.0.lock().summary.clone()
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn load(&self, _operation: OperationId) -> Result<Vec<Entry>, JournalError> {
        Ok(self.entries())
    }

    async fn append(
        &self,
        operation: OperationId,
        fence: u64,
        entries: &[NewEntry],
        effects: &[DomainEffect],
        summary: &Summary,
    ) -> Result<u64, JournalError> {
        let mut memory = self.0.lock();
        if memory.fence != fence {
            return Err(JournalError::Fenced { operation, fence });
        }
        let first = memory.entries.len() as u64 + 1;
        for (offset, entry) in entries.iter().enumerate() {
            memory.entries.push(Entry {
                seq: first + offset as u64,
                at: entry.at,
                kind: entry.kind.clone(),
            });
        }
        memory.effects.extend_from_slice(effects);
        memory.summary = Some(summary.clone());
        Ok(first)
    }
}
