//! Security groups as another site needs them: rules with their remote groups by name.

use std::collections::BTreeSet;

use protector_ports::SecurityGroup;
use protector_types::{SecurityGroupRule, SecurityGroupSpec};
use serde_json::Value;

/// Every project has one, and it stays what it is there.
const DEFAULT: &str = "default";

/// The groups with these ids and all that they refer to, by name, without `default`. Pure.
pub(super) fn specs<'a>(
    used: impl Iterator<Item = &'a str>,
    groups: &[SecurityGroup],
) -> Vec<SecurityGroupSpec> {
    let mut wanted: Vec<String> = used.map(str::to_owned).collect();
    let (mut seen, mut specs) = (BTreeSet::new(), Vec::new());
    while let Some(id) = wanted.pop() {
        let Some(group) = groups.iter().find(|g| g.id == id) else { continue };
        if !seen.insert(id) || group.name == DEFAULT {
            continue;
        }
        let text = |rule: &Value, key: &str| rule[key].as_str().map(str::to_owned);
        wanted.extend(group.rules.iter().filter_map(|rule| text(rule, "remote_group_id")));
        specs.push(spec(group, groups));
    }
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    specs
}

fn spec(group: &SecurityGroup, groups: &[SecurityGroup]) -> SecurityGroupSpec {
    let mut spec = SecurityGroupSpec {
        name: group.name.clone(),
        description: group.description.clone(),
        ..SecurityGroupSpec::default()
    };
    for rule in &group.rules {
        match portable(rule, groups) {
            Ok(rule) => spec.rules.push(rule),
            Err(why) => spec.not_portable.push(why),
        }
    }
    spec.rules.sort();
    spec
}

/// The rule without ids of this site; or why it means nothing elsewhere.
fn portable(rule: &Value, groups: &[SecurityGroup]) -> Result<SecurityGroupRule, String> {
    let text = |key: &str| rule[key].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let what = format!(
        "{} {}",
        text("direction").unwrap_or_default(),
        text("protocol").unwrap_or_else(|| "any".into())
    );
    if let Some(id) = text("remote_address_group_id") {
        return Err(format!("{what}: refers to the address group {id}"));
    }
    let remote_group = match text("remote_group_id") {
        None => None,
        Some(id) => match groups.iter().find(|g| g.id == id) {
            Some(group) => Some(group.name.clone()),
            None => return Err(format!("{what}: refers to the group {id} of another project")),
        },
    };
    Ok(SecurityGroupRule {
        direction: text("direction").unwrap_or_default(),
        ethertype: text("ethertype").unwrap_or_default(),
        protocol: text("protocol"),
        port_range_min: rule["port_range_min"].as_i64(),
        port_range_max: rule["port_range_max"].as_i64(),
        remote_ip_prefix: text("remote_ip_prefix"),
        remote_group,
        description: text("description").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group(id: &str, name: &str, rules: Vec<Value>) -> SecurityGroup {
        SecurityGroup { id: id.into(), name: name.into(), description: String::new(), rules }
    }

    fn from(remote: &str) -> Value {
        json!({"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 80,
               "port_range_max": 80, "remote_group_id": remote})
    }

    #[test]
    fn groups_come_with_those_they_refer_to_and_never_the_default() {
        let groups = [
            group("1", "web", vec![from("1"), from("2"), from("0")]),
            group("2", "db", vec![from("1"), from("foreign")]),
            group("3", "unused", vec![]),
            group("0", "default", vec![from("3")]),
        ];
        let specs = specs(["1", "0"].into_iter(), &groups);
        let names: Vec<_> = specs.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["db", "web"]);
        let remotes: Vec<_> =
            specs[1].rules.iter().map(|r| r.remote_group.clone().unwrap()).collect();
        assert_eq!(remotes, ["db", "default", "web"]);
        assert_eq!(specs[0].rules.len(), 1);
        assert!(specs[0].not_portable[0].contains("another project"), "{specs:?}");
    }
}
