//! Plans, and parameters and warnings by version.

use protector_types::{Action, Code, Reason, Refusal};
use serde_json::json;

use crate::{
    fake::{PROJECT, group_id, operation_id},
    support::{Api, keys},
};

fn group() -> String {
    format!("/v1/{PROJECT}/protection-groups/{}", group_id())
}

#[tokio::test]
async fn a_plan_has_exactly_the_documented_keys() {
    let api = Api::new();
    let path = format!("{}/plan", group());
    let answer = api.post("reader", &path, r#"{"failover": {"force": false}}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(keys(&body), ["plan"]);
    let plan = &body["plan"];
    let expected = [
        "data_loss_seconds",
        "forecast_seconds",
        "hash",
        "members",
        "not_preserved",
        "operation_type",
        "quota",
        "recovery_point",
        "source_site",
        "stages",
        "steps",
        "target_site",
        "warnings",
    ];
    assert_eq!(keys(plan), expected);
    assert_eq!(keys(&plan["recovery_point"]), ["age_seconds", "created_at", "name"]);
    assert_eq!(keys(&plan["members"][0]), ["flavor", "name", "networks", "server_id", "volumes"]);
    assert_eq!(keys(&plan["stages"][0]), ["name", "steps"]);
    assert_eq!(keys(&plan["steps"][0]), ["after", "id", "kind", "member", "stage"]);
    assert_eq!(keys(&plan["quota"][0]), ["free", "needed", "resource"]);
    assert_eq!(plan["operation_type"], "failover");
    assert!(api.core.seen.lock().actions.is_empty(), "a plan starts nothing");
}

#[tokio::test]
async fn a_plan_is_refused_with_the_reasons_of_the_action() {
    let api = Api::new();
    let path = format!("{}/plan", group());
    let reason = |subject: &str, code| Reason {
        code,
        subject: Some(subject.into()),
        message: "is not there".into(),
    };
    *api.core.refusal.lock() = Some(Refusal::plan(vec![
        reason("web-1", Code::MappingMissing),
        reason("db-1", Code::QuotaTooSmall),
    ]));
    let answer = api.post("member", &path, r#"{"failover": {}}"#).await;
    assert_eq!((answer.status.as_u16(), answer.codes().len()), (409, 2), "{}", answer.text);
    for body in [r#"{"cancel": {}}"#, r#"{"abandon": {"reason": "r"}}"#, r#"{"reset_status": {}}"#]
    {
        let answer = api.post("member", &path, body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(
            answer.details().contains("starts nothing that is planned"),
            "{}",
            answer.details()
        );
    }
    assert_eq!(api.post("member", &path, "").await.status, 400);
}

#[tokio::test]
async fn parameters_of_1_3_reach_the_core_and_are_unknown_below() {
    let api = Api::new();
    let path = format!("{}/action", group());
    let hash = format!("sha256:{}", "0a".repeat(32));
    let body = json!({"failover": {
        "force": true, "recovery_point": "fa-a:protector.7", "allow_partial": true, "plan_hash": hash,
    }});
    let old = api.call_in("protector 1.2", "member", "POST", &path, &body.to_string()).await;
    assert_eq!(old.status, 400);
    for name in ["recovery_point", "allow_partial", "plan_hash"] {
        assert!(old.details().contains(&format!("failover.{name}")), "{}", old.details());
        assert!(old.details().contains("1.3"), "{}", old.details());
    }
    assert_eq!(api.post("member", &path, &body.to_string()).await.status, 202);
    let body = json!({"skip": {
        "step": "m0.create", "reason": "seen by eye", "force": true, "operation_id": operation_id(),
    }});
    assert_eq!(api.post("member", &path, &body.to_string()).await.status, 202);
    let seen = api.core.seen.lock();
    let (first, second) = (&seen.actions[0].1, &seen.actions[1].1);
    assert_eq!(first.params.recovery_point.as_deref(), Some("fa-a:protector.7"));
    assert_eq!((first.params.allow_partial, first.params.plan_hash.as_ref()), (true, Some(&hash)));
    assert_eq!((second.action, second.params.operation_id), (Action::Skip, Some(operation_id())));
    assert_eq!(second.params.step.as_deref(), Some("m0.create"));
}

#[tokio::test]
async fn what_a_way_out_needs_is_asked_for_by_name() {
    let api = Api::new();
    let path = format!("{}/action", group());
    for (body, named) in [
        (r#"{"skip": {"reason": "r"}}"#, "skip.step"),
        (r#"{"skip": {"step": "s"}}"#, "skip.reason"),
        (r#"{"abandon": {}}"#, "abandon.reason"),
        (r#"{"abandon": {"reason": " "}}"#, "abandon.reason"),
        (r#"{"cancel": {"step": "s"}}"#, "cancel.step"),
        (r#"{"cancel": {"force": true}}"#, "cancel.force"),
        (r#"{"failover": {"plan_hash": "md5:1"}}"#, "failover.plan_hash"),
        (r#"{"retry": {"operation_id": "7"}}"#, "retry.operation_id"),
    ] {
        let answer = api.post("member", &path, body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(answer.details().contains(named), "{body}: {}", answer.details());
    }
}

#[tokio::test]
async fn what_changes_the_group_itself_answers_with_the_group() {
    let api = Api::new();
    let path = format!("{}/action", group());
    let answer = api.post("admin", &path, r#"{"reset_status": {"force": true}}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(keys(&answer.json()), ["protection_group", "warnings"]);
    assert_eq!(answer.json()["protection_group"]["id"], group_id().to_string());
}

#[tokio::test]
async fn a_group_is_detached_by_an_administrator_with_both_words() {
    let api = Api::new();
    let both = format!("{}?force=true&detach_peer=true", group());
    assert_eq!(api.call("member", "DELETE", &both, "").await.status, 403);
    assert_eq!(api.call_in("protector 1.2", "admin", "DELETE", &both, "").await.status, 400);
    for half in ["force=true", "detach_peer=true"] {
        let answer = api.call("admin", "DELETE", &format!("{}?{half}", group()), "").await;
        assert_eq!(answer.status, 400, "{half}");
        assert!(answer.details().contains("together"), "{}", answer.details());
    }
    let neither = format!("{}?force=false&detach_peer=false", group());
    assert_eq!(api.call("member", "DELETE", &neither, "").await.status, 204);
    assert_eq!(api.core.seen.lock().detached, 0);
    assert_eq!(api.call("admin", "DELETE", &both, "").await.status, 204);
    assert_eq!(api.core.seen.lock().detached, 1);
}
