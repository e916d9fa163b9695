//! Operations that a plan builds on: an open drill, the operation that is repeated.

use protector_store::Scope;
use protector_types::{Code, OperationId, Refusal};
use protector_workflow::{Journal as _, State, StepState};
use std::{collections::BTreeMap, sync::Arc};

use crate::{Core, EarlierOperation, errors};

impl Core {
    /// What an earlier operation did and left. Its journal may be the peer's only: then the record has to do.
    ///
    /// # Errors
    /// NotFound; the database's.
    pub(crate) async fn earlier(
        &self,
        id: Option<OperationId>,
    ) -> Result<Option<EarlierOperation>, Refusal> {
        let Some(id) = id else { return Ok(None) };
        let row = match self.store.operation(&Scope::System, id).await {
            Ok(row) => row,
            // The peer drove it and has not told how it ended: what it made carries its id.
            Err(protector_store::StoreError::NotFound { .. }) => {
                return Ok(Some(EarlierOperation::unknown(id)));
            }
            Err(error) => return Err(errors::store(error)),
        };
        let plan = match self.store.load_plan(id).await {
            Ok(plan) => Some(plan),
            Err(protector_store::StoreError::NotFound { .. }) => None,
            Err(error) => return Err(errors::store(error)),
        };
        let mut outputs = BTreeMap::new();
        if let Some(plan) = &plan {
            let entries = self.store.load(id).await.map_err(|error| {
                Refusal::new(
                    Code::Unavailable,
                    format!("the journal of {id} cannot be read: {error}"),
                )
            })?;
            let state =
                State::fold(Arc::new(plan.clone()), entries.iter().map(|e| (e.seq, &e.kind)));
            for (index, step) in plan.steps.iter().enumerate() {
                if *state.step(index) == StepState::Done
                    && let Ok(output) = state.outputs().get(&step.id)
                {
                    outputs.insert(step.id.clone(), output);
                }
            }
        }
        let params = serde_json::from_value(row.params).map_err(|error| {
            Refusal::new(Code::Internal, format!("the parameters of {id} cannot be read: {error}"))
        })?;
        Ok(Some(EarlierOperation {
            id,
            operation: row.operation_type,
            params,
            plan,
            outputs,
            result_data: row.result_data.unwrap_or_default(),
        }))
    }
}
