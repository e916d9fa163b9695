//! The ways out of an operation, over real HTTP, judged by both clouds: cancel, retry, skip, abandon, reset_status.

// The future that brings everything up holds all others.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use protector_demo::{
    protect::failover_body,
    rest::{Reply, text},
    tenant,
};
use protector_sim::faults::{Effect, Rule};
use serde_json::{Value, json};
use support::Theatre;

async fn act(t: &Theatre, body: Value) -> Reply {
    t.call("POST", &format!("{}/action", t.group_url(0)), Some(&body)).await
}

/// The operation that an action answers with.
async fn accepted(t: &Theatre, body: Value) -> Value {
    let reply = act(t, body.clone()).await;
    assert_eq!(reply.status, 202, "{body}: {}", reply.body);
    reply.body["operation"].clone()
}

/// The detail of a 409.
async fn refused(t: &Theatre, body: Value) -> String {
    let reply = act(t, body.clone()).await;
    assert_eq!(reply.status, 409, "{body}: {}", reply.body);
    reply.body["errors"].as_array().unwrap().iter().map(|e| text(e, "/detail").unwrap()).collect()
}

async fn operation(t: &Theatre, id: &str) -> Value {
    t.get(0, &format!("{}/operations/{id}", t.project_url(0))).await["operation"].take()
}

/// Polls until this is true of the operation.
async fn until(t: &Theatre, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1200 {
        let record = operation(t, id).await;
        if wanted(&record) {
            return record;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never came: {}", operation(t, id).await);
}

async fn group(t: &Theatre) -> Value {
    t.get(0, &t.group_url(0)).await["protection_group"].take()
}

/// How often an event is in the journal.
async fn events(t: &Theatre, id: &str, name: &str) -> Vec<Value> {
    let url = format!("{}/operations/{id}/events?limit=1000", t.project_url(0));
    let all = t.get(0, &url).await["events"].take();
    all.as_array().unwrap().iter().filter(|e| e["event"] == name).cloned().collect()
}

/// The sources run and write as before; nothing of the operation is at the target.
async fn check_undone(t: &Theatre) {
    for server in &t.servers {
        tenant::await_status(&t.stage, &t.tenants[0], 0, &server.id, "ACTIVE").await.unwrap();
        assert!(tenant::stamp(&t.stage, 0, server, "still here"), "{} cannot write", server.name);
    }
    let base = &t.stage.sites[1].cloud_url;
    let servers = t.get(1, &format!("{base}/compute/v2.1/servers/detail")).await;
    assert_eq!(servers["servers"], json!([]));
    let volumes = t.get(1, &format!("{base}/volume/v3/volumes/detail")).await;
    assert_eq!(volumes["volumes"], json!([]));
    let ports = t.get(1, &format!("{base}/network/v2.0/ports")).await;
    assert_eq!(ports["ports"], json!([]));
}

/// A failover that is undone, and whose undo cannot delete the volumes at the target.
async fn park(t: &Theatre) -> String {
    let faults = t.stage.world.faults();
    let denied = |message: &str| Effect::Status {
        code: 403,
        message: Some(message.into()),
        retry_after: None,
    };
    let rule = |effect| Rule::new(effect).site("site-b");
    faults.add(rule(denied("no servers today")).service("compute").method("POST").path("/servers"));
    faults.add(rule(denied("volumes stay")).service("volume").method("DELETE").path("/volumes/"));
    let id = text(&accepted(t, failover_body()).await, "/id").unwrap();
    let parked = until(t, &id, |o| o["status"] == "needs_attention").await;
    let message = parked["error_message"].as_str().unwrap();
    assert!(message.contains("`retry`") && message.contains("`skip`"), "{message}");
    assert_eq!(group(t).await["status"], "failing_over");
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_is_heard_at_once_and_takes_everything_back() {
    let mut t = Theatre::open().await;
    // The peer is never needed for a way out; it goes as soon as the operation runs.
    let slow = Rule::new(Effect::Slow { ms: 20_000 }).site("site-b").service("compute");
    t.stage.world.faults().add(slow.method("POST").path("/servers"));
    let id = text(&accepted(&t, failover_body()).await, "/id").unwrap();
    until(&t, &id, |o| o["progress"].as_u64() >= Some(40)).await;
    t.stop(1).await;
    let answered = accepted(&t, json!({"cancel": {}})).await;
    assert_eq!((&answered["id"], &answered["status"]), (&json!(id), &json!("cancelling")));
    // Asked twice: nothing more happens.
    accepted(&t, json!({"cancel": {"operation_id": id}})).await;
    let ended = until(&t, &id, |o| o["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert!(
        ended["error_message"].as_str().unwrap().starts_with("Cancelled by app-user"),
        "{ended}"
    );
    let headers = [("OpenStack-API-Version", "protector 1.2")];
    let url = format!("{}/operations/{id}", t.project_url(0));
    let old = t.tenants[0].call_with("GET", &url, &headers, None).await.unwrap().body;
    assert_eq!(old["operation"]["status"], "failed");
    assert_eq!(old["operation"]["error_message"], ended["error_message"]);
    assert!(!events(&t, &id, "asked").await.is_empty());
    let now = group(&t).await;
    assert_eq!((&now["status"], &now["current_operation_id"]), (&json!("active"), &Value::Null));
    check_undone(&t).await;
    for (body, word) in [
        (json!({"cancel": {}}), "nothing to cancel"),
        (json!({"skip": {"step": "m0.create", "reason": "r"}}), "skip"),
    ] {
        let detail = refused(&t, body).await;
        assert!(detail.contains(word) && detail.contains("allowed in active"), "{detail}");
    }
    let late = refused(&t, json!({"cancel": {"operation_id": id}})).await;
    assert!(late.contains("has ended (cancelled)"), "{late}");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_point_of_no_return_a_cancel_is_refused_in_words() {
    let t = Theatre::open().await;
    let slow = Rule::new(Effect::Slow { ms: 60_000 }).service("array").method("PATCH");
    t.stage.world.faults().add(slow.path("/protection-groups").body("replication_schedule"));
    let id = text(&accepted(&t, failover_body()).await, "/id").unwrap();
    until(&t, &id, |o| o["progress"].as_u64() >= Some(96)).await;
    let detail = refused(&t, json!({"cancel": {}})).await;
    assert!(detail.contains("point of no return") && detail.contains("swap"), "{detail}");
    for body in [json!({"retry": {}}), json!({"abandon": {"reason": "r"}})] {
        let detail = refused(&t, body).await;
        assert!(detail.contains("needs_attention") && detail.contains(&id), "{detail}");
    }
    let at_b = t.tenants[1]
        .call_with(
            "POST",
            &format!("{}/action", t.group_url(1)),
            &[("OpenStack-API-Version", "protector 1.3")],
            Some(json!({"cancel": {}}).to_string().into_bytes()),
        )
        .await
        .unwrap();
    assert_eq!(at_b.status, 409, "{}", at_b.body);
    assert!(at_b.body.to_string().contains("driven by the other site"), "{}", at_b.body);
    let ended = until(&t, &id, |o| o["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let detail = refused(&t, json!({"retry": {"operation_id": id}})).await;
    assert!(detail.contains("has completed"), "{detail}");
    t.close().await;
}

/// The founding document's storage and policy errors: the cause goes, then "retry the operation".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_parked_goes_on_after_a_retry_and_what_failed_is_retried_as_a_new_operation() {
    let mut t = Theatre::open().await;
    let id = park(&t).await;
    let busy = refused(&t, failover_body()).await;
    assert!(busy.contains(&id) && busy.contains("retry, skip, abandon"), "{busy}");
    let back = refused(&t, json!({"cancel": {}})).await;
    assert!(back.contains("being undone already"), "{back}");
    // Retried while the cause is there: it parks again, with the cause.
    let parked = events(&t, &id, "parked").await.len();
    accepted(&t, json!({"retry": {}})).await;
    while events(&t, &id, "parked").await.len() == parked {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let again = until(&t, &id, |o| o["status"] == "needs_attention").await;
    assert!(again["error_message"].as_str().unwrap().contains("volumes stay"), "{again}");
    t.stage.world.faults().clear(None);
    // An engine that dies with the request in its hands loses nothing; the request outlives it.
    accepted(&t, json!({"retry": {"operation_id": id}})).await;
    t.stop(0).await;
    t.start(0).await;
    let ended = until(&t, &id, |o| o["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "failed", "{ended}");
    assert!(ended["error_message"].as_str().unwrap().contains("no servers today"), "{ended}");
    assert_eq!(events(&t, &id, "resumed").await.len(), 2);
    check_undone(&t).await;
    let retried = accepted(&t, json!({"retry": {}})).await;
    assert_eq!(
        (&retried["retry_of"], &retried["operation_type"]),
        (&json!(id), &json!("failover"))
    );
    let record = t.finish(retried["id"].as_str().unwrap()).await;
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["result_data"]["instances_created"], 3);
    assert_eq!(group(&t).await["status"], "failed_over");
    let late = refused(&t, json!({"retry": {"operation_id": id}})).await;
    assert!(late.contains("came after it"), "{late}");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_step_after_another_is_skipped_with_a_reason_until_the_rest_is_undone() {
    let t = Theatre::open().await;
    let id = park(&t).await;
    let nothing = refused(&t, json!({"skip": {"step": "m0.nowhere", "reason": "r"}})).await;
    assert!(nothing.contains("no step"), "{nothing}");
    let mut skipped = Vec::new();
    let ended = loop {
        let record =
            until(&t, &id, |o| o["status"] == "needs_attention" || o["completed_at"].is_string())
                .await;
        if record["completed_at"].is_string() {
            break record;
        }
        let parked = events(&t, &id, "parked").await;
        let step = text(parked.last().unwrap(), "/step").unwrap();
        if skipped.contains(&step) {
            // The engine has not come to it yet.
            tokio::time::sleep(Duration::from_millis(25)).await;
            continue;
        }
        let reason = format!("{step} was looked at");
        accepted(&t, json!({"skip": {"step": step, "reason": reason}})).await;
        skipped.push(step);
        assert!(skipped.len() <= 5, "{skipped:?}");
    };
    assert_eq!(ended["status"], "failed", "{ended}");
    let entries = events(&t, &id, "skipped").await;
    assert_eq!(entries.len(), skipped.len());
    for entry in entries {
        let message = entry["message"].as_str().unwrap();
        assert!(message.contains("app-user") && message.contains("was looked at"), "{message}");
    }
    let left: Vec<_> = ended["result_data"]["left"].as_array().unwrap().iter().collect();
    assert_eq!(left.len(), skipped.len(), "{left:?}");
    assert!(left.iter().all(|l| l["kind"] == "manage_volume" && l["state"] == "not_undone"));
    // Only volumes are left, and nobody writes to them: where the group runs is proven.
    assert_eq!(group(&t).await["status"], "active");
    for server in &t.servers {
        tenant::await_status(&t.stage, &t.tenants[0], 0, &server.id, "ACTIVE").await.unwrap();
    }
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skip_of_the_rollback_barrier_has_a_code_of_its_own_and_needs_force() {
    let t = Theatre::open().await;
    t.stage.world.cloud(1).fail_builds_of("web-2", Some("No valid host was found."));
    let denied = Effect::Status { code: 403, message: Some("it stays".into()), retry_after: None };
    let rule = Rule::new(denied).site("site-b").service("compute").method("DELETE");
    t.stage.world.faults().add(rule.path("/servers/"));
    let id = text(&accepted(&t, failover_body()).await, "/id").unwrap();
    until(&t, &id, |o| o["status"] == "needs_attention").await;
    let parked = events(&t, &id, "parked").await;
    let step = text(parked.last().unwrap(), "/step").unwrap();
    assert!(step.ends_with(".create"), "{step}");
    let skip = |force: bool| json!({"skip": {"step": step, "reason": "r", "force": force}});
    let reply = act(&t, skip(false)).await;
    let error = &reply.body["errors"][0];
    assert_eq!((reply.status.as_u16(), &error["code"]), (409, &json!("operation.needs_force")));
    assert!(error["detail"].to_string().contains("rollback barrier"), "{error}");
    let nothing = act(&t, json!({"skip": {"step": "nowhere", "reason": "r"}})).await;
    assert_eq!(nothing.body["errors"][0]["code"], "protection_group.wrong_state");
    accepted(&t, skip(true)).await;
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_failover_ends_in_error_and_reset_status_proves_the_way_out() {
    let t = Theatre::open().await;
    let id = park(&t).await;
    accepted(&t, json!({"abandon": {"reason": "the target is a ruin"}})).await;
    let ended = until(&t, &id, |o| o["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "failed", "{ended}");
    let message = ended["error_message"].as_str().unwrap();
    assert!(message.contains("the target is a ruin") && message.contains("app-user"), "{message}");
    let left = ended["result_data"]["left"].as_array().unwrap().clone();
    assert!(left.iter().any(|l| l["kind"] == "manage_volume"), "{left:?}");
    assert!(left.iter().any(|l| l["kind"] == "stop_server"), "{left:?}");
    // The sources are still fenced: where the group runs is not proven.
    assert_eq!(group(&t).await["status"], "error");
    let detail = refused(&t, failover_body()).await;
    assert!(detail.contains("not in active state") && detail.contains("reset_status"), "{detail}");
    let no = act(&t, json!({"reset_status": {}})).await;
    assert_eq!(no.status, 403, "{}", no.body);

    let admin = t.stage.admin(0).await.unwrap();
    let url = format!("{}/action", t.group_url(0));
    let headers = [("OpenStack-API-Version", "protector 1.3")];
    let reset = |body: Value| {
        let (admin, url) = (admin.clone(), url.clone());
        async move {
            let body = Some(body.to_string().into_bytes());
            admin.call_with("POST", &url, &headers, body).await.unwrap()
        }
    };
    let wrong = reset(json!({"reset_status": {"status": "failed_over"}})).await;
    assert_eq!(wrong.status, 409, "{}", wrong.body);
    assert!(wrong.body.to_string().contains("what is proven is active"), "{}", wrong.body);
    let done = reset(json!({"reset_status": {}})).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(done.body["protection_group"]["status"], "active");
    // What the operation did to the sources is taken back; starting them is their owner's.
    for server in &t.servers {
        let compute = format!("{}/compute/v2.1/servers/{}", t.stage.sites[0].cloud_url, server.id);
        let now = t.get(0, &compute).await["server"].take();
        assert_eq!((&now["status"], &now["locked"]), (&json!("SHUTOFF"), &json!(false)), "{now}");
        t.tenants[0].post(&format!("{compute}/action"), &json!({"os-start": null})).await.unwrap();
        tenant::await_status(&t.stage, &t.tenants[0], 0, &server.id, "ACTIVE").await.unwrap();
        assert!(tenant::stamp(&t.stage, 0, server, "back again"), "{} cannot write", server.name);
    }
    assert_eq!(reset(json!({"reset_status": {"force": true}})).await.status, 409);
    t.close().await;
}

/// "Operation status stuck at running": the engine goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_engine_goes_on_by_itself() {
    let mut t = Theatre::open().await;
    let id = text(&accepted(&t, failover_body()).await, "/id").unwrap();
    until(&t, &id, |o| o["progress"].as_u64() >= Some(30)).await;
    t.stop(0).await;
    t.start(0).await;
    let record = t.finish(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["result_data"]["instances_created"], 3);
    t.close().await;
}

/// "Operation fails at ... with a storage error": the policy is set again, and the operation retried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_storage_error_the_policy_is_set_again_and_the_failover_retried() {
    let t = Theatre::open().await;
    let full = Effect::Status {
        code: 400,
        message: Some("The array is out of space.".into()),
        retry_after: None,
    };
    let array_b = &t.stage.sites[1].array_name;
    let rule = Rule::new(full).site(array_b).service("array").method("POST").path("/volumes");
    t.stage.world.faults().add(rule);
    let id = text(&accepted(&t, failover_body()).await, "/id").unwrap();
    let failed = until(&t, &id, |o| o["completed_at"].is_string()).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    let step = &failed["steps_failed"][0];
    assert_eq!(step["stage"], "promote_volumes_on_flasharray", "{failed}");
    assert!(step["error"].as_str().unwrap().contains("out of space"), "{step}");
    assert_eq!(group(&t).await["status"], "active");
    t.stage.world.faults().clear(None);
    let (a, b) = (&t.stage.sites[0], &t.stage.sites[1]);
    let policy = json!({"policy": {
        "primary_fa_url": a.array_url, "primary_fa_api_token": a.array_token,
        "secondary_fa_url": b.array_url, "secondary_fa_api_token": b.array_token,
        "replication_interval": 300, "rpo_minutes": 15,
    }});
    let set = t.call("POST", &format!("{}/policy", t.group_url(0)), Some(&policy)).await;
    assert!(set.status.is_success(), "{}", set.body);
    let retried = accepted(&t, json!({"retry": {"operation_id": id}})).await;
    let record = t.finish(retried["id"].as_str().unwrap()).await;
    assert_eq!((&record["status"], &record["retry_of"]), (&json!("completed"), &json!(id)));
    t.close().await;
}
