//! How an action becomes a plan. `operations` implements it, `server` wires it.

use std::sync::Arc;

use async_trait::async_trait;
use protector_types::{
    GroupId, Member, OperationId, OperationType, ProtectionGroup, Refusal, ReplicationPolicy,
    SiteId,
};
use protector_workflow::{Definition, Plan};

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
    pub site_names: std::collections::BTreeMap<SiteId, String>,
    /// `host@backend#pool` set by the operator, per site.
    pub cinder_hosts: std::collections::BTreeMap<SiteId, String>,
    /// Where the driving Protector runs.
    pub local_site: SiteId,
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
