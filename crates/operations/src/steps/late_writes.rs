//! What a server wrote at the target before it was undone (law 1): a server that ever was ACTIVE may hold acknowledged
//! writes. Before it goes, each of its volumes is snapshotted, and the snapshot is cloned to a volume of its own: the
//! array destroys a volume's snapshots with it. The clone, with a snapshot that names it, stays for the retention.

use chrono::{DateTime, TimeDelta, Utc};
use protector_ports::{
    DestroyPermit, PortError, PortResult, ReplicationArray, VolumeKey, absent_as_none,
};
use protector_types::{DomainEffect, GroupId, KeptCopy, KeptThing, MemberId, OperationId};
use protector_workflow::Undo;
use serde::{Deserialize, Serialize};

use super::manage_volume;
use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
    rebuild::suffix,
};

/// Suffix of the snapshot that names a kept volume.
const NAMED: &str = "late-writes";

/// Whose writes are kept, and for how long.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keeps {
    /// The group.
    pub group_id: GroupId,
    /// The member.
    pub member_id: MemberId,
    /// Position of the member in the plan: part of names.
    pub m: usize,
    /// Where the volumes are.
    pub array: ArrayPlace,
    /// Seconds.
    pub keep_sec: i64,
}

/// With the volumes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Late {
    /// Whose.
    pub keeps: Keeps,
    /// Its volumes in device order.
    pub volumes: Vec<manage_volume::Output>,
}

impl Late {
    fn name(&self, operation: OperationId, position: usize) -> String {
        format!("{}-m{}v{position}-late", suffix(operation), self.keeps.m)
    }

    /// Ensure: a copy of each volume as it is now. The server must not write any more.
    ///
    /// # Errors
    /// As any call; may be repeated. Never that something is absent: the server is there, whatever lacks on the array, and
    /// an undo that took this for its own end would leave it.
    pub async fn keep(
        &self,
        deps: &Deps,
        operation: OperationId,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        self.keep_all(deps, operation, permit).await.map_err(|error| match error {
            PortError::Absent { .. } => {
                PortError::Unknown { service: "the array".into(), message: error.to_string() }
            }
            other => other,
        })
    }

    async fn keep_all(
        &self,
        deps: &Deps,
        operation: OperationId,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        let array = self.keeps.array.array(deps).await?;
        for (position, volume) in self.volumes.iter().enumerate() {
            let kept = self.name(operation, position);
            let taken = format!("{}-late", suffix(operation));
            if self.find(array.as_ref(), &kept).await?.is_none() {
                snapshot(array.as_ref(), &volume.array_volume, &taken).await?;
                array.clone_from_point(&volume.array_volume, &taken, &kept).await?;
            }
            snapshot(array.as_ref(), &kept, NAMED).await?;
            // A volume that is kept for a retry would carry it for ever: nobody's books name it.
            let taken = format!("{}.{taken}", volume.array_volume);
            array.destroy_volume_snapshot(&taken, permit).await?;
        }
        Ok(())
    }

    async fn find(&self, array: &dyn ReplicationArray, name: &str) -> PortResult<Option<String>> {
        let found = absent_as_none(array.volume(&VolumeKey::Name(name.to_owned())).await)?;
        Ok(found.map(|volume| volume.serial))
    }

    /// The end of the undo: what was kept goes on record.
    pub async fn undone(&self, deps: &Deps, operation: OperationId, now: DateTime<Utc>) -> Undo {
        let array = attempt!(self.keeps.array.array(deps).await, outcome::undo);
        let mut copies = Vec::new();
        for position in 0..self.volumes.len() {
            let name = self.name(operation, position);
            let found = attempt!(self.find(array.as_ref(), &name).await, outcome::undo);
            copies.extend(found.map(|serial| self.copy(operation, now, name, serial)));
        }
        if copies.is_empty() {
            return Undo::Done(None);
        }
        let names: Vec<String> = copies.iter().filter_map(named).collect();
        Undo::Kept {
            note: format!(
                "what it wrote before it was undone is kept in {}, until {}",
                names.join(", "),
                copies[0].expires_at.format("%Y-%m-%dT%H:%M:%SZ")
            ),
            effects: vec![DomainEffect::Kept { group_id: self.keeps.group_id, copies }],
        }
    }

    fn copy(
        &self,
        operation: OperationId,
        now: DateTime<Utc>,
        name: String,
        serial: String,
    ) -> KeptCopy {
        let span = TimeDelta::try_seconds(self.keeps.keep_sec).unwrap_or(TimeDelta::MAX);
        KeptCopy {
            id: KeptCopy::new_id(),
            site_id: self.keeps.array.site,
            thing: KeptThing::ArrayVolume { name, serial },
            member_id: self.keeps.member_id,
            why: "written by a server that was undone".into(),
            operation_id: operation,
            kept_at: now,
            expires_at: now.checked_add_signed(span).unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }
}

/// The snapshot under which a kept volume is known.
fn named(copy: &KeptCopy) -> Option<String> {
    match &copy.thing {
        KeptThing::ArrayVolume { name, .. } => Some(format!("{name}.{NAMED}")),
        _ => None,
    }
}

async fn snapshot(array: &dyn ReplicationArray, volume: &str, suffix: &str) -> PortResult<()> {
    if array.has_volume_snapshot(&format!("{volume}.{suffix}")).await? {
        return Ok(());
    }
    match array.snapshot_volume(volume, suffix).await {
        // An answer that was lost, or a refusal: only a look tells whether it is there.
        Err(error @ PortError::Conflict { .. }) => {
            match array.has_volume_snapshot(&format!("{volume}.{suffix}")).await? {
                true => Ok(()),
                false => Err(error),
            }
        }
        other => other,
    }
}
