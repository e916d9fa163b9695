//! A journal in memory whose commits an engine may die at.

use std::sync::Arc;

use async_trait::async_trait;
use protector_types::{DomainEffect, OperationId};
use protector_workflow::{
    Ask, Control, Entry, Journal, JournalError, MemoryJournal, NewEntry, Request, Summary,
};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    faults::CommitFault,
    gremlin::{EntryLabel, Gremlin},
};

/// The journal of one engine of a play: the entries are shared with those before and after it.
pub struct PlayJournal {
    /// Everything that was written.
    pub memory: MemoryJournal,
    gremlin: Arc<Gremlin>,
    control: UnboundedSender<Control>,
}

impl PlayJournal {
    /// Over these entries; `control` leads to the engine.
    pub fn new(
        memory: MemoryJournal,
        gremlin: Arc<Gremlin>,
        control: UnboundedSender<Control>,
    ) -> Self {
        Self { memory, gremlin, control }
    }
}

#[async_trait]
impl Journal for PlayJournal {
    async fn load(&self, operation: OperationId) -> Result<Vec<Entry>, JournalError> {
        self.memory.load(operation).await
    }

    async fn append(
        &self,
        operation: OperationId,
        fence: u64,
        entries: &[NewEntry],
        effects: &[DomainEffect],
        summary: &Summary,
    ) -> Result<u64, JournalError> {
        let (number, fault) = self.gremlin.commit(entries.iter().map(label).collect());
        let who = format!("commit {number}");
        if fault == Some(CommitFault::CrashBefore) {
            self.gremlin.die(&who).await;
        }
        let first = self.memory.append(operation, fence, entries, effects, summary).await?;
        self.gremlin.say(|| {
            let kinds: Vec<_> = entries.iter().map(|e| format!("{:?}", e.kind)).collect();
            format!("{who}: {}", kinds.join("; ").chars().take(400).collect::<String>())
        });
        match fault {
            Some(CommitFault::CrashAfter) => self.gremlin.die(&who).await,
            Some(CommitFault::CancelAfter) => {
                // An engine that has just ended takes no requests.
                let (id, by) = (format!("cancel-{number}"), "adam".into());
                let _ = self.control.send(Control::Ask(Request { id, by, ask: Ask::Cancel }));
            }
            _ => {}
        }
        Ok(first)
    }
}

/// What an entry is about, from its stored form.
fn label(entry: &NewEntry) -> EntryLabel {
    let stored = serde_json::to_value(&entry.kind).unwrap_or_default();
    let text = |key: &str| stored[key].as_str().map(str::to_owned);
    (text("entry").unwrap_or_default(), text("step"))
}
