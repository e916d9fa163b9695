//! There and back: sync, failback, reprotect and what is kept, over real HTTP, judged by both clouds and both arrays.

#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod after_reprotect;
mod round;

use protector_sim::faults::{Effect, Rule};
use round::{Round, failback_body, servers};
use serde_json::json;

const STAGES: [&str; 6] = protector_testkit::expect::STAGES;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_ships_from_wherever_the_group_runs() {
    let round = Round::open().await;
    let url = format!("{}/consistency-group/sync", round.group_url(0));
    let started = round.tenants[0].post(&url, &json!({})).await.unwrap();
    let id = started["operation"]["id"].as_str().unwrap().to_owned();
    let record = round.finish(0, &id).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(
        record["steps_completed"],
        json!(["create_group_snapshot", "wait_for_replication", "update_replication_state"])
    );
    assert_eq!(record["result_data"]["volumes_synced"], 5);
    assert_eq!(round.group(1).await["status"], "active");

    round.fail_over().await;
    round.write(1, "after the failover");
    let before = round.contents(1);
    let record = round.done(1, &json!({"sync_volumes": {}})).await;
    assert_eq!(record["result_data"]["volumes_synced"], 5, "{record:#}");
    let group = round.group(0).await;
    assert_eq!(
        (&group["status"], &group["replication_status"]),
        (&json!("failed_over"), &json!("replicating"))
    );
    // The reverse group replicates on schedule; the old direction does not.
    let name = format!("protector-{}", round.protected.group_id);
    let inventory = round.inventory();
    assert!(inventory.sites[1].array_groups[&name].schedule);
    assert!(!inventory.sites[0].array_groups[&name].schedule);
    assert_eq!(inventory.sites[1].array_groups[&name].volumes.len(), 5);
    assert_eq!(round.contents(1), before, "the primary is untouched");
    round.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failback_reuses_the_originals_and_loses_nothing() {
    let round = Round::open().await;
    let before = round.inventory();
    round.fail_over().await;
    round.write(1, "written at site B");
    let last = round.contents(1);

    let record = round.done(1, &failback_body(true)).await;
    assert_eq!(record["operation_type"], "failback");
    assert_eq!(record["steps_completed"], json!(STAGES), "{record:#}");
    assert_eq!((&record["progress"], &record["steps_failed"]), (&json!(100), &json!([])));
    let result = &record["result_data"];
    assert_eq!(result["warnings"].as_array().map_or(0, Vec::len), 0, "{record:#}");
    assert_eq!(result["current_primary_site"], "site-a");
    assert_eq!(result["data_loss_seconds"], 0);
    assert_eq!(result["reused"].as_array().unwrap().len(), 3, "{record:#}");

    // The very same servers, with the very same volumes and ports, running, and with what was written at B.
    let after = round.inventory();
    let (a, b) = (&after.sites[0], &after.sites[1]);
    assert_eq!(round.contents(0), last, "nothing is lost");
    for (id, server) in &before.sites[0].servers {
        let now = &a.servers[id];
        assert_eq!((&now.status, now.locked), (&"ACTIVE".to_owned(), false), "{now:?}");
        assert_eq!((&now.disks, &now.ports), (&server.disks, &server.ports));
    }
    assert_eq!(a.servers.len(), 3);
    assert_eq!(a.volumes.len(), before.sites[0].volumes.len());
    round.write(0, "they can write again");

    // Nothing of the other site is left but the copies that are kept.
    assert!(b.servers.is_empty(), "{:?}", b.servers);
    assert_eq!(b.ports.len(), before.sites[1].ports.len(), "{:?}", b.ports);
    assert_eq!(b.volumes.values().filter(|v| v.status == "available").count(), 5);
    assert_eq!(round.volume_snapshots(0).iter().filter(|s| s.ends_with("-safe")).count(), 5);
    assert_eq!(result["kept"].as_array().unwrap().len(), 10, "{record:#}");

    let groups = round.settled().await;
    for group in &groups {
        assert_eq!((&group["status"], &group["failover_count"]), (&json!("active"), &json!(2)));
        assert_eq!(group["current_primary_site_id"], round.protected.site_ids[0]);
        assert_eq!(group["replication_status"], "replicating");
    }
    let name = format!("protector-{}", round.protected.group_id);
    assert!(a.array_groups[&name].schedule && !b.array_groups[&name].schedule);
    for member in round.members(1).await {
        assert_eq!(member["servers"].as_object().unwrap().len(), 1, "{member}");
    }

    // And there again: the group is protected and can fail over.
    round.write(0, "second time");
    let last = round.contents(0);
    round.fail_over().await;
    assert_eq!(round.contents(1), last);
    round.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reused_is_rebuilt_with_its_own_addresses() {
    let round = Round::open().await;
    let before = round.inventory();
    round.fail_over().await;
    round.write(1, "written at site B");
    let named = servers(&before.sites[0]);

    // web-1's original is deleted by its tenant (its administrator: it is locked); web-2's data volume grows at B.
    let admin = round.stage.admin(0).await.unwrap();
    let (web1, _, _) = &named["web-1"];
    admin
        .call("DELETE", &round.cloud_url(0, &format!("/compute/v2.1/servers/{web1}")), None)
        .await
        .unwrap();
    let b = &round.inventory().sites[1];
    let (_, web2) = b.servers.iter().find(|(_, s)| s.name == "web-2").unwrap();
    let grown = web2.disks[1].0.clone();
    let project = &round.protected.projects[1];
    let url = round.cloud_url(1, &format!("/volume/v3/{project}/volumes/{grown}/action"));
    let body = json!({"os-extend": {"new_size": 15}}).to_string().into_bytes();
    let headers = [("OpenStack-API-Version", "volume 3.60")];
    let reply = round.tenants[1].call_with("POST", &url, &headers, Some(body)).await.unwrap();
    assert!(reply.status.is_success(), "{}", reply.body);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let member = round.members(1).await.into_iter().find(|m| m["name"] == "web-2").unwrap();
    let url = format!("{}/members/{}/refresh", round.group_url(1), member["id"].as_str().unwrap());
    round.tenants[1].post(&url, &json!({})).await.unwrap();
    round.settled().await;
    let last = round.contents(1);

    let record = round.done(1, &failback_body(false)).await;
    let result = &record["result_data"];
    assert_eq!(result["reused"], json!(["db-1"]), "{record:#}");
    let rebuilt: Vec<_> = result["rebuilt"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(rebuilt, ["web-1", "web-2"]);
    assert_eq!(result["instances_created"], 2);
    assert_eq!(result["not_preserved"], json!([]), "{record:#}");

    let after = round.inventory();
    let a = &after.sites[0];
    assert_eq!(round.contents(0), last, "nothing is lost");
    assert_eq!(a.servers.len(), 3, "{:?}", a.servers);
    for server in a.servers.values() {
        assert_eq!((&server.status, server.locked), (&"ACTIVE".to_owned(), false), "{server:?}");
        let old = before.sites[0].servers.values().find(|s| s.name == server.name).unwrap();
        for (now, then) in server.ports.iter().zip(&old.ports) {
            let (now, then) = (&a.ports[now], &before.sites[0].ports[then]);
            assert_eq!((&now.mac, &now.addresses), (&then.mac, &then.addresses));
        }
    }
    assert_eq!(a.ports.len(), before.sites[0].ports.len());
    assert!(after.sites[1].servers.is_empty());
    // Without reverse_replication it is paused, and says so.
    let group = round.group(0).await;
    assert_eq!(
        (&group["status"], &group["replication_status"]),
        (&json!("active"), &json!("paused"))
    );
    // A planned failover works nevertheless, with the new volumes.
    round.fail_over().await;
    assert_eq!(round.contents(1), last);
    round.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failback_that_fails_leaves_everything_as_it_was() {
    let round = Round::open().await;
    round.fail_over().await;
    round.write(1, "written at site B");
    let before = round.inventory();
    let contents = [round.contents(0), round.contents(1)];

    // db-1's original is not started for a while, then not at all; the others run by then, and write.
    let (db1, _, _) = &servers(&before.sites[0])["db-1"];
    let start = |effect| {
        Rule::new(effect).site("site-a").path(&format!("/servers/{db1}/action")).body("os-start")
    };
    let busy = Effect::Status { code: 429, message: None, retry_after: Some(5) };
    round.stage.world.faults().add(start(busy).times(20));
    let denied = Effect::Status { code: 403, message: None, retry_after: None };
    round.stage.world.faults().add(start(denied).times(1));
    let id = round.start(1, &failback_body(true)).await;
    let mut wrote = false;
    for _ in 0..4000 {
        let running = |s: &protector_testkit::inventory::Server| s.status == "ACTIVE";
        if round.inventory().sites[0].servers.values().filter(|s| running(s)).count() == 2 {
            round.write(0, "late write");
            wrote = true;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(wrote, "web-1 and web-2 never ran at site A");
    let record = round.finish(1, &id).await;
    assert_eq!(record["status"], "failed", "{record:#}");
    assert_eq!(record["steps_failed"][0]["member"], "db-1", "{record:#}");
    let after = round.inventory();
    assert_eq!(round.contents(1), contents[1], "the primary's content");
    assert_eq!(round.contents(0), contents[0], "the originals' content");
    assert_eq!(after.sites[1].servers, before.sites[1].servers, "running as before");
    let connections = |i: &protector_testkit::Inventory, at: usize| {
        i.sites[at].connections.iter().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(connections(&after, 1), connections(&before, 1));
    assert_eq!(servers(&after.sites[0]), servers(&before.sites[0]), "still fenced");
    assert_eq!(connections(&after, 0), connections(&before, 0));
    let dump = round.stage.world.dump();
    let snapshots = &dump["arrays"][round.stage.sites[0].array_name.as_str()]["snapshots"];
    let late: Vec<_> = round
        .volume_snapshots(0)
        .into_iter()
        .filter(|s| s.ends_with("-late"))
        .map(|name| snapshots[&name]["last_stamp"].as_str().unwrap_or_default().to_owned())
        .collect();
    let kept = late.iter().filter(|stamp| stamp.starts_with("late write")).count();
    assert_eq!(kept, 4, "what web-1 and web-2 wrote is kept: {late:?}");
    assert!(round.volume_snapshots(0).iter().all(|s| !s.ends_with("-safe")));
    let group = round.group(0).await;
    assert_eq!(group["status"], "failed_over");
    // And it can be done again.
    round.write(1, "go on");
    let last = round.contents(1);
    round.done(1, &failback_body(true)).await;
    assert_eq!(round.contents(0), last);
    round.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reprotect_accepts_the_other_site_and_the_originals_serve_again() {
    let round = Round::open().await;
    let before = round.inventory();
    round.fail_over().await;
    let record = round.done(1, &json!({"reprotect": {}})).await;
    assert_eq!(record["operation_type"], "reprotect", "{record:#}");
    for group in round.settled().await {
        assert_eq!((&group["status"], &group["failover_count"]), (&json!("active"), &json!(1)));
        assert_eq!(group["primary_site_id"], round.protected.site_ids[1]);
        assert_eq!(group["secondary_site_id"], round.protected.site_ids[0]);
        assert_eq!(group["current_primary_site_id"], round.protected.site_ids[1]);
        assert_eq!(group["replication_status"], "replicating");
    }
    // From now on a failover leads to site A, where the originals take their content back.
    round.write(1, "under the new primary");
    let last = round.contents(1);
    let record = round.done(1, &json!({"failover": {}})).await;
    assert_eq!(record["result_data"]["reused"].as_array().unwrap().len(), 3, "{record:#}");
    assert_eq!(round.contents(0), last);
    let after = round.inventory();
    assert_eq!(
        after.sites[0].servers.keys().collect::<Vec<_>>(),
        before.sites[0].servers.keys().collect::<Vec<_>>()
    );
    for group in round.settled().await {
        assert_eq!(
            (&group["status"], &group["failover_count"]),
            (&json!("failed_over"), &json!(2))
        );
        assert_eq!(group["current_primary_site_id"], round.protected.site_ids[0]);
    }
    // What is left stays, fenced, as after any failover; and a failback leads there.
    assert!(
        servers(&after.sites[1]).values().all(|(_, status, locked)| status == "SHUTOFF" && *locked)
    );
    round.write(0, "away from it");
    let last = round.contents(0);
    round.done(0, &json!({"failback": {"reverse_replication": true}})).await;
    assert_eq!(round.contents(1), last);
    let group = round.group(0).await;
    assert_eq!(
        (&group["status"], &group["current_primary_site_id"]),
        (&json!("active"), &json!(round.protected.site_ids[1]))
    );
    assert!(round.inventory().sites[0].servers.is_empty());
    round.close().await;
}

/// What must not grow: (servers, ports, attachments, Cinder snapshots, connections) and live array volumes.
fn size(site: &protector_testkit::inventory::SiteInventory) -> [usize; 5] {
    [
        site.servers.len(),
        site.ports.len(),
        site.attachments.len(),
        site.snapshots.len(),
        site.connections.len(),
    ]
}

/// How many live things each list of both clouds and both arrays has, but for volumes and snapshots: what is kept of these
/// is looked at by itself.
fn counts(round: &Round) -> std::collections::BTreeMap<String, usize> {
    let dump = round.stage.world.dump();
    let mut counts = std::collections::BTreeMap::new();
    let is_live = |item: &serde_json::Value| {
        item["destroyed"] != true && item["deleted"] != true && item["status"] != "DELETED"
    };
    let mut count = |of: String, list: &serde_json::Value| {
        let items: Vec<_> = match list {
            serde_json::Value::Array(items) => items.iter().collect(),
            serde_json::Value::Object(map) => map.values().collect(),
            _ => return,
        };
        counts.insert(of, items.iter().filter(|item| is_live(item)).count());
    };
    for (cloud, services) in dump["clouds"].as_object().unwrap() {
        for service in ["compute", "network", "image"] {
            for (name, list) in services[service].as_object().unwrap() {
                count(format!("{cloud} {service} {name}"), list);
            }
        }
    }
    for (array, lists) in dump["arrays"].as_object().unwrap() {
        for (name, list) in lists.as_object().unwrap() {
            if !matches!(name.as_str(), "volumes" | "snapshots" | "group_snapshots") {
                count(format!("{array} {name}"), list);
            }
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_there_and_back_leave_nothing_but_what_is_kept_and_that_goes() {
    let round = Round::open().await;
    // Seconds of the simulated world: some copies expire on the way, the rest after the last cycle.
    round.retain(400).await;
    let before = round.inventory();
    let mut first = None;
    for cycle in 0..10 {
        round.fail_over().await;
        round.write(1, &format!("at B in cycle {cycle}"));
        let last = round.contents(1);
        round.done(1, &failback_body(true)).await;
        assert_eq!(round.contents(0), last, "cycle {cycle}");
        let now = round.inventory();
        for at in 0..2 {
            assert_eq!(size(&now.sites[at]), size(&before.sites[at]), "site {at}, cycle {cycle}");
        }
        assert_eq!(now.sites[0].volumes, before.sites[0].volumes, "cycle {cycle}");
        // The first two make what later ones use again: keypairs and groups at B, the array's group of the way back.
        if cycle > 0 {
            let counted = first.get_or_insert_with(|| counts(&round));
            assert_eq!(counts(&round), *counted, "cycle {cycle}");
        }
        let kept = now.sites[1].volumes.len() - before.sites[1].volumes.len();
        assert!(kept <= 5 * (cycle + 1), "{kept} volumes are kept in cycle {cycle}");
    }
    // Retention: everything that was kept goes, at both sites.
    for _ in 0..1200 {
        let now = round.inventory();
        let gone =
            now.sites[1].volumes == before.sites[1].volumes && round.volume_snapshots(0).is_empty();
        if gone {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let after = round.inventory();
    assert_eq!(after.sites[1].volumes, before.sites[1].volumes, "kept volumes are gone");
    assert_eq!(after.sites[0].volumes, before.sites[0].volumes);
    assert!(round.volume_snapshots(0).is_empty(), "{:?}", round.volume_snapshots(0));
    for at in 0..2 {
        assert_eq!(
            after.sites[at].live_array_volumes(),
            before.sites[at].live_array_volumes(),
            "array of site {at}"
        );
    }
    let groups = round.settled().await;
    assert_eq!(
        (&groups[0]["status"], &groups[0]["failover_count"]),
        (&json!("active"), &json!(20))
    );
    round.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_quota_is_met_by_older_copies() {
    let round = Round::open().await;
    {
        let mut state = round.stage.world.cloud(1).lock();
        let project = round.protected.projects[1].clone();
        state.quotas.set(protector_sim::cloud::Service::Cinder, &project, "volumes", 7);
    }
    for cycle in 0..2 {
        round.fail_over().await;
        assert_eq!(round.contents(1).len(), 5, "cycle {cycle}");
        round.done(1, &failback_body(true)).await;
    }
    let b = &round.inventory().sites[1];
    let kept = b.volumes.values().filter(|v| v.status == "available").count();
    assert!((5..=7).contains(&kept), "{kept} volumes fit");
    round.close().await;
}

/// A sync that failed once took the group's own schedule with it: the RPO then grew without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_is_undone_leaves_the_schedule_on() {
    let round = Round::open().await;
    let full = Effect::Status {
        code: 400,
        message: Some("Snapshot limit reached.".into()),
        retry_after: None,
    };
    let rule = Rule::new(full).service("array").method("POST").path("/protection-group-snapshots");
    round.stage.world.faults().add(rule);
    let id = round.start(0, &json!({"sync_volumes": {}})).await;
    let record = round.finish(0, &id).await;
    assert_eq!(record["status"], "failed", "{record:#}");
    let name = format!("protector-{}", round.protected.group_id);
    assert!(round.inventory().sites[0].array_groups[&name].schedule);
    round.stage.world.faults().clear(None);
    round.done(0, &json!({"sync_volumes": {}})).await;
    round.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_never_left_is_not_overwritten() {
    let round = Round::open().await;
    // A forced failover needs a point that holds every volume, not the schedule's first.
    round.done(0, &json!({"sync_volumes": {}})).await;
    round.stage.world.cloud(1).fail_builds_of("db-1", Some("No valid host was found."));
    let id = round.start(1, &round::forced_body()).await;
    let record = round.finish_at(1, &id).await;
    assert_eq!(record["status"], "failed", "{record:#}");
    assert_eq!(round.group(1).await["status"], "failed_over_partial");
    round.stage.world.cloud(1).fail_builds_of("db-1", None);
    round.resync(1).await;
    round.write(1, "written at site B");
    let there = round.contents(1);
    let here = round.contents(0);

    let record = round.done(1, &failback_body(true)).await;
    let result = &record["result_data"];
    assert_eq!(result["reused"].as_array().unwrap().len(), 2, "{record:#}");
    let stayed = result["not_overwritten"]["db-1"].as_str().unwrap_or_default();
    assert!(stayed.contains("never ran at site-b") && stayed.contains("started"), "{record:#}");
    let now = round.contents(0);
    for (key, content) in &now {
        let expected = if key.0 == "db-1" { &here[key] } else { &there[key] };
        assert_eq!(content, expected, "{key:?}");
    }
    let inventory = round.inventory();
    let running = servers(&inventory.sites[0]);
    assert!(
        running.values().all(|(_, status, locked)| status == "ACTIVE" && !locked),
        "{running:?}"
    );
    let name = format!("protector-{}", round.protected.group_id);
    assert_eq!(inventory.sites[0].array_groups[&name].volumes.len(), 5, "all are protected again");
    assert_eq!(round.group(0).await["status"], "active");
    round.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_disaster_the_way_back_uses_what_is_still_there() {
    let mut round = Round::open().await;
    round.done(0, &json!({"sync_volumes": {}})).await;
    round.stage.kill_site(0).await;
    let id = round.start(1, &round::forced_body()).await;
    let record = round.finish_at(1, &id).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    round.write(1, "after the disaster");
    round.stage.revive_site(0).await.unwrap();
    round.resync(1).await;
    let last = round.contents(1);

    let record = round.done(1, &failback_body(true)).await;
    assert_eq!(record["result_data"]["reused"].as_array().unwrap().len(), 3, "{record:#}");
    assert_eq!(round.contents(0), last);
    let running = servers(&round.inventory().sites[0]);
    assert!(running.values().all(|(_, status, _)| status == "ACTIVE"), "{running:?}");
    assert!(round.inventory().sites[1].servers.is_empty());
    for group in round.settled().await {
        assert_eq!(
            (&group["status"], &group["replication_status"]),
            (&json!("active"), &json!("replicating"))
        );
    }
    round.close().await;
}
