//! From BUILD to ACTIVE: scheduling, the cap on parallel builds, volumes and ports of a new server.

use std::{collections::HashMap, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    model::{Disk, Fault, Server},
    work::Job,
};
use crate::cloud::cinder::kit::{Refusal, World};

const NO_HOST: &str = "No valid host was found. There are not enough hosts available.";

impl World<'_> {
    /// Names of the compute hosts.
    pub(crate) fn computes(&self) -> Vec<String> {
        if self.st.nova.computes.is_empty() {
            (1..=4).map(|n| format!("{}-compute-{n}", self.inner.name)).collect()
        } else {
            self.st.nova.computes.clone()
        }
    }

    /// Lets waiting builds start while there are slots.
    pub(crate) fn start_builds(&mut self) {
        let cap = self.inner.profile.builds_at_once.max(1);
        while self.st.nova.building.len() < cap {
            let Some(id) = self.st.nova.waiting.pop_front() else { break };
            self.start_build(&id);
        }
    }

    fn start_build(&mut self, id: &str) {
        let Some(server) = self.st.nova.servers.get(id).filter(|s| s.vm_state == "building") else {
            return;
        };
        let server = server.clone();
        self.st.nova.building.insert(id.to_owned());
        let begun = self.place(&server).and_then(|host| {
            self.edit_server(id, |s| {
                s.host = Some(host);
                s.task_state = Some("networking".to_owned());
            });
            self.bind_nics(&server)?;
            self.make_volumes(&server)
        });
        if let Err(refusal) = begun {
            self.fail_build(id, &refusal.message);
            return;
        }
        self.edit_server(id, |s| s.task_state = Some("spawning".to_owned()));
        let after = self.draw(self.inner.profile.server_build_ms, &format!("build/{id}"));
        self.server_later(after, Job::Build { server: id.to_owned() });
    }

    /// A host that the server's group allows, the least loaded first.
    fn place(&self, server: &Server) -> Result<String, Refusal> {
        let mut load: HashMap<String, usize> =
            self.computes().into_iter().map(|host| (host, 0)).collect();
        let group = server.group_id.as_ref().and_then(|g| self.st.nova.groups.get(g));
        let mut mates: Vec<&str> = Vec::new();
        for other in self.st.nova.servers.values().filter(|s| !s.deleted && s.id != server.id) {
            let Some(host) = other.host.as_deref() else { continue };
            if let Some(count) = load.get_mut(host) {
                *count += 1;
            }
            if group.is_some_and(|g| g.members.contains(&other.id)) {
                mates.push(host);
            }
        }
        let policy = group.map_or("", |g| g.policy.as_str());
        let mut hosts: Vec<(bool, usize, String)> = load
            .into_iter()
            .filter(|(host, _)| match policy {
                "affinity" => mates.is_empty() || mates.contains(&host.as_str()),
                "anti-affinity" => !mates.contains(&host.as_str()),
                _ => true,
            })
            .map(|(host, count)| {
                let with_mates = mates.contains(&host.as_str());
                let disliked = match policy {
                    "soft-affinity" => !with_mates,
                    "soft-anti-affinity" => with_mates,
                    _ => false,
                };
                (disliked, count, host)
            })
            .collect();
        hosts.sort();
        hosts.into_iter().next().map(|(_, _, host)| host).ok_or_else(|| Refusal::broken(NO_HOST))
    }

    fn bind_nics(&mut self, server: &Server) -> Result<(), Refusal> {
        let zone = server.pinned_zone.as_deref().unwrap_or("nova");
        let host = self.st.nova.servers.get(&server.id).and_then(|s| s.host.clone());
        let host = host.unwrap_or_default();
        for (index, nic) in server.nics.iter().enumerate() {
            let port = self.plug(server, nic, &host, zone)?;
            self.edit_server(&server.id, |s| {
                if let Some(nic) = s.nics.get_mut(index) {
                    nic.port_id = Some(port);
                }
            });
        }
        Ok(())
    }

    /// Volumes that Nova makes itself, from images, snapshots or nothing.
    fn make_volumes(&mut self, server: &Server) -> Result<(), Refusal> {
        let who = self.owner_of(server);
        for (index, disk) in server.volumes.iter().enumerate() {
            if disk.destination != "volume" || disk.volume_id.is_some() {
                continue;
            }
            let volume = self.create_volume(&who, &volume_request(disk))?;
            self.edit_server(&server.id, |s| {
                if let Some(disk) = s.volumes.get_mut(index) {
                    disk.volume_id = Some(volume);
                }
            });
        }
        Ok(())
    }

    pub(crate) fn finish_build(&mut self, id: &str) {
        let Some(server) = self.st.nova.servers.get(id).cloned() else { return };
        if server.deleted
            || server.vm_state != "building"
            || server.task_state.as_deref() != Some("spawning")
        {
            return;
        }
        if let Some(message) = self.st.nova.failing_builds.get(&server.name).cloned() {
            self.fail_build(id, &message);
            return;
        }
        let made = |d: &Disk| d.volume_id.as_ref().and_then(|v| self.st.cinder.volumes.get(v));
        let statuses: Vec<&str> =
            server.volumes.iter().filter_map(made).map(|v| v.status.as_str()).collect();
        if statuses.contains(&"creating") || statuses.contains(&"downloading") {
            self.server_later(Duration::from_millis(5), Job::Build { server: id.to_owned() });
            return;
        }
        match self.attach_all(&server) {
            Ok(()) => self.complete_build(id),
            Err(message) => self.fail_build(id, &message),
        }
    }

    fn attach_all(&mut self, server: &Server) -> Result<(), String> {
        for disk in &server.volumes {
            let Some(volume) = &disk.volume_id else { continue };
            let attachment = match &disk.attachment_id {
                Some(attachment) => attachment.clone(),
                None => {
                    let made = self.reserve_volume(volume, Some(&server.id));
                    let made = made.map_err(|refusal| refusal.message)?.id;
                    self.edit_server(&server.id, |s| {
                        if let Some(d) = s.volumes.iter_mut().find(|d| d.id == disk.id) {
                            d.attachment_id = Some(made.clone());
                        }
                    });
                    made
                }
            };
            self.attach_disk(server, &attachment, disk.device.as_deref())?;
        }
        Ok(())
    }

    /// Connects one attachment to the server's host and completes it.
    pub(crate) fn attach_disk(
        &mut self,
        server: &Server,
        attachment: &str,
        device: Option<&str>,
    ) -> Result<(), String> {
        let host = server.host.clone().ok_or_else(|| NO_HOST.to_owned())?;
        let connector = json!({
            "host": host, "platform": "x86_64", "os_type": "linux", "multipath": true,
            "initiator": format!("iqn.1994-05.com.redhat:{host}"), "mountpoint": device,
        });
        self.connect_attachment(attachment, &host, connector, device)?;
        self.complete_attachment(attachment);
        Ok(())
    }

    fn complete_build(&mut self, id: &str) {
        let now = self.now();
        self.edit_server(id, |s| {
            s.vm_state = "active".to_owned();
            s.task_state = None;
            s.power_state = 1;
            s.launched_at = Some(now);
        });
        self.end_action(id, "create", None);
        self.st.nova.building.remove(id);
        self.start_builds();
    }

    /// ERROR with a fault. Volumes are given back; ports stay with the server until it is deleted.
    fn fail_build(&mut self, id: &str, message: &str) {
        let now = self.now();
        let message = message.to_owned();
        let attachments: Vec<String> = self
            .st
            .nova
            .servers
            .get(id)
            .map(|s| s.volumes.iter().filter_map(|d| d.attachment_id.clone()).collect())
            .unwrap_or_default();
        for attachment in attachments {
            self.delete_attachment(&attachment);
        }
        self.edit_server(id, |s| {
            s.vm_state = "error".to_owned();
            s.task_state = None;
            s.host = None;
            for disk in &mut s.volumes {
                disk.attachment_id = None;
            }
        });
        self.end_action(id, "create", Some(&message));
        if let Some(server) = self.st.nova.servers.get_mut(id) {
            server.fault = Some(Fault { code: 500, message, created_at: now });
        }
        self.st.nova.building.remove(id);
        self.start_builds();
    }
}

/// What Nova asks of Cinder for a device.
fn volume_request(disk: &Disk) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("size".to_owned(), json!(disk.size));
    body.insert("name".to_owned(), json!(""));
    let source = match disk.source.as_str() {
        "image" => Some("imageRef"),
        "snapshot" => Some("snapshot_id"),
        _ => None,
    };
    if let (Some(key), Some(id)) = (source, &disk.source_id) {
        body.insert(key.to_owned(), json!(id));
        if disk.source == "snapshot" && disk.size == 0 {
            body.remove("size");
        }
    }
    if let Some(kind) = &disk.volume_type {
        body.insert("volume_type".to_owned(), json!(kind));
    }
    body
}
