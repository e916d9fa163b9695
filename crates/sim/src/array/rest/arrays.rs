//! The array itself, its hardware, its connections to others, its accounts and defaults.

use serde_json::{Value, json};

use super::{Call, Reply, missing, settings, volumes};
use crate::array::{
    error::{Outcome, Refused},
    fabric::Fabric,
    ids,
    model::*,
    query::Row,
};

pub(super) fn dispatch(call: &mut Call<'_>, method: &str, path: &str) -> Outcome<Reply> {
    match (method, path) {
        ("GET", "/arrays") => one(call, array),
        ("PATCH", "/arrays") => change(call),
        ("GET", "/arrays/space") => one(call, space),
        ("GET", "/arrays/performance") => one(call, performance),
        ("GET", "/controllers") => rows(call, controllers),
        ("GET", "/ports") => rows(call, ports),
        ("GET", "/network-interfaces") => rows(call, interfaces),
        ("GET", "/array-connections") => connections(call),
        ("POST", "/array-connections") => connect(call),
        ("PATCH", "/array-connections") => throttle(call),
        ("DELETE", "/array-connections") => disconnect(call),
        ("GET", "/array-connections/connection-key") => {
            one(call, |f, at| json!({"connection_key": connection_key(f, at)}))
        }
        ("GET", "/container-default-protections") => settings::defaults(call),
        ("PATCH", "/container-default-protections") => settings::set_defaults(call),
        ("GET", "/admins") => rows(call, |f, at| settings::accounts(f, at, false)),
        ("GET", "/admins/api-tokens") => settings::api_tokens(call),
        ("POST", "/admins/api-tokens") => settings::new_api_token(call),
        ("GET", "/sessions") => settings::sessions(call),
        _ => Err(Refused::not_found()),
    }
}

fn one(call: &mut Call<'_>, build: fn(&Fabric, Key) -> Value) -> Outcome<Reply> {
    let at = call.at;
    call.page(vec![()], |f, ()| Row::from(build(f, at)))
}

/// Things that are known by their names only.
fn rows(call: &mut Call<'_>, build: fn(&Fabric, Key) -> Vec<Value>) -> Outcome<Reply> {
    let mut all = build(call.f, call.at);
    if let Some(names) = call.q.list("names") {
        let has = |name: &String| {
            all.iter().any(|v| v["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)))
        };
        if let Some(name) = names.iter().find(|name| !has(name)) {
            return Err(Refused::of(name, "Name does not exist."));
        }
        all.retain(|v| {
            names
                .iter()
                .any(|n| v["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(n)))
        });
    }
    call.page(all, |_, value| Row::from(value.clone()))
}

fn array(f: &Fabric, at: Key) -> Value {
    let Some(unit) = f.units.get(&at) else { return json!({}) };
    let locked =
        f.listed(at, Kind::Group, "").iter().any(|k| f.locked_by(Obj::Group(*k)).is_some());
    json!({
        "id": unit.id,
        "name": unit.name,
        "banner": unit.banner,
        "capacity": unit.config.capacity,
        "console_lock_enabled": false,
        "encryption": {"data_at_rest": {"algorithm": "AES-256-CTR", "enabled": true}, "module_version": "FA-1.4"},
        "eradication_config": {
            "disabled_delay": unit.eradication_delay,
            "enabled_delay": unit.eradication_delay,
            "eradication_delay": unit.eradication_delay,
            "manual_eradication": if locked { "partially-disabled" } else { "all-enabled" },
        },
        "idle_timeout": unit.idle_timeout,
        "ntp_servers": [],
        "os": "Purity//FA",
        "parity": 1.0,
        "scsi_timeout": 60_000,
        "space": volumes::array_space(f, at),
        "time_zone": "UTC",
        "version": unit.config.purity,
        "_as_of": f.now,
    })
}

fn space(f: &Fabric, at: Key) -> Value {
    let Some(unit) = f.units.get(&at) else { return json!({}) };
    json!({
        "id": unit.id,
        "name": unit.name,
        "capacity": unit.config.capacity,
        "capacity_installed": unit.config.capacity,
        "parity": 1.0,
        "space": volumes::array_space(f, at),
        "time": f.now,
    })
}

fn performance(f: &Fabric, at: Key) -> Value {
    let mut row = volumes::idle_performance(f.now);
    let unit = f.units.get(&at);
    row["id"] = json!(unit.map(|u| u.id.clone()));
    row["name"] = json!(unit.map(|u| u.name.clone()));
    row
}

fn change(call: &mut Call<'_>) -> Outcome<Reply> {
    let body = call.body;
    let delay = body.get("eradication_config").map(eradication_delay).transpose()?.flatten();
    if let Some(timeout) = body.get("idle_timeout") {
        let good = |ms: &u64| {
            *ms == 0 || ((300_000..=10_800_000).contains(ms) && ms.is_multiple_of(60_000))
        };
        let timeout = timeout.as_u64().filter(good).ok_or_else(|| missing("idle_timeout"))?;
        call.f.unit_mut(call.at)?.idle_timeout = timeout;
    }
    if let Some(delay) = delay {
        call.f.unit_mut(call.at)?.eradication_delay = delay;
        replan_eradications(call.f);
    }
    if let Some(banner) = body.get("banner").and_then(Value::as_str) {
        call.f.unit_mut(call.at)?.banner = banner.to_owned();
    }
    if let Some(name) = body.get("name").and_then(Value::as_str).map(str::to_owned) {
        rename(call, &name)?;
    }
    Ok(Reply::Items(vec![array(call.f, call.at)]))
}

/// Whole days, 1 to 30.
fn eradication_delay(config: &Value) -> Outcome<Option<Ms>> {
    let keys = ["eradication_delay", "enabled_delay", "disabled_delay"];
    let Some(value) = keys.iter().find_map(|k| config.get(k)) else { return Ok(None) };
    let good = |ms: &i64| (DAY_MS..=30 * DAY_MS).contains(ms) && ms % DAY_MS == 0;
    value.as_i64().filter(good).map(Some).ok_or_else(|| missing("eradication_config"))
}

/// A shorter delay may let things fall due earlier than they were planned.
fn replan_eradications(f: &mut Fabric) {
    let planned: Vec<Obj> = f
        .agenda
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Eradicate(object) => Some(*object),
            _ => None,
        })
        .collect();
    for object in planned {
        if let Some(at) = f.destroyed_at(object) {
            let due = (at + f.eradication_delay(object)).max(f.now);
            f.plan(due, Event::Eradicate(object));
        }
    }
}

/// The array's name is part of what its peers call its groups.
fn rename(call: &mut Call<'_>, name: &str) -> Outcome<()> {
    crate::array::names::check("Array", name, name)?;
    let at = call.at;
    let mine = call.f.replicas.iter().filter(|(_, r)| r.from == at).map(|(k, _)| *k);
    let scope: Vec<Obj> =
        mine.collect::<Vec<_>>().into_iter().flat_map(|k| call.f.scope_of_replica(k)).collect();
    let name = name.to_owned();
    call.f.renaming(&scope, |f| {
        if let Some(unit) = f.units.get_mut(&at) {
            unit.name = name;
        }
    });
    Ok(())
}

fn controllers(f: &Fabric, at: Key) -> Vec<Value> {
    let version = f.units.get(&at).map(|u| u.config.purity.clone());
    let controller = |name: &str, mode: &str| {
        json!({
            "name": name, "mode": mode, "model": "FA-X70R3", "status": "ready",
            "type": "array_controller", "version": version, "mode_since": f.now,
        })
    };
    vec![controller("CT0", "primary"), controller("CT1", "secondary")]
}

/// In the range for benchmarks (RFC 2544): an array has a subnet, a port an address.
fn address(f: &Fabric, at: Key, controller: u64, port: u64) -> String {
    let index = f.units.get(&at).map_or(1, |u| u.index);
    format!("198.18.{index}.{}", 10 + controller * 10 + port)
}

fn ports(f: &Fabric, at: Key) -> Vec<Value> {
    let Some(unit) = f.units.get(&at) else { return Vec::new() };
    let serial = ids::serial_for(unit.config.seed, &format!("{}/port", unit.config.name));
    let mut all = Vec::new();
    for controller in 0..2u64 {
        for port in [4, 5] {
            all.push(json!({
                "name": format!("CT{controller}.ETH{port}"),
                "iqn": format!("iqn.2010-06.com.purestorage:flasharray.{}", serial[..16].to_lowercase()),
                "portal": format!("{}:3260", address(f, at, controller, port)),
            }));
        }
        all.push(json!({
            "name": format!("CT{controller}.FC0"),
            "wwn": format!("52:4A:93:7{controller}:{}:{}:{}:{}", &serial[0..2], &serial[2..4], &serial[4..6], &serial[6..8]),
        }));
    }
    all
}

fn interfaces(f: &Fabric, at: Key) -> Vec<Value> {
    let mut all = Vec::new();
    let gateway = format!("198.18.{}.1", f.units.get(&at).map_or(1, |u| u.index));
    for controller in 0..2u64 {
        for (port, services) in [
            (0u64, json!(["management"])),
            (2, json!(["replication"])),
            (4, json!(["iscsi"])),
            (5, json!(["iscsi"])),
        ] {
            all.push(json!({
                "name": format!("ct{controller}.eth{port}"),
                "enabled": true,
                "interface_type": "eth",
                "services": services,
                "speed": 25_000_000_000u64,
                "eth": {
                    "address": address(f, at, controller, port),
                    "gateway": gateway,
                    "mac_address": format!("24:a9:37:00:0{controller}:0{port}"),
                    "mtu": 1500,
                    "netmask": "255.255.255.0",
                    "subtype": "physical",
                    "subinterfaces": [],
                    "subnet": {},
                    "vlan": 0,
                },
            }));
        }
    }
    all
}

fn connection_item(f: &Fabric, at: Key, link: &Link) -> Value {
    let Some(peer) = link.other(at).and_then(|k| f.units.get(&k)) else { return json!({}) };
    let status = match link.status {
        LinkStatus::Connected => "connected",
        LinkStatus::PartiallyConnected => "partially_connected",
        LinkStatus::Broken => "connecting",
    };
    json!({
        "id": peer.id,
        "name": peer.name,
        "encryption": "unencrypted",
        "management_address": peer.config.management_address,
        "os": "Purity//FA",
        "remote": {"id": peer.id, "name": peer.name, "resource_type": "remote-arrays"},
        "replication_addresses": [format!("198.18.{}.12", peer.index)],
        "replication_transport": "ip",
        "status": status,
        "throttle": link.throttle,
        "type": match link.kind { LinkType::Async => "async-replication", LinkType::Sync => "sync-replication" },
        "version": peer.config.purity,
    })
}

/// Positions in the list of links: of the named peers, or all of this array.
fn links(call: &Call<'_>) -> Outcome<Vec<usize>> {
    let names = call.q.list("names").or_else(|| call.q.list("remote_names"));
    let ids = call.q.list("ids").or_else(|| call.q.list("remote_ids"));
    let names = match (names, ids) {
        (Some(names), _) => Some(names),
        (None, Some(ids)) => {
            let units = call.f.units.values().filter(|u| ids.contains(&u.id));
            Some(units.map(|u| u.name.clone()).collect())
        }
        (None, None) => None,
    };
    let peers = match names {
        None => None,
        Some(names) => Some(super::collect(names.iter().map(|n| call.f.peer(call.at, n)))?),
    };
    let mine = |link: &Link| {
        link.other(call.at).is_some_and(|k| peers.as_ref().is_none_or(|p| p.contains(&k)))
    };
    Ok((0..call.f.links.len()).filter(|i| mine(&call.f.links[*i])).collect())
}

fn connections(call: &mut Call<'_>) -> Outcome<Reply> {
    let at = call.at;
    call.page(links(call)?, |f, i| Row::from(connection_item(f, at, &f.links[*i])))
}

fn connection_key(f: &Fabric, at: Key) -> String {
    f.units.get(&at).map_or(String::new(), |u| {
        ids::uuid_for(u.config.seed, &format!("{}/connection-key", u.config.name))
    })
}

/// Works for arrays that were connected before: others cannot be reached from here.
fn connect(call: &mut Call<'_>) -> Outcome<Reply> {
    let text = |key: &str| call.body.get(key).and_then(Value::as_str).map(str::to_owned);
    let address = text("management_address").ok_or_else(|| missing("management_address"))?;
    let key = text("connection_key").ok_or_else(|| missing("connection_key"))?;
    let kind = match text("type").as_deref() {
        Some("sync-replication") => LinkType::Sync,
        Some("async-replication") | None => LinkType::Async,
        Some(_) => return Err(missing("type")),
    };
    let found = call.f.units.iter().find(|(_, u)| u.config.management_address == address);
    let Some(other) = found.map(|(k, _)| *k).filter(|k| *k != call.at) else {
        return Err(Refused::of(&address, "Array could not be reached."));
    };
    if connection_key(call.f, other) != key {
        return Err(Refused::of(&address, "Invalid connection key."));
    }
    if call.f.link(call.at, other).is_some() {
        return Err(Refused::of(&address, "Array connection already exists."));
    }
    let at = call.at;
    call.f.rerouting(|f| f.join(at, other, kind));
    let link = call.f.link(at, other).cloned();
    Ok(Reply::Items(link.iter().map(|l| connection_item(call.f, at, l)).collect()))
}

impl Fabric {
    /// Connects two arrays of the fabric.
    pub(crate) fn join(&mut self, a: Key, b: Key, kind: LinkType) {
        let status = LinkStatus::Connected;
        match self.links.iter_mut().find(|l| l.other(a) == Some(b)) {
            Some(link) => (link.kind, link.status) = (kind, status),
            None => self.links.push(Link { a, b, kind, status, throttle: json!({}) }),
        }
    }
}

fn throttle(call: &mut Call<'_>) -> Outcome<Reply> {
    if !call.q.has("names") && !call.q.has("ids") {
        return Err(missing("names"));
    }
    let found = links(call)?;
    let mut new = call.body.get("throttle").cloned().unwrap_or(json!({}));
    for key in ["default_limit", "window", "window_limit"] {
        if let Some(value) = call.body.get(key) {
            new[key] = value.clone();
        }
    }
    for index in &found {
        for (key, value) in new.as_object().into_iter().flatten() {
            call.f.links[*index].throttle[key] = value.clone();
        }
    }
    let items = found.iter().map(|i| connection_item(call.f, call.at, &call.f.links[*i]));
    Ok(Reply::Items(items.collect()))
}

fn disconnect(call: &mut Call<'_>) -> Outcome<Reply> {
    if !call.q.has("names") && !call.q.has("ids") {
        return Err(missing("names"));
    }
    let found = links(call)?;
    for index in &found {
        let link = &call.f.links[*index];
        let (a, b) = (link.a, link.b);
        let used = |r: &Replica| r.attached && [a, b].contains(&r.from) && [a, b].contains(&r.on);
        if call.f.replicas.values().any(used) {
            let name = link.other(call.at).map(|k| call.f.unit_name(k).to_owned());
            return Err(Refused::of(
                &name.unwrap_or_default(),
                "Array connection is already in use by a protection group.",
            ));
        }
    }
    let mut position = 0;
    call.f.links.retain(|_| {
        position += 1;
        !found.contains(&(position - 1))
    });
    Ok(Reply::Empty)
}
