//! What cinder-volume does when its time has come.

use serde_json::Value;

use super::{
    driver::Content,
    kit::World,
    model::{Replication, Volume},
};

/// A piece of cinder-volume's work.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    Create { volume: String, content: Content },
    Manage { volume: String, reference: Value },
    Delete { volume: String },
    Unmanage { volume: String },
    Extend { volume: String, gib: u64 },
    Retype { volume: String, type_id: String, migrates: bool },
    Snapshot { snapshot: String },
    DeleteSnapshot { snapshot: String },
}

impl World<'_> {
    pub(crate) fn run_volume_job(&mut self, job: Job) {
        // A service that is down leaves its messages in the queue; only the scheduler answers.
        if self.st.cinder.backend_down && !matches!(job, Job::Create { .. } | Job::Manage { .. }) {
            self.st.cinder.parked.push(job);
            return;
        }
        match job {
            Job::Create { volume, content } => self.finish_create(&volume, &content),
            Job::Manage { volume, reference } => self.finish_manage(&volume, &reference),
            Job::Delete { volume } => self.finish_delete(&volume),
            Job::Unmanage { volume } => self.finish_unmanage(&volume),
            Job::Extend { volume, gib } => self.finish_extend(&volume, gib),
            Job::Retype { volume, type_id, migrates } => {
                self.finish_retype(&volume, &type_id, migrates);
            }
            Job::Snapshot { snapshot } => self.finish_snapshot(&snapshot),
            Job::DeleteSnapshot { snapshot } => self.finish_delete_snapshot(&snapshot),
        }
    }

    /// Changes a volume and stamps it.
    pub(crate) fn edit_volume(&mut self, id: &str, edit: impl FnOnce(&mut Volume)) {
        let now = self.now();
        if let Some(volume) = self.st.cinder.volumes.get_mut(id) {
            edit(volume);
            volume.updated_at = Some(now);
        }
    }

    fn in_status(&self, id: &str, status: &str) -> Option<Volume> {
        self.st.cinder.volumes.get(id).filter(|v| v.status == status).cloned()
    }

    fn finish_create(&mut self, id: &str, content: &Content) {
        let Some(volume) = self.in_status(id, "creating") else { return };
        let kind = self.volume_type(volume.type_id.as_deref());
        if !self.backend_takes(kind.as_ref()) {
            // The scheduler: no valid backend, and so no host.
            self.edit_volume(id, |v| v.status = "error".to_owned());
            return;
        }
        let pool = self.pool();
        let service = self.service_uuid();
        let made = self.driver_create(&volume, content);
        self.edit_volume(id, |v| {
            v.host = Some(pool);
            v.service_uuid = Some(service);
            match made {
                Ok(report) => {
                    v.status = "available".to_owned();
                    v.replication_status = Some(report.replication_status.to_owned());
                    v.metadata.extend(report.metadata);
                    v.provider_id = Some(report.provider_id);
                }
                Err(why) => {
                    tracing::debug!(volume = v.id, why, "simulated cinder: create failed");
                    v.status = "error".to_owned();
                }
            }
        });
    }

    fn finish_manage(&mut self, id: &str, reference: &Value) {
        let Some(volume) = self.in_status(id, "managing") else { return };
        let kind = self.volume_type(volume.type_id.as_deref());
        if kind.is_some_and(|kind| kind.replication() == Replication::Sync) && !self.pod_is_whole()
        {
            // The driver waits for the partner array, for ever.
            return;
        }
        let outcome = self.manage_now(&volume, reference);
        self.edit_volume(id, |v| match outcome {
            Ok((size, report)) => {
                v.status = "available".to_owned();
                v.size = size;
                v.counted = true;
                v.replication_status = Some(report.replication_status.to_owned());
                // Replaces what the request gave.
                v.metadata = report.metadata;
                v.provider_id = Some(report.provider_id);
            }
            Err(why) => {
                tracing::debug!(volume = v.id, why, "simulated cinder: manage failed");
                v.status = "error_managing".to_owned();
            }
        });
    }

    fn manage_now(
        &self,
        volume: &Volume,
        reference: &Value,
    ) -> Result<(u64, super::driver::Report), String> {
        let kind = self.volume_type(volume.type_id.as_deref());
        if !self.backend_takes(kind.as_ref()) {
            return Err("No valid backend was found.".to_owned());
        }
        let size = self.driver_manage_size(reference)?;
        self.quota_room(&volume.project_id, 1, size).map_err(|refusal| refusal.message)?;
        Ok((size, self.driver_manage(volume, reference)?))
    }

    fn finish_delete(&mut self, id: &str) {
        let Some(volume) = self.st.cinder.volumes.get(id).cloned() else { return };
        if !matches!(volume.status.as_str(), "deleting" | "error_managing_deleting") {
            return;
        }
        // A volume whose manage failed was never the driver's.
        let owned = volume.provider_id.is_some() && volume.host.is_some();
        let outcome = if owned { self.driver_delete(&volume.array_name()) } else { Ok(()) };
        match outcome {
            Ok(()) => self.forget_volume(id),
            Err(why) => {
                tracing::debug!(volume = id, why, "simulated cinder: delete failed");
                self.edit_volume(id, |v| v.status = "error_deleting".to_owned());
            }
        }
    }

    fn finish_unmanage(&mut self, id: &str) {
        let Some(volume) = self.in_status(id, "unmanaging") else { return };
        match self.driver_unmanage(&volume) {
            Ok(()) => self.forget_volume(id),
            Err(why) => {
                tracing::debug!(volume = id, why, "simulated cinder: unmanage failed");
                self.edit_volume(id, |v| v.status = "error_unmanaging".to_owned());
            }
        }
    }

    /// Drops the records of a volume.
    pub(crate) fn forget_volume(&mut self, id: &str) {
        self.st.cinder.volumes.remove(id);
        self.st.cinder.attachments.retain(|_, a| a.volume_id != id);
        self.st.cinder.snapshots.retain(|_, s| s.volume_id != id);
    }

    fn finish_extend(&mut self, id: &str, gib: u64) {
        let Some(volume) = self.in_status(id, "extending") else { return };
        let outcome = self.driver_extend(&volume, gib);
        self.edit_volume(id, |v| match outcome {
            Ok(()) => {
                v.size = gib;
                v.status = v.previous_status.take().unwrap_or_else(|| "available".to_owned());
            }
            Err(_) => v.status = "error_extending".to_owned(),
        });
    }

    fn finish_retype(&mut self, id: &str, type_id: &str, migrates: bool) {
        let Some(volume) = self.in_status(id, "retyping") else { return };
        let old = self.volume_type(volume.type_id.as_deref());
        let new = self.volume_type(Some(type_id)).filter(|t| self.backend_takes(Some(t)));
        let outcome = new.and_then(|new| {
            let report = self.driver_retype(&volume, old.as_ref(), &new, migrates);
            let report = report.map_err(|why| {
                tracing::debug!(volume = id, why, "simulated cinder: retype failed");
            });
            Some((report.ok()?, new.multiattach()))
        });
        self.edit_volume(id, |v| {
            v.status = v.previous_status.take().unwrap_or_else(|| "available".to_owned());
            if let Some((report, multiattach)) = outcome {
                v.type_id = Some(type_id.to_owned());
                v.replication_status = Some(report.replication_status.to_owned());
                v.metadata.extend(report.metadata);
                v.provider_id = Some(report.provider_id);
                v.multiattach = multiattach;
            }
        });
    }

    /// The id of the one cinder-volume service.
    pub(crate) fn service_uuid(&self) -> String {
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, self.backend_host().as_bytes()).to_string()
    }
}
