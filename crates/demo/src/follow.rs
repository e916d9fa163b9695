//! Starts the operation and follows it to its end, over the API.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    protect::Protected,
    rest::{Rest, text},
    stage::Stage,
};

/// Real time between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Starts an action at site A; gives its record.
///
/// # Errors
/// What the API answered.
pub async fn start(
    stage: &Stage,
    tenant: &Rest,
    protected: &Protected,
    body: &Value,
) -> anyhow::Result<Value> {
    start_at(stage, 0, tenant, protected, body).await
}

/// Starts an action at a site; gives its record.
///
/// # Errors
/// What the API answered.
pub async fn start_at(
    stage: &Stage,
    at: usize,
    tenant: &Rest,
    protected: &Protected,
    body: &Value,
) -> anyhow::Result<Value> {
    let url = format!(
        "{}/v1/{}/protection-groups/{}/action",
        stage.sites[at].api_url, protected.projects[at], protected.group_id
    );
    let action = body.as_object().and_then(|b| b.keys().next().cloned()).unwrap_or_default();
    let mut answer = tenant.post(&url, body).await.context(action)?;
    Ok(answer["operation"].take())
}

/// Follows an operation at a site until it is terminal or needs a person; `seen` gets each record with the newest events.
///
/// # Errors
/// What the API answered.
pub async fn follow(
    stage: &Stage,
    at: usize,
    tenant: &Rest,
    project: &str,
    operation: &str,
    mut seen: impl FnMut(&Value, &[Value]),
) -> anyhow::Result<Value> {
    let url = format!("{}/v1/{project}/operations/{operation}", stage.sites[at].api_url);
    let mut after = 0;
    loop {
        let mut record = tenant.get(&url).await?["operation"].take();
        let events = tenant.get(&format!("{url}/events?marker={after}&limit=1000")).await?;
        let events = events["events"].as_array().cloned().unwrap_or_default();
        if let Some(last) = events.last().and_then(|e| e["seq"].as_u64()) {
            after = last;
        }
        seen(&record, &events);
        let status = text(&record, "/status")?;
        if matches!(status.as_str(), "completed" | "failed" | "cancelled" | "needs_attention") {
            return Ok(record.take());
        }
        tokio::time::sleep(LOOK).await;
    }
}
