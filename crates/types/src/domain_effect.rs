//! Changes of domain rows that commit in the same transaction as a step's outcome
//! (4-architecture.md section 3, rule 4). A step names them; only the store applies them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{GroupId, GroupStatus, MemberId, ReplicationStatus, SiteId, VolumePlacement};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainEffect {
    /// The point of no return of a failover or failback: status, current primary, failover count,
    /// epoch, version and the members' new places, in one fenced transaction.
    SwapPrimary {
        /// The group.
        group_id: GroupId,
        /// Where it runs from now on.
        new_primary: SiteId,
        /// Who raises the epoch.
        raised_by: SiteId,
        /// `failed_over`, `failed_over_partial` or `active`.
        status: GroupStatus,
        /// New servers and volumes.
        placements: Vec<NewPlacement>,
    },
    /// The group's status follows the operation (running, rolled back).
    SetStatus {
        /// The group.
        group_id: GroupId,
        /// The new status.
        status: GroupStatus,
    },
    /// A complete point was seen at the other site.
    Replicated {
        /// The group.
        group_id: GroupId,
        /// Source time of the point.
        point_at: Option<DateTime<Utc>>,
        /// What replication does now.
        status: ReplicationStatus,
    },
}

/// Where a member is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPlacement {
    /// The member.
    pub member_id: MemberId,
    /// Its server at the new primary.
    pub server_id: String,
    /// Its volumes there, by position.
    pub volumes: BTreeMap<u32, VolumePlacement>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_effect_survives_the_journal() {
        // A tag inside the object would buffer the map, and its numeric keys would come back as texts.
        let placement = VolumePlacement {
            volume_id: "v".into(),
            array_volume: "a".into(),
            array_volume_id: None,
            serial: "s".into(),
        };
        let effect = DomainEffect::SwapPrimary {
            group_id: GroupId::generate(),
            new_primary: SiteId::generate(),
            raised_by: SiteId::generate(),
            status: GroupStatus::FailedOver,
            placements: vec![NewPlacement {
                member_id: MemberId::generate(),
                server_id: "x".into(),
                volumes: BTreeMap::from([(0, placement)]),
            }],
        };
        let stored = serde_json::to_value(&effect).unwrap();
        assert_eq!(serde_json::from_value::<DomainEffect>(stored).unwrap(), effect);
    }
}
