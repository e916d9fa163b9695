//! What nova-compute does when its time has come.

use super::model::{Action, Fault, Server};
use crate::cloud::cinder::kit::{Who, World};

/// A piece of nova-compute's work.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    Build { server: String },
    Stop { server: String },
    Start { server: String },
    Reboot { server: String, hard: bool },
    Delete { server: String },
    Attach { server: String, volume: String },
    Detach { server: String, volume: String },
    DetachPort { server: String, port: String },
}

impl World<'_> {
    pub(crate) fn run_server_job(&mut self, job: Job) {
        match job {
            Job::Build { server } => self.finish_build(&server),
            Job::Stop { server } => self.finish_stop(&server),
            Job::Start { server } => self.finish_start(&server),
            Job::Reboot { server, hard } => self.finish_reboot(&server, hard),
            Job::Delete { server } => self.finish_delete_server(&server),
            Job::Attach { server, volume } => self.finish_attach(&server, &volume),
            Job::Detach { server, volume } => self.finish_detach(&server, &volume),
            Job::DetachPort { server, port } => self.finish_detach_port(&server, &port),
        }
    }

    /// Changes a server and stamps it.
    pub(crate) fn edit_server(&mut self, id: &str, edit: impl FnOnce(&mut Server)) {
        let now = self.now();
        if let Some(server) = self.st.nova.servers.get_mut(id) {
            edit(server);
            server.updated_at = now;
        }
    }

    /// Opens an entry of the server's history.
    pub(crate) fn begin_action(&mut self, id: &str, action: &str, who: &Who) {
        let now = self.now();
        let request = self.new_id("request", &format!("{id}/{action}"));
        if let Some(server) = self.st.nova.servers.get_mut(id) {
            server.actions.push(Action {
                action: action.to_owned(),
                request_id: format!("req-{request}"),
                user_id: who.user_id.clone(),
                project_id: who.project_id.clone(),
                start: now,
                finish: None,
                message: None,
            });
        }
    }

    /// Closes the newest open entry of that name.
    pub(crate) fn end_action(&mut self, id: &str, action: &str, failed: Option<&str>) {
        let now = self.now();
        let Some(server) = self.st.nova.servers.get_mut(id) else { return };
        if let Some(message) = failed {
            server.fault = Some(Fault { code: 500, message: message.to_owned(), created_at: now });
        }
        let open =
            server.actions.iter_mut().rev().find(|a| a.action == action && a.finish.is_none());
        if let Some(entry) = open {
            entry.finish = Some(now);
            entry.message = failed.map(|_| "Error".to_owned());
        }
    }
}
