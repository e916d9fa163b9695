//! The array's JSON, as far as we read it. Everything but the list itself may be missing or null.

use chrono::{DateTime, Utc};
use protector_ports::{ArrayConnection, ArrayInfo, ArrayLink, ArrayVolume};
use serde::{Deserialize, Serialize};

use crate::tolerant::null_default;

/// A page of a list, or the answer of a change.
#[derive(Deserialize)]
pub struct Items<T> {
    pub items: Vec<T>,
    #[serde(default)]
    pub continuation_token: Option<String>,
    #[serde(default)]
    pub more_items_remaining: Option<bool>,
}

#[derive(Deserialize)]
pub struct Versions {
    pub version: Vec<String>,
}

/// A reference to an object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Reference {
    pub name: Option<String>,
    pub destroyed: Option<bool>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct ArrayWire {
    #[serde(deserialize_with = "null_default")]
    id: String,
    #[serde(deserialize_with = "null_default")]
    name: String,
    #[serde(deserialize_with = "null_default")]
    version: String,
}

impl From<ArrayWire> for ArrayInfo {
    fn from(wire: ArrayWire) -> Self {
        Self { id: wire.id, name: wire.name, version: wire.version }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct LinkWire {
    #[serde(deserialize_with = "null_default")]
    name: String,
    #[serde(deserialize_with = "null_default")]
    status: String,
    #[serde(rename = "type", deserialize_with = "null_default")]
    kind: String,
}

impl From<LinkWire> for ArrayLink {
    fn from(wire: LinkWire) -> Self {
        Self {
            remote: wire.name,
            status: wire.status,
            // A link made for synchronous replication carries the asynchronous kind as well.
            async_replication: matches!(
                wire.kind.as_str(),
                "async-replication" | "sync-replication"
            ),
            sync_replication: wire.kind == "sync-replication",
        }
    }
}

#[derive(Deserialize)]
pub struct VolumeWire {
    pub name: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub serial: String,
    #[serde(default, deserialize_with = "null_default")]
    provisioned: u64,
    #[serde(default, deserialize_with = "null_default")]
    pub destroyed: bool,
}

impl From<VolumeWire> for ArrayVolume {
    fn from(wire: VolumeWire) -> Self {
        Self {
            id: wire.id,
            name: wire.name,
            serial: wire.serial,
            size_bytes: wire.provisioned,
            destroyed: wire.destroyed,
        }
    }
}

#[derive(Deserialize)]
pub struct TagWire {
    #[serde(default, deserialize_with = "null_default")]
    pub resource: Reference,
    #[serde(default, deserialize_with = "null_default")]
    pub key: String,
    #[serde(default, deserialize_with = "null_default")]
    pub value: String,
    #[serde(default, deserialize_with = "null_default")]
    pub namespace: String,
}

/// A tag to be set.
#[derive(Serialize)]
pub struct NewTag<'a> {
    pub namespace: &'a str,
    pub key: &'a str,
    pub value: &'a str,
    /// A copy of the volume is not the thing that we marked.
    pub copyable: bool,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct ConnectionWire {
    #[serde(deserialize_with = "null_default")]
    host: Reference,
    #[serde(deserialize_with = "null_default")]
    host_group: Reference,
    lun: Option<u64>,
}

impl ConnectionWire {
    /// A host group's connection is listed once per host: it is the group's.
    pub fn into_port(self) -> Option<ArrayConnection> {
        let (host, host_group) = (self.host.name, self.host_group.name);
        match (host, host_group) {
            (_, Some(group)) => {
                Some(ArrayConnection { host: None, host_group: Some(group), lun: self.lun })
            }
            (Some(host), None) => {
                Some(ArrayConnection { host: Some(host), host_group: None, lun: self.lun })
            }
            (None, None) => None,
        }
    }
}

#[derive(Deserialize)]
pub struct GroupWire {
    pub name: String,
    #[serde(default, deserialize_with = "null_default")]
    pub destroyed: bool,
    #[serde(default, deserialize_with = "null_default")]
    pub replication_schedule: ScheduleWire,
    #[serde(default, deserialize_with = "null_default")]
    pub snapshot_schedule: ScheduleWire,
    #[serde(default, deserialize_with = "null_default")]
    pub source_retention: RetentionWire,
    #[serde(default, deserialize_with = "null_default")]
    pub target_retention: RetentionWire,
}

/// A pod with the state of its copies.
#[derive(Deserialize)]
pub struct PodWire {
    pub name: String,
    #[serde(default, deserialize_with = "null_default")]
    pub destroyed: bool,
    #[serde(default, deserialize_with = "null_default")]
    pub arrays: Vec<PodArrayWire>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct PodArrayWire {
    #[serde(deserialize_with = "null_default")]
    pub name: String,
    #[serde(deserialize_with = "null_default")]
    pub status: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ScheduleWire {
    #[serde(deserialize_with = "null_default")]
    pub enabled: bool,
    /// Milliseconds.
    #[serde(deserialize_with = "null_default")]
    pub frequency: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetentionWire {
    /// Seconds.
    #[serde(deserialize_with = "null_default")]
    pub all_for_sec: u64,
    #[serde(deserialize_with = "null_default")]
    pub per_day: u64,
    #[serde(deserialize_with = "null_default")]
    pub days: u64,
}

/// A row of a membership: group and member.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct MemberWire {
    #[serde(deserialize_with = "null_default")]
    pub member: Reference,
    #[serde(deserialize_with = "null_default")]
    pub allowed: bool,
}

#[derive(Deserialize)]
pub struct SnapshotWire {
    pub name: String,
    /// Milliseconds since the epoch; at the source.
    #[serde(default)]
    created: Option<i64>,
    #[serde(default, deserialize_with = "null_default")]
    pub destroyed: bool,
}

impl SnapshotWire {
    pub fn created(&self) -> Option<DateTime<Utc>> {
        self.created.and_then(DateTime::from_timestamp_millis)
    }
}

#[derive(Deserialize)]
pub struct TransferWire {
    pub name: String,
    /// Milliseconds since the epoch.
    #[serde(default)]
    completed: Option<i64>,
    #[serde(default)]
    progress: Option<f64>,
    #[serde(default, deserialize_with = "null_default")]
    pub destroyed: bool,
}

impl TransferWire {
    /// When the transfer ended; some releases send 0 while it runs.
    pub fn completed(&self) -> Option<DateTime<Utc>> {
        self.completed.filter(|ms| *ms > 0).and_then(DateTime::from_timestamp_millis)
    }

    /// 0 to 1000; only a finished transfer has 1000.
    pub fn progress_milli(&self) -> u32 {
        let progress = self.progress.unwrap_or_default().clamp(0.0, 1.0);
        (progress * 1000.0).floor() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_missing_fields_are_accepted_and_unknown_ones_ignored() {
        let volume: VolumeWire =
            serde_json::from_str(r#"{"name": "v", "id": null, "qos": {}, "serial": null}"#)
                .unwrap();
        let volume = ArrayVolume::from(volume);
        assert_eq!((volume.id, volume.size_bytes, volume.destroyed), (None, 0, false));
        let group: GroupWire =
            serde_json::from_str(r#"{"name": "g", "replication_schedule": null}"#).unwrap();
        assert!(!group.replication_schedule.enabled);
        let member: MemberWire =
            serde_json::from_str(r#"{"group": {"name": "g"}, "member": null}"#).unwrap();
        assert_eq!(member.member.name, None);
    }

    #[test]
    fn an_answer_without_items_is_no_empty_list() {
        assert!(serde_json::from_str::<Items<VolumeWire>>(r#"{"message": "x"}"#).is_err());
        let page: Items<VolumeWire> =
            serde_json::from_str(r#"{"items": [], "continuation_token": null, "total": []}"#)
                .unwrap();
        assert!(page.items.is_empty() && page.more_items_remaining.is_none());
    }

    #[test]
    fn a_transfer_that_runs_is_not_complete() {
        let transfer: TransferWire =
            serde_json::from_str(r#"{"name": "s", "completed": 0, "progress": 0.9999}"#).unwrap();
        assert_eq!((transfer.completed(), transfer.progress_milli()), (None, 999));
        let transfer: TransferWire =
            serde_json::from_str(r#"{"name": "s", "completed": 1700000000000, "progress": 1}"#)
                .unwrap();
        assert_eq!(transfer.progress_milli(), 1000);
        assert!(transfer.completed().is_some());
    }

    #[test]
    fn a_host_groups_rows_are_the_groups() {
        let row: ConnectionWire = serde_json::from_str(
            r#"{"host": {"name": "h"}, "host_group": {"name": "g"}, "lun": 254}"#,
        )
        .unwrap();
        assert_eq!(
            row.into_port(),
            Some(ArrayConnection { host: None, host_group: Some("g".into()), lun: Some(254) })
        );
        let row: ConnectionWire =
            serde_json::from_str(r#"{"host": {"name": "h"}, "host_group": {}, "lun": 1}"#).unwrap();
        assert_eq!(row.into_port().unwrap().host.as_deref(), Some("h"));
    }
}
