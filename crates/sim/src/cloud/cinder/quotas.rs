//! Quotas, `/os-quota-sets` and `/limits`.

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::kit::{Call, Refusal, Reply, World, empty, ok, whole};
use crate::cloud::{Cloud, Service};

/// Resource and limit where nothing else is set: generous, so that worlds need not care.
const LIMITS: [(&str, i64); 7] = [
    ("volumes", 10_000),
    ("snapshots", 10_000),
    ("gigabytes", 1_000_000),
    ("per_volume_gigabytes", -1),
    ("backups", 10),
    ("backup_gigabytes", 1000),
    ("groups", 10),
];

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let project = call.arg("id");
        if !call.who.may_see(project) {
            return Err(Refusal::policy("volume_extension:quotas:show"));
        }
        ok(json!({"quota_set": w.volume_quotas(project, call.flag("usage"))}))
    })
}

pub(super) async fn defaults(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let mut set: Map<String, Value> =
            LIMITS.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        for kind in w.st.cinder.types.values() {
            for key in ["volumes", "snapshots", "gigabytes"] {
                set.insert(format!("{key}_{}", kind.name), json!(-1));
            }
        }
        set.insert("id".to_owned(), json!(call.arg("id")));
        ok(json!({ "quota_set": set }))
    })
}

pub(super) async fn update(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, "volume_extension:quotas:update")?;
        let project = call.arg("id");
        for (key, value) in call.object("quota_set")? {
            if matches!(key.as_str(), "tenant_id" | "force" | "id") {
                continue;
            }
            let limit = whole(Some(value)).filter(|n| *n >= -1).ok_or_else(|| {
                Refusal::bad(format!("Invalid input for field/attribute {key}. Value: {value}. {value} is less than the minimum of -1"))
            })?;
            let used = w.volume_used(project, key);
            if limit != -1 && limit < used && key != "per_volume_gigabytes" {
                return Err(Refusal::bad(format!(
                    "Quota {key} limit must be equal or greater than existing resources. Current \
                     usage is {used} and the requested limit is {limit}."
                )));
            }
            w.st.quotas.set(Service::Cinder, project, key, limit);
        }
        let mut set = w.volume_quotas(project, false);
        set.remove("id");
        ok(json!({ "quota_set": set }))
    })
}

pub(super) async fn reset(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, "volume_extension:quotas:delete")?;
        let project = call.arg("id");
        w.st.quotas.0.retain(|(service, of, _), _| !(service == "volume" && of == project));
        empty(StatusCode::OK)
    })
}

pub(super) async fn limits(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let project = match call.q("project_id") {
            Some(other) if call.who.admin() => other,
            _ => &call.who.project_id,
        };
        let limit = |key: &str| w.volume_limit(project, key);
        ok(json!({"limits": {"rate": [], "absolute": {
            "maxTotalVolumes": limit("volumes"),
            "maxTotalSnapshots": limit("snapshots"),
            "maxTotalVolumeGigabytes": limit("gigabytes"),
            "maxTotalBackups": limit("backups"),
            "maxTotalBackupGigabytes": limit("backup_gigabytes"),
            "totalVolumesUsed": w.volume_used(project, "volumes"),
            "totalSnapshotsUsed": w.volume_used(project, "snapshots"),
            "totalGigabytesUsed": w.volume_used(project, "gigabytes"),
            "totalBackupsUsed": 0,
            "totalBackupGigabytesUsed": 0,
        }}}))
    })
}

impl World<'_> {
    fn volume_limit(&self, project: &str, key: &str) -> i64 {
        let default = LIMITS.iter().find(|(k, _)| *k == key).map_or(-1, |(_, v)| *v);
        self.st.quotas.limit(Service::Cinder, project, key, default)
    }

    /// In use: of `volumes`, `gigabytes`, `snapshots`, or of these with `_<type name>`.
    fn volume_used(&self, project: &str, key: &str) -> i64 {
        let (resource, kind) = match key.split_once('_') {
            Some((resource @ ("volumes" | "gigabytes" | "snapshots"), name)) => {
                (resource, self.st.cinder.types.values().find(|t| t.name == name).map(|t| &t.id))
            }
            _ => (key, None),
        };
        let of_kind = |type_id: Option<&String>| kind.is_none() || type_id == kind;
        let volumes = || {
            let all = self.st.cinder.volumes.values();
            all.filter(|v| v.counted && v.project_id == project && of_kind(v.type_id.as_ref()))
        };
        let snapshots = || {
            self.st.cinder.snapshots.values().filter(|s| {
                let origin = self.st.cinder.volumes.get(&s.volume_id);
                s.project_id == project && of_kind(origin.and_then(|v| v.type_id.as_ref()))
            })
        };
        match resource {
            "volumes" => volumes().count() as i64,
            "snapshots" => snapshots().count() as i64,
            "gigabytes" => {
                let sum = volumes().map(|v| v.size).sum::<u64>()
                    + snapshots().map(|s| s.size).sum::<u64>();
                sum as i64
            }
            _ => 0,
        }
    }

    fn volume_quotas(&self, project: &str, usage: bool) -> Map<String, Value> {
        let mut keys: Vec<String> = LIMITS.iter().map(|(k, _)| (*k).to_owned()).collect();
        for kind in self.st.cinder.types.values() {
            for key in ["volumes", "snapshots", "gigabytes"] {
                keys.push(format!("{key}_{}", kind.name));
            }
        }
        let mut set: Map<String, Value> = keys
            .into_iter()
            .map(|key| {
                let limit = self.volume_limit(project, &key);
                let value = if usage {
                    json!({"limit": limit, "in_use": self.volume_used(project, &key), "reserved": 0})
                } else {
                    json!(limit)
                };
                (key, value)
            })
            .collect();
        set.insert("id".to_owned(), json!(project));
        set
    }

    /// Room for so many more volumes and GiB, else 413.
    pub(crate) fn quota_room(&self, project: &str, volumes: i64, gib: u64) -> Result<(), Refusal> {
        let gib = gib as i64;
        let per_volume = self.volume_limit(project, "per_volume_gigabytes");
        if per_volume >= 0 && gib > per_volume {
            return Err(Refusal::over(format!(
                "VolumeSizeExceedsLimit: Requested volume size {gib}G is larger than maximum allowed limit {per_volume}G."
            )));
        }
        self.gigabyte_room(project, gib)?;
        let limit = self.volume_limit(project, "volumes");
        if limit >= 0 && self.volume_used(project, "volumes") + volumes > limit {
            return Err(Refusal::over(format!(
                "VolumeLimitExceeded: Maximum number of volumes allowed ({limit}) exceeded for quota 'volumes'."
            )));
        }
        Ok(())
    }

    fn gigabyte_room(&self, project: &str, gib: i64) -> Result<(), Refusal> {
        let limit = self.volume_limit(project, "gigabytes");
        let used = self.volume_used(project, "gigabytes");
        if limit >= 0 && used + gib > limit {
            return Err(Refusal::over(format!(
                "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed \
                 gigabytes quota. Requested {gib}G, quota is {limit}G and {used}G has been consumed."
            )));
        }
        Ok(())
    }

    /// Room for one more snapshot, else 413.
    pub(crate) fn snapshot_room(&self, project: &str, gib: u64) -> Result<(), Refusal> {
        self.gigabyte_room(project, gib as i64)?;
        let limit = self.volume_limit(project, "snapshots");
        if limit >= 0 && self.volume_used(project, "snapshots") + 1 > limit {
            return Err(Refusal::over(format!(
                "SnapshotLimitExceeded: Maximum number of snapshots allowed ({limit}) exceeded"
            )));
        }
        Ok(())
    }
}
