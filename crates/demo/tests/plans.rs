//! Plans and keys: what an action would do, run by its hash or not at all, and once only.

// The future that brings everything up holds all others.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use protector_demo::{protect::failover_body, rest::Reply};
use serde_json::{Value, json};
use support::{Theatre, difference};

async fn plan(t: &Theatre, body: &Value) -> Reply {
    t.call("POST", &format!("{}/plan", t.group_url(0)), Some(body)).await
}

async fn act(t: &Theatre, body: &Value, key: Option<&str>) -> Reply {
    let mut headers = vec![("OpenStack-API-Version", "protector 1.3")];
    headers.extend(key.map(|key| ("Idempotency-Key", key)));
    let url = format!("{}/action", t.group_url(0));
    let body = Some(body.to_string().into_bytes());
    t.tenants[0].call_with("POST", &url, &headers, body).await.unwrap()
}

fn with_hash(hash: &Value) -> Value {
    let mut body = failover_body();
    body["failover"]["plan_hash"] = hash.clone();
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_touches_nothing_and_is_run_by_its_hash_or_not_at_all() {
    let t = Theatre::open().await;
    let before = t.world().await;
    let first = plan(&t, &failover_body()).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let again = plan(&t, &failover_body()).await.body["plan"].take();
    let after = t.world().await;
    assert_eq!(difference(&before, &after, ""), None);
    let first = &first.body["plan"];
    assert_eq!(first["hash"], again["hash"], "the same world, the same plan");
    check_plan(first);

    // Anything of the group changes: the plan is another one, and what differs is said.
    let change = json!({"protection_group": {"description": "changed"}});
    t.tenants[0].call("PATCH", &t.group_url(0), Some(&change)).await.unwrap();
    let before = t.world().await;
    let stale = act(&t, &with_hash(&first["hash"]), None).await;
    assert_eq!(stale.status, 409, "{}", stale.body);
    let errors = stale.body["errors"].as_array().unwrap().clone();
    assert!(errors.iter().all(|e| e["code"] == "operation.plan_changed"), "{errors:?}");
    assert!(stale.body.to_string().contains("the group (its epoch or version) has changed"));
    assert_eq!(difference(&before, &t.world().await, ""), None);

    let fresh = plan(&t, &failover_body()).await.body["plan"]["hash"].take();
    assert_ne!(fresh, first["hash"]);
    let other = json!({"failover": {"plan_hash": fresh}});
    // Other parameters make another plan, or one that cannot work: never this one.
    assert_ne!(act(&t, &other, None).await.status, 202);
    let run = act(&t, &with_hash(&fresh), None).await;
    assert_eq!(run.status, 202, "{}", run.body);
    let record = t.finish(run.body["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(record["status"], "completed", "{record}");

    // Refused as the action would be.
    let (a, b) = (plan(&t, &failover_body()).await, act(&t, &failover_body(), None).await);
    assert_eq!((a.status, b.status.as_u16()), (b.status, 409), "{}", a.body);
    assert_eq!(a.body["errors"][0]["detail"], b.body["errors"][0]["detail"]);
    t.close().await;
}

fn check_plan(plan: &Value) {
    assert_eq!(plan["operation_type"], "failover");
    assert_eq!((&plan["source_site"], &plan["target_site"]), (&json!("site-a"), &json!("site-b")));
    assert_eq!((&plan["data_loss_seconds"], &plan["recovery_point"]), (&json!(0), &Value::Null));
    let members = plan["members"].as_array().unwrap();
    assert_eq!(members.len(), 3);
    for member in members {
        assert_eq!(member["flavor"], "m2.large", "{member}");
        assert!(member["server_id"].is_string(), "{member}");
        let network = member["networks"][0].as_str().unwrap();
        assert!(network.starts_with("bbb22222-net-secondary"), "{member}");
    }
    let volumes: u64 = members.iter().map(|m| m["volumes"].as_u64().unwrap()).sum();
    assert_eq!(volumes, 5);
    let stages: Vec<_> = plan["stages"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(stages.len(), 6, "{stages:?}");
    let steps = plan["steps"].as_array().unwrap();
    let counted: u64 =
        plan["stages"].as_array().unwrap().iter().map(|s| s["steps"].as_u64().unwrap()).sum();
    assert_eq!(counted, steps.len() as u64);
    let made = steps.iter().filter(|s| s["kind"] == "create_server").count();
    assert_eq!(made, 3);
    let quota = |name: &str| {
        let all = plan["quota"].as_array().unwrap();
        all.iter().find(|q| q["resource"] == name).unwrap()["needed"].clone()
    };
    assert_eq!((quota("instances"), quota("volumes")), (json!(3), json!(5)));
    assert!(plan["hash"].as_str().unwrap().starts_with("sha256:"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_equal_requests_at_once_one_operation_comes_and_all_are_answered_with_it() {
    let t = Theatre::open().await;
    let body = failover_body();
    let calls = (0..6).map(|_| act(&t, &body, Some("one")));
    let replies = futures::future::join_all(calls).await;
    let id = replies[0].body["operation"]["id"].clone();
    for reply in &replies {
        assert_eq!(reply.status, 202, "{}", reply.body);
        assert_eq!(reply.body["operation"]["id"], id);
    }
    let all = t.get(0, &format!("{}/operations", t.project_url(0))).await;
    assert_eq!(all["operations"].as_array().unwrap().len(), 1);
    let other = act(&t, &json!({"sync_volumes": {}}), Some("one")).await;
    assert_eq!(other.status, 409, "{}", other.body);
    assert_eq!(other.body["errors"][0]["code"], "request.idempotency_mismatch");
    // A way out has keys, too, and is answered with the same operation after its end.
    let cancel = act(&t, &json!({"cancel": {}}), Some("two")).await;
    assert_eq!(cancel.status, 202, "{}", cancel.body);
    t.finish(id.as_str().unwrap()).await;
    let repeated = act(&t, &json!({"cancel": {}}), Some("two")).await;
    assert_eq!((repeated.status.as_u16(), &repeated.body["operation"]["id"]), (202, &id));
    assert_eq!(act(&t, &json!({"cancel": {}}), Some("three")).await.status, 409);
    let again = act(&t, &body, Some("one")).await;
    assert_eq!((again.status.as_u16(), &again.body["operation"]["id"]), (202, &id));
    t.close().await;
}
