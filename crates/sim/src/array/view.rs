//! Objects as JSON with the fields of all versions; [`super::contract`] leaves out what is too new.

use serde_json::{Value, json};

use super::{fabric::Fabric, model::*, query::Row};

fn reference(pair: &Option<(String, String)>) -> Value {
    match pair {
        Some((id, name)) => json!({"id": id, "name": name}),
        None => json!({}),
    }
}

/// Space figures for so many provisioned and written bytes.
pub(crate) fn space(provisioned: u64, written: u64, snapshots: u64) -> Value {
    let thin = if provisioned == 0 {
        0.0
    } else {
        (provisioned.saturating_sub(written)) as f64 / provisioned as f64
    };
    json!({
        "data_reduction": 1.0,
        "footprint": written,
        "shared": 0,
        "shared_effective": 0,
        "snapshots": snapshots,
        "snapshots_effective": snapshots,
        "system": 0,
        "thin_provisioning": thin,
        "total_effective": written + snapshots,
        "total_physical": written + snapshots,
        "total_provisioned": provisioned,
        "total_reduction": 1.0,
        "total_used": written + snapshots,
        "unique": written,
        "unique_effective": written,
        "used_provisioned": provisioned,
        "virtual": written,
        "replication": 0,
        "replication_effective": 0,
    })
}

impl Fabric {
    fn stamp_bytes(&self, at: Key) -> u64 {
        self.units.get(&at).map_or(1, |u| u.config.transfer.bytes_per_stamp)
    }

    fn pod_ref(&self, home: Home) -> Value {
        match home {
            Home::Array(_) => json!({}),
            Home::Pod(pod) => match self.pods.get(&pod) {
                Some(pod) => json!({"id": pod.id, "name": pod.name}),
                None => json!({}),
            },
        }
    }

    /// `{"id", "name"}` of a volume group.
    pub(crate) fn vgroup_ref(&self, key: Option<Key>) -> Value {
        match key.and_then(|k| self.vgroups.get(&k)) {
            Some(group) => {
                let name = match group.home {
                    Home::Array(_) => group.base.clone(),
                    Home::Pod(pod) => {
                        let pod = self.pods.get(&pod).map_or("", |p| p.name.as_str());
                        format!("{pod}::{}", group.base)
                    }
                };
                json!({"id": group.id, "name": name})
            }
            None => json!({}),
        }
    }

    /// How many hosts and host groups of `at` are connected to a volume.
    pub(crate) fn connection_count(&self, at: Key, volume: Key) -> usize {
        let first = (volume, Peer::Host(String::new()));
        self.units.get(&at).map_or(0, |u| {
            u.connections.range(first..).take_while(|((v, _), _)| *v == volume).count()
        })
    }

    /// One item of `/volumes`.
    pub(crate) fn volume_view(&self, at: Key, key: Key) -> Row {
        let Some(v) = self.volumes.get(&key) else { return Row::from(json!({})) };
        let written = v.content.len() as u64 * self.stamp_bytes(at);
        let promotion = if v.demoted { "demoted" } else { "promoted" };
        let value = json!({
            "id": v.id,
            "name": self.volume_name(key),
            "serial": v.serial,
            "provisioned": v.provisioned,
            "connection_count": self.connection_count(at, key),
            "created": v.created,
            "destroyed": v.destroyed.is_some(),
            "host_encryption_key_status": "none",
            "priority": 0,
            "priority_adjustment": {"priority_adjustment_operator": "+", "priority_adjustment_value": 0},
            "promotion_status": promotion,
            "requested_promotion_state": promotion,
            "qos": v.qos,
            "source": reference(&v.source),
            "subtype": "regular",
            "pod": self.pod_ref(v.home),
            "volume_group": self.vgroup_ref(v.vgroup),
            "space": space(v.provisioned, written, 0),
            "time_remaining": self.time_remaining(Obj::Volume(key)),
        });
        let tags = v.tags.iter().map(|((_, k), (value, _))| (k.clone(), value.clone())).collect();
        Row { value, tags }
    }

    /// One item of `/volume-snapshots`.
    pub(crate) fn snap_view(&self, at: Key, key: Key) -> Row {
        let Some(s) = self.snaps.get(&key) else { return Row::from(json!({})) };
        let name = self.snap_name(key);
        let written = s.content.len() as u64 * self.stamp_bytes(at);
        let suffix = match s.owner {
            SnapOwner::Volume(_) => s.part.clone(),
            SnapOwner::Group(_) => {
                name.rsplit_once("::").map_or(name.as_str(), |(_, rest)| rest).to_owned()
            }
        };
        let source = match (s.owner, self.volumes.get(&s.volume)) {
            (SnapOwner::Volume(v), Some(volume)) => Some((volume.id.clone(), self.volume_name(v))),
            _ => Some(s.source.clone()),
        };
        Row::from(json!({
            "id": s.id,
            "name": name,
            "created": s.created,
            "destroyed": s.destroyed.is_some(),
            "pod": self.snap_home(s).map_or(json!({}), |h| self.pod_ref(h)),
            "provisioned": s.provisioned,
            "serial": s.serial,
            "source": reference(&source),
            "suffix": suffix,
            "space": space(s.provisioned, 0, written),
            "time_remaining": self.time_remaining(Obj::Snap(key)),
            "volume_group": {},
        }))
    }

    /// One item of `/protection-groups`, of this array or replicated to it.
    pub(crate) fn group_view(&self, key: Key) -> Row {
        let (group, replica) = match self.replicas.get(&key) {
            Some(replica) => (self.groups.get(&replica.group), Some(replica)),
            None => (self.groups.get(&key), None),
        };
        let destroyed = self.destroyed_at(match replica {
            Some(_) => Obj::Replica(key),
            None => Obj::Group(key),
        });
        let Some(g) = group else { return self.orphan_view(key) };
        let source = match (replica, g.home) {
            (Some(replica), _) => self.plain_unit_ref(replica.from),
            (None, Home::Array(home)) => self.plain_unit_ref(home),
            (None, Home::Pod(_)) => self.pod_ref(g.home),
        };
        let provisioned =
            g.volumes.iter().filter_map(|v| self.volumes.get(v)).map(|v| v.provisioned).sum();
        Row::from(json!({
            "id": replica.map_or(&g.id, |r| &r.id),
            "name": replica.map_or_else(|| self.group_name(key), |r| self.replica_name(r)),
            "destroyed": destroyed.is_some(),
            "eradication_config": manual_eradication(g.ratcheted),
            "host_count": 0,
            "host_group_count": 0,
            "is_local": replica.is_none(),
            "pod": if replica.is_some() { json!({}) } else { self.pod_ref(g.home) },
            "replication_schedule": schedule(&g.replication, true),
            "retention_lock": if g.ratcheted { "ratcheted" } else { "unlocked" },
            "snapshot_schedule": schedule(&g.snapshot, false),
            "source": source,
            "source_retention": retention(&g.source_retention),
            "target_retention": retention(&g.target_retention),
            "space": space(provisioned, 0, 0),
            "target_count": g.replicas.len(),
            "time_remaining": self.time_remaining(if replica.is_some() { Obj::Replica(key) } else { Obj::Group(key) }),
            "volume_count": g.volumes.len(),
        }))
    }

    /// A replicated group whose source is gone.
    fn orphan_view(&self, key: Key) -> Row {
        let Some(r) = self.replicas.get(&key) else { return Row::from(json!({})) };
        let off = Schedule::default();
        Row::from(json!({
            "id": r.id,
            "name": r.name,
            "destroyed": r.destroyed.is_some(),
            "eradication_config": manual_eradication(false),
            "host_count": 0,
            "host_group_count": 0,
            "is_local": false,
            "pod": {},
            "replication_schedule": schedule(&off, true),
            "retention_lock": "unlocked",
            "snapshot_schedule": schedule(&off, false),
            "source": self.plain_unit_ref(r.from),
            "space": space(0, 0, 0),
            "target_count": 0,
            "time_remaining": self.time_remaining(Obj::Replica(key)),
            "volume_count": 0,
        }))
    }

    fn plain_unit_ref(&self, at: Key) -> Value {
        match self.units.get(&at) {
            Some(unit) => json!({"id": unit.id, "name": unit.name}),
            None => json!({}),
        }
    }

    /// `{"id", "name"}` of a group as `at` sees it.
    pub(crate) fn group_ref(&self, key: Key) -> Value {
        match (self.groups.get(&key), self.replicas.get(&key)) {
            (Some(g), _) => json!({"id": g.id, "name": self.group_name(key)}),
            (None, Some(r)) => json!({"id": r.id, "name": self.replica_name(r)}),
            (None, None) => json!({}),
        }
    }

    /// One item of `/protection-group-snapshots`.
    pub(crate) fn group_snap_view(&self, key: Key) -> Row {
        let Some(s) = self.group_snaps.get(&key) else { return Row::from(json!({})) };
        let owner = match s.owner {
            Owner::Group(k) | Owner::Replica(k) => k,
        };
        let provisioned =
            s.members.iter().filter_map(|m| self.snaps.get(m)).map(|m| m.provisioned).sum();
        let ratcheted = self.locked_by(Obj::GroupSnap(key)).is_some();
        let pod = match self.owner_home(s.owner) {
            Some(home) => self.pod_ref(home),
            None => json!({}),
        };
        Row::from(json!({
            "id": s.id,
            "name": self.group_snap_name(key),
            "created": s.created,
            "destroyed": s.destroyed.is_some(),
            "eradication_config": manual_eradication(ratcheted),
            "pod": pod,
            "source": self.group_ref(owner),
            "space": space(provisioned, 0, 0),
            "suffix": s.suffix,
            "time_remaining": self.time_remaining(Obj::GroupSnap(key)),
        }))
    }

    /// One item of `/protection-group-snapshots/transfer`: on the source, of what it shipped.
    pub(crate) fn transfer_view(&self, key: Key) -> Row {
        let Some(s) = self.group_snaps.get(&key) else { return Row::from(json!({})) };
        let mut row = self.transfer_figures(s, key);
        row["id"] = json!(s.id);
        row["name"] = json!(self.group_snap_name(key));
        row["destroyed"] = json!(s.destroyed.is_some());
        Row::from(row)
    }

    /// One item of `/volume-snapshots/transfer`.
    pub(crate) fn snap_transfer_view(&self, key: Key) -> Row {
        let Some(snap) = self.snaps.get(&key) else { return Row::from(json!({})) };
        let mut row = match snap.owner {
            SnapOwner::Group(g) => match self.group_snaps.get(&g) {
                Some(s) => self.transfer_figures(s, g),
                None => json!({}),
            },
            SnapOwner::Volume(_) => json!({"started": null, "completed": null, "progress": null}),
        };
        row["id"] = json!(snap.id);
        row["name"] = json!(self.snap_name(key));
        row["destroyed"] = json!(snap.destroyed.is_some());
        Row::from(row)
    }

    fn transfer_figures(&self, s: &GroupSnap, key: Key) -> Value {
        let copies: Vec<Key> = if s.transfer.is_some() { vec![key] } else { s.copies.clone() };
        let transfers: Vec<(Key, &Transfer)> = copies
            .iter()
            .filter_map(|k| Some((*k, self.group_snaps.get(k)?.transfer.as_ref()?)))
            .collect();
        if transfers.is_empty() {
            return json!({"started": null, "completed": null, "progress": null,
                "data_transferred": null, "physical_bytes_written": null});
        }
        let progress = transfers.iter().map(|(k, _)| self.progress(*k)).fold(1.0, f64::min);
        let started = transfers.iter().filter_map(|(_, t)| t.started).min();
        let all: Option<Vec<Ms>> = transfers.iter().map(|(_, t)| t.completed).collect();
        let completed = all.and_then(|all| all.into_iter().max());
        let bytes: f64 = transfers.iter().map(|(k, t)| t.bytes as f64 * self.progress(*k)).sum();
        json!({
            "started": started,
            "completed": completed,
            "progress": progress,
            "data_transferred": bytes as u64,
            "physical_bytes_written": bytes as u64 / 2,
        })
    }

    /// One item of `/pods`.
    pub(crate) fn pod_view(&self, key: Key) -> Row {
        let Some(p) = self.pods.get(&key) else { return Row::from(json!({})) };
        let home = Home::Pod(key);
        let provisioned: u64 =
            self.volumes.values().filter(|v| v.home == home).map(|v| v.provisioned).sum();
        let arrays: Vec<Value> = p.arrays.iter().map(|a| self.pod_array_view(a)).collect();
        let members: Vec<Value> = p.arrays.iter().map(|a| self.unit_ref(a.array)).collect();
        let preferences: Vec<Value> =
            p.preferences.iter().map(|a| self.plain_unit_ref(*a)).collect();
        let promotion = if p.demoted { "demoted" } else { "promoted" };
        Row::from(json!({
            "id": p.id,
            "name": p.name,
            "array_count": p.arrays.len(),
            "arrays": arrays,
            "members": members,
            "destroyed": p.destroyed.is_some(),
            "eradication_config": {"manual_eradication":
                if self.locked_by(Obj::Pod(key)).is_some() { "partially-disabled" } else { "all-enabled" }},
            "failover_preferences": preferences,
            "footprint": 0,
            "link_source_count": 0,
            "link_target_count": 0,
            "mediator": p.mediator,
            "mediator_version": "1.0",
            "promotion_status": promotion,
            "requested_promotion_state": promotion,
            "quota_limit": p.quota,
            "source": reference(&p.source),
            "space": space(provisioned, 0, 0),
            "time_remaining": self.time_remaining(Obj::Pod(key)),
        }))
    }

    fn pod_array_view(&self, copy: &PodArray) -> Value {
        let (status, frozen_at, progress) = match copy.state {
            PodState::Online => ("online", None, None),
            PodState::Offline(at) => ("offline", Some(at), None),
            PodState::Resyncing(from, until) => {
                let share = (self.now - from) as f64 / (until - from).max(1) as f64;
                ("resyncing", Some(from), Some(share.clamp(0.0, 1.0)))
            }
        };
        let unit = self.units.get(&copy.array);
        let mut value = json!({
            "id": unit.map_or("", |u| u.id.as_str()),
            "name": unit.map_or("", |u| u.name.as_str()),
            "mediator_status": "online",
            "member": self.unit_ref(copy.array),
            "pre_elected": false,
            "status": status,
        });
        // A schema without nulls: what does not apply is not there.
        if let Some(at) = frozen_at {
            value["frozen_at"] = json!(at);
        }
        if let Some(progress) = progress {
            value["progress"] = json!(progress);
        }
        value
    }

    /// One item of `/volume-groups`.
    pub(crate) fn vgroup_view(&self, key: Key) -> Row {
        let Some(g) = self.vgroups.get(&key) else { return Row::from(json!({})) };
        let inside = || self.volumes.values().filter(|v| v.vgroup == Some(key));
        Row::from(json!({
            "id": g.id,
            "name": self.vgroup_ref(Some(key))["name"],
            "destroyed": g.destroyed.is_some(),
            "pod": self.pod_ref(g.home),
            "priority_adjustment": {"priority_adjustment_operator": "+", "priority_adjustment_value": 0},
            "qos": g.qos,
            "space": space(inside().map(|v| v.provisioned).sum(), 0, 0),
            "time_remaining": self.time_remaining(Obj::VolumeGroup(key)),
            "volume_count": inside().count(),
        }))
    }
}

fn manual_eradication(ratcheted: bool) -> Value {
    json!({"manual_eradication": if ratcheted { "disabled" } else { "enabled" }})
}

fn schedule(schedule: &Schedule, replication: bool) -> Value {
    let mut value = json!({"enabled": schedule.enabled, "frequency": schedule.frequency});
    if let Some(at) = schedule.at {
        value["at"] = json!(at / 1000);
    }
    if replication {
        value["blackout"] = match schedule.blackout {
            Some((start, end)) => json!({"start": start, "end": end}),
            None => json!({}),
        };
    }
    value
}

fn retention(retention: &Retention) -> Value {
    json!({
        "all_for_sec": retention.all_for_sec,
        "days": retention.days,
        "per_day": retention.per_day,
    })
}
