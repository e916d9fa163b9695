//! Synchronous groups on the worst day: what the surviving array holds is everything, if its copy is online.

use protector_sim::array::{Array, LinkStatus};
use serde_json::{Value, json};

use super::{
    act, ask, group, holdings, last_stamps, lose_site_a, mapped, servers, statuses, write,
};
use crate::support::Theatre;

const LAST: &str = "acknowledged a moment before the end";

fn link(t: &Theatre, status: LinkStatus) {
    Array::set_link(t.stage.world.array(0), t.stage.world.array(1), status);
}

async fn refusal(t: &Theatre, at: usize, action: &str, params: Value) -> String {
    let refused = ask(t, at, action, params).await;
    assert!(
        (400..500).contains(&refused.status.as_u16()),
        "{action}: {} {}",
        refused.status,
        refused.body
    );
    refused.body.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_failover_loses_nothing_that_was_acknowledged() {
    let mut t = Theatre::open_synchronous().await;
    write(&t, LAST);
    lose_site_a(&mut t).await;
    let record = act(&t, 1, "failover", mapped(json!({"force": true}))).await;
    assert_eq!(record["status"], "completed", "{record}");
    let result = &record["result_data"];
    assert_eq!((&result["data_loss_seconds"], &result["leaked"]), (&json!(0), &json!([])));
    let point = result["recovery_point"]["name"].as_str().unwrap();
    assert!(point.starts_with("cinder-pod::protector-"), "{point}");
    assert_eq!(statuses(&servers(&t, 1).await), ["db-1", "web-1", "web-2"].map(|n| (n, "ACTIVE")));
    let stamps = last_stamps(&t, 1).await;
    assert_eq!(stamps.len(), 5);
    assert!(stamps.iter().all(|stamp| stamp == LAST), "{stamps:?}");
    assert_eq!(group(&t, 1).await["status"], "failed_over");
    // Its clones have a type that needs no partner.
    let url = format!("{}/volume/v3/volumes/detail", t.stage.sites[1].cloud_url);
    for volume in t.get(1, &url).await["volumes"].as_array().unwrap() {
        assert_eq!(volume["volume_type"], "plain", "{volume}");
    }
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_copy_is_no_target_and_nothing_is_touched() {
    let t = Theatre::open_synchronous().await;
    link(&t, LinkStatus::Broken);
    let before = [0, 1].map(|at| holdings(&t, at));
    for (at, action, params) in [
        (0, "failover", mapped(json!({}))),
        (1, "failover", mapped(json!({"force": true}))),
        (0, "test_failover", mapped(json!({"retain_primary": true}))),
        (0, "sync_volumes", json!({})),
    ] {
        let words = refusal(&t, at, action, params).await;
        let told = words.contains("pod cinder-pod is offline at array")
            || words.contains("is not online at array");
        assert!(told, "{action}: {words}");
    }
    // A tenant's first request at a site makes a trust there; of what is protected nothing changes.
    assert_eq!([0, 1].map(|at| holdings(&t, at)), before);
    write(&t, "site A goes on");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_needs_a_retype_first_and_says_so() {
    let t = Theatre::open_synchronous().await;
    let moved = act(&t, 0, "failover", mapped(json!({}))).await;
    assert_eq!(moved["status"], "completed", "{moved}");
    let words = refusal(&t, 1, "failback", json!({})).await;
    assert!(words.contains("in no pod") && words.contains("sync_volumes or reprotect"), "{words}");
    let record = act(&t, 1, "reprotect", json!({})).await;
    assert_eq!(record["status"], "completed", "{record}");
    let now = group(&t, 1).await;
    assert_eq!(
        (&now["status"], &now["primary_site_id"]),
        (&json!("active"), &json!(t.protected.site_ids[1]))
    );
    let url = format!("{}/volume/v3/volumes/detail", t.stage.sites[1].cloud_url);
    for volume in t.get(1, &url).await["volumes"].as_array().unwrap() {
        assert_eq!(volume["volume_type"], "replicated-sync", "{volume}");
    }
    t.close().await;
}
