//! `.../{pg_id}/recovery-points` (1.3).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{PageLink, time};

/// A group-consistent point on the target array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoveryPointView {
    /// Name on the target array.
    pub name: String,
    /// Source time: the data is as of then.
    #[serde(with = "time")]
    pub created_at: DateTime<Utc>,
    /// When its transfer was complete; `null`: still in flight, not usable.
    #[serde(with = "time::optional")]
    pub completed_at: Option<DateTime<Utc>>,
    /// Transfer, 0-100.
    pub progress: u8,
    /// Source volumes in it.
    pub volume_count: usize,
    /// Complete, with every volume of the group: a failover or drill may name it.
    pub usable: bool,
    /// Why it is not usable.
    pub reason: Option<String>,
    /// How old its data is, in seconds: what a failover to it would lose now.
    pub age_seconds: u64,
    /// Size of the group's volumes in it, in GiB.
    pub size_gib: u64,
}

/// A list of points, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoveryPointsBody {
    /// This page.
    pub recovery_points: Vec<RecoveryPointView>,
    /// The next page, if there is one.
    pub recovery_points_links: Vec<PageLink>,
}
