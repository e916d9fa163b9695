//! `/pods` and `/pods/arrays` (`/pods/members` since 2.36).

use serde_json::{Value, json};

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
    names,
    query::Row,
};

pub(super) fn list(call: &mut Call<'_>) -> Outcome<Reply> {
    call.page(call.candidates(Kind::Pod)?, |f, key| f.pod_view(*key))
}

pub(super) fn create(call: &mut Call<'_>) -> Outcome<Reply> {
    let source = match call.body.get("source").and_then(|s| s["name"].as_str()) {
        None => None,
        Some(name) => Some(call.f.need(call.at, Kind::Pod, name)?),
    };
    let preferences = preferences(call)?;
    let quota = call.body.get("quota_limit").and_then(Value::as_u64);
    let mut items = Vec::new();
    for name in call.names()? {
        let key = call.f.create_pod(call.at, &name)?;
        if let Some(pod) = call.f.pods.get_mut(&key) {
            pod.quota = quota;
            pod.preferences = preferences.clone().unwrap_or_default();
        }
        if let Some(source) = source {
            copy_contents(call, source, key)?;
        }
        items.push(call.f.pod_view(key).value);
    }
    Ok(Reply::Items(items))
}

/// A pod that is made from another has copies of its volumes.
fn copy_contents(call: &mut Call<'_>, source: Key, target: Key) -> Outcome<()> {
    let Some(origin) = call.f.pods.get(&source).cloned() else { return Ok(()) };
    let name = call.name_of(Obj::Pod(target));
    if let Some(pod) = call.f.pods.get_mut(&target) {
        pod.source = Some((origin.id, origin.name));
    }
    let inside = call.f.volumes.iter().filter(|(_, v)| {
        v.home == Home::Pod(source)
            && v.vgroup.is_none()
            && (v.destroyed.is_none() || origin.remnant)
    });
    let mut volumes: Vec<(Key, String)> = inside.map(|(k, v)| (*k, v.base.clone())).collect();
    volumes.sort();
    for (key, base) in volumes {
        let from = call.f.volume_source(key)?;
        call.f.create_volume(call.at, &format!("{name}::{base}"), 0, Some(&from))?;
    }
    Ok(())
}

fn preferences(call: &Call<'_>) -> Outcome<Option<Vec<Key>>> {
    let Some(wanted) = call.body.get("failover_preferences").and_then(Value::as_array) else {
        return Ok(None);
    };
    let one = |array: &Value| {
        let name = array["name"].as_str().ok_or_else(|| missing("failover_preferences"))?;
        if call.f.unit_name(call.at).eq_ignore_ascii_case(name) {
            return Ok(call.at);
        }
        call.f.peer(call.at, name)
    };
    wanted.iter().map(one).collect::<Outcome<Vec<_>>>().map(Some)
}

pub(super) fn change(call: &mut Call<'_>) -> Outcome<Reply> {
    let keys = call.required(Kind::Pod)?;
    let contents = call.q.is("destroy_contents")?;
    let preferences = preferences(call)?;
    for key in &keys {
        if call.body.get("destroyed").and_then(Value::as_bool) == Some(true) {
            may_destroy(call, *key, contents)?;
        }
        if call.body.get("destroyed").and_then(Value::as_bool) == Some(false)
            && call.f.pods.get(key).is_some_and(|p| p.remnant)
        {
            return Err(Refused::of(&call.name_of(Obj::Pod(*key)), "Pod cannot be recovered."));
        }
        call.destroy_or_recover(Kind::Pod, *key)?;
        let promotion = match call.body.get("requested_promotion_state").and_then(Value::as_str) {
            None => None,
            Some("demoted") => Some(true),
            Some("promoted") => Some(false),
            Some(_) => return Err(missing("requested_promotion_state")),
        };
        let name = call.name_of(Obj::Pod(*key));
        let Some(pod) = call.f.pods.get_mut(key) else { continue };
        if promotion == Some(true) && pod.arrays.len() > 1 {
            return Err(Refused::of(&name, "A stretched pod cannot be demoted."));
        }
        pod.demoted = promotion.unwrap_or(pod.demoted);
        if let Some(preferences) = preferences.clone() {
            pod.preferences = preferences;
        }
        if let Some(mediator) = call.body.get("mediator").and_then(Value::as_str) {
            pod.mediator = mediator.to_owned();
        }
        if let Some(quota) = call.body.get("quota_limit").and_then(Value::as_u64) {
            pod.quota = Some(quota);
        }
        if let Some(new) = call.body.get("name").and_then(Value::as_str).map(str::to_owned) {
            rename(call, *key, &new)?;
        }
    }
    let items = keys.iter().map(|k| call.f.pod_view(*k).value).collect();
    Ok(Reply::Items(items))
}

fn may_destroy(call: &Call<'_>, key: Key, contents: bool) -> Outcome<()> {
    let name = call.name_of(Obj::Pod(key));
    if call.f.holders(Home::Pod(key)).len() > 1 {
        return Err(Refused::of(&name, "Pod is stretched and must be unstretched first."));
    }
    let home = Home::Pod(key);
    let live = |v: &&Volume| v.home == home && v.destroyed.is_none();
    let groups = call.f.groups.values().any(|g| g.home == home && g.destroyed.is_none());
    if !contents && (groups || call.f.volumes.values().any(|v| live(&v))) {
        return Err(Refused::of(&name, "Pod is not empty."));
    }
    let inside = call.f.volumes.iter().filter(|(_, v)| live(v));
    let connected = inside.into_iter().any(|(k, _)| call.f.connection_count(call.at, *k) > 0);
    if connected && call.strict().refuse_destroying_connected {
        return Err(Refused::of(&name, "Pod cannot be deleted due to existing connections."));
    }
    Ok(())
}

fn rename(call: &mut Call<'_>, key: Key, name: &str) -> Outcome<()> {
    names::check("Pod", name, name)?;
    for at in call.f.holders(Home::Pod(key)) {
        if call.f.find(at, Kind::Pod, name).is_some_and(|other| other != key) {
            return Err(Refused::of(name, "Pod already exists."));
        }
    }
    let scope = call.f.scope_of_pod(key);
    let name = name.to_owned();
    call.f.renaming(&scope, |f| {
        if let Some(pod) = f.pods.get_mut(&key) {
            pod.name = name;
        }
    });
    Ok(())
}

pub(super) fn eradicate(call: &mut Call<'_>) -> Outcome<Reply> {
    let contents = call.q.is("eradicate_contents")?;
    for key in call.required(Kind::Pod)? {
        if !contents && call.f.volumes.values().any(|v| v.home == Home::Pod(key)) {
            return Err(Refused::of(&call.name_of(Obj::Pod(key)), "Pod is not empty."));
        }
    }
    call.eradicate_all(Kind::Pod)
}

fn item(f: &Fabric, pod: Key, array: Key) -> Value {
    let reference = f
        .pods
        .get(&pod)
        .map_or(json!({}), |p| json!({"id": p.id, "name": p.name, "resource_type": "pods"}));
    json!({"group": reference, "pod": reference, "member": f.unit_ref(array)})
}

fn pods(call: &Call<'_>) -> Outcome<Option<Vec<Key>>> {
    match call.q.has("pod_names") || call.q.has("pod_ids") {
        true => call.chosen(Kind::Pod, "pod_names", "pod_ids"),
        false => call.chosen(Kind::Pod, "group_names", "group_ids"),
    }
}

fn members(call: &Call<'_>) -> Option<Vec<String>> {
    call.q.list("member_names").or_else(|| {
        let ids = call.q.list("member_ids")?;
        let units = call.f.units.values().filter(|u| ids.contains(&u.id));
        Some(units.map(|u| u.name.clone()).collect())
    })
}

pub(super) fn arrays(call: &mut Call<'_>) -> Outcome<Reply> {
    let pods = match pods(call)? {
        Some(pods) => pods,
        None => call.f.listed(call.at, Kind::Pod, ""),
    };
    let members = members(call);
    let mut rows = Vec::new();
    for pod in pods {
        for array in call.f.holders(Home::Pod(pod)) {
            let name = call.f.unit_name(array);
            if members.as_ref().is_none_or(|m| m.iter().any(|m| m.eq_ignore_ascii_case(name))) {
                rows.push((pod, array));
            }
        }
    }
    call.page(rows, |f, (pod, array)| Row::from(item(f, *pod, *array)))
}

fn pairs(call: &Call<'_>) -> Outcome<Vec<(Key, String)>> {
    let pods = pods(call)?.ok_or_else(|| missing("group_names"))?;
    let members = members(call).ok_or_else(|| missing("member_names"))?;
    Ok(pods.iter().flat_map(|p| members.iter().map(|m| (*p, m.clone()))).collect())
}

pub(super) fn stretch(call: &mut Call<'_>) -> Outcome<Reply> {
    let mut items = Vec::new();
    for (pod, member) in pairs(call)? {
        let on = call.f.stretch(call.at, pod, &member)?;
        items.push(item(call.f, pod, on));
    }
    Ok(Reply::Items(items))
}

pub(super) fn unstretch(call: &mut Call<'_>) -> Outcome<Reply> {
    let force = call.q.is("with_unknown")?;
    for (pod, member) in pairs(call)? {
        let from = match call.f.unit_name(call.at).eq_ignore_ascii_case(&member) {
            true => call.at,
            false => call.f.peer(call.at, &member)?,
        };
        if !call.f.reachable(call.at, from) && !force {
            return Err(Refused::of(
                &member,
                "Array is unreachable; unstretching needs with_unknown.",
            ));
        }
        call.f.unstretch(pod, from)?;
    }
    Ok(Reply::Empty)
}
