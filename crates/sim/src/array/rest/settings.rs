//! Default protection of containers, accounts, tokens, sessions.

use serde_json::{Value, json};

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
    query::Row,
    volumes::reference,
};

fn default_item(f: &Fabric, at: Key, pod: Option<Key>) -> Value {
    let home = pod.map_or(Home::Array(at), Home::Pod);
    let protections: Vec<Value> = f
        .default_protections(home)
        .iter()
        .map(|k| {
            let group = f.group_ref(*k);
            json!({"id": group["id"], "name": group["name"], "type": "protection_group"})
        })
        .collect();
    let (id, name, kind) = match pod.and_then(|p| f.pods.get(&p)) {
        Some(pod) => (Some(pod.id.clone()), pod.name.clone(), "pod"),
        None => (f.units.get(&at).map(|u| u.id.clone()), f.unit_name(at).to_owned(), "array"),
    };
    json!({"id": id, "name": name, "type": kind, "default_protections": protections})
}

/// The array itself ("" or its name) and its pods.
fn containers(call: &Call<'_>) -> Outcome<Vec<Option<Key>>> {
    match (call.q.list("names"), call.q.has("names"), call.q.list("ids")) {
        (Some(names), true, _) if !names.is_empty() => names
            .iter()
            .map(|name| match call.f.unit_name(call.at).eq_ignore_ascii_case(name) {
                true => Ok(None),
                false => call.f.need(call.at, Kind::Pod, name).map(Some),
            })
            .collect(),
        (_, true, _) => Ok(vec![None]),
        (_, _, Some(ids)) => ids
            .iter()
            .map(|id| match call.f.unit(call.at)?.id == *id {
                true => Ok(None),
                false => call.f.by_id(call.at, Kind::Pod, id).map(Some),
            })
            .collect(),
        _ => {
            let pods = call.f.listed(call.at, Kind::Pod, "");
            Ok([None].into_iter().chain(pods.into_iter().map(Some)).collect())
        }
    }
}

pub(super) fn defaults(call: &mut Call<'_>) -> Outcome<Reply> {
    let at = call.at;
    call.page(containers(call)?, |f, pod| Row::from(default_item(f, at, *pod)))
}

pub(super) fn set_defaults(call: &mut Call<'_>) -> Outcome<Reply> {
    if !call.q.has("names") && !call.q.has("ids") {
        return Err(missing("names"));
    }
    let Some(wanted) = call.body.get("default_protections").and_then(Value::as_array).cloned()
    else {
        return Err(missing("default_protections"));
    };
    let mut groups = Vec::new();
    for entry in &wanted {
        groups.push(match reference(Some(entry)) {
            Some((name, true)) => call.f.local_group(call.at, name)?,
            Some((id, false)) => call.f.by_id(call.at, Kind::Group, id)?,
            None => return Err(missing("default_protections")),
        });
    }
    let containers = containers(call)?;
    for pod in &containers {
        let home = pod.map_or(Home::Array(call.at), Home::Pod);
        for group in &groups {
            call.f.may_join(*group, home)?;
        }
        match pod.and_then(|p| call.f.pods.get_mut(&p)) {
            Some(pod) => pod.default_protections = groups.clone(),
            None => call.f.unit_mut(call.at)?.default_protections = groups.clone(),
        }
    }
    let at = call.at;
    Ok(Reply::Items(containers.iter().map(|p| default_item(call.f, at, *p)).collect()))
}

pub(super) fn accounts(f: &Fabric, at: Key, exposed: bool) -> Vec<Value> {
    let Some(unit) = f.units.get(&at) else { return Vec::new() };
    let tokens = unit.config.api_tokens.iter().map(|t| (&t.username, &t.token, t.readonly));
    tokens
        .map(|(name, token, readonly)| {
            json!({
                "name": name,
                "is_local": true,
                "locked": false,
                "role": {"name": if readonly { "readonly" } else { "array_admin" }},
                "api_token": {"created_at": 0, "token": if exposed { token.as_str() } else { "****" }},
            })
        })
        .collect()
}

pub(super) fn api_tokens(call: &mut Call<'_>) -> Outcome<Reply> {
    // Only one's own token is ever shown.
    let exposed = call.q.is("expose_api_token")?;
    let user = call.user.to_owned();
    let mut all = accounts(call.f, call.at, exposed);
    if exposed {
        all.retain(|account| account["name"] == json!(user));
    }
    call.page(all, |_, value| Row::from(value.clone()))
}

pub(super) fn new_api_token(call: &mut Call<'_>) -> Outcome<Reply> {
    let names = call.names()?;
    let unit = call.f.unit(call.at)?;
    match names.iter().find(|n| unit.config.api_tokens.iter().any(|t| t.username == **n)) {
        Some(name) => Err(Refused::of(name, "API token already exists.")),
        None => Err(Refused::of(&names[0], "User does not exist.")),
    }
}

pub(super) fn sessions(call: &mut Call<'_>) -> Outcome<Reply> {
    let mut all: Vec<Session> = call.f.unit(call.at)?.sessions.values().cloned().collect();
    all.sort_by_key(|s| s.id);
    call.page(all, |_, s| {
        Row::from(json!({
            "id": s.id.to_string(),
            "name": s.id.to_string(),
            "event_count": 0,
            "location": "192.0.2.1",
            "method": "API token",
            "start_time": s.started,
            "user": s.user,
            "user_interface": "REST",
        }))
    })
}
