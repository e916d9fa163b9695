//! Pods: on one array or stretched over two, and what a lost link does to them.

use super::{
    error::{Outcome, Refused},
    fabric::{Fabric, fresh_key},
    ids,
    model::*,
    names,
};

impl Fabric {
    /// A new, empty pod.
    pub(crate) fn create_pod(&mut self, at: Key, name: &str) -> Outcome<Key> {
        names::check("Pod", name, name)?;
        if self.find(at, Kind::Pod, name).is_some() {
            return Err(Refused::of(name, "Pod already exists."));
        }
        let key = fresh_key();
        let pod = Pod {
            id: self.draw_id(at, "pod"),
            name: name.to_owned(),
            arrays: vec![PodArray { array: at, state: PodState::Online }],
            destroyed: None,
            mediator: "purestorage".into(),
            preferences: Vec::new(),
            demoted: false,
            source: None,
            default_protections: Vec::new(),
            quota: None,
            remnant: false,
        };
        self.pods.insert(key, pod);
        self.index(Obj::Pod(key));
        Ok(key)
    }

    /// Puts a pod on a second array; that copy is in sync after a while.
    pub(crate) fn stretch(&mut self, at: Key, key: Key, target: &str) -> Outcome<Key> {
        let on = self.peer(at, target)?;
        let Some(pod) = self.pods.get(&key) else {
            return Err(Refused::request("Pod does not exist."));
        };
        let name = pod.name.clone();
        if pod.destroyed.is_some() {
            return Err(Refused::of(&name, "Pod has been destroyed."));
        }
        if pod.arrays.iter().any(|a| a.array == on) {
            return Err(Refused::of(&name, format!("Pod already includes array {target}.")));
        }
        let link = self.link(at, on);
        if !link.is_some_and(|l| l.kind == LinkType::Sync && l.status != LinkStatus::Broken) {
            return Err(Refused::of(
                &name,
                "Pod cannot be stretched: arrays need a connected sync-replication connection.",
            ));
        }
        if self.find(on, Kind::Pod, &name).is_some() {
            return Err(Refused::of(&name, format!("Pod already exists on {target}.")));
        }
        let now = self.now;
        let until = now + self.resync_time(at, &name);
        let state = PodState::Resyncing(now, until);
        let scope = self.scope_of_pod(key);
        self.renaming(&scope, |f| {
            if let Some(pod) = f.pods.get_mut(&key) {
                pod.arrays.push(PodArray { array: on, state });
            }
        });
        self.plan(until, Event::Resync(key));
        Ok(on)
    }

    fn resync_time(&self, at: Key, name: &str) -> Ms {
        self.units.get(&at).map_or(0, |u| {
            ids::draw(u.config.seed, &format!("{name}/resync"), u.config.transfer.base_ms) as Ms
        })
    }

    /// Takes a pod off one of its arrays; a destroyed remnant stays there.
    pub(crate) fn unstretch(&mut self, key: Key, from: Key) -> Outcome<()> {
        let Some(pod) = self.pods.get(&key) else {
            return Err(Refused::request("Pod does not exist."));
        };
        let name = pod.name.clone();
        if pod.arrays.len() < 2 || !pod.arrays.iter().any(|a| a.array == from) {
            return Err(Refused::of(&name, "Pod is not stretched to that array."));
        }
        let inside = self.volumes.iter().filter(|(_, v)| v.home == Home::Pod(key));
        let volumes: Vec<Key> = inside.map(|(k, _)| *k).collect();
        let connected = |k: &Key| self.connection_count(from, *k) > 0;
        if volumes.iter().any(connected) {
            return Err(Refused::of(
                &name,
                "Pod cannot be unstretched due to existing connections on that array.",
            ));
        }
        let scope = self.scope_of_pod(key);
        self.renaming(&scope, |f| {
            if let Some(pod) = f.pods.get_mut(&key) {
                pod.arrays.retain(|a| a.array != from);
                for copy in &mut pod.arrays {
                    copy.state = PodState::Online;
                }
            }
        });
        self.leave_remnant(from, &name, key, &volumes);
        Ok(())
    }

    fn leave_remnant(&mut self, at: Key, pod: &str, original: Key, volumes: &[Key]) {
        let mut name = format!("{pod}.restretch");
        let mut number = 1;
        while self.find(at, Kind::Pod, &name).is_some() {
            number += 1;
            name = format!("{pod}.restretch-{number}");
        }
        let Some(template) = self.pods.get(&original).cloned() else { return };
        let key = fresh_key();
        let id = self.draw_id(at, "pod");
        let remnant = Pod {
            source: Some((template.id.clone(), template.name.clone())),
            id,
            name,
            arrays: vec![PodArray { array: at, state: PodState::Online }],
            default_protections: Vec::new(),
            preferences: Vec::new(),
            remnant: true,
            ..template
        };
        self.pods.insert(key, remnant);
        self.index(Obj::Pod(key));
        for volume in volumes {
            let Some(v) = self.volumes.get(volume).cloned() else { continue };
            let copy = fresh_key();
            let id = self.draw_id(at, "volume");
            let serial = self.draw_serial(at);
            let source = Some((v.id.clone(), self.volume_name(*volume)));
            let volume = Volume {
                id,
                serial,
                home: Home::Pod(key),
                vgroup: None,
                source,
                groups: Default::default(),
                snaps: Vec::new(),
                ..v
            };
            self.volumes.insert(copy, volume);
            self.index(Obj::Volume(copy));
        }
        self.mark_destroyed(Obj::Pod(key));
    }

    /// An array loses its power, or gets it back. The mediator lets the other copies of its stretched pods go on; one that
    /// was offline already stays so, since it lacks what the lost array acknowledged.
    pub(crate) fn set_lost(&mut self, at: Key, lost: bool) {
        let now = self.now;
        let until = now + self.resync_time(at, "power");
        match lost {
            true => drop(self.powerless.insert(at)),
            false => drop(self.powerless.remove(&at)),
        }
        let mut resyncing = Vec::new();
        for (key, pod) in &mut self.pods {
            if pod.arrays.len() < 2 {
                continue;
            }
            let others = pod.arrays.iter().any(|c| c.array != at && c.state == PodState::Online);
            let gone = pod.arrays.iter().filter_map(|c| match c.state {
                PodState::Offline(since) => Some(since),
                _ => None,
            });
            let last = gone.max().unwrap_or(now);
            let mut back = false;
            for copy in pod.arrays.iter_mut().filter(|copy| copy.array == at) {
                copy.state = match (lost, copy.state) {
                    (true, PodState::Offline(since)) => PodState::Offline(since),
                    (true, _) => PodState::Offline(now),
                    (false, PodState::Offline(_)) if others => {
                        resyncing.push(*key);
                        PodState::Resyncing(now, until)
                    }
                    // The last one to go is the one that has everything; the others wait for it.
                    (false, PodState::Offline(since)) if since >= last => PodState::Online,
                    (false, state) => state,
                };
                back = !lost && copy.state == PodState::Online;
            }
            // Those that waited for it.
            for copy in pod.arrays.iter_mut().filter(|copy| back && copy.array != at) {
                if let (PodState::Offline(_), false) =
                    (copy.state, self.powerless.contains(&copy.array))
                {
                    copy.state = PodState::Resyncing(now, until);
                    resyncing.push(*key);
                }
            }
        }
        for pod in resyncing {
            self.plan(until, Event::Resync(pod));
        }
    }

    /// Sets a link's state; stretched pods stay online on the preferred side only while it is broken.
    pub(crate) fn set_link(&mut self, a: Key, b: Key, status: LinkStatus) {
        self.rerouting(|f| {
            if let Some(link) = f.links.iter_mut().find(|l| l.other(a) == Some(b)) {
                link.status = status;
            }
        });
        let now = self.now;
        let mut resyncing = Vec::new();
        let resync = self.resync_time(a, "link");
        for (key, pod) in &mut self.pods {
            let both = [a, b].iter().all(|k| pod.arrays.iter().any(|c| c.array == *k));
            if !both || pod.arrays.len() < 2 {
                continue;
            }
            let preferred = pod.preferences.iter().find(|k| **k == a || **k == b).copied();
            let winner = preferred.or(pod.arrays.first().map(|c| c.array));
            for copy in &mut pod.arrays {
                copy.state = match (status, copy.state) {
                    (LinkStatus::Broken, PodState::Offline(at)) => PodState::Offline(at),
                    (LinkStatus::Broken, _) if Some(copy.array) != winner => PodState::Offline(now),
                    (LinkStatus::Broken, state) => state,
                    (_, PodState::Offline(_)) => {
                        resyncing.push(*key);
                        PodState::Resyncing(now, now + resync)
                    }
                    (_, state) => state,
                };
            }
        }
        for pod in resyncing {
            self.plan(now + resync, Event::Resync(pod));
        }
    }
}
