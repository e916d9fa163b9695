//! `.../{pg_id}/sync-status` and `sync-force`.

use chrono::{DateTime, Utc};
use protector_types::{SiteId, SyncState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Checked, FieldErrors, Microversion, since::shown, time};

/// Do both sites hold the same metadata?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncStatusView {
    /// `IN SYNC`, `OUT OF SYNC`, `UNREACHABLE`, `FAILED`, `CONFLICT`.
    pub status: SyncState,
    /// Version here.
    pub local_version: u64,
    /// Version there, if known.
    pub remote_version: Option<u64>,
    /// Epoch here.
    pub local_epoch: u64,
    /// Epoch there, if known.
    pub remote_epoch: Option<u64>,
    /// Last confirmed push.
    #[serde(with = "time::optional")]
    pub last_synced_at: Option<DateTime<Utc>>,
    /// When the other site was asked.
    #[serde(with = "time")]
    pub observed_at: DateTime<Utc>,
    /// Why it is not IN SYNC (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl SyncStatusView {
    /// The view as `version` shows it.
    #[must_use]
    pub fn for_version(mut self, version: Microversion) -> Self {
        self.reason = shown(version, "sync_status", "reason", self.reason).flatten();
        self
    }
}

/// Answer of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncStatusBody {
    /// The status.
    pub sync_status: SyncStatusView,
}

/// Body of `POST .../sync-force`; may be missing.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SyncForceBody {
    /// After a conflict: whose copy is taken (1.3).
    #[schema(value_type = Option<String>, format = "uuid")]
    pub from: Option<SiteId>,
}

impl Checked for SyncForceBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("sync-force", None);

    fn check(&self, _: &mut FieldErrors) {}
}

/// Body of `POST .../consistency-group/sync`; may be missing.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyBody {}

impl Checked for EmptyBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("empty", None);

    fn check(&self, _: &mut FieldErrors) {}
}
