//! What a simulated Cinder (in the role of its Pure driver) does with an array, without HTTP.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use protector_types::Clock;
use serde_json::Value;

use super::{
    config::ArrayConfig,
    error::{Outcome, Refused},
    fabric::{Fabric, fresh_key},
    model::*,
    wire,
};

/// An array's refusal, in the array's own words ("... does not exist", "... already exists").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArrayRefusal(pub String);

impl From<Refused> for ArrayRefusal {
    fn from(refused: Refused) -> Self {
        Self(refused.line())
    }
}

/// A volume as the driver sees it.
#[derive(Debug, Clone)]
pub struct VolumeView {
    /// Array id; survives renames.
    pub id: String,
    /// Today's name.
    pub name: String,
    /// 24 hex digits; survives renames.
    pub serial: String,
    /// Bytes.
    pub provisioned: u64,
    /// Hosts connected.
    pub connection_count: usize,
    /// Destroyed, waiting for eradication.
    pub destroyed: bool,
    /// Local protection groups it is in, and whether each replicates to a target.
    pub protection_groups: Vec<(String, bool)>,
    /// In a pod that is stretched or linked.
    pub in_stretched_pod: bool,
    /// A member of a protection group with `retention_lock: ratcheted`.
    pub safemode_locked: bool,
}

/// Which fabric an array is in: it changes when arrays are linked.
type Slot = Arc<RwLock<Arc<Shared>>>;

/// A fabric, and the slots of its arrays.
struct Shared {
    fabric: Mutex<Fabric>,
    slots: Mutex<Vec<Slot>>,
}

/// A handle on one array; clones share it.
#[derive(Clone)]
pub struct Array {
    key: Key,
    config: Arc<ArrayConfig>,
    slot: Slot,
}

impl std::fmt::Debug for Array {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Array").field("name", &self.config.name).finish_non_exhaustive()
    }
}

type Answer<T> = Result<T, ArrayRefusal>;

impl Array {
    /// An array that knows no other.
    pub fn new(config: ArrayConfig) -> Self {
        let key = fresh_key();
        let config = Arc::new(config);
        let shared = Arc::new(Shared {
            fabric: Mutex::new(Fabric::new(key, config.clone())),
            slots: Mutex::new(Vec::new()),
        });
        let slot: Slot = Arc::new(RwLock::new(shared.clone()));
        shared.slots.lock().push(slot.clone());
        Self { key, config, slot }
    }

    /// Both arrays once more, as they are now and linked as they are, with a state of their own under this clock.
    pub(crate) fn fork_pair(pair: [&Self; 2], clock: &Arc<dyn Clock>) -> [Self; 2] {
        let mut made: Vec<(Arc<Shared>, Arc<Shared>)> = Vec::new();
        pair.map(|array| {
            // Up to its own clock first.
            array.locked(|_, _| ());
            let original = array.slot.read().clone();
            let known = made.iter().find(|(old, _)| Arc::ptr_eq(old, &original));
            let shared = known.map(|(_, new)| new.clone()).unwrap_or_else(|| {
                let fabric = original.fabric.lock().fork(clock);
                let shared =
                    Arc::new(Shared { fabric: Mutex::new(fabric), slots: Mutex::new(Vec::new()) });
                made.push((original.clone(), shared.clone()));
                shared
            });
            let slot: Slot = Arc::new(RwLock::new(shared.clone()));
            shared.slots.lock().push(slot.clone());
            let config = ArrayConfig { clock: clock.clone(), ..array.config.as_ref().clone() };
            Self { key: array.key, config: Arc::new(config), slot }
        })
    }

    /// Connects two arrays for asynchronous and synchronous replication, both ways.
    ///
    /// Link before traffic starts: both arrays' states are merged behind one lock. An array linked to
    /// itself stays as it is.
    pub fn link(a: &Self, b: &Self) {
        Self::link_as(a, b, LinkType::Sync);
    }

    /// Like [`Array::link`], with a choice of what the connection may carry.
    pub fn link_as(a: &Self, b: &Self, kind: LinkType) {
        if a.key == b.key {
            return;
        }
        static LINKING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = LINKING.lock();
        let (ours, theirs) = (a.slot.read().clone(), b.slot.read().clone());
        if !Arc::ptr_eq(&ours, &theirs) {
            let mut into = ours.fabric.lock();
            let mut from = theirs.fabric.lock();
            into.absorb(&mut from);
            let moved: Vec<Slot> = theirs.slots.lock().drain(..).collect();
            for slot in &moved {
                *slot.write() = ours.clone();
            }
            ours.slots.lock().extend(moved);
        }
        a.locked(|f, _| f.rerouting(|f| f.join(a.key, b.key, kind)));
    }

    /// Breaks, degrades or repairs the connection of two arrays; without one nothing happens.
    pub fn set_link(a: &Self, b: &Self, status: LinkStatus) {
        a.locked(|f, _| f.set_link(a.key, b.key, status));
    }

    /// The array loses its power (its stretched pods go on elsewhere), or gets it back (they are brought in step again).
    pub fn set_lost(&self, lost: bool) {
        self.locked(|f, at| f.set_lost(at, lost));
    }

    /// REST 2.x: `/api/api_version` and `/api/2.X/...`.
    pub fn router(&self) -> axum::Router {
        wire::router(self.clone())
    }

    /// The complete state, the tests' oracle (see `dump.rs` for its shape).
    pub fn dump(&self) -> Value {
        self.locked(|f, at| f.dump(at))
    }

    /// What it was made with.
    pub fn config(&self) -> &ArrayConfig {
        &self.config
    }

    /// Ends all sessions, as an array does now and then for reasons of its own.
    pub fn drop_sessions(&self) {
        self.locked(|f, at| {
            if let Some(unit) = f.units.get_mut(&at) {
                unit.sessions.clear();
            }
        });
    }

    /// Works on the state as it is now.
    pub(crate) fn locked<T>(&self, work: impl FnOnce(&mut Fabric, Key) -> T) -> T {
        loop {
            let shared = self.slot.read().clone();
            let mut fabric = shared.fabric.lock();
            // Linked between the two lines above: the state is elsewhere now.
            if fabric.units.contains_key(&self.key) {
                fabric.settle();
                return work(&mut fabric, self.key);
            }
        }
    }

    fn on_volume<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Fabric, Key, Key) -> Outcome<T>,
    ) -> Answer<T> {
        self.locked(|f, at| {
            let volume = f.need(at, Kind::Volume, name)?;
            work(f, at, volume)
        })
        .map_err(ArrayRefusal::from)
    }

    /// The array's name as its peers know it.
    pub fn name(&self) -> String {
        self.locked(|f, at| f.unit_name(at).to_owned())
    }

    /// Its id.
    pub fn id(&self) -> String {
        self.locked(|f, at| f.units.get(&at).map(|u| u.id.clone()).unwrap_or_default())
    }

    /// By name; destroyed ones too.
    pub fn volume(&self, name: &str) -> Option<VolumeView> {
        self.locked(|f, at| {
            let key = f.find(at, Kind::Volume, name)?;
            f.driver_view(at, key)
        })
    }

    /// All volumes that the array shows, destroyed ones too, by name.
    pub fn volumes(&self) -> Vec<VolumeView> {
        self.locked(|f, at| {
            let keys = f.listed(at, Kind::Volume, "");
            keys.into_iter().filter_map(|key| f.driver_view(at, key)).collect()
        })
    }

    /// A new, empty volume.
    pub fn create_volume(&self, name: &str, bytes: u64) -> Answer<VolumeView> {
        self.make(name, |f, at| f.create_volume(at, name, bytes, None))
    }

    /// A thin clone of a live volume (or of a complete snapshot).
    pub fn clone_volume(&self, source: &str, name: &str) -> Answer<VolumeView> {
        self.make(name, |f, at| {
            let source = f.copy_source(at, source)?;
            f.create_volume(at, name, 0, Some(&source))
        })
    }

    fn make(
        &self,
        name: &str,
        work: impl FnOnce(&mut Fabric, Key) -> Outcome<Key>,
    ) -> Answer<VolumeView> {
        self.locked(|f, at| {
            let key = work(f, at)?;
            f.driver_view(at, key).ok_or_else(|| Refused::of(name, "Volume does not exist."))
        })
        .map_err(ArrayRefusal::from)
    }

    /// Renames; ids and serials stay.
    pub fn rename_volume(&self, name: &str, new: &str) -> Answer<()> {
        self.on_volume(name, |f, at, volume| f.rename_volume(at, volume, new))
    }

    /// Grows.
    pub fn extend_volume(&self, name: &str, bytes: u64) -> Answer<()> {
        self.on_volume(name, |f, _, volume| f.resize_volume(volume, bytes, false))
    }

    /// Disconnects all hosts and destroys (does not eradicate).
    pub fn destroy_volume(&self, name: &str) -> Answer<()> {
        self.on_volume(name, |f, at, volume| {
            if f.destroyed_at(Obj::Volume(volume)).is_none() {
                f.unit_mut(at)?.connections.retain(|(v, _), _| *v != volume);
            }
            f.destroy_volume(volume)
        })
    }

    /// Eradicates a destroyed volume.
    pub fn eradicate_volume(&self, name: &str) -> Answer<()> {
        self.on_volume(name, |f, _, volume| {
            f.may_eradicate(Obj::Volume(volume), "Volume", name)?;
            f.eradicate(Obj::Volume(volume));
            Ok(())
        })
    }

    /// A snapshot `volume.suffix` of one volume.
    pub fn snapshot_volume(&self, volume: &str, suffix: &str) -> Answer<()> {
        self.on_volume(volume, |f, at, key| f.snapshot_volume(at, key, Some(suffix)).map(|_| ()))
    }

    /// Destroys a snapshot of one volume (does not eradicate).
    pub fn destroy_snapshot(&self, name: &str) -> Answer<()> {
        self.locked(|f, at| {
            let key = f.need(at, Kind::Snapshot, name)?;
            if f.destroyed_at(Obj::Snap(key)).is_some() {
                return Err(Refused::of(name, "Volume snapshot has been destroyed."));
            }
            f.mark_destroyed(Obj::Snap(key));
            Ok(())
        })
        .map_err(ArrayRefusal::from)
    }

    /// Connects a host (made if absent); gives the LUN. Already connected is fine.
    pub fn connect(&self, host: &str, volume: &str) -> Answer<u64> {
        self.on_volume(volume, |f, at, volume| {
            let key = match f.need_host(at, host) {
                Ok(key) => key,
                Err(_) => f.create_host(at, host)?,
            };
            let peer = Peer::Host(key);
            let lun = f.unit(at)?.connections.get(&(volume, peer.clone())).copied();
            match lun {
                Some(lun) => Ok(lun),
                None => f.connect(at, peer, volume, None),
            }
        })
    }

    /// Removes the connection; absent is fine.
    pub fn disconnect(&self, host: &str, volume: &str) -> Answer<()> {
        self.locked(|f, at| {
            let Some(volume) = f.find(at, Kind::Volume, volume) else { return };
            // Absent is fine: that is what the caller wants.
            let _ = f.disconnect(at, Peer::Host(host.to_lowercase()), volume);
        });
        Ok(())
    }

    /// True if the host is connected to the volume.
    pub fn is_connected(&self, host: &str, volume: &str) -> bool {
        self.locked(|f, at| {
            f.find(at, Kind::Volume, volume).is_some_and(|key| f.is_connected(at, host, key))
        })
    }

    /// Makes a pod on this array and stretches it to the array that this one knows as `target`; one that is there
    /// already, from either side, is fine.
    pub fn ensure_stretched_pod(&self, name: &str, target: &str) -> Answer<()> {
        self.locked(|f, at| {
            let pod = match f.find(at, Kind::Pod, name) {
                Some(pod) => pod,
                None => f.create_pod(at, name)?,
            };
            let on = f.peer(at, target)?;
            match f.holders(Home::Pod(pod)).contains(&on) {
                true => Ok(()),
                false => f.stretch(at, pod, target).map(|_| ()),
            }
        })
        .map_err(ArrayRefusal::from)
    }

    /// True if the pod is there and every array of it is online.
    pub fn pod_is_online(&self, name: &str) -> bool {
        self.locked(|f, at| {
            let pod = f.find(at, Kind::Pod, name).and_then(|key| f.pods.get(&key));
            pod.is_some_and(|pod| pod.arrays.iter().all(|a| a.state == PodState::Online))
        })
    }

    /// Hosts that are connected to a volume on this array by themselves, with their LUNs.
    pub fn hosts_of(&self, volume: &str) -> Answer<Vec<(String, u64)>> {
        self.on_volume(volume, |f, at, key| {
            let unit = f.unit(at)?;
            let of = unit.connections.iter().filter(|((v, _), _)| *v == key);
            let hosts = of.filter_map(|((_, peer), lun)| match peer {
                Peer::Host(host) => unit.hosts.get(host).map(|host| (host.name.clone(), *lun)),
                Peer::Group(_) => None,
            });
            Ok(hosts.collect())
        })
    }

    /// Connects a host at this LUN; connected there already is fine.
    pub fn connect_at(&self, host: &str, volume: &str, lun: u64) -> Answer<()> {
        self.on_volume(volume, |f, at, key| {
            let peer = Peer::Host(f.need_host(at, host)?);
            match f.unit(at)?.connections.get(&(key, peer.clone())) {
                Some(there) if *there == lun => Ok(()),
                _ => f.connect(at, peer, key, Some(lun)).map(drop),
            }
        })
    }

    /// Replaces all that a volume holds, as the array itself does when it restores one.
    pub fn set_content(&self, volume: &str, stamps: &[String]) -> Answer<()> {
        self.on_volume(volume, |f, _, key| {
            if let Some(volume) = f.volumes.get_mut(&key) {
                volume.content = Arc::new(stamps.iter().map(|s| Arc::from(s.as_str())).collect());
            }
            Ok(())
        })
    }

    /// What a host-assisted migration leaves: a new volume with the content and the hosts of the old one, which is
    /// destroyed. The new one has its own serial; the name may be in a stretched pod.
    pub fn migrate_volume(&self, name: &str, new: &str) -> Answer<()> {
        self.on_volume(name, |f, at, old| {
            let Some(was) = f.volumes.get(&old).cloned() else { return Ok(()) };
            let key = f.create_volume(at, new, was.provisioned, None)?;
            if let Some(volume) = f.volumes.get_mut(&key) {
                volume.content = was.content;
            }
            let connected = f.unit(at)?.connections.iter().filter(|((v, _), _)| *v == old);
            let connected: Vec<_> =
                connected.map(|((_, peer), lun)| (peer.clone(), *lun)).collect();
            for (peer, lun) in connected {
                f.disconnect(at, peer.clone(), old)?;
                f.connect(at, peer, key, Some(lun))?;
            }
            f.destroy_volume(old)
        })
    }

    /// Makes the driver's backend-wide group with the given target array if it is absent.
    pub fn ensure_protection_group(&self, name: &str, target: &str) -> Answer<()> {
        self.locked(|f, at| {
            let group = match f.find(at, Kind::Group, name) {
                Some(key) => f.as_local(key).map(|_| key)?,
                None => f.create_group(at, name)?,
            };
            let on = f.peer(at, target)?;
            let replicas = f.groups.get(&group).map(|g| g.replicas.clone()).unwrap_or_default();
            match replicas.iter().any(|r| f.replicas.get(r).is_some_and(|r| r.on == on)) {
                true => Ok(()),
                false => f.add_target(at, group, target).map(|_| ()),
            }
        })
        .map_err(ArrayRefusal::from)
    }

    /// Adds; already there is fine.
    pub fn join_protection_group(&self, group: &str, volume: &str) -> Answer<()> {
        self.on_volume(volume, |f, at, key| {
            let group = f.local_group(at, group)?;
            let Some(home) = f.volumes.get(&key).map(|v| v.home) else { return Ok(()) };
            f.may_join(group, home)?;
            f.add_to_group(group, key);
            Ok(())
        })
    }

    /// Leaves.
    pub fn leave_protection_group(&self, group: &str, volume: &str) -> Answer<()> {
        self.on_volume(volume, |f, at, key| {
            let group = f.local_group(at, group)?;
            f.remove_from_group(group, key)
        })
    }

    /// Sets (namespace, key) to value on a volume.
    pub fn tag_volume(&self, volume: &str, namespace: &str, key: &str, value: &str) -> Answer<()> {
        self.on_volume(volume, |f, _, volume| {
            f.tag_volume(volume, namespace, key, value, false);
            Ok(())
        })
    }

    /// Removes all tags of a namespace.
    pub fn untag_volume(&self, volume: &str, namespace: &str) -> Answer<()> {
        self.on_volume(volume, |f, _, volume| {
            if let Some(v) = f.volumes.get_mut(&volume) {
                v.tags.retain(|(space, _), _| space != namespace);
            }
            Ok(())
        })
    }

    /// A guest writes one sector: the content of the volume is its chain of (sequence, stamp) writes.
    /// Refused when `host` is not connected.
    pub fn write(&self, host: &str, volume: &str, stamp: &str) -> Answer<()> {
        self.on_volume(volume, |f, at, key| {
            if !f.is_connected(at, host, key) {
                let message = format!("Volume is not connected to host {host}.");
                return Err(Refused::of(volume, message));
            }
            f.write(at, key, stamp)
        })
    }

    /// The chain of stamps that the volume holds.
    pub fn content(&self, volume: &str) -> Answer<Vec<String>> {
        self.on_volume(volume, |f, _, key| {
            let content = f.volumes.get(&key).map(|v| v.content.clone()).unwrap_or_default();
            Ok(content.iter().map(|stamp| stamp.to_string()).collect())
        })
    }

    /// The chain of stamps that a volume snapshot holds; refused while it is being replicated.
    pub fn snapshot_content(&self, snapshot: &str) -> Answer<Vec<String>> {
        self.locked(|f, at| -> Outcome<Vec<String>> {
            let key = f.need(at, Kind::Snapshot, snapshot)?;
            let source = f.snap_source(key)?;
            Ok(source.content.iter().map(|stamp| stamp.to_string()).collect())
        })
        .map_err(ArrayRefusal::from)
    }
}

impl Fabric {
    fn driver_view(&self, at: Key, key: Key) -> Option<VolumeView> {
        let v = self.volumes.get(&key)?;
        let groups = v.groups.iter().filter_map(|k| Some((k, self.groups.get(k)?)));
        Some(VolumeView {
            id: v.id.clone(),
            name: self.volume_name(key),
            serial: v.serial.clone(),
            provisioned: v.provisioned,
            connection_count: self.connection_count(at, key),
            destroyed: v.destroyed.is_some(),
            protection_groups: groups
                .map(|(k, g)| (self.group_name(*k), !g.replicas.is_empty()))
                .collect(),
            in_stretched_pod: self.holders(v.home).len() > 1,
            safemode_locked: self.locked_by(Obj::Volume(key)).is_some(),
        })
    }
}
