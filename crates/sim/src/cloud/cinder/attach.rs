//! Reserving, attaching and detaching: the part of Cinder that Nova drives.

use serde_json::Value;

use super::{
    kit::{Refusal, World},
    model::{Attachment, Volume},
};

impl World<'_> {
    /// Makes a `reserved` attachment; the volume becomes `reserved` too.
    pub(crate) fn reserve_volume(
        &mut self,
        volume_id: &str,
        server: Option<&str>,
    ) -> Result<Attachment, Refusal> {
        let volume = self.volume_record(volume_id)?.clone();
        if volume.status.contains("error") {
            return Err(Refusal::bad(format!(
                "Invalid volume: Volume attachments can not be created if the volume is in an error \
                 state. The Volume {volume_id} currently has a status of: {} ",
                volume.status
            )));
        }
        let (free, wanted) = if volume.multiattach {
            (
                matches!(volume.status.as_str(), "available" | "in-use" | "downloading"),
                "available or in-use or downloading",
            )
        } else {
            (
                matches!(volume.status.as_str(), "available" | "downloading"),
                "available or downloading",
            )
        };
        let same_server = matches!(volume.status.as_str(), "in-use" | "reserved")
            && server.is_some()
            && self.attachments_of(volume_id).any(|a| a.server_id.as_deref() == server);
        if !free && !same_server {
            return Err(Refusal::bad(format!(
                "Invalid volume: Volume {volume_id} status must be {wanted} to reserve, but the \
                 current status is {}.",
                volume.status
            )));
        }
        let id = self.new_id("attachment", volume_id);
        let attachment = Attachment {
            id: id.clone(),
            volume_id: volume_id.to_owned(),
            server_id: server.map(str::to_owned),
            project_id: volume.project_id.clone(),
            status: "reserved".to_owned(),
            mode: "null".to_owned(),
            mountpoint: None,
            attached_host: None,
            array_host: None,
            connector: None,
            connection_info: None,
            attached_at: None,
        };
        self.st.cinder.attachments.insert(id, attachment.clone());
        if free {
            self.edit_volume(volume_id, |v| v.status = "reserved".to_owned());
        }
        Ok(attachment)
    }

    /// Connects the volume to a compute host on the array; the attachment is `attaching` until
    /// [`World::complete_attachment`].
    pub(crate) fn connect_attachment(
        &mut self,
        id: &str,
        compute: &str,
        connector: Value,
        mountpoint: Option<&str>,
    ) -> Result<Value, String> {
        let volume_id =
            self.st.cinder.attachments.get(id).map(|a| a.volume_id.clone()).ok_or_else(|| {
                format!("Volume attachment could not be found with filter: attachment_id = {id}.")
            })?;
        let array_name = self
            .st
            .cinder
            .volumes
            .get(&volume_id)
            .map(Volume::array_name)
            .ok_or_else(|| format!("Volume {volume_id} could not be found."))?;
        let (host, info) = self.driver_connect(&array_name, compute)?;
        if let Some(attachment) = self.st.cinder.attachments.get_mut(id) {
            attachment.status = "attaching".to_owned();
            attachment.array_host = Some(host);
            attachment.attached_host = Some(compute.to_owned());
            attachment.connector = Some(connector);
            attachment.connection_info = Some(info.clone());
            if mountpoint.is_some() {
                attachment.mountpoint = mountpoint.map(str::to_owned);
            }
        }
        self.edit_volume(&volume_id, |v| {
            if v.status == "reserved" {
                v.status = "attaching".to_owned();
            }
        });
        Ok(info)
    }

    /// `os-complete`: the volume is `in-use`.
    pub(crate) fn complete_attachment(&mut self, id: &str) {
        let now = self.now();
        let Some(attachment) = self.st.cinder.attachments.get_mut(id) else { return };
        attachment.status = "attached".to_owned();
        attachment.attached_at = Some(now);
        if attachment.mode == "null" {
            attachment.mode = "rw".to_owned();
        }
        let volume_id = attachment.volume_id.clone();
        self.edit_volume(&volume_id, |v| {
            v.status = "in-use".to_owned();
            v.attach_status = "attached".to_owned();
        });
    }

    /// Disconnects on the array (a connection that is gone is fine) and drops the record.
    pub(crate) fn delete_attachment(&mut self, id: &str) {
        let Some(attachment) = self.st.cinder.attachments.remove(id) else { return };
        let name = self.st.cinder.volumes.get(&attachment.volume_id).map(Volume::array_name);
        let shared = self
            .attachments_of(&attachment.volume_id)
            .any(|other| other.array_host.is_some() && other.array_host == attachment.array_host);
        if let (Some(host), Some(name), false) = (&attachment.array_host, name, shared)
            && let Err(refusal) = self.inner.array.disconnect(host, &name)
        {
            tracing::debug!(%refusal, "simulated cinder: disconnect");
        }
        self.after_detach(&attachment.volume_id);
    }

    /// Drops the record only, as `os-detach` and `os-reset_status` do.
    pub(crate) fn forget_attachment(&mut self, id: &str) {
        if let Some(attachment) = self.st.cinder.attachments.remove(id) {
            self.after_detach(&attachment.volume_id);
        }
    }

    fn after_detach(&mut self, volume_id: &str) {
        let left = self.attachments_of(volume_id).count();
        let attached = self.attachments_of(volume_id).any(|a| a.status == "attached");
        self.edit_volume(volume_id, |v| {
            if left == 0 {
                v.attach_status = "detached".to_owned();
                if matches!(v.status.as_str(), "in-use" | "detaching" | "attaching" | "reserved") {
                    v.status = "available".to_owned();
                }
            } else if attached {
                v.status = "in-use".to_owned();
            }
        });
    }

    pub(crate) fn attachments_of<'b>(
        &'b self,
        volume_id: &'b str,
    ) -> impl Iterator<Item = &'b Attachment> + 'b {
        self.st.cinder.attachments.values().filter(move |a| a.volume_id == volume_id)
    }

    /// The volume whoever owns it.
    pub(crate) fn volume_record(&self, id: &str) -> Result<&Volume, Refusal> {
        self.st
            .cinder
            .volumes
            .get(id)
            .ok_or_else(|| Refusal::absent(format!("Volume {id} could not be found.")))
    }
}
