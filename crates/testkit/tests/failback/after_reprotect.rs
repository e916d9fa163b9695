//! Failovers to the site where the members had been before the roles were swapped.

use std::collections::BTreeSet;

use protector_sim::faults::{Effect, Rule};
use protector_testkit::Inventory;
use serde_json::{Value, json};

use crate::round::{Round, failback_body, forced_body, servers};

/// To site A, with its names, whatever happens to site B.
fn forced_back() -> Value {
    let mut body = failback_body(true)["failback"].clone();
    body.as_object_mut().unwrap().remove("reverse_replication");
    body["force"] = json!(true);
    json!({"failover": body})
}

/// The group runs at site B, which is its primary, and has a point with everything at site A.
async fn swapped() -> Round {
    let round = Round::open().await;
    round.fail_over().await;
    round.done(1, &json!({"reprotect": {}})).await;
    round.write(1, "under the new primary");
    round.done(1, &json!({"sync_volumes": {}})).await;
    round
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_failover_after_reprotect_takes_the_ports_of_what_was_there_before() {
    let mut round = swapped().await;
    let before = round.inventory();
    let last = round.contents(1);
    round.stage.kill_site(1).await;
    let id = round.start(0, &forced_back()).await;
    let record = round.finish_at(0, &id).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    let after = round.inventory();
    let (old, new) = (servers(&before.sites[0]), servers(&after.sites[0]));
    assert_eq!(new.len(), 3, "{new:?}");
    for (name, (id, status, locked)) in &new {
        assert!(status == "ACTIVE" && !locked, "{name}: {status}");
        assert_ne!(*id, old[name].0, "{name} is made of clones, not of its old content");
    }
    assert_eq!(round.contents(0), last);
    let addresses = |inventory: &Inventory| -> BTreeSet<_> {
        let ports = inventory.sites[0].ports.values();
        ports.map(|port| (port.mac.clone(), port.addresses.clone())).collect()
    };
    assert_eq!(addresses(&after), addresses(&before), "MACs and addresses are kept");
    // What was there before is kept for the retention: five volumes that no server uses.
    assert_eq!(after.sites[0].volumes.len(), 10);
    let group = round.group(0).await;
    assert_eq!((&group["status"], &group["failover_count"]), (&json!("failed_over"), &json!(2)));
    round.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_does_not_come_up_beside_its_old_server_is_not_taken_for_it() {
    let mut round = swapped().await;
    let last = round.contents(1);
    round.stage.kill_site(1).await;
    round.stage.world.cloud(0).fail_builds_of("db-1", Some("No valid host was found."));
    let id = round.start(0, &forced_back()).await;
    let record = round.finish_at(0, &id).await;
    assert_eq!(record["status"], "failed", "{record:#}");
    let group = round.group(0).await;
    let counted = (&group["status"], &group["failover_count"]);
    assert_eq!(counted, (&json!("failed_over_partial"), &json!(1)), "not complete: not counted");
    round.stage.world.cloud(0).fail_builds_of("db-1", None);
    let id = round.start(0, &json!({"retry": {}})).await;
    let record = round.finish_at(0, &id).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(round.contents(0), last, "none of the old content");
    let running = servers(&round.inventory().sites[0]);
    assert!(running.len() == 3 && running.values().all(|(_, s, _)| s == "ACTIVE"), "{running:?}");
    let group = round.group(0).await;
    assert_eq!((&group["status"], &group["failover_count"]), (&json!("failed_over"), &json!(2)));
    round.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_back_to_the_originals_in_the_middle_of_a_drill_removes_it_first() {
    let round = swapped().await;
    // The drill stops the primary's servers: the failover brings them up all the same.
    let drill = round.done(1, &json!({"test_failover": drill_body()})).await;
    assert!(servers(&round.inventory().sites[0]).contains_key("web-1-drill"), "{drill:#}");
    let record = round.done(1, &json!({"failover": {}})).await;
    assert_eq!(record["result_data"]["reused"].as_array().unwrap().len(), 3, "{record:#}");
    let told = record["warnings"].to_string();
    assert!(told.contains("is still open"), "{told}");
    let after = servers(&round.inventory().sites[0]);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["db-1", "web-1", "web-2"]);
    assert!(after.values().all(|(_, status, _)| status == "ACTIVE"), "{after:?}");
    round.close().await;
}

/// Onto networks of its own, with the primary stopped.
fn drill_body() -> Value {
    json!({"flavor_mapping": failback_body(true)["failback"]["flavor_mapping"]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_cannot_be_imported_is_named_and_the_servers_come_up_without_it() {
    let round = Round::open().await;
    round.done(0, &json!({"sync_volumes": {}})).await;
    let denied = Effect::Status { code: 403, message: Some("no keys".into()), retry_after: None };
    let rule = Rule::new(denied).site("site-b").service("compute").method("POST");
    round.stage.world.faults().add(rule.path("/os-keypairs"));
    let id = round.start(1, &forced_body()).await;
    let record = round.finish_at(1, &id).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    let lost = record["result_data"]["not_preserved"].to_string();
    for name in ["web-1", "web-2", "db-1"] {
        assert!(lost.contains(&format!("{name}: keypair app-key")), "{name}: {lost}");
    }
    let up = servers(&round.inventory().sites[1]);
    assert!(up.len() == 3 && up.values().all(|(_, status, _)| status == "ACTIVE"), "{up:?}");
    round.close().await;
}
