//! The microversion matrix.

use std::collections::BTreeSet;

use protector_api_types::{Microversion, since};
use protector_types::OperationStatus;
use serde_json::{Value, json};

use crate::{
    fake::{PROJECT, group_id, member_id, operation_id, site_b},
    support::{Api, keys},
};

fn group() -> String {
    format!("/v1/{PROJECT}/protection-groups/{}", group_id())
}

fn operation() -> String {
    format!("/v1/{PROJECT}/operations/{}", operation_id())
}

#[tokio::test]
async fn the_header_is_repeated_and_varies_even_with_errors() {
    let api = Api::new();
    for (header, told) in [
        ("protector 1.1", "protector 1.1"),
        ("protector latest", "protector 1.3"),
        ("disaster-recovery 1.2", "disaster-recovery 1.2"),
        ("compute 2.1", "protector 1.0"),
    ] {
        for path in [operation(), "/nothing".into(), "/".into()] {
            let answer = api.call_in(header, "member", "GET", &path, "").await;
            assert_eq!(answer.header("openstack-api-version"), told, "{path}");
            assert!(answer.header("vary").contains("OpenStack-API-Version"), "{path}");
        }
    }
    let answer = api.send("GET", &operation(), &[("x-auth-token", "member")], "").await;
    assert_eq!(answer.header("openstack-api-version"), "protector 1.0");
}

#[tokio::test]
async fn out_of_range_is_406_that_names_the_range() {
    let api = Api::new();
    for header in ["protector 1.4", "protector 0.1", "protector 2.0"] {
        let answer = api.call_in(header, "member", "GET", &operation(), "").await;
        assert_eq!(answer.status, 406, "{header}");
        assert_eq!(answer.codes(), ["request.version_not_supported"]);
        let error = &answer.json()["errors"][0];
        assert_eq!((&error["min_version"], &error["max_version"]), (&json!("1.0"), &json!("1.3")));
        assert!(answer.details().contains("1.0") && answer.details().contains("1.3"));
    }
    for header in ["protector", "protector one", "protector 1.03"] {
        let answer = api.call_in(header, "member", "GET", &operation(), "").await;
        assert_eq!(answer.status, 400, "{header}");
    }
}

/// Where each resource of the table is seen, and the JSON pointer to the object that has its fields.
fn seen_at(resource: &str) -> Option<(&'static str, String, &'static str)> {
    Some(match resource {
        "operation" => ("member", operation(), "/operation"),
        "operation.steps_failed" => ("member", operation(), "/operation/steps_failed/0"),
        "health" => ("member", format!("{}/health", group()), "/health"),
        "health.components" => ("member", "/v1/health".into(), "/health/components/0"),
        "site" => ("admin", format!("/v1/admin/sites/{}", site_b()), "/site"),
        "sync_status" => ("member", format!("{}/sync-status", group()), "/sync_status"),
        "policy" => ("member", format!("{}/policy", group()), "/policy"),
        "member" => ("member", format!("{}/members/{}", group(), member_id()), "/member"),
        _ => return None,
    })
}

#[tokio::test]
async fn every_field_of_the_table_is_shown_from_its_version_on() {
    let api = Api::new();
    let mut walked = 0;
    for row in since::FIELDS {
        let Some((who, path, pointer)) = seen_at(row.resource) else {
            assert_eq!(
                (row.resource, row.field),
                ("sync-force", "from"),
                "the test does not know where to look"
            );
            continue;
        };
        if row.field == "status_reason" {
            continue; // The fake's site is healthy and has none.
        }
        for version in Microversion::ALL {
            let answer = api.call_in(&format!("protector {version}"), who, "GET", &path, "").await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            let body = answer.json();
            let object = body.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {body}"));
            let shown = object.get(row.field).is_some();
            assert_eq!(
                shown,
                version >= row.since,
                "{} {} in {version}: {object}",
                row.resource,
                row.field
            );
            walked += 1;
        }
    }
    assert!(walked > 50, "{walked}");
}

#[tokio::test]
async fn a_record_below_1_3_has_only_the_founding_keys() {
    let api = Api::new();
    let founding: BTreeSet<&str> = [
        "id",
        "operation_type",
        "status",
        "progress",
        "source_site_id",
        "target_site_id",
        "started_at",
        "completed_at",
        "error_message",
        "steps_completed",
        "steps_failed",
        "protection_group_id",
        "result_data",
    ]
    .into();
    for version in ["1.0", "1.1", "1.2"] {
        let header = format!("protector {version}");
        let answer = api.call_in(&header, "member", "GET", &operation(), "").await;
        let operation = answer.json()["operation"].clone();
        assert!(
            keys(&operation).iter().all(|k| founding.contains(k.as_str())),
            "{version}: {operation}"
        );
        assert_eq!(operation.get("result_data").is_some(), version != "1.0");
        let failed = keys(&operation["steps_failed"][0]);
        assert_eq!(failed, ["error", "member", "stage", "step"]);
        // Warnings are told in the header, as plain text.
        let warning = answer.header("warning");
        assert_eq!(warning, "299 protector \"the 'source' was reachable ? fenced\"");
    }
    let newest = api.get("member", &operation()).await;
    assert_eq!(newest.header("warning"), "");
    let operation = newest.json()["operation"].clone();
    assert_eq!(operation["result_data"]["servers"], json!({"old": "new"}));
    assert_eq!(operation["leaked"], json!([{"kind": "volume"}]));
    assert_eq!(operation["steps_failed"][0]["retries"], 2);
    assert_eq!(operation["warnings"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_drill_lists_what_it_made_from_1_1_on() {
    let api = Api::new();
    api.core.record.lock().operation_type = protector_types::OperationType::TestFailover;
    for (version, shown) in [("1.0", None), ("1.1", Some(false)), ("1.3", Some(true))] {
        let header = format!("protector {version}");
        let answer = api.call_in(&header, "member", "GET", &operation(), "").await.json();
        let data = answer["operation"].get("result_data");
        let has_leaked = data.map(|data| {
            assert_eq!(data["servers"], json!({"old": "new"}), "{version}");
            data.get("leaked").is_some()
        });
        assert_eq!(has_leaked, shown, "{version}");
    }
}

#[tokio::test]
async fn later_statuses_are_told_in_earlier_words() {
    let api = Api::new();
    for &status in OperationStatus::ALL {
        {
            let mut record = api.core.record.lock();
            record.status = status;
            record.error_message = None;
        }
        let old = api.call_in("protector 1.2", "member", "GET", &operation(), "").await.json();
        assert_eq!(old["operation"]["status"], status.before_1_3().as_str());
        let has_reason = old["operation"]["error_message"] != Value::Null;
        assert_eq!(has_reason, status == OperationStatus::Cancelled);
        let new = api.get("member", &operation()).await.json();
        assert_eq!(new["operation"]["status"], status.as_str());
    }
    let list = format!("/v1/{PROJECT}/operations?status=needs_attention");
    assert_eq!(api.call_in("protector 1.2", "member", "GET", &list, "").await.status, 400);
    assert_eq!(api.get("member", &list).await.status, 200);
}

#[tokio::test]
async fn actions_and_fields_of_1_3_are_refused_below_it() {
    let api = Api::new();
    let action = format!("{}/action", group());
    for key in ["cancel", "retry", "skip", "abandon", "reprotect", "takeover", "release_quarantine"]
    {
        let body = format!("{{\"{key}\": {{}}}}");
        for version in ["1.0", "1.1", "1.2"] {
            let answer = api
                .call_in(&format!("protector {version}"), "member", "POST", &action, &body)
                .await;
            assert_eq!(answer.status, 400, "{key} {version}");
            assert_eq!(answer.codes(), ["request.unknown_field"]);
            assert!(answer.details().contains("1.3"), "{}", answer.details());
        }
    }
    let answer = api.post("member", &action, r#"{"reprotect": {}}"#).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    // Only an administrator may, whatever the core makes of it.
    assert_eq!(api.post("member", &action, r#"{"reset_status": {}}"#).await.status, 403);

    let site = json!({"site": {
        "name": "b", "auth_url": "http://b:5000/v3", "username": "u", "password": "p", "project_name": "s",
        "cinder_host": "h@b#p"
    }});
    let old =
        api.call_in("protector 1.2", "admin", "POST", "/v1/admin/sites", &site.to_string()).await;
    assert_eq!(old.status, 400);
    assert!(old.details().contains("site.cinder_host"), "{}", old.details());
    assert_eq!(api.post("admin", "/v1/admin/sites", &site.to_string()).await.status, 201);

    let force = format!("{}/sync-force", group());
    let from = format!("{{\"from\": \"{}\"}}", site_b());
    assert_eq!(api.call_in("protector 1.2", "member", "POST", &force, &from).await.status, 400);
    assert_eq!(api.call_in("protector 1.2", "member", "POST", &force, "").await.status, 200);
    assert_eq!(api.post("member", &force, &from).await.status, 200);
    assert_eq!(api.core.seen.lock().forced_from, [None, Some(site_b())]);
}

#[tokio::test]
async fn calls_of_1_3_are_not_there_below_it() {
    let api = Api::new();
    for row in since::VERBS {
        let path = row
            .path
            .replace("{tenant_id}", PROJECT)
            .replace("{pg_id}", &group_id().to_string())
            .replace("{op_id}", &operation_id().to_string());
        for version in Microversion::ALL {
            let body = if row.method == "POST" { r#"{"sync_volumes": {}}"# } else { "" };
            let answer = api
                .call_in(&format!("protector {version}"), "member", row.method, &path, body)
                .await;
            let expected = if version >= row.since { 200 } else { 404 };
            assert_eq!(answer.status, expected, "{path} in {version}");
        }
    }
}
