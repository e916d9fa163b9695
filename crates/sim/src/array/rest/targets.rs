//! `/protection-groups/targets`, from the source and from the target.

use serde_json::{Value, json};

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
    query::Row,
};

fn item(f: &Fabric, at: Key, key: Key) -> Value {
    let Some(r) = f.replicas.get(&key) else { return json!({}) };
    let here = r.on == at;
    let group = if here { f.group_ref(key) } else { f.group_ref(r.group) };
    let allowed = if here { r.allowed } else { f.allowed_as_known(r) };
    let status = match (allowed, f.reachable(r.from, r.on)) {
        (false, _) => "disallowed",
        (true, true) => "replicating",
        (true, false) => "suspended",
    };
    json!({
        "allowed": allowed,
        "group": group,
        "member": f.unit_ref(r.on),
        "status": status,
    })
}

/// Replicas that `at` has a part in: as the source, or as the target.
fn candidates(call: &Call<'_>) -> Outcome<Vec<Key>> {
    let groups = match call.chosen(Kind::Group, "group_names", "group_ids")? {
        Some(groups) => groups,
        None => call.f.listed(call.at, Kind::Group, ""),
    };
    let members = match (call.q.list("member_names"), call.q.list("member_ids")) {
        (Some(names), _) => Some(names),
        (None, Some(ids)) => Some(
            call.f.units.values().filter(|u| ids.contains(&u.id)).map(|u| u.name.clone()).collect(),
        ),
        (None, None) => None,
    };
    let mut found = Vec::new();
    for group in groups {
        let replicas = match call.f.groups.get(&group) {
            Some(g) => g.replicas.clone(),
            None => vec![group],
        };
        found.extend(replicas);
    }
    found.retain(|key| {
        call.f.replicas.get(key).is_some_and(|r| {
            let name = call.f.unit_name(r.on);
            r.attached
                && members.as_ref().is_none_or(|m| m.iter().any(|m| m.eq_ignore_ascii_case(name)))
        })
    });
    Ok(found)
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome<Reply> {
    let at = call.at;
    call.page(candidates(call)?, |f, key| Row::from(item(f, at, *key)))
}

fn groups_and_members(call: &Call<'_>) -> Outcome<(Vec<Key>, Vec<String>)> {
    let groups = call.chosen(Kind::Group, "group_names", "group_ids")?;
    let groups = groups.ok_or_else(|| missing("group_names"))?;
    let members = call.q.list("member_names").or_else(|| {
        let ids = call.q.list("member_ids")?;
        let units = call.f.units.values().filter(|u| ids.contains(&u.id));
        Some(units.map(|u| u.name.clone()).collect())
    });
    Ok((groups, members.ok_or_else(|| missing("member_names"))?))
}

pub(super) fn add(call: &mut Call<'_>) -> Outcome<Reply> {
    let (groups, members) = groups_and_members(call)?;
    let mut items = Vec::new();
    for group in groups {
        for member in &members {
            let key = call.f.add_target(call.at, group, member)?;
            items.push(item(call.f, call.at, key));
        }
    }
    Ok(Reply::Items(items))
}

pub(super) fn allow(call: &mut Call<'_>) -> Outcome<Reply> {
    let Some(allowed) = call.body.get("allowed").and_then(Value::as_bool) else {
        return Err(missing("allowed"));
    };
    if !call.q.has("group_names") && !call.q.has("group_ids") {
        return Err(missing("group_names"));
    }
    let replicas = candidates(call)?;
    if replicas.is_empty() {
        return Err(Refused::of("group_names", "Protection group target does not exist."));
    }
    for key in &replicas {
        if call.f.replicas.get(key).is_some_and(|r| r.on != call.at) {
            return Err(Refused::of(
                &call.f.owner_name(Owner::Replica(*key)),
                "Replication is allowed or disallowed on the target array only.",
            ));
        }
        call.f.set_allowed(*key, allowed)?;
    }
    Ok(Reply::Items(replicas.iter().map(|k| item(call.f, call.at, *k)).collect()))
}

pub(super) fn remove(call: &mut Call<'_>) -> Outcome<Reply> {
    let (groups, members) = groups_and_members(call)?;
    for group in groups {
        let g = call.f.as_local(group)?;
        let name = call.f.group_name(group);
        if g.ratcheted {
            return Err(Refused::of(
                &name,
                "Target cannot be removed: the protection group's retention lock is ratcheted.",
            ));
        }
        let replicas = g.replicas.clone();
        for member in &members {
            let is = |k: &&Key| {
                let on = call.f.replicas.get(k).map(|r| call.f.unit_name(r.on));
                on.is_some_and(|on| on.eq_ignore_ascii_case(member))
            };
            match replicas.iter().find(is) {
                Some(key) => call.f.detach_replica(*key),
                None => {
                    return Err(Refused::of(member, "Protection group target does not exist."));
                }
            }
        }
    }
    Ok(Reply::Empty)
}
