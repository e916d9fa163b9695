//! What an operation leaves on purpose when it is taken back, or when a step of it failed and the rest went on: each by
//! a decision of the product, so that everything else that is left is a leak.

use std::collections::BTreeSet;

use protector_types::{DomainEffect, KeptThing};
use protector_workflow::Plan;
use serde_json::{Value, json};

use super::canon::{Canon, PLACED};

/// What a rollback does not put back.
pub struct Leaves<'a> {
    /// The group's own protection group on the array, if the operation sets it up: its copies and its transfers so far
    /// are worth something to whoever tries again. Its schedule must be as it was.
    own_group: Option<&'a str>,
    /// Cinder volumes that the operation may remove to make room: an older copy is not missed.
    superseded: Vec<&'a str>,
    /// Names of the copies that are booked: what a server wrote before it was undone. One that is not is a leak.
    booked: BTreeSet<&'a str>,
    /// Ports that are unplugged from a server, as (MAC, server): one that Nova made goes with its interface, and only
    /// another one with the same addresses can take its place. Nova then takes it for one that was passed in.
    unplugged: Vec<(&'a str, &'a str)>,
}

impl<'a> Leaves<'a> {
    /// Of a plan that had these effects.
    pub fn of(plan: &'a Plan, effects: &'a [DomainEffect]) -> Self {
        let inputs = |kind: &'static str| {
            plan.steps.iter().filter(move |step| step.kind == kind).map(|step| &step.input)
        };
        let mut booked = BTreeSet::new();
        for effect in effects {
            let DomainEffect::Kept { copies, .. } = effect else { continue };
            booked.extend(copies.iter().filter_map(|copy| match &copy.thing {
                KeptThing::ArrayVolume { name, .. } => Some(name.as_str()),
                KeptThing::ArraySnapshot { .. } | KeptThing::CinderVolume { .. } => None,
            }));
        }
        let copies = inputs("remove_kept").map(|input| &input["copy"]["thing"]);
        Self {
            own_group: inputs("ensure_group").find_map(|input| input["spec"]["name"].as_str()),
            superseded: copies.filter_map(volume_of).collect(),
            booked,
            unplugged: inputs("free_port")
                .filter_map(|input| {
                    Some((input["port"]["mac_address"].as_str()?, input["server_id"].as_str()?))
                })
                .collect(),
        }
    }

    /// A line that may be there although it was not.
    pub fn allows(&self, section: &str, line: &str) -> bool {
        let array = section.starts_with("array");
        section.ends_with("keypairs")
            || (array && (section.ends_with("snapshots") || self.is_booked(line)))
    }

    /// About a copy that is booked.
    pub fn is_booked(&self, line: &str) -> bool {
        self.booked.iter().any(|name| line.contains(&format!("\"{name}\"")))
    }

    /// Without what is not put back.
    pub fn without_lost(&self, canon: &Canon) -> Canon {
        if self.own_group.is_none() && self.superseded.is_empty() && self.unplugged.is_empty() {
            return canon.clone();
        }
        canon.mapped(|section, line| {
            let mut value: Value = serde_json::from_str(line).unwrap_or_default();
            self.replug(section, &mut value);
            self.drop_from_lists(&mut value);
            let name = value["name"].as_str().unwrap_or_default().to_owned();
            if section.ends_with(" groups") && self.is_own_group(&name) {
                let on = value["replication_schedule"]["enabled"] == true;
                return on.then(|| json!({"name": name, "schedule": "on"}).to_string());
            }
            // Its own content was put back from its own snapshot: the array notes that, what it holds is compared.
            if section.ends_with(" volumes") && value["source"]["name"] == value["name"] {
                value["source"] = json!({});
            }
            let line = value.to_string();
            (!self.superseded.iter().any(|id| line.contains(id))).then_some(line)
        })
    }

    /// The port by its MAC instead of its id; everything else about it, and how many the server has, is compared.
    fn replug(&self, section: &str, value: &mut Value) {
        for (mac, server) in &self.unplugged {
            let is_port = section.ends_with("network ports") && value["mac_address"] == *mac;
            if is_port && value["device_id"] == *server {
                value["id"] = json!(mac);
                without_places(value);
            }
            if section.ends_with("compute servers") && value["id"] == *server {
                for nic in value["nics"].as_array_mut().into_iter().flatten() {
                    *nic = json!("a port");
                }
                without_places(value);
            }
        }
    }

    fn is_own_group(&self, name: &str) -> bool {
        // The other array calls it `array:name`.
        self.own_group.is_some_and(|own| name.rsplit(':').next() == Some(own))
    }

    fn drop_from_lists(&self, value: &mut Value) {
        match value {
            Value::Array(items) => {
                items.retain(|item| {
                    let text = item.as_str().unwrap_or_default();
                    !self.is_own_group(text) && !self.superseded.iter().any(|id| text.contains(id))
                });
                items.iter_mut().for_each(|item| self.drop_from_lists(item));
            }
            Value::Object(map) => map.values_mut().for_each(|item| self.drop_from_lists(item)),
            _ => {}
        }
    }
}

/// Without what a scheduler chose: it is not compared of a thing that is new or refers to one.
fn without_places(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !PLACED.contains(&key.as_str()));
            map.values_mut().for_each(without_places);
        }
        Value::Array(items) => items.iter_mut().for_each(without_places),
        _ => {}
    }
}

/// The Cinder volume of a kept thing.
pub fn volume_of(thing: &Value) -> Option<&str> {
    thing["volume_id"]
        .as_str()
        .or_else(|| thing.as_object()?.values().next()?["volume_id"].as_str())
}

/// Sections whose number of things may be another one after a warned failure of this kind of step, each for one reason.
pub fn spared(kind: &str) -> &'static [&'static str] {
    match kind {
        // The source stays connected, or it was not asked how it is connected.
        "record_connections" | "disconnect_volumes" => &["array-a connections"],
        // An older point is taken.
        "snapshot_group" | "await_replication" => &[
            "array-a snapshots",
            "array-a group_snapshots",
            "array-b snapshots",
            "array-b group_snapshots",
        ],
        // The new direction lacks volumes, and its first snapshot lacks their copies.
        "ensure_group" => &["array-a snapshots", "array-b snapshots"],
        // What is superseded stays, with its ports and its hold on its volumes, until somebody removes it.
        "retire_server" => &[
            "site-a compute servers",
            "site-a network ports",
            "site-a volume attachments",
            "site-b compute servers",
            "site-b network ports",
            "site-b volume attachments",
        ],
        "delete_port" => &["site-b network ports"],
        // The server does without.
        "import_keypair" => &["site-b compute keypairs"],
        "create_server_group" => &["site-b compute server_groups"],
        _ => &[],
    }
}
