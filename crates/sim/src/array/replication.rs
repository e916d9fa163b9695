//! Protection group snapshots: taking them, shipping them, and how far a shipment is.

use std::sync::Arc;

use super::{
    error::{Outcome, Refused},
    fabric::{Fabric, fresh_key},
    ids,
    model::*,
    names,
};

/// What is to become of a new protection group snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SnapshotWish {
    /// Retention removes it one day.
    pub retained: bool,
    /// Ship it after earlier shipments.
    pub queue: bool,
    /// Ship it at once.
    pub now: bool,
    /// The local copy goes after an hour.
    pub for_replication: bool,
}

impl Fabric {
    /// Freezes all volumes of a group at one point and ships the result if that is wished.
    pub(crate) fn snapshot_group(
        &mut self,
        group: Key,
        suffix: Option<&str>,
        wish: SnapshotWish,
    ) -> Outcome<Key> {
        let name = self.group_name(group);
        let Some(g) = self.groups.get(&group) else {
            return Err(Refused::of(&name, "Protection group does not exist."));
        };
        if g.destroyed.is_some() {
            return Err(Refused::of(&name, "Protection group has been destroyed."));
        }
        let ship = wish.queue || wish.now;
        if ship && g.replicas.is_empty() {
            return Err(Refused::of(&name, "Protection group has no targets to replicate to."));
        }
        let home = g.home;
        let holders = self.holders(home);
        let Some(&at) = holders.first() else {
            return Err(Refused::of(&name, "Protection group does not exist."));
        };
        let suffix = match suffix {
            Some(chosen) => {
                names::suffix(&name, chosen)?;
                self.suffix_is_free(group, at, chosen, ship)?;
                chosen.to_owned()
            }
            None => self.next_group_suffix(group, at),
        };
        let key = self.record_snapshot(group, at, &suffix, wish);
        if wish.for_replication {
            self.plan(self.now + 3_600_000, Event::DropLocal(key));
        }
        if wish.retained {
            self.plan(self.now, Event::Retain(Owner::Group(group)));
        }
        if ship {
            self.ship(key, wish.now, None);
        }
        Ok(key)
    }

    fn suffix_is_free(&self, group: Key, at: Key, suffix: &str, ship: bool) -> Outcome<()> {
        let taken = |owner: String, at: Key| {
            let whole = format!("{owner}.{suffix}");
            self.find(at, Kind::GroupSnapshot, &whole).map(|_| whole)
        };
        let here = taken(self.group_name(group), at);
        let replicas = self.groups.get(&group).map(|g| g.replicas.clone()).unwrap_or_default();
        let there = replicas.iter().filter(|_| ship).find_map(|r| {
            let replica = self.replicas.get(r)?;
            taken(self.replica_name(replica), replica.on)
        });
        match here.or(there) {
            None => Ok(()),
            Some(whole) => Err(Refused::of(&whole, "Protection group snapshot already exists.")),
        }
    }

    fn next_group_suffix(&mut self, group: Key, at: Key) -> String {
        let owner = self.group_name(group);
        loop {
            let Some(g) = self.groups.get_mut(&group) else { return "1".into() };
            let number = g.next_number;
            g.next_number += 1;
            if self.find(at, Kind::GroupSnapshot, &format!("{owner}.{number}")).is_none() {
                return number.to_string();
            }
        }
    }

    fn record_snapshot(&mut self, group: Key, at: Key, suffix: &str, wish: SnapshotWish) -> Key {
        let key = fresh_key();
        let id = self.draw_id(at, "group-snapshot");
        let created = self.now;
        self.group_snaps.insert(
            key,
            GroupSnap {
                id,
                owner: Owner::Group(group),
                suffix: suffix.to_owned(),
                created,
                retained: wish.retained,
                destroyed: None,
                members: Vec::new(),
                transfer: None,
                copies: Vec::new(),
                original: None,
            },
        );
        let volumes: Vec<Key> = self
            .groups
            .get(&group)
            .map(|g| g.volumes.iter().copied().collect())
            .unwrap_or_default();
        for volume in volumes {
            let Some(v) = self.volumes.get(&volume).filter(|v| v.destroyed.is_none()) else {
                continue;
            };
            let snap = Snap {
                id: String::new(),
                serial: String::new(),
                owner: SnapOwner::Group(key),
                part: self.volume_part(v),
                source: (v.id.clone(), self.volume_name(volume)),
                volume,
                created,
                destroyed: None,
                provisioned: v.provisioned,
                content: v.content.clone(),
            };
            self.add_member(at, key, snap);
        }
        if let Some(g) = self.groups.get_mut(&group) {
            g.snaps.push(key);
        }
        self.index(Obj::GroupSnap(key));
        key
    }

    fn add_member(&mut self, at: Key, group_snap: Key, mut snap: Snap) {
        let member = fresh_key();
        snap.id = self.draw_id(at, "snapshot");
        snap.serial = self.draw_serial(at);
        self.snaps.insert(member, snap);
        if let Some(s) = self.group_snaps.get_mut(&group_snap) {
            s.members.push(member);
        }
        self.index(Obj::Snap(member));
    }

    /// Sends a snapshot to the allowed targets of its group (only to `on`, if given).
    pub(crate) fn ship(&mut self, original: Key, at_once: bool, on: Option<&[Key]>) {
        let Some(snap) = self.group_snaps.get(&original) else { return };
        let Owner::Group(group) = snap.owner else { return };
        let replicas = self.groups.get(&group).map(|g| g.replicas.clone()).unwrap_or_default();
        for replica in replicas {
            let Some(r) = self.replicas.get(&replica) else { continue };
            if r.allowed && r.attached && on.is_none_or(|on| on.contains(&r.on)) {
                self.ship_to(original, replica, at_once);
            }
        }
    }

    fn ship_to(&mut self, original: Key, replica: Key, at_once: bool) {
        let Some(snap) = self.group_snaps.get(&original).cloned() else { return };
        let Some(r) = self.replicas.get(&replica).cloned() else { return };
        let name = format!("{}.{}", self.replica_name(&r), snap.suffix);
        if self.find(r.on, Kind::GroupSnapshot, &name).is_some() {
            return;
        }
        let key = fresh_key();
        let id = self.draw_id(r.on, "group-snapshot");
        let bytes = self.bytes_to_ship(&snap, &r);
        let waits = !at_once && !r.flights.is_empty();
        let transfer = Transfer {
            started: (!waits).then_some(self.now),
            completed: None,
            duration: self.duration(&r, &name, bytes),
            done: 0,
            checked: self.now,
            bytes,
        };
        self.group_snaps.insert(
            key,
            GroupSnap {
                id,
                owner: Owner::Replica(replica),
                destroyed: None,
                members: Vec::new(),
                transfer: Some(transfer),
                copies: Vec::new(),
                original: Some(original),
                ..snap.clone()
            },
        );
        for member in &snap.members {
            let Some(part) = self.snaps.get(member).cloned() else { continue };
            let copy = Snap { owner: SnapOwner::Group(key), destroyed: None, ..part };
            self.add_member(r.on, key, copy);
        }
        if let Some(r) = self.replicas.get_mut(&replica) {
            r.snaps.push(key);
            r.flights.push(key);
        }
        if let Some(s) = self.group_snaps.get_mut(&original) {
            s.copies.push(key);
        }
        self.index(Obj::GroupSnap(key));
        self.plan_transfer(key);
    }

    /// What the target lacks: stamps after the longest common beginning with what it got last.
    fn bytes_to_ship(&self, snap: &GroupSnap, replica: &Replica) -> u64 {
        let per_stamp =
            self.units.get(&replica.from).map_or(0, |u| u.config.transfer.bytes_per_stamp);
        let new_stamps: usize = snap
            .members
            .iter()
            .filter_map(|m| self.snaps.get(m))
            .map(|part| {
                let known = self.shipped.get(&(replica.on, part.volume));
                let common = known.map_or(0, |k| common_start(k, &part.content));
                part.content.len() - common
            })
            .sum();
        new_stamps as u64 * per_stamp
    }

    fn duration(&self, replica: &Replica, name: &str, bytes: u64) -> Ms {
        let Some(unit) = self.units.get(&replica.from) else { return 0 };
        let timing = &unit.config.transfer;
        let base = ids::draw(unit.config.seed, name, timing.base_ms);
        let rest = match timing.bytes_per_second {
            0 => 0,
            rate => (u128::from(bytes) * 1000 / u128::from(rate)) as u64,
        };
        (base + rest) as Ms
    }

    /// True while data of the shipment gets through.
    fn running(&self, copy: Key) -> bool {
        let Some(snap) = self.group_snaps.get(&copy) else { return false };
        let (Owner::Replica(replica), Some(transfer)) = (snap.owner, &snap.transfer) else {
            return false;
        };
        let Some(r) = self.replicas.get(&replica) else { return false };
        transfer.started.is_some()
            && transfer.completed.is_none()
            && r.allowed
            && self.reachable(r.from, r.on)
    }

    fn plan_transfer(&mut self, copy: Key) {
        if !self.running(copy) {
            return;
        }
        let Some(t) = self.group_snaps.get(&copy).and_then(|s| s.transfer.as_ref()) else { return };
        let at = t.checked + (t.duration - t.done).max(0);
        self.plan(at, Event::Transfer(copy));
    }

    /// The agenda says that the shipment may be complete at `at`.
    pub(crate) fn transfer_due(&mut self, copy: Key, at: Ms) {
        if !self.running(copy) {
            return;
        }
        let Some(snap) = self.group_snaps.get_mut(&copy) else { return };
        let Owner::Replica(replica) = snap.owner else { return };
        let Some(t) = snap.transfer.as_mut() else { return };
        if t.checked + (t.duration - t.done) > at {
            return self.plan_transfer(copy);
        }
        t.done = t.duration;
        t.completed = Some(at);
        let retained = snap.retained;
        let members = snap.members.clone();
        self.remember_shipped(replica, &members);
        if let Some(r) = self.replicas.get_mut(&replica) {
            r.flights.retain(|k| *k != copy);
        }
        self.start_next(replica, at);
        if retained {
            self.plan(at, Event::Retain(Owner::Replica(replica)));
        }
        if let Some(group) = self.replicas.get(&replica).map(|r| r.group) {
            self.catch_up(group);
        }
    }

    fn remember_shipped(&mut self, replica: Key, members: &[Key]) {
        let Some(on) = self.replicas.get(&replica).map(|r| r.on) else { return };
        for member in members {
            if let Some(part) = self.snaps.get(member) {
                self.shipped.insert((on, part.volume), part.content.clone());
            }
        }
    }

    fn start_next(&mut self, replica: Key, at: Ms) {
        let Some(r) = self.replicas.get(&replica) else { return };
        let started = |k: &Key| self.transfer(*k).is_some_and(|t| t.started.is_some());
        if r.flights.iter().any(started) {
            return;
        }
        let Some(&next) = r.flights.first() else { return };
        if let Some(t) = self.group_snaps.get_mut(&next).and_then(|s| s.transfer.as_mut()) {
            t.started = Some(at);
            t.checked = at;
        }
        self.plan_transfer(next);
    }

    fn transfer(&self, copy: Key) -> Option<&Transfer> {
        self.group_snaps.get(&copy)?.transfer.as_ref()
    }

    /// A shipment that is cut off for good: its copy is going away.
    pub(crate) fn abandon(&mut self, copy: Key) {
        let Some(Owner::Replica(replica)) = self.group_snaps.get(&copy).map(|s| s.owner) else {
            return;
        };
        if let Some(r) = self.replicas.get_mut(&replica) {
            r.flights.retain(|k| *k != copy);
        }
        self.start_next(replica, self.now);
    }

    /// True while any shipment of the group is under way or waits.
    pub(crate) fn shipping(&self, group: Key) -> bool {
        let replicas = self.groups.get(&group).map(|g| g.replicas.as_slice()).unwrap_or_default();
        replicas.iter().filter_map(|r| self.replicas.get(r)).any(|r| !r.flights.is_empty())
    }

    /// Runs a change that lets data through or stops it; shipments keep what they have done.
    pub(crate) fn rerouting(&mut self, change: impl FnOnce(&mut Self)) {
        let flights: Vec<Key> =
            self.replicas.values().flat_map(|r| r.flights.iter().copied()).collect();
        let now = self.now;
        for flight in &flights {
            let running = self.running(*flight);
            if let Some(t) = self.group_snaps.get_mut(flight).and_then(|s| s.transfer.as_mut()) {
                if running {
                    t.done = (t.done + now - t.checked).min(t.duration);
                }
                t.checked = now;
            }
        }
        change(self);
        for flight in flights {
            if let Some(t) = self.group_snaps.get_mut(&flight).and_then(|s| s.transfer.as_mut()) {
                t.checked = now;
            }
            self.plan_transfer(flight);
        }
    }

    /// How far a shipment is now, between 0 and 1.
    pub(crate) fn progress(&self, copy: Key) -> f64 {
        let Some(t) = self.transfer(copy) else { return 0.0 };
        if t.completed.is_some() {
            return 1.0;
        }
        if t.duration == 0 {
            return 0.0;
        }
        let more = if self.running(copy) { self.now - t.checked } else { 0 };
        ((t.done + more) as f64 / t.duration as f64).clamp(0.0, 0.999)
    }

    /// True when everything of the snapshot is here.
    pub(crate) fn is_complete(&self, group_snap: Key) -> bool {
        self.transfer(group_snap).is_none_or(|t| t.completed.is_some())
    }
}

fn common_start(a: &Content, b: &Content) -> usize {
    if Arc::ptr_eq(a, b) {
        return a.len();
    }
    a.iter().zip(b.iter()).take_while(|(x, y)| x == y).count()
}
