//! Services, pools, zones and the lists that are always empty here.

use axum::extract::State as Ext;
use serde_json::{Value, json};

use super::{
    driver::BACKEND,
    kit::{Call, Refusal, Reply, World, micros, ok, text},
};
use crate::cloud::Cloud;

const SERVICES: &str = "volume_extension:services:index";
const POOLS: &str = "scheduler_extension:scheduler_stats:get_pools";

pub(super) async fn services(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        if !call.who.allows(w.st.policy(SERVICES, "rule:admin_api"), None) {
            return Err(Refusal::policy(SERVICES));
        }
        let state = if w.st.cinder.backend_down { "down" } else { "up" };
        let site = w.inner.name.clone();
        let rows: Vec<Value> =
            [("cinder-scheduler", site.clone(), "up"), ("cinder-volume", w.backend_host(), state)]
                .into_iter()
                .filter(|(binary, host, _)| {
                    call.q("binary").is_none_or(|b| b == *binary)
                        && call
                            .q("host")
                            .is_none_or(|h| h == host || host.starts_with(&format!("{h}@")))
                })
                .map(|(binary, host, state)| {
                    let mut row = json!({
                        "binary": binary, "host": host, "zone": "nova", "status": "enabled",
                        "state": state, "updated_at": micros(w.now()), "disabled_reason": null,
                    });
                    if binary == "cinder-volume" {
                        row["replication_status"] = json!("enabled");
                        row["active_backend_id"] = Value::Null;
                        row["frozen"] = json!(false);
                    }
                    if call.who.since(7) {
                        row["cluster"] = Value::Null;
                    }
                    if call.who.since(49) && binary == "cinder-volume" {
                        row["backend_state"] = json!(state);
                    }
                    row
                })
                .collect();
        ok(json!({ "services": rows }))
    })
}

/// `enable` and `disable` are accepted for cinder-volume; a disabled one takes no new work.
pub(super) async fn set_service(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, "volume_extension:services:update")?;
        let body = call.body.as_object().ok_or_else(|| Refusal::bad("Malformed request body"))?;
        let host = text(body, "host").unwrap_or_default();
        if host != w.backend_host() {
            return Err(Refusal::absent(format!("Service cinder-volume could not be found on host {host}.")));
        }
        let down = match call.arg("action") {
            "disable" | "disable-log-reason" => true,
            "enable" => false,
            _ => return Err(Refusal::absent("Unknown action")),
        };
        w.st.cinder.backend_down = down;
        let status = if down { "disabled" } else { "enabled" };
        ok(json!({"host": host, "service": "cinder-volume", "binary": "cinder-volume", "status": status, "disabled": down}))
    })
}

pub(super) async fn pools(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        if !call.who.allows(w.st.policy(POOLS, "rule:admin_api"), None) {
            return Err(Refusal::policy(POOLS));
        }
        let pool = w.pool();
        if w.st.cinder.backend_down {
            return ok(json!({"pools": []}));
        }
        let mut row = json!({ "name": pool });
        if call.flag("detail") {
            row["capabilities"] = w.capabilities();
        }
        ok(json!({ "pools": [row] }))
    })
}

impl World<'_> {
    fn capabilities(&self) -> Value {
        let used: u64 = self.st.cinder.volumes.values().map(|v| v.size).sum();
        let total = 100_000.0;
        let replicated = self.st.cinder.replication_target.is_some();
        let synchronous = self.st.cinder.sync_pod.is_some();
        let kinds: Vec<&str> = [("async", replicated), ("sync", synchronous)]
            .into_iter()
            .filter_map(|(kind, there)| there.then_some(kind))
            .collect();
        json!({
            "volume_backend_name": BACKEND,
            "pool_name": BACKEND,
            "vendor_name": "Pure Storage",
            "driver_version": "23.0.iscsi",
            "storage_protocol": "iSCSI",
            "total_capacity_gb": total,
            "free_capacity_gb": total - used as f64,
            "allocated_capacity_gb": used,
            "provisioned_capacity": used as f64,
            "reserved_percentage": 0,
            "max_over_subscription_ratio": "20.0",
            "thin_provisioning_support": true,
            "multiattach": true,
            "consistencygroup_support": true,
            "consistent_group_snapshot_enabled": true,
            "replication_enabled": replicated,
            "replication_type": kinds,
            "replication_count": u8::from(replicated),
            "replication_targets": self.st.cinder.replication_target.iter().collect::<Vec<_>>(),
            "array_name": self.inner.array.name(),
            "timestamp": micros(self.now()),
        })
    }
}

pub(super) async fn zones(_call: Call) -> Reply {
    ok(json!({"availabilityZoneInfo": [{"zoneName": "nova", "zoneState": {"available": true}}]}))
}

pub(super) async fn hosts(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, "volume_extension:hosts")?;
        ok(json!({"hosts": [{"host_name": w.backend_host(), "service": "cinder-volume", "zone": "nova",
                             "service-status": "available", "service-state": "enabled",
                             "last-update": micros(w.now())}]}))
    })
}

pub(super) async fn extensions(_call: Call) -> Reply {
    let rows: Vec<Value> = [
        ("os-volume-manage", "VolumeManage"),
        ("os-volume-unmanage", "VolumeUnmanage"),
        ("os-vol-image-meta", "VolumeImageMetadata"),
        ("os-vol-tenant-attr", "VolumeTenantAttribute"),
        ("os-vol-host-attr", "VolumeHostAttribute"),
        ("os-volume-actions", "VolumeActions"),
        ("os-admin-actions", "AdminActions"),
        ("os-services", "Services"),
        ("os-quota-sets", "Quotas"),
        ("os-types-extra-specs", "TypesExtraSpecs"),
        ("os-types-manage", "TypesManage"),
        ("os-volume-type-access", "VolumeTypeAccess"),
        ("os-availability-zone", "AvailabilityZones"),
        ("scheduler-stats", "Scheduler_stats"),
    ]
    .into_iter()
    .map(|(alias, name)| {
        json!({"alias": alias, "name": name, "description": "", "links": [],
               "updated": "2011-08-08T00:00:00+00:00"})
    })
    .collect();
    ok(json!({ "extensions": rows }))
}

pub(super) async fn groups(_call: Call) -> Reply {
    ok(json!({"groups": []}))
}

pub(super) async fn qos(_call: Call) -> Reply {
    ok(json!({"qos_specs": []}))
}

pub(super) async fn transfers(_call: Call) -> Reply {
    ok(json!({"transfers": []}))
}

pub(super) async fn backups(_call: Call) -> Reply {
    ok(json!({"backups": []}))
}

pub(super) async fn absent(call: Call) -> Reply {
    Err(Refusal::absent(format!("Transfer {} could not be found.", call.arg("id"))))
}
