//! Writing to the journal when it is not known whether it was written, and reading it when it does not answer.

use std::time::Duration;

use crate::{
    Entry, EntryKind, Executor, JournalError, RunEnd, State, Summary,
    run::{Batch, Run},
};

/// Why a batch is not in the journal.
enum Unwritten {
    /// This engine cannot go on.
    End(RunEnd),
    /// The batch can never be written.
    Rejected(String),
}

/// Pauses between attempts, as long as the lease lasts.
struct Patience(Duration);

impl Patience {
    fn new() -> Self {
        Self(Duration::from_millis(100))
    }

    /// Waits a while; an error when the lease would not outlast it.
    async fn wait(&mut self, executor: &Executor, error: &JournalError) -> Result<(), RunEnd> {
        tracing::warn!(operation = %executor.operation, %error, "the journal does not answer");
        if executor.lease.remaining() < self.0 * 2 {
            return Err(RunEnd::JournalLost(error.to_string()));
        }
        executor.clock.sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(2));
        Ok(())
    }
}

/// A call of the journal that does not outlast the lease. A dropped write may have landed: the next engine reads it.
/// Whether the journal is at fault is not known: a machine that slept looks the same from here.
async fn in_lease<T>(executor: &Executor, call: impl Future<Output = T>) -> Result<T, RunEnd> {
    tokio::select! {
        biased;
        answer = call => Ok(answer),
        () = executor.lease.lost() => {
            tracing::warn!(
                operation = %executor.operation,
                "the lease ran out before the journal answered: the journal hangs, or this machine slept"
            );
            Err(RunEnd::Fenced)
        }
    }
}

/// All entries; tried again for as long as the lease lasts.
pub(crate) async fn load(executor: &Executor) -> Result<Vec<Entry>, RunEnd> {
    let mut patience = Patience::new();
    loop {
        match in_lease(executor, executor.journal.load(executor.operation)).await? {
            Ok(entries) => return Ok(entries),
            Err(error) => patience.wait(executor, &error).await?,
        }
    }
}

impl Run<'_> {
    /// Commits the batch, then lets loose what it announced.
    pub(crate) async fn commit(&mut self, batch: Batch) -> Result<(), RunEnd> {
        if !batch.entries.is_empty() {
            match self.write(&batch).await {
                Ok(()) => {}
                Err(Unwritten::End(end)) => return Err(end),
                Err(Unwritten::Rejected(why)) => return Err(self.park_rejected(why).await),
            }
        }
        for launch in batch.launches {
            self.spawn(launch);
        }
        Ok(())
    }

    async fn write(&self, batch: &Batch) -> Result<(), Unwritten> {
        let executor = self.executor;
        let summary = self.state.summary(executor.clock.now(), executor.definition.as_ref());
        let subject = executor.operation.to_string();
        let first = self.state.last_seq() + 1 - batch.entries.len() as u64;
        let mut patience = Patience::new();
        loop {
            executor.hook.reached("journal.before_commit", &subject);
            let written = in_lease(executor, self.append(batch, &summary)).await;
            match written.map_err(Unwritten::End)? {
                Ok(at) if at == first => {
                    executor.hook.reached("journal.after_commit", &subject);
                    return Ok(());
                }
                Ok(at) => {
                    let why = format!(
                        "entry {first} was written as {at}: someone else writes this journal"
                    );
                    return Err(Unwritten::End(RunEnd::JournalLost(why)));
                }
                Err(JournalError::Fenced { .. }) => {
                    executor.lease.revoke();
                    return Err(Unwritten::End(RunEnd::Fenced));
                }
                Err(JournalError::Rejected { message, .. }) => {
                    return Err(Unwritten::Rejected(message));
                }
                Err(error) => {
                    // Not known whether it is committed: read before writing again.
                    patience.wait(executor, &error).await.map_err(Unwritten::End)?;
                    if self.is_committed(first).await.map_err(Unwritten::End)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn append(&self, batch: &Batch, summary: &Summary) -> Result<u64, JournalError> {
        let executor = self.executor;
        let fence = executor.lease.fence();
        executor
            .journal
            .append(executor.operation, fence, &batch.entries, &batch.effects, summary)
            .await
    }

    /// Whether the batch that begins with entry `first` is ours and in the journal. Each engine's first entry is its
    /// claim, so an entry of that number is ours unless another engine claimed at or after it.
    async fn is_committed(&self, first: u64) -> Result<bool, RunEnd> {
        let entries = load(self.executor).await?;
        let ours = self.executor.lease.fence();
        let stolen = entries.iter().any(|e| {
            e.seq >= first && matches!(e.kind, EntryKind::Claimed { fence, .. } if fence != ours)
        });
        if stolen {
            self.executor.lease.revoke();
            return Err(RunEnd::Fenced);
        }
        Ok(entries.iter().any(|e| e.seq == first))
    }

    /// A domain change that cannot be made: trying again would never end. What was not written is forgotten, and a
    /// person decides; after that the steps concerned are looked for again.
    async fn park_rejected(&mut self, why: String) -> RunEnd {
        let entries = match load(self.executor).await {
            Ok(entries) => entries,
            Err(end) => return end,
        };
        self.state =
            State::fold(self.state.plan().clone(), entries.iter().map(|e| (e.seq, &e.kind)));
        let reason = format!(
            "the record of this operation could not be changed: {why}. `retry` tries again"
        );
        let mut batch = Batch::default();
        self.record(EntryKind::Parked { reason: reason.clone(), step: None }, &mut batch);
        match self.write(&batch).await {
            Ok(()) => RunEnd::Parked(reason),
            Err(Unwritten::End(end)) => end,
            Err(Unwritten::Rejected(why)) => RunEnd::JournalLost(why),
        }
    }
}
