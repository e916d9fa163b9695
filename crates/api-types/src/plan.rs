//! `POST .../{pg_id}/plan` (1.3): what an action would do.

use chrono::{DateTime, Utc};
use protector_types::OperationType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time;

/// A plan, as it would run now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// What it would be recorded as.
    pub operation_type: OperationType,
    /// Name of the site that is left.
    pub source_site: String,
    /// Name of the site that is moved to.
    pub target_site: String,
    /// The point that would be used; `null`: it is made by the operation itself.
    pub recovery_point: Option<PlanPointView>,
    /// What would be lost; `null`: not known.
    pub data_loss_seconds: Option<u64>,
    /// What becomes of each member.
    pub members: Vec<PlanMemberView>,
    /// Steps per stage, in order.
    pub stages: Vec<PlanStageView>,
    /// The exact steps.
    pub steps: Vec<PlanStepView>,
    /// What it takes of the target project's quota.
    pub quota: Vec<PlanQuotaView>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// What cannot be kept, by name.
    pub not_preserved: Vec<String>,
    /// How long it will take, from earlier ones; `null`: there are none.
    pub forecast_seconds: Option<u64>,
    /// To be sent as `plan_hash` with the action: it runs exactly this, or is refused.
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub hash: String,
}

/// A recovery point of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanPointView {
    /// Name on the target array.
    pub name: String,
    /// Source time: the data is as of then.
    #[serde(with = "time")]
    pub created_at: DateTime<Utc>,
    /// Its age when the plan was made.
    pub age_seconds: u64,
}

/// A member of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanMemberView {
    /// Server name.
    pub name: String,
    /// Its server at the current primary.
    pub server_id: Option<String>,
    /// Flavor at the target, by name.
    pub flavor: Option<String>,
    /// Networks at the target, by name.
    pub networks: Vec<String>,
    /// Number of volumes that move.
    pub volumes: usize,
}

/// A stage of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanStageView {
    /// Name as in `steps_completed`.
    pub name: String,
    /// Number of steps.
    pub steps: usize,
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanStepView {
    /// Its id in the journal.
    pub id: String,
    /// What it does.
    pub kind: String,
    /// Name of its stage.
    pub stage: String,
    /// Member by name.
    pub member: Option<String>,
    /// Steps that must be done first.
    pub after: Vec<String>,
}

/// A limit of the target project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanQuotaView {
    /// `instances`, `cores`, `ram_mib`, `volumes`, `gigabytes`, `ports`.
    pub resource: String,
    /// What the plan needs.
    pub needed: u64,
    /// What is free; `null`: unlimited.
    pub free: Option<u64>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanBody {
    /// The plan.
    pub plan: PlanView,
}
