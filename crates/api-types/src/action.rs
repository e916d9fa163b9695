//! `POST .../{pg_id}/action`: exactly one key, and which parameters each key takes, as data.

use std::collections::BTreeMap;

use protector_types::{Action, Code, Reason, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    FieldErrors, Microversion,
    body::{from_value, kind_of, read_value},
};

/// Parameters that the founding document names. Each action takes some of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ActionParamsBody {
    /// Current primary -> target; ids or names.
    pub network_mapping: BTreeMap<String, String>,
    /// Current primary -> target; ids or names.
    pub flavor_mapping: BTreeMap<String, String>,
    /// Bypass the peer check: only for a genuine outage.
    pub force: bool,
    /// Drill: leave the primary running.
    pub retain_primary: bool,
    /// Failback: replicate primary -> secondary again afterwards.
    pub reverse_replication: bool,
}

/// The body as the OpenAPI document shows it; [`read_action`] reads it with better messages.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(min_properties = 1, max_properties = 1)]
pub struct ActionBody {
    /// Planned or (`force`) unplanned failover; with `retain_primary` a drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover: Option<ActionParamsBody>,
    /// Failback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failback: Option<ActionParamsBody>,
    /// Drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_failover: Option<ActionParamsBody>,
    /// Remove what a drill made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_cleanup: Option<ActionParamsBody>,
    /// Group snapshot, shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_volumes: Option<ActionParamsBody>,
    /// Stop the running operation and undo (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel: Option<ActionParamsBody>,
    /// Try again what failed (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<ActionParamsBody>,
    /// Go on without one step (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip: Option<ActionParamsBody>,
    /// Give up the rest (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abandon: Option<ActionParamsBody>,
    /// Accept the current site as primary (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reprotect: Option<ActionParamsBody>,
    /// Drive on what a dead site was driving (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover: Option<ActionParamsBody>,
    /// End a quarantine (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_quarantine: Option<ActionParamsBody>,
    /// Leave `error` (1.3, admin).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_status: Option<ActionParamsBody>,
}

/// What one key takes.
#[derive(Debug, Clone, Copy)]
pub struct ActionParamsRule {
    /// The key.
    pub action: Action,
    /// First version that has it.
    pub since: Microversion,
    /// `force: true` is accepted.
    pub force: bool,
    /// Mappings are accepted.
    pub mappings: bool,
    /// `retain_primary` is accepted.
    pub retain_primary: bool,
    /// `reverse_replication` is accepted.
    pub reverse_replication: bool,
}

const fn rule(action: Action, since: Microversion) -> ActionParamsRule {
    ActionParamsRule {
        action,
        since,
        force: false,
        mappings: false,
        retain_primary: false,
        reverse_replication: false,
    }
}

/// One row per key.
pub const ACTION_PARAMS: &[ActionParamsRule] = &[
    ActionParamsRule {
        force: true,
        mappings: true,
        retain_primary: true,
        ..rule(Action::Failover, Microversion::V1_0)
    },
    ActionParamsRule {
        mappings: true,
        reverse_replication: true,
        ..rule(Action::Failback, Microversion::V1_0)
    },
    ActionParamsRule {
        mappings: true,
        retain_primary: true,
        ..rule(Action::TestFailover, Microversion::V1_0)
    },
    rule(Action::TestCleanup, Microversion::V1_0),
    rule(Action::SyncVolumes, Microversion::V1_0),
    rule(Action::Cancel, Microversion::V1_3),
    rule(Action::Retry, Microversion::V1_3),
    ActionParamsRule { force: true, ..rule(Action::Skip, Microversion::V1_3) },
    rule(Action::Abandon, Microversion::V1_3),
    rule(Action::Reprotect, Microversion::V1_3),
    ActionParamsRule { force: true, ..rule(Action::Takeover, Microversion::V1_3) },
    rule(Action::ReleaseQuarantine, Microversion::V1_3),
    ActionParamsRule { force: true, ..rule(Action::ResetStatus, Microversion::V1_3) },
];

/// A body that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionCall {
    /// The key.
    pub action: Action,
    /// Its parameters.
    pub params: ActionParamsBody,
    /// The body with keys in order and without white space: two bodies that mean the same are equal.
    pub canonical: String,
}

/// Reads and checks the body of an action.
///
/// # Errors
/// A refusal that names keys, fields and reasons.
pub fn read_action(bytes: &[u8], version: Microversion) -> Result<ActionCall, Refusal> {
    let value = read_value(bytes)?;
    let canonical = value.to_string();
    let Value::Object(map) = value else { return Err(one_key(&[], version)) };
    let keys: Vec<String> = map.keys().cloned().collect();
    let mut entries = map.into_iter();
    let (Some((key, params)), None) = (entries.next(), entries.next()) else {
        return Err(one_key(&keys, version));
    };
    let rule = find_rule(&key, version)?;
    let params = read_params(&key, params, rule)?;
    Ok(ActionCall { action: rule.action, params, canonical })
}

fn find_rule(key: &str, version: Microversion) -> Result<&'static ActionParamsRule, Refusal> {
    let rule = ACTION_PARAMS.iter().find(|rule| rule.action.as_str() == key);
    match rule {
        Some(rule) if rule.since <= version => Ok(rule),
        Some(rule) => Err(unknown(
            key,
            format!(
                "the action {key} needs version {}; this request is version {version}. Allowed: {}",
                rule.since,
                allowed(version)
            ),
        )),
        None => {
            Err(unknown(key, format!("there is no action {key:?}. Allowed: {}", allowed(version))))
        }
    }
}

fn read_params(
    key: &str,
    params: Value,
    rule: &ActionParamsRule,
) -> Result<ActionParamsBody, Refusal> {
    let given: Map<String, Value> = match params {
        Value::Object(map) => map,
        other => {
            let mut errors = FieldErrors::default();
            errors.wrong(key, format!("must be an object, not {}", kind_of(&other)));
            errors.finish()?;
            Map::new()
        }
    };
    let fields: Vec<String> = given.keys().cloned().collect();
    let params: ActionParamsBody = from_value(Value::Object(given)).map_err(|mut refusal| {
        for reason in &mut refusal.reasons {
            let field = reason.subject.take();
            reason.subject = Some(field.map_or_else(|| key.to_owned(), |f| format!("{key}.{f}")));
        }
        refusal
    })?;
    let mut errors = FieldErrors::default();
    check_params(key, &params, &fields, rule, &mut errors);
    errors.finish()?;
    Ok(params)
}

fn check_params(
    key: &str,
    params: &ActionParamsBody,
    given: &[String],
    rule: &ActionParamsRule,
    errors: &mut FieldErrors,
) {
    let path = |field: &str| format!("{key}.{field}");
    let is_given = |field: &str| given.iter().any(|name| name == field);
    if params.force && !rule.force {
        errors.wrong(&path("force"), format!("must not be true: {key} cannot be forced"));
    }
    if params.force && params.retain_primary && rule.retain_primary {
        let why = "must not be true together with retain_primary: a drill is never forced";
        errors.wrong(&path("force"), why);
    }
    for (field, accepted) in
        [("retain_primary", rule.retain_primary), ("reverse_replication", rule.reverse_replication)]
    {
        if is_given(field) && !accepted {
            errors.unknown(&path(field), format!("is not a parameter of {key}"));
        }
    }
    for (field, mapping) in
        [("network_mapping", &params.network_mapping), ("flavor_mapping", &params.flavor_mapping)]
    {
        if !rule.mappings && !mapping.is_empty() {
            errors.unknown(&path(field), format!("is not a parameter of {key}"));
        } else {
            errors.mapping(&path(field), mapping);
        }
    }
}

/// The keys that a version has, for messages.
fn allowed(version: Microversion) -> String {
    let keys: Vec<_> = ACTION_PARAMS
        .iter()
        .filter(|rule| rule.since <= version)
        .map(|rule| rule.action.as_str())
        .collect();
    keys.join(", ")
}

fn one_key(keys: &[String], version: Microversion) -> Refusal {
    let got = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
    Refusal::new(
        Code::RequestMalformed,
        format!(
            "The body must have exactly one key that names the action; it has {} ({got}). Allowed: {}",
            keys.len(),
            allowed(version)
        ),
    )
}

fn unknown(key: &str, message: String) -> Refusal {
    let code = Code::RequestUnknownField;
    Refusal {
        code,
        detail: "The request is not valid".into(),
        reasons: vec![Reason { code, subject: Some(key.to_owned()), message }],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_one_row() {
        for &action in Action::ALL {
            assert_eq!(ACTION_PARAMS.iter().filter(|r| r.action == action).count(), 1, "{action}");
        }
    }

    #[test]
    fn force_true_is_refused_wherever_the_table_says_so() {
        for rule in ACTION_PARAMS {
            let key = rule.action.as_str();
            let with = |force: bool| {
                read_action(
                    format!(r#"{{"{key}": {{"force": {force}}}}}"#).as_bytes(),
                    Microversion::MAX,
                )
            };
            assert!(with(false).is_ok(), "{key}");
            assert_eq!(with(true).is_ok(), rule.force, "{key}");
        }
    }

    #[test]
    fn a_forced_drill_is_refused() {
        let body = br#"{"failover": {"force": true, "retain_primary": true}}"#;
        let refusal = read_action(body, Microversion::V1_0).unwrap_err();
        assert_eq!(refusal.reasons[0].subject.as_deref(), Some("failover.force"));
    }

    #[test]
    fn bodies_that_mean_the_same_have_one_canonical_form() {
        let read = |text: &str| read_action(text.as_bytes(), Microversion::V1_0).unwrap().canonical;
        let one = read(r#"{"failover": {"force": false, "flavor_mapping": {"a": "b"}}}"#);
        let other = read(r#"{ "failover":{"flavor_mapping":{"a":"b"},"force":false} }"#);
        assert_eq!(one, other);
    }
}
