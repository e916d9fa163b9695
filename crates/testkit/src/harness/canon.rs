//! The simulators' dump in a form that can be compared between plays: generated ids are replaced by what they stand
//! for, what depends on chance or on the time of day is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::Value;

/// Depend on when or in which order things happened, wherever they stand.
const VOLATILE: [&str; 23] = [
    "now",
    "created",
    "created_at",
    "updated_at",
    "revision_number",
    "launched_at",
    "serial",
    "started",
    "completed",
    "progress",
    "time_remaining",
    "space",
    "fault",
    "next",
    "service_uuid",
    "mac_address_pool",
    "stamps",
    "volume_count",
    "point_at",
    "fenced_at",
    "kept_at",
    "expires_at",
    "array_volume_id",
];
/// Chosen by a scheduler: left out of what is new.
pub const PLACED: [&str; 7] = [
    "host",
    "attached_host",
    "array_host",
    "lun",
    "binding:host_id",
    "attachment_id",
    "provider:segmentation_id",
];
/// Lists that say nothing of the operation: made by a scheduler or a schedule.
const SKIPPED: [&str; 2] = ["hosts", "host_groups"];
/// Of these only what carries the operation's marker counts: schedules make others.
const MARKED_ONLY: [&str; 2] = ["snapshots", "group_snapshots"];
/// Rounds in which what an object refers to becomes a part of its label.
const ROUNDS: usize = 4;

/// One thing in a cloud or on an array.
#[derive(Debug, Clone)]
struct Object {
    section: String,
    value: Value,
    id: Option<String>,
}

/// What both clouds and arrays hold: sections such as `site-b compute servers`, each thing as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canon {
    /// Sorted lines per section.
    pub sections: BTreeMap<String, Vec<String>>,
}

/// What makes dumps of one operation comparable.
pub struct Reading {
    /// Ids that were there before.
    known: BTreeSet<String>,
    /// Text in all markers of the operation.
    marker: String,
}

impl Reading {
    /// Against the world before, for the operation with this marker.
    pub fn new(before: &Value, marker: &str) -> Self {
        let text = before.to_string();
        Self { known: uuids(&text).map(str::to_owned).collect(), marker: marker.to_owned() }
    }

    /// The dump in comparable form.
    pub fn canon(&self, dump: &Value) -> Canon {
        let mut objects = self.objects(dump);
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for _ in 0..ROUNDS {
            let mut next = BTreeMap::new();
            for object in &objects {
                let Some(id) = object.id.as_ref().filter(|id| !self.known.contains(*id)) else {
                    continue;
                };
                let text = self.replaced(&object.value, &labels, Some(id));
                next.insert(id.clone(), label(object, &text));
            }
            labels = next;
        }
        let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for object in objects.drain(..) {
            let line = self.replaced(&object.value, &labels, None);
            sections.entry(object.section).or_default().push(line);
        }
        sections.values_mut().for_each(|lines| lines.sort());
        Canon { sections }
    }

    /// Any JSON with ids in it, for instance domain changes: new ids become `<new>`.
    pub fn plain(&self, value: &impl serde::Serialize) -> String {
        let mut value = serde_json::to_value(value).unwrap_or_default();
        strip(&mut value, true);
        self.replaced(&value, &BTreeMap::new(), None)
    }

    /// Things that live and carry the operation's marker.
    pub fn marked(&self, dump: &Value) -> Vec<String> {
        let objects = self.objects(dump);
        let kept = |o: &Object| MARKED_ONLY.iter().any(|s| o.section.ends_with(s));
        objects
            .into_iter()
            .filter(|o| !kept(o) && o.value.to_string().contains(&self.marker))
            .map(|o| format!("{}: {}", o.section, o.value))
            .collect()
    }

    fn objects(&self, dump: &Value) -> Vec<Object> {
        let mut objects = Vec::new();
        for (cloud, services) in entries(&dump["clouds"]) {
            for (service, lists) in entries(services) {
                if service == "identity" {
                    continue;
                }
                for (list, items) in entries(lists) {
                    self.take(&format!("{cloud} {service} {list}"), items, &mut objects);
                }
            }
        }
        for (array, lists) in entries(&dump["arrays"]) {
            let groups = without_destroyed(lists);
            for (list, items) in entries(lists).filter(|(list, _)| !SKIPPED.contains(list)) {
                let items = if list == "groups" { &groups } else { items };
                self.take(&format!("{array} {list}"), items, &mut objects);
            }
        }
        objects
    }

    fn take(&self, section: &str, items: &Value, objects: &mut Vec<Object>) {
        let items: Vec<&Value> = match items {
            Value::Array(items) => items.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => return,
        };
        let marked_only =
            section.contains("array") && MARKED_ONLY.iter().any(|s| section.ends_with(s));
        for value in items.into_iter().filter(|v| v.is_object()) {
            let name = value["name"].as_str().unwrap_or_default();
            if marked_only && !name.contains(&self.marker) {
                continue;
            }
            let id = value["id"].as_str().map(str::to_owned);
            let is_new = |text: &str| uuids(text).any(|id| !self.known.contains(id));
            let new = is_new(&value.to_string());
            // Recoverable for a day, by the array's own rule: what an undo leaves on purpose.
            if new && value["destroyed"] == true {
                continue;
            }
            let mut value = value.clone();
            strip(&mut value, new);
            objects.push(Object { section: section.to_owned(), value, id });
        }
    }

    fn replaced(
        &self,
        value: &Value,
        labels: &BTreeMap<String, String>,
        own: Option<&String>,
    ) -> String {
        let mut value = value.clone();
        self.replace(&mut value, &|id: &str| match labels.get(id) {
            _ if own.is_some_and(|own| own == id) => "<self>".to_owned(),
            Some(label) => label.clone(),
            None => "<new>".to_owned(),
        });
        value.to_string()
    }

    /// Replaces new ids, in keys too, and sorts lists of texts: their order was that of the ids.
    fn replace(&self, value: &mut Value, name: &dyn Fn(&str) -> String) {
        match value {
            Value::String(text) => *text = self.replaced_text(text, name),
            Value::Array(items) => {
                items.iter_mut().for_each(|item| self.replace(item, name));
                if items.iter().all(Value::is_string) {
                    items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                }
            }
            Value::Object(map) => {
                let old = std::mem::take(map);
                for (key, mut item) in old {
                    self.replace(&mut item, name);
                    map.insert(self.replaced_text(&key, name), item);
                }
            }
            _ => {}
        }
    }

    fn replaced_text(&self, text: &str, name: &dyn Fn(&str) -> String) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for id in uuids(text).filter(|id| !self.known.contains(*id)) {
            // Slices of `text`: their place is their distance from its begin.
            let at = id.as_ptr() as usize - text.as_ptr() as usize;
            out.push_str(&text[from..at]);
            out.push_str(&name(id));
            from = at + id.len();
        }
        out.push_str(&text[from..]);
        out
    }
}

impl Canon {
    /// Lines that only one of both has, `-` here, `+` there, but for those that `allowed` lets pass there.
    pub fn differences(&self, there: &Canon, allowed: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let names: BTreeSet<&String> = self.sections.keys().chain(there.sections.keys()).collect();
        let mut out = Vec::new();
        for name in names {
            let lines = |c: &Canon| c.sections.get(name).cloned().unwrap_or_default();
            let (mut missing, mut extra) = (lines(self), Vec::new());
            for line in lines(there) {
                match missing.iter().position(|m| *m == line) {
                    Some(at) => drop(missing.remove(at)),
                    None if allowed(name, &line) => {}
                    None => extra.push(line),
                }
            }
            out.extend(missing.into_iter().map(|line| format!("- {name}: {line}")));
            out.extend(extra.into_iter().map(|line| format!("+ {name}: {line}")));
        }
        out
    }

    /// Each line as `change` gives it; without those for which it gives none.
    #[must_use]
    pub fn mapped(&self, change: impl Fn(&str, &str) -> Option<String>) -> Self {
        let changed = |(name, lines): (&String, &Vec<String>)| {
            let mut lines: Vec<_> = lines.iter().filter_map(|line| change(name, line)).collect();
            lines.sort();
            (name.clone(), lines)
        };
        let sections = self.sections.iter().map(changed);
        Self { sections: sections.filter(|(_, lines)| !lines.is_empty()).collect() }
    }

    /// How many things each section has.
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        self.sections.iter().map(|(name, lines)| (name.as_str(), lines.len())).collect()
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// The array's groups without members that are destroyed: an array lists them until they are eradicated.
fn without_destroyed(lists: &Value) -> Value {
    let destroyed =
        |name: &Value| lists["volumes"][name.as_str().unwrap_or_default()]["destroyed"] == true;
    let mut groups = lists["groups"].clone();
    for group in groups.as_object_mut().into_iter().flat_map(|groups| groups.values_mut()) {
        if let Some(members) = group["volumes"].as_array_mut() {
            members.retain(|name| !destroyed(name));
        }
    }
    groups
}

/// A readable name that is the same for the same thing in every play.
fn label(object: &Object, text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (&object.section, text).hash(&mut hasher);
    let kind = object.section.rsplit(' ').next().unwrap_or_default();
    let name = object.value["name"].as_str().filter(|n| uuids(n).next().is_none());
    format!("<{} {}~{:04x}>", kind, name.unwrap_or_default(), hasher.finish() & 0xffff)
}

fn strip(value: &mut Value, new: bool) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| {
                let dropped = VOLATILE.contains(&key.as_str());
                !(dropped || new && PLACED.contains(&key.as_str()))
            });
            map.values_mut().for_each(|v| strip(v, new));
        }
        Value::Array(items) => items.iter_mut().for_each(|v| strip(v, new)),
        _ => {}
    }
}

/// Every UUID in a text, as slices of it.
fn uuids(text: &str) -> impl Iterator<Item = &str> {
    const LENGTH: usize = 36;
    let bytes = text.as_bytes();
    let is_uuid = move |at: usize| {
        bytes[at..at + LENGTH].iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        while at + LENGTH <= bytes.len() {
            if bytes[at + 8] == b'-' && is_uuid(at) {
                let found = &text[at..at + LENGTH];
                at += LENGTH;
                return Some(found);
            }
            at += 1;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    const A: &str = "00000000-0000-4000-8000-00000000000a";
    const B: &str = "00000000-0000-4000-8000-00000000000b";
    const C: &str = "00000000-0000-4000-8000-00000000000c";

    fn dump(server: &str, volume: &str) -> Value {
        json!({"clouds": {"site-a": {"compute": {"servers": [
            {"id": server, "name": "web", "disks": [{"volume_id": volume}], "updated_at": server},
        ]}, "volume": {"volumes": [
            {"id": volume, "name": "root", "array_name": format!("volume-{volume}-cinder")},
        ]}}}, "arrays": {}})
    }

    #[test]
    fn other_ids_are_the_same_thing_and_other_references_are_not() {
        let before = json!({"clouds": {}, "arrays": {}});
        let reading = Reading::new(&before, "ptr-1");
        let one = reading.canon(&dump(A, B));
        assert_eq!(one, reading.canon(&dump(C, A)));
        let mut other = dump(A, B);
        other["clouds"]["site-a"]["compute"]["servers"][0]["disks"] = json!([]);
        let differences = one.differences(&reading.canon(&other), |_, _| false);
        assert_eq!(differences.len(), 2, "{differences:?}");
    }

    #[test]
    fn a_second_one_shows_and_what_was_there_keeps_its_id() {
        let before = dump(A, B);
        let reading = Reading::new(&before, "ptr-1");
        let mut after = before.clone();
        let servers = after["clouds"]["site-a"]["compute"]["servers"].as_array_mut().unwrap();
        servers.push(json!({"id": C, "name": "web", "tags": ["ptr-1-m0.create"]}));
        let differences = reading.canon(&before).differences(&reading.canon(&after), |_, _| false);
        assert_eq!(differences.len(), 1, "{differences:?}");
        assert_eq!(reading.marked(&after).len(), 1);
        assert!(reading.canon(&before).sections["site-a volume volumes"][0].contains(B));
    }
}
