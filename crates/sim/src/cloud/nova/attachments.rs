//! `/servers/{id}/os-volume_attachments`.

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Value, json};

use super::{model::Disk, request::device_name, work::Job};
use crate::cloud::{
    Cloud,
    cinder::kit::{Call, Refusal, Reply, World, empty, invalid, ok, text, truth},
};

const STATES: [&str; 2] = ["active", "stopped"];

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let server = w.find_server(&call.who, call.arg("id"))?;
        let rows: Vec<Value> = server
            .volumes
            .iter()
            .filter(|d| d.volume_id.is_some() && (!call.who.since(89) || d.attachment_id.is_some()))
            .map(|d| view(&call, &server.id, d))
            .collect();
        ok(json!({ "volumeAttachments": rows }))
    })
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let (server, disk) = w.disk_at(&call)?;
        ok(json!({"volumeAttachment": view(&call, &server, &disk)}))
    })
}

pub(super) async fn create(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let disk = w.accept_attach(&call)?;
        let mut body = json!({
            "id": disk.volume_id, "volumeId": disk.volume_id, "serverId": call.arg("id"),
            "device": disk.device,
        });
        if call.who.since(70) {
            body["tag"] = json!(disk.tag);
        }
        if call.who.since(79) {
            body["delete_on_termination"] = json!(disk.delete_on_termination);
        }
        ok(json!({ "volumeAttachment": body }))
    })
}

/// Only `delete_on_termination` can be changed here (2.85); swapping volumes is Cinder's.
pub(super) async fn update(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let (server, disk) = w.disk_at(&call)?;
        let body = call.object("volumeAttachment")?;
        if !call.who.since(85) || text(body, "volumeId") != disk.volume_id {
            return Err(Refusal::conflict(format!(
                "volume {} is not migrating; this API should only be called by Cinder",
                call.arg("volume")
            )));
        }
        if let Some(flag) = truth(body.get("delete_on_termination")) {
            w.edit_server(&server, |s| {
                if let Some(d) = s.volumes.iter_mut().find(|d| d.id == disk.id) {
                    d.delete_on_termination = flag;
                }
            });
        }
        empty(StatusCode::ACCEPTED)
    })
}

pub(super) async fn delete(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.accept_detach(&call)?;
        empty(StatusCode::ACCEPTED)
    })
}

fn view(call: &Call, server: &str, disk: &Disk) -> Value {
    let mut out = json!({
        "volumeId": disk.volume_id, "serverId": server, "device": disk.device,
    });
    if call.who.since(70) {
        out["tag"] = json!(disk.tag);
    }
    if call.who.since(79) {
        out["delete_on_termination"] = json!(disk.delete_on_termination);
    }
    if call.who.since(89) {
        out["attachment_id"] = json!(disk.attachment_id);
        out["bdm_uuid"] = json!(disk.id);
    } else {
        out["id"] = json!(disk.volume_id);
    }
    out
}

impl World<'_> {
    fn disk_at(&self, call: &Call) -> Result<(String, Disk), Refusal> {
        let server = self.find_server(&call.who, call.arg("id"))?;
        let volume = call.arg("volume");
        match server.disk_of(volume) {
            Some(disk) => Ok((server.id.clone(), disk.clone())),
            None => Err(Refusal::absent(format!(
                "Instance {} is not attached to volume {volume}",
                server.id
            ))),
        }
    }

    fn accept_attach(&mut self, call: &Call) -> Result<Disk, Refusal> {
        let body = call.object("volumeAttachment")?;
        let volume = text(body, "volumeId").ok_or_else(|| {
            invalid(
                "volumeAttachment",
                &Value::Object(body.clone()),
                "'volumeId' is a required property",
            )
        })?;
        let server = self.ready_server(call, "attach_volume", &STATES)?;
        self.find_volume(&call.who, &volume)?;
        self.refuse_attached(&volume, &server.id)?;
        let known = call.who.since(60);
        let attachment = self.reserve_through_api(&volume, &server.id, known)?;
        let used: Vec<&str> = server.volumes.iter().filter_map(|d| d.device.as_deref()).collect();
        let device = (0..).map(device_name).find(|d| !used.contains(&d.as_str()));
        let disk = Disk {
            id: self.new_id("bdm", &server.id),
            source: "volume".to_owned(),
            destination: "volume".to_owned(),
            boot_index: None,
            volume_id: Some(volume.clone()),
            source_id: None,
            size: 0,
            volume_type: None,
            attachment_id: Some(attachment.id),
            delete_on_termination: call.who.since(79)
                && truth(body.get("delete_on_termination")).unwrap_or(false),
            device,
            tag: text(body, "tag").filter(|_| call.who.since(49)),
        };
        self.begin_action(&server.id, "attach_volume", &call.who);
        self.edit_server(&server.id, |s| s.volumes.push(disk.clone()));
        let key = format!("attach/{}/{}", server.id, disk.id);
        let after = self.draw(self.inner.profile.volume_action_ms, &key);
        self.server_later(after, Job::Attach { server: server.id, volume });
        Ok(disk)
    }

    /// Nova's own records count, whatever Cinder's say (an admin may have reset them).
    fn refuse_attached(&self, volume: &str, server: &str) -> Result<(), Refusal> {
        let users: Vec<&str> = self
            .st
            .nova
            .servers
            .values()
            .filter(|s| !s.deleted && s.disk_of(volume).is_some())
            .map(|s| s.id.as_str())
            .collect();
        if users.is_empty() {
            return Ok(());
        }
        if !self.volume_record(volume)?.multiattach {
            return Err(Refusal::bad(format!(
                "Invalid volume: volume {volume} is already attached to instances: {}",
                users.join(" ")
            )));
        }
        if users.contains(&server) {
            return Err(Refusal::bad(format!("Invalid volume: volume {volume} already attached")));
        }
        Ok(())
    }

    pub(crate) fn finish_attach(&mut self, server_id: &str, volume: &str) {
        let Some(server) = self.st.nova.servers.get(server_id).filter(|s| !s.deleted).cloned()
        else {
            return;
        };
        let Some(disk) = server.disk_of(volume) else { return };
        let Some(attachment) = disk.attachment_id.clone() else { return };
        match self.attach_disk(&server, &attachment, disk.device.as_deref()) {
            Ok(()) => self.end_action(server_id, "attach_volume", None),
            Err(why) => {
                self.delete_attachment(&attachment);
                self.edit_server(server_id, |s| s.volumes.retain(|d| d.id != disk.id));
                self.end_action(server_id, "attach_volume", Some(&why));
            }
        }
    }

    fn accept_detach(&mut self, call: &Call) -> Result<(), Refusal> {
        let volume = call.arg("volume").to_owned();
        self.find_server(&call.who, call.arg("id"))?;
        self.find_volume(&call.who, &volume)?;
        let (_, disk) = self.disk_at(call)?;
        if disk.boot_index == Some(0) {
            return Err(Refusal::bad("Cannot detach a root device volume"));
        }
        let server = self.ready_server(call, "detach_volume", &STATES)?;
        self.begin_detaching(&volume).map_err(|refusal| {
            let request = self.new_id("request", &volume);
            let wrapped = self.wrapped(refusal, &request);
            Refusal::bad(format!("Invalid volume: {}", wrapped.message))
        })?;
        self.begin_action(&server.id, "detach_volume", &call.who);
        let key = format!("detach/{}/{}", server.id, disk.id);
        let after = self.draw(self.inner.profile.volume_action_ms, &key);
        self.server_later(after, Job::Detach { server: server.id, volume });
        Ok(())
    }

    pub(crate) fn finish_detach(&mut self, server_id: &str, volume: &str) {
        let Some(server) = self.st.nova.servers.get(server_id).filter(|s| !s.deleted).cloned()
        else {
            return;
        };
        let Some(disk) = server.disk_of(volume).cloned() else { return };
        if let Some(attachment) = &disk.attachment_id {
            self.delete_attachment(attachment);
        }
        self.edit_server(server_id, |s| s.volumes.retain(|d| d.id != disk.id));
        self.end_action(server_id, "detach_volume", None);
        if disk.delete_on_termination {
            drop(self.delete_volume(volume, false, false, false));
        }
    }
}
