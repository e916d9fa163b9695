//! What must be there after a planned failover that completed, and after one that was rolled back. Each check gives all
//! that is wrong, in words; nothing means that all is well.

use std::collections::{BTreeMap, BTreeSet};

use protector_sim::world::World;
use serde_json::Value;

use crate::{
    Inventory,
    inventory::SiteInventory,
    two_sites::{SERVERS, VOLUMES},
};

/// The founding document's stages of a failover.
pub const STAGES: [&str; 6] = [
    "validate_target_site",
    "get_latest_snapshot",
    "promote_volumes_on_flasharray",
    "manage_volumes_into_cinder",
    "recreate_instances",
    "update_protection_group_state",
];

/// What is wrong.
pub type Problems = Vec<String>;

fn wrong(problems: &mut Problems, bad: bool, message: impl FnOnce() -> String) {
    if bad {
        problems.push(message());
    }
}

/// What `after` has and `before` had not.
fn added<'a, T>(
    before: &BTreeMap<String, T>,
    after: &'a BTreeMap<String, T>,
) -> Vec<(&'a String, &'a T)> {
    after.iter().filter(|(id, _)| !before.contains_key(*id)).collect()
}

/// The operation's record: ended so, with these stages passed.
pub fn operation(record: &Value, status: &str, stages: &[&str]) -> Problems {
    let mut problems = Problems::new();
    wrong(&mut problems, record["status"] != status, || {
        format!("the operation is {}, not {status}: {}", record["status"], record["error_message"])
    });
    let passed = &record["steps_completed"];
    wrong(&mut problems, status == "completed" && *passed != Value::from(stages), || {
        format!("steps_completed is {passed}, not {stages:?}")
    });
    wrong(&mut problems, status == "completed" && record["progress"] != 100, || {
        format!("progress is {}, not 100", record["progress"])
    });
    problems
}

/// Both Protectors' records of the group: this status, this count of failovers, the same version and epoch.
pub fn groups(groups: &[Value; 2], status: &str, failovers: u64) -> Problems {
    let mut problems = Problems::new();
    for (group, site) in groups.iter().zip(["A", "B"]) {
        wrong(&mut problems, group["status"] != status, || {
            format!("the group is {} at site {site}, not {status}", group["status"])
        });
        wrong(&mut problems, group["failover_count"] != failovers, || {
            format!("failover_count is {} at site {site}, not {failovers}", group["failover_count"])
        });
    }
    for key in ["version", "epoch", "current_primary_site_id"] {
        let [a, b] = [&groups[0][key], &groups[1][key]];
        wrong(&mut problems, a != b || a.is_null(), || {
            format!("the group's {key} is {a} at site A, {b} at site B")
        });
    }
    problems
}

/// Nothing of the source may come or go: servers, volumes, ports, attachments, array volumes and their content.
fn source_is_whole(before: &SiteInventory, after: &SiteInventory) -> Problems {
    let mut problems = Problems::new();
    let ids = |site: &SiteInventory| {
        let servers: Vec<_> = site
            .servers
            .iter()
            .map(|(id, s)| (id.clone(), s.disks.clone(), s.ports.clone()))
            .collect();
        let attachments: BTreeSet<_> = site.attachments.iter().cloned().collect();
        (servers, attachments)
    };
    wrong(&mut problems, ids(before) != ids(after), || {
        format!(
            "servers or attachments at the source changed: {:?} -> {:?}",
            ids(before),
            ids(after)
        )
    });
    wrong(&mut problems, before.volumes != after.volumes, || {
        "the source's Cinder volumes changed".into()
    });
    wrong(&mut problems, before.ports != after.ports, || "the source's ports changed".into());
    wrong(&mut problems, before.keypairs != after.keypairs, || {
        "the source's keypairs changed".into()
    });
    wrong(&mut problems, before.array_volumes != after.array_volumes, || {
        format!(
            "the source's array volumes changed: {:?} -> {:?}",
            before.array_volumes, after.array_volumes
        )
    });
    problems
}

/// The source after the fence: off, locked, disconnected; and it cannot write.
fn source_is_fenced(world: &World, before: &SiteInventory, after: &SiteInventory) -> Problems {
    let mut problems = source_is_whole(before, after);
    for (id, server) in &after.servers {
        let off = server.status == "SHUTOFF" && server.task.is_none() && server.locked;
        wrong(&mut problems, !off, || {
            format!("source server {server:?} is not SHUTOFF and locked")
        });
        for (volume, _) in &server.disks {
            let written = world.cloud(0).guest_write(id, volume, "late write");
            wrong(&mut problems, written.is_ok(), || {
                format!("source server {} can still write", server.name)
            });
        }
    }
    wrong(&mut problems, !after.connections.is_empty(), || {
        format!("source volumes are still connected: {:?}", after.connections)
    });
    problems
}

/// The source as it was: running, unlocked, connected, and it can write.
fn source_runs(world: &World, before: &SiteInventory, after: &SiteInventory) -> Problems {
    let mut problems = source_is_whole(before, after);
    for (id, server) in &after.servers {
        let on = server.status == "ACTIVE" && server.task.is_none() && !server.locked;
        wrong(&mut problems, !on, || {
            format!("source server {server:?} is not ACTIVE and unlocked")
        });
        for (volume, _) in &server.disks {
            if let Err(error) = world.cloud(0).guest_write(id, volume, "after the rollback") {
                problems.push(format!("source server {} cannot write: {error}", server.name));
            }
        }
    }
    let connections =
        |site: &SiteInventory| site.connections.iter().cloned().collect::<BTreeSet<_>>();
    wrong(&mut problems, connections(before) != connections(after), || {
        format!(
            "the source's connections were {:?} and are {:?}",
            before.connections, after.connections
        )
    });
    wrong(&mut problems, before.array_groups != after.array_groups, || {
        format!(
            "the source's array groups were {:?} and are {:?}",
            before.array_groups, after.array_groups
        )
    });
    problems
}

/// One final snapshot at each site, and no more.
fn final_snapshots(
    after: &Inventory,
    operation: &str,
    at_most: usize,
    at_least: usize,
) -> Problems {
    let mut problems = Problems::new();
    let short = operation_short(operation);
    for (site, name) in after.sites.iter().zip(["A", "B"]) {
        let ours: Vec<&String> =
            site.group_snapshots.iter().filter(|n| n.contains(".ptr-")).collect();
        wrong(&mut problems, ours.len() > at_most || ours.len() < at_least, || {
            format!("final snapshots on array {name}: {ours:?}, expected {at_least} to {at_most}")
        });
        wrong(&mut problems, ours.iter().any(|n| !n.contains(short)), || {
            format!("a final snapshot of another operation than {operation}: {ours:?}")
        });
    }
    problems
}

/// The part of an operation's id that names carry: its last twelve digits.
fn operation_short(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

/// How many more there are now.
fn more(before: usize, after: usize) -> i64 {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    number(after) - number(before)
}

/// After a planned failover that completed: 3 servers and 5 volumes at B as they were at A, none twice, nothing else.
pub fn failed_over(
    world: &World,
    before: &Inventory,
    after: &Inventory,
    operation: &str,
) -> Problems {
    let mut problems = source_is_fenced(world, &before.sites[0], &after.sites[0]);
    problems.extend(final_snapshots(after, operation, 1, 1));
    let (old, new) = (&before.sites[1], &after.sites[1]);
    let servers = added(&old.servers, &new.servers);
    let volumes = added(&old.volumes, &new.volumes);
    let ports = added(&old.ports, &new.ports);
    let array_volumes = added(&old.array_volumes, &new.array_volumes);
    for (what, has, wanted) in [
        ("servers", more(0, servers.len()), SERVERS),
        ("volumes", more(0, volumes.len()), VOLUMES),
        ("ports", more(0, ports.len()), SERVERS),
        ("array volumes", more(0, array_volumes.len()), VOLUMES),
        ("attachments", more(old.attachments.len(), new.attachments.len()), VOLUMES),
        ("connections", more(old.connections.len(), new.connections.len()), VOLUMES),
        ("keypairs", more(old.keypairs.len(), new.keypairs.len()), 1),
        ("server groups", more(old.server_groups.len(), new.server_groups.len()), 0),
        ("volume snapshots", more(old.snapshots.len(), new.snapshots.len()), 0),
    ] {
        let wanted = more(0, wanted);
        wrong(&mut problems, has != wanted, || {
            format!("site B has {has} new {what}, not {wanted}")
        });
    }
    for source in before.sites[0].servers.values() {
        let named: Vec<_> = servers.iter().filter(|(_, s)| s.name == source.name).collect();
        match named.as_slice() {
            [(id, copy)] => {
                problems.extend(copy_is_right(world, before, after, source, (id.as_str(), copy)))
            }
            other => {
                problems.push(format!("site B has {} servers named {}", other.len(), source.name))
            }
        }
    }
    problems
}

type ById<'a> = (&'a str, &'a crate::inventory::Server);

/// One recovered server against its source: state, addresses, disks and what is on them.
fn copy_is_right(
    world: &World,
    before: &Inventory,
    after: &Inventory,
    source: &crate::inventory::Server,
    (id, copy): ById<'_>,
) -> Problems {
    let mut problems = Problems::new();
    let (a, b) = (&before.sites[0], &after.sites[1]);
    let name = &source.name;
    let up = copy.status == "ACTIVE" && copy.task.is_none() && !copy.locked;
    wrong(&mut problems, !up, || format!("recovered server {name} is {copy:?}"));
    wrong(&mut problems, !source.tags.is_subset(&copy.tags), || {
        format!("tags of {name} are {:?}", copy.tags)
    });
    let addresses = |site: &SiteInventory, server: &crate::inventory::Server| -> Vec<_> {
        let ports = server.ports.iter().filter_map(|p| site.ports.get(p));
        ports.map(|p| (p.mac.clone(), p.addresses.clone())).collect()
    };
    let (was, is) = (addresses(a, source), addresses(b, copy));
    wrong(&mut problems, was != is || is.is_empty(), || {
        format!("addresses of {name} were {was:?} and are {is:?}")
    });
    let foreign = copy.ports.iter().any(|p| b.ports.get(p).is_none_or(|p| p.device != id));
    wrong(&mut problems, foreign, || {
        format!("a port of {name} does not say that it is this server's")
    });
    wrong(&mut problems, source.disks.len() != copy.disks.len(), || {
        format!("disks of {name}: {:?}", copy.disks)
    });
    for ((old_id, old_boot), (new_id, new_boot)) in source.disks.iter().zip(&copy.disks) {
        let boots = |index: &Option<i64>| *index == Some(0);
        wrong(&mut problems, boots(old_boot) != boots(new_boot), || {
            format!("boot order of {name} changed")
        });
        problems.extend(disk_is_right(a, b, old_id, new_id));
        if let Err(error) = world.cloud(1).guest_write(id, new_id, "first write at B") {
            problems.push(format!("recovered server {name} cannot write: {error}"));
        }
    }
    problems
}

fn disk_is_right(a: &SiteInventory, b: &SiteInventory, old_id: &str, new_id: &str) -> Problems {
    let mut problems = Problems::new();
    let (Some(old), Some(new)) = (a.volumes.get(old_id), b.volumes.get(new_id)) else {
        return vec![format!("volume {new_id} (for {old_id}) is not in Cinder")];
    };
    let same = (&old.name, old.size, old.bootable) == (&new.name, new.size, new.bootable)
        && new.status == "in-use";
    wrong(&mut problems, !same, || format!("volume {new:?} was made for {old:?}"));
    let on_array = (a.array_volumes.get(&old.array_name), b.array_volumes.get(&new.array_name));
    let (Some(source), Some(copy)) = on_array else {
        problems.push(format!(
            "array volume {} (for {}) does not exist",
            new.array_name, old.array_name
        ));
        return problems;
    };
    let stamped = copy.last_stamp.as_deref() == Some(&format!("last write to {old_id}"));
    wrong(&mut problems, copy.destroyed || copy.content != source.content || !stamped, || {
        format!(
            "{} does not hold what {} held at the fence: {copy:?}",
            new.array_name, old.array_name
        )
    });
    wrong(&mut problems, b.connected(&new.array_name) != 1, || {
        format!("{} has {} connections", new.array_name, b.connected(&new.array_name))
    });
    problems
}

/// After a failover that was rolled back: the source as it was, nothing at B but destroyed array volumes and a public key.
pub fn rolled_back(
    world: &World,
    before: &Inventory,
    after: &Inventory,
    operation: &str,
) -> Problems {
    let mut problems = source_runs(world, &before.sites[0], &after.sites[0]);
    problems.extend(final_snapshots(after, operation, 1, 0));
    let (old, new) = (&before.sites[1], &after.sites[1]);
    wrong(&mut problems, old.servers != new.servers, || {
        format!("servers are left at B: {:?}", new.servers)
    });
    wrong(&mut problems, old.volumes != new.volumes, || {
        format!("volumes are left at B: {:?}", new.volumes)
    });
    wrong(&mut problems, old.ports != new.ports, || {
        format!("ports are left at B: {:?}", added(&old.ports, &new.ports))
    });
    wrong(&mut problems, old.attachments != new.attachments, || {
        format!("attachments are left at B: {:?}", new.attachments)
    });
    wrong(&mut problems, old.connections != new.connections, || {
        format!("connections are left at B: {:?}", new.connections)
    });
    // What servers that were ACTIVE may have written is kept on purpose.
    let is_kept = |name: &str| name.ends_with("-late");
    let live: BTreeSet<&str> =
        new.live_array_volumes().into_iter().filter(|name| !is_kept(name)).collect();
    wrong(&mut problems, old.live_array_volumes() != live, || {
        format!("array volumes are left at B: {live:?}")
    });
    let mut destroyed = added(&old.array_volumes, &new.array_volumes);
    destroyed.retain(|(name, _)| !is_kept(name));
    wrong(&mut problems, destroyed.len() > VOLUMES, || {
        format!("{} clones were made at B, not at most {VOLUMES}: {destroyed:?}", destroyed.len())
    });
    let leftovers = more(old.server_groups.len(), new.server_groups.len())
        + more(old.snapshots.len(), new.snapshots.len());
    wrong(&mut problems, leftovers != 0, || {
        format!("{leftovers} server groups or snapshots are left at B")
    });
    problems
}

/// What the volumes of a site's servers hold: by server and disk, the digest of all stamps.
pub fn contents(site: &SiteInventory) -> BTreeMap<(String, usize), String> {
    let mut contents = BTreeMap::new();
    for server in site.servers.values() {
        for (disk, (volume, _)) in server.disks.iter().enumerate() {
            let name = site.volumes.get(volume).map(|v| v.array_name.as_str()).unwrap_or_default();
            let content = site.array_volumes.get(name).map(|v| v.content.clone());
            contents.insert((server.name.clone(), disk), content.unwrap_or_default());
        }
    }
    contents
}

/// After a failback that completed: the originals run at A again with what was at B (`last`), nothing of B is left but
/// the volumes that are kept, and each is there once.
pub fn failed_back(
    world: &World,
    before: &Inventory,
    last: &BTreeMap<(String, usize), String>,
    after: &Inventory,
) -> Problems {
    let mut problems = Problems::new();
    let (a, b) = (&after.sites[0], &after.sites[1]);
    let held = contents(a);
    wrong(&mut problems, held != *last, || {
        format!("A does not hold what B held at the fence: {last:?}, but {held:?}")
    });
    let ids = |site: &SiteInventory| -> Vec<_> {
        site.servers.iter().map(|(id, s)| (id.clone(), s.disks.clone(), s.ports.clone())).collect()
    };
    wrong(&mut problems, ids(a) != ids(&before.sites[0]), || {
        format!("the originals were {:?} and are {:?}", ids(&before.sites[0]), ids(a))
    });
    for (id, server) in &a.servers {
        let on = server.status == "ACTIVE" && server.task.is_none() && !server.locked;
        wrong(&mut problems, !on, || format!("original {server:?} is not ACTIVE and unlocked"));
        for (volume, _) in &server.disks {
            if let Err(error) = world.cloud(0).guest_write(id, volume, "first write after all") {
                problems.push(format!("original {} cannot write: {error}", server.name));
            }
        }
    }
    let connections =
        |site: &SiteInventory| site.connections.iter().cloned().collect::<BTreeSet<_>>();
    for (what, is, was) in [
        ("Cinder volumes at A", a.volumes.len(), before.sites[0].volumes.len()),
        ("ports at A", a.ports.len(), before.sites[0].ports.len()),
        ("servers at B", b.servers.len(), 0),
        ("ports at B", b.ports.len(), before.sites[1].ports.len()),
        ("attachments at B", b.attachments.len(), before.sites[1].attachments.len()),
        ("connections at B", b.connections.len(), before.sites[1].connections.len()),
        ("volumes at B", b.volumes.len(), before.sites[1].volumes.len() + VOLUMES),
    ] {
        wrong(&mut problems, is != was, || format!("{is} {what}, not {was}"));
    }
    wrong(&mut problems, connections(a) != connections(&before.sites[0]), || {
        format!("A's connections are {:?}", connections(a))
    });
    problems
}
