//! All connected arrays behind one lock: their objects, names and lookups.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use protector_types::Clock;
use serde_json::json;

use super::{
    config::ArrayConfig,
    error::{Outcome, Refused},
    ids,
    model::*,
};

static NEXT_KEY: AtomicU64 = AtomicU64::new(1);

/// A key that nothing else in the process has.
pub(crate) fn fresh_key() -> Key {
    NEXT_KEY.fetch_add(1, Ordering::Relaxed)
}

/// Arrays that know each other, and all that is on them.
#[derive(Debug, Clone)]
pub(crate) struct Fabric {
    pub clock: Arc<dyn Clock>,
    /// The moment that the state stands for; [`Fabric::settle`] moves it.
    pub now: Ms,
    pub units: BTreeMap<Key, Unit>,
    pub links: Vec<Link>,
    /// Arrays that have no power.
    pub powerless: BTreeSet<Key>,
    pub volumes: HashMap<Key, Volume>,
    pub snaps: HashMap<Key, Snap>,
    pub groups: HashMap<Key, Group>,
    pub replicas: HashMap<Key, Replica>,
    pub group_snaps: HashMap<Key, GroupSnap>,
    pub pods: HashMap<Key, Pod>,
    pub vgroups: HashMap<Key, VolumeGroup>,
    /// What is going to happen, soonest first.
    pub agenda: BTreeSet<(Ms, Event)>,
    /// What a target already has of a volume: (target, volume).
    pub shipped: HashMap<(Key, Key), Content>,
}

fn lower(name: &str) -> String {
    name.to_lowercase()
}

impl Fabric {
    /// One array, alone.
    pub(crate) fn new(key: Key, config: Arc<ArrayConfig>) -> Self {
        let clock = config.clock.clone();
        let now = clock.now().timestamp_millis();
        let unit = Unit {
            id: ids::uuid_for(config.seed, &format!("{}/array", config.name)),
            name: config.name.clone(),
            drawn: 0,
            idle_timeout: config.session_idle_timeout_ms,
            eradication_delay: DAY_MS,
            banner: String::new(),
            names: BTreeMap::new(),
            hosts: BTreeMap::new(),
            host_groups: BTreeMap::new(),
            connections: BTreeMap::new(),
            sessions: HashMap::new(),
            default_protections: Vec::new(),
            index: ids::draw(config.seed, &config.name, (1, 250)),
            calls: 0,
            window: (now, 0),
            config,
        };
        Self {
            clock,
            now,
            units: BTreeMap::from([(key, unit)]),
            powerless: BTreeSet::new(),
            links: Vec::new(),
            volumes: HashMap::new(),
            snaps: HashMap::new(),
            groups: HashMap::new(),
            replicas: HashMap::new(),
            group_snaps: HashMap::new(),
            pods: HashMap::new(),
            vgroups: HashMap::new(),
            agenda: BTreeSet::new(),
            shipped: HashMap::new(),
        }
    }

    /// The same arrays with the same objects once more, under another clock.
    pub(crate) fn fork(&self, clock: &Arc<dyn Clock>) -> Self {
        let mut fork = self.clone();
        fork.clock = clock.clone();
        for unit in fork.units.values_mut() {
            let config = ArrayConfig { clock: clock.clone(), ..unit.config.as_ref().clone() };
            unit.config = Arc::new(config);
        }
        fork
    }

    /// Takes over everything of `other`, which stays empty.
    pub(crate) fn absorb(&mut self, other: &mut Fabric) {
        self.units.append(&mut other.units);
        self.links.append(&mut other.links);
        self.powerless.append(&mut other.powerless);
        self.volumes.extend(other.volumes.drain());
        self.snaps.extend(other.snaps.drain());
        self.groups.extend(other.groups.drain());
        self.replicas.extend(other.replicas.drain());
        self.group_snaps.extend(other.group_snaps.drain());
        self.pods.extend(other.pods.drain());
        self.vgroups.extend(other.vgroups.drain());
        self.agenda.append(&mut other.agenda);
        self.shipped.extend(other.shipped.drain());
    }

    /// The next id of an array.
    pub(crate) fn draw_id(&mut self, at: Key, what: &str) -> String {
        let Some(unit) = self.units.get_mut(&at) else { return String::new() };
        unit.drawn += 1;
        let key = format!("{}/{what}/{}", unit.config.name, unit.drawn);
        ids::uuid_for(unit.config.seed, &key)
    }

    /// The next serial of an array.
    pub(crate) fn draw_serial(&mut self, at: Key) -> String {
        let Some(unit) = self.units.get_mut(&at) else { return String::new() };
        unit.drawn += 1;
        let key = format!("{}/serial/{}", unit.config.name, unit.drawn);
        ids::serial_for(unit.config.seed, &key)
    }

    /// The array's name; empty for one that is not there.
    pub(crate) fn unit_name(&self, at: Key) -> &str {
        self.units.get(&at).map_or("", |u| u.name.as_str())
    }

    /// Arrays that show what is at `home`.
    pub(crate) fn holders(&self, home: Home) -> Vec<Key> {
        match home {
            Home::Array(key) => vec![key],
            Home::Pod(pod) => self
                .pods
                .get(&pod)
                .map(|p| p.arrays.iter().map(|a| a.array).collect())
                .unwrap_or_default(),
        }
    }

    fn prefix(&self, home: Home) -> String {
        match home {
            Home::Array(_) => String::new(),
            Home::Pod(pod) => {
                self.pods.get(&pod).map(|p| format!("{}::", p.name)).unwrap_or_default()
            }
        }
    }

    /// `pod::vgroup/base`.
    pub(crate) fn volume_name(&self, key: Key) -> String {
        let Some(v) = self.volumes.get(&key) else { return String::new() };
        format!("{}{}", self.prefix(v.home), self.volume_part(v))
    }

    /// `vgroup/base`: what a group snapshot calls the volume.
    pub(crate) fn volume_part(&self, v: &Volume) -> String {
        match v.vgroup.and_then(|g| self.vgroups.get(&g)) {
            Some(group) => format!("{}/{}", group.base, v.base),
            None => v.base.clone(),
        }
    }

    /// `pod::base`.
    pub(crate) fn group_name(&self, key: Key) -> String {
        let Some(g) = self.groups.get(&key) else { return String::new() };
        format!("{}{}", self.prefix(g.home), g.base)
    }

    /// `source:group`; a pod takes the array's place.
    pub(crate) fn replica_name(&self, replica: &Replica) -> String {
        match self.groups.get(&replica.group) {
            None => replica.name.clone(),
            Some(group) => {
                let source = match group.home {
                    Home::Array(at) => self.unit_name(at),
                    Home::Pod(pod) => self.pods.get(&pod).map_or("", |p| p.name.as_str()),
                };
                format!("{source}:{}", group.base)
            }
        }
    }

    /// The name of whoever has the group snapshot.
    pub(crate) fn owner_name(&self, owner: Owner) -> String {
        match owner {
            Owner::Group(key) => self.group_name(key),
            Owner::Replica(key) => {
                self.replicas.get(&key).map(|r| self.replica_name(r)).unwrap_or_default()
            }
        }
    }

    /// Where the owner of a group snapshot lives.
    pub(crate) fn owner_home(&self, owner: Owner) -> Option<Home> {
        match owner {
            Owner::Group(key) => self.groups.get(&key).map(|g| g.home),
            Owner::Replica(key) => self.replicas.get(&key).map(|r| Home::Array(r.on)),
        }
    }

    /// `group.suffix`.
    pub(crate) fn group_snap_name(&self, key: Key) -> String {
        let Some(s) = self.group_snaps.get(&key) else { return String::new() };
        format!("{}.{}", self.owner_name(s.owner), s.suffix)
    }

    /// `volume.suffix` or `group.suffix.volume`.
    pub(crate) fn snap_name(&self, key: Key) -> String {
        let Some(s) = self.snaps.get(&key) else { return String::new() };
        let owner = match s.owner {
            SnapOwner::Volume(volume) => self.volume_name(volume),
            SnapOwner::Group(group) => self.group_snap_name(group),
        };
        format!("{owner}.{}", s.part)
    }

    /// Where a volume snapshot lives.
    pub(crate) fn snap_home(&self, snap: &Snap) -> Option<Home> {
        match snap.owner {
            SnapOwner::Volume(volume) => self.volumes.get(&volume).map(|v| v.home),
            SnapOwner::Group(group) => {
                self.group_snaps.get(&group).and_then(|g| self.owner_home(g.owner))
            }
        }
    }

    /// (kind, home, name) of anything.
    fn place(&self, object: Obj) -> Option<(Kind, Vec<Key>, String)> {
        let (kind, home, name) = match object {
            Obj::Volume(k) => (Kind::Volume, self.volumes.get(&k)?.home, self.volume_name(k)),
            Obj::Snap(k) => {
                (Kind::Snapshot, self.snap_home(self.snaps.get(&k)?)?, self.snap_name(k))
            }
            Obj::Group(k) => (Kind::Group, self.groups.get(&k)?.home, self.group_name(k)),
            Obj::Replica(k) => {
                let replica = self.replicas.get(&k)?;
                (Kind::Group, Home::Array(replica.on), self.replica_name(replica))
            }
            Obj::GroupSnap(k) => {
                let owner = self.group_snaps.get(&k)?.owner;
                (Kind::GroupSnapshot, self.owner_home(owner)?, self.group_snap_name(k))
            }
            Obj::Pod(k) => (Kind::Pod, Home::Pod(k), self.pods.get(&k)?.name.clone()),
            Obj::VolumeGroup(k) => {
                let group = self.vgroups.get(&k)?;
                let name = format!("{}{}", self.prefix(group.home), group.base);
                (Kind::VolumeGroup, group.home, name)
            }
        };
        Some((kind, self.holders(home), lower(&name)))
    }

    /// Makes the object findable by its name on all arrays that show it.
    pub(crate) fn index(&mut self, object: Obj) {
        let Some((kind, holders, name)) = self.place(object) else { return };
        for at in holders {
            if let Some(unit) = self.units.get_mut(&at) {
                unit.names.insert((kind, name.clone()), object.key());
            }
        }
    }

    /// The contrary of [`Fabric::index`].
    pub(crate) fn unindex(&mut self, object: Obj) {
        let Some((kind, holders, name)) = self.place(object) else { return };
        for at in holders {
            let entry = (kind, name.clone());
            if let Some(unit) = self.units.get_mut(&at)
                && unit.names.get(&entry) == Some(&object.key())
            {
                unit.names.remove(&entry);
            }
        }
    }

    /// Runs a change that renames or moves the objects.
    pub(crate) fn renaming(&mut self, objects: &[Obj], change: impl FnOnce(&mut Self)) {
        for object in objects {
            self.unindex(*object);
        }
        change(self);
        for object in objects {
            self.index(*object);
        }
    }

    /// The volume and what is named after it.
    pub(crate) fn scope_of_volume(&self, key: Key) -> Vec<Obj> {
        let snaps = self.volumes.get(&key).map(|v| v.snaps.clone()).unwrap_or_default();
        snaps.into_iter().map(Obj::Snap).chain([Obj::Volume(key)]).collect()
    }

    fn scope_of_snaps(&self, snaps: &[Key]) -> Vec<Obj> {
        let members = |k: &Key| self.group_snaps.get(k).map(|s| s.members.clone());
        let parts = snaps.iter().filter_map(members).flatten().map(Obj::Snap);
        parts.chain(snaps.iter().map(|k| Obj::GroupSnap(*k))).collect()
    }

    /// The replica and what is named after it.
    pub(crate) fn scope_of_replica(&self, key: Key) -> Vec<Obj> {
        let Some(replica) = self.replicas.get(&key) else { return Vec::new() };
        let mut scope = self.scope_of_snaps(&replica.snaps);
        scope.push(Obj::Replica(key));
        scope
    }

    /// The group and what is named after it, on targets too.
    pub(crate) fn scope_of_group(&self, key: Key) -> Vec<Obj> {
        let Some(group) = self.groups.get(&key) else { return Vec::new() };
        let mut scope = self.scope_of_snaps(&group.snaps);
        for replica in self.replicas.iter().filter(|(_, r)| r.group == key).map(|(k, _)| *k) {
            scope.extend(self.scope_of_replica(replica));
        }
        scope.push(Obj::Group(key));
        scope
    }

    /// The pod and everything in it.
    pub(crate) fn scope_of_pod(&self, key: Key) -> Vec<Obj> {
        let home = Home::Pod(key);
        let mut scope = Vec::new();
        for k in self.volumes.iter().filter(|(_, v)| v.home == home).map(|(k, _)| *k) {
            scope.extend(self.scope_of_volume(k));
        }
        for k in self.groups.iter().filter(|(_, g)| g.home == home).map(|(k, _)| *k) {
            scope.extend(self.scope_of_group(k));
        }
        let vgroups = self.vgroups.iter().filter(|(_, g)| g.home == home);
        scope.extend(vgroups.map(|(k, _)| Obj::VolumeGroup(*k)));
        scope.push(Obj::Pod(key));
        scope
    }

    /// The object of that name that `at` shows, destroyed ones too.
    pub(crate) fn find(&self, at: Key, kind: Kind, name: &str) -> Option<Key> {
        let key = *self.units.get(&at)?.names.get(&(kind, lower(name)))?;
        (kind != Kind::Group || self.visible_group(key)).then_some(key)
    }

    fn visible_group(&self, key: Key) -> bool {
        self.replicas.get(&key).is_none_or(|r| r.visible_from <= self.now)
    }

    /// Like [`Fabric::find`], and says that it does not exist.
    pub(crate) fn need(&self, at: Key, kind: Kind, name: &str) -> Outcome<Key> {
        self.find(at, kind, name)
            .ok_or_else(|| Refused::of(name, format!("{} does not exist.", kind.title())))
    }

    /// All objects of a kind that `at` shows, by name; only those whose names start with `prefix`.
    pub(crate) fn listed(&self, at: Key, kind: Kind, prefix: &str) -> Vec<Key> {
        let Some(unit) = self.units.get(&at) else { return Vec::new() };
        unit.names
            .range((kind, prefix.to_owned())..)
            .take_while(|((k, name), _)| *k == kind && name.starts_with(prefix))
            .map(|(_, key)| *key)
            .filter(|key| kind != Kind::Group || self.visible_group(*key))
            .collect()
    }

    /// By id.
    pub(crate) fn by_id(&self, at: Key, kind: Kind, id: &str) -> Outcome<Key> {
        let matches = |key: &Key| match kind {
            Kind::Volume => self.volumes.get(key).is_some_and(|o| o.id == id),
            Kind::Snapshot => self.snaps.get(key).is_some_and(|o| o.id == id),
            Kind::Group => {
                self.groups.get(key).is_some_and(|o| o.id == id)
                    || self.replicas.get(key).is_some_and(|o| o.id == id)
            }
            Kind::GroupSnapshot => self.group_snaps.get(key).is_some_and(|o| o.id == id),
            Kind::Pod => self.pods.get(key).is_some_and(|o| o.id == id),
            Kind::VolumeGroup => self.vgroups.get(key).is_some_and(|o| o.id == id),
        };
        self.listed(at, kind, "")
            .into_iter()
            .find(matches)
            .ok_or_else(|| Refused::of(id, format!("{} does not exist.", kind.title())))
    }

    /// The array called `name` that `at` is connected to.
    pub(crate) fn peer(&self, at: Key, name: &str) -> Outcome<Key> {
        self.links
            .iter()
            .filter_map(|l| l.other(at))
            .find(|k| self.unit_name(*k).eq_ignore_ascii_case(name))
            .ok_or_else(|| Refused::of(name, "Array connection does not exist."))
    }

    /// The link between two arrays.
    pub(crate) fn link(&self, a: Key, b: Key) -> Option<&Link> {
        self.links.iter().find(|l| l.other(a) == Some(b))
    }

    /// True when data gets from one to the other.
    pub(crate) fn reachable(&self, a: Key, b: Key) -> bool {
        a == b || self.link(a, b).is_some_and(|l| l.status != LinkStatus::Broken)
    }

    /// `{"id", "name"}` of an array.
    pub(crate) fn unit_ref(&self, at: Key) -> serde_json::Value {
        match self.units.get(&at) {
            Some(unit) => {
                json!({"id": unit.id, "name": unit.name, "resource_type": "remote-arrays"})
            }
            None => json!({}),
        }
    }

    /// Plans something.
    pub(crate) fn plan(&mut self, at: Ms, event: Event) {
        self.agenda.insert((at, event));
    }
}

impl Link {
    /// The other end, if `key` is one.
    pub(crate) fn other(&self, key: Key) -> Option<Key> {
        if self.a == key {
            Some(self.b)
        } else if self.b == key {
            Some(self.a)
        } else {
            None
        }
    }
}

impl Obj {
    /// The key inside.
    pub(crate) fn key(self) -> Key {
        match self {
            Self::Volume(k)
            | Self::Snap(k)
            | Self::Group(k)
            | Self::Replica(k)
            | Self::GroupSnap(k)
            | Self::Pod(k)
            | Self::VolumeGroup(k) => k,
        }
    }
}
