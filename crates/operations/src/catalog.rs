//! Every definition in every version that this build can run.

use std::sync::Arc;

use async_trait::async_trait;
use protector_core::{PlanRequest, Planner};
use protector_types::{Code, GroupId, OperationType, Refusal};
use protector_workflow::{Definition, OnFailure, Plan, PlannedStep};

use crate::{deps::Deps, failback, failover, reprotect, sync_volumes};

/// All definitions; the previous version of each is kept.
pub fn all(deps: &Deps) -> Vec<Arc<dyn Definition>> {
    vec![
        Arc::new(failover::Failover(deps.clone())),
        Arc::new(failback::Failback(deps.clone())),
        Arc::new(sync_volumes::SyncVolumes(deps.clone())),
        Arc::new(reprotect::Reprotect(deps.clone())),
    ]
}

/// The planner of this build.
pub struct OperationsPlanner {
    deps: Deps,
    definitions: Vec<Arc<dyn Definition>>,
}

impl OperationsPlanner {
    /// Wired by `server`.
    pub fn new(deps: Deps) -> Self {
        let definitions = all(&deps);
        Self { deps, definitions }
    }
}

#[async_trait]
impl Planner for OperationsPlanner {
    async fn plan(&self, request: &PlanRequest) -> Result<Plan, Refusal> {
        match request.operation {
            OperationType::Failover
                if !request.params.force && failback::plan::returns(request) =>
            {
                failback::plan::plan(&self.deps, request).await
            }
            OperationType::Failover if !request.params.force => {
                failover::plan::plan(&self.deps, request).await
            }
            OperationType::Failback => failback::plan::plan(&self.deps, request).await,
            OperationType::SyncVolumes => sync_volumes::plan::plan(&self.deps, request).await,
            OperationType::Reprotect => reprotect::plan::plan(&self.deps, request).await,
            other => Err(Refusal::new(
                Code::PlanRefused,
                format!(
                    "this release of Protector cannot run {}{other}; it runs planned failovers, failbacks, syncs and reprotects",
                    if request.params.force { "forced " } else { "" }
                ),
            )),
        }
    }

    fn refused(&self, operation: OperationType, group: GroupId, refusal: &Refusal) -> Plan {
        let (definition, version, stages) = match operation {
            OperationType::Failback => (failback::NAME, failback::VERSION, failover::stages()),
            OperationType::SyncVolumes => {
                (sync_volumes::NAME, sync_volumes::VERSION, sync_volumes::stages())
            }
            OperationType::Reprotect => {
                (reprotect::NAME, reprotect::VERSION, sync_volumes::stages())
            }
            // The others have the failover's stages.
            _ => (failover::NAME, failover::VERSION, failover::stages()),
        };
        let facts = failover::plan::PlanFacts {
            group_id: group,
            source_site: String::new(),
            target_site: String::new(),
            not_preserved: Vec::new(),
        };
        let step = PlannedStep {
            id: "refuse".into(),
            kind: "refuse".into(),
            stage: 0,
            after: Vec::new(),
            input: serde_json::json!(format!("{operation} refused: {refusal}")),
            subject: None,
            deadline_sec: 60,
            no_return: false,
            on_failure: OnFailure::Rollback,
        };
        Plan {
            definition: definition.into(),
            version,
            stages,
            steps: vec![step],
            facts: serde_json::to_value(facts).unwrap_or_default(),
        }
    }

    fn definition(&self, name: &str, version: u32) -> Option<Arc<dyn Definition>> {
        self.definitions.iter().find(|d| d.name() == name && d.version() == version).cloned()
    }
}
