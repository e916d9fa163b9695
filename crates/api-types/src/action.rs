//! `POST .../{pg_id}/action`: exactly one key, and which parameters each key takes, as data.

use std::collections::BTreeMap;

use protector_types::{Action, Code, GroupStatus, OperationId, Reason, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    FieldErrors, Microversion,
    body::{from_value, kind_of, read_value},
};

/// Parameters of actions. Each action takes some of them, each in its versions: [`PARAMS`].
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
    /// Forced failover or drill: this group-consistent point, by name (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<String>,
    /// Forced failover: leave out members whose mappings do not resolve (1.3).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_partial: bool,
    /// Run exactly the plan with this hash, or nothing (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// Drill: keep addresses and MACs also on mapped networks (1.3).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub preserve_addresses: bool,
    /// Which operation; left out: the one that holds the group, or its last one (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<OperationId>,
    /// Which step (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Why (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// To which status; left out: the one that is proven (1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<GroupStatus>,
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

/// A key, and the first version that has it.
#[derive(Debug, Clone, Copy)]
pub struct ActionSince {
    /// The key.
    pub action: Action,
    /// First version that has it.
    pub since: Microversion,
}

const fn key(action: Action, since: Microversion) -> ActionSince {
    ActionSince { action, since }
}

/// One row per key.
pub const ACTIONS: &[ActionSince] = &[
    key(Action::Failover, Microversion::V1_0),
    key(Action::Failback, Microversion::V1_0),
    key(Action::TestFailover, Microversion::V1_0),
    key(Action::TestCleanup, Microversion::V1_0),
    key(Action::SyncVolumes, Microversion::V1_0),
    key(Action::Cancel, Microversion::V1_3),
    key(Action::Retry, Microversion::V1_3),
    key(Action::Skip, Microversion::V1_3),
    key(Action::Abandon, Microversion::V1_3),
    key(Action::Reprotect, Microversion::V1_3),
    key(Action::Takeover, Microversion::V1_3),
    key(Action::ReleaseQuarantine, Microversion::V1_3),
    key(Action::ResetStatus, Microversion::V1_3),
];

/// Who takes a parameter, and what a value that says nothing means elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct ParamRule {
    /// The parameter.
    pub name: &'static str,
    /// First version that has it.
    pub since: Microversion,
    /// The actions that take it.
    pub actions: &'static [Action],
    /// With its default (`false`, `{}`) it is accepted of every action: the founding document's examples send it so.
    pub default_anywhere: bool,
    /// Of these actions it must be given.
    pub needed_by: &'static [Action],
}

const fn param(name: &'static str, since: Microversion, actions: &'static [Action]) -> ParamRule {
    ParamRule { name, since, actions, default_anywhere: false, needed_by: &[] }
}

/// Actions that are planned.
const PLANNED: &[Action] = &[
    Action::Failover,
    Action::Failback,
    Action::TestFailover,
    Action::TestCleanup,
    Action::SyncVolumes,
    Action::Reprotect,
    Action::Retry,
];
const MAPPED: &[Action] = &[Action::Failover, Action::Failback, Action::TestFailover];

/// One row per parameter: the tables of actions, parameters and versions in one.
pub const PARAMS: &[ParamRule] = &[
    ParamRule { default_anywhere: true, ..param("network_mapping", Microversion::V1_0, MAPPED) },
    ParamRule { default_anywhere: true, ..param("flavor_mapping", Microversion::V1_0, MAPPED) },
    ParamRule {
        default_anywhere: true,
        ..param(
            "force",
            Microversion::V1_0,
            &[Action::Failover, Action::Takeover, Action::Skip, Action::ResetStatus],
        )
    },
    param("retain_primary", Microversion::V1_0, &[Action::Failover, Action::TestFailover]),
    param("reverse_replication", Microversion::V1_0, &[Action::Failback]),
    param("recovery_point", Microversion::V1_3, &[Action::Failover, Action::TestFailover]),
    param("allow_partial", Microversion::V1_3, &[Action::Failover]),
    param("preserve_addresses", Microversion::V1_3, &[Action::Failover, Action::TestFailover]),
    param("plan_hash", Microversion::V1_3, PLANNED),
    param(
        "operation_id",
        Microversion::V1_3,
        &[Action::Cancel, Action::Retry, Action::Skip, Action::Abandon, Action::Takeover],
    ),
    ParamRule { needed_by: &[Action::Skip], ..param("step", Microversion::V1_3, &[Action::Skip]) },
    ParamRule {
        needed_by: &[Action::Skip, Action::Abandon],
        ..param("reason", Microversion::V1_3, &[Action::Skip, Action::Abandon])
    },
    param("status", Microversion::V1_3, &[Action::ResetStatus]),
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
    let action = find_action(&key, version)?;
    let params = read_params(action, params, version)?;
    Ok(ActionCall { action, params, canonical })
}

fn find_action(key: &str, version: Microversion) -> Result<Action, Refusal> {
    match ACTIONS.iter().find(|row| row.action.as_str() == key) {
        Some(row) if row.since <= version => Ok(row.action),
        Some(row) => Err(unknown(
            key,
            format!(
                "the action {key} needs version {}; this request is version {version}. Allowed: {}",
                row.since,
                allowed(version)
            ),
        )),
        None => {
            Err(unknown(key, format!("there is no action {key:?}. Allowed: {}", allowed(version))))
        }
    }
}

fn read_params(
    action: Action,
    params: Value,
    version: Microversion,
) -> Result<ActionParamsBody, Refusal> {
    let key = action.as_str();
    let given: Map<String, Value> = match params {
        Value::Object(map) => map,
        other => {
            let mut errors = FieldErrors::default();
            errors.wrong(key, format!("must be an object, not {}", kind_of(&other)));
            errors.finish()?;
            Map::new()
        }
    };
    let mut errors = FieldErrors::default();
    check_names(action, &given, version, &mut errors);
    errors.finish()?;
    let params: ActionParamsBody = from_value(Value::Object(given)).map_err(|mut refusal| {
        for reason in &mut refusal.reasons {
            let field = reason.subject.take();
            reason.subject = Some(field.map_or_else(|| key.to_owned(), |f| format!("{key}.{f}")));
        }
        refusal
    })?;
    let mut errors = FieldErrors::default();
    check_values(action, &params, &mut errors);
    errors.finish()?;
    Ok(params)
}

/// True for a value that says what leaving it out says.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Which parameters this action takes in this version. Unknown names are left to the reader of the body.
fn check_names(
    action: Action,
    given: &Map<String, Value>,
    version: Microversion,
    errors: &mut FieldErrors,
) {
    let key = action.as_str();
    for row in PARAMS {
        let path = format!("{key}.{}", row.name);
        let name = row.name;
        match given.get(name) {
            None if row.needed_by.contains(&action) => errors.wrong(&path, "is required"),
            None => {}
            Some(_) if row.since > version => errors.unknown(
                &path,
                format!("unknown field `{name}` in version {version}: it needs {}", row.since),
            ),
            Some(_) if row.actions.contains(&action) => {}
            Some(value) if row.default_anywhere && is_default(value) => {}
            Some(Value::Bool(true)) if name == "force" => {
                errors.wrong(&path, format!("must not be true: {key} cannot be forced"));
            }
            // Of another type: the reader of the body says so.
            Some(value) if row.default_anywhere && !value.is_object() => {}
            Some(_) => errors.unknown(&path, format!("is not a parameter of {key}")),
        }
    }
}

fn check_values(action: Action, params: &ActionParamsBody, errors: &mut FieldErrors) {
    let key = action.as_str();
    let path = |field: &str| format!("{key}.{field}");
    if params.force && params.retain_primary {
        let why = "must not be true together with retain_primary: a drill is never forced";
        errors.wrong(&path("force"), why);
    }
    for (field, mapping) in
        [("network_mapping", &params.network_mapping), ("flavor_mapping", &params.flavor_mapping)]
    {
        errors.mapping(&path(field), mapping);
    }
    for (field, name) in [("recovery_point", &params.recovery_point), ("step", &params.step)] {
        errors.optional(&path(field), name.as_deref(), |errors, field, name| {
            errors.name(field, name);
        });
    }
    if let Some(reason) = &params.reason {
        if reason.trim().is_empty() {
            errors.wrong(&path("reason"), "must not be empty");
        }
        errors.text(&path("reason"), reason);
    }
    if let Some(hash) = &params.plan_hash {
        let hex = hash.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            errors
                .wrong(&path("plan_hash"), "must be the hash of a plan: sha256: and 64 hex digits");
        }
    }
}

/// The keys that a version has, for messages.
fn allowed(version: Microversion) -> String {
    let rows = ACTIONS.iter().filter(|row| row.since <= version);
    rows.map(|row| row.action.as_str()).collect::<Vec<_>>().join(", ")
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

    /// Parameters that make the body of an action complete.
    fn complete(action: Action) -> Map<String, Value> {
        let needed = PARAMS.iter().filter(|row| row.needed_by.contains(&action));
        needed.map(|row| (row.name.to_owned(), Value::from("because"))).collect()
    }

    fn read(
        action: Action,
        params: Map<String, Value>,
        version: Microversion,
    ) -> Result<(), Refusal> {
        let body = serde_json::json!({ action.as_str(): params }).to_string();
        read_action(body.as_bytes(), version).map(drop)
    }

    #[test]
    fn every_action_and_every_parameter_has_one_row() {
        for &action in Action::ALL {
            assert_eq!(ACTIONS.iter().filter(|r| r.action == action).count(), 1, "{action}");
        }
        let all = ActionParamsBody {
            recovery_point: Some("p".into()),
            allow_partial: true,
            plan_hash: Some("h".into()),
            preserve_addresses: true,
            operation_id: Some(OperationId::generate()),
            step: Some("s".into()),
            reason: Some("r".into()),
            status: Some(GroupStatus::Active),
            ..ActionParamsBody::default()
        };
        let fields = serde_json::to_value(&all).unwrap();
        for name in fields.as_object().unwrap().keys() {
            assert_eq!(PARAMS.iter().filter(|r| r.name == name).count(), 1, "{name}");
        }
        assert_eq!(PARAMS.len(), fields.as_object().unwrap().len());
    }

    #[test]
    fn every_cell_of_actions_by_parameters_by_versions_is_as_the_table_says() {
        let mut cells = 0;
        for row in PARAMS {
            for keys in ACTIONS {
                for version in Microversion::ALL.into_iter().filter(|v| *v >= keys.since) {
                    let value: Value = match row.name {
                        "network_mapping" | "flavor_mapping" => serde_json::json!({"a": "b"}),
                        "plan_hash" => format!("sha256:{}", "0".repeat(64)).into(),
                        "operation_id" => OperationId::generate().to_string().into(),
                        "status" => "active".into(),
                        "recovery_point" | "step" | "reason" => "x".into(),
                        _ => true.into(),
                    };
                    let mut params = complete(keys.action);
                    params.insert(row.name.into(), value);
                    let allowed = version >= row.since && row.actions.contains(&keys.action);
                    let read = read(keys.action, params, version);
                    let cell = format!("{} of {} in {version}: {read:?}", row.name, keys.action);
                    assert_eq!(read.is_ok(), allowed, "{cell}");
                    if let Err(refusal) = read {
                        let subject = refusal.reasons[0].subject.clone().unwrap_or_default();
                        assert_eq!(subject, format!("{}.{}", keys.action, row.name), "{cell}");
                    }
                    cells += 1;
                }
            }
        }
        assert!(cells > 300, "{cells}");
    }

    #[test]
    fn force_false_is_accepted_everywhere() {
        for row in ACTIONS {
            let mut params = complete(row.action);
            params.insert("force".into(), false.into());
            assert!(read(row.action, params, Microversion::MAX).is_ok(), "{}", row.action);
        }
    }

    #[test]
    fn what_an_action_needs_is_named() {
        let refusal = read(Action::Skip, Map::new(), Microversion::MAX).unwrap_err();
        let named: Vec<_> = refusal.reasons.iter().filter_map(|r| r.subject.as_deref()).collect();
        assert_eq!(named, ["skip.step", "skip.reason"]);
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
