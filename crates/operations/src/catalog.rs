//! Every definition in every version that this build can run.

use std::sync::Arc;

use async_trait::async_trait;
use protector_core::{PlanRequest, Planner};
use protector_types::{Code, GroupId, GroupStatus, OperationType, Refusal};
use protector_workflow::{Definition, OnFailure, Plan, PlannedStep};

use crate::{
    deps::Deps,
    drill::{self, cleanup},
    failback, failover, forced, reprotect, sync_volumes,
};

/// All definitions; the previous version of each is kept.
pub fn all(deps: &Deps) -> Vec<Arc<dyn Definition>> {
    vec![
        Arc::new(failover::Failover(deps.clone())),
        Arc::new(forced::ForcedFailover(deps.clone())),
        Arc::new(drill::Drill(deps.clone())),
        Arc::new(cleanup::Cleanup(deps.clone())),
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
        let deps = &self.deps;
        let plan = match request.operation {
            OperationType::Failover => match &request.retried {
                // What a partial failover lacks; any other failover that is tried again is a new one.
                Some(earlier) if is_partial(request) => {
                    forced::retry::plan(deps, request, earlier).await?
                }
                _ if request.params.force => forced::plan::plan(deps, request).await?,
                _ if failback::plan::returns(request) => {
                    failback::plan::plan(deps, request).await?
                }
                _ => failover::plan::plan(deps, request).await?,
            },
            OperationType::TestFailover => drill::plan::plan(deps, request).await?,
            OperationType::TestCleanup => cleanup::plan(request)?,
            OperationType::Failback => failback::plan::plan(deps, request).await?,
            OperationType::SyncVolumes => sync_volumes::plan::plan(deps, request).await?,
            OperationType::Reprotect => reprotect::plan::plan(deps, request).await?,
        };
        plan.validate().map_err(|error| {
            Refusal::new(Code::Internal, format!("the plan is not well formed: {error}"))
        })?;
        Ok(plan)
    }

    fn refused(&self, operation: OperationType, group: GroupId, refusal: &Refusal) -> Plan {
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
        // The definition decides what the end means: only a failover changes the group's status.
        let (definition, version, stages) = match operation {
            OperationType::TestFailover => (drill::NAME, drill::VERSION, failover::stages()),
            OperationType::TestCleanup => (cleanup::NAME, cleanup::VERSION, cleanup::stages()),
            OperationType::Failback => (failback::NAME, failback::VERSION, failover::stages()),
            OperationType::SyncVolumes => {
                (sync_volumes::NAME, sync_volumes::VERSION, sync_volumes::stages())
            }
            OperationType::Reprotect => {
                (reprotect::NAME, reprotect::VERSION, sync_volumes::stages())
            }
            OperationType::Failover => (failover::NAME, failover::VERSION, failover::stages()),
        };
        Plan {
            definition: definition.into(),
            version,
            stages,
            steps: vec![step],
            facts: serde_json::json!({
                "group_id": group, "source_site": "", "target_site": "", "not_preserved": [], "warnings": [],
            }),
        }
    }

    fn definition(&self, name: &str, version: u32) -> Option<Arc<dyn Definition>> {
        self.definitions.iter().find(|d| d.name() == name && d.version() == version).cloned()
    }
}

/// The group lacks members at its current primary (the retry's own claim makes it `failing_over`).
fn is_partial(request: &PlanRequest) -> bool {
    let group = &request.group;
    matches!(group.status, GroupStatus::FailedOverPartial)
        || (group.status == GroupStatus::FailingOver
            && group.current_primary_site_id != group.primary_site_id)
}
