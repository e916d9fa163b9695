//! `/attachments` (3.27 and later).

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    kit::{Call, Refusal, Reply, World, empty, ok, text},
    model::Attachment,
    view::attachment_view,
};
use crate::cloud::Cloud;

fn needs(call: &Call, minor: u16) -> Result<(), Refusal> {
    if call.who.since(minor) {
        Ok(())
    } else {
        Err(Refusal::absent("The resource could not be found."))
    }
}

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.list_attachments(&call, false))
}

pub(super) async fn detail(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.list_attachments(&call, true))
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let attachment = w.find_attachment(&call, call.arg("id"))?;
        ok(json!({"attachment": attachment_view(attachment, true)}))
    })
}

pub(super) async fn create(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        needs(&call, 27)?;
        let body = call.object("attachment")?;
        let volume = text(body, "volume_uuid")
            .ok_or_else(|| Refusal::bad("Invalid input for field/attribute attachment. 'volume_uuid' is a required property"))?;
        w.find_volume(&call.who, &volume)?;
        let server = text(body, "instance_uuid");
        let attachment = w.reserve_volume(&volume, server.as_deref())?;
        if let (true, Some(mode)) = (call.who.since(54), text(body, "mode"))
            && let Some(record) = w.st.cinder.attachments.get_mut(&attachment.id)
        {
            record.mode = mode;
        }
        if let Some(connector) = body.get("connector").filter(|c| c.is_object()) {
            w.connect(&attachment.id, connector)?;
        }
        let record = w.find_attachment(&call, &attachment.id)?;
        ok(json!({"attachment": attachment_view(record, true)}))
    })
}

pub(super) async fn update(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.find_attachment(&call, call.arg("id"))?.id.clone();
        let connector = call.object("attachment")?.get("connector").cloned();
        let connector = connector.filter(Value::is_object).ok_or_else(|| {
            Refusal::bad(
                "Invalid input for field/attribute attachment. 'connector' is a required property",
            )
        })?;
        w.connect(&id, &connector)?;
        ok(json!({"attachment": attachment_view(w.find_attachment(&call, &id)?, true)}))
    })
}

pub(super) async fn delete(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let record = w.find_attachment(&call, call.arg("id"))?;
        let (id, volume) = (record.id.clone(), record.volume_id.clone());
        w.may_drop_attachment(&call, &volume, Some(&id))?;
        w.delete_attachment(&id);
        let rest: Vec<Value> =
            w.attachments_of(&volume).map(|a| attachment_view(a, false)).collect();
        ok(json!({ "attachments": rest }))
    })
}

pub(super) async fn act(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        needs(&call, 44)?;
        let id = w.find_attachment(&call, call.arg("id"))?.id.clone();
        if call.body.get("os-complete").is_none() {
            return Err(Refusal::bad("There is no such action"));
        }
        w.complete_attachment(&id);
        empty(StatusCode::NO_CONTENT)
    })
}

impl World<'_> {
    fn list_attachments(&self, call: &Call, detail: bool) -> Reply {
        needs(call, 27)?;
        let all = call.flag("all_tenants") && call.who.admin();
        let is = |key: &str, actual: Option<&str>| call.q(key).is_none_or(|w| actual == Some(w));
        let rows: Vec<Value> = self
            .st
            .cinder
            .attachments
            .values()
            .filter(|a| all || a.project_id == call.who.project_id)
            .filter(|a| {
                is("volume_id", Some(&a.volume_id))
                    && is("instance_id", a.server_id.as_deref())
                    && is("attach_status", Some(&a.status))
                    && is("status", Some(&a.status))
            })
            .map(|a| attachment_view(a, detail))
            .collect();
        ok(json!({ "attachments": rows }))
    }

    fn find_attachment(&self, call: &Call, id: &str) -> Result<&Attachment, Refusal> {
        needs(call, 27)?;
        self.st.cinder.attachments.get(id).filter(|a| call.who.may_see(&a.project_id)).ok_or_else(
            || {
                Refusal::absent(format!(
                    "Volume attachment could not be found with filter: attachment_id = {id}."
                ))
            },
        )
    }

    fn connect(&mut self, id: &str, connector: &Value) -> Result<(), Refusal> {
        let host = connector
            .get("host")
            .and_then(Value::as_str)
            .ok_or_else(|| {
                Refusal::bad(
                    "Invalid input received: Connector doesn't have required information: host",
                )
            })?
            .to_owned();
        let mountpoint = connector.get("mountpoint").and_then(Value::as_str);
        self.connect_attachment(id, &host, connector.clone(), mountpoint)
            .map(drop)
            .map_err(|why| Refusal::broken(format!("Unable to update attachment ({why}).")))
    }
}
