//! `/snapshots`; on the array `volume-<id>-cinder.snapshot-<id>`.

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    kit::{
        Call, Refusal, Reply, Who, World, empty, next_link, ok, page, reply, string_map, text,
        truth,
    },
    model::Snapshot,
    volumes::has_metadata,
    work::Job,
};
use crate::cloud::Cloud;

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let all = call.flag("all_tenants") && call.who.admin();
        let is = |key: &str, actual: Option<&str>| call.q(key).is_none_or(|v| actual == Some(v));
        let mut rows: Vec<&Snapshot> =
            w.st.cinder
                .snapshots
                .values()
                .filter(|s| all || s.project_id == call.who.project_id)
                .filter(|s| {
                    is("name", s.name.as_deref())
                        && is("status", Some(&s.status))
                        && is("volume_id", Some(&s.volume_id))
                        && call.q("metadata").is_none_or(|m| has_metadata(&s.metadata, m))
                })
                .collect();
        rows.sort_by_key(|s| std::cmp::Reverse(s.order));
        let (rows, more) = page(
            rows,
            &call,
            |s| s.id.as_str(),
            1000,
            |m| Refusal::absent(format!("Snapshot {m} could not be found.")),
        )?;
        let views: Vec<Value> = rows.iter().map(|s| w.snapshot_view(&call, s, true)).collect();
        let mut body = json!({ "snapshots": views });
        if let (true, Some(last)) = (more, rows.last()) {
            body["snapshots_links"] = next_link(&w.volume_url(&call, "snapshots"), &call, &last.id);
        }
        ok(body)
    })
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let snapshot = w.find_snapshot(&call.who, call.arg("id"))?;
        ok(json!({"snapshot": w.snapshot_view(&call, snapshot, true)}))
    })
}

pub(super) async fn create(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.accept_snapshot(&call)?;
        let snapshot = w.find_snapshot(&call.who, &id)?;
        Ok(reply(
            StatusCode::ACCEPTED,
            json!({"snapshot": w.snapshot_view(&call, snapshot, false)}),
        ))
    })
}

pub(super) async fn update(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.find_snapshot(&call.who, call.arg("id"))?.id.clone();
        let body = call.object("snapshot")?;
        if let Some(snapshot) = w.st.cinder.snapshots.get_mut(&id) {
            if body.contains_key("name") {
                snapshot.name = text(body, "name");
            }
            if body.contains_key("description") {
                snapshot.description = text(body, "description");
            }
        }
        let snapshot = w.find_snapshot(&call.who, &id)?;
        ok(json!({"snapshot": w.snapshot_view(&call, snapshot, true)}))
    })
}

pub(super) async fn delete(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let snapshot = w.find_snapshot(&call.who, call.arg("id"))?;
        if !matches!(snapshot.status.as_str(), "available" | "error") {
            return Err(Refusal::bad(
                "Invalid snapshot: Snapshot status must be available or error, and snapshot must \
                 not be part of a group.",
            ));
        }
        let id = snapshot.id.clone();
        w.begin_delete_snapshot(&id);
        empty(StatusCode::ACCEPTED)
    })
}

pub(super) async fn act(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.find_snapshot(&call.who, call.arg("id"))?.id.clone();
        w.admin_only(&call, "volume_extension:snapshot_admin_actions:reset_status")?;
        if let Some(body) = call.body.get("os-reset_status").and_then(Value::as_object) {
            let status = text(body, "status").unwrap_or_default();
            if let Some(snapshot) = w.st.cinder.snapshots.get_mut(&id) {
                snapshot.status = status.to_lowercase();
            }
        } else if call.body.get("os-force_delete").is_some() {
            w.begin_delete_snapshot(&id);
        } else {
            return Err(Refusal::bad("There is no such action"));
        }
        empty(StatusCode::ACCEPTED)
    })
}

impl World<'_> {
    pub(crate) fn find_snapshot(&self, who: &Who, id: &str) -> Result<&Snapshot, Refusal> {
        self.st
            .cinder
            .snapshots
            .get(id)
            .filter(|s| who.may_see(&s.project_id))
            .ok_or_else(|| Refusal::absent(format!("Snapshot {id} could not be found.")))
    }

    fn accept_snapshot(&mut self, call: &Call) -> Result<String, Refusal> {
        let body = call.object("snapshot")?;
        let volume_id = text(body, "volume_id").ok_or_else(|| {
            Refusal::bad(
                "Invalid input for field/attribute snapshot. 'volume_id' is a required property",
            )
        })?;
        let volume = self.find_volume(&call.who, &volume_id)?.clone();
        // From 3.66 `force` is no longer needed for volumes in use.
        let in_use_fits = truth(body.get("force")).unwrap_or(false) || call.who.since(66);
        if volume.status != "available" && !(volume.status == "in-use" && in_use_fits) {
            return Err(Refusal::bad(format!(
                "Invalid volume: Volume {volume_id} status must be available, but current status is: {}.",
                volume.status
            )));
        }
        self.snapshot_room(&volume.project_id, volume.size)?;
        let name = text(body, "name");
        let id = self.new_id("snapshot", name.as_deref().unwrap_or(&volume_id));
        self.st.cinder.order += 1;
        let snapshot = Snapshot {
            id: id.clone(),
            name,
            description: text(body, "description"),
            status: "creating".to_owned(),
            volume_id,
            size: volume.size,
            project_id: volume.project_id.clone(),
            user_id: call.who.user_id.clone(),
            metadata: string_map(body.get("metadata"), "metadata")?,
            created_at: self.now(),
            updated_at: None,
            array_name: format!("{}.snapshot-{id}", volume.array_name()),
            order: self.st.cinder.order,
        };
        self.st.cinder.snapshots.insert(id.clone(), snapshot);
        let after = self.draw(self.inner.profile.volume_action_ms, &format!("snapshot/{id}"));
        self.volume_later(after, Job::Snapshot { snapshot: id.clone() });
        Ok(id)
    }

    pub(crate) fn begin_delete_snapshot(&mut self, id: &str) {
        if let Some(snapshot) = self.st.cinder.snapshots.get_mut(id) {
            snapshot.status = "deleting".to_owned();
        }
        let after = self.draw(self.inner.profile.volume_action_ms, &format!("delete/{id}"));
        self.volume_later(after, Job::DeleteSnapshot { snapshot: id.to_owned() });
    }

    pub(crate) fn finish_snapshot(&mut self, id: &str) {
        let now = self.now();
        let Some(snapshot) = self.st.cinder.snapshots.get(id).cloned() else { return };
        let made = self
            .st
            .cinder
            .volumes
            .get(&snapshot.volume_id)
            .is_some_and(|v| self.driver_snapshot(&v.array_name(), id).is_ok());
        if let Some(snapshot) = self.st.cinder.snapshots.get_mut(id) {
            snapshot.status = if made { "available" } else { "error" }.to_owned();
            snapshot.updated_at = Some(now);
        }
    }

    pub(crate) fn finish_delete_snapshot(&mut self, id: &str) {
        let Some(snapshot) = self.st.cinder.snapshots.get(id).cloned() else { return };
        if self.driver_delete_snapshot(&snapshot.array_name).is_ok() {
            self.st.cinder.snapshots.remove(id);
        } else if let Some(snapshot) = self.st.cinder.snapshots.get_mut(id) {
            snapshot.status = "error_deleting".to_owned();
        }
    }
}
