//! Destroying, eradicating, SafeMode.

use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn destroying_is_two_steps_and_names_stay_taken() {
    let mut pair = Pair::new();
    pair.a.volume("v").await;
    pair.a.no("DELETE", "/volumes?names=v", Value::Null, "not destroyed").await;
    pair.a.ok("PATCH", "/volumes?names=v", json!({"destroyed": true})).await;
    let again = json!({"destroyed": true});
    pair.a.no("PATCH", "/volumes?names=v", again, "has been destroyed").await;
    pair.a.no("POST", "/volumes?names=v", json!({}), "already exists").await;
    // Without the flag both kinds are listed.
    pair.a.volume("w").await;
    assert_eq!(pair.a.get("/volumes").await.len(), 2);
    assert_eq!(pair.a.get("/volumes?destroyed=false").await.len(), 1);
    assert_eq!(pair.a.get("/volumes?destroyed=true").await.len(), 1);
    pair.a.ok("PATCH", "/volumes?names=v", json!({"destroyed": false})).await;
    pair.a.no("PATCH", "/volumes?names=v", json!({"destroyed": false}), "not destroyed").await;
}

#[tokio::test]
async fn destroyed_things_are_gone_after_the_delay() {
    let mut pair = Pair::new();
    pair.a.volume("v").await;
    pair.a.ok("POST", "/volume-snapshots?source_names=v", json!({"suffix": "s"})).await;
    let gone = pair.a.ok("PATCH", "/volumes?names=v", json!({"destroyed": true})).await.remove(0);
    assert_eq!(gone["time_remaining"], DAY);
    assert_eq!(pair.a.get("/volume-snapshots?names=v.s").await[0]["destroyed"], true);
    pair.pass(DAY - 1);
    assert_eq!(pair.a.get("/volumes?names=v").await[0]["time_remaining"], 1);
    pair.pass(1);
    pair.a.no("GET", "/volumes?names=v", Value::Null, "does not exist").await;
    assert!(pair.a.get("/volume-snapshots").await.is_empty());
    pair.a.volume("v").await;
}

#[tokio::test]
async fn the_delay_can_be_changed_within_limits() {
    let mut pair = Pair::new();
    pair.a.volume("v").await;
    pair.a.ok("PATCH", "/volumes?names=v", json!({"destroyed": true})).await;
    let delay = |ms: u64| json!({"eradication_config": {"eradication_delay": ms}});
    pair.a.no("PATCH", "/arrays", delay(DAY / 2), "invalid").await;
    pair.a.no("PATCH", "/arrays", delay(31 * DAY), "invalid").await;
    pair.a.ok("PATCH", "/arrays", delay(3 * DAY)).await;
    pair.pass(2 * DAY);
    assert_eq!(pair.a.get("/volumes?names=v").await[0]["time_remaining"], DAY);
    pair.a.ok("PATCH", "/arrays", delay(DAY)).await;
    pair.a.no("GET", "/volumes?names=v", Value::Null, "does not exist").await;
}

#[tokio::test]
async fn connected_volumes_are_not_destroyed() {
    let mut pair = Pair::new();
    pair.a.connected("v").await;
    let body = json!({"destroyed": true});
    pair.a.no("PATCH", "/volumes?names=v", body.clone(), "existing connections").await;
    let path = "/connections?host_names=guest&volume_names=v";
    pair.a.ok("DELETE", path, Value::Null).await;
    pair.a.ok("PATCH", "/volumes?names=v", body.clone()).await;
    let path = "/connections?host_names=guest&volume_names=v";
    pair.a.no("POST", path, json!({}), "has been destroyed").await;

    let mut lenient = Pair::with(|c| c.strict.refuse_destroying_connected = false);
    lenient.a.connected("v").await;
    lenient.a.ok("PATCH", "/volumes?names=v", body).await;
    assert!(!lenient.a.array.is_connected("guest", "v"));
}

#[tokio::test]
async fn group_snapshots_go_as_a_whole() {
    let mut pair = Pair::new();
    pair.replicated(&["v", "w"]).await;
    let path = "/protection-group-snapshots?source_names=pg";
    pair.a.ok("POST", path, json!({"suffix": "s"})).await;
    let gone = json!({"destroyed": true});
    pair.a.no("PATCH", "/volume-snapshots?names=pg.s.v", gone.clone(), "alone").await;
    pair.a.ok("PATCH", "/protection-group-snapshots?names=pg.s", gone).await;
    for part in ["pg.s.v", "pg.s.w"] {
        let path = format!("/volume-snapshots?names={part}");
        assert_eq!(pair.a.get(&path).await[0]["destroyed"], true);
    }
    pair.a.no("POST", path, json!({"suffix": "s"}), "already exists").await;
    let back = json!({"destroyed": false});
    pair.a.ok("PATCH", "/protection-group-snapshots?names=pg.s", back).await;
    assert_eq!(pair.a.get("/volume-snapshots?names=pg.s.v").await[0]["destroyed"], false);
}

#[tokio::test]
async fn snapshots_in_flight_are_in_use_by_replication() {
    let mut pair = Pair::with(|c| c.strict.refuse_destroying_group_member_snapshot = false);
    pair.replicated(&["v"]).await;
    pair.ship("replicate_now", "s").await;
    let gone = json!({"destroyed": true});
    let path = "/volume-snapshots?names=pg.s.v";
    pair.a.no("PATCH", path, gone.clone(), "in use by replication").await;
    pair.a.ok("PATCH", &format!("{path}&replication_snapshot=true"), gone).await;
}

#[tokio::test]
async fn safemode_refuses_what_would_lose_data() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    let group = "/protection-groups?names=pg";
    let after = pair.a.ok("PATCH", group, json!({"retention_lock": "ratcheted"})).await.remove(0);
    assert_eq!(after["eradication_config"]["manual_eradication"], "disabled");
    assert_eq!(
        pair.a.get("/arrays").await[0]["eradication_config"]["manual_eradication"],
        "partially-disabled"
    );
    pair.a.no("PATCH", group, json!({"retention_lock": "unlocked"}), "support").await;
    let path = "/protection-groups/volumes?group_names=pg&member_names=v";
    pair.a.no("DELETE", path, Value::Null, "ratcheted").await;
    let path = "/protection-groups/targets?group_names=pg&member_names=b";
    pair.a.no("DELETE", path, Value::Null, "ratcheted").await;
    let shorter = json!({"source_retention": {"days": 1}});
    pair.a.no("PATCH", group, shorter, "ratcheted").await;
    pair.a.ok("PATCH", group, json!({"source_retention": {"days": 30}})).await;
    pair.a.no("PATCH", group, json!({"destroyed": true}), "ratcheted").await;

    // A member may be destroyed, not eradicated; renaming first frees the name.
    assert!(pair.a.array.volume("v").unwrap().safemode_locked);
    pair.a.array.disconnect("guest", "v").unwrap();
    pair.a.ok("PATCH", "/volumes?names=v", json!({"name": "v-gone"})).await;
    pair.a.ok("PATCH", "/volumes?names=v-gone", json!({"destroyed": true})).await;
    pair.a.no("DELETE", "/volumes?names=v-gone", Value::Null, "SafeMode").await;
    pair.a.volume("v").await;
}
