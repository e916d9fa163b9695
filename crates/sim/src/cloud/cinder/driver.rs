//! What Cinder's Pure driver (29.0.0) does on the array, in its order and with its side effects.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    kit::World,
    model::{Replication, Volume, VolumeType, array_name_of},
};
use crate::array::ArrayRefusal;

/// The backend's section in cinder.conf, its `volume_backend_name` and its pool.
pub(crate) const BACKEND: &str = "pure";
/// `pure_replication_pg_name`.
pub(crate) const GROUP: &str = "cinder-group";
/// `pure_replication_pod_name`.
pub(crate) const POD: &str = "cinder-pod";
const TAGS: &str = "openstack-integration.purestorage.com";
const GIB: u64 = 1 << 30;

/// What a new volume is filled with.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Empty,
    /// A clone of this array volume.
    CloneOf(String),
    /// The bytes of this image.
    Image(String),
}

/// Why the driver could not; logged by the real one, visible only as an error status.
pub(crate) type Driver<T> = Result<T, String>;

fn said(refusal: ArrayRefusal) -> String {
    refusal.to_string()
}

fn gone(refusal: &ArrayRefusal) -> bool {
    refusal.0.contains("does not exist") || refusal.0.contains("has been destroyed")
}

/// What the driver reports of a volume it made or took over.
pub(crate) struct Report {
    pub provider_id: String,
    pub replication_status: &'static str,
    pub metadata: BTreeMap<String, String>,
}

impl World<'_> {
    /// `site-a@pure`.
    pub(crate) fn backend_host(&self) -> String {
        format!("{}@{BACKEND}", self.inner.name)
    }

    /// `site-a@pure#pure`.
    pub(crate) fn pool(&self) -> String {
        format!("{}#{BACKEND}", self.backend_host())
    }

    pub(crate) fn volume_type(&self, id: Option<&str>) -> Option<VolumeType> {
        self.st.cinder.types.get(id?).cloned()
    }

    /// The scheduler's capability filter over this one backend.
    pub(crate) fn backend_takes(&self, kind: Option<&VolumeType>) -> bool {
        if self.st.cinder.backend_down {
            return false;
        }
        let Some(kind) = kind else { return true };
        let name_fits =
            kind.extra_specs.get("volume_backend_name").is_none_or(|name| name == BACKEND);
        name_fits
            && match kind.replication() {
                Replication::None => true,
                Replication::Async => self.st.cinder.replication_target.is_some(),
                Replication::Sync => self.st.cinder.sync_pod.is_some(),
            }
    }

    /// Where a volume of this kind of replication belongs: in the pod, or on the array itself.
    fn name_for(&self, id: &str, replication: Replication) -> String {
        match (&self.st.cinder.sync_pod, replication) {
            (Some(pod), Replication::Sync) => format!("{pod}::{}", array_name_of(id)),
            _ => array_name_of(id),
        }
    }

    /// False while one of the pod's arrays is not there: then nothing can be brought into it.
    pub(crate) fn pod_is_whole(&self) -> bool {
        self.st.cinder.sync_pod.as_ref().is_some_and(|pod| self.inner.array.pod_is_online(pod))
    }

    fn report(&self, name: String, replicated: bool) -> Report {
        Report {
            replication_status: if replicated { "enabled" } else { "disabled" },
            metadata: BTreeMap::from([
                ("array_volume_name".to_owned(), name.clone()),
                ("array_name".to_owned(), self.inner.array.name()),
            ]),
            provider_id: name,
        }
    }

    /// The driver's own group, replicated to the other array; made at the service's start and again
    /// whenever it is missing.
    pub(crate) fn ensure_group(&self) -> Driver<()> {
        let Some(target) = &self.st.cinder.replication_target else {
            return Err("no replication_device is configured".to_owned());
        };
        self.inner.array.ensure_protection_group(GROUP, target).map_err(said)
    }

    fn join_group(&self, name: &str) -> Driver<()> {
        self.ensure_group()?;
        self.inner.array.join_protection_group(GROUP, name).map_err(said)
    }

    /// Out of every group that replicates, whoever made it.
    fn leave_replicated_groups(&self, name: &str) -> Driver<()> {
        let Some(view) = self.inner.array.volume(name) else { return Ok(()) };
        if !view.protection_groups.iter().any(|(_, replicates)| *replicates) {
            return Ok(());
        }
        for (group, _) in &view.protection_groups {
            self.inner.array.leave_protection_group(group, name).map_err(said)?;
        }
        Ok(())
    }

    fn tag(&self, name: &str, volume: &Volume) -> Driver<()> {
        let array = &self.inner.array;
        array.tag_volume(name, TAGS, "ProjectId", &volume.project_id).map_err(said)?;
        let kind = if volume.bootable { "Boot" } else { "Data" };
        array.tag_volume(name, TAGS, "VolType", kind).map_err(said)
    }

    pub(crate) fn driver_create(&self, volume: &Volume, content: &Content) -> Driver<Report> {
        let array = &self.inner.array;
        let kind = self.volume_type(volume.type_id.as_deref());
        let replication = kind.map_or(Replication::None, |k| k.replication());
        let name = self.name_for(&volume.id, replication);
        let bytes = volume.size * GIB;
        match content {
            Content::Empty => drop(array.create_volume(&name, bytes).map_err(said)?),
            Content::CloneOf(source) => {
                let view = array.clone_volume(source, &name).map_err(said)?;
                if view.provisioned < bytes {
                    array.extend_volume(&name, bytes).map_err(said)?;
                }
            }
            Content::Image(image) => {
                array.create_volume(&name, bytes).map_err(said)?;
                // cinder-volume attaches the new volume to its own host and copies.
                let host = self.array_host("cinder-volume");
                array.connect(&host, &name).map_err(said)?;
                array.write(&host, &name, &format!("image:{image}")).map_err(said)?;
                array.disconnect(&host, &name).map_err(said)?;
            }
        }
        if replication == Replication::Async {
            self.join_group(&name)?;
        }
        self.tag(&name, volume)?;
        Ok(self.report(name, replication != Replication::None))
    }

    /// `manage_existing_get_size`: GiB, rounded up.
    pub(crate) fn driver_manage_size(&self, reference: &Value) -> Driver<u64> {
        let name = source_name(reference)?;
        let view = self
            .inner
            .array
            .volume(name)
            .filter(|v| !v.destroyed)
            .ok_or_else(|| format!("Unable to find Purity ref with name={name}"))?;
        Ok(view.provisioned.div_ceil(GIB).max(1))
    }

    pub(crate) fn driver_manage(&self, volume: &Volume, reference: &Value) -> Driver<Report> {
        let array = &self.inner.array;
        let source = source_name(reference)?;
        let view = array
            .volume(source)
            .filter(|v| !v.destroyed)
            .ok_or_else(|| format!("Unable to find Purity ref with name={source}"))?;
        if view.safemode_locked {
            return Err("manage_existing cannot manage a SafeMode protected volume".to_owned());
        }
        if view.in_stretched_pod {
            return Err("manage_existing cannot manage a volume in a replicated pod".to_owned());
        }
        if view.connection_count > 0 {
            return Err("manage_existing cannot manage a volume connected to hosts".to_owned());
        }
        let kind = self
            .volume_type(volume.type_id.as_deref())
            .ok_or_else(|| "manage_existing needs a volume type".to_owned())?;
        let new = self.name_for(&volume.id, kind.replication());
        match kind.replication() {
            Replication::Async => {
                array.rename_volume(source, &new).map_err(said)?;
                self.join_group(&new)?;
            }
            Replication::None => {
                array.rename_volume(source, &new).map_err(said)?;
                self.leave_replicated_groups(&new)?;
            }
            Replication::Sync => array.migrate_volume(source, &new).map_err(said)?,
        }
        self.tag(&new, volume)?;
        Ok(self.report(new, kind.replication() != Replication::None))
    }

    /// Tags go, the name gets a suffix; groups stay.
    pub(crate) fn driver_unmanage(&self, volume: &Volume) -> Driver<()> {
        const SUFFIX: &str = "-unmanaged";
        let name = volume.array_name();
        let new = if name.len() + SUFFIX.len() > 63 {
            format!("{}{SUFFIX}", &name[..name.len() - SUFFIX.len()])
        } else {
            format!("{name}{SUFFIX}")
        };
        self.inner.array.untag_volume(&name, TAGS).map_err(said)?;
        self.inner.array.rename_volume(&name, &new).map_err(said)
    }

    /// Disconnects all hosts and destroys; a volume that is gone is fine.
    pub(crate) fn driver_delete(&self, array_name: &str) -> Driver<()> {
        match self.inner.array.volume(array_name) {
            None => Ok(()),
            Some(view) if view.destroyed => Ok(()),
            Some(_) => self.inner.array.destroy_volume(array_name).map_err(said),
        }
    }

    pub(crate) fn driver_snapshot(&self, volume: &str, id: &str) -> Driver<()> {
        self.inner.array.snapshot_volume(volume, &format!("snapshot-{id}")).map_err(said)
    }

    /// A snapshot that is gone is fine.
    pub(crate) fn driver_delete_snapshot(&self, name: &str) -> Driver<()> {
        match self.inner.array.destroy_snapshot(name) {
            Err(refusal) if !gone(&refusal) => Err(said(refusal)),
            _ => Ok(()),
        }
    }

    pub(crate) fn driver_extend(&self, volume: &Volume, gib: u64) -> Driver<()> {
        self.inner.array.extend_volume(&volume.array_name(), gib * GIB).map_err(said)
    }

    /// A new type on the same backend: group memberships change. Into and out of a stretched pod nothing moves: the
    /// driver refuses, and with `migrates` (migration policy `on-demand`) Cinder copies to a new array volume, which
    /// takes the old one's place. That needs the pod at both arrays.
    pub(crate) fn driver_retype(
        &self,
        volume: &Volume,
        old: Option<&VolumeType>,
        new: &VolumeType,
        migrates: bool,
    ) -> Driver<Report> {
        let name = volume.array_name();
        let (was, will) =
            (old.map_or(Replication::None, VolumeType::replication), new.replication());
        let mut now = name.clone();
        if (was == Replication::Sync) != (will == Replication::Sync) {
            if !migrates {
                return Err("a volume cannot be moved into or out of a stretched pod".to_owned());
            }
            if !self.pod_is_whole() {
                return Err("the replication pod is not online at both arrays".to_owned());
            }
            now = self.name_for(&volume.id, will);
            if was == Replication::Async {
                self.inner.array.leave_protection_group(GROUP, &name).map_err(said)?;
            }
            self.inner.array.migrate_volume(&name, &now).map_err(said)?;
            self.tag(&now, volume)?;
            if will == Replication::Async {
                self.join_group(&now)?;
            }
        } else if was == Replication::Async && will != Replication::Async {
            self.inner.array.leave_protection_group(GROUP, &name).map_err(said)?;
        } else if will == Replication::Async && was != Replication::Async {
            self.join_group(&now)?;
        }
        Ok(self.report(now, will != Replication::None))
    }

    /// The array's host object for a compute host: `<host, at most 23>-<32 hex>-cinder`.
    pub(crate) fn array_host(&self, compute: &str) -> String {
        let digest = Sha256::digest(format!("{}/{compute}", self.inner.name));
        let hex: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
        let short: String = compute.chars().take(23).collect();
        format!("{short}-{hex}-cinder")
    }

    pub(crate) fn driver_connect(
        &self,
        array_name: &str,
        compute: &str,
    ) -> Driver<(String, Value)> {
        if self.st.cinder.backend_down {
            return Err("cinder-volume did not answer".to_owned());
        }
        let host = self.array_host(compute);
        let lun = self.inner.array.connect(&host, array_name).map_err(said)?;
        let info = json!({
            "driver_volume_type": "iscsi",
            "data": {
                "target_discovered": false, "discard": true, "target_lun": lun,
                "target_luns": [lun], "access_mode": "rw", "encrypted": false,
                "target_iqn": format!("iqn.2010-06.com.purestorage:flasharray.{}", self.inner.array.name()),
            },
        });
        Ok((host, info))
    }
}

/// Only `source-name` is a reference.
fn source_name(reference: &Value) -> Driver<&str> {
    reference.get("source-name").and_then(Value::as_str).filter(|name| !name.is_empty()).ok_or_else(
        || {
            "manage_existing requires a 'source-name' key to identify an existing volume."
                .to_owned()
        },
    )
}
