//! Every definition in every version that this build can run.

use std::sync::Arc;

use async_trait::async_trait;
use protector_core::{PlanRequest, Planner};
use protector_types::{Code, GroupId, OperationType, Refusal};
use protector_workflow::{Definition, OnFailure, Plan, PlannedStep};

use crate::{deps::Deps, failover};

/// All definitions; the previous version of each is kept.
pub fn all(deps: &Deps) -> Vec<Arc<dyn Definition>> {
    vec![Arc::new(failover::Failover(deps.clone()))]
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
            OperationType::Failover if !request.params.force => {
                failover::plan::plan(&self.deps, request).await
            }
            other => Err(Refusal::new(
                Code::PlanRefused,
                format!(
                    "this release of Protector cannot run {}{other}; it runs planned failovers",
                    if request.params.force { "forced " } else { "" }
                ),
            )),
        }
    }

    fn refused(&self, operation: OperationType, group: GroupId, refusal: &Refusal) -> Plan {
        // Every operation of this build has the failover's stages.
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
            definition: failover::NAME.into(),
            version: failover::VERSION,
            stages: failover::stages(),
            steps: vec![step],
            facts: serde_json::to_value(facts).unwrap_or_default(),
        }
    }

    fn definition(&self, name: &str, version: u32) -> Option<Arc<dyn Definition>> {
        self.definitions.iter().find(|d| d.name() == name && d.version() == version).cloned()
    }
}
