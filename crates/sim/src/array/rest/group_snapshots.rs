//! `/protection-group-snapshots`.

use serde_json::Value;

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    model::*,
    names,
    replication::SnapshotWish,
};

/// Snapshots of the groups in `source_names`, or the named ones, or all.
fn candidates(call: &Call<'_>, names_may_be_groups: bool) -> Outcome<Vec<Key>> {
    if let Some(groups) = call.chosen(Kind::Group, "source_names", "source_ids")? {
        let of = groups.iter().flat_map(|g| snaps_of(call, *g));
        let snaps = match call.chosen(Kind::GroupSnapshot, "names", "ids")? {
            Some(named) => of.filter(|k| named.contains(k)).collect(),
            None => of.collect(),
        };
        return call.by_destroyed(Kind::GroupSnapshot, snaps, "destroyed");
    }
    let names = call.q.list("names").filter(|_| names_may_be_groups && !call.q.has("ids"));
    let Some(names) = names else { return call.candidates(Kind::GroupSnapshot) };
    let mut found = Vec::new();
    for name in &names {
        match call.f.find(call.at, Kind::Group, name) {
            Some(group) => found.extend(snaps_of(call, group)),
            None => found.push(call.f.need(call.at, Kind::GroupSnapshot, name)?),
        }
    }
    call.by_destroyed(Kind::GroupSnapshot, found, "destroyed")
}

fn snaps_of(call: &Call<'_>, group: Key) -> Vec<Key> {
    match (call.f.groups.get(&group), call.f.replicas.get(&group)) {
        (Some(g), _) => g.snaps.clone(),
        (None, Some(r)) => r.snaps.clone(),
        (None, None) => Vec::new(),
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome<Reply> {
    call.page(candidates(call, false)?, |f, key| f.group_snap_view(*key))
}

pub(super) fn transfer(call: &mut Call<'_>) -> Outcome<Reply> {
    call.page(candidates(call, true)?, |f, key| f.transfer_view(*key))
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome<Reply> {
    let Some(groups) = call.chosen(Kind::Group, "source_names", "source_ids")? else {
        return Err(missing("source_names"));
    };
    let wish = SnapshotWish {
        retained: call.q.is("apply_retention")?,
        queue: call.q.is("replicate")?,
        now: call.q.is("replicate_now")?,
        for_replication: call.q.is("for_replication")?,
    };
    if wish.queue && wish.now {
        return Err(Refused::request(
            "Invalid parameter combination: replicate and replicate_now cannot be used together.",
        ));
    }
    let suffix = call.body.get("suffix").and_then(Value::as_str).map(str::to_owned);
    for group in &groups {
        call.f.as_local(*group)?;
    }
    let mut items = Vec::new();
    for group in groups {
        let snap = call.f.snapshot_group(group, suffix.as_deref(), wish)?;
        items.push(call.f.group_snap_view(snap).value);
    }
    Ok(Reply::Items(items))
}

pub(super) fn change(call: &mut Call<'_>) -> Outcome<Reply> {
    let keys = call.required(Kind::GroupSnapshot)?;
    let name = call.body.get("name").and_then(Value::as_str).map(str::to_owned);
    for key in &keys {
        call.destroy_or_recover(Kind::GroupSnapshot, *key)?;
        if let Some(name) = &name {
            rename(call, *key, name)?;
        }
    }
    let items = keys.iter().map(|k| call.f.group_snap_view(*k).value).collect();
    Ok(Reply::Items(items))
}

/// `name` is the new suffix, or the whole name with it.
fn rename(call: &mut Call<'_>, key: Key, name: &str) -> Outcome<()> {
    let Some(snap) = call.f.group_snaps.get(&key) else { return Ok(()) };
    let owner = call.f.owner_name(snap.owner);
    let members = snap.members.clone();
    let head = format!("{}.", owner.to_lowercase());
    let suffix = match name.to_lowercase().starts_with(&head) {
        true => name[head.len()..].to_owned(),
        false => name.to_owned(),
    };
    names::suffix(name, &suffix)?;
    let whole = format!("{owner}.{suffix}");
    if call.f.find(call.at, Kind::GroupSnapshot, &whole).is_some_and(|other| other != key) {
        return Err(Refused::of(&whole, "Protection group snapshot already exists."));
    }
    let scope: Vec<Obj> = members.into_iter().map(Obj::Snap).chain([Obj::GroupSnap(key)]).collect();
    call.f.renaming(&scope, |f| {
        if let Some(snap) = f.group_snaps.get_mut(&key) {
            snap.suffix = suffix;
        }
    });
    Ok(())
}

/// Ships an existing snapshot (again), to all allowed targets or to those in `on`.
pub(super) fn ship_again(call: &mut Call<'_>) -> Outcome<Reply> {
    let keys = call.required(Kind::GroupSnapshot)?;
    let on = match call.q.list("on") {
        None => None,
        Some(names) => Some(super::collect(names.iter().map(|name| call.f.peer(call.at, name)))?),
    };
    for key in &keys {
        call.alive(Kind::GroupSnapshot, *key)?;
        let owner = call.f.group_snaps.get(key).map(|s| s.owner);
        if !matches!(owner, Some(Owner::Group(_))) {
            let name = call.f.group_snap_name(*key);
            return Err(Refused::of(
                &name,
                "Protection group snapshot is not local to this array.",
            ));
        }
    }
    for key in &keys {
        call.f.ship(*key, false, on.as_deref());
    }
    let items = keys.iter().map(|k| call.f.group_snap_view(*k).value).collect();
    Ok(Reply::Items(items))
}
