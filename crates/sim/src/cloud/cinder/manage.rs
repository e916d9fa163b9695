//! `/os-volume-manage` and `/manageable_volumes`.

use std::collections::HashMap;

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    kit::{Call, Refusal, Reply, World, invalid, ok, reply, string_map, text, truth},
    model::{Volume, VolumeType},
    work::Job,
};
use crate::cloud::Cloud;

const MANAGE: &str = "volume_extension:volume_manage";
const LIST: &str = "volume_extension:list_manageable";
const KEYS: [&str; 9] = [
    "host",
    "cluster",
    "ref",
    "name",
    "description",
    "volume_type",
    "availability_zone",
    "bootable",
    "metadata",
];

pub(super) async fn manage(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        // As in the real service the rule is checked without a target: `rule:admin_or_owner` lets
        // everybody through.
        if !call.who.allows(w.st.policy(MANAGE, "rule:admin_api"), None) {
            return Err(Refusal::policy(MANAGE));
        }
        let id = w.accept_manage(&call)?;
        let volume = w.volume_record(&id)?;
        let view = w.volume_legacy(&call, volume, &w.attachments_by_volume());
        Ok(reply(StatusCode::ACCEPTED, json!({ "volume": view })))
    })
}

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.list_manageable(&call))
}

impl World<'_> {
    fn accept_manage(&mut self, call: &Call) -> Result<String, Refusal> {
        let body = call.object("volume")?;
        if let Some(extra) = body.keys().find(|k| {
            !KEYS.contains(&k.as_str()) || (k.as_str() == "cluster" && !call.who.since(16))
        }) {
            return Err(invalid(
                "volume",
                &Value::Object(body.clone()),
                &format!("Additional properties are not allowed ('{extra}' was unexpected)"),
            ));
        }
        let reference =
            body.get("ref").filter(|r| r.is_object() || r.is_string()).ok_or_else(|| {
                invalid("volume", &Value::Object(body.clone()), "'ref' is a required property")
            })?;
        let host = text(body, "host")
            .or_else(|| text(body, "cluster"))
            .filter(|h| !h.is_empty())
            .ok_or_else(|| Refusal::bad("One of cluster and host must be set."))?;
        let kind = self.manage_type(call, body)?;
        self.refuse_managed(reference)?;
        self.up_backend(&host)?;
        let metadata = string_map(body.get("metadata"), "metadata")?;
        let bootable = match body.get("bootable") {
            None => false,
            value => truth(value).ok_or_else(|| {
                invalid("bootable", value.unwrap_or(&Value::Null), "is not a 'boolean'")
            })?,
        };
        let who = (call.who.project_id.as_str(), call.who.user_id.as_str());
        let name = text(body, "name").map(|n| n.trim().to_owned());
        let mut volume = self.blank_volume(who, name, Some(&kind));
        volume.description = text(body, "description");
        volume.status = "managing".to_owned();
        volume.metadata = metadata;
        volume.bootable = bootable;
        volume.counted = false;
        volume.host = Some(if host.contains('#') { host } else { self.pool() });
        if let Some(zone) = text(body, "availability_zone") {
            volume.availability_zone = zone;
        }
        let id = volume.id.clone();
        self.st.cinder.volumes.insert(id.clone(), volume);
        let after = self.draw(self.inner.profile.volume_manage_ms, &format!("manage/{id}"));
        self.volume_later(after, Job::Manage { volume: id.clone(), reference: reference.clone() });
        Ok(id)
    }

    fn manage_type(
        &self,
        call: &Call,
        body: &serde_json::Map<String, Value>,
    ) -> Result<VolumeType, Refusal> {
        let kind = match text(body, "volume_type").filter(|t| !t.is_empty()) {
            Some(wanted) => self.find_type(&call.who, &wanted).ok_or_else(|| {
                Refusal::bad(format!(
                    "Invalid volume type: Cannot find requested '{wanted}' volume type"
                ))
            })?,
            None => self.volume_type(self.st.cinder.default_type.as_deref()).ok_or_else(|| {
                Refusal::broken("The request cannot be fulfilled as the default volume type None cannot be found.")
            })?,
        };
        if kind.encrypted {
            return Err(Refusal::bad(
                "Invalid volume type: Managing to an encrypted volume type is not supported.",
            ));
        }
        Ok(kind)
    }

    /// The service parses `volume-<uuid>` only; the Pure driver's own names pass.
    fn refuse_managed(&self, reference: &Value) -> Result<(), Refusal> {
        let managed = reference
            .get("source-name")
            .and_then(Value::as_str)
            .and_then(|name| name.strip_prefix("volume-"))
            .is_some_and(|id| self.st.cinder.volumes.contains_key(id));
        if managed {
            return Err(Refusal::bad(
                "Invalid volume: Unable to manage existing volume. The volume is already managed",
            ));
        }
        Ok(())
    }

    /// Cinder's `ServiceUnavailable` is an `Invalid`: 400, not 503.
    fn up_backend(&self, host: &str) -> Result<(), Refusal> {
        let backend = host.split('#').next().unwrap_or(host);
        if backend != self.backend_host() {
            return Err(Refusal::bad(format!("Host '{host}' not found")));
        }
        if self.st.cinder.backend_down {
            return Err(Refusal::bad("Service is unavailable at this time."));
        }
        Ok(())
    }

    fn list_manageable(&mut self, call: &Call) -> Reply {
        // A member gets 403 whatever the policy says: cinder-volume asks the database for an admin.
        if !call.who.allows(self.st.policy(LIST, "rule:admin_api"), None) {
            return Err(Refusal::policy(LIST));
        }
        if !call.who.admin() {
            return Err(Refusal::denied("User does not have admin privileges"));
        }
        let host = call
            .q("host")
            .or_else(|| call.q("cluster"))
            .ok_or_else(|| Refusal::bad("One of cluster and host must be set."))?;
        self.up_backend(host)?;
        let detail = call.uri_path.ends_with("/detail");
        let managed: HashMap<String, &Volume> =
            self.st.cinder.volumes.values().map(|v| (v.array_name(), v)).collect();
        let rows: Vec<Value> = self
            .inner
            .array
            .volumes()
            .into_iter()
            .map(|view| {
                let mut reasons = Vec::new();
                if view.connection_count > 0 {
                    reasons.push("Volume connected to host".to_owned());
                }
                let owner = managed.get(&view.name);
                if owner.is_some() {
                    reasons.push("Volume already managed".to_owned());
                }
                if view.in_stretched_pod {
                    reasons.push("Volume is in a Replicated Pod".to_owned());
                }
                if view.destroyed {
                    reasons.push("Volume is deleted".to_owned());
                }
                let mut row = json!({
                    "reference": {"name": view.name},
                    "size": view.provisioned.div_ceil(1 << 30),
                    "safe_to_manage": reasons.is_empty(),
                });
                if detail {
                    row["reason_not_safe"] = json!(reasons.join(" && "));
                    row["cinder_id"] = json!(owner.map(|v| &v.id));
                    row["extra_info"] = Value::Null;
                }
                row
            })
            .collect();
        ok(json!({ "manageable-volumes": rows }))
    }
}
