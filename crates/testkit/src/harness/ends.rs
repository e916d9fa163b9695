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

/// A forced failover from A, which is down, to B.
pub fn recovered(ends: &Ends<'_>) -> Problems {
    let mut problems = moved(ends, 0, 1);
    problems.extend(same_servers_at(ends, 0));
    problems
}

/// A partial failover that was completed: B has every server of A, each once.
pub fn complete(ends: &Ends<'_>) -> Problems {
    let names = |site: &SiteInventory| {
        let mut names: Vec<_> = site.servers.values().map(|s| s.name.clone()).collect();
        names.sort();
        names
    };
    let (wanted, has) = (names(&ends.before.sites[0]), names(&ends.after.sites[1]));
    if wanted == has { Vec::new() } else { vec![format!("B has {has:?}, not {wanted:?}")] }
}

/// A drill from A that keeps nothing running there.
pub fn drilled(ends: &Ends<'_>) -> Problems {
    let mut problems = Problems::new();
    let new = added(&ends.before.sites[1], &ends.after.sites[1]).len();
    let wanted = ends.before.sites[0].servers.len();
    if new != wanted {
        problems.push(format!("{new} servers for {wanted}"));
    }
    let (before, after) = (&ends.before.sites[0], &ends.after.sites[0]);
    if before.array_volumes != after.array_volumes || before.volumes != after.volumes {
        problems.push("the drill changed volumes of the primary".into());
    }
    problems
}

/// A drill's cleanup: nothing is left at B, and who was stopped runs.
pub fn cleaned(ends: &Ends<'_>) -> Problems {
    let mut problems = Problems::new();
    let b = &ends.after.sites[1];
    let left = (b.servers.len(), b.volumes.len(), b.ports.len(), b.live_array_volumes().len());
    if left != (0, 0, 0, 0) {
        problems.push(format!("(servers, volumes, ports, array volumes) left at B: {left:?}"));
    }
    let runs = ends.after.sites[0].servers.values().filter(|s| s.status == "ACTIVE").count();
    if runs != 1 {
        problems.push(format!("{runs} servers run at A, not 1"));
    }
    problems
}

/// A failback from B to A: every server of B is at A, as it was, not locked; none is at B.
pub fn returned(ends: &Ends<'_>) -> Problems {
    let mut problems = Problems::new();
    let (b, a) = (&ends.before.sites[1], &ends.after.sites[0]);
    for was in b.servers.values() {
        match a.servers.values().filter(|s| s.name == was.name).collect::<Vec<_>>().as_slice() {
            [is] if is.status == was.status && !is.locked && is.task.is_none() => {}
            other => problems.push(format!("{} is at A as {other:?}", was.name)),
        }
    }
    if !ends.after.sites[1].servers.is_empty() {
        problems.push(format!("servers are left at B: {:?}", ends.after.sites[1].servers));
    }
    problems
}

fn same_servers_at(ends: &Ends<'_>, at: usize) -> Problems {
    if ends.before.sites[at].servers == ends.after.sites[at].servers {
        return Vec::new();
    }
    vec![format!("servers of site {at} changed: {:?}", ends.after.sites[at].servers)]
}

/// Neither site's servers change.
pub fn same_servers(ends: &Ends<'_>) -> Problems {
    let mut problems = same_servers_at(ends, 0);
    problems.extend(same_servers_at(ends, 1));
    problems
}
