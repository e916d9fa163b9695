//! `.../operations/{op_id}/events` (1.3).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::PageLink;

/// One entry of an operation's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// From 1, without holes; the `id` of the event stream and the `marker` of the pages.
    pub seq: u64,
    /// When, to the microsecond.
    pub at: DateTime<Utc>,
    /// `started`, `done`, `failed` ...
    pub event: String,
    /// Step, if it is about one.
    pub step: Option<String>,
    /// Its stage.
    pub stage: Option<String>,
    /// Member by name.
    pub member: Option<String>,
    /// For a person.
    pub message: String,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventsBody {
    /// The page, oldest first.
    pub events: Vec<EventView>,
    /// `next`, if there may be more.
    pub events_links: Vec<PageLink>,
}
