//! Volumes: making, copying, renaming, resizing. Used by REST and by the Cinder simulator's handle.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};

use super::{
    error::{Outcome, Refused},
    fabric::{Fabric, fresh_key},
    model::*,
    names,
};

const MIN_BYTES: u64 = 1 << 20;
const MAX_BYTES: u64 = 4_503_599_627_370_496;

/// What a volume is copied from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// (id, name) of the volume that the data was written to.
    pub origin: (String, String),
    /// Size.
    pub provisioned: u64,
    /// Data.
    pub content: Content,
    /// Where it lies.
    pub home: Home,
    /// Tags that go with a copy.
    pub tags: BTreeMap<(String, String), (String, bool)>,
}

impl Fabric {
    /// Pod and volume group of a name, checked; and the volume's own part.
    pub(crate) fn place_of(&self, at: Key, name: &str) -> Outcome<(Home, Option<Key>, String)> {
        let parts = names::volume(name)?;
        let home = match parts.pod {
            None => Home::Array(at),
            Some(pod) => Home::Pod(self.need_pod(at, pod)?),
        };
        let vgroup = match parts.vgroup {
            None => None,
            Some(vgroup) => {
                let whole = parts.pod.map_or(vgroup.to_owned(), |p| format!("{p}::{vgroup}"));
                let key = self.need(at, Kind::VolumeGroup, &whole)?;
                if self.destroyed_at(Obj::VolumeGroup(key)).is_some() {
                    return Err(Refused::of(&whole, "Volume group has been destroyed."));
                }
                Some(key)
            }
        };
        Ok((home, vgroup, parts.base.to_owned()))
    }

    /// A live pod whose copy on `at` is online.
    pub(crate) fn need_pod(&self, at: Key, name: &str) -> Outcome<Key> {
        let key = self.need(at, Kind::Pod, name)?;
        self.online(at, Home::Pod(key))?;
        if self.destroyed_at(Obj::Pod(key)).is_some() {
            return Err(Refused::of(name, "Pod has been destroyed."));
        }
        Ok(key)
    }

    /// Refuses when the array's copy of the pod is offline.
    pub(crate) fn online(&self, at: Key, home: Home) -> Outcome<()> {
        let Home::Pod(key) = home else { return Ok(()) };
        let Some(pod) = self.pods.get(&key) else { return Ok(()) };
        let offline = |a: &&PodArray| a.array == at && matches!(a.state, PodState::Offline(_));
        match pod.arrays.iter().find(offline) {
            None => Ok(()),
            Some(_) => Err(Refused::of(&pod.name, "Pod is offline on this array.")),
        }
    }

    /// Multiple of 512, 1 MiB to 4 PiB.
    pub(crate) fn check_size(name: &str, bytes: u64) -> Outcome<()> {
        if (MIN_BYTES..=MAX_BYTES).contains(&bytes) && bytes.is_multiple_of(512) {
            return Ok(());
        }
        Err(Refused::of(
            name,
            "Volume size must be between 1 MB and 4 PB and a multiple of 512 bytes.",
        ))
    }

    /// A new volume, empty or a copy.
    pub(crate) fn create_volume(
        &mut self,
        at: Key,
        name: &str,
        bytes: u64,
        source: Option<&Source>,
    ) -> Outcome<Key> {
        let (home, vgroup, base) = self.place_of(at, name)?;
        if self.find(at, Kind::Volume, name).is_some() {
            return Err(Refused::of(name, "Volume already exists."));
        }
        self.copy_may_enter(name, home, source)?;
        let provisioned = source.map_or(bytes, |s| s.provisioned.max(bytes));
        Self::check_size(name, provisioned)?;
        let key = fresh_key();
        let volume = Volume {
            id: self.draw_id(at, "volume"),
            serial: self.draw_serial(at),
            home,
            vgroup,
            base,
            provisioned,
            created: self.now,
            destroyed: None,
            source: source.map(|s| s.origin.clone()),
            content: source.map_or_else(|| Arc::new(Vec::new()), |s| s.content.clone()),
            demoted: false,
            qos: json!({}),
            tags: source.map(|s| s.tags.clone()).unwrap_or_default(),
            groups: BTreeSet::new(),
            snaps: Vec::new(),
            next_number: 1,
        };
        self.volumes.insert(key, volume);
        self.index(Obj::Volume(key));
        Ok(key)
    }

    fn copy_may_enter(&self, name: &str, home: Home, source: Option<&Source>) -> Outcome<()> {
        let Home::Pod(pod) = home else { return Ok(()) };
        let stretched = self.pods.get(&pod).is_some_and(|p| p.arrays.len() > 1);
        match source {
            Some(source) if stretched && source.home != home => Err(Refused::of(
                name,
                "Cannot copy a volume into a stretched pod from outside the pod.",
            )),
            _ => Ok(()),
        }
    }

    /// Puts another content into a live volume; name, serial and connections stay.
    pub(crate) fn overwrite_volume(&mut self, key: Key, source: &Source) -> Outcome<()> {
        let name = self.volume_name(key);
        let Some(volume) = self.volumes.get(&key) else {
            return Err(Refused::of(&name, "Volume does not exist."));
        };
        if volume.destroyed.is_some() {
            return Err(Refused::of(&name, "Volume has been destroyed."));
        }
        self.copy_may_enter(&name, volume.home, Some(source))?;
        if let Some(volume) = self.volumes.get_mut(&key) {
            volume.content = source.content.clone();
            volume.provisioned = source.provisioned;
            volume.source = Some(source.origin.clone());
        }
        Ok(())
    }

    /// A live volume, or a live and complete snapshot, to copy from.
    pub(crate) fn copy_source(&self, at: Key, name: &str) -> Outcome<Source> {
        if let Some(key) = self.find(at, Kind::Volume, name) {
            return self.volume_source(key);
        }
        match self.find(at, Kind::Snapshot, name) {
            Some(key) => self.snap_source(key),
            None => Err(Refused::of(name, "Source does not exist. No such volume or snapshot.")),
        }
    }

    /// The same by id.
    pub(crate) fn copy_source_by_id(&self, at: Key, id: &str) -> Outcome<Source> {
        match self.by_id(at, Kind::Volume, id) {
            Ok(key) => self.volume_source(key),
            Err(_) => match self.by_id(at, Kind::Snapshot, id) {
                Ok(key) => self.snap_source(key),
                Err(_) => {
                    Err(Refused::of(id, "Source does not exist. No such volume or snapshot."))
                }
            },
        }
    }

    pub(crate) fn volume_source(&self, key: Key) -> Outcome<Source> {
        let name = self.volume_name(key);
        let Some(v) = self.volumes.get(&key) else {
            return Err(Refused::of(&name, "Volume does not exist."));
        };
        let remnant = match v.home {
            Home::Pod(pod) => self.pods.get(&pod).is_some_and(|p| p.remnant),
            Home::Array(_) => false,
        };
        if v.destroyed.is_some() && !remnant {
            return Err(Refused::of(&name, "Source volume has been destroyed."));
        }
        let copyable = v.tags.iter().filter(|(_, (_, copyable))| *copyable);
        Ok(Source {
            origin: (v.id.clone(), name),
            provisioned: v.provisioned,
            content: v.content.clone(),
            home: v.home,
            tags: copyable.map(|(k, t)| (k.clone(), t.clone())).collect(),
        })
    }

    pub(crate) fn snap_source(&self, key: Key) -> Outcome<Source> {
        let name = self.snap_name(key);
        let Some(s) = self.snaps.get(&key) else {
            return Err(Refused::of(&name, "Volume snapshot does not exist."));
        };
        if s.destroyed.is_some() {
            return Err(Refused::of(&name, "Source snapshot has been destroyed."));
        }
        if let SnapOwner::Group(group) = s.owner
            && !self.is_complete(group)
        {
            return Err(Refused::of(
                &name,
                "Volume snapshot is still being replicated and cannot be copied yet.",
            ));
        }
        let home = self.snap_home(s).unwrap_or(Home::Pod(0));
        Ok(Source {
            origin: s.source.clone(),
            provisioned: s.provisioned,
            content: s.content.clone(),
            home,
            tags: BTreeMap::new(),
        })
    }

    /// A new name in the same pod and volume group; `name` may repeat these or leave them out.
    pub(crate) fn rename_volume(&mut self, at: Key, key: Key, name: &str) -> Outcome<()> {
        let old = self.volume_name(key);
        let stem = &old[..old.rfind(['/', ':']).map_or(0, |i| i + 1)];
        let bare = !name.contains('/') && !name.contains("::");
        let whole = if bare { format!("{stem}{name}") } else { name.to_owned() };
        let (home, vgroup, base) = self.place_of(at, &whole)?;
        let same = self.volumes.get(&key).is_some_and(|v| v.home == home && v.vgroup == vgroup);
        if !same {
            return Err(Refused::of(
                &old,
                "Volume cannot be moved by renaming: set pod or volume_group.",
            ));
        }
        if self.find(at, Kind::Volume, &whole).is_some_and(|other| other != key) {
            return Err(Refused::of(&whole, "Volume already exists."));
        }
        let scope = self.scope_of_volume(key);
        self.renaming(&scope, |f| {
            if let Some(v) = f.volumes.get_mut(&key) {
                v.base = base;
            }
        });
        Ok(())
    }

    /// Another size; smaller only with `truncate`.
    pub(crate) fn resize_volume(&mut self, key: Key, bytes: u64, truncate: bool) -> Outcome<()> {
        let name = self.volume_name(key);
        Self::check_size(&name, bytes)?;
        if let Some(v) = self.volumes.get_mut(&key) {
            if bytes < v.provisioned && !truncate {
                return Err(Refused::of(&name, "Implicit truncation not permitted."));
            }
            v.provisioned = bytes;
        }
        Ok(())
    }

    /// Destroys a volume; connected ones only where the array was told to be lenient.
    pub(crate) fn destroy_volume(&mut self, key: Key) -> Outcome<()> {
        let name = self.volume_name(key);
        let Some(v) = self.volumes.get(&key) else {
            return Err(Refused::of(&name, "Volume does not exist."));
        };
        if v.destroyed.is_some() {
            return Err(Refused::of(&name, "Volume has been destroyed."));
        }
        let holders = self.holders(v.home);
        let strict = |at: &Key| {
            self.units.get(at).is_some_and(|u| u.config.strict.refuse_destroying_connected)
        };
        if holders.iter().any(|at| strict(at) && self.connection_count(*at, key) > 0) {
            return Err(Refused::of(
                &name,
                "Volume cannot be deleted due to existing connections.",
            ));
        }
        for at in holders {
            if let Some(unit) = self.units.get_mut(&at) {
                unit.connections.retain(|(v, _), _| *v != key);
            }
        }
        self.mark_destroyed(Obj::Volume(key));
        Ok(())
    }

    /// A snapshot of one volume.
    pub(crate) fn snapshot_volume(
        &mut self,
        at: Key,
        key: Key,
        suffix: Option<&str>,
    ) -> Outcome<Key> {
        let name = self.volume_name(key);
        if self.volumes.get(&key).is_some_and(|v| v.destroyed.is_some()) {
            return Err(Refused::of(&name, "Volume has been destroyed."));
        }
        let suffix = match suffix {
            Some(suffix) => {
                names::suffix(&name, suffix)?;
                let whole = format!("{name}.{suffix}");
                if self.find(at, Kind::Snapshot, &whole).is_some() {
                    return Err(Refused::of(&whole, "Volume snapshot already exists."));
                }
                suffix.to_owned()
            }
            None => self.next_volume_suffix(at, key),
        };
        let id = self.draw_id(at, "snapshot");
        let serial = self.draw_serial(at);
        let created = self.now;
        let snap_key = fresh_key();
        let Some(v) = self.volumes.get_mut(&key) else {
            return Err(Refused::of(&name, "Volume does not exist."));
        };
        v.snaps.push(snap_key);
        let snap = Snap {
            id,
            serial,
            owner: SnapOwner::Volume(key),
            part: suffix,
            source: (v.id.clone(), name),
            volume: key,
            created,
            destroyed: None,
            provisioned: v.provisioned,
            content: v.content.clone(),
        };
        self.snaps.insert(snap_key, snap);
        self.index(Obj::Snap(snap_key));
        Ok(snap_key)
    }

    fn next_volume_suffix(&mut self, at: Key, key: Key) -> String {
        let name = self.volume_name(key);
        loop {
            let Some(v) = self.volumes.get_mut(&key) else { return "1".into() };
            let number = v.next_number;
            v.next_number += 1;
            if self.find(at, Kind::Snapshot, &format!("{name}.{number}")).is_none() {
                return number.to_string();
            }
        }
    }

    /// Sets one tag.
    pub(crate) fn tag_volume(
        &mut self,
        key: Key,
        namespace: &str,
        tag: &str,
        value: &str,
        copyable: bool,
    ) {
        if let Some(v) = self.volumes.get_mut(&key) {
            v.tags.insert((namespace.into(), tag.into()), (value.into(), copyable));
        }
    }

    /// Adds one stamp to what a volume holds.
    pub(crate) fn write(&mut self, at: Key, key: Key, stamp: &str) -> Outcome<()> {
        let name = self.volume_name(key);
        let Some(v) = self.volumes.get(&key) else {
            return Err(Refused::of(&name, "Volume does not exist."));
        };
        if v.destroyed.is_some() {
            return Err(Refused::of(&name, "Volume has been destroyed."));
        }
        self.online(at, v.home)?;
        let pod_demoted = match v.home {
            Home::Pod(pod) => self.pods.get(&pod).is_some_and(|p| p.demoted),
            Home::Array(_) => false,
        };
        if v.demoted || pod_demoted {
            return Err(Refused::of(&name, "Volume is demoted and accepts no writes."));
        }
        if let Some(v) = self.volumes.get_mut(&key) {
            Arc::make_mut(&mut v.content).push(Arc::from(stamp));
        }
        Ok(())
    }
}

/// `{"name": ...}` or `{"id": ...}` of a reference in a body.
pub(crate) fn reference(value: Option<&Value>) -> Option<(&str, bool)> {
    let value = value?;
    match (value.get("name").and_then(Value::as_str), value.get("id").and_then(Value::as_str)) {
        (Some(name), _) => Some((name, true)),
        (None, Some(id)) => Some((id, false)),
        (None, None) => None,
    }
}
