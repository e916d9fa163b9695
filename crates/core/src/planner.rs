//! How an action becomes a plan. `operations` implements it, `server` wires it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use protector_types::{
    Delegation, Fence, GroupId, Member, OperationId, OperationType, ProtectionGroup, Refusal,
    ReplicationPolicy, SiteId,
};
use protector_workflow::{Definition, Plan};
use serde_json::Value;

use crate::ActionParams;

/// All that a planner needs to know from the database.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// The operation that the plan is for: its id is part of every marker.
    pub operation_id: OperationId,
    /// Resolved type.
    pub operation: OperationType,
    /// With what.
    pub params: ActionParams,
    /// The group.
    pub group: ProtectionGroup,
    /// Its members.
    pub members: Vec<Member>,
    /// Its policy.
    pub policy: ReplicationPolicy,
    /// Names of both sites, for messages and `current_primary_site`.
    pub site_names: BTreeMap<SiteId, String>,
    /// `host@backend#pool` set by the operator, per site.
    pub cinder_hosts: BTreeMap<SiteId, String>,
    /// Where the driving Protector runs.
    pub local_site: SiteId,
    /// How fenced servers were before, at both sites.
    pub fences: Vec<Fence>,
    /// Users in whose name we may act, per site; whoever called last comes first.
    pub delegates: BTreeMap<SiteId, Vec<Delegation>>,
    /// The open drill, if there is one.
    pub drill: Option<EarlierOperation>,
    /// The operation that this one repeats or completes (`retry_of`).
    pub retried: Option<EarlierOperation>,
}

/// An operation that a plan builds on.
#[derive(Debug, Clone)]
pub struct EarlierOperation {
    /// Its id: part of the markers of what it made.
    pub id: OperationId,
    /// What it did.
    pub operation: OperationType,
    /// With what.
    pub params: ActionParams,
    /// Its plan, if it is known here.
    pub plan: Option<Plan>,
    /// Outputs of its steps that were done and not undone, by step id.
    pub outputs: BTreeMap<String, Value>,
    /// Its record's `result_data`.
    pub result_data: Value,
}

impl EarlierOperation {
    /// One of which no more than the id is known here.
    pub fn unknown(id: OperationId) -> Self {
        Self {
            id,
            operation: OperationType::TestFailover,
            params: ActionParams::default(),
            plan: None,
            outputs: BTreeMap::new(),
            result_data: Value::Null,
        }
    }
}

/// Lays out plans and knows the definitions that run them.
#[async_trait]
pub trait Planner: Send + Sync {
    /// Gathers facts and lays out the exact steps; touches nothing.
    ///
    /// # Errors
    /// A [`Refusal`] with every reason at once.
    async fn plan(&self, request: &PlanRequest) -> Result<Plan, Refusal>;

    /// A plan that does nothing but fail at its first stage with the refusal's words: for an operation that was
    /// accepted before it could be planned.
    fn refused(&self, operation: OperationType, group: GroupId, refusal: &Refusal) -> Plan;

    /// The definition of a stored plan, if this build knows it.
    fn definition(&self, name: &str, version: u32) -> Option<Arc<dyn Definition>>;
}
