//! Copies that are kept on purpose: safety snapshots, volumes of a site that was left, late writes of an undone server.
//! Law 1 made them; the group's retention ends them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{MemberId, OperationId, SiteId};

/// What is kept, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptThing {
    /// A Cinder volume that no server uses any more.
    CinderVolume {
        /// Cinder id.
        volume_id: String,
        /// Its array volume, by serial: survives renames.
        serial: String,
        /// GiB that it counts for in the project's quota.
        size_gib: u64,
    },
    /// A volume on the array that Cinder does not know.
    ArrayVolume {
        /// Its name.
        name: String,
        /// Its serial.
        serial: String,
    },
    /// A snapshot of a volume on the array.
    ArraySnapshot {
        /// Full name, `volume.suffix`.
        name: String,
    },
}

/// One copy that is kept until the retention passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCopy {
    /// Its id in our books.
    pub id: Uuid,
    /// Where it is.
    pub site_id: SiteId,
    /// What it is.
    pub thing: KeptThing,
    /// Of which member.
    pub member_id: MemberId,
    /// For a person: why it is kept.
    pub why: String,
    /// The operation that kept it: its journal is the evidence for the removal.
    pub operation_id: OperationId,
    /// When it was kept.
    pub kept_at: DateTime<Utc>,
    /// From then on it may go.
    pub expires_at: DateTime<Utc>,
}

impl KeptCopy {
    /// A new id in our books.
    pub fn new_id() -> Uuid {
        Uuid::now_v7()
    }
}
