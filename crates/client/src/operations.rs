//! Actions and operations.

use http::{HeaderName, Method};
use protector_api_types::{
    ActionParamsBody, EventView, EventsBody, Microversion, OperationBody, OperationView,
    OperationsBody, PARAMS, PlanBody, PlanView,
};
use protector_http::CallKind;
use protector_types::{Action, GroupId, OperationId, OperationStatus, OperationType, ProjectId};
use serde_json::{Map, Value, json};

use crate::{
    client::{ClientResult, ProtectorClient, segment},
    groups::group_path,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Filters of the list of operations.
#[derive(Debug, Clone, Default)]
pub struct OperationQuery {
    /// Of this group.
    pub protection_group_id: Option<GroupId>,
    /// Of this type.
    pub operation_type: Option<OperationType>,
    /// In this status.
    pub status: Option<OperationStatus>,
}

impl OperationQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        if let Some(group) = self.protection_group_id {
            pairs.push(("protection_group_id", group.to_string()));
        }
        if let Some(kind) = self.operation_type {
            pairs.push(("operation_type", kind.to_string()));
        }
        if let Some(status) = self.status {
            pairs.push(("status", status.to_string()));
        }
        pairs
    }
}

impl ProtectorClient {
    /// Starts an operation. With an `idempotency_key` a lost answer is asked for again; without one the call is
    /// not repeated, since a repeat could start a second operation.
    ///
    /// # Errors
    /// The API's.
    pub async fn act(
        &self,
        project: &ProjectId,
        group: GroupId,
        action: Action,
        params: &ActionParamsBody,
        idempotency_key: Option<&str>,
    ) -> ClientResult<OperationView> {
        let path = format!("{}/action", group_path(project, group));
        let body = json!({ action.as_str(): given(params) });
        let kind = if idempotency_key.is_some() { CallKind::Ensure } else { CallKind::Effect };
        let headers: Vec<_> =
            idempotency_key.map(|key| (IDEMPOTENCY_KEY, key)).into_iter().collect();
        let answer = self.send(Method::POST, &path, kind, Some(&body), &headers).await?;
        let body: OperationBody = self.read(&answer)?;
        Ok(body.operation)
    }

    /// What an action would do; touches nothing.
    ///
    /// # Errors
    /// The API's, exactly those of the action itself.
    pub async fn plan(
        &self,
        project: &ProjectId,
        group: GroupId,
        action: Action,
        params: &ActionParamsBody,
    ) -> ClientResult<PlanView> {
        let path = format!("{}/plan", group_path(project, group));
        let body: PlanBody =
            self.post(&path, Some(&json!({ action.as_str(): given(params) }))).await?;
        Ok(body.plan)
    }

    /// Takes a group snapshot and ships it.
    ///
    /// # Errors
    /// The API's.
    pub async fn sync_consistency_group(
        &self,
        project: &ProjectId,
        group: GroupId,
    ) -> ClientResult<OperationView> {
        let path = format!("{}/consistency-group/sync", group_path(project, group));
        let body: OperationBody = self.post(&path, None::<&()>).await?;
        Ok(body.operation)
    }

    /// One operation.
    ///
    /// # Errors
    /// The API's.
    pub async fn operation(
        &self,
        project: &ProjectId,
        id: OperationId,
    ) -> ClientResult<OperationView> {
        let path = format!("/v1/{}/operations/{id}", segment(project));
        let body: OperationBody = self.get(&path).await?;
        Ok(body.operation)
    }

    /// All operations of a project that the query leaves, newest first.
    ///
    /// # Errors
    /// The API's.
    pub async fn list_operations(
        &self,
        project: &ProjectId,
        query: &OperationQuery,
    ) -> ClientResult<Vec<OperationView>> {
        let path = format!("/v1/{}/operations", segment(project));
        let read = |body: OperationsBody| (body.operations, body.operations_links);
        self.all(&path, &query.pairs(), read, |operation| operation.id).await
    }

    /// The journal of an operation after an entry (0: from the start), oldest first.
    ///
    /// # Errors
    /// The API's.
    pub async fn operation_events(
        &self,
        project: &ProjectId,
        id: OperationId,
        after_seq: u64,
    ) -> ClientResult<Vec<EventView>> {
        let path = format!("/v1/{}/operations/{id}/events", segment(project));
        let mut events: Vec<EventView> = Vec::new();
        loop {
            let marker = events.last().map_or(after_seq, |event| event.seq);
            let body: EventsBody = self.get(&format!("{path}?limit=1000&marker={marker}")).await?;
            let is_last = body.events_links.is_empty() || body.events.is_empty();
            events.extend(body.events);
            if is_last {
                return Ok(events);
            }
        }
    }
}

/// Only what differs from the defaults: not every action takes every parameter.
fn given(params: &ActionParamsBody) -> Value {
    let mut map = Map::new();
    for (name, mapping) in
        [("network_mapping", &params.network_mapping), ("flavor_mapping", &params.flavor_mapping)]
    {
        if !mapping.is_empty() {
            map.insert(name.into(), json!(mapping));
        }
    }
    for (name, flag) in [
        ("force", params.force),
        ("retain_primary", params.retain_primary),
        ("reverse_replication", params.reverse_replication),
    ] {
        if flag {
            map.insert(name.into(), true.into());
        }
    }
    // Those of 1.3 leave themselves out when they say nothing.
    if let Ok(Value::Object(later)) = serde_json::to_value(params) {
        let is_base =
            |name: &str| PARAMS.iter().any(|p| p.name == name && p.since < Microversion::V1_3);
        map.extend(later.into_iter().filter(|(name, _)| !is_base(name)));
    }
    Value::Object(map)
}
