//! `.../{pg_id}/health` and `/v1/health`. 1.0 has the verdicts, 1.2 the detail behind them.

use chrono::{DateTime, Utc};
use protector_types::{GroupId, SiteId, SyncState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Microversion, since::shown, time};

/// Health of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComponentView {
    /// `database`, `site:site-b`, `engine` ...
    pub name: String,
    /// `ok`, `degraded`, `down`, `unknown`.
    pub status: String,
    /// When it was looked at.
    #[serde(with = "time")]
    pub observed_at: DateTime<Utc>,
    /// Why (1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ComponentView {
    fn for_version(mut self, version: Microversion) -> Self {
        self.reason = shown(version, "health.components", "reason", self.reason).flatten();
        self
    }
}

/// In whose name Protector acts in the group's project at one site (1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActingView {
    /// Which site.
    pub site_id: SiteId,
    /// `trust`: a user of the project, who then owns servers and keypairs that are made; `service_user`: Protector's own
    /// user; `unknown`: Keystone does not answer.
    pub acts_as: String,
    /// Whose name, with a trust.
    pub user_name: Option<String>,
    /// Why it is not a user's.
    pub reason: Option<String>,
    /// When it was looked at.
    #[serde(with = "time")]
    pub observed_at: DateTime<Utc>,
}

/// Health of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupHealthView {
    /// Which group.
    pub protection_group_id: GroupId,
    /// A failover started now would be accepted.
    pub failover_ready: bool,
    /// Metadata.
    pub sync_status: SyncState,
    /// When.
    #[serde(with = "time")]
    pub observed_at: DateTime<Utc>,
    /// Array link, as the source array sees it (1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<ComponentView>,
    /// Age of the newest usable point in seconds (1.2); left out when not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<u64>,
    /// Lag within `rpo_minutes` (1.2); left out without a target or when not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_compliant: Option<bool>,
    /// Why it is not ready, per member or part (1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<String>>,
    /// In whose name Protector acts, per site (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<Vec<ActingView>>,
}

impl GroupHealthView {
    /// The view as `version` shows it.
    #[must_use]
    pub fn for_version(mut self, version: Microversion) -> Self {
        self.link = shown(version, "health", "link", self.link).flatten();
        self.lag_seconds = shown(version, "health", "lag_seconds", self.lag_seconds).flatten();
        self.rpo_compliant =
            shown(version, "health", "rpo_compliant", self.rpo_compliant).flatten();
        self.reasons = shown(version, "health", "reasons", self.reasons).flatten();
        self.delegation = shown(version, "health", "delegation", self.delegation).flatten();
        self
    }
}

/// Answer of `.../{pg_id}/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupHealthBody {
    /// The health.
    pub health: GroupHealthView,
}

/// Health of this site's Protector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceHealthView {
    /// The worst of the components.
    pub status: String,
    /// Part by part.
    pub components: Vec<ComponentView>,
}

impl ServiceHealthView {
    /// The view as `version` shows it.
    pub fn new(components: Vec<ComponentView>, version: Microversion) -> Self {
        let rank =
            |status: &str| ["ok", "unknown", "degraded", "down"].iter().position(|s| *s == status);
        let worst = components.iter().map(|c| c.status.as_str()).max_by_key(|status| rank(status));
        Self {
            status: worst.unwrap_or("unknown").to_owned(),
            components: components.into_iter().map(|c| c.for_version(version)).collect(),
        }
    }
}

/// Answer of `/v1/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceHealthBody {
    /// The health.
    pub health: ServiceHealthView,
}

/// Answer of `/healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LivenessBody {
    /// `ok` or `down`.
    pub status: String,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
