//! Stop, start, reboot, delete: from request to effect.

use super::{model::Server, work::Job};
use crate::cloud::cinder::kit::{Call, Refusal, Who, World};

impl World<'_> {
    /// A server that is not deleted, whoever owns it.
    pub(crate) fn server_record(&self, id: &str) -> Result<&Server, Refusal> {
        self.st
            .nova
            .servers
            .get(id)
            .filter(|s| !s.deleted)
            .ok_or_else(|| Refusal::absent(format!("Instance {id} could not be found.")))
    }

    /// The server if the caller may see it, else 404.
    pub(crate) fn find_server(&self, who: &Who, id: &str) -> Result<&Server, Refusal> {
        let server = self.server_record(id)?;
        if who.may_see(&server.project_id) {
            Ok(server)
        } else {
            Err(Refusal::absent(format!("Instance {id} could not be found.")))
        }
    }

    /// A locked server listens to admins only.
    pub(crate) fn check_lock(&self, who: &Who, server: &Server) -> Result<(), Refusal> {
        if server.locked_by.is_some() && !who.admin() {
            return Err(Refusal::conflict(format!("Instance {} is locked", server.id)));
        }
        Ok(())
    }

    /// The server for a changing action: seen, not locked, in one of the states, no task running.
    pub(crate) fn ready_server(
        &self,
        call: &Call,
        action: &str,
        states: &[&str],
    ) -> Result<Server, Refusal> {
        let server = self.find_server(&call.who, call.arg("id"))?;
        self.check_lock(&call.who, server)?;
        let wrong = |attribute: &str, state: &str| {
            Err(Refusal::conflict(format!(
                "Cannot '{action}' instance {} while it is in {attribute} {state}",
                server.id
            )))
        };
        if !states.contains(&server.vm_state.as_str()) {
            return wrong("vm_state", &server.vm_state);
        }
        if let Some(task) = &server.task_state {
            return wrong("task_state", task);
        }
        Ok(server.clone())
    }

    fn begin(&mut self, call: &Call, id: &str, action: &str, task: &str, job: Job) {
        self.begin_action(id, action, &call.who);
        self.edit_server(id, |s| s.task_state = Some(task.to_owned()));
        let turn = self.st.nova.servers.get(id).map_or(0, |s| s.actions.len());
        let key = format!("server-{action}/{id}/{turn}");
        let after = self.draw(self.inner.profile.server_action_ms, &key);
        self.server_later(after, job);
    }

    pub(crate) fn stop_server(&mut self, call: &Call) -> Result<(), Refusal> {
        let server = self.ready_server(call, "stop", &["active", "error"])?;
        if server.launched_at.is_none() {
            return Err(Refusal::conflict(format!(
                "Instance {} is in an invalid state for 'stop'",
                server.id
            )));
        }
        let job = Job::Stop { server: server.id.clone() };
        self.begin(call, &server.id, "stop", "powering-off", job);
        Ok(())
    }

    pub(crate) fn start_server(&mut self, call: &Call) -> Result<(), Refusal> {
        let server = self.ready_server(call, "start", &["stopped"])?;
        let job = Job::Start { server: server.id.clone() };
        self.begin(call, &server.id, "start", "powering-on", job);
        Ok(())
    }

    pub(crate) fn reboot_server(&mut self, call: &Call, hard: bool) -> Result<(), Refusal> {
        let states: &[&str] = if hard { &["active", "stopped", "error"] } else { &["active"] };
        let server = self.ready_server(call, "reboot", states)?;
        let task = if hard { "rebooting_hard" } else { "rebooting" };
        let job = Job::Reboot { server: server.id.clone(), hard };
        self.begin(call, &server.id, "reboot", task, job);
        Ok(())
    }

    /// Stops the guest. Its connections on the array stay.
    pub(crate) fn finish_stop(&mut self, id: &str) {
        if !self.still(id, "powering-off") {
            return;
        }
        self.edit_server(id, |s| {
            s.vm_state = "stopped".to_owned();
            s.task_state = None;
            s.power_state = 4;
        });
        self.end_action(id, "stop", None);
    }

    /// Starts from the stored connection information: nothing is exported anew, so a volume whose
    /// connection was removed on the array is not found. The server then stays as it was, with a fault.
    pub(crate) fn finish_start(&mut self, id: &str) {
        if !self.still(id, "powering-on") {
            return;
        }
        let missing = self.missing_volume(id);
        self.edit_server(id, |s| {
            s.task_state = None;
            if missing.is_none() {
                s.vm_state = "active".to_owned();
                s.power_state = 1;
                s.fault = None;
            }
        });
        self.end_action(id, "start", missing.map(not_found).as_deref());
    }

    /// A soft reboot asks the guest; a hard one attaches again as start does, and failing is ERROR.
    pub(crate) fn finish_reboot(&mut self, id: &str, hard: bool) {
        if !self.still(id, if hard { "rebooting_hard" } else { "rebooting" }) {
            return;
        }
        let missing = if hard { self.missing_volume(id) } else { None };
        self.edit_server(id, |s| {
            s.task_state = None;
            let failed = missing.is_some();
            s.vm_state = if failed { "error" } else { "active" }.to_owned();
            s.power_state = if failed { 4 } else { 1 };
        });
        self.end_action(id, "reboot", missing.map(not_found).as_deref());
    }

    fn still(&self, id: &str, task: &str) -> bool {
        let server = self.st.nova.servers.get(id);
        server.is_some_and(|s| !s.deleted && s.task_state.as_deref() == Some(task))
    }

    /// The first volume of a server that the array does not connect to the server's host.
    pub(crate) fn missing_volume(&self, id: &str) -> Option<String> {
        let server = self.st.nova.servers.get(id)?;
        server
            .volumes
            .iter()
            .filter_map(|d| d.volume_id.as_deref())
            .find(|volume| !self.is_exported(server, volume))
            .map(str::to_owned)
    }

    /// The array connects the volume to the host on which the server runs.
    pub(crate) fn is_exported(&self, server: &Server, volume_id: &str) -> bool {
        let Some(host) = &server.host else { return false };
        let Some(volume) = self.st.cinder.volumes.get(volume_id) else { return false };
        self.inner.array.is_connected(&self.array_host(host), &volume.array_name())
    }

    /// Accepts the deletion, in any state.
    pub(crate) fn delete_server(&mut self, who: &Who, id: &str) -> Result<(), Refusal> {
        let server = self.find_server(who, id)?;
        self.check_lock(who, server)?;
        if server.task_state.as_deref() == Some("deleting") {
            return Ok(());
        }
        self.begin_action(id, "delete", who);
        self.edit_server(id, |s| s.task_state = Some("deleting".to_owned()));
        self.st.nova.waiting.retain(|w| w != id);
        let after = self.draw(self.inner.profile.server_action_ms, &format!("server-delete/{id}"));
        self.server_later(after, Job::Delete { server: id.to_owned() });
        Ok(())
    }

    pub(crate) fn finish_delete_server(&mut self, id: &str) {
        let Some(server) = self.st.nova.servers.get(id).filter(|s| !s.deleted).cloned() else {
            return;
        };
        for disk in &server.volumes {
            if let Some(attachment) = &disk.attachment_id {
                self.delete_attachment(attachment);
            }
            if let (true, Some(volume)) = (disk.delete_on_termination, &disk.volume_id)
                && let Err(refusal) = self.delete_volume(volume, false, false, false)
            {
                tracing::debug!(%refusal, volume, "simulated nova: delete_on_termination");
            }
        }
        for nic in &server.nics {
            self.release_nic(nic);
        }
        for group in self.st.nova.groups.values_mut() {
            group.members.retain(|m| m != id);
        }
        let now = self.now();
        self.edit_server(id, |s| {
            s.deleted = true;
            s.vm_state = "deleted".to_owned();
            s.task_state = None;
            s.power_state = 0;
            s.terminated_at = Some(now);
        });
        self.end_action(id, "delete", None);
        if self.st.nova.building.remove(id) {
            self.start_builds();
        }
    }
}

fn not_found(volume: String) -> String {
    format!("Volume device not found at /dev/disk/by-id for volume {volume}.")
}
