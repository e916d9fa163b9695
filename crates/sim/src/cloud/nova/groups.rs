//! `/os-server-groups`.

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::model::ServerGroup;
use crate::cloud::{
    Cloud,
    cinder::kit::{Call, Refusal, Reply, World, empty, invalid, ok, text},
};

const POLICIES: [&str; 4] = ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"];

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let all = call.flag("all_projects") && call.who.admin();
        let rows: Vec<Value> =
            w.st.nova
                .groups
                .values()
                .filter(|g| all || g.project_id == call.who.project_id)
                .map(|g| view(&call, g))
                .collect();
        ok(json!({ "server_groups": rows }))
    })
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| ok(json!({"server_group": view(&call, w.find_group(&call)?)})))
}

pub(super) async fn create(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let group = w.new_group(&call)?;
        let view = view(&call, &group);
        w.st.nova.groups.insert(group.id.clone(), group);
        ok(json!({ "server_group": view }))
    })
}

pub(super) async fn delete(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.find_group(&call)?.id.clone();
        w.st.nova.groups.remove(&id);
        for server in w.st.nova.servers.values_mut() {
            if server.group_id.as_deref() == Some(&id) {
                server.group_id = None;
            }
        }
        empty(StatusCode::NO_CONTENT)
    })
}

fn view(call: &Call, group: &ServerGroup) -> Value {
    let mut out = json!({"id": group.id, "name": group.name, "members": group.members});
    if call.who.since(64) {
        out["policy"] = json!(group.policy);
        out["rules"] = json!(group.rules);
    } else {
        out["policies"] = json!([group.policy]);
        out["metadata"] = json!({});
    }
    if call.who.since(13) {
        out["project_id"] = json!(group.project_id);
        out["user_id"] = json!(group.user_id);
    }
    out
}

impl World<'_> {
    fn find_group(&self, call: &Call) -> Result<&ServerGroup, Refusal> {
        let id = call.arg("id");
        self.st
            .nova
            .groups
            .get(id)
            .filter(|g| call.who.may_see(&g.project_id))
            .ok_or_else(|| Refusal::absent(format!("Instance group {id} could not be found.")))
    }

    fn new_group(&mut self, call: &Call) -> Result<ServerGroup, Refusal> {
        let body = call.object("server_group")?;
        let name = text(body, "name").filter(|n| !n.trim().is_empty()).ok_or_else(|| {
            invalid("server_group", &Value::Object(body.clone()), "'name' is a required property")
        })?;
        let policy = if call.who.since(64) {
            text(body, "policy")
        } else {
            body.get("policies").and_then(|p| p.get(0)).and_then(Value::as_str).map(str::to_owned)
        };
        let policy = policy.unwrap_or_default();
        if !POLICIES.contains(&policy.as_str()) {
            return Err(invalid(
                "policy",
                &json!(policy),
                "is not one of ['anti-affinity', 'affinity', 'soft-anti-affinity', 'soft-affinity']",
            ));
        }
        let limit = self.compute_limit(&call.who.project_id, "server_groups");
        let used =
            self.st.nova.groups.values().filter(|g| g.project_id == call.who.project_id).count();
        if limit >= 0 && used as i64 >= limit {
            return Err(Refusal::denied("Quota exceeded, too many server groups."));
        }
        Ok(ServerGroup {
            id: self.new_id("server-group", &name),
            name,
            policy,
            rules: body.get("rules").and_then(Value::as_object).cloned().unwrap_or_else(Map::new),
            members: Vec::new(),
            project_id: call.who.project_id.clone(),
            user_id: call.who.user_id.clone(),
        })
    }
}
