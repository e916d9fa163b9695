//! Drills, their cleanup, and a real failover in the middle of one.

use serde_json::{Value, json};

use super::{act, ask, group, holdings, last_stamps, mapped, replicate, servers, statuses, write};
use crate::support::{Theatre, difference};

const SEEN: &str = "what the drill shows";

/// What the primary holds, without the arrays' groups, whose snapshots go on.
fn primary(t: &Theatre) -> Value {
    let mut holdings = holdings(t, 0);
    holdings["groups"] = Value::Null;
    holdings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_touches_nothing_of_the_primary_and_its_cleanup_leaves_nothing() {
    let t = Theatre::open().await;
    replicate(&t, SEEN).await;
    let (source, target) = (primary(&t), holdings(&t, 1));
    let record = act(
        &t,
        0,
        "failover",
        json!({"retain_primary": true, "flavor_mapping": {"m1.large": "m2.large"}}),
    )
    .await;
    assert_eq!(
        (&record["status"], &record["operation_type"]),
        (&json!("completed"), &json!("test_failover")),
        "{record}"
    );
    assert_eq!(record["steps_completed"].as_array().unwrap().len(), 6, "{record}");
    let result = &record["result_data"];
    for (list, count) in
        [("test_instances", 3), ("test_volumes", 5), ("test_ports", 3), ("test_networks", 2)]
    {
        assert_eq!(result[list].as_array().unwrap().len(), count, "{list} of {result}");
    }
    assert_eq!(result["current_primary_site"], "site-a");
    let up = servers(&t, 1).await;
    let drilled = [("db-1-drill", "ACTIVE"), ("web-1-drill", "ACTIVE"), ("web-2-drill", "ACTIVE")];
    assert_eq!(statuses(&up), drilled);
    assert!(last_stamps(&t, 1).await.iter().all(|stamp| stamp == SEEN));
    // On networks of their own they have their addresses.
    let originals = servers(&t, 0).await;
    for (name, server) in &originals {
        let ip = |server: &Value| {
            let networks = server["addresses"].as_object().unwrap().values();
            networks
                .flat_map(|n| n.as_array().unwrap())
                .map(|a| a["addr"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(ip(server), ip(&up[&format!("{name}-drill")]), "{name}");
    }
    // Managed under a type that the driver does not replicate.
    let types = holdings(&t, 1)["volumes"].to_string();
    assert!(!types.contains("\"replicated\""), "{types}");
    write(&t, "life goes on");
    replicate(&t, "and so does replication").await;
    let second = ask(&t, 0, "test_failover", json!({"retain_primary": true})).await;
    assert_eq!(
        (second.status.as_u16(), &second.body["errors"][0]["code"]),
        (409, &json!("protection_group.busy"))
    );
    let now = group(&t, 0).await;
    assert_eq!(
        (&now["status"], &now["active_test_operation_id"]),
        (&json!("active"), &record["id"])
    );

    let cleanup = act(&t, 0, "test_cleanup", json!({})).await;
    assert_eq!(cleanup["status"], "completed", "{cleanup}");
    assert_eq!(
        cleanup["steps_completed"],
        json!(["delete_test_instances", "delete_test_volumes", "verify_no_leftovers"])
    );
    assert_eq!(cleanup["result_data"]["leaked"], json!([]));
    assert_eq!(group(&t, 0).await["active_test_operation_id"], Value::Null);
    assert_eq!(difference(&target, &holdings(&t, 1), ""), None, "something is left at site B");
    assert_eq!(difference(&source, &primary(&t), ""), None, "site A has changed");
    let again = ask(&t, 0, "test_cleanup", json!({})).await;
    assert_eq!(again.status, 409, "{}", again.body);
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_failover_in_the_middle_of_a_drill_works() {
    let t = Theatre::open().await;
    replicate(&t, SEEN).await;
    // The primary's servers are stopped for the drill: the failover brings them up all the same.
    let drill = act(&t, 0, "test_failover", mapped(json!({}))).await;
    assert_eq!(drill["status"], "completed", "{drill}");
    assert!(drill["warnings"].to_string().contains("retain_primary"), "{drill}");
    assert!(servers(&t, 0).await.values().all(|s| s["status"] == "SHUTOFF"));
    // Room for no more than the three servers of the group.
    let cloud = t.stage.world.cloud(1);
    cloud.lock().quotas.set(
        protector_sim::cloud::Service::Nova,
        &t.protected.projects[1],
        "instances",
        3,
    );
    let record = act(&t, 0, "failover", mapped(json!({}))).await;
    assert_eq!(record["status"], "completed", "{record}");
    let up = servers(&t, 1).await;
    assert_eq!(statuses(&up), [("db-1", "ACTIVE"), ("web-1", "ACTIVE"), ("web-2", "ACTIVE")]);
    let now = group(&t, 1).await;
    assert_eq!(
        (&now["status"], &now["active_test_operation_id"]),
        (&json!("failed_over"), &drill["id"])
    );
    // The cleanup removes the rest and starts no old primary.
    let cleanup = act(&t, 1, "test_cleanup", json!({})).await;
    assert_eq!(
        (&cleanup["status"], &cleanup["result_data"]["leaked"]),
        (&json!("completed"), &json!([])),
        "{cleanup}"
    );
    assert_eq!(cleanup["result_data"]["restarted"], json!([]));
    assert!(servers(&t, 0).await.values().all(|s| s["status"] == "SHUTOFF"));
    assert_eq!(statuses(&servers(&t, 1).await).len(), 3);
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_drill_leaves_nothing_and_stopped_sources_run_again() {
    let t = Theatre::open().await;
    replicate(&t, SEEN).await;
    let (source, target) = (primary(&t), holdings(&t, 1));
    t.stage.world.cloud(1).fail_builds_of("web-2-drill", Some("No valid host was found."));
    let failed = act(&t, 0, "test_failover", mapped(json!({"retain_primary": true}))).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert_eq!(failed["result_data"]["leaked"], json!([]));
    let now = group(&t, 0).await;
    assert_eq!(
        (&now["status"], &now["active_test_operation_id"]),
        (&json!("active"), &Value::Null)
    );
    assert_eq!(difference(&target, &holdings(&t, 1), ""), None, "something is left");
    t.stage.world.cloud(1).fail_builds_of("web-2-drill", None);
    let drill = act(&t, 0, "test_failover", mapped(json!({}))).await;
    assert_eq!(drill["status"], "completed", "{drill}");
    let cleanup = act(&t, 0, "test_cleanup", json!({})).await;
    assert_eq!(cleanup["status"], "completed", "{cleanup}");
    assert_eq!(cleanup["result_data"]["restarted"].as_array().unwrap().len(), 3, "{cleanup}");
    assert!(servers(&t, 0).await.values().all(|s| s["status"] == "ACTIVE"));
    assert_eq!(difference(&source, &primary(&t), ""), None, "site A has changed");
    t.close().await;
}
