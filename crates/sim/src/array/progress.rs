//! What happens by itself: schedules, retention, eradication. Evaluated whenever somebody looks.

use std::collections::HashMap;

use super::{fabric::Fabric, model::*, replication::SnapshotWish};

impl Fabric {
    /// Lets everything happen that is due by the clock.
    pub(crate) fn settle(&mut self) {
        let until = self.clock.now().timestamp_millis();
        while let Some(&(at, event)) = self.agenda.first() {
            if at > until {
                break;
            }
            self.agenda.pop_first();
            self.now = self.now.max(at);
            self.happen(at, event);
        }
        self.now = self.now.max(until);
    }

    fn happen(&mut self, at: Ms, event: Event) {
        match event {
            Event::Replicate(group) => self.replication_tick(group, at),
            Event::Snapshot(group) => self.snapshot_tick(group, at),
            Event::Transfer(copy) => self.transfer_due(copy, at),
            Event::Retain(owner) => self.retain(owner),
            Event::Eradicate(object) => self.eradication_due(object),
            Event::DropLocal(snap) => self.drop_local(snap),
            Event::Resync(pod) => self.resynced(pod),
        }
    }

    fn replication_tick(&mut self, group: Key, at: Ms) {
        let shipping = self.shipping(group);
        let allowed = self.has_allowed_target(group);
        let Some(g) = self.groups.get_mut(&group) else { return };
        if !g.replication.enabled || g.replication.next != Some(at) || g.destroyed.is_some() {
            return;
        }
        if let Some(end) = blackout_end(&g.replication, at) {
            g.replication.next = Some(end);
            self.plan(end, Event::Replicate(group));
            return;
        }
        let next = next_tick(&g.replication, at);
        g.replication.next = Some(next);
        g.overdue = shipping && allowed;
        self.plan(next, Event::Replicate(group));
        if allowed && !shipping {
            self.scheduled_replication(group);
        }
    }

    fn scheduled_replication(&mut self, group: Key) {
        let wish = SnapshotWish { retained: true, queue: true, ..SnapshotWish::default() };
        // A group that cannot be snapshotted now is tried again at its next tick.
        let _ = self.snapshot_group(group, None, wish);
    }

    /// A tick that had to wait for the shipment before it.
    pub(crate) fn catch_up(&mut self, group: Key) {
        let ready = !self.shipping(group) && self.has_allowed_target(group);
        let Some(g) = self.groups.get_mut(&group) else { return };
        if ready && g.overdue {
            g.overdue = false;
            if g.replication.enabled && g.destroyed.is_none() {
                self.scheduled_replication(group);
            }
        }
    }

    fn has_allowed_target(&self, group: Key) -> bool {
        let replicas = self.groups.get(&group).map(|g| g.replicas.as_slice()).unwrap_or_default();
        replicas.iter().filter_map(|r| self.replicas.get(r)).any(|r| r.allowed && r.attached)
    }

    fn snapshot_tick(&mut self, group: Key, at: Ms) {
        let Some(g) = self.groups.get_mut(&group) else { return };
        if !g.snapshot.enabled || g.snapshot.next != Some(at) || g.destroyed.is_some() {
            return;
        }
        let next = next_tick(&g.snapshot, at);
        g.snapshot.next = Some(next);
        self.plan(next, Event::Snapshot(group));
        let wish = SnapshotWish { retained: true, ..SnapshotWish::default() };
        // As above: the next tick tries again.
        let _ = self.snapshot_group(group, None, wish);
    }

    /// Puts the schedules of a group on the agenda after they were changed.
    pub(crate) fn reschedule(&mut self, group: Key, before: (&Schedule, &Schedule)) {
        let now = self.now;
        let Some(g) = self.groups.get_mut(&group) else { return };
        let (replicate, snapshot) = (
            first_tick(&mut g.replication, before.0, now),
            first_tick(&mut g.snapshot, before.1, now),
        );
        if let Some(at) = replicate {
            self.plan(at, Event::Replicate(group));
        }
        if let Some(at) = snapshot {
            self.plan(at, Event::Snapshot(group));
        }
    }

    /// Destroys what retention no longer keeps, and plans when to look again.
    fn retain(&mut self, owner: Owner) {
        let now = self.now;
        let (retention, snaps) = match owner {
            Owner::Group(key) => match self.groups.get(&key) {
                Some(g) => (g.source_retention, g.snaps.clone()),
                None => return,
            },
            Owner::Replica(key) => {
                let Some(r) = self.replicas.get(&key) else { return };
                let Some(g) = self.groups.get(&r.group) else { return };
                (g.target_retention, r.snaps.clone())
            }
        };
        let mut candidates: Vec<(Ms, Key)> = snaps
            .iter()
            .filter(|k| self.is_complete(**k))
            .filter_map(|k| Some((self.group_snaps.get(k)?, *k)))
            .filter(|(s, _)| s.retained && s.destroyed.is_none())
            .map(|(s, k)| (s.created, k))
            .collect();
        candidates.sort_unstable();
        let all_for = retention.all_for_sec * 1000;
        let longest = all_for + retention.days * DAY_MS;
        let mut per_day: HashMap<Ms, i64> = HashMap::new();
        let mut due: Option<Ms> = None;
        let mut sooner = |at: Ms| due = Some(due.map_or(at, |d| d.min(at)));
        let mut doomed = Vec::new();
        for (created, key) in candidates.into_iter().rev() {
            let age = now - created;
            let rank = per_day.entry(created.div_euclid(DAY_MS)).or_insert(0);
            *rank += 1;
            if age < all_for {
                sooner(created + all_for);
            } else if age < longest && *rank <= retention.per_day {
                sooner(created + longest);
            } else {
                doomed.push(key);
            }
        }
        if let Some(at) = due {
            self.plan(at, Event::Retain(owner));
        }
        for key in doomed {
            self.mark_destroyed(Obj::GroupSnap(key));
        }
    }

    fn drop_local(&mut self, snap: Key) {
        let Some(s) = self.group_snaps.get(&snap) else { return };
        if s.copies.iter().any(|c| self.group_snaps.contains_key(c) && !self.is_complete(*c)) {
            let again = self.now + 60_000;
            self.plan(again, Event::DropLocal(snap));
            return;
        }
        self.eradicate(Obj::GroupSnap(snap));
    }

    fn resynced(&mut self, pod: Key) {
        let now = self.now;
        let Some(p) = self.pods.get_mut(&pod) else { return };
        for copy in &mut p.arrays {
            if matches!(copy.state, PodState::Resyncing(_, until) if until <= now) {
                copy.state = PodState::Online;
            }
        }
    }
}

fn next_tick(schedule: &Schedule, at: Ms) -> Ms {
    let frequency = schedule.frequency.max(1000);
    match schedule.at {
        Some(time) if frequency % DAY_MS == 0 => time_of_day(at + frequency - DAY_MS, time),
        _ => at + frequency,
    }
}

/// The next moment after `after` at which the day is `time` old.
fn time_of_day(after: Ms, time: Ms) -> Ms {
    let today = after.div_euclid(DAY_MS) * DAY_MS + time;
    if today > after { today } else { today + DAY_MS }
}

/// When a schedule ticks first after a change; None when nothing new is to be planned.
fn first_tick(schedule: &mut Schedule, before: &Schedule, now: Ms) -> Option<Ms> {
    if !schedule.enabled {
        schedule.next = None;
        return None;
    }
    let same = before.enabled && before.frequency == schedule.frequency && before.at == schedule.at;
    if same && schedule.next.is_some() {
        return None;
    }
    let first = match schedule.at {
        Some(time) if schedule.frequency % DAY_MS == 0 => time_of_day(now, time),
        _ if before.enabled => now + schedule.frequency,
        _ => now,
    };
    schedule.next = Some(first);
    Some(first)
}

/// The end of the blackout that `at` falls into.
fn blackout_end(schedule: &Schedule, at: Ms) -> Option<Ms> {
    let (start, end) = schedule.blackout?;
    let time = at.rem_euclid(DAY_MS);
    let midnight = at - time;
    let inside =
        if start <= end { start <= time && time < end } else { time >= start || time < end };
    inside.then(|| if time < end { midnight + end } else { midnight + DAY_MS + end })
}
