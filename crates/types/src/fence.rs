//! The fence: what was done to a server so that it can no longer write, and how it was before, so that exactly that can
//! be put back (3-workflows.md sections 4 to 6). Kept outside the versioned document: a site that made its own copy safe
//! hands its record to the peer, and a sync never overwrites it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{MemberId, OperationId, SiteId};

/// A host connection of an array volume: what a fence removes and its reversal restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayConnection {
    /// Host, or `None` when it is a host group's.
    pub host: Option<String>,
    /// Host group.
    pub host_group: Option<String>,
    /// LUN.
    pub lun: Option<u64>,
}

/// The connections that a fence removed from one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FencedVolume {
    /// Array volume name.
    pub volume: String,
    /// Its connections.
    pub connections: Vec<ArrayConnection>,
}

/// How one member's server at one site was before it was fenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The member.
    pub member_id: MemberId,
    /// Where its server was fenced.
    pub site_id: SiteId,
    /// The group's epoch number when it was fenced: of two records of one member and site the higher one holds.
    pub epoch: u64,
    /// Nova id of the fenced server.
    pub server_id: String,
    /// It ran: its reversal starts it.
    pub was_active: bool,
    /// It was locked before: its reversal leaves the lock.
    pub was_locked: bool,
    /// What was disconnected.
    pub volumes: Vec<FencedVolume>,
    /// The operation that fenced it; `None`: the quarantine of a site that came back.
    pub operation_id: Option<OperationId>,
    /// When, by the clock of whoever fenced it.
    pub fenced_at: DateTime<Utc>,
}
