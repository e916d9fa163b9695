//! `/volumes/tags`.

use serde_json::{Value, json};

use super::{Call, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
    query::Row,
};

const DEFAULT_NAMESPACE: &str = "default";

fn item(f: &Fabric, volume: Key, namespace: &str, key: &str) -> Value {
    let Some(v) = f.volumes.get(&volume) else { return json!({}) };
    let Some((value, copyable)) = v.tags.get(&(namespace.to_owned(), key.to_owned())) else {
        return json!({});
    };
    json!({
        "copyable": copyable,
        "key": key,
        "namespace": namespace,
        "resource": {"id": v.id, "name": f.volume_name(volume)},
        "value": value,
    })
}

fn resources(call: &Call<'_>) -> Outcome<Option<Vec<Key>>> {
    call.chosen(Kind::Volume, "resource_names", "resource_ids")
}

pub(super) fn list(call: &mut Call<'_>) -> Outcome<Reply> {
    let volumes = match resources(call)? {
        Some(volumes) => volumes,
        None => call.f.listed(call.at, Kind::Volume, ""),
    };
    let volumes = call.by_destroyed(Kind::Volume, volumes, "resource_destroyed")?;
    let wanted = call.q.list("namespaces");
    let mut found = Vec::new();
    for volume in volumes {
        let Some(v) = call.f.volumes.get(&volume) else { continue };
        for (namespace, key) in v.tags.keys() {
            let in_default = wanted.is_none() && namespace == DEFAULT_NAMESPACE;
            if in_default || wanted.as_ref().is_some_and(|w| w.contains(namespace)) {
                found.push((volume, namespace.clone(), key.clone()));
            }
        }
    }
    call.page(found, |f, (volume, namespace, key)| Row::from(item(f, *volume, namespace, key)))
}

pub(super) fn put(call: &mut Call<'_>) -> Outcome<Reply> {
    let Some(volumes) = resources(call)? else { return Err(missing("resource_names")) };
    let Some(tags) = call.body.as_array().cloned() else {
        return Err(Refused::request("The body must be an array of tags."));
    };
    let mut wanted = Vec::new();
    for tag in &tags {
        let (Some(key), Some(value)) = (tag["key"].as_str(), tag["value"].as_str()) else {
            return Err(missing("key"));
        };
        if key.is_empty() || key.len() > 64 || value.len() > 256 {
            return Err(Refused::of(
                key,
                "A tag's key has 1 to 64 and its value up to 256 characters.",
            ));
        }
        let namespace = tag["namespace"].as_str().unwrap_or(DEFAULT_NAMESPACE);
        let copyable = tag["copyable"].as_bool().unwrap_or(true);
        wanted.push((namespace.to_owned(), key.to_owned(), value.to_owned(), copyable));
    }
    let mut items = Vec::new();
    for volume in volumes {
        call.alive(Kind::Volume, volume)?;
        for (namespace, key, value, copyable) in &wanted {
            call.f.tag_volume(volume, namespace, key, value, *copyable);
            items.push(item(call.f, volume, namespace, key));
        }
    }
    Ok(Reply::Items(items))
}

pub(super) fn remove(call: &mut Call<'_>) -> Outcome<Reply> {
    let Some(volumes) = resources(call)? else { return Err(missing("resource_names")) };
    let namespaces = call.q.list("namespaces").unwrap_or_else(|| vec![DEFAULT_NAMESPACE.into()]);
    let [namespace] = namespaces.as_slice() else {
        return Err(Refused::of("namespaces", "Only one namespace is allowed per delete request."));
    };
    let keys = call.q.list("keys");
    for volume in volumes {
        if let Some(v) = call.f.volumes.get_mut(&volume) {
            v.tags.retain(|(space, key), _| {
                space != namespace || keys.as_ref().is_some_and(|keys| !keys.contains(key))
            });
        }
    }
    Ok(Reply::Empty)
}
