//! Everything that both clouds and both arrays have, from the simulators' own dump: no adapter of ours reads it.

use std::collections::{BTreeMap, BTreeSet};

use protector_sim::world::World;
use serde_json::Value;

/// A server that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name.
    pub name: String,
    /// Status.
    pub status: String,
    /// What Nova is doing with it.
    pub task: Option<String>,
    /// Locked.
    pub locked: bool,
    /// Cinder ids in device order, with boot index.
    pub disks: Vec<(String, Option<i64>)>,
    /// Neutron ids in interface order.
    pub ports: Vec<String>,
    /// Tags.
    pub tags: BTreeSet<String>,
}

/// A Cinder volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Name.
    pub name: String,
    /// Status.
    pub status: String,
    /// GiB.
    pub size: i64,
    /// Bootable.
    pub bootable: bool,
    /// Its name on the array.
    pub array_name: String,
}

/// A Neutron port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Nova id, or empty.
    pub device: String,
    /// MAC.
    pub mac: String,
    /// Fixed addresses.
    pub addresses: BTreeSet<String>,
}

/// A volume on an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayVolume {
    /// Destroyed (and not eradicated yet).
    pub destroyed: bool,
    /// Serial.
    pub serial: String,
    /// Digest of all stamps.
    pub content: String,
    /// The newest stamp.
    pub last_stamp: Option<String>,
    /// `key=value`.
    pub tags: BTreeSet<String>,
    /// The array's protection groups that it is in.
    pub groups: BTreeSet<String>,
}

/// A protection group of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayGroup {
    /// Its volumes.
    pub volumes: BTreeSet<String>,
    /// Its replication schedule is on.
    pub schedule: bool,
}

/// One cloud and its array.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteInventory {
    /// By Nova id.
    pub servers: BTreeMap<String, Server>,
    /// By Cinder id.
    pub volumes: BTreeMap<String, Volume>,
    /// (volume, server) of each attachment.
    pub attachments: Vec<(String, String)>,
    /// By Neutron id.
    pub ports: BTreeMap<String, Port>,
    /// Names.
    pub keypairs: BTreeSet<String>,
    /// Names.
    pub server_groups: BTreeSet<String>,
    /// Cinder's snapshots by id.
    pub snapshots: BTreeSet<String>,
    /// By name.
    pub array_volumes: BTreeMap<String, ArrayVolume>,
    /// (volume, host) of each connection.
    pub connections: Vec<(String, String)>,
    /// By name.
    pub array_groups: BTreeMap<String, ArrayGroup>,
    /// Names of group snapshots, of the array's own groups and of replicated ones.
    pub group_snapshots: BTreeSet<String>,
}

/// Both sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Site A, site B.
    pub sites: [SiteInventory; 2],
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> BTreeSet<String> {
    list(value).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn by_id<T>(value: &Value, one: impl Fn(&Value) -> T) -> BTreeMap<String, T> {
    list(value).map(|v| (text(v, "id"), one(v))).collect()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn server(value: &Value) -> Server {
    Server {
        name: text(value, "name"),
        status: text(value, "status"),
        task: value["task_state"].as_str().map(str::to_owned),
        locked: value["locked"] == true,
        disks: list(&value["disks"])
            .map(|d| (text(d, "volume_id"), d["boot_index"].as_i64()))
            .collect(),
        ports: list(&value["nics"]).map(|n| text(n, "port_id")).collect(),
        tags: texts(&value["tags"]),
    }
}

fn volume(value: &Value) -> Volume {
    Volume {
        name: text(value, "name"),
        status: text(value, "status"),
        size: value["size"].as_i64().unwrap_or_default(),
        bootable: value["bootable"] == true,
        array_name: text(value, "array_name"),
    }
}

fn port(value: &Value) -> Port {
    Port {
        name: text(value, "name"),
        device: text(value, "device_id"),
        mac: text(value, "mac_address"),
        addresses: list(&value["fixed_ips"]).map(|a| text(a, "ip_address")).collect(),
    }
}

fn array_volume(value: &Value) -> ArrayVolume {
    ArrayVolume {
        destroyed: value["destroyed"] == true,
        serial: text(value, "serial"),
        content: text(value, "content"),
        last_stamp: value["last_stamp"].as_str().map(str::to_owned),
        tags: list(&value["tags"])
            .map(|t| format!("{}={}", text(t, "key"), text(t, "value")))
            .collect(),
        groups: texts(&value["protection_groups"]),
    }
}

impl SiteInventory {
    fn of(cloud: &Value, array: &Value) -> Self {
        let (compute, storage, network) = (&cloud["compute"], &cloud["volume"], &cloud["network"]);
        let names = |value: &Value| list(value).map(|v| text(v, "name")).collect();
        Self {
            servers: by_id(&compute["servers"], server),
            volumes: by_id(&storage["volumes"], volume),
            attachments: list(&storage["attachments"])
                .map(|a| (text(a, "volume_id"), text(a, "server_id")))
                .collect(),
            ports: by_id(&network["ports"], port),
            keypairs: names(&compute["keypairs"]),
            server_groups: names(&compute["server_groups"]),
            snapshots: by_id(&storage["snapshots"], |_| ()).into_keys().collect(),
            array_volumes: entries(&array["volumes"])
                .map(|(n, v)| (n.clone(), array_volume(v)))
                .collect(),
            connections: list(&array["connections"])
                .map(|c| (text(c, "volume"), text(c, "host")))
                .collect(),
            array_groups: entries(&array["groups"])
                .map(|(name, group)| {
                    let schedule = group["replication_schedule"]["enabled"] == true;
                    (name.clone(), ArrayGroup { volumes: texts(&group["volumes"]), schedule })
                })
                .collect(),
            group_snapshots: entries(&array["group_snapshots"])
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }

    /// To how many hosts the array connects a volume.
    pub fn connected(&self, array_volume: &str) -> usize {
        self.connections.iter().filter(|(volume, _)| volume == array_volume).count()
    }

    /// Live array volumes.
    pub fn live_array_volumes(&self) -> BTreeSet<&str> {
        self.array_volumes
            .iter()
            .filter(|(_, v)| !v.destroyed)
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

impl Inventory {
    /// What is there now.
    pub fn take(world: &World) -> Self {
        let names = [0, 1].map(|at: usize| {
            let site = &world.sites()[at];
            (site.cloud.name.clone(), site.array.name())
        });
        Self::read(&world.dump(), &names)
    }

    /// What a dump says, of sites with these (cloud, array) names.
    pub fn read(dump: &Value, names: &[(String, String); 2]) -> Self {
        let site = |at: usize| {
            let (cloud, array) = &names[at];
            SiteInventory::of(&dump["clouds"][cloud], &dump["arrays"][array])
        };
        Self { sites: [site(0), site(1)] }
    }
}
