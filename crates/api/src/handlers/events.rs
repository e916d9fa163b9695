//! `.../operations/{op_id}/events` (1.3): the journal, paged, or followed live.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream::{self, Stream};
use http::header::ACCEPT;
use protector_api_types::{EventView, EventsBody};
use protector_policy::{Rule, Target};
use protector_types::{OperationId, ProjectId};

use crate::{
    auth::Identity,
    call::{Call, id},
    convert,
    docs::ListFails,
    error::ApiResult,
    extract::{OperationPath, PathOf},
    query::{MAX_LIMIT, invalid},
    state::AppState,
};

/// How often the journal is looked at for those who follow it.
const POLL: Duration = Duration::from_millis(500);

/// Reads the journal; with `Accept: text/event-stream` follows it until the operation ends.
#[utoipa::path(
    get, path = "/v1/{tenant_id}/operations/{op_id}/events", tag = "operations",
    params(
        OperationPath,
        ("limit" = Option<u64>, Query, description = "Events of a page", minimum = 1, maximum = 1000),
        ("marker" = Option<u64>, Query, description = "`seq` of the last event that is known"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The same, for an event stream that is taken up again")
    ),
    responses(
        (status = 200, description = "A page, or the stream", content(
            (EventsBody = "application/json"), (EventView = "text/event-stream")
        )),
        ListFails
    )
)]
pub async fn list(call: Call, PathOf(path): PathOf<OperationPath>) -> ApiResult<Response> {
    let project = call.tenant(&path.tenant_id)?;
    let operation: OperationId = id("Operation", &path.op_id)?;
    let record = call.core().operation(&project, operation).await?;
    let group = record.protection_group_id.to_string();
    let target = Target::project(&project).with("protection_group_id", group);
    call.enforce(Rule::OperationsEvents, &target)?;

    let mut query = call.query();
    let limit = query.limit()?;
    let marker: Option<u64> = query.parsed("marker")?;
    query.finish()?;
    let last_event: Option<u64> = match call.header("last-event-id")? {
        Some(text) => {
            Some(text.trim().parse().map_err(|e| invalid("Last-Event-ID", format!("{e}")))?)
        }
        None => None,
    };
    let after = last_event.or(marker).unwrap_or(0);
    if wants_stream(&call)? {
        let follower = Follower {
            state: call.state.clone(),
            identity: call.identity.clone(),
            project,
            operation,
            after,
            ready: VecDeque::new(),
            ended: false,
        };
        return Ok(Sse::new(follower.stream()).keep_alive(KeepAlive::default()).into_response());
    }
    let events = call.core().operation_events(&project, operation, after, limit).await?;
    let more = events.len() as u64 == limit;
    let events_links = call.next_link(more, events.last().map(|event| event.seq));
    let events = events.into_iter().map(convert::event).collect();
    Ok(Json(EventsBody { events, events_links }).into_response())
}

fn wants_stream(call: &Call) -> ApiResult<bool> {
    let accept = call.header(ACCEPT.as_str())?.unwrap_or_default();
    Ok(accept.split(',').any(|part| part.trim().starts_with("text/event-stream")))
}

/// Somebody who follows a journal.
struct Follower {
    state: AppState,
    identity: Arc<Identity>,
    project: ProjectId,
    operation: OperationId,
    after: u64,
    ready: VecDeque<EventView>,
    ended: bool,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    /// The next event; `end` is the last.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(view) = self.ready.pop_front() {
                self.after = view.seq;
                let data = serde_json::to_string(&view).unwrap_or_default();
                return Some(
                    Event::default().id(view.seq.to_string()).event(view.event).data(data),
                );
            }
            if self.ended {
                return None;
            }
            if self.state.clock().now() >= self.identity.expires_at() {
                self.ended = true;
                return Some(Event::default().event("error").data("the token has expired"));
            }
            match self.look().await {
                Ok(None) => self.state.clock().sleep(POLL).await,
                Ok(Some(status)) if self.ready.is_empty() => {
                    self.ended = true;
                    return Some(Event::default().event("end").data(status));
                }
                Ok(Some(_)) => {}
                Err(refusal) => {
                    tracing::warn!(operation = %self.operation, %refusal, "the journal cannot be followed");
                    self.ended = true;
                    return Some(
                        Event::default().event("error").data("the journal cannot be read"),
                    );
                }
            }
        }
    }

    /// Reads what is new. `Some(status)`: look again at once, or, if nothing was new, the operation has ended.
    async fn look(&mut self) -> Result<Option<&'static str>, protector_types::Refusal> {
        let core = self.state.core();
        // Status first: a journal that is read after the end is whole.
        let record = core.operation(&self.project, self.operation).await?;
        let events =
            core.operation_events(&self.project, self.operation, self.after, MAX_LIMIT).await?;
        let is_new = !events.is_empty();
        self.ready.extend(events.into_iter().map(convert::event));
        Ok((is_new || record.status.is_terminal()).then(|| record.status.as_str()))
    }
}
