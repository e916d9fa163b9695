//! `/protection-groups/volumes` and `/volumes/protection-groups`.

use serde_json::{Value, json};

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
    query::Row,
};

fn item(f: &Fabric, group: Key, volume: Key) -> Value {
    let member = match f.volumes.get(&volume) {
        Some(v) => json!({
            "id": v.id, "name": f.volume_name(volume), "destroyed": v.destroyed.is_some(),
        }),
        None => json!({}),
    };
    json!({"group": f.group_ref(group), "member": member})
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome<Reply> {
    let groups = call.chosen(Kind::Group, "group_names", "group_ids")?;
    let members = call.chosen(Kind::Volume, "member_names", "member_ids")?;
    let groups = match (groups, &members) {
        (Some(groups), _) => groups,
        (None, Some(members)) => {
            let of = |m: &Key| call.f.volumes.get(m).map(|v| v.groups.clone());
            let mut found: Vec<Key> = members.iter().filter_map(of).flatten().collect();
            found.sort_unstable();
            found.dedup();
            found
        }
        (None, None) => call.f.listed(call.at, Kind::Group, ""),
    };
    let destroyed = call.q.flag("member_destroyed")?;
    let mut rows = Vec::new();
    for group in groups {
        let Some(g) = call.f.groups.get(&group) else { continue };
        for volume in &g.volumes {
            let gone = call.f.volumes.get(volume).is_some_and(|v| v.destroyed.is_some());
            let named = members.as_ref().is_none_or(|m| m.contains(volume));
            if named && destroyed.is_none_or(|wanted| wanted == gone) {
                rows.push((group, *volume));
            }
        }
    }
    call.page(rows, |f, (group, volume)| Row::from(item(f, *group, *volume)))
}

fn pairs(call: &Call<'_>) -> Outcome<Vec<(Key, Key)>> {
    let groups = call.chosen(Kind::Group, "group_names", "group_ids")?;
    let members = call.chosen(Kind::Volume, "member_names", "member_ids")?;
    let groups = groups.ok_or_else(|| missing("group_names"))?;
    let members = members.ok_or_else(|| missing("member_names"))?;
    let all = groups.iter().flat_map(|g| members.iter().map(|m| (*g, *m)));
    Ok(all.collect())
}

pub(super) fn add(call: &mut Call<'_>) -> Outcome<Reply> {
    let pairs = pairs(call)?;
    for (group, volume) in &pairs {
        call.alive(Kind::Volume, *volume)?;
        let Some(v) = call.f.volumes.get(volume) else { continue };
        call.f.may_join(*group, v.home)?;
        if v.groups.contains(group) {
            return Err(Refused::of(
                &call.f.volume_name(*volume),
                "Volume already belongs to the protection group.",
            ));
        }
    }
    for (group, volume) in &pairs {
        call.f.add_to_group(*group, *volume);
    }
    Ok(Reply::Items(pairs.iter().map(|(g, v)| item(call.f, *g, *v)).collect()))
}

pub(super) fn remove(call: &mut Call<'_>) -> Outcome<Reply> {
    for (group, volume) in pairs(call)? {
        call.f.remove_from_group(group, volume)?;
    }
    Ok(Reply::Empty)
}
