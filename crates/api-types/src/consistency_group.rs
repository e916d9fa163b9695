//! `.../{pg_id}/consistency-group`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use protector_types::{GroupId, SiteId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time;

/// The group's volumes, the array names on both sites, the newest usable point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyGroupView {
    /// Of this group.
    pub protection_group_id: GroupId,
    /// The array's protection group.
    pub name: String,
    /// Array per site, by name.
    #[schema(value_type = BTreeMap<String, String>)]
    pub arrays: BTreeMap<SiteId, String>,
    /// In member order.
    pub volumes: Vec<ConsistencyVolumeView>,
    /// Newest usable point at the other site.
    pub newest_recovery_point: Option<NewestPointView>,
    /// When the point was looked for.
    #[serde(with = "time::optional")]
    pub observed_at: Option<DateTime<Utc>>,
    /// Why there is no point.
    pub reason: Option<String>,
}

/// A recovery point in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewestPointView {
    /// Name on the target array.
    pub name: String,
    /// Source time.
    #[serde(with = "time")]
    pub created_at: DateTime<Utc>,
}

/// A volume of the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyVolumeView {
    /// Member by name.
    pub member: String,
    /// `/dev/vda`.
    pub device: String,
    /// GiB.
    pub size_gib: u64,
    /// Cinder id per site.
    #[schema(value_type = BTreeMap<String, String>)]
    pub volume_ids: BTreeMap<SiteId, String>,
    /// Array volume per site.
    #[schema(value_type = BTreeMap<String, String>)]
    pub array_volumes: BTreeMap<SiteId, String>,
}

/// Answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyGroupBody {
    /// The consistency group.
    pub consistency_group: ConsistencyGroupView,
}
