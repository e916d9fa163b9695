//! `/volumes/{id}/metadata`.

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::json;

use super::kit::{Call, Refusal, Reply, empty, ok, string_map, text};
use crate::cloud::Cloud;

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| ok(json!({"metadata": w.find_volume(&call.who, call.arg("id"))?.metadata})))
}

pub(super) async fn merge(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    change(&cloud, &call, false)
}

pub(super) async fn replace(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    change(&cloud, &call, true)
}

fn change(cloud: &Cloud, call: &Call, replace: bool) -> Reply {
    cloud.world(|w| {
        let id = w.find_volume(&call.who, call.arg("id"))?.id.clone();
        let add = string_map(call.body.get("metadata"), "metadata")?;
        w.edit_volume(&id, |v| {
            if replace {
                v.metadata.clear();
            }
            v.metadata.extend(add);
        });
        ok(json!({"metadata": w.volume_record(&id)?.metadata}))
    })
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let key = call.arg("key");
        let value = w.find_volume(&call.who, call.arg("id"))?.metadata.get(key).cloned();
        let value = value.ok_or_else(|| no_key(&call))?;
        ok(json!({"meta": {key: value}}))
    })
}

pub(super) async fn set(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.find_volume(&call.who, call.arg("id"))?.id.clone();
        let key = call.arg("key").to_owned();
        let value = text(call.object("meta")?, &key)
            .ok_or_else(|| Refusal::bad("Request body and URI mismatch"))?;
        w.edit_volume(&id, |v| drop(v.metadata.insert(key.clone(), value.clone())));
        ok(json!({"meta": {key: value}}))
    })
}

pub(super) async fn unset(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.find_volume(&call.who, call.arg("id"))?.id.clone();
        let mut gone = None;
        w.edit_volume(&id, |v| gone = v.metadata.remove(call.arg("key")));
        gone.ok_or_else(|| no_key(&call))?;
        empty(StatusCode::OK)
    })
}

fn no_key(call: &Call) -> Refusal {
    Refusal::absent(format!(
        "Volume {} has no metadata with key {}.",
        call.arg("id"),
        call.arg("key")
    ))
}
