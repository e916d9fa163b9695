//! `/connections`.

use serde_json::{Value, json};

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
    query::Row,
};

struct Line {
    volume: Key,
    host: Option<String>,
    group: Option<String>,
    lun: u64,
}

fn item(f: &Fabric, at: Key, line: &Line) -> Value {
    let unit = f.units.get(&at);
    let host = line.host.as_ref().and_then(|h| unit?.hosts.get(h)).map(|h| h.name.as_str());
    let group = line.group.as_ref().and_then(|g| unit?.host_groups.get(g));
    let named = |name: Option<&str>| name.map_or(json!({}), |n| json!({"name": n}));
    json!({
        "host": named(host),
        "host_group": named(group.map(String::as_str)),
        "lun": line.lun,
        "nsid": line.lun,
        "protocol_endpoint": {},
        "volume": {"id": f.volumes.get(&line.volume).map(|v| v.id.clone()), "name": f.volume_name(line.volume)},
    })
}

/// One line per host; a group without hosts has one line of its own.
fn lines(f: &Fabric, at: Key) -> Vec<Line> {
    let Some(unit) = f.units.get(&at) else { return Vec::new() };
    let mut all = Vec::new();
    for ((volume, peer), lun) in &unit.connections {
        match peer {
            Peer::Host(host) => all.push(Line {
                volume: *volume,
                host: Some(host.clone()),
                group: unit.hosts.get(host).and_then(|h| h.group.clone()),
                lun: *lun,
            }),
            Peer::Group(group) => {
                let mut hosts: Vec<Option<String>> = unit
                    .hosts
                    .iter()
                    .filter(|(_, h)| h.group.as_ref() == Some(group))
                    .map(|(k, _)| Some(k.clone()))
                    .collect();
                if hosts.is_empty() {
                    hosts.push(None);
                }
                all.extend(hosts.into_iter().map(|host| Line {
                    volume: *volume,
                    host,
                    group: Some(group.clone()),
                    lun: *lun,
                }));
            }
        }
    }
    all
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome<Reply> {
    let volumes = call.chosen(Kind::Volume, "volume_names", "volume_ids")?;
    let hosts = peers(call, "host_names", Fabric::need_host)?;
    let groups = peers(call, "host_group_names", Fabric::need_host_group)?;
    let mut found = lines(call.f, call.at);
    found.retain(|line| {
        let within = |wanted: &Option<Vec<String>>, has: &Option<String>| match wanted {
            None => true,
            Some(wanted) => has.as_ref().is_some_and(|has| wanted.contains(has)),
        };
        volumes.as_ref().is_none_or(|v| v.contains(&line.volume))
            && within(&hosts, &line.host)
            && within(&groups, &line.group)
    });
    let at = call.at;
    call.page(found, |f, line| Row::from(item(f, at, line)))
}

type Resolve = fn(&Fabric, Key, &str) -> Outcome<String>;

fn peers(call: &Call<'_>, key: &str, resolve: Resolve) -> Outcome<Option<Vec<String>>> {
    let Some(names) = call.q.list(key) else { return Ok(None) };
    super::collect(names.iter().map(|name| resolve(call.f, call.at, name))).map(Some)
}

/// The pairs that a POST or DELETE names; at least one side is a single name.
fn pairs(call: &Call<'_>) -> Outcome<Vec<(Key, Peer)>> {
    let hosts = peers(call, "host_names", Fabric::need_host)?;
    let groups = peers(call, "host_group_names", Fabric::need_host_group)?;
    let peers: Vec<Peer> = match (hosts, groups) {
        (Some(hosts), None) => hosts.into_iter().map(Peer::Host).collect(),
        (None, Some(groups)) => groups.into_iter().map(Peer::Group).collect(),
        (Some(_), Some(_)) => {
            return Err(Refused::request(
                "Invalid parameter combination: host_names and host_group_names.",
            ));
        }
        (None, None) => return Err(missing("host_names")),
    };
    let volumes = call.chosen(Kind::Volume, "volume_names", "volume_ids")?;
    let volumes = volumes.ok_or_else(|| missing("volume_names"))?;
    if peers.len() > 1 && volumes.len() > 1 {
        return Err(Refused::request(
            "Invalid parameter combination: at least one of the objects must be a single name.",
        ));
    }
    Ok(volumes.iter().flat_map(|v| peers.iter().map(|p| (*v, p.clone()))).collect())
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome<Reply> {
    let pairs = pairs(call)?;
    let lun = match call.body.get("lun") {
        None | Some(Value::Null) => None,
        Some(lun) => Some(lun.as_u64().ok_or_else(|| missing("lun"))?),
    };
    let mut items = Vec::new();
    for (volume, peer) in pairs {
        let lun = call.f.connect(call.at, peer.clone(), volume, lun)?;
        let (host, group) = match peer {
            Peer::Host(host) => (Some(host), None),
            Peer::Group(group) => (None, Some(group)),
        };
        items.push(item(call.f, call.at, &Line { volume, host, group, lun }));
    }
    Ok(Reply::Items(items))
}

pub(super) fn remove(call: &mut Call<'_>) -> Outcome<Reply> {
    for (volume, peer) in pairs(call)? {
        call.f.disconnect(call.at, peer, volume)?;
    }
    Ok(Reply::Empty)
}
