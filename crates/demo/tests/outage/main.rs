//! The worst day and its rehearsals, over real HTTP: forced failovers and drills, judged by both clouds and by what the
//! volumes hold.

// The future that brings everything up holds all others.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod drill;
mod forced;
mod rollback;
#[path = "../support/mod.rs"]
mod support;
mod synchronous;

use std::{collections::BTreeMap, time::Duration};

use protector_demo::{
    rest::{Reply, text},
    stage::{FLAVORS, NETWORKS},
    tenant,
};
use serde_json::{Value, json};
use support::Theatre;

/// Example 2's mappings, with the database's network too.
fn mapped(more: Value) -> Value {
    let mut body = json!({
        "network_mapping": {NETWORKS[0][0]: NETWORKS[1][0], NETWORKS[0][1]: NETWORKS[1][1]},
        "flavor_mapping": {FLAVORS[0]: FLAVORS[1]},
    });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// An action of the tenant at a site, whatever the answer.
async fn ask(t: &Theatre, at: usize, action: &str, params: Value) -> Reply {
    let headers = [("OpenStack-API-Version", "protector 1.3")];
    let body = json!({action: params}).to_string().into_bytes();
    let url = format!("{}/action", t.group_url(at));
    t.tenants[at].call_with("POST", &url, &headers, Some(body)).await.unwrap()
}

/// The same, and it must be accepted; gives the record as it ended.
async fn act(t: &Theatre, at: usize, action: &str, params: Value) -> Value {
    let reply = ask(t, at, action, params).await;
    assert_eq!(reply.status, 202, "{}", reply.body);
    finish(t, at, &text(&reply.body, "/operation/id").unwrap()).await
}

async fn finish(t: &Theatre, at: usize, operation: &str) -> Value {
    let url = format!("{}/operations/{operation}", t.project_url(at));
    for _ in 0..2400 {
        let record = t.get(at, &url).await["operation"].take();
        let status = text(&record, "/status").unwrap();
        if matches!(status.as_str(), "completed" | "failed" | "cancelled" | "needs_attention") {
            return record;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("operation {operation} did not end in two minutes");
}

async fn group(t: &Theatre, at: usize) -> Value {
    t.get(at, &t.group_url(at)).await["protection_group"].take()
}

/// Every guest at site A writes to each of its volumes.
fn write(t: &Theatre, stamp: &str) {
    for server in &t.servers {
        assert!(tenant::stamp(&t.stage, 0, server, stamp), "{} cannot write", server.name);
    }
}

/// Writes, and waits until a point that holds it has arrived at site B.
async fn replicate(t: &Theatre, stamp: &str) {
    write(t, stamp);
    let since = t.stage.clock.now();
    let url = format!("{}/consistency-group", t.group_url(0));
    for _ in 0..1200 {
        let newest = t.get(0, &url).await["consistency_group"]["newest_recovery_point"].take();
        let at = newest["created_at"].as_str().and_then(|at| at.parse().ok());
        if at.is_some_and(|at: chrono::DateTime<chrono::Utc>| at > since) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no point arrived in two minutes");
}

/// Cloud, array and Protector of site A are gone.
async fn lose_site_a(t: &mut Theatre) {
    t.stage.served.sites[0].kill().await;
    t.stop(0).await;
}

/// The tenant's servers of a site by name.
async fn servers(t: &Theatre, at: usize) -> BTreeMap<String, Value> {
    let url = format!("{}/compute/v2.1/servers/detail", t.stage.sites[at].cloud_url);
    let all = t.get(at, &url).await["servers"].as_array().cloned().unwrap();
    all.into_iter().map(|server| (text(&server, "/name").unwrap(), server)).collect()
}

fn statuses(servers: &BTreeMap<String, Value>) -> Vec<(&str, &str)> {
    servers.iter().map(|(n, s)| (n.as_str(), s["status"].as_str().unwrap())).collect()
}

/// The last stamp of every volume of the tenant's servers at a site.
async fn last_stamps(t: &Theatre, at: usize) -> Vec<String> {
    let mut stamps = Vec::new();
    for server in servers(t, at).await.into_values() {
        for volume in server["os-extended-volumes:volumes_attached"].as_array().unwrap() {
            let id = text(volume, "/id").unwrap();
            let content = t.stage.world.cloud(at).volume_content(&id).unwrap();
            stamps.push(content.last().cloned().unwrap_or_default());
        }
    }
    stamps
}

/// What a cloud and its array hold, live: names of servers, volumes, ports, networks, array volumes and groups.
fn holdings(t: &Theatre, at: usize) -> Value {
    let dump = t.simulators();
    let (cloud, array) = (&t.stage.sites[at].name, &t.stage.sites[at].array_name);
    let (cloud, array) = (&dump["clouds"][cloud.as_str()], &dump["arrays"][array.as_str()]);
    let live: Vec<_> = array["volumes"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, volume)| volume["destroyed"] != true)
        .map(|(name, _)| name.clone())
        .collect();
    // Of groups only who may send what: destroyed volumes stay in them until they are eradicated.
    let groups: serde_json::Map<String, Value> = array["groups"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, g)| (name.clone(), json!({"targets": g["targets"], "allowed": g["allowed"]})))
        .collect();
    json!({
        "servers": cloud["compute"]["servers"], "server_groups": cloud["compute"]["server_groups"],
        "volumes": cloud["volume"]["volumes"], "ports": cloud["network"]["ports"],
        "networks": cloud["network"]["networks"], "subnets": cloud["network"]["subnets"],
        "array_volumes": live, "groups": groups,
    })
}
