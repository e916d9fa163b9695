//! Destroying, recovering and eradicating, for every kind of object.

use super::{
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
};

impl Fabric {
    /// Since when an object is destroyed.
    pub(crate) fn destroyed_at(&self, object: Obj) -> Option<Ms> {
        match object {
            Obj::Volume(k) => self.volumes.get(&k)?.destroyed,
            Obj::Snap(k) => self.snaps.get(&k)?.destroyed,
            Obj::Group(k) => self.groups.get(&k)?.destroyed,
            Obj::Replica(k) => self.replicas.get(&k)?.destroyed,
            Obj::GroupSnap(k) => self.group_snaps.get(&k)?.destroyed,
            Obj::Pod(k) => self.pods.get(&k)?.destroyed,
            Obj::VolumeGroup(k) => self.vgroups.get(&k)?.destroyed,
        }
    }

    fn set_destroyed(&mut self, object: Obj, at: Option<Ms>) {
        let slot = match object {
            Obj::Volume(k) => self.volumes.get_mut(&k).map(|o| &mut o.destroyed),
            Obj::Snap(k) => self.snaps.get_mut(&k).map(|o| &mut o.destroyed),
            Obj::Group(k) => self.groups.get_mut(&k).map(|o| &mut o.destroyed),
            Obj::Replica(k) => self.replicas.get_mut(&k).map(|o| &mut o.destroyed),
            Obj::GroupSnap(k) => self.group_snaps.get_mut(&k).map(|o| &mut o.destroyed),
            Obj::Pod(k) => self.pods.get_mut(&k).map(|o| &mut o.destroyed),
            Obj::VolumeGroup(k) => self.vgroups.get_mut(&k).map(|o| &mut o.destroyed),
        };
        if let Some(slot) = slot {
            *slot = at;
        }
    }

    /// What is destroyed, recovered and eradicated together with an object.
    fn dependents(&self, object: Obj) -> Vec<Obj> {
        match object {
            Obj::Volume(k) => {
                let snaps = self.volumes.get(&k).map(|v| v.snaps.clone()).unwrap_or_default();
                snaps.into_iter().map(Obj::Snap).collect()
            }
            Obj::GroupSnap(k) => {
                let members = self.group_snaps.get(&k).map(|s| s.members.clone());
                members.unwrap_or_default().into_iter().map(Obj::Snap).collect()
            }
            Obj::Group(k) => {
                let snaps = self.groups.get(&k).map(|g| g.snaps.clone()).unwrap_or_default();
                snaps.into_iter().map(Obj::GroupSnap).collect()
            }
            Obj::Replica(k) => {
                let snaps = self.replicas.get(&k).map(|r| r.snaps.clone()).unwrap_or_default();
                snaps.into_iter().map(Obj::GroupSnap).collect()
            }
            Obj::Pod(k) => {
                let home = Home::Pod(k);
                let volumes = self.volumes.iter().filter(|(_, v)| v.home == home);
                let groups = self.groups.iter().filter(|(_, g)| g.home == home);
                let vgroups = self.vgroups.iter().filter(|(_, g)| g.home == home);
                let mut all: Vec<Obj> = volumes.map(|(k, _)| Obj::Volume(*k)).collect();
                all.extend(groups.map(|(k, _)| Obj::Group(*k)));
                all.extend(vgroups.map(|(k, _)| Obj::VolumeGroup(*k)));
                all.sort_unstable();
                all
            }
            Obj::VolumeGroup(k) => {
                let volumes = self.volumes.iter().filter(|(_, v)| v.vgroup == Some(k));
                let mut all: Vec<Obj> = volumes.map(|(k, _)| Obj::Volume(*k)).collect();
                all.sort_unstable();
                all
            }
            Obj::Snap(_) => Vec::new(),
        }
    }

    /// Destroys an object and what goes with it; the name stays taken until it is eradicated.
    pub(crate) fn mark_destroyed(&mut self, object: Obj) {
        if self.destroyed_at(object).is_some() {
            return;
        }
        for dependent in self.dependents(object) {
            self.mark_destroyed(dependent);
        }
        let now = self.now;
        self.set_destroyed(object, Some(now));
        let delay = self.eradication_delay(object);
        self.plan(now + delay, Event::Eradicate(object));
    }

    /// Takes a destruction back, also of what was destroyed at the same moment with it.
    pub(crate) fn recover(&mut self, object: Obj) {
        let Some(at) = self.destroyed_at(object) else { return };
        self.set_destroyed(object, None);
        for dependent in self.dependents(object) {
            if self.destroyed_at(dependent) == Some(at) {
                self.recover(dependent);
            }
        }
        if let Obj::Group(key) = object {
            let off = Schedule::default();
            self.reschedule(key, (&off, &off));
        }
    }

    /// How long the array that has the object keeps destroyed things.
    pub(crate) fn eradication_delay(&self, object: Obj) -> Ms {
        let home = match object {
            Obj::Volume(k) => self.volumes.get(&k).map(|o| o.home),
            Obj::Snap(k) => self.snaps.get(&k).and_then(|s| self.snap_home(s)),
            Obj::Group(k) => self.groups.get(&k).map(|o| o.home),
            Obj::Replica(k) => self.replicas.get(&k).map(|o| Home::Array(o.on)),
            Obj::GroupSnap(k) => self.group_snaps.get(&k).and_then(|s| self.owner_home(s.owner)),
            Obj::Pod(k) => Some(Home::Pod(k)),
            Obj::VolumeGroup(k) => self.vgroups.get(&k).map(|o| o.home),
        };
        let at = home.and_then(|h| self.holders(h).first().copied());
        at.and_then(|k| self.units.get(&k)).map_or(DAY_MS, |u| u.eradication_delay)
    }

    /// Milliseconds until a destroyed object is gone.
    pub(crate) fn time_remaining(&self, object: Obj) -> Option<Ms> {
        let at = self.destroyed_at(object)?;
        Some((at + self.eradication_delay(object) - self.now).max(0))
    }

    /// The agenda says that the object's time may be over.
    pub(crate) fn eradication_due(&mut self, object: Obj) {
        let Some(at) = self.destroyed_at(object) else { return };
        let due = at + self.eradication_delay(object);
        if due <= self.now {
            self.eradicate(object);
        } else {
            self.plan(due, Event::Eradicate(object));
        }
    }

    /// The protection group with `retention_lock: ratcheted` that forbids eradicating an object.
    pub(crate) fn locked_by(&self, object: Obj) -> Option<Key> {
        let ratcheted = |k: &Key| self.groups.get(k).is_some_and(|g| g.ratcheted);
        match object {
            Obj::Volume(k) => self.volumes.get(&k)?.groups.iter().copied().find(ratcheted),
            Obj::Group(k) => Some(k).filter(ratcheted),
            Obj::GroupSnap(k) => self.lock_of_owner(self.group_snaps.get(&k)?.owner),
            Obj::Replica(k) => self.lock_of_owner(Owner::Replica(k)),
            Obj::Snap(k) => match self.snaps.get(&k)?.owner {
                SnapOwner::Volume(v) => self.locked_by(Obj::Volume(v)),
                SnapOwner::Group(g) => self.locked_by(Obj::GroupSnap(g)),
            },
            Obj::Pod(_) | Obj::VolumeGroup(_) => {
                self.dependents(object).into_iter().find_map(|o| self.locked_by(o))
            }
        }
    }

    fn lock_of_owner(&self, owner: Owner) -> Option<Key> {
        let group = match owner {
            Owner::Group(k) => k,
            Owner::Replica(k) => self.replicas.get(&k)?.group,
        };
        Some(group).filter(|k| self.groups.get(k).is_some_and(|g| g.ratcheted))
    }

    /// Checks what a DELETE needs: destroyed before, and no SafeMode.
    pub(crate) fn may_eradicate(&self, object: Obj, title: &str, name: &str) -> Outcome<()> {
        if self.destroyed_at(object).is_none() {
            return Err(Refused::of(name, format!("{title} is not destroyed.")));
        }
        if self.locked_by(object).is_some() {
            return Err(Refused::of(
                name,
                format!("{title} cannot be eradicated: manual eradication is disabled (SafeMode)."),
            ));
        }
        Ok(())
    }

    /// Removes an object and what goes with it for good.
    pub(crate) fn eradicate(&mut self, object: Obj) {
        for dependent in self.dependents(object) {
            self.eradicate(dependent);
        }
        self.unindex(object);
        match object {
            Obj::Volume(k) => self.forget_volume(k),
            Obj::Snap(k) => {
                if let Some(snap) = self.snaps.remove(&k) {
                    self.forget_snap(k, snap.owner);
                }
            }
            Obj::Group(k) => self.forget_group(k),
            Obj::Replica(k) => {
                if let Some(replica) = self.replicas.remove(&k)
                    && let Some(group) = self.groups.get_mut(&replica.group)
                {
                    group.replicas.retain(|r| *r != k);
                }
            }
            Obj::GroupSnap(k) => self.forget_group_snap(k),
            Obj::Pod(k) => {
                self.pods.remove(&k);
            }
            Obj::VolumeGroup(k) => {
                self.vgroups.remove(&k);
            }
        }
    }

    fn forget_volume(&mut self, key: Key) {
        let Some(volume) = self.volumes.remove(&key) else { return };
        for group in volume.groups {
            if let Some(g) = self.groups.get_mut(&group) {
                g.volumes.remove(&key);
            }
        }
        for unit in self.units.values_mut() {
            unit.connections.retain(|(v, _), _| *v != key);
        }
    }

    fn forget_snap(&mut self, key: Key, owner: SnapOwner) {
        match owner {
            SnapOwner::Volume(v) => {
                if let Some(volume) = self.volumes.get_mut(&v) {
                    volume.snaps.retain(|k| *k != key);
                }
            }
            SnapOwner::Group(g) => {
                if let Some(snap) = self.group_snaps.get_mut(&g) {
                    snap.members.retain(|k| *k != key);
                }
            }
        }
    }

    fn forget_group(&mut self, key: Key) {
        let replicas: Vec<Key> =
            self.replicas.iter().filter(|(_, r)| r.group == key).map(|(k, _)| *k).collect();
        for replica in replicas {
            self.detach_replica(replica);
        }
        let Some(group) = self.groups.remove(&key) else { return };
        for volume in group.volumes {
            if let Some(v) = self.volumes.get_mut(&volume) {
                v.groups.remove(&key);
            }
        }
        for unit in self.units.values_mut() {
            unit.default_protections.retain(|k| *k != key);
        }
        for pod in self.pods.values_mut() {
            pod.default_protections.retain(|k| *k != key);
        }
    }

    /// The source no longer replicates to the target; what is there stays, an empty group goes.
    pub(crate) fn detach_replica(&mut self, key: Key) {
        let Some(replica) = self.replicas.get(&key).cloned() else { return };
        let name = self.replica_name(&replica);
        if let Some(group) = self.groups.get_mut(&replica.group) {
            group.replicas.retain(|r| *r != key);
        }
        let unfinished = replica.flights.clone();
        if let Some(r) = self.replicas.get_mut(&key) {
            r.name = name;
            r.attached = false;
            r.flights.clear();
        }
        for copy in unfinished {
            self.eradicate(Obj::GroupSnap(copy));
        }
        if self.replicas.get(&key).is_some_and(|r| r.snaps.is_empty()) {
            self.eradicate(Obj::Replica(key));
        }
    }

    fn forget_group_snap(&mut self, key: Key) {
        self.abandon(key);
        let Some(snap) = self.group_snaps.remove(&key) else { return };
        match snap.owner {
            Owner::Group(g) => {
                if let Some(group) = self.groups.get_mut(&g) {
                    group.snaps.retain(|k| *k != key);
                }
            }
            Owner::Replica(r) => {
                if let Some(replica) = self.replicas.get_mut(&r) {
                    replica.snaps.retain(|k| *k != key);
                }
            }
        }
        if let Some(original) = snap.original.and_then(|k| self.group_snaps.get_mut(&k)) {
            original.copies.retain(|k| *k != key);
        }
    }
}
