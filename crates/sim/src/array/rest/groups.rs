//! `/protection-groups` and `/volume-groups`.

use serde_json::{Value, json};

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    fabric::fresh_key,
    model::*,
    names,
    query::Row,
};

pub(super) fn list(call: &mut Call<'_>) -> Outcome<Reply> {
    call.page(call.candidates(Kind::Group)?, |f, key| f.group_view(*key))
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome<Reply> {
    let names = call.names()?;
    let sources = call.q.list("source_names").or_else(|| call.q.list("source_ids"));
    if let Some(sources) = sources {
        let ([name], [source]) = (names.as_slice(), sources.as_slice()) else {
            return Err(Refused::request("One protection group is restored at a time."));
        };
        return restore(call, name, source);
    }
    if call.q.is("overwrite")? {
        return Err(missing("source_names"));
    }
    let mut items = Vec::new();
    for name in &names {
        let key = call.f.create_group(call.at, name)?;
        items.push(call.f.group_view(key).value);
    }
    Ok(Reply::Items(items))
}

/// A group and all its volumes from a snapshot (or the newest complete one of a group).
fn restore(call: &mut Call<'_>, name: &str, source: &str) -> Outcome<Reply> {
    let overwrite = call.q.is("overwrite")?;
    let snap = restore_source(call, source)?;
    let members = call.f.group_snaps.get(&snap).map(|s| s.members.clone()).unwrap_or_default();
    let (pod, _) = names::split_pod(name);
    let prefix = pod.map(|p| format!("{p}::")).unwrap_or_default();
    let mut plan = Vec::new();
    for member in members {
        let part = call.f.snaps.get(&member).map(|s| s.part.clone()).unwrap_or_default();
        let volume = format!("{prefix}{part}");
        let there = call.f.find(call.at, Kind::Volume, &volume);
        match (overwrite, there) {
            (true, None) => return Err(Refused::of(&volume, "Volume does not exist.")),
            (false, Some(_)) => return Err(Refused::of(&volume, "Volume already exists.")),
            _ => plan.push((volume, there, call.f.snap_source(member)?)),
        }
    }
    let group = if overwrite {
        call.f.local_group(call.at, name)?
    } else {
        call.f.create_group(call.at, name)?
    };
    for (volume, there, source) in plan {
        let key = match there {
            Some(key) => {
                call.f.overwrite_volume(key, &source)?;
                key
            }
            None => call.f.create_volume(call.at, &volume, 0, Some(&source))?,
        };
        call.f.add_to_group(group, key);
    }
    Ok(Reply::Items(vec![call.f.group_view(group).value]))
}

fn restore_source(call: &Call<'_>, source: &str) -> Outcome<Key> {
    if let Some(snap) = call.f.find(call.at, Kind::GroupSnapshot, source) {
        call.alive(Kind::GroupSnapshot, snap)?;
        return Ok(snap);
    }
    let found = call.f.find(call.at, Kind::Group, source);
    let by_id = || call.f.by_id(call.at, Kind::GroupSnapshot, source).ok();
    let Some(group) = found else {
        return by_id().ok_or_else(|| {
            Refused::of(source, "Protection group or protection group snapshot does not exist.")
        });
    };
    let snaps = match (call.f.groups.get(&group), call.f.replicas.get(&group)) {
        (Some(g), _) => &g.snaps,
        (None, Some(r)) => &r.snaps,
        (None, None) => return Err(Refused::of(source, "Protection group does not exist.")),
    };
    snaps
        .iter()
        .copied()
        .filter(|k| call.f.is_complete(*k))
        .filter(|k| call.f.destroyed_at(Obj::GroupSnap(*k)).is_none())
        .max_by_key(|k| call.f.group_snaps.get(k).map(|s| s.created))
        .ok_or_else(|| Refused::of(source, "Protection group has no snapshots to restore."))
}

pub(super) fn change(call: &mut Call<'_>) -> Outcome<Reply> {
    let keys = call.required(Kind::Group)?;
    for key in &keys {
        let ratcheted = call.f.groups.get(key).is_some_and(|g| g.ratcheted);
        let name = call.name_of(call.object(Kind::Group, *key));
        if ratcheted && call.body.get("destroyed").and_then(Value::as_bool) == Some(true) {
            return Err(Refused::of(
                &name,
                "Protection group cannot be destroyed: its retention lock is ratcheted.",
            ));
        }
        call.destroy_or_recover(Kind::Group, *key)?;
        if call.f.groups.contains_key(key) {
            settings(call, *key)?;
        } else if [
            "name",
            "replication_schedule",
            "snapshot_schedule",
            "source_retention",
            "target_retention",
            "retention_lock",
        ]
        .iter()
        .any(|f| call.body.get(f).is_some())
        {
            return Err(Refused::of(&name, "Protection group is not local to this array."));
        }
    }
    let items = keys.iter().map(|k| call.f.group_view(*k).value).collect();
    Ok(Reply::Items(items))
}

fn settings(call: &mut Call<'_>, key: Key) -> Outcome<()> {
    let Some(old) = call.f.groups.get(&key).cloned() else { return Ok(()) };
    let name = call.f.group_name(key);
    let shortest = call.strict().min_replication_frequency_ms as Ms;
    let mut new = old.clone();
    merge_schedule(call.body.get("replication_schedule"), &mut new.replication, &name, shortest)?;
    merge_schedule(call.body.get("snapshot_schedule"), &mut new.snapshot, &name, 60_000)?;
    merge_retention(call.body.get("source_retention"), &mut new.source_retention)?;
    merge_retention(call.body.get("target_retention"), &mut new.target_retention)?;
    match call.body.get("retention_lock").and_then(Value::as_str) {
        Some("ratcheted") => new.ratcheted = true,
        Some("unlocked") if !old.ratcheted => {}
        Some("unlocked") => {
            return Err(Refused::of(
                &name,
                "A ratcheted retention lock is removed by support only.",
            ));
        }
        Some(_) => return Err(missing("retention_lock")),
        None => {}
    }
    if old.ratcheted && weaker(&old, &new) {
        return Err(Refused::of(
            &name,
            "Protection group's schedules and retention cannot be weakened: its retention lock is \
             ratcheted.",
        ));
    }
    let retention_changed =
        call.body.get("source_retention").is_some() || call.body.get("target_retention").is_some();
    call.f.groups.insert(key, new);
    call.f.reschedule(key, (&old.replication, &old.snapshot));
    if retention_changed {
        let now = call.f.now;
        call.f.plan(now, Event::Retain(Owner::Group(key)));
        for replica in old.replicas {
            call.f.plan(now, Event::Retain(Owner::Replica(replica)));
        }
    }
    if let Some(name) = call.body.get("name").and_then(Value::as_str).map(str::to_owned) {
        rename(call, key, &name)?;
    }
    Ok(())
}

fn weaker(old: &Group, new: &Group) -> bool {
    let shorter = |a: &Retention, b: &Retention| {
        b.all_for_sec < a.all_for_sec || b.per_day < a.per_day || b.days < a.days
    };
    let slower =
        |a: &Schedule, b: &Schedule| a.enabled && (!b.enabled || b.frequency > a.frequency);
    shorter(&old.source_retention, &new.source_retention)
        || shorter(&old.target_retention, &new.target_retention)
        || slower(&old.replication, &new.replication)
        || slower(&old.snapshot, &new.snapshot)
}

/// Only what is sent changes.
fn merge_schedule(
    body: Option<&Value>,
    schedule: &mut Schedule,
    name: &str,
    shortest: Ms,
) -> Outcome<()> {
    let Some(body) = body else { return Ok(()) };
    if let Some(frequency) = body.get("frequency").and_then(Value::as_i64) {
        if frequency < shortest {
            return Err(Refused::of(
                name,
                format!("Schedule frequency must be at least {} minutes.", shortest / 60_000),
            ));
        }
        schedule.frequency = frequency;
        if frequency % DAY_MS != 0 {
            schedule.at = None;
        }
    }
    match body.get("at") {
        None => {}
        Some(Value::Null) => schedule.at = None,
        Some(at) => {
            let seconds = at.as_i64().filter(|s| (0..86_400).contains(s));
            let seconds = seconds.ok_or_else(|| missing("at"))?;
            if schedule.frequency % DAY_MS != 0 {
                return Err(Refused::of(name, "at needs a frequency of whole days."));
            }
            schedule.at = Some(seconds * 1000);
        }
    }
    match body.get("blackout") {
        None => {}
        Some(Value::String(text)) if text.is_empty() => schedule.blackout = None,
        Some(Value::Null) => schedule.blackout = None,
        Some(window) => {
            let hour = |key: &str| {
                window.get(key).and_then(Value::as_i64).filter(|ms| ms % 3_600_000 == 0)
            };
            match (hour("start"), hour("end")) {
                (Some(start), Some(end)) if start != end => schedule.blackout = Some((start, end)),
                (Some(_), Some(_)) => schedule.blackout = None,
                _ => return Err(missing("blackout")),
            }
        }
    }
    if let Some(enabled) = body.get("enabled").and_then(Value::as_bool) {
        schedule.enabled = enabled;
    }
    Ok(())
}

fn merge_retention(body: Option<&Value>, retention: &mut Retention) -> Outcome<()> {
    let Some(body) = body else { return Ok(()) };
    for (key, slot) in [
        ("all_for_sec", &mut retention.all_for_sec),
        ("per_day", &mut retention.per_day),
        ("days", &mut retention.days),
    ] {
        match body.get(key) {
            None | Some(Value::Null) => {}
            Some(value) => match value.as_i64().filter(|n| *n >= 0) {
                Some(number) => *slot = number,
                None => return Err(missing(key)),
            },
        }
    }
    Ok(())
}

fn rename(call: &mut Call<'_>, key: Key, name: &str) -> Outcome<()> {
    let old = call.f.group_name(key);
    let (old_pod, _) = names::split_pod(&old);
    let (pod, base) = names::split_pod(name);
    if pod.is_some() && pod != old_pod {
        return Err(Refused::of(&old, "Protection group cannot be moved by renaming."));
    }
    names::check("Protection group", name, base)?;
    let whole = old_pod.map_or(base.to_owned(), |p| format!("{p}::{base}"));
    if call.f.find(call.at, Kind::Group, &whole).is_some_and(|other| other != key) {
        return Err(Refused::of(&whole, "Protection group already exists."));
    }
    let scope = call.f.scope_of_group(key);
    let base = base.to_owned();
    call.f.renaming(&scope, |f| {
        if let Some(group) = f.groups.get_mut(&key) {
            group.base = base;
        }
    });
    Ok(())
}

pub(super) fn vgroup_list(call: &mut Call<'_>) -> Outcome<Reply> {
    call.page(call.candidates(Kind::VolumeGroup)?, |f, key| f.vgroup_view(*key))
}

pub(super) fn vgroup_create(call: &mut Call<'_>) -> Outcome<Reply> {
    let mut items = Vec::new();
    for name in call.names()? {
        let (pod, base) = names::split_pod(&name);
        names::check("Volume group", &name, base)?;
        let home = match pod {
            None => Home::Array(call.at),
            Some(pod) => Home::Pod(call.f.need_pod(call.at, pod)?),
        };
        if call.f.find(call.at, Kind::VolumeGroup, &name).is_some() {
            return Err(Refused::of(&name, "Volume group already exists."));
        }
        let key = fresh_key();
        let id = call.f.draw_id(call.at, "volume-group");
        let qos = call.body.get("qos").cloned().unwrap_or(json!({}));
        let group = VolumeGroup { id, home, base: base.to_owned(), destroyed: None, qos };
        call.f.vgroups.insert(key, group);
        call.f.index(Obj::VolumeGroup(key));
        items.push(call.f.vgroup_view(key).value);
    }
    Ok(Reply::Items(items))
}

pub(super) fn vgroup_change(call: &mut Call<'_>) -> Outcome<Reply> {
    let keys = call.required(Kind::VolumeGroup)?;
    let contents = call.q.is("destroy_contents")?;
    for key in &keys {
        let name = call.name_of(Obj::VolumeGroup(*key));
        let destroying = call.body.get("destroyed").and_then(Value::as_bool) == Some(true);
        let inside =
            call.f.volumes.values().any(|v| v.vgroup == Some(*key) && v.destroyed.is_none());
        if destroying && inside && !contents {
            return Err(Refused::of(&name, "Volume group is not empty."));
        }
        call.destroy_or_recover(Kind::VolumeGroup, *key)?;
        if let Some(qos) = call.body.get("qos").cloned()
            && let Some(group) = call.f.vgroups.get_mut(key)
        {
            group.qos = qos;
        }
        if let Some(new) = call.body.get("name").and_then(Value::as_str).map(str::to_owned) {
            vgroup_rename(call, *key, &new)?;
        }
    }
    let items = keys.iter().map(|k| call.f.vgroup_view(*k).value).collect();
    Ok(Reply::Items(items))
}

fn vgroup_rename(call: &mut Call<'_>, key: Key, name: &str) -> Outcome<()> {
    let old = call.name_of(Obj::VolumeGroup(key));
    let (pod, _) = names::split_pod(&old);
    let (_, base) = names::split_pod(name);
    names::check("Volume group", name, base)?;
    let whole = pod.map_or(base.to_owned(), |p| format!("{p}::{base}"));
    if call.f.find(call.at, Kind::VolumeGroup, &whole).is_some_and(|other| other != key) {
        return Err(Refused::of(&whole, "Volume group already exists."));
    }
    let inside = call.f.volumes.iter().filter(|(_, v)| v.vgroup == Some(key)).map(|(k, _)| *k);
    let mut scope: Vec<Obj> =
        inside.collect::<Vec<_>>().into_iter().flat_map(|k| call.f.scope_of_volume(k)).collect();
    scope.push(Obj::VolumeGroup(key));
    let base = base.to_owned();
    call.f.renaming(&scope, |f| {
        if let Some(group) = f.vgroups.get_mut(&key) {
            group.base = base;
        }
    });
    Ok(())
}

pub(super) fn vgroup_eradicate(call: &mut Call<'_>) -> Outcome<Reply> {
    let contents = call.q.is("eradicate_contents")?;
    for key in call.required(Kind::VolumeGroup)? {
        if !contents && call.f.volumes.values().any(|v| v.vgroup == Some(key)) {
            let name = call.name_of(Obj::VolumeGroup(key));
            return Err(Refused::of(&name, "Volume group is not empty."));
        }
    }
    call.eradicate_all(Kind::VolumeGroup)
}

pub(super) fn vgroup_members(call: &mut Call<'_>) -> Outcome<Reply> {
    let groups = call.chosen(Kind::VolumeGroup, "group_names", "group_ids")?;
    let members = call.chosen(Kind::Volume, "member_names", "member_ids")?;
    let wanted = |key: &Key| {
        let group = call.f.volumes.get(key).and_then(|v| v.vgroup);
        group.is_some_and(|g| groups.as_ref().is_none_or(|groups| groups.contains(&g)))
            && members.as_ref().is_none_or(|m| m.contains(key))
    };
    let rows: Vec<Key> =
        call.f.listed(call.at, Kind::Volume, "").into_iter().filter(wanted).collect();
    call.page(rows, |f, key| {
        let Some(v) = f.volumes.get(key) else { return Row::from(json!({})) };
        Row::from(json!({
            "group": f.vgroup_ref(v.vgroup),
            "member": {"id": v.id, "name": f.volume_name(*key)},
        }))
    })
}
