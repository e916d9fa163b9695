//! Hosts, services, zones.

use axum::extract::State as Ext;
use serde_json::{Value, json};

use crate::cloud::{
    Cloud,
    cinder::kit::{Call, Refusal, Reply, World, micros, ok},
};

fn admin(call: &Call, rule: &str) -> Result<(), Refusal> {
    if call.who.admin() { Ok(()) } else { Err(Refusal::policy(rule)) }
}

pub(super) async fn zones(_call: Call) -> Reply {
    ok(json!({"availabilityZoneInfo": [
        {"zoneName": "nova", "zoneState": {"available": true}, "hosts": null},
    ]}))
}

pub(super) async fn hypervisors(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        admin(&call, "os_compute_api:os-hypervisors:list")?;
        let rows: Vec<Value> = w
            .computes()
            .iter()
            .enumerate()
            .map(|(i, host)| w.hypervisor_view(&call, i, host))
            .collect();
        ok(json!({ "hypervisors": rows }))
    })
}

pub(super) async fn hypervisor(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        admin(&call, "os_compute_api:os-hypervisors:show")?;
        let found = w
            .computes()
            .iter()
            .enumerate()
            .map(|(i, host)| w.hypervisor_view(&call, i, host))
            .find(|view| match &view["id"] {
                Value::String(id) => id == call.arg("id"),
                id => call.arg("id").parse::<u64>().is_ok_and(|wanted| id.as_u64() == Some(wanted)),
            });
        found
            .ok_or_else(|| {
                Refusal::absent(format!(
                    "Hypervisor with ID '{}' could not be found.",
                    call.arg("id")
                ))
            })
            .and_then(|view| ok(json!({ "hypervisor": view })))
    })
}

pub(super) async fn statistics(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        admin(&call, "os_compute_api:os-hypervisors:statistics")?;
        let live = w.st.nova.servers.values().filter(|s| !s.deleted);
        ok(json!({"hypervisor_statistics": {"count": w.computes().len(), "running_vms": live.count()}}))
    })
}

pub(super) async fn services(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        admin(&call, "os_compute_api:os-services:list")?;
        let site = w.inner.name.clone();
        let controls = ["nova-scheduler", "nova-conductor"].into_iter().map(|b| (b, site.clone()));
        let computes = w.computes().into_iter().map(|h| ("nova-compute", h));
        let rows: Vec<Value> = controls
            .chain(computes)
            .filter(|(binary, host)| {
                call.q("binary").is_none_or(|b| b == *binary)
                    && call.q("host").is_none_or(|h| h == host)
            })
            .enumerate()
            .map(|(i, (binary, host))| {
                let id = if call.who.since(53) {
                    json!(service_id(binary, &host))
                } else {
                    json!(i + 1)
                };
                json!({
                    "id": id, "binary": binary, "host": host, "state": "up", "status": "enabled",
                    "zone": if binary == "nova-compute" { "nova" } else { "internal" },
                    "updated_at": micros(w.now()), "disabled_reason": null, "forced_down": false,
                })
            })
            .collect();
        ok(json!({ "services": rows }))
    })
}

/// Services cannot be changed here.
pub(super) async fn set_service(call: Call) -> Reply {
    admin(&call, "os_compute_api:os-services:update")?;
    Err(Refusal::bad("This simulated cloud does not let services be changed."))
}

pub(super) async fn aggregates(call: Call) -> Reply {
    admin(&call, "os_compute_api:os-aggregates:index")?;
    ok(json!({"aggregates": []}))
}

pub(super) async fn extensions(_call: Call) -> Reply {
    ok(json!({"extensions": []}))
}

fn service_id(binary: &str, host: &str) -> String {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, format!("{binary}.{host}").as_bytes())
        .to_string()
}

impl World<'_> {
    fn hypervisor_view(&self, call: &Call, index: usize, host: &str) -> Value {
        let vms =
            self.st.nova.servers.values().filter(|s| s.host.as_deref() == Some(host) && !s.deleted);
        let (count, cores, ram) =
            vms.fold((0, 0, 0), |(n, c, r), s| (n + 1, c + s.flavor.vcpus, r + s.flavor.ram));
        let mut view = json!({
            "hypervisor_hostname": host, "state": "up", "status": "enabled",
            "hypervisor_type": "QEMU", "hypervisor_version": 8_002_002, "host_ip": "192.0.2.1",
            "service": {"host": host, "id": index + 1, "disabled_reason": null},
        });
        if call.who.since(53) {
            view["id"] = json!(service_id("hypervisor", host));
            view["service"]["id"] = json!(service_id("nova-compute", host));
            view["servers"] = json!([]);
        } else {
            view["id"] = json!(index + 1);
        }
        if !call.who.since(88) {
            super::view::merge(
                &mut view,
                json!({
                    "running_vms": count, "vcpus": 4096, "vcpus_used": cores, "memory_mb": 64_000_000,
                    "memory_mb_used": ram, "local_gb": 1000, "local_gb_used": 0, "free_ram_mb": 64_000_000,
                    "free_disk_gb": 1000, "current_workload": 0, "disk_available_least": 1000, "cpu_info": {},
                }),
            );
        }
        view
    }
}
