//! Which parameters, body fields and answer fields each end point knows, and since which version: what
//! is newer than the version in the path is refused (parameters, bodies) or left out (answers).

use std::{collections::HashMap, sync::LazyLock};

use serde_json::Value;

/// A level of an object: field -> (first minor version, its own fields).
pub(crate) type Fields = HashMap<String, (u32, Level)>;

/// What lies below one field.
#[derive(Debug, Default)]
pub(crate) struct Level(pub(crate) Fields);

/// One method on one path.
#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    /// First minor version.
    pub since: u32,
    /// Query parameters.
    pub query: HashMap<String, u32>,
    /// Body fields.
    pub body: Level,
    /// Fields of one item of the answer.
    pub answer: Level,
}

static CONTRACT: LazyLock<HashMap<(String, String), Endpoint>> =
    LazyLock::new(|| parse(include_str!("contract.txt")));

/// The end point of `path` (without `/api/2.X`), whatever the version.
pub(crate) fn endpoint(method: &str, path: &str) -> Option<&'static Endpoint> {
    CONTRACT.get(&(method.to_owned(), path.to_owned()))
}

/// True when any method is known on the path in that minor version.
pub(crate) fn path_exists(path: &str, minor: u32) -> bool {
    CONTRACT.iter().any(|((_, p), e)| p == path && e.since <= minor)
}

impl Level {
    /// Removes what `minor` does not know, and nulls except where a null is part of the answer.
    pub(crate) fn prune(&self, value: &mut Value, minor: u32) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|v| self.prune(v, minor)),
            Value::Object(map) => map.retain(|key, v| match self.0.get(key) {
                Some((since, below)) if *since <= minor => {
                    if !below.0.is_empty() {
                        below.prune(v, minor);
                    }
                    !v.is_null() || NULLS.contains(&key.as_str())
                }
                _ => false,
            }),
            _ => {}
        }
    }

    /// The first field that `minor` does not know, with its path.
    pub(crate) fn unknown(&self, value: &Value, minor: u32) -> Option<String> {
        match value {
            Value::Array(items) => items.iter().find_map(|v| self.unknown(v, minor)),
            Value::Object(map) => map.iter().find_map(|(key, v)| match self.0.get(key) {
                Some((since, below)) if *since <= minor => {
                    if below.0.is_empty() { None } else { below.unknown(v, minor) }
                        .map(|rest| format!("{key}.{rest}"))
                }
                _ => Some(key.clone()),
            }),
            _ => None,
        }
    }
}

/// Fields whose null says something ("not yet"); other nulls are left out.
const NULLS: [&str; 3] = ["completed", "started", "progress"];

fn parse(text: &str) -> HashMap<(String, String), Endpoint> {
    let mut all = HashMap::new();
    let mut key = (String::new(), String::new());
    for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        if !matches!(first, "?" | "<" | ">") {
            let (path, since) = rest.split_once(' ').unwrap_or((rest, "0"));
            key = (first.to_owned(), path.to_owned());
            let since = since.parse().unwrap_or(0);
            all.insert(key.clone(), Endpoint { since, ..Endpoint::default() });
            continue;
        }
        let Some(endpoint) = all.get_mut(&key) else { continue };
        let fields = level(&mut rest.chars().peekable());
        match first {
            "?" => endpoint.query = fields.0.into_iter().map(|(k, (s, _))| (k, s)).collect(),
            "<" => endpoint.body = fields,
            _ => endpoint.answer = fields,
        }
    }
    all
}

fn level(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Level {
    let mut fields = Fields::new();
    let mut word = String::new();
    let flush = |word: &mut String, below: Level, fields: &mut Fields| {
        if !word.is_empty() {
            let (name, since) = word.split_once('@').unwrap_or((word, "0"));
            fields.insert(name.to_owned(), (since.parse().unwrap_or(0), below));
            word.clear();
        }
    };
    while let Some(c) = chars.next() {
        match c {
            ' ' => flush(&mut word, Level::default(), &mut fields),
            '{' => {
                let below = level(chars);
                flush(&mut word, below, &mut fields);
            }
            '}' => break,
            c => word.push(c),
        }
    }
    flush(&mut word, Level::default(), &mut fields);
    Level(fields)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn knows_when_parameters_and_fields_came() {
        let post = endpoint("POST", "/volumes").unwrap();
        assert_eq!(post.query["with_default_protection"], 16);
        let get = endpoint("GET", "/protection-groups").unwrap();
        let mut group = json!({"id": "1", "name": "g", "space": {"total_used": 1, "shared": 1}});
        get.answer.prune(&mut group, 25);
        assert_eq!(group["id"], Value::Null);
        assert_eq!(group["name"], "g");
        let mut group = json!({"id": "1", "name": "g", "bogus": 1});
        get.answer.prune(&mut group, 26);
        assert_eq!(group, json!({"id": "1", "name": "g"}));
    }

    #[test]
    fn finds_unknown_body_fields_at_depth() {
        let patch = endpoint("PATCH", "/protection-groups").unwrap();
        let body = json!({"replication_schedule": {"frequency": 1, "speed": 2}});
        assert_eq!(patch.body.unknown(&body, 26).unwrap(), "replication_schedule.speed");
        assert_eq!(
            patch.body.unknown(&json!({"retention_lock": "x"}), 4).unwrap(),
            "retention_lock"
        );
    }
}
