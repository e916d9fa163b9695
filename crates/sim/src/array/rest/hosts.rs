//! `/hosts` and `/host-groups`.

use serde_json::{Value, json};

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
    names,
    query::Row,
    view,
};

fn item(f: &Fabric, at: Key, key: &str) -> Value {
    let Some((unit, host)) = f.units.get(&at).and_then(|u| Some((u, u.hosts.get(key)?))) else {
        return json!({});
    };
    let count = unit
        .connections
        .keys()
        .filter(|(_, peer)| match peer {
            Peer::Host(h) => h == key,
            Peer::Group(g) => host.group.as_ref() == Some(g),
        })
        .count();
    let group = host.group.as_ref().and_then(|g| unit.host_groups.get(g));
    let preferred: Vec<Value> = host.preferred_arrays.iter().map(|n| json!({"name": n})).collect();
    json!({
        "name": host.name,
        "chap": host.chap,
        "connection_count": count,
        "destroyed": false,
        "host_group": group.map_or(json!({}), |g| json!({"name": g})),
        "iqns": host.iqns,
        "is_local": true,
        "nqns": host.nqns,
        "personality": host.personality,
        "port_connectivity": {"details": "", "status": ""},
        "preferred_arrays": preferred,
        "qos": {},
        "space": view::space(0, 0, 0),
        "vlan": "any",
        "wwns": host.wwns,
    })
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome<Reply> {
    let keys = match call.q.list("names") {
        Some(names) => super::collect(names.iter().map(|name| call.f.need_host(call.at, name)))?,
        None => call.f.unit(call.at)?.hosts.keys().cloned().collect(),
    };
    let at = call.at;
    call.page(keys, |f, key| Row::from(item(f, at, key)))
}

fn strings(body: &Value, key: &str) -> Outcome<Option<Vec<String>>> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(all)) => {
            let texts = all.iter().map(|v| v.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>().map(Some).ok_or_else(|| missing(key))
        }
        Some(_) => Err(missing(key)),
    }
}

/// `52:4A:...` in upper case with colons, however it was written.
fn wwn(text: &str) -> String {
    let plain = text.replace(':', "").to_uppercase();
    let pairs: Vec<String> =
        plain.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).into_owned()).collect();
    pairs.join(":")
}

struct Initiators {
    iqns: Vec<String>,
    wwns: Vec<String>,
    nqns: Vec<String>,
}

/// What the host has after the body was applied: replaced, added to, removed from.
fn initiators(body: &Value, host: &Host) -> Outcome<Initiators> {
    let change = |kind: &str, now: &[String]| -> Outcome<Vec<String>> {
        let normal = |text: &String| if kind == "wwns" { wwn(text) } else { text.clone() };
        let mut list = match strings(body, kind)? {
            Some(new) => new.iter().map(normal).collect(),
            None => now.to_vec(),
        };
        for added in strings(body, &format!("add_{kind}"))?.unwrap_or_default() {
            list.push(normal(&added));
        }
        for removed in strings(body, &format!("remove_{kind}"))?.unwrap_or_default() {
            let removed = normal(&removed);
            let before = list.len();
            list.retain(|one| !one.eq_ignore_ascii_case(&removed));
            if list.len() == before {
                return Err(Refused::of(&removed, "Port does not exist."));
            }
        }
        Ok(list)
    };
    Ok(Initiators {
        iqns: change("iqns", &host.iqns)?,
        wwns: change("wwns", &host.wwns)?,
        nqns: change("nqns", &host.nqns)?,
    })
}

fn apply(call: &mut Call<'_>, key: &str) -> Outcome<()> {
    let unit = call.f.unit(call.at)?;
    let Some(host) = unit.hosts.get(key) else {
        return Err(Refused::of(key, "Host does not exist."));
    };
    let new = initiators(call.body, host)?;
    for port in new.iqns.iter().chain(&new.wwns).chain(&new.nqns) {
        let taken = unit.hosts.iter().any(|(k, h)| {
            k != key
                && h.iqns.iter().chain(&h.wwns).chain(&h.nqns).any(|p| p.eq_ignore_ascii_case(port))
        });
        if taken {
            return Err(Refused::of(port, "The specified port is already in use by another host."));
        }
    }
    let personality = call.body.get("personality").and_then(Value::as_str).map(str::to_owned);
    let preferred = call.body.get("preferred_arrays").and_then(Value::as_array).map(|all| {
        all.iter().filter_map(|a| a["name"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    });
    let chap = call.body.get("chap").map(without_secrets);
    let group = match call.body.get("host_group") {
        None => None,
        Some(group) => match group["name"].as_str() {
            None | Some("") => Some(None),
            Some(name) => Some(Some(call.f.need_host_group(call.at, name)?)),
        },
    };
    if let Some(host) = call.f.unit_mut(call.at)?.hosts.get_mut(key) {
        (host.iqns, host.wwns, host.nqns) = (new.iqns, new.wwns, new.nqns);
        if let Some(personality) = personality {
            host.personality = personality;
        }
        if let Some(preferred) = preferred {
            host.preferred_arrays = preferred;
        }
        if let Some(chap) = chap {
            host.chap = chap;
        }
        if let Some(group) = group {
            host.group = group;
        }
    }
    Ok(())
}

/// Passwords are never shown: their presence is.
fn without_secrets(chap: &Value) -> Value {
    let mut shown = chap.clone();
    for key in ["host_password", "target_password"] {
        if shown.get(key).and_then(Value::as_str).is_some_and(|p| !p.is_empty()) {
            shown[key] = json!("****");
        }
    }
    shown
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome<Reply> {
    let mut items = Vec::new();
    for name in call.names()? {
        let key = call.f.create_host(call.at, &name)?;
        if let Err(refused) = apply(call, &key) {
            call.f.unit_mut(call.at)?.hosts.remove(&key);
            return Err(refused);
        }
        items.push(item(call.f, call.at, &key));
    }
    Ok(Reply::Items(items))
}

pub(super) fn change(call: &mut Call<'_>) -> Outcome<Reply> {
    let mut items = Vec::new();
    for name in call.names()? {
        let mut key = call.f.need_host(call.at, &name)?;
        apply(call, &key)?;
        if let Some(new) = call.body.get("name").and_then(Value::as_str).map(str::to_owned) {
            key = rename(call, &key, &new)?;
        }
        items.push(item(call.f, call.at, &key));
    }
    Ok(Reply::Items(items))
}

fn rename(call: &mut Call<'_>, key: &str, new: &str) -> Outcome<String> {
    names::check("Host", new, new)?;
    let new_key = new.to_lowercase();
    let unit = call.f.unit_mut(call.at)?;
    if new_key != key && unit.hosts.contains_key(&new_key) {
        return Err(Refused::of(new, "Host already exists."));
    }
    if let Some(mut host) = unit.hosts.remove(key) {
        host.name = new.to_owned();
        unit.hosts.insert(new_key.clone(), host);
    }
    let moved = std::mem::take(&mut unit.connections).into_iter().map(|((volume, peer), lun)| {
        let peer = match peer {
            Peer::Host(h) if h == key => Peer::Host(new_key.clone()),
            other => other,
        };
        ((volume, peer), lun)
    });
    let moved: Vec<_> = moved.collect();
    unit.connections.extend(moved);
    Ok(new_key)
}

pub(super) fn remove(call: &mut Call<'_>) -> Outcome<Reply> {
    let names = call.names()?;
    let keys = super::collect(names.iter().map(|name| call.f.need_host(call.at, name)))?;
    let unit = call.f.unit_mut(call.at)?;
    for (name, key) in names.iter().zip(&keys) {
        if unit.connections.keys().any(|(_, p)| matches!(p, Peer::Host(h) if h == key)) {
            return Err(Refused::of(name, "Host cannot be deleted due to existing connections."));
        }
    }
    for key in keys {
        unit.hosts.remove(&key);
    }
    Ok(Reply::Empty)
}

fn group_item(f: &Fabric, at: Key, key: &str) -> Value {
    let Some(unit) = f.units.get(&at) else { return json!({}) };
    let hosts = unit.hosts.values().filter(|h| h.group.as_deref() == Some(key)).count();
    let connected =
        unit.connections.keys().filter(|(_, p)| matches!(p, Peer::Group(g) if g == key)).count();
    json!({
        "name": unit.host_groups.get(key),
        "connection_count": connected,
        "destroyed": false,
        "host_count": hosts,
        "is_local": true,
        "qos": {},
        "space": view::space(0, 0, 0),
    })
}

pub(super) fn group_list(call: &mut Call<'_>) -> Outcome<Reply> {
    let keys = match call.q.list("names") {
        Some(names) => {
            super::collect(names.iter().map(|name| call.f.need_host_group(call.at, name)))?
        }
        None => call.f.unit(call.at)?.host_groups.keys().cloned().collect(),
    };
    let at = call.at;
    call.page(keys, |f, key| Row::from(group_item(f, at, key)))
}

pub(super) fn group_create(call: &mut Call<'_>) -> Outcome<Reply> {
    let mut items = Vec::new();
    for name in call.names()? {
        names::check("Host group", &name, &name)?;
        let key = name.to_lowercase();
        let unit = call.f.unit_mut(call.at)?;
        if unit.host_groups.contains_key(&key) {
            return Err(Refused::of(&name, "Host group already exists."));
        }
        unit.host_groups.insert(key.clone(), name);
        items.push(group_item(call.f, call.at, &key));
    }
    Ok(Reply::Items(items))
}

pub(super) fn group_rename(call: &mut Call<'_>) -> Outcome<Reply> {
    let names = call.names()?;
    let [name] = names.as_slice() else { return Err(missing("names")) };
    let key = call.f.need_host_group(call.at, name)?;
    let new = call.body.get("name").and_then(Value::as_str).unwrap_or(name).to_owned();
    names::check("Host group", &new, &new)?;
    let new_key = new.to_lowercase();
    let unit = call.f.unit_mut(call.at)?;
    if new_key != key && unit.host_groups.contains_key(&new_key) {
        return Err(Refused::of(&new, "Host group already exists."));
    }
    unit.host_groups.remove(&key);
    unit.host_groups.insert(new_key.clone(), new);
    for host in unit.hosts.values_mut().filter(|h| h.group.as_ref() == Some(&key)) {
        host.group = Some(new_key.clone());
    }
    let old: Vec<_> = std::mem::take(&mut unit.connections).into_iter().collect();
    unit.connections.extend(old.into_iter().map(|((volume, peer), lun)| match peer {
        Peer::Group(g) if g == key => ((volume, Peer::Group(new_key.clone())), lun),
        other => ((volume, other), lun),
    }));
    Ok(Reply::Items(vec![group_item(call.f, call.at, &new_key)]))
}

pub(super) fn group_remove(call: &mut Call<'_>) -> Outcome<Reply> {
    for name in call.names()? {
        let key = call.f.need_host_group(call.at, &name)?;
        let unit = call.f.unit_mut(call.at)?;
        let connected = unit.connections.keys().any(|(_, p)| *p == Peer::Group(key.clone()));
        if connected {
            return Err(Refused::of(
                &name,
                "Host group cannot be deleted due to existing connections.",
            ));
        }
        if unit.hosts.values().any(|h| h.group.as_ref() == Some(&key)) {
            return Err(Refused::of(&name, "Host group is not empty."));
        }
        unit.host_groups.remove(&key);
    }
    Ok(Reply::Empty)
}

fn member_item(f: &Fabric, at: Key, host: &str) -> Value {
    let unit = f.units.get(&at);
    let host = unit.and_then(|u| u.hosts.get(host));
    let group = host.and_then(|h| h.group.as_ref()).and_then(|g| unit?.host_groups.get(g));
    json!({"group": {"name": group}, "member": {"name": host.map(|h| h.name.clone())}})
}

pub(super) fn members(call: &mut Call<'_>) -> Outcome<Reply> {
    let groups = match call.q.list("group_names") {
        None => None,
        Some(names) => {
            Some(super::collect(names.iter().map(|n| call.f.need_host_group(call.at, n)))?)
        }
    };
    let hosts = match call.q.list("member_names") {
        None => None,
        Some(names) => Some(super::collect(names.iter().map(|n| call.f.need_host(call.at, n)))?),
    };
    let unit = call.f.unit(call.at)?;
    let wanted = |(key, host): &(&String, &Host)| {
        host.group.as_ref().is_some_and(|g| groups.as_ref().is_none_or(|all| all.contains(g)))
            && hosts.as_ref().is_none_or(|all| all.contains(key))
    };
    let found: Vec<String> = unit.hosts.iter().filter(wanted).map(|(key, _)| key.clone()).collect();
    let at = call.at;
    call.page(found, |f, host| Row::from(member_item(f, at, host)))
}

fn group_and_hosts(call: &Call<'_>) -> Outcome<(String, Vec<String>)> {
    let groups = call.q.list("group_names").ok_or_else(|| missing("group_names"))?;
    let [group] = groups.as_slice() else { return Err(missing("group_names")) };
    let group = call.f.need_host_group(call.at, group)?;
    let hosts = call.q.list("member_names").ok_or_else(|| missing("member_names"))?;
    let hosts = super::collect(hosts.iter().map(|name| call.f.need_host(call.at, name)))?;
    Ok((group, hosts))
}

pub(super) fn join(call: &mut Call<'_>) -> Outcome<Reply> {
    let (group, hosts) = group_and_hosts(call)?;
    let unit = call.f.unit_mut(call.at)?;
    for host in &hosts {
        if unit.hosts.get(host).is_some_and(|h| h.group.is_some()) {
            return Err(Refused::of(host, "Host already belongs to a host group."));
        }
    }
    for host in &hosts {
        if let Some(host) = unit.hosts.get_mut(host) {
            host.group = Some(group.clone());
        }
    }
    let at = call.at;
    Ok(Reply::Items(hosts.iter().map(|h| member_item(call.f, at, h)).collect()))
}

pub(super) fn leave(call: &mut Call<'_>) -> Outcome<Reply> {
    let (group, hosts) = group_and_hosts(call)?;
    let unit = call.f.unit_mut(call.at)?;
    for host in &hosts {
        match unit.hosts.get_mut(host) {
            Some(h) if h.group.as_ref() == Some(&group) => h.group = None,
            _ => return Err(Refused::of(host, "Host does not exist in the host group.")),
        }
    }
    Ok(Reply::Empty)
}
