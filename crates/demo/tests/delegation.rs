//! In whose name servers and keypairs are made at the other site.

// The future that brings everything up holds all others.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use protector_demo::{protect::failover_body, rest::text};
use serde_json::{Value, json};
use support::Theatre;

/// A call by which the tenant shows himself at a site: the first that changes something.
async fn show_himself(t: &Theatre, at: usize) {
    let url = t.group_url(at);
    let body = json!({"protection_group": {"description": format!("seen at {at}")}});
    t.tenants[at].call("PATCH", &url, Some(&body)).await.unwrap();
}

async fn health(t: &Theatre, at: usize) -> Vec<Value> {
    let url = format!("{}/health", t.group_url(at));
    let reply = t.call("GET", &url, None).await;
    reply.body["health"]["delegation"].as_array().unwrap_or(&Vec::new()).clone()
}

fn at_site<'a>(t: &Theatre, health: &'a [Value], site: usize) -> &'a Value {
    health.iter().find(|h| h["site_id"] == t.protected.site_ids[site].as_str()).unwrap()
}

/// Owners of the servers at site B, by user name, and whose the keypairs are.
fn owners(t: &Theatre) -> (Vec<String>, Vec<(String, String)>) {
    let state = t.stage.world.cloud(1).lock();
    let name = |id: &str| state.keystone.users.get(id).map_or(id.to_owned(), |u| u.name.clone());
    let mut owners: Vec<_> = state.nova.servers.values().map(|s| name(&s.user_id)).collect();
    owners.sort();
    owners.dedup();
    let keys = state.nova.keypairs.values().map(|k| (name(&k.user_id), k.name.clone())).collect();
    (owners, keys)
}

fn not_preserved(record: &Value) -> Vec<String> {
    let listed = record["result_data"]["not_preserved"].as_array().unwrap();
    listed.iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_who_called_at_the_other_site_owns_what_is_made_there() {
    let t = Theatre::open().await;
    // At A he made the group; nobody has called at B.
    let before = health(&t, 0).await;
    assert_eq!(at_site(&t, &before, 0)["acts_as"], "trust", "{before:?}");
    assert_eq!(at_site(&t, &before, 0)["user_name"], "app-user");
    assert_eq!(at_site(&t, &before, 1)["acts_as"], "service_user", "{before:?}");
    assert!(at_site(&t, &before, 1)["reason"].as_str().unwrap().contains("no user"));
    show_himself(&t, 1).await;
    let after = health(&t, 0).await;
    assert_eq!(at_site(&t, &after, 1)["acts_as"], "trust", "{after:?}");
    // One trust, however often he calls.
    show_himself(&t, 1).await;
    assert_eq!(t.stage.world.cloud(1).lock().keystone.trusts.len(), 1);

    let record = t.fail_over().await;
    assert_eq!(record["status"], "completed", "{record}");
    let (owners, keys) = owners(&t);
    assert_eq!(owners, ["app-user"]);
    assert_eq!(keys, [("app-user".to_owned(), "app-key".to_owned())]);
    assert_eq!(not_preserved(&record), [""; 0], "{record}");
    // The trust is nowhere to be seen.
    let trust = t.stage.world.cloud(1).lock().keystone.trusts.keys().next().unwrap().clone();
    let events =
        format!("{}/operations/{}/events", t.project_url(0), record["id"].as_str().unwrap());
    let events = t.call("GET", &events, None).await.body.to_string();
    assert!(!events.contains(&trust) && !record.to_string().contains(&trust));
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_left_stops_nothing() {
    let t = Theatre::open().await;
    show_himself(&t, 1).await;
    {
        let mut state = t.stage.world.cloud(1).lock();
        let user = state.keystone.user_named("app-user", "default").unwrap().id.clone();
        state.keystone.users.get_mut(&user).unwrap().enabled = false;
    }
    let record = t.fail_over().await;
    assert_eq!(record["status"], "completed", "{record}");
    let (owners, keys) = owners(&t);
    assert_eq!(owners, ["protector"]);
    assert_eq!(keys, [("protector".to_owned(), "app-key".to_owned())]);
    let lost = not_preserved(&record);
    assert_eq!(lost.iter().filter(|l| l.contains("owner")).count(), 3, "{lost:?}");
    let now = health(&t, 0).await;
    let at_b = at_site(&t, &now, 1);
    assert_eq!(at_b["acts_as"], "service_user", "{at_b}");
    t.close().await;
}

/// The trust ends after the plan was made in the tenant's name, before a server is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_leaves_in_the_middle_stops_nothing_either() {
    let t = Theatre::open().await;
    show_himself(&t, 1).await;
    let url = format!("{}/action", t.group_url(0));
    let started = t.call("POST", &url, Some(&failover_body())).await;
    assert_eq!(started.status.as_u16(), 202, "{}", started.body);
    {
        let mut state = t.stage.world.cloud(1).lock();
        let user = state.keystone.user_named("app-user", "default").unwrap().id.clone();
        state.keystone.assignments.retain(|a| a.user_id != user);
        state.keystone.tokens.clear();
    }
    let record = t.finish(&text(&started.body, "/operation/id").unwrap()).await;
    assert_eq!(record["status"], "completed", "{record}");
    let (owners, keys) = owners(&t);
    assert_eq!(owners, ["protector"]);
    assert!(keys.contains(&("protector".to_owned(), "app-key".to_owned())), "{keys:?}");
    t.close().await;
}

/// A robot's application credential cannot make a trust, and does not take a person's away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_credential_makes_no_trust() {
    let t = Theatre::open().await;
    let keystone = &t.stage.sites[1].auth_url;
    let user = {
        let state = t.stage.world.cloud(1).lock();
        state.keystone.user_named("app-user", "default").unwrap().id.clone()
    };
    let made = t.tenants[1]
        .post(
            &format!("{keystone}/users/{user}/application_credentials"),
            &json!({"application_credential": {"name": "robot", "secret": "s3cret"}}),
        )
        .await
        .unwrap();
    let id = text(&made, "/application_credential/id").unwrap();
    let body = json!({"auth": {"identity": {
        "methods": ["application_credential"],
        "application_credential": {"id": id, "secret": "s3cret"},
    }}});
    let url = format!("{keystone}/auth/tokens");
    let body = Some(serde_json::to_vec(&body).unwrap());
    let reply = t.tenants[1].call_with("POST", &url, &[], body).await.unwrap();
    let robot = t.tenants[1].with_token(reply.headers["X-Subject-Token"].to_str().unwrap());
    let change = json!({"protection_group": {"description": "by a robot"}});
    robot.call("PATCH", &t.group_url(1), Some(&change)).await.unwrap();
    let trusts = || t.stage.world.cloud(1).lock().keystone.trusts.len();
    assert_eq!(trusts(), 0);
    // Health at A asks B, which hands over only what is in force: the reason is known at B.
    let url = format!("{}/health", t.group_url(1));
    let headers = [("OpenStack-API-Version", "protector 1.3")];
    let own = t.tenants[1].call_with("GET", &url, &headers, None).await.unwrap().body;
    let own = own["health"]["delegation"].as_array().unwrap().clone();
    let told = at_site(&t, &own, 1)["reason"].as_str().unwrap();
    assert!(told.contains("application credential"), "{told}");
    show_himself(&t, 1).await;
    assert_eq!(trusts(), 1);
    robot.call("PATCH", &t.group_url(1), Some(&change)).await.unwrap();
    assert_eq!(trusts(), 1);
    t.close().await;
}
