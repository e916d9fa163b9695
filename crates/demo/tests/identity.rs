//! What a rebuilt server keeps, what an operation leaves, and who cleans up behind a dead one.

// The future that brings everything up holds all others.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{collections::BTreeSet, sync::Arc};

use protector_demo::{Stage, protect::failover_body, rest::text, tenant::AppServer};
use protector_server::{Protector, Sweep, hooks::CrashAt};
use serde_json::{Value, json};
use support::Theatre;

/// Two security groups that refer to each other and to themselves, image metadata, a named port: at site A only.
async fn dress(stage: &Stage, servers: &[AppServer]) {
    let (tenant, _) = stage.tenant(0).await.unwrap();
    let base = stage.sites[0].cloud_url.clone();
    let neutron = format!("{base}/network/v2.0");
    let mut ids = Vec::new();
    for name in ["web", "db"] {
        let body = json!({"security_group": {"name": name, "description": format!("{name} tier")}});
        let made = tenant.post(&format!("{neutron}/security-groups"), &body).await.unwrap();
        ids.push((text(&made, "/security_group/id").unwrap(), made));
    }
    let (web, db) = (ids[0].0.clone(), ids[1].0.clone());
    for (of, port, from) in [(&web, 80, &web), (&web, 81, &db), (&db, 5432, &web)] {
        let rule = json!({"security_group_rule": {
            "security_group_id": of, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
            "port_range_min": port, "port_range_max": port, "remote_group_id": from,
        }});
        tenant.post(&format!("{neutron}/security-group-rules"), &rule).await.unwrap();
    }
    // A tenant who closed what every new group opens.
    for rule in ids[0].1["security_group"]["security_group_rules"].as_array().unwrap() {
        let url = format!("{neutron}/security-group-rules/{}", rule["id"].as_str().unwrap());
        tenant.call("DELETE", &url, None).await.unwrap();
    }
    let url = format!("{neutron}/ports?device_id={}", servers[0].id);
    let port = text(&tenant.get(&url).await.unwrap(), "/ports/0/id").unwrap();
    let groups = tenant.get(&format!("{neutron}/security-groups?name=default")).await.unwrap();
    let default = text(&groups, "/security_groups/0/id").unwrap();
    let change = json!({"port": {"name": "front door", "security_groups": [default, web]}});
    tenant.call("PUT", &format!("{neutron}/ports/{port}"), Some(&change)).await.unwrap();
    let image = json!({"os-set_image_metadata": {"metadata": {"hw_firmware_type": "uefi", "hw_machine_type": "q35"}}});
    let url = format!("{base}/volume/v3/volumes/{}/action", servers[0].volumes[0]);
    tenant.post(&url, &image).await.unwrap();
}

async fn open() -> Theatre {
    Theatre::open_prepared(|stage, servers| {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(dress(stage, servers));
        });
    })
    .await
}

/// Rules of the tenant's groups but the default, with names instead of ids.
async fn rules(t: &Theatre, at: usize) -> BTreeSet<String> {
    let url = format!("{}/network/v2.0/security-groups", t.stage.sites[at].cloud_url);
    let list = t.tenants[at].get(&url).await.unwrap();
    let groups = list["security_groups"].as_array().unwrap();
    let name = |id: &Value| {
        groups.iter().find(|g| g["id"] == *id).map_or(json!("none"), |g| g["name"].clone())
    };
    let mut rules = BTreeSet::new();
    for group in groups.iter().filter(|g| g["name"] != "default") {
        rules.insert(format!("{} is {}", group["name"], group["description"]));
        for rule in group["security_group_rules"].as_array().unwrap() {
            rules.insert(format!(
                "{}: {} {} {} {} from {} {}",
                group["name"],
                rule["direction"],
                rule["ethertype"],
                rule["protocol"],
                rule["port_range_min"],
                name(&rule["remote_group_id"]),
                rule["remote_ip_prefix"],
            ));
        }
    }
    rules
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn security_groups_are_copied_and_no_marker_stays() {
    let t = open().await;
    let before = rules(&t, 0).await;
    assert!(before.iter().any(|r| r.contains("80 from \"web\"")), "{before:?}");
    assert!(rules(&t, 1).await.is_empty());
    let record = t.fail_over().await;
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(rules(&t, 1).await, before);
    assert_eq!(record["result_data"]["leaked"], json!([]), "{record}");
    assert_eq!(record["leaked"], json!([]), "{record}");

    web_is_as_it_was_and_no_marker_shows(&t);
    let root = t.tenants[1]
        .get(&format!("{}/volume/v3/volumes/detail", t.stage.sites[1].cloud_url))
        .await
        .unwrap();
    let root =
        root["volumes"].as_array().unwrap().iter().find(|v| v["name"] == "web-1-root").unwrap();
    assert_eq!(root["volume_image_metadata"]["hw_firmware_type"], "uefi", "{root}");
    t.close().await;
}

fn web_is_as_it_was_and_no_marker_shows(t: &Theatre) {
    let state = t.stage.world.cloud(1).lock();
    let web = state.nova.servers.values().find(|s| s.name == "web-1").unwrap();
    let port = state.neutron.ports.values().find(|p| p.device_id == web.id).unwrap();
    assert_eq!(port.common.name, "front door");
    let names: BTreeSet<_> = port
        .security_groups
        .iter()
        .map(|id| state.neutron.security_groups[id].common.name.as_str())
        .collect();
    assert_eq!(names, BTreeSet::from(["default", "web"]));
    for server in state.nova.servers.values() {
        assert!(server.tags.iter().all(|tag| !tag.starts_with("ptr-")), "{:?}", server.tags);
    }
}

async fn sweep(t: &Theatre, at: usize, remove: bool, named: Option<&str>) -> Sweep {
    let config = t.stage.sites[at].config.clone();
    let hook = Arc::new(CrashAt::from_env());
    let protector = Protector::assemble(config, t.stage.clock.clone(), hook).await.unwrap();
    protector.leftovers(remove, named.map(|id| id.parse().unwrap())).await.unwrap()
}

/// A port of the tenant's at site B; gives its id.
async fn plant(t: &Theatre, name: &str, device: Option<&str>) -> String {
    let base = format!("{}/network/v2.0", t.stage.sites[1].cloud_url);
    let networks = t.tenants[1].get(&format!("{base}/networks")).await.unwrap();
    let network = text(&networks, "/networks/0/id").unwrap();
    let mut port = json!({"network_id": network, "name": name});
    if let Some(device) = device {
        port["device_id"] = json!(device);
    }
    let made = t.tenants[1].post(&format!("{base}/ports"), &json!({"port": port})).await.unwrap();
    text(&made, "/port/id").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leftovers_of_dead_operations_go_and_nothing_else() {
    let t = Theatre::open().await;
    let record = t.fail_over().await;
    assert_eq!(record["status"], "completed", "{record}");
    let clean = sweep(&t, 0, false, None).await;
    assert!(clean.leftovers.is_empty() && clean.not_looked.is_empty(), "{clean:?}");

    let id = record["id"].as_str().unwrap();
    let short = &id[id.len() - 12..];
    let server = record["result_data"]["servers"].as_object().unwrap().values().next().unwrap();
    let dead = plant(&t, &format!("ptr-{short}-m0.port0"), None).await;
    let in_use = plant(&t, &format!("ptr-{short}-m0.port0"), server.as_str()).await;
    let unknown = plant(&t, "ptr-000000000000-m0.port0", None).await;
    let tenants = plant(&t, "ptr-of-the-tenant", None).await;
    let there = |id: &str| t.stage.world.cloud(1).lock().neutron.ports.contains_key(id);

    let found = sweep(&t, 0, false, None).await;
    let why = |sweep: &Sweep, id: &str| {
        sweep.leftovers.iter().find(|l| l.thing.id == id).map(|l| l.kept_because.clone())
    };
    assert_eq!(why(&found, &dead), Some(None), "{found:?}");
    assert!(why(&found, &in_use).unwrap().unwrap().contains("member"), "{found:?}");
    assert!(why(&found, &unknown).unwrap().unwrap().contains("--operation"), "{found:?}");
    assert_eq!(found.leftovers.len(), 3, "{found:?}");
    assert!([&dead, &in_use, &unknown].iter().all(|id| there(id)), "a dry run removes nothing");

    // The other site has its journal too, once it has heard how it ended: either may sweep.
    let there_too = format!("{}/operations/{id}", t.project_url(1));
    while t.tenants[1].get(&there_too).await.unwrap()["operation"]["status"] != "completed" {
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    let elsewhere = sweep(&t, 1, true, None).await;
    assert!(!there(&dead) && there(&in_use) && there(&unknown), "{elsewhere:?}");
    let dead = plant(&t, &format!("ptr-{short}-m0.port0"), None).await;
    let swept = sweep(&t, 0, true, None).await;
    assert!(!there(&dead) && there(&in_use) && there(&unknown), "{swept:?}");
    sweep(&t, 0, true, Some("op-00000000-0000-7000-8000-000000000000")).await;
    assert!(!there(&unknown) && there(&in_use) && there(&tenants));

    // A copy that differs: nothing of the group is touched.
    let again = plant(&t, &format!("ptr-{short}-m0.port0"), None).await;
    let mut t = t;
    t.stop(1).await;
    let unsure = sweep(&t, 0, true, None).await;
    let kept = unsure.leftovers.iter().find(|l| l.thing.id == again).unwrap();
    assert!(kept.kept_because.as_ref().unwrap().contains("not the same"), "{unsure:?}");
    t.close().await;
}

/// After a rollback the record says that nothing is left, and if something is, it says what.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_looks_back_too() {
    let t = Theatre::open().await;
    // No server can be made at B.
    let url = format!("{}/action", t.group_url(0));
    let fault = protector_sim::faults::Rule::new(protector_sim::faults::Effect::Status {
        code: 403,
        message: Some("Quota exceeded for instances".into()),
        retry_after: None,
    });
    let fault = fault.site("site-b").service("compute").method("POST").path("*/servers");
    t.stage.world.faults().add(fault);
    let started = t.call("POST", &url, Some(&failover_body())).await;
    assert_eq!(started.status.as_u16(), 202, "{}", started.body);
    let id = text(&started.body, "/operation/id").unwrap();
    let record = t.finish(&id).await;
    assert_eq!(record["status"], "failed", "{record}");
    let url = format!("{}/operations/{id}", t.project_url(0));
    let record = t.call("GET", &url, None).await.body["operation"].take();
    assert_eq!(record["result_data"]["leaked"], json!([]), "{record}");
    t.close().await;
}
