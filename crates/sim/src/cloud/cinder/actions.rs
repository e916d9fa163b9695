//! `POST /volumes/{id}/action`.

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    kit::{Call, Refusal, Reply, World, empty, invalid, ok, string_map, text, truth, whole},
    work::Job,
};
use crate::cloud::Cloud;

pub(super) async fn act(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.volume_action(&call))
}

impl World<'_> {
    fn volume_action(&mut self, call: &Call) -> Reply {
        let id = self.find_volume(&call.who, call.arg("id"))?.id.clone();
        let none = Map::new();
        let (action, value) = call
            .body
            .as_object()
            .and_then(|o| o.iter().next())
            .ok_or_else(|| Refusal::bad("There is no such action: None"))?;
        let args = value.as_object().unwrap_or(&none);
        let accepted = empty(StatusCode::ACCEPTED);
        match action.as_str() {
            "os-set_bootable" => {
                let flag = truth(args.get("bootable")).ok_or_else(|| {
                    invalid(
                        "bootable",
                        args.get("bootable").unwrap_or(&Value::Null),
                        "is not a 'boolean'",
                    )
                })?;
                self.edit_volume(&id, |v| v.bootable = flag);
                empty(StatusCode::OK)
            }
            "os-set_image_metadata" => {
                let add = string_map(args.get("metadata"), "metadata")?;
                self.edit_volume(&id, |v| v.image_metadata.extend(add));
                ok(json!({"metadata": self.volume_record(&id)?.image_metadata}))
            }
            "os-unset_image_metadata" => self.unset_image_metadata(&id, args),
            "os-show_image_metadata" => {
                ok(json!({"metadata": self.volume_record(&id)?.image_metadata}))
            }
            "os-reset_status" => self.reset_volume(call, &id, args).and(accepted),
            "os-unmanage" => self.unmanage(call, &id).and(accepted),
            "os-extend" => self.extend(call, &id, args).and(accepted),
            "os-retype" => self.retype(call, &id, args).and(accepted),
            "os-reserve" => self.reserve_action(&id).and(accepted),
            "os-unreserve" => {
                let attached = self.attachments_of(&id).next().is_some();
                self.edit_volume(&id, |v| {
                    if v.status == "attaching" {
                        v.status = if attached { "in-use" } else { "available" }.to_owned();
                    }
                });
                accepted
            }
            "os-begin_detaching" => self.begin_detaching(&id).and(accepted),
            "os-roll_detaching" => {
                self.edit_volume(&id, |v| {
                    if v.status == "detaching" {
                        v.status = "in-use".to_owned();
                    }
                });
                accepted
            }
            "os-attach" => self.attach_action(&id, args).and(accepted),
            "os-detach" => self.detach_action(call, &id, args).and(accepted),
            "os-initialize_connection" => self.initialize_connection(&id, args),
            "os-terminate_connection" => self.terminate_connection(call, &id, args).and(accepted),
            "os-force_detach" => self.force_detach(call, &id, args).and(accepted),
            "os-force_delete" => {
                self.admin_only(call, "volume_extension:volume_admin_actions:force_delete")?;
                self.delete_volume(&id, true, false, false).and(accepted)
            }
            "os-update_readonly_flag" => accepted,
            other => Err(Refusal::bad(format!("There is no such action: {other}"))),
        }
    }

    pub(crate) fn admin_only(&self, call: &Call, rule: &str) -> Result<(), Refusal> {
        if call.who.allows(self.st.policy(rule, "rule:admin_api"), None) {
            Ok(())
        } else {
            Err(Refusal::policy(rule))
        }
    }

    fn unset_image_metadata(&mut self, id: &str, args: &Map<String, Value>) -> Reply {
        let key = text(args, "key").unwrap_or_default();
        if !self.volume_record(id)?.image_metadata.contains_key(&key) {
            return Err(Refusal::absent("Metadata item was not found"));
        }
        self.edit_volume(id, |v| drop(v.image_metadata.remove(&key)));
        empty(StatusCode::OK)
    }

    fn reset_volume(
        &mut self,
        call: &Call,
        id: &str,
        args: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        self.admin_only(call, "volume_extension:volume_admin_actions:reset_status")?;
        let of = |key: &str| text(args, key).map(|v| v.to_lowercase());
        let (status, attach, migration) =
            (of("status"), of("attach_status"), of("migration_status"));
        if status.is_none() && attach.is_none() && migration.is_none() {
            return Err(Refusal::bad(
                "Invalid input for field/attribute os-reset_status. At least one of 'status', 'attach_status' or 'migration_status' is required.",
            ));
        }
        if let Some(s) = status.as_deref()
            && !matches!(
                s,
                "creating"
                    | "available"
                    | "deleting"
                    | "error"
                    | "error_deleting"
                    | "attaching"
                    | "detaching"
                    | "in-use"
                    | "maintenance"
                    | "reserved"
                    | "managing"
                    | "error_managing"
            )
        {
            return Err(Refusal::bad(format!(
                "Invalid input for field/attribute status. Value: {s}. '{s}' is not one of the valid statuses"
            )));
        }
        if matches!(status.as_deref(), Some("deleting" | "error_deleting" | "detaching")) {
            return Err(Refusal::bad(format!(
                "Cannot reset-state to {}",
                status.unwrap_or_default()
            )));
        }
        if attach.as_deref() == Some("detached") {
            // Records only: the array keeps its connection.
            let ids: Vec<String> = self.attachments_of(id).map(|a| a.id.clone()).collect();
            for attachment in ids {
                self.forget_attachment(&attachment);
            }
        }
        self.edit_volume(id, |v| {
            if let Some(s) = status {
                v.status = s;
            }
            if let Some(a) = attach {
                v.attach_status = a;
            }
            if let Some(m) = migration {
                v.migration_status = (m != "none").then_some(m);
            }
        });
        Ok(())
    }

    fn unmanage(&mut self, call: &Call, id: &str) -> Result<(), Refusal> {
        const RULE: &str = "volume_extension:volume_unmanage";
        let owner = self.volume_record(id)?.project_id.clone();
        if !call.who.allows(self.st.policy(RULE, "rule:admin_api"), Some(&owner)) {
            return Err(Refusal::policy(RULE));
        }
        self.delete_volume(id, false, false, true)
    }

    fn extend(&mut self, call: &Call, id: &str, args: &Map<String, Value>) -> Result<(), Refusal> {
        let raw = args.get("new_size").unwrap_or(&Value::Null);
        let size = whole(Some(raw))
            .filter(|n| *n > 0)
            .ok_or_else(|| invalid("new_size", raw, "is not a positive integer"))?
            as u64;
        let volume = self.volume_record(id)?.clone();
        if size <= volume.size {
            return Err(Refusal::bad(format!(
                "Invalid input received: New size for extend must be greater than current size. \
                 (current: {}, extended: {size}).",
                volume.size
            )));
        }
        let online = volume.status == "in-use" && call.who.since(42);
        if volume.status != "available" && !online {
            return Err(Refusal::bad(format!(
                "Invalid volume: Volume {id} status must be '{{'status': 'available'}}' to extend, \
                 currently {}.",
                volume.status
            )));
        }
        self.quota_room(&volume.project_id, 0, size - volume.size)?;
        self.edit_volume(id, |v| {
            v.previous_status = Some(v.status.clone());
            v.status = "extending".to_owned();
        });
        let after = self.draw(self.inner.profile.volume_action_ms, &format!("extend/{id}/{size}"));
        self.volume_later(after, Job::Extend { volume: id.to_owned(), gib: size });
        Ok(())
    }

    fn retype(&mut self, call: &Call, id: &str, args: &Map<String, Value>) -> Result<(), Refusal> {
        let wanted = text(args, "new_type").unwrap_or_default();
        let kind = self.find_type(&call.who, &wanted).ok_or_else(|| {
            Refusal::bad(format!("Invalid input received: Invalid volume_type passed: {wanted}."))
        })?;
        let volume = self.volume_record(id)?;
        let fits = matches!(volume.status.as_str(), "available" | "in-use")
            && volume.migration_status.is_none()
            && volume.group_id.is_none()
            && volume.type_id.as_deref() != Some(&kind.id);
        if !fits {
            return Err(Refusal::bad(
                "Invalid volume: Retype needs volume to be in available or in-use state, not be \
                 part of an active migration or a consistency group, requested type has to be \
                 different that the one from the volume, and for in-use volumes front-end qos \
                 specs cannot change.",
            ));
        }
        self.edit_volume(id, |v| {
            v.previous_status = Some(v.status.clone());
            v.status = "retyping".to_owned();
        });
        let after =
            self.draw(self.inner.profile.volume_action_ms, &format!("retype/{id}/{}", kind.id));
        let migrates = text(args, "migration_policy").as_deref() == Some("on-demand");
        self.volume_later(after, Job::Retype { volume: id.to_owned(), type_id: kind.id, migrates });
        Ok(())
    }

    fn reserve_action(&mut self, id: &str) -> Result<(), Refusal> {
        let volume = self.volume_record(id)?;
        let fits =
            volume.status == "available" || (volume.multiattach && volume.status == "in-use");
        if !fits {
            return Err(Refusal::bad(format!(
                "Invalid volume: Volume status must be available to reserve, but the status is {}.",
                volume.status
            )));
        }
        self.edit_volume(id, |v| v.status = "attaching".to_owned());
        Ok(())
    }

    pub(crate) fn begin_detaching(&mut self, id: &str) -> Result<(), Refusal> {
        let volume = self.volume_record(id)?;
        if volume.status != "in-use" || volume.attach_status != "attached" {
            return Err(Refusal::bad(
                "Invalid volume: Unable to detach volume. Volume status must be 'in-use' and \
                 attach_status must be 'attached' to detach.",
            ));
        }
        self.edit_volume(id, |v| v.status = "detaching".to_owned());
        Ok(())
    }

    fn attach_action(&mut self, id: &str, args: &Map<String, Value>) -> Result<(), Refusal> {
        let server = text(args, "instance_uuid");
        let host = text(args, "host_name");
        if server.is_none() && host.is_none() {
            return Err(Refusal::bad("Invalid request to attach volume to an invalid target"));
        }
        let volume = self.volume_record(id)?;
        if !matches!(volume.status.as_str(), "available" | "attaching") {
            return Err(Refusal::bad(format!(
                "Error attaching volume - InvalidVolume: Invalid volume: volume {id} status must be \
                 available or attaching, currently {}",
                volume.status
            )));
        }
        self.edit_volume(id, |v| v.status = "available".to_owned());
        let attachment = self.reserve_volume(id, server.as_deref())?;
        if let Some(record) = self.st.cinder.attachments.get_mut(&attachment.id) {
            record.mountpoint = text(args, "mountpoint");
            record.attached_host = host;
            record.mode = text(args, "mode").unwrap_or_else(|| "rw".to_owned());
        }
        self.complete_attachment(&attachment.id);
        Ok(())
    }

    /// CVE-2023-2088: an attachment that a Nova server uses is only for services to remove.
    pub(crate) fn may_drop_attachment(
        &self,
        call: &Call,
        volume_id: &str,
        attachment: Option<&str>,
    ) -> Result<(), Refusal> {
        if call.who.service_token {
            return Ok(());
        }
        let refused = |server: &str| {
            Err(Refusal::conflict(format!(
                "ConflictNovaUsingAttachment: Detach volume from instance {server} using the Compute API"
            )))
        };
        let record = match attachment {
            Some(id) => self.st.cinder.attachments.get(id),
            None if self.attachments_of(volume_id).count() > 1 => return refused(""),
            None => self.attachments_of(volume_id).next(),
        };
        let Some(record) = record else { return Ok(()) };
        let (Some(server), Some(_)) = (&record.server_id, &record.connection_info) else {
            return Ok(());
        };
        let used = self.st.nova.servers.get(server).is_some_and(|s| {
            s.volumes.iter().any(|d| {
                d.volume_id.as_deref() == Some(volume_id)
                    && d.attachment_id.as_deref() == Some(&record.id)
            })
        });
        if used { refused(server) } else { Ok(()) }
    }

    fn detach_action(
        &mut self,
        call: &Call,
        id: &str,
        args: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        let wanted = text(args, "attachment_id");
        self.may_drop_attachment(call, id, wanted.as_deref())?;
        let ids: Vec<String> = self.attachments_of(id).map(|a| a.id.clone()).collect();
        let chosen = match (wanted, ids.as_slice()) {
            (Some(wanted), _) => wanted,
            (None, [one]) => one.clone(),
            (None, []) => {
                self.edit_volume(id, |v| {
                    v.status = "available".to_owned();
                    v.attach_status = "detached".to_owned();
                });
                return Ok(());
            }
            (None, _) => {
                return Err(Refusal::bad(
                    "Error detaching volume - InvalidVolume: Invalid volume: Detach volume failed: More than one attachment, but no attachment_id provided.",
                ));
            }
        };
        self.forget_attachment(&chosen);
        Ok(())
    }

    fn initialize_connection(&mut self, id: &str, args: &Map<String, Value>) -> Reply {
        let connector = args.get("connector").cloned().unwrap_or(Value::Null);
        let host = connector.get("host").and_then(Value::as_str).ok_or_else(|| {
            Refusal::bad(
                "Invalid input received: Connector doesn't have required information: initiator",
            )
        })?;
        let name = self.volume_record(id)?.array_name();
        let (_, info) = self
            .driver_connect(&name, host)
            .map_err(|_| Refusal::broken("Unable to fetch connection information from backend."))?;
        ok(json!({ "connection_info": info }))
    }

    fn terminate_connection(
        &mut self,
        call: &Call,
        id: &str,
        args: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        self.may_drop_attachment(call, id, None)?;
        let name = self.volume_record(id)?.array_name();
        if let Some(host) =
            args.get("connector").and_then(|c| c.get("host")).and_then(Value::as_str)
        {
            let host = self.array_host(host);
            self.inner.array.disconnect(&host, &name).map_err(|_| {
                Refusal::broken("Unable to terminate volume connection from backend.")
            })?;
        }
        Ok(())
    }

    /// Without a connector the driver of this release raises before it disconnects anything.
    fn force_detach(
        &mut self,
        call: &Call,
        id: &str,
        args: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        self.admin_only(call, "volume_extension:volume_admin_actions:force_detach")?;
        self.may_drop_attachment(call, id, None)?;
        let connector = args.get("connector").filter(|c| c.get("host").is_some());
        let name = self.volume_record(id)?.array_name();
        let connected = self.inner.array.volume(&name).is_some_and(|v| v.connection_count > 0);
        if connector.is_none() && connected {
            return Err(Refusal::broken("Unable to terminate volume connection from backend."));
        }
        self.terminate_connection(call, id, args)?;
        self.detach_action(call, id, args)
    }
}
