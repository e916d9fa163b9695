//! The planned failover of the documentation, over real HTTP, checked against its words and against both clouds.

// The future that brings everything up holds all others.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use protector_demo::{
    Stage,
    protect::failover_body,
    rest::text,
    tenant::{self, AppServer},
};
use serde_json::{Value, json};
use support::Theatre;

const STAGES: [&str; 6] = [
    "validate_target_site",
    "get_latest_snapshot",
    "promote_volumes_on_flasharray",
    "manage_volumes_into_cinder",
    "recreate_instances",
    "update_protection_group_state",
];
/// Example 1, and what every record has besides.
const STARTED: [&str; 12] = [
    "completed_at",
    "error_message",
    "id",
    "operation_type",
    "progress",
    "protection_group_id",
    "source_site_id",
    "started_at",
    "status",
    "steps_completed",
    "steps_failed",
    "target_site_id",
];
/// `#cloud-config` and a line, as Nova keeps it.
const USER_DATA: &str = "I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogd2ViLTEK";

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Fills in what the demo's application does not have.
fn dress(stage: &Stage, servers: &[AppServer]) {
    let mut state = stage.world.cloud(0).lock();
    for server in &mut state.nova.servers.values_mut() {
        if server.id == servers[0].id {
            server.user_data = Some(USER_DATA.into());
            server.tags.insert("canary".into());
            server.metadata.insert("owner".into(), "team blue".into());
        }
    }
}

/// One call in version 1.1, as the examples make it.
async fn call_1_1(t: &Theatre, method: &str, url: &str, body: Option<Value>) -> (u16, Value) {
    let headers = [("OpenStack-API-Version", "protector 1.1")];
    let body = body.map(|b| b.to_string().into_bytes());
    let reply = t.tenants[0].call_with(method, url, &headers, body).await.unwrap();
    assert_eq!(reply.headers["OpenStack-API-Version"], "protector 1.1");
    assert!(reply.headers["X-OpenStack-Request-Id"].to_str().unwrap().starts_with("req-"));
    (reply.status.as_u16(), reply.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_is_as_documented_and_moves_everything() {
    let t = Theatre::open_prepared(dress).await;
    // One server is off before; it must be off afterwards.
    let off = &t.servers[1];
    let url = format!("{}/compute/v2.1/servers/{}/action", t.stage.sites[0].cloud_url, off.id);
    t.tenants[0].post(&url, &json!({"os-stop": null})).await.unwrap();
    tenant::await_status(&t.stage, &t.tenants[0], 0, &off.id, "SHUTOFF").await.unwrap();
    for server in [&t.servers[0], &t.servers[2]] {
        assert!(tenant::stamp(&t.stage, 0, server, "the last words"), "{}", server.name);
    }
    let sources = look(&t, 0).await;
    let contents = contents(&t, 0, &sources);
    let members = t.get(0, &format!("{}/members", t.group_url(0))).await;

    let record = run(&t).await;
    check_target(&t, &sources, &contents).await;
    check_fence(&t, &sources).await;
    check_groups(&t, &members, &record).await;
    check_operations(&t, &record).await;
    t.close().await;
}

/// Starts it as in Example 1 and polls as in Example 6.
async fn run(t: &Theatre) -> Value {
    let (status, started) =
        call_1_1(t, "POST", &format!("{}/action", t.group_url(0)), Some(failover_body())).await;
    assert_eq!(status, 202, "{started}");
    assert_eq!(keys(&started), ["operation"]);
    let operation = &started["operation"];
    assert_eq!(keys(operation), STARTED, "{operation}");
    let sites = &t.protected.site_ids;
    let expected = json!({
        "operation_type": "failover", "progress": 0, "source_site_id": sites[0], "target_site_id": sites[1],
        "completed_at": null, "error_message": null, "steps_completed": [], "steps_failed": [],
        "protection_group_id": t.protected.group_id,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&operation[key], value, "{key} of {operation}");
    }
    assert!(["pending", "running"].contains(&operation["status"].as_str().unwrap()), "{operation}");
    assert_time(&operation["started_at"]);
    let id = text(operation, "/id").unwrap();
    assert!(id.starts_with("op-"), "{id}");
    poll(t, &id, operation).await
}

async fn poll(t: &Theatre, id: &str, started: &Value) -> Value {
    let url = format!("{}/operations/{id}", t.project_url(0));
    let (mut progress, mut looks) = (0, 0);
    loop {
        let (status, body) = call_1_1(t, "GET", &url, None).await;
        assert_eq!(status, 200, "{body}");
        let record = &body["operation"];
        let now = record["progress"].as_u64().unwrap();
        assert!(now >= progress && now <= 100, "progress fell from {progress} to {now}");
        let done: Vec<_> = record["steps_completed"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s.as_str().unwrap())
            .collect();
        assert_eq!(done, STAGES[..done.len()], "{record}");
        assert_eq!(now == 100, record["status"] == "completed", "{record}");
        for key in [
            "id",
            "operation_type",
            "source_site_id",
            "target_site_id",
            "started_at",
            "protection_group_id",
        ] {
            assert_eq!(record[key], started[key], "{key}");
        }
        (progress, looks) = (now, looks + 1);
        match record["status"].as_str().unwrap() {
            "completed" => return check_completed(record),
            "pending" | "running" => assert!(looks < 3000, "{record}"),
            _ => panic!("{record}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn check_completed(record: &Value) -> Value {
    let mut expected = STARTED.to_vec();
    expected.push("result_data");
    expected.sort_unstable();
    assert_eq!(keys(record), expected, "{record}");
    assert_eq!(record["steps_completed"], json!(STAGES));
    assert_eq!(record["steps_failed"], json!([]));
    assert_eq!(record["error_message"], Value::Null);
    assert_eq!(
        record["result_data"],
        json!({"instances_created": 3, "volumes_managed": 5, "current_primary_site": "site-b"})
    );
    assert_time(&record["completed_at"]);
    assert!(record["started_at"].as_str() < record["completed_at"].as_str(), "{record}");
    record.clone()
}

/// `2025-11-03T10:00:00Z`
fn assert_time(value: &Value) {
    let text = value.as_str().unwrap();
    assert_eq!((text.len(), text.chars().last()), (20, Some('Z')), "{text}");
    assert!(text.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{text}");
}

/// The project's servers by name with all that a rebuild must keep, and the ids that it cannot.
async fn look(t: &Theatre, at: usize) -> BTreeMap<String, Value> {
    let base = &t.stage.sites[at].cloud_url;
    let project = &t.protected.projects[at];
    let admin = t.stage.admin(at).await.unwrap();
    let servers = admin
        .get(&format!("{base}/compute/v2.1/servers/detail?all_tenants=1&project_id={project}"))
        .await
        .unwrap();
    let volumes = t.tenants[at].get(&format!("{base}/volume/v3/volumes/detail")).await.unwrap();
    let ports = t.tenants[at].get(&format!("{base}/network/v2.0/ports")).await.unwrap();
    let networks = t.tenants[at].get(&format!("{base}/network/v2.0/networks")).await.unwrap();
    let groups = t.tenants[at].get(&format!("{base}/network/v2.0/security-groups")).await.unwrap();
    let name_of = |list: &Value, id: &Value| {
        list.as_array().unwrap().iter().find(|n| n["id"] == *id).unwrap()["name"].clone()
    };
    servers["servers"].as_array().unwrap().iter().map(|server| {
        let id = &server["id"];
        let mut disks: Vec<Value> = volumes["volumes"].as_array().unwrap().iter().filter_map(|volume| {
            let attachment = volume["attachments"].as_array()?.iter().find(|a| a["server_id"] == *id)?;
            Some(json!({
                "device": attachment["device"], "name": volume["name"], "size": volume["size"], "bootable": volume["bootable"],
                "type": volume["volume_type"], "status": volume["status"], "id": volume["id"],
            }))
        }).collect();
        disks.sort_by_key(|d| d["device"].as_str().unwrap().to_owned());
        let nics: Vec<Value> = ports["ports"].as_array().unwrap().iter().filter(|p| p["device_id"] == *id).map(|port| {
            let ips: Vec<_> = port["fixed_ips"].as_array().unwrap().iter().map(|ip| ip["ip_address"].clone()).collect();
            let groups: Vec<_> = port["security_groups"].as_array().unwrap().iter().map(|g| name_of(&groups["security_groups"], g)).collect();
            json!({"name": port["name"], "mac": port["mac_address"], "ips": ips, "groups": groups, "network": name_of(&networks["networks"], &port["network_id"])})
        }).collect();
        let summary = json!({
            "id": id, "status": server["status"], "power_state": server["OS-EXT-STS:power_state"], "key_name": server["key_name"],
            "metadata": server["metadata"], "tags": server["tags"], "user_data": server["OS-EXT-SRV-ATTR:user_data"],
            "flavor": server["flavor"]["original_name"], "locked": server["locked"], "root": server["OS-EXT-SRV-ATTR:root_device_name"],
            "config_drive": server["config_drive"], "description": server["description"], "disks": disks, "nics": nics,
        });
        (text(server, "/name").unwrap(), summary)
    }).collect()
}

/// Every disk's chain of stamps, by server and device.
fn contents(
    t: &Theatre,
    at: usize,
    servers: &BTreeMap<String, Value>,
) -> BTreeMap<(String, String), Vec<String>> {
    let cloud = t.stage.world.cloud(at);
    let mut all = BTreeMap::new();
    for (name, server) in servers {
        for disk in server["disks"].as_array().unwrap() {
            let content = cloud.volume_content(disk["id"].as_str().unwrap()).unwrap();
            all.insert((name.clone(), text(disk, "/device").unwrap()), content);
        }
    }
    all
}

async fn check_target(
    t: &Theatre,
    sources: &BTreeMap<String, Value>,
    written: &BTreeMap<(String, String), Vec<String>>,
) {
    let targets = look(t, 1).await;
    assert_eq!(targets.keys().collect::<Vec<_>>(), ["db-1", "web-1", "web-2"]);
    assert_eq!(targets.keys().collect::<Vec<_>>(), sources.keys().collect::<Vec<_>>());
    let mut in_use = 0;
    for (name, target) in &targets {
        let source = &sources[name];
        for key in [
            "status",
            "power_state",
            "key_name",
            "metadata",
            "tags",
            "user_data",
            "root",
            "config_drive",
            "description",
        ] {
            assert_eq!(target[key], source[key], "{key} of {name}");
        }
        assert_eq!(target["status"], if name == "web-2" { "SHUTOFF" } else { "ACTIVE" }, "{name}");
        assert_eq!(
            (&target["flavor"], &target["locked"]),
            (&json!("m2.large"), &json!(false)),
            "{name}"
        );
        let pairs = |key: &str| {
            let (a, b) = (source[key].as_array().unwrap(), target[key].as_array().unwrap());
            assert_eq!(a.len(), b.len(), "{key} of {name}");
            a.iter().zip(b)
        };
        for (a, b) in pairs("nics") {
            assert_eq!(
                (&a["name"], &a["mac"], &a["ips"], &a["groups"]),
                (&b["name"], &b["mac"], &b["ips"], &b["groups"]),
                "{name}"
            );
            let expected = if name == "db-1" {
                "bbb22222-net-secondary-db"
            } else {
                "bbb22222-net-secondary-web"
            };
            assert_eq!(b["network"], expected, "{name}");
        }
        for (a, b) in pairs("disks") {
            for key in ["device", "name", "size", "bootable", "type"] {
                assert_eq!(a[key], b[key], "{key} of a disk of {name}");
            }
            assert_eq!(b["status"], "in-use", "{name}");
            in_use += 1;
        }
    }
    assert_eq!(in_use, 5);
    assert_eq!(&contents(t, 1, &targets), written);
    assert!(
        written.values().any(|c| c.last().is_some_and(|s| s.contains("the last words"))),
        "{written:?}"
    );
    assert_eq!(targets["web-1"]["user_data"], USER_DATA);
    assert_eq!(targets["web-1"]["tags"].as_array().unwrap().len(), 2, "{targets:?}");
    let guests = t.servers.iter().filter(|s| s.name != "web-2");
    for guest in guests {
        let target = &targets[&guest.name];
        let volumes =
            target["disks"].as_array().unwrap().iter().map(|d| text(d, "/id").unwrap()).collect();
        let moved = AppServer { id: text(target, "/id").unwrap(), volumes, ..guest.clone() };
        assert!(
            tenant::stamp(&t.stage, 1, &moved, "life goes on"),
            "{} cannot write at site B",
            guest.name
        );
    }
}

/// Sources are off, locked, and disconnected on the array.
async fn check_fence(t: &Theatre, sources: &BTreeMap<String, Value>) {
    for (name, now) in look(t, 0).await {
        let before = &sources[&name];
        assert_eq!((&now["status"], &now["locked"]), (&json!("SHUTOFF"), &json!(true)), "{name}");
        assert_eq!(now["id"], before["id"], "{name}");
        let host = t.stage.world.cloud(0).array_host_of(now["id"].as_str().unwrap()).unwrap();
        for disk in before["disks"].as_array().unwrap() {
            let volume =
                t.stage.world.cloud(0).array_volume_name(disk["id"].as_str().unwrap()).unwrap();
            assert!(
                !t.stage.world.array(0).is_connected(&host, &volume),
                "{name}: {volume} is still connected to {host}"
            );
        }
    }
    for server in &t.servers {
        assert!(
            !tenant::stamp(&t.stage, 0, server, "a ghost"),
            "{} still writes at site A",
            server.name
        );
    }
}

/// Both sites tell the same story.
async fn check_groups(t: &Theatre, members_before: &Value, record: &Value) {
    let mut told = Vec::new();
    for at in 0..2 {
        let mut group = in_sync(t, at).await;
        assert_eq!(group["project_id"], t.protected.projects[at]);
        assert_eq!(group["status"], "failed_over");
        assert_eq!(group["current_primary_site_id"], t.protected.site_ids[1]);
        assert_eq!(group["primary_site_id"], t.protected.site_ids[0], "roles stay");
        assert_eq!(
            (&group["failover_count"], &group["current_operation_id"], &group["quarantine"]),
            (&json!(1), &Value::Null, &Value::Null)
        );
        group["project_id"] = Value::Null;
        let members = t.get(at, &format!("{}/members", t.group_url(at))).await["members"].take();
        let policy = t.get(at, &format!("{}/policy", t.group_url(at))).await;
        told.push((group, members, policy));
    }
    assert_eq!(told[0], told[1]);
    let members = told[0].1.as_array().unwrap();
    let before = members_before["members"].as_array().unwrap();
    assert_eq!(members.len(), before.len());
    for (member, before) in members.iter().zip(before) {
        let [a, b] = &t.protected.site_ids;
        assert_eq!((&member["id"], &member["servers"][a]), (&before["id"], &before["servers"][a]));
        assert_eq!(member["server_id"], member["servers"][b], "{member}");
        assert!(member["servers"][b].is_string(), "{member}");
        for volume in member["volumes"].as_array().unwrap() {
            assert!(
                volume["volume_ids"][a].is_string() && volume["volume_ids"][b].is_string(),
                "{volume}"
            );
        }
    }
    assert_eq!(record["target_site_id"], told[0].0["current_primary_site_id"]);
}

/// The group at a site, once the copies are equal; the last push may be a moment behind the record.
async fn in_sync(t: &Theatre, at: usize) -> Value {
    let url = format!("{}/sync-status", t.group_url(at));
    for _ in 0..100 {
        let sync = t.get(at, &url).await["sync_status"].take();
        if sync["status"] == "IN SYNC" {
            assert_eq!(
                (&sync["local_version"], &sync["local_epoch"]),
                (&sync["remote_version"], &sync["remote_epoch"]),
                "{sync}"
            );
            return t.get(at, &t.group_url(at)).await["protection_group"].take();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("site {at}: {}", t.get(at, &url).await);
}

/// Lists, filters, events; both sites know the operation.
async fn check_operations(t: &Theatre, record: &Value) {
    let id = record["id"].as_str().unwrap();
    let group = &t.protected.group_id;
    let all = format!("{}/operations", t.project_url(0));
    let found = [
        "".to_owned(),
        format!("?protection_group_id={group}"),
        "?operation_type=failover&status=completed".to_owned(),
        format!("?since={}", record["started_at"].as_str().unwrap()),
    ];
    for query in found {
        let (_, list) = call_1_1(t, "GET", &format!("{all}{query}"), None).await;
        let list = list["operations"].as_array().unwrap();
        assert_eq!(list.len(), 1, "{query}: {list:?}");
        assert_eq!(&list[0], record, "{query}");
    }
    for query in [
        "?operation_type=failback",
        "?status=running",
        "?since=2999-01-01T00:00:00Z",
        "?protection_group_id=00000000-0000-4000-8000-000000000000",
    ] {
        let (status, list) = call_1_1(t, "GET", &format!("{all}{query}"), None).await;
        assert_eq!((status, &list["operations"]), (200, &json!([])), "{query}");
    }
    let there =
        t.get(1, &format!("{}/operations/{id}", t.project_url(1))).await["operation"].take();
    let here = t.get(0, &format!("{all}/{id}")).await["operation"].take();
    for key in [
        "id",
        "operation_type",
        "status",
        "progress",
        "steps_completed",
        "source_site_id",
        "target_site_id",
        "started_at",
        "completed_at",
        "result_data",
    ] {
        assert_eq!(there[key], here[key], "{key} of the operation at site B");
    }
    check_events(t, &format!("{all}/{id}/events")).await;
}

async fn check_events(t: &Theatre, url: &str) {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let marker = events.len();
        let page = t.get(0, &format!("{url}?limit=7&marker={marker}")).await["events"].take();
        let page = page.as_array().unwrap().clone();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 7);
        events.extend(page);
    }
    let numbers: Vec<_> = events.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(events.last().unwrap()["event"], "ended");
    let named = |name: &str| events.iter().filter(|e| e["event"] == name).count();
    assert_eq!((named("failed"), named("undone"), named("parked")), (0, 0, 0), "{events:?}");
    let mut stages: Vec<_> = events.iter().filter_map(|e| e["stage"].as_str()).collect();
    stages.sort_unstable();
    stages.dedup();
    assert_eq!(stages.len(), STAGES.len(), "{stages:?}");
    for name in ["web-1", "web-2", "db-1"] {
        assert!(events.iter().any(|e| e["member"] == name), "{name} is in no event");
    }
    let (status, _) = call_1_1(t, "GET", url, None).await;
    assert_eq!(status, 404, "events came with 1.3");
}
