//! The founding document's examples, key by key.

use std::collections::BTreeSet;

use protector_types::{Code, OperationStatus, Reason, Refusal};
use serde_json::{Value, json};

use crate::{
    fake::{PROJECT, group_id, operation_id, site_a, site_b},
    support::{Api, keys},
};

fn group() -> String {
    format!("/v1/{PROJECT}/protection-groups/{}", group_id())
}

/// Keys of Example 1.
const EXAMPLE_1: [&str; 11] = [
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
];

fn expected(extra: &[&str]) -> BTreeSet<String> {
    EXAMPLE_1
        .iter()
        .chain(["protection_group_id"].iter())
        .chain(extra)
        .map(|k| (*k).to_owned())
        .collect()
}

fn key_set(value: &Value) -> BTreeSet<String> {
    keys(value).into_iter().collect()
}

#[tokio::test]
async fn example_1_planned_failover() {
    let api = Api::new();
    let body = json!({
        "failover": {
            "network_mapping": {
                "aaa11111-net-primary-web": "bbb22222-net-secondary-web",
                "aaa11111-net-primary-db": "bbb22222-net-secondary-db"
            },
            "flavor_mapping": {"m1.large": "m2.large"},
            "force": false
        }
    });
    let path = format!("{}/action", group());
    let answer = api.call_in("protector 1.1", "member", "POST", &path, &body.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let answered = answer.json();
    assert_eq!(keys(&answered), ["operation"]);
    let operation = &answered["operation"];
    assert_eq!(key_set(operation), expected(&[]));
    assert_eq!(operation["operation_type"], "failover");
    assert_eq!(operation["status"], "running");
    assert_eq!(operation["progress"], 0);
    assert_eq!(operation["source_site_id"], site_a().to_string());
    assert_eq!(operation["target_site_id"], site_b().to_string());
    assert_eq!(operation["started_at"], "2025-11-03T10:00:00Z");
    assert_eq!(operation["completed_at"], Value::Null);
    assert_eq!(operation["error_message"], Value::Null);
    assert_eq!(operation["steps_completed"], json!([]));
    assert_eq!(operation["steps_failed"], json!([]));
    let place = format!("http://site-a:8788/v1/{PROJECT}/operations/{}", operation_id());
    assert_eq!(answer.header("location"), place);
    // The document's order, too.
    let positions: Vec<_> =
        EXAMPLE_1.iter().map(|k| answer.text.find(&format!("\"{k}\"")).unwrap()).collect();
    assert!(positions.is_sorted(), "{}", answer.text);

    let seen = api.core.seen.lock();
    let (caller, request) = &seen.actions[0];
    assert_eq!(caller.user_id, "user-1");
    assert_eq!(caller.request_id, answer.header("x-openstack-request-id"));
    assert_eq!(request.params.network_mapping.len(), 2);
    assert_eq!(request.params.flavor_mapping["m1.large"], "m2.large");
    assert!(!request.params.force);
}

#[tokio::test]
async fn examples_2_3_and_4_are_accepted_as_written() {
    let api = Api::new();
    let path = format!("{}/action", group());
    for (body, operation_type) in [
        (json!({"failover": {"network_mapping": {"a": "b"}, "force": true}}), "failover"),
        (
            json!({"failover": {"network_mapping": {"a": "b"}, "retain_primary": true}}),
            "test_failover",
        ),
        (json!({"test_cleanup": {}}), "test_cleanup"),
        (
            json!({"failback": {"network_mapping": {"b": "a"}, "reverse_replication": true, "force": false}}),
            "failback",
        ),
    ] {
        let answer = api.call_in("protector 1.1", "member", "POST", &path, &body.to_string()).await;
        assert_eq!(answer.status, 202, "{body}: {}", answer.text);
        assert_eq!(answer.json()["operation"]["operation_type"], operation_type);
    }
}

#[tokio::test]
async fn example_5_force_consistency_group_sync() {
    let api = Api::new();
    let path = format!("{}/consistency-group/sync", group());
    let answer = api.call_in("protector 1.1", "member", "POST", &path, "").await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let body = answer.json();
    assert_eq!(keys(&body), ["operation"]);
    assert_eq!(key_set(&body["operation"]), expected(&[]));
    assert_eq!(body["operation"]["operation_type"], "sync_volumes");
    assert_eq!(body["operation"]["status"], "running");
    assert_eq!(body["operation"]["progress"], 0);
    assert_eq!(api.call_in("protector 1.1", "member", "POST", &path, "{}").await.status, 202);
}

#[tokio::test]
async fn example_6_poll_operation_progress() {
    let api = Api::new();
    let path = format!("/v1/{PROJECT}/operations/{}", operation_id());
    let answer = api.call_in("protector 1.1", "member", "GET", &path, "").await;
    assert_eq!(answer.status, 200);
    let operation = &answer.json()["operation"];
    assert_eq!(key_set(operation), expected(&["result_data"]));
    assert_eq!(operation["completed_at"], "2025-11-03T10:07:43Z");
    let result =
        json!({"instances_created": 3, "volumes_managed": 5, "current_primary_site": "site-b"});
    assert_eq!(operation["result_data"], result);

    // Mid-operation there is no result_data yet.
    {
        let mut record = api.core.record.lock();
        record.result_data = None;
        record.status = OperationStatus::Running;
        record.progress = 55;
    }
    let answer = api.call_in("protector 1.1", "member", "GET", &path, "").await;
    let operation = &answer.json()["operation"];
    assert_eq!(key_set(operation), expected(&[]));
    assert_eq!(operation["progress"], 55);
}

#[tokio::test]
async fn quoted_sentences_are_verbatim_and_every_reason_has_an_entry() {
    let api = Api::new();
    let path = format!("{}/action", group());
    let body = r#"{"failback": {}}"#;
    let wrong =
        "Protection Group is not in failed_over state: it is active; allowed in active: failover";
    for (refusal, code, sentence) in [
        (
            Refusal::peer_unreachable(),
            "protection_group.peer_unreachable",
            "Cannot modify protection group — remote site unreachable",
        ),
        (
            Refusal::new(Code::GroupWrongState, wrong),
            "protection_group.wrong_state",
            "Protection Group is not in failed_over state",
        ),
    ] {
        *api.core.refusal.lock() = Some(refusal);
        let answer = api.post("member", &path, body).await;
        assert_eq!(answer.status, 409);
        assert_eq!(answer.codes(), [code]);
        assert!(answer.details().contains(sentence), "{}", answer.details());
    }
    let reason =
        |code, subject: &str| Reason { code, subject: Some(subject.into()), message: "no".into() };
    let reasons = vec![reason(Code::QuotaTooSmall, "web-1"), reason(Code::MappingMissing, "web-2")];
    *api.core.refusal.lock() = Some(Refusal::plan(reasons));
    let answer = api.post("member", &path, body).await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.codes(), ["target.quota", "mapping.missing"]);
    assert_eq!(answer.json()["errors"][1]["detail"], "The operation cannot work: web-2: no");
    assert_eq!(answer.json()["errors"][1]["status"], 409);
}

#[tokio::test]
async fn an_internal_error_keeps_its_words_for_the_log() {
    let api = Api::new();
    *api.core.refusal.lock() = Some(Refusal::new(Code::Internal, "row 17 is corrupt"));
    let answer = api.post("member", &format!("{}/action", group()), r#"{"failback": {}}"#).await;
    assert_eq!(answer.status, 500);
    assert!(!answer.text.contains("row 17"), "{}", answer.text);
}
