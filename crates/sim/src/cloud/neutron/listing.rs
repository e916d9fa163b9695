//! Filters, fields, sorting and paging that all Neutron lists share.

use serde_json::{Map, Value, json};

use crate::cloud::{ApiError, Cloud, Params, Service, paginate};

const NOT_FILTERS: [&str; 9] = [
    "fields",
    "limit",
    "marker",
    "page_reverse",
    "sort_key",
    "sort_dir",
    "tags",
    "tags-any",
    "not-tags",
];

/// Answers a list request for objects that are already cut to what the caller may see.
pub(super) fn list(
    cloud: &Cloud,
    key: &str,
    path: &str,
    items: Vec<Value>,
    params: &Params,
) -> Result<Value, ApiError> {
    let mut items: Vec<Value> = items.into_iter().filter(|i| matches(i, params)).collect();
    sort(&mut items, params);
    let path = format!("/network/v2.0/{path}");
    let mut page = paginate(cloud, Service::Neutron, &path, items, params, 1000)?;
    for item in &mut page.items {
        *item = pick(item, params);
    }
    Ok(page.into_json(key))
}

/// Only the `fields` that were asked for.
pub(super) fn pick(item: &Value, params: &Params) -> Value {
    let wanted: Vec<&str> =
        params.all("fields").flat_map(|f| f.split(',')).filter(|f| !f.is_empty()).collect();
    let (false, Some(object)) = (wanted.is_empty(), item.as_object()) else { return item.clone() };
    let kept: Map<String, Value> = object
        .iter()
        .filter(|(k, _)| wanted.contains(&k.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    Value::Object(kept)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn matches(item: &Value, params: &Params) -> bool {
    let mut keys: Vec<&str> = params.0.iter().map(|(k, _)| k.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().filter(|k| !NOT_FILTERS.contains(k)).all(|key| matches_key(item, key, params))
        && matches_tags(item, params)
}

fn matches_key(item: &Value, key: &str, params: &Params) -> bool {
    if key == "fixed_ips" {
        return params.all(key).all(|want| matches_fixed_ip(item, want));
    }
    match item.get(key) {
        // An unknown attribute filters nothing, as with Neutron's default configuration.
        None => true,
        Some(Value::Bool(have)) => params
            .all(key)
            .any(|want| matches!(want.to_ascii_lowercase().as_str(), "true" | "1") == *have),
        Some(Value::Array(have)) => {
            params.all(key).any(|want| have.iter().any(|h| plain(h) == want))
        }
        Some(have) => params.all(key).any(|want| plain(have) == want),
    }
}

/// `ip_address=10.0.0.5`, `subnet_id=...` or `ip_address_substr=10.0`.
fn matches_fixed_ip(item: &Value, want: &str) -> bool {
    let Some((key, value)) = want.split_once('=') else { return true };
    let ips = item["fixed_ips"].as_array().map(Vec::as_slice).unwrap_or_default();
    ips.iter().any(|ip| match key {
        "ip_address_substr" => plain(&ip["ip_address"]).contains(value),
        key => plain(&ip[key]) == value,
    })
}

fn matches_tags(item: &Value, params: &Params) -> bool {
    let has = |tag: &str| item["tags"].as_array().is_some_and(|t| t.contains(&json!(tag)));
    let split = |key: &'static str| params.all(key).flat_map(|t| t.split(',')).collect::<Vec<_>>();
    let (all, any, none) = (split("tags"), split("tags-any"), split("not-tags"));
    all.into_iter().all(has)
        && (any.is_empty() || any.into_iter().any(has))
        && (none.is_empty() || !none.into_iter().all(has))
}

fn sort(items: &mut [Value], params: &Params) {
    let keys: Vec<&str> = params.all("sort_key").collect();
    let dirs: Vec<&str> = params.all("sort_dir").collect();
    items.sort_by(|a, b| {
        for (at, key) in keys.iter().enumerate() {
            let order = plain(&a[*key]).cmp(&plain(&b[*key]));
            let order = if dirs.get(at) == Some(&"desc") { order.reverse() } else { order };
            if order.is_ne() {
                return order;
            }
        }
        plain(&a["id"]).cmp(&plain(&b["id"]))
    });
}
