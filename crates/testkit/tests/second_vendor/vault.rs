//! A second vendor: "Vault" arrays, which are no FlashArrays. Groups are numbered catalogues of volume ids that follow a
//! volume through renames; a point is an entry of the target's own ledger (`ledger#7`: no array, no group, no suffix and no
//! dot in its name), which fills a while after it was taken; there are no pods, no tags, and nothing synchronous. The
//! volumes themselves are those that the simulated Cinder and Nova use.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use protector_ports::{
    ArrayConnection, ArrayDriver, ArrayGroup, ArrayGroupSpec, ArrayInfo, ArrayLink, ArrayVolume,
    DestroyPermit, PortError, PortResult, RecoveryPoint, ReplicationArray, SyncGroup, VolumeKey,
};
use protector_sim::array::{Array, ArrayRefusal, VolumeView};
use protector_types::{Clock, Secret};

/// What a point takes until the target holds it.
const TRANSFER: TimeDelta = TimeDelta::seconds(4);

/// What one volume held.
#[derive(Clone)]
struct Held {
    stamps: Vec<String>,
    bytes: u64,
}

struct Catalogue {
    side: usize,
    handle: String,
    volumes: BTreeSet<String>,
    target: String,
    admitted: bool,
    interval_sec: u64,
    runs: bool,
}

struct Entry {
    number: usize,
    side: usize,
    handle: String,
    suffix: String,
    taken: DateTime<Utc>,
    held: BTreeMap<String, Held>,
}

#[derive(Default)]
struct Books {
    catalogues: Vec<Catalogue>,
    ledger: Vec<Entry>,
    asides: BTreeMap<String, Held>,
    labels: BTreeMap<String, Vec<(String, String)>>,
    calls: BTreeMap<&'static str, usize>,
}

/// Both arrays by their names.
type Sides = [(String, Array); 2];

/// Both arrays of the vendor, and its driver.
#[derive(Default)]
pub struct Vendor {
    books: Mutex<Books>,
    sides: OnceLock<(Sides, Arc<dyn Clock>)>,
}

/// The driver, as it is given to Protector.
pub struct Driver(pub Arc<Vendor>);

impl Vendor {
    /// Behind which addresses the arrays are.
    pub fn attach(&self, sides: [(String, Array); 2], clock: Arc<dyn Clock>) {
        assert!(self.sides.set((sides, clock)).is_ok(), "attached twice");
    }

    /// How often each method that changes something was called.
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.books().calls.clone()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ArrayDriver for Driver {
    fn open(&self, url: &str, _token: &Secret) -> Option<Arc<dyn ReplicationArray>> {
        let (sides, _) = self.0.sides.get()?;
        let side = sides.iter().position(|(known, _)| known == url)?;
        Some(Arc::new(Vault { vendor: self.0.clone(), side }))
    }
}

struct Vault {
    vendor: Arc<Vendor>,
    side: usize,
}

fn name_of(side: usize) -> String {
    format!("vault-{}", ["north", "south"][side])
}

fn absent(what: impl std::fmt::Display) -> PortError {
    PortError::Absent { service: "vault".into(), message: format!("no {what}") }
}

fn conflict(what: impl std::fmt::Display) -> PortError {
    PortError::Conflict { service: "vault".into(), message: format!("{what} is there") }
}

fn refused(refusal: ArrayRefusal) -> PortError {
    if refusal.0.contains("does not exist") || refusal.0.contains("has been destroyed") {
        return absent(refusal);
    }
    PortError::Invalid { service: "vault".into(), message: refusal.to_string() }
}

fn seen(view: VolumeView) -> ArrayVolume {
    ArrayVolume {
        id: Some(view.id),
        name: view.name,
        serial: view.serial,
        size_bytes: view.provisioned,
        destroyed: view.destroyed,
    }
}

impl Vault {
    fn array(&self) -> &Array {
        &self.vendor.sides.get().unwrap().0[self.side].1
    }

    fn now(&self) -> DateTime<Utc> {
        self.vendor.sides.get().unwrap().1.now()
    }

    fn live(&self) -> Vec<VolumeView> {
        self.array().volumes().into_iter().filter(|v| !v.destroyed).collect()
    }

    fn look(&self, key: &VolumeKey) -> PortResult<VolumeView> {
        let fits = |v: &VolumeView| match key {
            VolumeKey::Name(name) => v.name == *name,
            VolumeKey::Serial(serial) => v.serial == *serial,
        };
        self.live().into_iter().find(fits).ok_or_else(|| absent(format!("volume {key:?}")))
    }

    fn held(&self, volume: &str) -> PortResult<Held> {
        let view = self.look(&VolumeKey::Name(volume.to_owned()))?;
        let stamps = self.array().content(volume).map_err(refused)?;
        Ok(Held { stamps, bytes: view.provisioned })
    }

    fn counted(&self, what: &'static str) -> MutexGuard<'_, Books> {
        let mut books = self.vendor.books();
        *books.calls.entry(what).or_default() += 1;
        books
    }

    fn on<T>(&self, handle: &str, work: impl FnOnce(&mut Catalogue) -> T) -> PortResult<T> {
        let side = self.side;
        let mut books = self.vendor.books();
        let found = books.catalogues.iter_mut().find(|c| c.side == side && c.handle == handle);
        found.map(work).ok_or_else(|| absent(format!("catalogue for {handle}")))
    }

    fn ids(&self, names: &[String]) -> PortResult<Vec<String>> {
        names.iter().map(|n| Ok(self.look(&VolumeKey::Name(n.clone()))?.id)).collect()
    }

    fn point(&self, entry: &Entry) -> RecoveryPoint {
        let there = entry.taken + TRANSFER;
        let complete = self.now() >= there;
        RecoveryPoint {
            name: format!("ledger#{}", entry.number),
            created: entry.taken,
            completed: complete.then_some(there),
            progress_milli: if complete { 1000 } else { 500 },
            volumes: match complete {
                true => entry.held.keys().cloned().collect(),
                false => BTreeSet::new(),
            },
        }
    }

    /// What a point that has arrived here holds of a volume.
    fn in_ledger(&self, point: &str, volume: &str) -> PortResult<Held> {
        let books = self.vendor.books();
        let found = books.ledger.iter().find(|e| format!("ledger#{}", e.number) == point);
        let found = found.filter(|e| e.side != self.side && self.now() >= e.taken + TRANSFER);
        let held = found.and_then(|e| e.held.get(volume)).cloned();
        held.ok_or_else(|| absent(format!("{volume} in {point}")))
    }
}

#[async_trait]
impl ReplicationArray for Vault {
    async fn identify(&self) -> PortResult<ArrayInfo> {
        let side = self.side;
        Ok(ArrayInfo { id: format!("{side}"), name: name_of(side), version: "V9".into() })
    }

    async fn links(&self) -> PortResult<Vec<ArrayLink>> {
        Ok(vec![ArrayLink {
            remote: name_of(1 - self.side),
            status: "connected".into(),
            async_replication: true,
            sync_replication: false,
        }])
    }

    async fn sync_group(&self, _: &str, _: &str, _: &[String]) -> PortResult<SyncGroup> {
        Err(PortError::Invalid {
            service: "vault".into(),
            message: "this array has no synchronous replication".into(),
        })
    }

    async fn volume(&self, key: &VolumeKey) -> PortResult<ArrayVolume> {
        self.look(key).map(seen)
    }

    async fn volumes_named(&self, names: &[String]) -> PortResult<Vec<ArrayVolume>> {
        Ok(self.live().into_iter().filter(|v| names.contains(&v.name)).map(seen).collect())
    }

    async fn clone_from_point(
        &self,
        point: &str,
        source_volume: &str,
        new_name: &str,
    ) -> PortResult<ArrayVolume> {
        let held = self.in_ledger(point, source_volume)?;
        drop(self.counted("clone_from_point"));
        if self.array().volume(new_name).is_some() {
            return Err(conflict(new_name));
        }
        let made = self.array().create_volume(new_name, held.bytes).map_err(refused)?;
        self.array().set_content(new_name, &held.stamps).map_err(refused)?;
        Ok(seen(made))
    }

    async fn destroy_volume(&self, key: &VolumeKey, _permit: &DestroyPermit) -> PortResult<()> {
        match self.look(key) {
            Ok(view) => self.array().destroy_volume(&view.name).map_err(refused),
            Err(_) => Ok(()),
        }
    }

    async fn tag_volume(&self, name: &str, tags: &[(String, String)]) -> PortResult<()> {
        let id = self.look(&VolumeKey::Name(name.to_owned()))?.id;
        self.vendor.books().labels.insert(id, tags.to_vec());
        Ok(())
    }

    async fn volumes_tagged(&self, key: &str, value: &str) -> PortResult<Vec<ArrayVolume>> {
        let books = self.vendor.books();
        let fits = |v: &VolumeView| {
            let labels = books.labels.get(&v.id).into_iter().flatten();
            labels.into_iter().any(|(k, has)| k == key && has == value)
        };
        Ok(self.live().into_iter().filter(fits).map(seen).collect())
    }

    async fn connections(&self, volume: &str) -> PortResult<Vec<ArrayConnection>> {
        let hosts = self.array().hosts_of(volume).map_err(refused)?;
        let connection =
            |(host, lun)| ArrayConnection { host: Some(host), host_group: None, lun: Some(lun) };
        Ok(hosts.into_iter().map(connection).collect())
    }

    async fn disconnect(
        &self,
        volume: &str,
        connection: &ArrayConnection,
        _permit: &DestroyPermit,
    ) -> PortResult<()> {
        drop(self.counted("disconnect"));
        let host = connection.host.as_deref().unwrap_or_default();
        self.array().disconnect(host, volume).map_err(refused)
    }

    async fn connect(&self, volume: &str, connection: &ArrayConnection) -> PortResult<()> {
        let host = connection.host.as_deref().unwrap_or_default();
        let lun = connection.lun.unwrap_or(1);
        self.array().connect_at(host, volume, lun).map_err(refused)
    }

    async fn group(&self, name: &str) -> PortResult<ArrayGroup> {
        let live = self.live();
        self.on(name, |c| ArrayGroup {
            name: name.to_owned(),
            volumes: live
                .iter()
                .filter(|v| c.volumes.contains(&v.id))
                .map(|v| v.name.clone())
                .collect(),
            targets: vec![(c.target.clone(), c.admitted)],
            schedule_enabled: c.runs,
            interval_sec: c.interval_sec,
        })
    }

    async fn ensure_group(&self, spec: &ArrayGroupSpec) -> PortResult<()> {
        let mut books = self.counted("ensure_group");
        let known = |c: &Catalogue| c.side == self.side && c.handle == spec.name;
        if !books.catalogues.iter().any(known) {
            books.catalogues.push(Catalogue {
                side: self.side,
                handle: spec.name.clone(),
                volumes: BTreeSet::new(),
                target: spec.target.clone(),
                admitted: false,
                interval_sec: spec.interval_sec,
                runs: false,
            });
        }
        Ok(())
    }

    async fn allow_group(&self, source_array: &str, group: &str, allowed: bool) -> PortResult<()> {
        assert_eq!(source_array, name_of(1 - self.side), "the target is asked about the source");
        let side = 1 - self.side;
        let mut books = self.vendor.books();
        let found = books.catalogues.iter_mut().find(|c| c.side == side && c.handle == group);
        found.ok_or_else(|| absent(group))?.admitted = allowed;
        Ok(())
    }

    async fn set_group_schedule(&self, group: &str, enabled: bool) -> PortResult<()> {
        self.on(group, |c| c.runs = enabled)
    }

    async fn add_to_group(&self, group: &str, volumes: &[String]) -> PortResult<()> {
        let ids = self.ids(volumes)?;
        self.on(group, |c| c.volumes.extend(ids))
    }

    async fn remove_from_group(&self, group: &str, volumes: &[String]) -> PortResult<()> {
        let ids = self.ids(volumes)?;
        self.on(group, |c| c.volumes.retain(|id| !ids.contains(id)))
    }

    async fn destroy_group(&self, group: &str, _permit: &DestroyPermit) -> PortResult<()> {
        let side = self.side;
        self.vendor.books().catalogues.retain(|c| c.side != side || c.handle != group);
        Ok(())
    }

    async fn snapshot_volume(&self, volume: &str, suffix: &str) -> PortResult<()> {
        let held = self.held(volume)?;
        let handle = format!("{volume}.{suffix}");
        match self.counted("snapshot_volume").asides.insert(handle.clone(), held) {
            None => Ok(()),
            Some(_) => Err(conflict(handle)),
        }
    }

    async fn has_volume_snapshot(&self, name: &str) -> PortResult<bool> {
        Ok(self.vendor.books().asides.contains_key(name))
    }

    async fn destroy_volume_snapshot(&self, name: &str, _permit: &DestroyPermit) -> PortResult<()> {
        self.vendor.books().asides.remove(name);
        Ok(())
    }

    async fn overwrite_volume(
        &self,
        volume: &str,
        snapshot: &str,
        _permit: &DestroyPermit,
    ) -> PortResult<()> {
        let held = self.vendor.books().asides.get(snapshot).cloned();
        let held = held.ok_or_else(|| absent(snapshot))?;
        self.array().set_content(volume, &held.stamps).map_err(refused)
    }

    async fn overwrite_from_point(
        &self,
        volume: &str,
        point: &str,
        source_volume: &str,
        _permit: &DestroyPermit,
    ) -> PortResult<()> {
        let held = self.in_ledger(point, source_volume)?;
        drop(self.counted("overwrite_from_point"));
        self.array().set_content(volume, &held.stamps).map_err(refused)
    }

    async fn snapshot_group(&self, group: &str, suffix: &str) -> PortResult<()> {
        let volumes = self.group(group).await?.volumes;
        let mut held = BTreeMap::new();
        for volume in volumes {
            let content = self.held(&volume)?;
            held.insert(volume, content);
        }
        let (side, taken) = (self.side, self.now());
        let mut books = self.counted("snapshot_group");
        if books.ledger.iter().any(|e| e.side == side && e.handle == group && e.suffix == suffix) {
            return Err(conflict(suffix));
        }
        let number = books.ledger.len() + 1;
        let (handle, suffix) = (group.to_owned(), suffix.to_owned());
        books.ledger.push(Entry { number, side, handle, suffix, taken, held });
        Ok(())
    }

    async fn has_group_snapshot(&self, group: &str, suffix: &str) -> PortResult<bool> {
        let fits = |e: &Entry| e.side == self.side && e.handle == group && e.suffix == suffix;
        Ok(self.vendor.books().ledger.iter().any(fits))
    }

    async fn recovery_point(
        &self,
        source_array: &str,
        group: &str,
        suffix: &str,
    ) -> PortResult<Option<RecoveryPoint>> {
        let fits =
            |e: &&Entry| name_of(e.side) == source_array && e.handle == group && e.suffix == suffix;
        Ok(self.vendor.books().ledger.iter().find(fits).map(|e| self.point(e)))
    }

    async fn recovery_points(
        &self,
        source_array: &str,
        group: &str,
    ) -> PortResult<Vec<RecoveryPoint>> {
        let fits = |e: &&Entry| name_of(e.side) == source_array && e.handle == group;
        let books = self.vendor.books();
        Ok(books.ledger.iter().rev().filter(fits).map(|e| self.point(e)).collect())
    }
}
