//! `/v1/{tenant_id}/operations`: the record of the founding document.

use chrono::{DateTime, Utc};
use protector_types::{GroupId, OperationId, OperationStatus, OperationType, ProjectId, SiteId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{GroupView, Microversion, PageLink, since, time};

/// An operation. Keys in the founding document's order; those behind `protection_group_id` came later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    /// `op-...`.
    pub id: OperationId,
    /// What it does.
    pub operation_type: OperationType,
    /// `pending`, `running`, `rolling_back`, `completed`, `failed`; from 1.3 also `cancelling`, `cancelled`,
    /// `needs_attention`.
    pub status: OperationStatus,
    /// 0-100, never falling; 100 only on completion.
    #[schema(minimum = 0, maximum = 100)]
    pub progress: u8,
    /// From.
    pub source_site_id: SiteId,
    /// To.
    pub target_site_id: SiteId,
    /// When it was accepted.
    #[serde(with = "time")]
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(with = "time::optional")]
    pub completed_at: Option<DateTime<Utc>>,
    /// For a person.
    pub error_message: Option<String>,
    /// Stage names, in order.
    pub steps_completed: Vec<String>,
    /// What failed.
    pub steps_failed: Vec<StepFailedView>,
    /// Its group.
    pub protection_group_id: GroupId,
    /// What came of it (1.1); left out while there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result_data: Option<Value>,
    /// Project at the site that is asked (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// What a person should know (1.3; in earlier versions a `Warning` header).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<String>>,
    /// What could not be removed, and why (1.3); left out while nothing is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub leaked: Option<Value>,
    /// Progress per stage (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<StageView>>,
    /// Who asked (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The call that started it (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The ended operation that this one repeats (1.3); left out if it repeats none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<OperationId>,
}

/// One entry of `steps_failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepFailedView {
    /// Stage.
    pub stage: String,
    /// Step.
    pub step: String,
    /// Member by name.
    pub member: Option<String>,
    /// In the service's own words.
    pub error: String,
    /// Transient failures before that (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

/// How far one stage is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StageView {
    /// Name as in `steps_completed`.
    pub name: String,
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
    /// Steps under way.
    pub running: usize,
}

impl OperationView {
    /// The record as `version` shows it. `self` must be the full one of the newest version.
    #[must_use]
    pub fn for_version(mut self, version: Microversion) -> Self {
        let has = |field: &str| version >= since::field_since("operation", field);
        if version < Microversion::V1_3 {
            if self.status == OperationStatus::Cancelled && self.error_message.is_none() {
                self.error_message = Some("Cancelled".into());
            }
            self.status = self.status.before_1_3();
            let is_drill = self.operation_type == OperationType::TestFailover;
            self.result_data = self.result_data.and_then(|data| founding_keys(data, is_drill));
        }
        if version < since::field_since("operation.steps_failed", "retries") {
            for failed in &mut self.steps_failed {
                failed.retries = None;
            }
        }
        self.result_data = self.result_data.filter(|_| has("result_data"));
        self.project_id = self.project_id.filter(|_| has("project_id"));
        self.warnings = self.warnings.filter(|_| has("warnings"));
        self.leaked = self.leaked.filter(|_| has("leaked"));
        self.stages = self.stages.filter(|_| has("stages"));
        self.user_id = self.user_id.filter(|_| has("user_id"));
        self.request_id = self.request_id.filter(|_| has("request_id"));
        self.retry_of = self.retry_of.filter(|_| has("retry_of"));
        self
    }
}

/// The keys of `result_data` before 1.3: those of the founding document's example, and for a drill every resource
/// that it made, since whoever cleans up by hand goes by them.
fn founding_keys(data: Value, is_drill: bool) -> Option<Value> {
    let Value::Object(map) = data else { return None };
    let is_shown = |key: &str| match is_drill {
        true => !since::RESULT_DATA_1_3.contains(&key),
        false => since::RESULT_DATA_1_1.contains(&key),
    };
    let kept: Map<String, Value> = map.into_iter().filter(|(key, _)| is_shown(key)).collect();
    (!kept.is_empty()).then_some(Value::Object(kept))
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationBody {
    /// The operation.
    pub operation: OperationView,
}

/// The group after an action that changed it without an operation (1.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActionGroupBody {
    /// As it is now.
    pub protection_group: GroupView,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A page of operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationsBody {
    /// The page.
    pub operations: Vec<OperationView>,
    /// `next`, if there is more.
    pub operations_links: Vec<PageLink>,
}
