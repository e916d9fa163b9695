//! `/volume-snapshots`.

use serde_json::Value;

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    model::*,
    names,
};

pub(super) fn list(call: &mut Call<'_>) -> Outcome<Reply> {
    let at = call.at;
    call.page(candidates(call)?, |f, key| f.snap_view(at, *key))
}

pub(super) fn transfer(call: &mut Call<'_>) -> Outcome<Reply> {
    call.page(candidates(call)?, |f, key| f.snap_transfer_view(*key))
}

/// Named snapshots, or those of named volumes, or all.
fn candidates(call: &Call<'_>) -> Outcome<Vec<Key>> {
    let Some(volumes) = call.chosen(Kind::Volume, "source_names", "source_ids")? else {
        return call.candidates(Kind::Snapshot);
    };
    let all = call.candidates(Kind::Snapshot)?;
    let of = |key: &Key| call.f.snaps.get(key).is_some_and(|s| volumes.contains(&s.volume));
    Ok(all.into_iter().filter(of).collect())
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome<Reply> {
    let Some(volumes) = call.chosen(Kind::Volume, "source_names", "source_ids")? else {
        return Err(missing("source_names"));
    };
    if let Some(target) = call.q.text("on") {
        // Only offload targets can be named here, and these arrays have none.
        return Err(Refused::of(&target, "Offload target does not exist."));
    }
    let suffix = call.body.get("suffix").and_then(Value::as_str).map(str::to_owned);
    for key in &volumes {
        call.alive(Kind::Volume, *key)?;
    }
    let mut items = Vec::new();
    for key in volumes {
        let snap = call.f.snapshot_volume(call.at, key, suffix.as_deref())?;
        items.push(call.f.snap_view(call.at, snap).value);
    }
    Ok(Reply::Items(items))
}

pub(super) fn change(call: &mut Call<'_>) -> Outcome<Reply> {
    let keys = call.required(Kind::Snapshot)?;
    let replication = call.q.is("replication_snapshot")?;
    let name = call.body.get("name").and_then(Value::as_str).map(str::to_owned);
    for key in &keys {
        alone(call, *key, replication)?;
        call.destroy_or_recover(Kind::Snapshot, *key)?;
        if let Some(name) = &name {
            rename(call, *key, name)?;
        }
    }
    let items = keys.iter().map(|k| call.f.snap_view(call.at, *k).value).collect();
    Ok(Reply::Items(items))
}

pub(super) fn eradicate(call: &mut Call<'_>) -> Outcome<Reply> {
    let replication = call.q.is("replication_snapshot")?;
    for key in call.required(Kind::Snapshot)? {
        alone(call, key, replication)?;
    }
    call.eradicate_all(Kind::Snapshot)
}

/// A part of a group snapshot is destroyed with the whole, and not while replication needs it.
fn alone(call: &Call<'_>, key: Key, replication: bool) -> Outcome<()> {
    let Some(SnapOwner::Group(group)) = call.f.snaps.get(&key).map(|s| s.owner) else {
        return Ok(());
    };
    let name = call.f.snap_name(key);
    let copies = call.f.group_snaps.get(&group).map(|s| s.copies.clone()).unwrap_or_default();
    let in_use = !call.f.is_complete(group) || copies.iter().any(|c| !call.f.is_complete(*c));
    if in_use && !replication {
        return Err(Refused::of(&name, "Volume snapshot is in use by replication."));
    }
    if call.strict().refuse_destroying_group_member_snapshot {
        return Err(Refused::of(
            &name,
            "Volume snapshot is part of a protection group snapshot and cannot be changed alone.",
        ));
    }
    Ok(())
}

/// `name` is the new suffix, or the whole name with it.
fn rename(call: &mut Call<'_>, key: Key, name: &str) -> Outcome<()> {
    let Some(SnapOwner::Volume(volume)) = call.f.snaps.get(&key).map(|s| s.owner) else {
        return Err(Refused::of(name, "Volume snapshot cannot be renamed."));
    };
    let owner = call.f.volume_name(volume);
    let head = format!("{}.", owner.to_lowercase());
    let suffix = match name.to_lowercase().starts_with(&head) {
        true => name[head.len()..].to_owned(),
        false => name.to_owned(),
    };
    names::suffix(name, &suffix)?;
    let whole = format!("{owner}.{suffix}");
    if call.f.find(call.at, Kind::Snapshot, &whole).is_some_and(|other| other != key) {
        return Err(Refused::of(&whole, "Volume snapshot already exists."));
    }
    call.f.renaming(&[Obj::Snap(key)], |f| {
        if let Some(snap) = f.snaps.get_mut(&key) {
            snap.part = suffix;
        }
    });
    Ok(())
}
