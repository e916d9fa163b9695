//! Forced failovers.

use serde_json::{Value, json};

use super::{
    act, ask, finish, group, holdings, last_stamps, lose_site_a, mapped, replicate, servers,
    statuses, write,
};
use crate::support::{Theatre, difference};

const KNOWN: &str = "known at both sites";
const LOST: &str = "never replicated";

fn up(names: [&str; 3]) -> Vec<(&str, &str)> {
    names.map(|name| (name, "ACTIVE")).to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_surviving_site_brings_up_the_newest_point_and_says_what_is_lost() {
    let mut t = Theatre::open().await;
    // At the primary itself it is refused.
    let refused = ask(&t, 0, "failover", mapped(json!({"force": true}))).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(refused.body["errors"][0]["code"], "protection_group.wrong_site");
    replicate(&t, KNOWN).await;
    write(&t, LOST);
    let epoch = group(&t, 1).await["epoch"].clone();
    lose_site_a(&mut t).await;
    let record = act(&t, 1, "failover", mapped(json!({"force": true}))).await;
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["steps_completed"].as_array().unwrap().len(), 6, "{record}");
    let result = &record["result_data"];
    assert_eq!((&result["instances_created"], &result["volumes_managed"]), (&json!(3), &json!(5)));
    assert_eq!(result["current_primary_site"], "site-b");
    assert_eq!((&result["leaked"], &result["kept_for_retry"]), (&json!([]), &json!([])));
    assert!(result["data_loss_seconds"].as_u64().is_some(), "{result}");
    assert!(result["recovery_point"]["name"].as_str().unwrap().contains("protector-"), "{result}");
    assert!(record["warnings"].to_string().contains("does not answer"), "{record}");
    assert_eq!(statuses(&servers(&t, 1).await), up(["db-1", "web-1", "web-2"]));
    let stamps = last_stamps(&t, 1).await;
    assert_eq!(stamps.len(), 5);
    assert!(stamps.iter().all(|stamp| stamp == KNOWN), "not one point: {stamps:?}");
    let now = group(&t, 1).await;
    assert_eq!((&now["status"], &now["failover_count"]), (&json!("failed_over"), &json!(1)));
    assert_eq!(now["current_primary_site_id"], t.protected.site_ids[1]);
    assert!(now["epoch"].as_u64() > epoch.as_u64(), "{now}");
    assert_eq!(now["replication_status"], "paused");
    let url = format!("{}/sync-status", t.group_url(1));
    assert_eq!(t.get(1, &url).await["sync_status"]["status"], "UNREACHABLE");
    // The dead site's group is no longer let in.
    let groups = holdings(&t, 1)["groups"].to_string();
    assert!(groups.contains("\"allowed\":false"), "{groups}");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_that_cannot_be_built_does_not_stop_the_others() {
    let mut t = Theatre::open().await;
    replicate(&t, KNOWN).await;
    lose_site_a(&mut t).await;
    t.stage.world.cloud(1).fail_builds_of("db-1", Some("No valid host was found."));
    let record = act(&t, 1, "failover", mapped(json!({"force": true}))).await;
    assert_eq!(record["status"], "failed", "{record}");
    let failed = record["steps_failed"].as_array().unwrap();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(
        (&failed[0]["member"], &failed[0]["stage"]),
        (&json!("db-1"), &json!("recreate_instances"))
    );
    assert!(record["error_message"].as_str().unwrap().contains("No valid host"), "{record}");
    assert_eq!(group(&t, 1).await["status"], "failed_over_partial");
    let running = servers(&t, 1).await;
    assert_eq!(statuses(&running), [("web-1", "ACTIVE"), ("web-2", "ACTIVE")]);
    let result = &record["result_data"];
    assert_eq!((&result["instances_created"], &result["leaked"]), (&json!(2), &json!([])));
    assert_eq!(result["kept_for_retry"].as_array().unwrap().len(), 1, "{result}");
    // Only what is missing, from the same point, whatever the source shipped since.
    t.stage.world.cloud(1).fail_builds_of("db-1", None);
    let retried = act(&t, 1, "retry", json!({})).await;
    assert_eq!(retried["status"], "completed", "{retried}");
    assert_eq!(retried["result_data"]["instances_created"], 1, "{retried}");
    let now = group(&t, 1).await;
    assert_eq!((&now["status"], &now["failover_count"]), (&json!("failed_over"), &json!(1)));
    let all = servers(&t, 1).await;
    assert_eq!(statuses(&all), up(["db-1", "web-1", "web-2"]));
    for name in ["web-1", "web-2"] {
        assert_eq!(all[name]["id"], running[name]["id"], "{name} was left alone");
    }
    let stamps = last_stamps(&t, 1).await;
    assert!(stamps.iter().all(|stamp| stamp == KNOWN), "{stamps:?}");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_no_server_comes_up_everything_is_undone_and_the_primary_is_given_back() {
    let mut t = Theatre::open().await;
    replicate(&t, KNOWN).await;
    lose_site_a(&mut t).await;
    let (before, epoch) = (holdings(&t, 1), group(&t, 1).await["epoch"].as_u64().unwrap());
    for name in ["db-1", "web-1", "web-2"] {
        t.stage.world.cloud(1).fail_builds_of(name, Some("No valid host was found."));
    }
    let record = act(&t, 1, "failover", mapped(json!({"force": true}))).await;
    assert_eq!(record["status"], "failed", "{record}");
    assert_eq!(record["result_data"]["current_primary_site"], "site-a");
    let now = group(&t, 1).await;
    assert_eq!((&now["status"], &now["failover_count"]), (&json!("active"), &json!(0)));
    assert_eq!(now["current_primary_site_id"], t.protected.site_ids[0]);
    assert_eq!(now["epoch"], epoch + 2, "taken, and given back");
    let left = difference(&before, &holdings(&t, 1), "");
    assert_eq!(left, None, "something is left");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_answers_is_fenced_first_and_nothing_is_lost() {
    let t = Theatre::open().await;
    replicate(&t, KNOWN).await;
    write(&t, "the last words");
    let record = act(&t, 1, "failover", mapped(json!({"force": true}))).await;
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["result_data"]["data_loss_seconds"], 0, "{record}");
    assert!(record["warnings"].to_string().contains("answers although"), "{record}");
    assert!(last_stamps(&t, 1).await.iter().all(|stamp| stamp == "the last words"));
    for server in servers(&t, 0).await.values() {
        assert_eq!((&server["status"], &server["locked"]), (&json!("SHUTOFF"), &json!(true)));
    }
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_drill_is_superseded_by_the_real_thing() {
    let mut t = Theatre::open().await;
    replicate(&t, KNOWN).await;
    let drill = ask(&t, 1, "test_failover", mapped(json!({"retain_primary": true}))).await;
    assert_eq!(drill.status, 202, "{}", drill.body);
    let drill = drill.body["operation"]["id"].as_str().unwrap().to_owned();
    lose_site_a(&mut t).await;
    let record = act(&t, 1, "failover", mapped(json!({"force": true}))).await;
    assert_eq!(record["status"], "completed", "{record}");
    let ended = finish(&t, 1, &drill).await;
    if ended["status"] == "failed" {
        let why = ended["error_message"].as_str().unwrap();
        assert!(why.contains(record["id"].as_str().unwrap()), "{why}");
    }
    assert_eq!(statuses(&servers(&t, 1).await), up(["db-1", "web-1", "web-2"]));
    let now = group(&t, 1).await;
    assert_eq!(now["status"], "failed_over");
    assert_ne!(now["active_test_operation_id"], Value::Null, "its networks may be left");
    t.close().await;
}
