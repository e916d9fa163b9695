//! Hosts and their connections to volumes, with the rules for LUNs.

use super::{
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
    names,
};

const LAST_LUN: u64 = 4095;

impl Fabric {
    /// The array itself; it is always there while somebody talks to it.
    pub(crate) fn unit(&self, at: Key) -> Outcome<&Unit> {
        self.units.get(&at).ok_or_else(|| Refused::request("Array does not exist."))
    }

    /// The array itself, to change it.
    pub(crate) fn unit_mut(&mut self, at: Key) -> Outcome<&mut Unit> {
        self.units.get_mut(&at).ok_or_else(|| Refused::request("Array does not exist."))
    }

    /// A host's key (its lower-case name).
    pub(crate) fn need_host(&self, at: Key, name: &str) -> Outcome<String> {
        let key = name.to_lowercase();
        match self.unit(at)?.hosts.contains_key(&key) {
            true => Ok(key),
            false => Err(Refused::of(name, "Host does not exist.")),
        }
    }

    /// A host group's key (its lower-case name).
    pub(crate) fn need_host_group(&self, at: Key, name: &str) -> Outcome<String> {
        let key = name.to_lowercase();
        match self.unit(at)?.host_groups.contains_key(&key) {
            true => Ok(key),
            false => Err(Refused::of(name, "Host group does not exist.")),
        }
    }

    /// A new host without initiators.
    pub(crate) fn create_host(&mut self, at: Key, name: &str) -> Outcome<String> {
        names::check("Host", name, name)?;
        let key = name.to_lowercase();
        let unit = self.unit_mut(at)?;
        if unit.hosts.contains_key(&key) {
            return Err(Refused::of(name, "Host already exists."));
        }
        let host = Host { name: name.to_owned(), chap: serde_json::json!({}), ..Host::default() };
        unit.hosts.insert(key.clone(), host);
        Ok(key)
    }

    /// All LUNs that a peer's hosts see.
    fn luns(&self, at: Key, peer: &Peer) -> Vec<u64> {
        let Some(unit) = self.units.get(&at) else { return Vec::new() };
        let related = |other: &Peer| {
            other == peer
                || match (peer, other) {
                    (Peer::Host(host), Peer::Group(group))
                    | (Peer::Group(group), Peer::Host(host)) => {
                        unit.hosts.get(host).is_some_and(|h| h.group.as_ref() == Some(group))
                    }
                    _ => false,
                }
        };
        unit.connections.iter().filter(|((_, p), _)| related(p)).map(|(_, lun)| *lun).collect()
    }

    fn free_lun(&self, at: Key, peer: &Peer) -> Option<u64> {
        let taken = self.luns(at, peer);
        let free = |lun: &u64| !taken.contains(lun);
        match peer {
            Peer::Host(_) => (1..=LAST_LUN).find(free),
            Peer::Group(_) => (1..=254).rev().chain(255..=LAST_LUN).find(free),
        }
    }

    /// Connects a live volume; gives the LUN.
    pub(crate) fn connect(
        &mut self,
        at: Key,
        peer: Peer,
        volume: Key,
        lun: Option<u64>,
    ) -> Outcome<u64> {
        let name = self.volume_name(volume);
        if self.destroyed_at(Obj::Volume(volume)).is_some() {
            return Err(Refused::of(&name, "Volume has been destroyed."));
        }
        if self.unit(at)?.connections.contains_key(&(volume, peer.clone())) {
            return Err(Refused::of(&name, "Connection already exists."));
        }
        let lun = match lun {
            Some(lun) if !(1..=LAST_LUN).contains(&lun) => {
                return Err(Refused::of(&name, "LUN must be between 1 and 4095."));
            }
            Some(lun) if self.luns(at, &peer).contains(&lun) => {
                return Err(Refused::of(&name, "LUN already in use."));
            }
            Some(lun) => lun,
            None => self
                .free_lun(at, &peer)
                .ok_or_else(|| Refused::of(&name, "Connection limit reached."))?,
        };
        self.unit_mut(at)?.connections.insert((volume, peer), lun);
        Ok(lun)
    }

    /// The contrary of [`Fabric::connect`].
    pub(crate) fn disconnect(&mut self, at: Key, peer: Peer, volume: Key) -> Outcome<()> {
        let name = self.volume_name(volume);
        match self.unit_mut(at)?.connections.remove(&(volume, peer)) {
            Some(_) => Ok(()),
            None => Err(Refused::of(&name, "Connection does not exist.")),
        }
    }

    /// True when a host reaches a volume, by itself or by its group.
    pub(crate) fn is_connected(&self, at: Key, host: &str, volume: Key) -> bool {
        let key = host.to_lowercase();
        let Some(unit) = self.units.get(&at) else { return false };
        let group = unit.hosts.get(&key).and_then(|h| h.group.clone());
        unit.connections.contains_key(&(volume, Peer::Host(key)))
            || group.is_some_and(|g| unit.connections.contains_key(&(volume, Peer::Group(g))))
    }
}
