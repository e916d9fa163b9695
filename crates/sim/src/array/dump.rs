//! The complete state of one array as the tests' oracle.
//!
//! `{"name", "id", "now", "volumes": {name: {..., "content": digest, "stamps": n}}, "snapshots": {...},
//! "groups": {...}, "group_snapshots": {...}, "pods", "volume_groups", "hosts", "connections",
//! "array_connections"}`. A digest is the SHA-256 of all stamps; it is null for what is not here yet.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{fabric::Fabric, model::*};

/// SHA-256 over the stamps in order, each with its length in front.
pub(crate) fn digest(content: &[std::sync::Arc<str>]) -> String {
    let mut hash = Sha256::new();
    for stamp in content {
        hash.update((stamp.len() as u64).to_be_bytes());
        hash.update(stamp.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Fabric {
    /// Everything that `at` has.
    pub(crate) fn dump(&self, at: Key) -> Value {
        let Some(unit) = self.units.get(&at) else { return Value::Null };
        json!({
            "name": unit.name,
            "id": unit.id,
            "now": self.now,
            "volumes": self.by_name(at, Kind::Volume, |f, k| f.dump_volume(at, k)),
            "snapshots": self.by_name(at, Kind::Snapshot, |f, k| f.dump_snap(at, k)),
            "groups": self.by_name(at, Kind::Group, |f, k| f.dump_group(k)),
            "group_snapshots": self.by_name(at, Kind::GroupSnapshot, |f, k| f.dump_group_snap(k)),
            "pods": self.by_name(at, Kind::Pod, |f, k| f.pod_view(k).value),
            "volume_groups": self.by_name(at, Kind::VolumeGroup, |f, k| f.vgroup_view(k).value),
            "hosts": self.dump_hosts(unit),
            "host_groups": unit.host_groups.values().collect::<Vec<_>>(),
            "connections": self.dump_connections(unit),
            "array_connections": self.dump_links(at),
        })
    }

    fn by_name(&self, at: Key, kind: Kind, one: impl Fn(&Self, Key) -> Value) -> Value {
        let mut map = Map::new();
        for key in self.listed(at, kind, "") {
            let value = one(self, key);
            let name = value["name"].as_str().unwrap_or_default().to_owned();
            map.insert(name, value);
        }
        Value::Object(map)
    }

    fn dump_volume(&self, at: Key, key: Key) -> Value {
        let mut value = self.volume_view(at, key).value;
        if let Some(v) = self.volumes.get(&key) {
            value["content"] = json!(digest(&v.content));
            value["stamps"] = json!(v.content.len());
            value["last_stamp"] = json!(v.content.last());
            let tags: Vec<Value> = v
                .tags
                .iter()
                .map(|((ns, k), (value, _))| json!({"namespace": ns, "key": k, "value": value}))
                .collect();
            value["tags"] = json!(tags);
            let groups: Vec<String> = v.groups.iter().map(|g| self.group_name(*g)).collect();
            value["protection_groups"] = json!(groups);
        }
        value
    }

    fn dump_snap(&self, at: Key, key: Key) -> Value {
        let mut value = self.snap_view(at, key).value;
        if let Some(s) = self.snaps.get(&key) {
            let here = match s.owner {
                SnapOwner::Group(group) => self.is_complete(group),
                SnapOwner::Volume(_) => true,
            };
            value["complete"] = json!(here);
            value["content"] = json!(here.then(|| digest(&s.content)));
            value["stamps"] = json!(here.then_some(s.content.len()));
            value["last_stamp"] = json!(here.then(|| s.content.last()).flatten());
        }
        value
    }

    fn dump_group(&self, key: Key) -> Value {
        let mut value = self.group_view(key).value;
        if let Some(g) = self.groups.get(&key) {
            let volumes: Vec<String> = g.volumes.iter().map(|v| self.volume_name(*v)).collect();
            let targets: Vec<Value> = g
                .replicas
                .iter()
                .filter_map(|r| self.replicas.get(r))
                .map(|r| json!({"name": self.unit_name(r.on), "allowed": r.allowed}))
                .collect();
            value["volumes"] = json!(volumes);
            value["targets"] = json!(targets);
        }
        if let Some(r) = self.replicas.get(&key) {
            value["allowed"] = json!(r.allowed);
            value["attached"] = json!(r.attached);
        }
        value
    }

    fn dump_group_snap(&self, key: Key) -> Value {
        let mut value = self.group_snap_view(key).value;
        let transfer = self.transfer_view(key).value;
        value["started"] = transfer["started"].clone();
        value["completed"] = transfer["completed"].clone();
        value["progress"] = transfer["progress"].clone();
        if let Some(s) = self.group_snaps.get(&key) {
            let members: Vec<String> = s.members.iter().map(|m| self.snap_name(*m)).collect();
            value["members"] = json!(members);
            value["retained"] = json!(s.retained);
        }
        value
    }

    fn dump_hosts(&self, unit: &Unit) -> Value {
        let hosts = unit.hosts.values().map(|h| {
            let value = json!({
                "iqns": h.iqns, "wwns": h.wwns, "nqns": h.nqns, "host_group": h.group,
            });
            (h.name.clone(), value)
        });
        Value::Object(hosts.collect())
    }

    fn dump_connections(&self, unit: &Unit) -> Value {
        let all: Vec<Value> = unit
            .connections
            .iter()
            .map(|((volume, peer), lun)| {
                let (host, group) = match peer {
                    Peer::Host(h) => (unit.hosts.get(h).map(|h| h.name.clone()), None),
                    Peer::Group(g) => (None, unit.host_groups.get(g).cloned()),
                };
                json!({"volume": self.volume_name(*volume), "host": host, "host_group": group, "lun": lun})
            })
            .collect();
        json!(all)
    }

    fn dump_links(&self, at: Key) -> Value {
        let mine = self.links.iter().filter_map(|l| Some((l, l.other(at)?)));
        let all: Vec<Value> = mine
            .map(|(l, peer)| {
                json!({
                    "name": self.unit_name(peer),
                    "type": format!("{:?}", l.kind).to_lowercase(),
                    "status": format!("{:?}", l.status).to_lowercase(),
                })
            })
            .collect();
        json!(all)
    }
}
