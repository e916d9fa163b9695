//! What must be there when an operation has completed, from the inventories before and after it.

use crate::{
    Inventory,
    expect::Problems,
    inventory::{Server, SiteInventory},
};

/// What an end is judged by.
pub struct Ends<'a> {
    /// Before the operation.
    pub before: &'a Inventory,
    /// After it.
    pub after: &'a Inventory,
}

fn added<'a>(before: &SiteInventory, after: &'a SiteInventory) -> Vec<(&'a String, &'a Server)> {
    after.servers.iter().filter(|(id, _)| !before.servers.contains_key(*id)).collect()
}

/// Every server of `from` is at `to` once more, once, as it was: power, disks with their content, addresses, tags.
pub fn moved(ends: &Ends<'_>, from: usize, to: usize) -> Problems {
    let mut problems = Problems::new();
    let (source, target) = (&ends.before.sites[from], &ends.after.sites[to]);
    let new = added(&ends.before.sites[to], target);
    if new.len() != source.servers.len() {
        problems.push(format!("{} servers for {}", new.len(), source.servers.len()));
    }
    for was in source.servers.values() {
        match new.iter().filter(|(_, s)| s.name == was.name).collect::<Vec<_>>().as_slice() {
            [(id, is)] => problems.extend(same(source, was, target, is, id)),
            other => problems.push(format!("{} servers named {}", other.len(), was.name)),
        }
    }
    problems
}

fn same(
    source: &SiteInventory,
    was: &Server,
    target: &SiteInventory,
    is: &Server,
    id: &str,
) -> Problems {
    let mut problems = Problems::new();
    let name = &was.name;
    if was.status != is.status || is.task.is_some() || is.locked {
        problems.push(format!("{name} was {} and is {is:?}", was.status));
    }
    if !was.tags.is_subset(&is.tags) {
        problems.push(format!("{name} had the tags {:?} and has {:?}", was.tags, is.tags));
    }
    let addresses = |site: &SiteInventory, server: &Server| -> Vec<_> {
        let ports = server.ports.iter().filter_map(|p| site.ports.get(p));
        ports.map(|p| (p.mac.clone(), p.addresses.clone())).collect()
    };
    let (had, has) = (addresses(source, was), addresses(target, is));
    if had != has || has.is_empty() {
        problems.push(format!("{name} had the addresses {had:?} and has {has:?}"));
    }
    if was.disks.len() != is.disks.len() {
        problems.push(format!("{name} had {} disks and has {}", was.disks.len(), is.disks.len()));
    }
    for ((old, _), (new, _)) in was.disks.iter().zip(&is.disks) {
        let content = |site: &SiteInventory, volume: &str| {
            let volume = site.volumes.get(volume)?;
            let array = site.array_volumes.get(&volume.array_name)?;
            Some((volume.name.clone(), volume.size, volume.bootable, array.content.clone()))
        };
        let (had, has) = (content(source, old), content(target, new));
        if had != has || has.is_none() {
            problems.push(format!("disk {old} of {name} was {had:?}, {new} is {has:?}"));
        }
        if !target.attachments.contains(&(new.clone(), id.to_owned())) {
            problems.push(format!("disk {new} of {name} is not attached to {id}"));
        }
    }
    problems
}

/// Every server of a site is off and locked, and nothing is connected to its volumes.
pub fn fenced(ends: &Ends<'_>, at: usize) -> Problems {
    let mut problems = Problems::new();
    let (before, after) = (&ends.before.sites[at], &ends.after.sites[at]);
    for (id, was) in &before.servers {
        let Some(is) = after.servers.get(id) else {
            problems.push(format!("server {} is gone", was.name));
            continue;
        };
        if is.status != "SHUTOFF" || !is.locked {
            problems.push(format!("{} is {}, locked: {}", is.name, is.status, is.locked));
        }
        for (volume, _) in &is.disks {
            let array_name = after.volumes.get(volume).map_or("", |v| v.array_name.as_str());
            if after.connected(array_name) != 0 {
                problems.push(format!("{volume} of {} is still connected", is.name));
            }
        }
    }
    problems
}

/// A planned failover from A to B.
pub fn failed_over(ends: &Ends<'_>) -> Problems {
    let mut problems = moved(ends, 0, 1);
    problems.extend(fenced(ends, 0));
    problems
}

/// An operation that never completes.
pub fn nothing(_ends: &Ends<'_>) -> Problems {
    vec!["it completed".into()]
}
