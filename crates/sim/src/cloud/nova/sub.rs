//! What lies below a server: metadata, tags, addresses, history.

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    model::Action,
    request::{read_tags, tag_fits},
};
use crate::cloud::{
    Cloud,
    cinder::kit::{Call, Refusal, Reply, World, empty, invalid, micros, ok, string_map, text},
};

pub(super) async fn metadata(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| ok(json!({"metadata": w.find_server(&call.who, call.arg("id"))?.metadata})))
}

pub(super) async fn merge_metadata(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.change_metadata(&call, false))
}

pub(super) async fn replace_metadata(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.change_metadata(&call, true))
}

pub(super) async fn meta(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let key = call.arg("key");
        let server = w.find_server(&call.who, call.arg("id"))?;
        let value = server.metadata.get(key).ok_or_else(no_item)?;
        ok(json!({"meta": {key: value}}))
    })
}

pub(super) async fn set_meta(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.for_metadata(&call, "update")?;
        let key = call.arg("key").to_owned();
        let none = Map::new();
        let meta = call.body.get("meta").and_then(Value::as_object).unwrap_or(&none);
        let value =
            text(meta, &key).ok_or_else(|| Refusal::bad("Request body and URI mismatch"))?;
        w.edit_server(&id, |s| drop(s.metadata.insert(key.clone(), value.clone())));
        ok(json!({"meta": {key: value}}))
    })
}

pub(super) async fn drop_meta(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.for_metadata(&call, "delete")?;
        let mut gone = None;
        w.edit_server(&id, |s| gone = s.metadata.remove(call.arg("key")));
        gone.ok_or_else(no_item)?;
        empty(StatusCode::NO_CONTENT)
    })
}

fn no_item() -> Refusal {
    Refusal::absent("Metadata item was not found")
}

pub(super) async fn tags(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        tags_known(&call)?;
        ok(json!({"tags": w.find_server(&call.who, call.arg("id"))?.tags}))
    })
}

pub(super) async fn set_tags(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        tags_known(&call)?;
        let id = w.own(&call)?;
        let tags = read_tags(call.body.get("tags").unwrap_or(&Value::Null))?;
        w.edit_server(&id, |s| s.tags = tags.clone());
        ok(json!({ "tags": tags }))
    })
}

pub(super) async fn clear_tags(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        tags_known(&call)?;
        let id = w.own(&call)?;
        w.edit_server(&id, |s| s.tags.clear());
        empty(StatusCode::NO_CONTENT)
    })
}

pub(super) async fn has_tag(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        tags_known(&call)?;
        let server = w.find_server(&call.who, call.arg("id"))?;
        if server.tags.contains(call.arg("tag")) {
            empty(StatusCode::NO_CONTENT)
        } else {
            Err(no_tag(&call))
        }
    })
}

pub(super) async fn add_tag(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        tags_known(&call)?;
        let id = w.own(&call)?;
        let tag = call.arg("tag").to_owned();
        if !tag_fits(&tag) {
            return Err(invalid("tag", &json!(tag), "does not match '^[^,/]*$'"));
        }
        let mut new = false;
        w.edit_server(&id, |s| new = s.tags.insert(tag));
        empty(if new { StatusCode::CREATED } else { StatusCode::NO_CONTENT })
    })
}

pub(super) async fn drop_tag(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        tags_known(&call)?;
        let id = w.own(&call)?;
        let mut had = false;
        w.edit_server(&id, |s| had = s.tags.remove(call.arg("tag")));
        if had { empty(StatusCode::NO_CONTENT) } else { Err(no_tag(&call)) }
    })
}

fn tags_known(call: &Call) -> Result<(), Refusal> {
    if call.who.since(26) {
        Ok(())
    } else {
        Err(Refusal::absent("The resource could not be found."))
    }
}

fn no_tag(call: &Call) -> Refusal {
    Refusal::absent(format!("Server {} has no tag '{}'", call.arg("id"), call.arg("tag")))
}

pub(super) async fn addresses(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let server = w.find_server(&call.who, call.arg("id"))?;
        ok(json!({"addresses": w.addresses_of(server)}))
    })
}

pub(super) async fn security_groups(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let server = w.find_server(&call.who, call.arg("id"))?;
        let rows: Vec<Value> = w
            .security_groups_of(server)
            .into_iter()
            .map(|name| json!({"name": name, "tenant_id": server.project_id, "rules": [], "description": ""}))
            .collect();
        ok(json!({ "security_groups": rows }))
    })
}

pub(super) async fn actions(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let server = w.find_server(&call.who, call.arg("id"))?;
        let rows: Vec<Value> =
            server.actions.iter().rev().map(|a| action_view(&call, &server.id, a)).collect();
        ok(json!({ "instanceActions": rows }))
    })
}

pub(super) async fn action(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let server = w.find_server(&call.who, call.arg("id"))?;
        let request = call.arg("request");
        let found = server.actions.iter().find(|a| a.request_id == request).ok_or_else(|| {
            Refusal::absent(format!(
                "Action for request_id {request} on instance {} not found",
                server.id
            ))
        })?;
        let mut view = action_view(&call, &server.id, found);
        let result = match (&found.finish, &found.message) {
            (None, _) => Value::Null,
            (_, Some(_)) => json!("Error"),
            _ => json!("Success"),
        };
        view["events"] = json!([{
            "event": format!("compute_{}_server", found.action), "start_time": micros(found.start),
            "finish_time": found.finish.map(micros), "result": result, "traceback": null,
        }]);
        ok(json!({ "instanceAction": view }))
    })
}

fn action_view(call: &Call, server: &str, a: &Action) -> Value {
    let mut view = json!({
        "action": a.action, "instance_uuid": server, "request_id": a.request_id,
        "user_id": a.user_id, "project_id": a.project_id, "start_time": micros(a.start),
        "message": a.message,
    });
    if call.who.since(58) {
        view["updated_at"] = json!(micros(a.finish.unwrap_or(a.start)));
    }
    view
}

impl World<'_> {
    fn own(&self, call: &Call) -> Result<String, Refusal> {
        Ok(self.find_server(&call.who, call.arg("id"))?.id.clone())
    }

    /// The metadata of a locked server, or of one that is not up or down, stays as it is.
    fn for_metadata(&self, call: &Call, verb: &str) -> Result<String, Refusal> {
        let server = self.find_server(&call.who, call.arg("id"))?;
        self.check_lock(&call.who, server)?;
        if !matches!(server.vm_state.as_str(), "active" | "stopped") {
            return Err(Refusal::conflict(format!(
                "Cannot '{verb} metadata' instance {} while it is in vm_state {}",
                server.id, server.vm_state
            )));
        }
        Ok(server.id.clone())
    }

    fn change_metadata(&mut self, call: &Call, replace: bool) -> Reply {
        let id = self.for_metadata(call, "update")?;
        let add = string_map(call.body.get("metadata"), "metadata")?;
        self.edit_server(&id, |s| {
            if replace {
                s.metadata.clear();
            }
            s.metadata.extend(add);
        });
        ok(json!({"metadata": self.server_record(&id)?.metadata}))
    }
}
