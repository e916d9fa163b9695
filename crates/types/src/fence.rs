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
    /// The number of the epoch that it belongs to (that a forced operation raises): of two records of one member and
    /// site the higher one holds, and two of one epoch are merged.
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

impl Fence {
    /// A quarantine that found its server stopped, locked and disconnected already: it says nothing of how it was before,
    /// and takes the place of no record that does.
    #[must_use]
    pub fn found_it_fenced(&self) -> bool {
        let connected = self.volumes.iter().any(|volume| !volume.connections.is_empty());
        self.operation_id.is_none() && !self.was_active && self.was_locked && !connected
    }

    /// Of two records of one server and one epoch: how it was before either. A site that comes back and an operation of
    /// the other site may fence the same server at once; who comes second sees a part of the first one's work. It ran if
    /// either saw it run, was locked if both saw the lock, and had every connection that either saw.
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        self.was_active |= other.was_active;
        self.was_locked &= other.was_locked;
        for theirs in &other.volumes {
            match self.volumes.iter_mut().find(|ours| ours.volume == theirs.volume) {
                None => self.volumes.push(theirs.clone()),
                Some(ours) => {
                    let new = theirs.connections.iter().filter(|c| !ours.connections.contains(c));
                    let new: Vec<_> = new.cloned().collect();
                    ours.connections.extend(new);
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(was_active: bool, was_locked: bool, hosts: &[&str]) -> Fence {
        let connection = |host: &&str| ArrayConnection {
            host: Some((*host).to_owned()),
            host_group: None,
            lun: None,
        };
        Fence {
            member_id: MemberId::generate(),
            site_id: SiteId::generate(),
            epoch: 2,
            server_id: "s".into(),
            was_active,
            was_locked,
            volumes: vec![FencedVolume {
                volume: "v".into(),
                connections: hosts.iter().map(connection).collect(),
            }],
            operation_id: None,
            fenced_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn who_finds_a_fenced_server_knows_nothing() {
        assert!(record(false, true, &[]).found_it_fenced());
        assert!(!record(false, false, &[]).found_it_fenced());
        assert!(!record(true, true, &[]).found_it_fenced());
        assert!(!record(false, true, &["h"]).found_it_fenced());
    }

    #[test]
    fn who_fences_second_does_not_hide_how_it_was() {
        let (first, second) = (record(true, false, &["h1"]), record(false, true, &[]));
        for merged in [first.clone().merged(&second), second.clone().merged(&first)] {
            assert!(merged.was_active && !merged.was_locked);
            assert_eq!(merged.volumes, first.volumes);
        }
        let both = record(true, false, &["h1"]).merged(&record(true, false, &["h2", "h1"]));
        assert_eq!(both.volumes, record(true, false, &["h1", "h2"]).volumes);
    }
}
