//! `/volumes`.

use serde_json::{Value, json};

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
    query::Row,
    view,
    volumes::{Source, reference},
};

const DEFAULT_BYTES: u64 = 1 << 20;

/// How new volumes are to be protected, and whether they may replace others.
pub(crate) struct NewVolume {
    /// Replace the content of a volume of that name.
    pub overwrite: bool,
    /// Join the container's default protection groups.
    pub with_default: bool,
    /// Groups to join.
    pub groups: Vec<Key>,
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome<Reply> {
    let at = call.at;
    call.page(call.candidates(Kind::Volume)?, |f, key| f.volume_view(at, *key))
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome<Reply> {
    let names = call.names()?;
    let overwrite = call.q.is("overwrite")?;
    let with_default = call.q.flag("with_default_protection")?;
    let groups =
        call.chosen(Kind::Group, "add_to_protection_group_names", "add_to_protection_group_ids")?;
    let strict = call.strict().refuse_overwrite_with_protection;
    if overwrite && strict && (with_default.is_some() || groups.is_some()) {
        return Err(Refused::request(
            "Invalid parameter combination: overwrite cannot be used with with_default_protection \
             or add_to_protection_group_names.",
        ));
    }
    let wish = NewVolume {
        overwrite,
        with_default: with_default.unwrap_or(true),
        groups: groups.unwrap_or_default(),
    };
    let source = call.source(call.body)?;
    let body = call.body.clone();
    let mut made = Vec::new();
    for name in &names {
        match call.make_volume(name, &body, source.as_ref(), &wish) {
            Ok(key) => made.push(key),
            Err(refused) => {
                call.unmake(&made, overwrite);
                return Err(refused);
            }
        }
    }
    Ok(Reply::Items(call.volume_items(&made)))
}

impl Call<'_> {
    pub(super) fn strict(&self) -> crate::array::config::Strictness {
        self.f.units.get(&self.at).map(|u| u.config.strict.clone()).unwrap_or_default()
    }

    pub(super) fn source(&self, body: &Value) -> Outcome<Option<Source>> {
        match reference(body.get("source")) {
            None => Ok(None),
            Some((name, true)) => self.f.copy_source(self.at, name).map(Some),
            Some((id, false)) => self.f.copy_source_by_id(self.at, id).map(Some),
        }
    }

    /// One new (or overwritten) volume with its protection.
    pub(super) fn make_volume(
        &mut self,
        name: &str,
        body: &Value,
        source: Option<&Source>,
        wish: &NewVolume,
    ) -> Outcome<Key> {
        let bytes = size(body)?;
        if source.is_some() && bytes.is_some() {
            return Err(Refused::of(name, "source and provisioned cannot be set together."));
        }
        let existing = self.f.find(self.at, Kind::Volume, name);
        if wish.overwrite {
            let Some(source) = source else { return Err(missing("source")) };
            if let Some(key) = existing {
                self.f.overwrite_volume(key, source)?;
                return Ok(key);
            }
        }
        let bytes = bytes.unwrap_or(if source.is_some() { 0 } else { DEFAULT_BYTES });
        let (home, ..) = self.f.place_of(self.at, name)?;
        let mut groups = wish.groups.clone();
        if wish.with_default {
            groups.extend(self.f.default_protections(home));
        }
        for group in &groups {
            self.f.may_join(*group, home)?;
        }
        let key = self.f.create_volume(self.at, name, bytes, source)?;
        if let Some(qos) = body.get("qos").filter(|q| q.is_object()) {
            self.set_qos(key, qos);
        }
        for group in groups {
            self.f.add_to_group(group, key);
        }
        self.tag_new(key, body.get("tags"));
        Ok(key)
    }

    /// One bad name fails the whole call: what it made before goes again.
    pub(super) fn unmake(&mut self, made: &[Key], overwrite: bool) {
        if !overwrite {
            for key in made {
                self.f.eradicate(Obj::Volume(*key));
            }
        }
    }

    fn tag_new(&mut self, key: Key, tags: Option<&Value>) {
        for tag in tags.and_then(Value::as_array).into_iter().flatten() {
            if let (Some(name), Some(value)) = (tag["key"].as_str(), tag["value"].as_str()) {
                let namespace = tag["namespace"].as_str().unwrap_or("default");
                let copyable = tag["copyable"].as_bool().unwrap_or(true);
                self.f.tag_volume(key, namespace, name, value, copyable);
            }
        }
    }

    fn set_qos(&mut self, key: Key, qos: &Value) {
        if let (Some(v), Some(new)) = (self.f.volumes.get_mut(&key), qos.as_object()) {
            for (name, value) in new {
                v.qos[name] = value.clone();
            }
            if let Some(map) = v.qos.as_object_mut() {
                map.retain(|_, value| {
                    value.as_u64() != Some(0) && !value.is_null() && value.as_str() != Some("")
                });
            }
        }
    }

    pub(super) fn volume_items(&self, keys: &[Key]) -> Vec<Value> {
        keys.iter().map(|k| self.f.volume_view(self.at, *k).value).collect()
    }
}

fn size(body: &Value) -> Outcome<Option<u64>> {
    match body.get("provisioned") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| missing("provisioned")),
    }
}

pub(super) fn change(call: &mut Call<'_>) -> Outcome<Reply> {
    let keys = call.required(Kind::Volume)?;
    let name = call.body.get("name").and_then(Value::as_str).map(str::to_owned);
    if name.is_some() && keys.len() > 1 {
        return Err(Refused::request("Only one volume can be renamed at a time."));
    }
    let to_groups =
        call.chosen(Kind::Group, "add_to_protection_group_names", "add_to_protection_group_ids")?;
    let from_groups = call.chosen(
        Kind::Group,
        "remove_from_protection_group_names",
        "remove_from_protection_group_ids",
    )?;
    for key in &keys {
        if call.body.get("destroyed").and_then(Value::as_bool) == Some(true) {
            call.f.destroy_volume(*key)?;
            continue;
        }
        if !call.destroy_or_recover(Kind::Volume, *key)? {
            call.alive(Kind::Volume, *key)?;
        }
        if let Some(name) = &name {
            call.f.rename_volume(call.at, *key, name)?;
        }
        if let Some(bytes) = size(call.body)? {
            call.f.resize_volume(*key, bytes, call.q.is("truncate")?)?;
        }
        if let Some(qos) = call.body.get("qos").filter(|q| q.is_object()) {
            let qos = qos.clone();
            call.set_qos(*key, &qos);
        }
        promote(call, *key)?;
        relocate(call, *key, to_groups.as_deref(), from_groups.as_deref())?;
    }
    Ok(Reply::Items(call.volume_items(&keys)))
}

fn promote(call: &mut Call<'_>, key: Key) -> Outcome<()> {
    let demoted = match call.body.get("requested_promotion_state").and_then(Value::as_str) {
        None => return Ok(()),
        Some("demoted") => true,
        Some("promoted") => false,
        Some(_) => return Err(missing("requested_promotion_state")),
    };
    if let Some(v) = call.f.volumes.get_mut(&key) {
        v.demoted = demoted;
    }
    Ok(())
}

/// Moves into or out of a pod or volume group; groups are left and joined along with the move.
fn relocate(
    call: &mut Call<'_>,
    key: Key,
    join: Option<&[Key]>,
    leave: Option<&[Key]>,
) -> Outcome<()> {
    let pod = call.body.get("pod");
    let vgroup = call.body.get("volume_group");
    let name = call.f.volume_name(key);
    let Some(v) = call.f.volumes.get(&key).cloned() else { return Ok(()) };
    let home = match reference(pod) {
        None if pod.is_some() => return Err(missing("pod")),
        None => v.home,
        Some(("", _)) => Home::Array(call.at),
        Some((pod, true)) => Home::Pod(call.f.need_pod(call.at, pod)?),
        Some((id, false)) => Home::Pod(call.f.by_id(call.at, Kind::Pod, id)?),
    };
    let vgroup = match reference(vgroup) {
        None if home != v.home => None,
        None => v.vgroup,
        Some(("", _)) => None,
        Some((group, true)) => Some(call.f.need(call.at, Kind::VolumeGroup, group)?),
        Some((id, false)) => Some(call.f.by_id(call.at, Kind::VolumeGroup, id)?),
    };
    let leaving = leave.unwrap_or_default();
    if home == v.home && vgroup == v.vgroup {
        if join.is_some() || leave.is_some() {
            return Err(Refused::of(
                &name,
                "Protection groups can only be given when a volume is moved across pods or arrays.",
            ));
        }
        return Ok(());
    }
    if home != v.home {
        may_move(call, &v, &name, home, leaving)?;
        for group in join.unwrap_or_default() {
            call.f.may_join(*group, home)?;
        }
    }
    move_volume(call, key, home, vgroup)?;
    for group in leaving {
        call.f.remove_from_group(*group, key)?;
    }
    for group in join.unwrap_or_default() {
        call.f.add_to_group(*group, key);
    }
    Ok(())
}

fn may_move(call: &Call<'_>, v: &Volume, name: &str, to: Home, leaving: &[Key]) -> Outcome<()> {
    let stretched = |home| call.f.holders(home).len() > 1;
    if stretched(to) || stretched(v.home) {
        return Err(Refused::of(name, "Volume cannot be moved into or out of a stretched pod."));
    }
    if !v.groups.iter().all(|g| leaving.contains(g)) {
        return Err(Refused::of(
            name,
            "Volume is a member of protection groups; remove_from_protection_group_names must name \
             all of them.",
        ));
    }
    Ok(())
}

fn move_volume(call: &mut Call<'_>, key: Key, home: Home, vgroup: Option<Key>) -> Outcome<()> {
    let Some(v) = call.f.volumes.get(&key).cloned() else { return Ok(()) };
    let moved = Volume { home, vgroup, ..v };
    let prefix = match home {
        Home::Array(_) => String::new(),
        Home::Pod(pod) => {
            call.f.pods.get(&pod).map(|p| format!("{}::", p.name)).unwrap_or_default()
        }
    };
    let name = format!("{prefix}{}", call.f.volume_part(&moved));
    if call.f.find(call.at, Kind::Volume, &name).is_some_and(|other| other != key) {
        return Err(Refused::of(&name, "Volume already exists."));
    }
    let scope = call.f.scope_of_volume(key);
    call.f.renaming(&scope, |f: &mut Fabric| {
        f.volumes.insert(key, moved);
    });
    Ok(())
}

pub(super) fn space(call: &mut Call<'_>) -> Outcome<Reply> {
    let at = call.at;
    call.page(call.candidates(Kind::Volume)?, |f, key| {
        let full = f.volume_view(at, *key).value;
        Row::from(json!({
            "id": full["id"], "name": full["name"], "space": full["space"], "time": f.now,
        }))
    })
}

pub(super) fn performance(call: &mut Call<'_>) -> Outcome<Reply> {
    call.page(call.candidates(Kind::Volume)?, |f, key| {
        let mut row = idle_performance(f.now);
        row["id"] = json!(f.volumes.get(key).map(|v| v.id.clone()));
        row["name"] = json!(f.volume_name(*key));
        Row::from(row)
    })
}

/// The figures of something that does nothing.
pub(super) fn idle_performance(now: Ms) -> Value {
    let mut row = json!({"time": now, "service_usec_per_read_op_cache_reduction": 0.0, "read_cache_hit_ratio": 0.0});
    for field in PERFORMANCE {
        row[*field] = json!(0);
    }
    row
}

const PERFORMANCE: &[&str] = &[
    "bytes_per_mirrored_write",
    "bytes_per_op",
    "bytes_per_read",
    "bytes_per_write",
    "cached_read_bytes_per_sec",
    "cached_reads_per_sec",
    "local_queue_usec_per_op",
    "mirrored_others_per_sec",
    "mirrored_write_bytes_per_sec",
    "mirrored_writes_per_sec",
    "non_cached_read_bytes_per_sec",
    "non_cached_reads_per_sec",
    "others_per_sec",
    "qos_rate_limit_usec_per_mirrored_write_op",
    "qos_rate_limit_usec_per_read_op",
    "qos_rate_limit_usec_per_write_op",
    "qos_scheduling_usec_per_mirrored_write_op",
    "qos_scheduling_usec_per_read_op",
    "qos_scheduling_usec_per_write_op",
    "queue_depth",
    "queue_usec_per_mirrored_write_op",
    "queue_usec_per_read_op",
    "queue_usec_per_write_op",
    "read_bytes_per_sec",
    "reads_per_sec",
    "san_usec_per_mirrored_write_op",
    "san_usec_per_read_op",
    "san_usec_per_write_op",
    "service_usec_per_mirrored_write_op",
    "service_usec_per_read_op",
    "service_usec_per_read_op_cached",
    "service_usec_per_read_op_non_cached",
    "service_usec_per_write_op",
    "usec_per_mirrored_other_op",
    "usec_per_mirrored_write_op",
    "usec_per_other_op",
    "usec_per_read_op",
    "usec_per_write_op",
    "write_bytes_per_sec",
    "writes_per_sec",
];

/// The figures of volumes are views of this array, whatever the pod.
pub(super) fn array_space(f: &Fabric, at: Key) -> Value {
    let mine = || f.listed(at, Kind::Volume, "").into_iter().filter_map(|k| f.volumes.get(&k));
    let per_stamp = f.units.get(&at).map_or(1, |u| u.config.transfer.bytes_per_stamp);
    let written: u64 = mine().map(|v| v.content.len() as u64 * per_stamp).sum();
    view::space(mine().map(|v| v.provisioned).sum(), written, 0)
}
