//! Bad input against two running Protectors over real HTTP: the documented 4xx, with a reason that a person can act
//! on, and an unchanged world: both clouds, both arrays, both databases.

// The future that brings everything up holds all others.
#![recursion_limit = "256"]
#![allow(clippy::disallowed_methods, reason = "a person waits in real time")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod bodies;
mod plans;
mod states;
mod strangers;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use protector_demo::{protect::failover_body, rest::text};
use serde_json::{Value, json};
use support::{Case, Theatre, difference};

const MALFORMED: &str = "request.malformed";
const UNKNOWN: &str = "request.unknown_field";
const VALUE: &str = "request.invalid_value";
const NOT_FOUND: &str = "resource.not_found";
const UNREACHABLE: &str = "Cannot modify protection group — remote site unreachable";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_names_its_reason_and_changes_nothing() {
    let t = Theatre::open().await;
    states::furnish(&t).await;
    strangers::add_reader(&t);
    let second = json!({"protection_group": {"name": "second"}});
    let second =
        t.call("POST", &format!("{}/protection-groups", t.project_url(0)), Some(&second)).await;
    let second = text(&second.body, "/protection_group/id").unwrap();
    // The second group has no policy yet.
    let mut cases = bodies::bodies(&t);
    cases.extend(bodies::envelopes(&t));
    cases.extend(strangers::strangers(&t).await);
    cases.extend(states::states(&t, &second).await);
    cases.extend(states::policies(&t, &second));
    let mut complaints = Vec::new();
    for case in &cases {
        complaints.extend(case.verify(&t).await.err());
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    plans::plans(&t).await;
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_server_is_refused_until_its_member_is_refreshed() {
    let t = Theatre::open().await;
    let url = format!("{}/compute/v2.1/servers/{}", t.stage.sites[0].cloud_url, t.servers[0].id);
    let extra = states::add_volume(&t, "web-1-data-2", "replicated");
    let attach = json!({"volumeAttachment": {"volumeId": extra}});
    t.tenants[0].post(&format!("{url}/os-volume_attachments"), &attach).await.unwrap();
    t.stage.clock.sleep(Duration::from_secs(2)).await;

    let action = format!("{}/action", t.group_url(0));
    let words = ["web-1", extra.as_str(), "not protected", "refresh the member"];
    Case::new("POST", &action, failover_body(), 409, "member.not_ready", &words).check(&t).await;

    let members = t.get(0, &format!("{}/members", t.group_url(0))).await;
    let member =
        members["members"].as_array().unwrap().iter().find(|m| m["name"] == "web-1").unwrap();
    assert_eq!(member["volumes"].as_array().unwrap().len(), 2);
    let refresh = format!("{}/members/{}/refresh", t.group_url(0), member["id"].as_str().unwrap());
    let fresh = t.call("POST", &refresh, None).await;
    assert!(fresh.status.is_success(), "{:?}", fresh);
    let volumes = fresh.body["member"]["volumes"].as_array().unwrap().clone();
    assert_eq!(volumes.len(), 3, "{volumes:?}");

    let started = t.call("POST", &action, Some(&failover_body())).await;
    assert_eq!(started.status, 202, "{}", started.body);
    let record = t.finish(started.body["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["result_data"]["volumes_managed"], 6, "{record}");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_group_names_its_operation_and_an_idempotency_key_starts_only_one() {
    let t = Theatre::open().await;
    let group = t.group_url(0);
    let action = format!("{group}/action");
    let body = failover_body().to_string();
    let keyed = |body: &str, key: &str| {
        let headers = [("OpenStack-API-Version", "protector 1.3"), ("Idempotency-Key", key)];
        let (rest, body) = (t.tenants[0].clone(), body.as_bytes().to_vec());
        let (action, headers) = (action.clone(), headers.map(|(k, v)| (k, v.to_owned())));
        async move {
            let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
            rest.call_with("POST", &action, &headers, Some(body)).await.unwrap()
        }
    };
    let first = keyed(&body, "monday").await;
    assert_eq!(first.status, 202, "{}", first.body);
    let id = text(&first.body, "/operation/id").unwrap();

    let busy = "protection_group.busy";
    let mapping = json!({"protection_group": {"description": "now"}});
    for case in [
        Case::new("POST", &action, &body, 409, busy, &[&id, "wait"]),
        Case::new("POST", &action, json!({"sync_volumes": {}}), 409, busy, &[&id]),
        Case::new("PATCH", &group, &mapping, 409, busy, &[&id]),
        Case::new("DELETE", &group, "", 409, busy, &[&id]),
        Case::new(
            "POST",
            &format!("{group}/members"),
            json!({"member": {"server": "web-1"}}),
            409,
            busy,
            &[&id],
        ),
        Case::new(
            "POST",
            &action,
            json!({"failover": {}}),
            409,
            "request.idempotency_mismatch",
            &[&id, "another body"],
        )
        .with("Idempotency-Key", "monday"),
    ] {
        case.answer(&t).await.unwrap();
    }
    // The same body in other words is the same body.
    let again = keyed(&serde_json::to_string_pretty(&failover_body()).unwrap(), "monday").await;
    assert_eq!((again.status.as_u16(), &again.body["operation"]["id"]), (202, &json!(id)));

    let record = t.finish(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    let before = t.world().await;
    let replayed = keyed(&body, "monday").await;
    assert_eq!(replayed.status, 202, "{}", replayed.body);
    assert_eq!(replayed.body["operation"]["id"], json!(id));
    assert_eq!(replayed.body["operation"]["status"], "completed");
    let operations = t.get(0, &format!("{}/operations", t.project_url(0))).await;
    assert_eq!(operations["operations"].as_array().unwrap().len(), 1, "{operations}");
    // What worked once is the wrong thing in the state that it led to.
    let words = ["Protection Group is not in active state", "failed_over", "failback"];
    Case::new("POST", &action, &body, 409, "protection_group.wrong_state", &words).check(&t).await;
    assert_eq!(difference(&before, &t.world().await, ""), None);
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_peer_a_group_can_be_read_but_not_changed() {
    let mut t = Theatre::open().await;
    let before = (t.simulators(), t.records(0).await);
    t.stop(1).await;
    refused_without_peer(&t, "refused connections").await;
    // A host that accepts and says nothing is the worse case.
    let address = t.stage.sites[1].api_url.trim_start_matches("http://").to_owned();
    let silent = tokio::net::TcpListener::bind(&address).await.unwrap();
    let silence = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = silent.accept().await {
            held.push(socket);
        }
    });
    refused_without_peer(&t, "silence").await;
    silence.abort();
    let _ = silence.await;
    assert_eq!(difference(&before.0, &t.simulators(), ""), None);
    assert_eq!(difference(&before.1, &t.records(0).await, ""), None);

    t.start(1).await;
    let change = json!({"protection_group": {"description": "again"}});
    let changed = t.call("PATCH", &t.group_url(0), Some(&change)).await;
    assert!(changed.status.is_success(), "{:?}", changed);
    assert_eq!(t.get(1, &t.group_url(1)).await["protection_group"]["description"], "again");
    t.close().await;
}

async fn refused_without_peer(t: &Theatre, how: &str) {
    let group = t.group_url(0);
    let member = json!({"member": {"server": t.servers[0].id}});
    let changes = [
        ("POST", format!("{group}/action"), failover_body()),
        ("POST", format!("{group}/action"), json!({"sync_volumes": {}})),
        ("POST", format!("{group}/members"), member),
        ("PATCH", group.clone(), json!({"protection_group": {"description": "now"}})),
        ("DELETE", group.clone(), Value::Null),
        (
            "POST",
            format!("{}/protection-groups", t.project_url(0)),
            json!({"protection_group": {"name": "third"}}),
        ),
    ];
    for (method, url, body) in changes {
        let begun = Instant::now();
        let reply = t.call(method, &url, Some(&body).filter(|b| !b.is_null())).await;
        let took = begun.elapsed();
        let what = format!(
            "{how}: {method} {url} answered {} {} after {took:?}",
            reply.status, reply.body
        );
        assert_eq!(reply.status, 409, "{what}");
        assert_eq!(reply.body["errors"][0]["code"], "protection_group.peer_unreachable", "{what}");
        assert_eq!(reply.body["errors"][0]["detail"], UNREACHABLE, "{what}");
        assert!(took < Duration::from_millis(3000), "{what}");
    }
    for path in ["", "/members", "/policy", "/consistency-group", "/health"] {
        let reply = t.call("GET", &format!("{group}{path}"), None).await;
        assert!(reply.status.is_success(), "{how}: GET {path}: {:?}", reply);
    }
    let sync = t.get(0, &format!("{group}/sync-status")).await;
    assert_eq!(sync["sync_status"]["status"], "UNREACHABLE", "{how}: {sync}");
    assert!(
        t.call("GET", &format!("{}/operations", t.project_url(0)), None).await.status.is_success()
    );
}
