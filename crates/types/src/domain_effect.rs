//! Changes of domain rows that commit in the same transaction as a step's outcome
//! (4-architecture.md section 3, rule 4). A step names them; only the store applies them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use uuid::Uuid;

use crate::{
    Fence, GroupId, GroupStatus, KeptCopy, MemberId, ReplicationStatus, SiteId, VolumePlacement,
};

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
    /// A forced failover takes the primary before its first server is made, and gives it back when it is undone: a new
    /// epoch that names this primary. Status, count and places do not change; to name the present primary changes
    /// nothing.
    MovePrimary {
        /// The group.
        group_id: GroupId,
        /// The current primary from now on.
        primary: SiteId,
        /// Who raises the epoch.
        raised_by: SiteId,
    },
    /// Members run at the current primary from now on: the end of a forced failover, or of the completion of a partial
    /// one.
    Arrived {
        /// The group.
        group_id: GroupId,
        /// `failed_over` or `failed_over_partial`.
        status: GroupStatus,
        /// Counts as a failover (the completion of a partial one does not).
        counts: bool,
        /// New servers and volumes, at the current primary.
        placements: Vec<NewPlacement>,
    },
    /// A volume got another place on the array of its site (it was retyped); nothing else of the member changes.
    Replaced {
        /// The group.
        group_id: GroupId,
        /// Where.
        site_id: SiteId,
        /// Whose.
        member_id: MemberId,
        /// Which of its volumes, by position.
        position: u32,
        /// What it is now.
        placement: VolumePlacement,
    },
    /// Members have nothing at this site any more.
    Displaced {
        /// The group.
        group_id: GroupId,
        /// Where.
        site_id: SiteId,
        /// Whose servers and volumes there are forgotten.
        members: Vec<MemberId>,
    },
    /// Servers were fenced.
    Fenced {
        /// The group.
        group_id: GroupId,
        /// How they were before.
        fences: Vec<Fence>,
    },
    /// Fences were taken back, or what they fenced is gone.
    Unfenced {
        /// The group.
        group_id: GroupId,
        /// Where.
        site_id: SiteId,
        /// Whose.
        members: Vec<MemberId>,
    },
    /// Copies are kept on purpose.
    Kept {
        /// The group.
        group_id: GroupId,
        /// Which.
        copies: Vec<KeptCopy>,
    },
    /// Kept copies are gone.
    Released {
        /// The group.
        group_id: GroupId,
        /// By their ids.
        copies: Vec<Uuid>,
    },
    /// The current primary is accepted as primary: roles and mappings change places, the group is `active`.
    RolesSwapped {
        /// The group.
        group_id: GroupId,
    },
    /// The operation was undone: the status is again what the group's current primary and its members say (`active`,
    /// `failed_over`, `failed_over_partial`).
    Reverted {
        /// The group.
        group_id: GroupId,
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

impl DomainEffect {
    /// The group that it changes.
    pub fn group_id(&self) -> GroupId {
        match self {
            Self::SwapPrimary { group_id, .. }
            | Self::MovePrimary { group_id, .. }
            | Self::Arrived { group_id, .. }
            | Self::Replaced { group_id, .. }
            | Self::Displaced { group_id, .. }
            | Self::Fenced { group_id, .. }
            | Self::Unfenced { group_id, .. }
            | Self::Kept { group_id, .. }
            | Self::Released { group_id, .. }
            | Self::RolesSwapped { group_id }
            | Self::Reverted { group_id }
            | Self::SetStatus { group_id, .. }
            | Self::Replicated { group_id, .. } => *group_id,
        }
    }
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
