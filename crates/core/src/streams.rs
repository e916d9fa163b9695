//! Operations on their way to the other site: history survives the loss of either.

use protector_ports::{OperationPiece, PortError, PortResult};
use protector_store::{OperationRow, Scope, StoreError, StreamDue};
use protector_types::{Code, OperationId, Refusal};
use protector_workflow::{Entry, Plan};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Core, errors, peer::own, takeover::was_taken_over};

/// Journal entries of one piece.
const PIECE: u64 = 500;

impl Core {
    /// Hands what the peer does not have of operations to it; gives how many had something new.
    ///
    /// # Errors
    /// Our own database. What the peer does not take is tried again next time.
    pub async fn stream_operations(&self, limit: u64) -> Result<usize, StoreError> {
        let due = self.store.streams_due(limit).await?;
        let mut moved = 0;
        for stream in due {
            match self.stream(&stream).await {
                Ok(()) => moved += 1,
                Err(error) => {
                    tracing::info!(operation = %stream.operation, %error, "the peer did not take the journal; tried again");
                }
            }
        }
        Ok(moved)
    }

    /// Hands one operation to the peer, as far as it is known here.
    ///
    /// # Errors
    /// What the peer call gave; Unknown for our own database.
    pub async fn stream_operation(&self, id: OperationId) -> PortResult<()> {
        self.stream(&StreamDue { operation: id, acked_seq: None }).await
    }

    async fn stream(&self, stream: &StreamDue) -> PortResult<()> {
        let id = stream.operation;
        let row = self.store.operation(&Scope::System, id).await.map_err(own)?;
        let group = match self.store.group(&Scope::System, row.group_id).await {
            Ok(group) => group,
            // Deleted: nobody there asks for its history by this group any more.
            Err(StoreError::NotFound { .. }) => {
                return self.store.stream_acked(id, row.journal_seq, row.status).await.map_err(own);
            }
            Err(error) => return Err(own(error)),
        };
        let other = group.other_site(self.store.own_site_id().await.map_err(own)?);
        let Some(project) = group.projects.get(&other) else { return Ok(()) };
        let peer = self.fabric.peer(other).await?;
        let mut last = stream.acked_seq;
        loop {
            let plan = match last {
                None | Some(0) => self.stored_plan(id).await?,
                Some(_) => None,
            };
            let after = last.unwrap_or_default();
            let entries =
                self.store.entries(&Scope::System, id, after, PIECE).await.map_err(own)?;
            let piece = OperationPiece {
                project_id: project.clone(),
                record: write(&row)?,
                plan: plan.as_ref().map(write).transpose()?,
                entries: entries.iter().map(write).collect::<PortResult<_>>()?,
            };
            let has = match peer.put_operation(id, &piece).await {
                Ok(has) => has,
                // It was taken over: the peer writes its history from here on.
                Err(PortError::Conflict { message, .. }) => {
                    tracing::info!(operation = %id, message, "the peer keeps this operation's record itself");
                    row.journal_seq
                }
                Err(error) => return Err(error),
            };
            let progressed = last.is_none_or(|last| has > last);
            last = Some(has);
            self.store.stream_acked(id, has, row.status).await.map_err(own)?;
            if has >= row.journal_seq || !progressed {
                return Ok(());
            }
        }
    }

    async fn stored_plan(&self, id: OperationId) -> PortResult<Option<Plan>> {
        match self.store.load_plan(id).await {
            Ok(plan) => Ok(Some(plan)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(own(error)),
        }
    }

    // What the peer asks of us.

    /// Takes a piece of an operation that the peer drives or drove; gives the last entry that is here without a gap.
    ///
    /// # Errors
    /// RequestMalformed when it is none; AlreadyExists when this site drives the operation itself.
    pub async fn accept_operation(
        &self,
        id: OperationId,
        piece: OperationPiece,
    ) -> Result<u64, Refusal> {
        let mut row: OperationRow = read("record", piece.record)?;
        if row.id != id {
            return Err(Refusal::new(
                Code::RequestInvalidValue,
                format!("record.id: is {}, but the path names {id}", row.id),
            ));
        }
        // The same group belongs to the mapped project here.
        row.project_id = piece.project_id;
        let plan: Option<Plan> = piece.plan.map(|plan| read("plan", plan)).transpose()?;
        let entries: Vec<Entry> = piece
            .entries
            .into_iter()
            .map(|entry| read("journal entry", entry))
            .collect::<Result<_, _>>()?;
        if was_taken_over(&row.params) {
            // This site drove it once, died, and learns so only now.
            self.store.yield_operation(id).await.map_err(errors::store)?;
        }
        self.store.put_remote_operation(&row).await.map_err(errors::store)?;
        self.store.put_remote_journal(id, plan.as_ref(), &entries).await.map_err(errors::store)
    }
}

fn write<T: serde::Serialize>(value: &T) -> PortResult<Value> {
    serde_json::to_value(value).map_err(|error| PortError::Invalid {
        service: "our database".into(),
        message: format!("a record cannot be written: {error}"),
    })
}

fn read<T: DeserializeOwned>(what: &str, value: Value) -> Result<T, Refusal> {
    serde_json::from_value(value).map_err(|error| {
        Refusal::new(Code::RequestMalformed, format!("not an operation's {what}: {error}"))
    })
}
