//! Quotas, `/os-quota-sets` and `/limits`.

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::model::Flavor;
use crate::cloud::{
    Cloud, Service,
    cinder::kit::{Call, Refusal, Reply, World, empty, ok, whole},
};

/// Resource and limit where nothing else is set: generous, so that worlds need not care.
const LIMITS: [(&str, i64); 7] = [
    ("instances", 10_000),
    ("cores", 100_000),
    ("ram", 500_000_000),
    ("key_pairs", 100),
    ("metadata_items", 128),
    ("server_groups", 1000),
    ("server_group_members", 1000),
];

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.quota_set(&call, false))
}

pub(super) async fn detail(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.quota_set(&call, true))
}

pub(super) async fn defaults(_call: Call) -> Reply {
    let set: Map<String, Value> = LIMITS.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    ok(json!({ "quota_set": set }))
}

pub(super) async fn update(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        if !call.who.admin() {
            return Err(Refusal::policy("os_compute_api:os-quota-sets:update"));
        }
        let project = call.arg("id");
        let body = call.object("quota_set")?;
        let force = body.get("force").and_then(Value::as_bool).unwrap_or(false);
        for (key, value) in body.iter().filter(|(k, _)| *k != "force") {
            if !LIMITS.iter().any(|(name, _)| name == key) {
                continue;
            }
            let limit = whole(Some(value)).filter(|n| *n >= -1).ok_or_else(|| {
                Refusal::bad(format!("Invalid input for field/attribute {key}. Value: {value}. {value} is less than the minimum of -1"))
            })?;
            let used = w.compute_used(project, key);
            if !force && limit != -1 && limit < used {
                return Err(Refusal::bad(format!(
                    "Quota limit {limit} for {key} must be greater than or equal to already used and reserved {used}."
                )));
            }
            w.st.quotas.set(Service::Nova, project, key, limit);
        }
        w.quota_set(&call, false)
    })
}

pub(super) async fn reset(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        if !call.who.admin() {
            return Err(Refusal::policy("os_compute_api:os-quota-sets:delete"));
        }
        let project = call.arg("id");
        w.st.quotas.0.retain(|(service, of, _), _| !(service == "compute" && of == project));
        empty(StatusCode::ACCEPTED)
    })
}

pub(super) async fn limits(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let project = match call.q("tenant_id") {
            Some(other) if call.who.admin() => other,
            _ => &call.who.project_id,
        };
        let limit = |key: &str| w.compute_limit(project, key);
        let used = |key: &str| w.compute_used(project, key);
        ok(json!({"limits": {"rate": [], "absolute": {
            "maxTotalInstances": limit("instances"), "maxTotalCores": limit("cores"),
            "maxTotalRAMSize": limit("ram"), "maxTotalKeypairs": limit("key_pairs"),
            "maxServerMeta": limit("metadata_items"), "maxServerGroups": limit("server_groups"),
            "maxServerGroupMembers": limit("server_group_members"),
            "totalInstancesUsed": used("instances"), "totalCoresUsed": used("cores"),
            "totalRAMUsed": used("ram"), "totalServerGroupsUsed": used("server_groups"),
        }}}))
    })
}

impl World<'_> {
    pub(crate) fn compute_limit(&self, project: &str, key: &str) -> i64 {
        let default = LIMITS.iter().find(|(k, _)| *k == key).map_or(-1, |(_, v)| *v);
        self.st.quotas.limit(Service::Nova, project, key, default)
    }

    fn compute_used(&self, project: &str, key: &str) -> i64 {
        let mine =
            || self.st.nova.servers.values().filter(|s| !s.deleted && s.project_id == project);
        match key {
            "instances" => mine().count() as i64,
            "cores" => mine().map(|s| s.flavor.vcpus as i64).sum(),
            "ram" => mine().map(|s| s.flavor.ram as i64).sum(),
            "server_groups" => {
                self.st.nova.groups.values().filter(|g| g.project_id == project).count() as i64
            }
            _ => 0,
        }
    }

    fn quota_set(&self, call: &Call, usage: bool) -> Reply {
        let project = call.arg("id");
        if !call.who.may_see(project) {
            return Err(Refusal::policy("os_compute_api:os-quota-sets:show"));
        }
        let mut set: Map<String, Value> = LIMITS
            .iter()
            .map(|(key, _)| {
                let limit = self.compute_limit(project, key);
                let value = if usage {
                    json!({"limit": limit, "in_use": self.compute_used(project, key), "reserved": 0})
                } else {
                    json!(limit)
                };
                ((*key).to_owned(), value)
            })
            .collect();
        set.insert("id".to_owned(), json!(project));
        ok(json!({ "quota_set": set }))
    }

    /// Room for so many more servers of a flavor, else 403.
    pub(crate) fn room_for(
        &self,
        project: &str,
        count: i64,
        flavor: &Flavor,
    ) -> Result<(), Refusal> {
        let asked = [
            ("cores", count * flavor.vcpus as i64),
            ("instances", count),
            ("ram", count * flavor.ram as i64),
        ];
        let mut over: [Vec<String>; 4] = Default::default();
        for (key, wanted) in asked {
            let (used, limit) = (self.compute_used(project, key), self.compute_limit(project, key));
            if limit >= 0 && used + wanted > limit {
                for (column, value) in over.iter_mut().zip([
                    key.to_owned(),
                    wanted.to_string(),
                    used.to_string(),
                    limit.to_string(),
                ]) {
                    column.push(value);
                }
            }
        }
        let [names, wanted, used, limits] = over.map(|column| column.join(", "));
        if names.is_empty() {
            return Ok(());
        }
        Err(Refusal::denied(format!(
            "Quota exceeded for {names}: Requested {wanted}, but already used {used} of {limits} {names}"
        )))
    }
}
