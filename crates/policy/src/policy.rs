//! All rules of one moment.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml_ng::Value;

use crate::{
    check::Check,
    credentials::{Credentials, Target},
    error::{Denied, PolicyError, Warning},
    parse::{parse, parse_value},
    registry::{Rule, registered},
};

/// The registered defaults and what the operator put over them. Sound as a whole: every reference
/// resolves, no rule refers to itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    rules: BTreeMap<String, Check>,
    warnings: Vec<Warning>,
}

impl Policy {
    /// The defaults alone.
    ///
    /// # Errors
    /// Never for a released version: a test parses every default.
    pub fn defaults() -> Result<Self, PolicyError> {
        Self::with_overrides("")
    }

    /// The defaults, with the rules of a `policy.yaml` over them. An empty text is no override.
    ///
    /// # Errors
    /// [`PolicyError`]: not YAML, a check that does not parse, a reference to nothing, a circle.
    pub fn with_overrides(yaml: &str) -> Result<Self, PolicyError> {
        let mut rules = BTreeMap::new();
        for rule in registered() {
            rules.insert(rule.name.to_owned(), parse(rule.name, rule.check)?);
        }
        let overrides = read_yaml(yaml)?;
        let names: Vec<_> = overrides.keys().cloned().collect();
        rules.extend(overrides);
        resolve(&rules)?;
        let warnings = unused(&rules, &names);
        Ok(Self { rules, warnings })
    }

    /// Names in the file that have no effect.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The check of a rule, registered or the operator's own.
    pub fn get(&self, name: &str) -> Option<&Check> {
        self.rules.get(name)
    }

    /// Asks a permission.
    pub fn allows(&self, rule: Rule, caller: &Credentials, target: &Target) -> bool {
        self.allows_named(rule.name(), caller, target)
    }

    /// Asks a rule by name; a name that is not there is *no*.
    pub fn allows_named(&self, rule: &str, caller: &Credentials, target: &Target) -> bool {
        self.get(rule).is_some_and(|check| check.allows(self, caller, target))
    }

    /// Asks a permission, with an error that names the rule.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn enforce(&self, rule: Rule, caller: &Credentials, target: &Target) -> Result<(), Denied> {
        match self.allows(rule, caller, target) {
            true => Ok(()),
            false => Err(Denied { rule: rule.name().to_owned() }),
        }
    }
}

fn read_yaml(yaml: &str) -> Result<BTreeMap<String, Check>, PolicyError> {
    let not_a_mapping = |reason: String| PolicyError::NotAMapping { reason };
    // A text of comments only is no document at all.
    let value = match serde_yaml_ng::from_str::<Value>(yaml) {
        Ok(value) => value,
        Err(_) if yaml.lines().all(|l| l.trim().is_empty() || l.trim().starts_with('#')) => {
            Value::Null
        }
        Err(error) => return Err(not_a_mapping(error.to_string())),
    };
    match value {
        Value::Null => Ok(BTreeMap::new()),
        Value::Mapping(entries) => entries
            .iter()
            .map(|(name, value)| match name {
                Value::String(name) => Ok((name.clone(), parse_value(name, value)?)),
                other => Err(not_a_mapping(format!("{other:?} is not a rule's name"))),
            })
            .collect(),
        _ => Err(not_a_mapping("its top is not a mapping".into())),
    }
}

/// Every reference leads somewhere and none leads back.
fn resolve(rules: &BTreeMap<String, Check>) -> Result<(), PolicyError> {
    let mut done = BTreeSet::new();
    for name in rules.keys() {
        walk(rules, name, &mut Vec::new(), &mut done)?;
    }
    Ok(())
}

fn walk<'a>(
    rules: &'a BTreeMap<String, Check>,
    name: &'a str,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Result<(), PolicyError> {
    if let Some(start) = path.iter().position(|seen| *seen == name) {
        let circle = path[start..].iter().chain([&name]).map(|n| (*n).to_owned()).collect();
        return Err(PolicyError::Cycle { path: circle });
    }
    if done.contains(name) {
        return Ok(());
    }
    let Some(check) = rules.get(name) else {
        let rule = path.last().copied().unwrap_or_default().to_owned();
        return Err(PolicyError::UnknownReference { rule, missing: name.to_owned() });
    };
    path.push(name);
    for reference in check.references() {
        walk(rules, reference, path, done)?;
    }
    path.pop();
    done.insert(name);
    Ok(())
}

/// Names of the file that no registered rule is and no rule refers to.
fn unused(rules: &BTreeMap<String, Check>, names: &[String]) -> Vec<Warning> {
    let referenced: BTreeSet<&str> = rules.values().flat_map(Check::references).collect();
    names
        .iter()
        .filter(|name| !registered().iter().any(|rule| rule.name == name.as_str()))
        .filter(|name| !referenced.contains(name.as_str()))
        .map(|name| Warning { rule: name.clone(), did_you_mean: nearest(name) })
        .collect()
}

/// The registered name that takes the fewest edits, if it is near enough to be meant.
fn nearest(name: &str) -> Option<&'static str> {
    registered()
        .iter()
        .map(|rule| (distance(name, rule.name), rule.name))
        .filter(|(edits, _)| *edits <= name.chars().count() / 4 + 1)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use protector_types::{ProjectId, UserId};

    use super::*;

    fn caller(project: &str, roles: &[&str]) -> Credentials {
        Credentials::new(&UserId::from("u1"), &ProjectId::from(project), roles.iter().copied())
    }

    fn asks(yaml: &str, caller: &Credentials, target: &Target) -> bool {
        Policy::with_overrides(yaml).unwrap().allows_named("x", caller, target)
    }

    #[test]
    fn checks_are_decided_as_oslo_policy_does() {
        let target = Target::project(&ProjectId::from("p1")).with("kind", "drill").with("count", 3);
        let target = target.with("owner", serde_json::Value::Null).with("open", true);
        let me = caller("p1", &["Member"])
            .with("token", serde_json::json!({"catalog": [{"type": "nfv"}, {"type": "dr"}]}));
        for yes in [
            "role:member",
            "role:MEMBER",
            "project_id:%(project_id)s",
            "user_id:u1",
            "'drill':%(kind)s",
            "\\\"drill\\\":%(kind)s",
            "3:%(count)s",
            "None:%(owner)s",
            "True:%(open)s",
            "is_admin:False",
            "token.catalog.type:dr",
            "not role:admin",
            "roles:Member",
            "",
            "role:admin or role:member and not (user_id:u2 or !)",
        ] {
            assert!(asks(&format!("x: \"{yes}\""), &me, &target), "{yes}");
        }
        for no in [
            "role:admin",
            "project_id:p2",
            "user_id:%(nothing)s",
            "role:%(nothing)s",
            "'x':%(kind)s",
            "nothing:x",
            "token.catalog:dr",
            "token.nothing.type:dr",
            "roles:member",
            "not @",
            "role:member and role:admin",
        ] {
            assert!(!asks(&format!("x: \"{no}\""), &me, &target), "{no}");
        }
        assert!(!Policy::defaults().unwrap().allows_named("nowhere", &me, &target));
    }

    #[test]
    fn a_rule_in_a_circle_or_in_the_air_is_refused_at_load() {
        let circle = Policy::with_overrides("a: \"rule:b\"\nb: \"not rule:c\"\nc: \"@ or rule:a\"");
        let path = ["a", "b", "c", "a"].map(str::to_owned).to_vec();
        assert_eq!(circle.unwrap_err(), PolicyError::Cycle { path });
        let itself =
            Policy::with_overrides("\"protector:sites:index\": \"rule:protector:sites:index\"");
        assert!(matches!(itself.unwrap_err(), PolicyError::Cycle { .. }));
        let air = Policy::with_overrides("a: \"role:x or rule:nowhere\"").unwrap_err();
        let (rule, missing) = ("a".to_owned(), "nowhere".to_owned());
        assert_eq!(air, PolicyError::UnknownReference { rule, missing });
    }

    #[test]
    fn a_file_that_is_no_mapping_is_refused() {
        for wrong in ["- a", "a: [", "3: \"@\"", "just text", "a: \"@\"\na: \"!\""] {
            assert!(Policy::with_overrides(wrong).is_err(), "{wrong}");
        }
        for nothing in ["", "# only a comment\n", "---\n", "{}"] {
            assert_eq!(
                Policy::with_overrides(nothing).unwrap(),
                Policy::defaults().unwrap(),
                "{nothing:?}"
            );
        }
    }

    #[test]
    fn names_without_effect_are_warned_of() {
        let yaml = "\"protector:site:index\": \"!\"\nhelper: \"role:ops\"\n\
                    \"protector:sites:index\": \"rule:helper\"\nzzz: \"@\"";
        let policy = Policy::with_overrides(yaml).unwrap();
        let seen: Vec<_> =
            policy.warnings().iter().map(|w| (w.rule.as_str(), w.did_you_mean)).collect();
        assert_eq!(seen, [("protector:site:index", Some("protector:sites:index")), ("zzz", None)]);
        assert!(policy.warnings()[0].to_string().contains("did you mean"));
        assert!(policy.allows(Rule::SitesIndex, &caller("p", &["ops"]), &Target::default()));
        assert!(!policy.allows(Rule::SitesIndex, &caller("p", &["admin"]), &Target::default()));
    }

    #[test]
    fn a_denial_names_the_rule() {
        let policy = Policy::defaults().unwrap();
        let denied =
            policy.enforce(Rule::SitesCreate, &caller("p", &["member"]), &Target::default());
        assert!(denied.unwrap_err().to_string().contains("protector:sites:create"));
    }
}
