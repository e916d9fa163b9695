//! What a site knows of a group for itself, outside the document: above all whether it is quarantined.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Epoch, MemberId, SiteId};

/// Facts of one site about one group. They never travel with the document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SiteFacts {
    /// The last epoch that both sites are known to have held together.
    pub agreed_epoch: Option<Epoch>,
    /// Why the group is read-only here.
    pub quarantine: Option<Quarantine>,
}

/// The group is read-only at this site: it learnt that another site is the primary under a newer epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The newer epoch.
    pub epoch: Epoch,
    /// The primary that it names.
    pub primary: SiteId,
    /// That site by name, for people.
    pub primary_name: String,
    /// Since when, by this site's clock.
    pub since: DateTime<Utc>,
    /// What runs here and has to be made safe, as this site knew it when it was quarantined.
    pub servers: Vec<QuarantinedServer>,
    /// This site's own copy is safe: servers stopped and locked, their disks disconnected, the schedule off.
    pub is_safe: bool,
    /// Why the last attempt to make it safe failed.
    pub failure: Option<String>,
    /// A person has synchronised: it ends as soon as the copy is safe and both sites hold the same.
    pub release_asked: bool,
    /// A further epoch named this site again: what was done is being taken back.
    pub is_lifting: bool,
}

/// A server that ran here when the quarantine began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedServer {
    /// Its member.
    pub member_id: MemberId,
    /// Its name.
    pub name: String,
    /// Nova id.
    pub server_id: String,
    /// Its volumes by their names on the array.
    pub volumes: Vec<String>,
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.epoch.number;
        write!(f, "epoch {number} names {} as the primary; ", self.primary_name)?;
        match (&self.failure, self.is_lifting, self.is_safe) {
            (Some(failure), true, _) => write!(f, "taking the fence back failed: {failure}"),
            (None, true, _) => {
                f.write_str("a further epoch names this site again, the fence is being taken back")
            }
            (_, _, true) => f.write_str(
                "what ran here is stopped, locked and disconnected. sync-force releases the group",
            ),
            (Some(failure), _, false) => write!(
                f,
                "what ran here could not be made safe: {failure}. It is tried again; release_quarantine leads out"
            ),
            (None, _, false) => {
                f.write_str("what ran here is being stopped, locked and disconnected")
            }
        }
    }
}
