//! Protection groups: members, targets. Used by REST and by the Cinder simulator's handle.

use std::collections::BTreeSet;

use super::{
    error::{Outcome, Refused},
    fabric::{Fabric, fresh_key},
    model::*,
    names,
};

impl Fabric {
    /// A new, empty group with Purity's defaults.
    pub(crate) fn create_group(&mut self, at: Key, name: &str) -> Outcome<Key> {
        let (pod, base) = names::split_pod(name);
        names::check("Protection group", name, base)?;
        let home = match pod {
            None => Home::Array(at),
            Some(pod) => Home::Pod(self.need_pod(at, pod)?),
        };
        if self.find(at, Kind::Group, name).is_some() {
            return Err(Refused::of(name, "Protection group already exists."));
        }
        let key = fresh_key();
        let schedule = |hours: Ms| Schedule { frequency: hours * 3_600_000, ..Schedule::default() };
        let retention = Retention { all_for_sec: 86_400, per_day: 4, days: 7 };
        let group = Group {
            id: self.draw_id(at, "group"),
            home,
            base: base.to_owned(),
            destroyed: None,
            volumes: BTreeSet::new(),
            replication: schedule(4),
            snapshot: schedule(1),
            source_retention: retention,
            target_retention: retention,
            ratcheted: false,
            replicas: Vec::new(),
            snaps: Vec::new(),
            next_number: 1,
            overdue: false,
        };
        self.groups.insert(key, group);
        self.index(Obj::Group(key));
        Ok(key)
    }

    /// A live group of this array (not one that is replicated to it).
    pub(crate) fn local_group(&self, at: Key, name: &str) -> Outcome<Key> {
        let key = self.need(at, Kind::Group, name)?;
        self.as_local(key).map(|_| key)
    }

    /// Refuses replicated and destroyed groups.
    pub(crate) fn as_local(&self, key: Key) -> Outcome<&Group> {
        if let Some(replica) = self.replicas.get(&key) {
            let name = self.replica_name(replica);
            return Err(Refused::of(&name, "Protection group is not local to this array."));
        }
        match self.groups.get(&key) {
            Some(group) if group.destroyed.is_none() => Ok(group),
            Some(_) => {
                Err(Refused::of(&self.group_name(key), "Protection group has been destroyed."))
            }
            None => Err(Refused::request("Protection group does not exist.")),
        }
    }

    /// The groups that new volumes at `home` join by default.
    pub(crate) fn default_protections(&self, home: Home) -> Vec<Key> {
        match home {
            Home::Array(at) => self.units.get(&at).map(|u| u.default_protections.clone()),
            Home::Pod(pod) => self.pods.get(&pod).map(|p| p.default_protections.clone()),
        }
        .unwrap_or_default()
    }

    /// Checks that a volume at `home` may be a member.
    pub(crate) fn may_join(&self, group: Key, home: Home) -> Outcome<()> {
        if self.as_local(group)?.home == home {
            return Ok(());
        }
        Err(Refused::of(
            &self.group_name(group),
            "Volume and protection group must be in the same pod or on the same array.",
        ))
    }

    /// Adds a member; already there is fine.
    pub(crate) fn add_to_group(&mut self, group: Key, volume: Key) {
        if let (Some(g), Some(v)) = (self.groups.get_mut(&group), self.volumes.get_mut(&volume)) {
            g.volumes.insert(volume);
            v.groups.insert(group);
        }
    }

    /// Removes a member; SafeMode and strangers are refused.
    pub(crate) fn remove_from_group(&mut self, group: Key, volume: Key) -> Outcome<()> {
        let name = self.volume_name(volume);
        let g = self.as_local(group)?;
        if !g.volumes.contains(&volume) {
            return Err(Refused::of(
                &name,
                "Volume could not be found in the protection group: membership does not exist.",
            ));
        }
        if g.ratcheted {
            return Err(Refused::of(
                &name,
                "Volume cannot be removed: the protection group's retention lock is ratcheted.",
            ));
        }
        if let Some(g) = self.groups.get_mut(&group) {
            g.volumes.remove(&volume);
        }
        if let Some(v) = self.volumes.get_mut(&volume) {
            v.groups.remove(&group);
        }
        Ok(())
    }

    /// Makes a connected array a target; it sees the group as `source:group`, not allowed yet.
    pub(crate) fn add_target(&mut self, at: Key, group: Key, target: &str) -> Outcome<Key> {
        let on = self.peer(at, target)?;
        let g = self.as_local(group)?;
        let name = self.group_name(group);
        let there = |k: &Key| self.replicas.get(k).is_some_and(|r| r.on == on);
        if g.replicas.iter().any(there) {
            let message = format!("Protection group already includes target {target}.");
            return Err(Refused::of(&name, message));
        }
        let delay = self.units.get(&at).map_or(0, |u| u.config.strict.target_propagation_ms);
        let fresh = Replica {
            id: String::new(),
            on,
            from: at,
            group,
            name: String::new(),
            allowed: false,
            attached: true,
            visible_from: self.now + delay as Ms,
            known_from: self.now,
            destroyed: None,
            snaps: Vec::new(),
            flights: Vec::new(),
        };
        let whole = self.replica_name(&fresh);
        // A group of the same name that was a target before goes on where it stopped.
        let key = match self.find(on, Kind::Group, &whole) {
            Some(key) => {
                let before = self.replicas.get(&key).map(|r| r.snaps.clone()).unwrap_or_default();
                if let Some(replica) = self.replicas.get_mut(&key) {
                    let id = replica.id.clone();
                    *replica = Replica { id, name: whole, snaps: before, ..fresh };
                }
                key
            }
            None => {
                let key = fresh_key();
                let id = self.draw_id(on, "group");
                self.replicas.insert(key, Replica { id, name: whole, ..fresh });
                self.index(Obj::Replica(key));
                key
            }
        };
        if let Some(g) = self.groups.get_mut(&group) {
            g.replicas.push(key);
        }
        Ok(key)
    }

    /// The target says whether it takes what the source ships.
    pub(crate) fn set_allowed(&mut self, replica: Key, allowed: bool) -> Outcome<()> {
        let Some(r) = self.replicas.get(&replica) else {
            return Err(Refused::request("Protection group target does not exist."));
        };
        let name = self.replica_name(r);
        if r.allowed && allowed {
            let on = self.unit_name(r.on).to_owned();
            return Err(Refused::of(
                &name,
                format!("Protection group is already allowed on {on}."),
            ));
        }
        let delay = self.units.get(&r.from).map_or(0, |u| u.config.strict.target_propagation_ms);
        let known_from = self.now + delay as Ms;
        self.rerouting(|f| {
            if let Some(r) = f.replicas.get_mut(&replica) {
                r.allowed = allowed;
                r.known_from = known_from;
            }
        });
        Ok(())
    }

    /// What the source believes of `allowed`.
    pub(crate) fn allowed_as_known(&self, replica: &Replica) -> bool {
        if self.now >= replica.known_from { replica.allowed } else { !replica.allowed }
    }
}
