//! Protection groups and what they ship.

use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn a_target_sees_the_group_and_allows_it() {
    let mut pair = Pair::new();
    pair.a.ok("POST", "/protection-groups?names=pg", Value::Null).await;
    let targets = "/protection-groups/targets?group_names=pg&member_names=b";
    let path = "/protection-groups/targets?group_names=pg&member_names=c";
    pair.a.no("POST", path, Value::Null, "does not exist").await;
    pair.a.ok("POST", targets, Value::Null).await;
    pair.a.no("POST", targets, Value::Null, "already includes").await;
    let seen = pair.b.get("/protection-groups?names=a%3Apg").await.remove(0);
    assert_eq!((&seen["is_local"], &seen["source"]["name"]), (&json!(false), &json!("a")));
    assert_eq!(pair.a.get(targets).await[0]["allowed"], false);
    let remote = "/protection-groups/targets?group_names=a%3Apg";
    let allow = json!({"allowed": true});
    pair.a.no("PATCH", targets, allow.clone(), "target array only").await;
    pair.b.ok("PATCH", remote, allow.clone()).await;
    pair.b.no("PATCH", remote, allow, "already allowed on").await;
    assert_eq!(pair.a.get(targets).await[0]["allowed"], true);
    pair.b.ok("PATCH", remote, json!({"allowed": false})).await;
    assert_eq!(pair.a.get(targets).await[0]["allowed"], false);
}

#[tokio::test]
async fn what_happens_on_the_target_may_take_a_while_to_be_known() {
    let mut pair = Pair::with(|c| c.strict.target_propagation_ms = 5000);
    pair.a.ok("POST", "/protection-groups?names=pg", Value::Null).await;
    let targets = "/protection-groups/targets?group_names=pg&member_names=b";
    pair.a.ok("POST", targets, Value::Null).await;
    pair.b.no("GET", "/protection-groups?names=a%3Apg", Value::Null, "does not exist").await;
    pair.pass(5000);
    let remote = "/protection-groups/targets?group_names=a%3Apg";
    pair.b.ok("PATCH", remote, json!({"allowed": true})).await;
    assert_eq!(pair.a.get(targets).await[0]["allowed"], false);
    pair.pass(5000);
    assert_eq!(pair.a.get(targets).await[0]["allowed"], true);
}

#[tokio::test]
async fn settings_merge() {
    let mut pair = Pair::new();
    pair.a.ok("POST", "/protection-groups?names=pg", Value::Null).await;
    let path = "/protection-groups?names=pg";
    let body = json!({"target_retention": {"all_for_sec": 14400, "per_day": 3, "days": 7}});
    pair.a.ok("PATCH", path, body).await;
    pair.a.ok("PATCH", path, json!({"replication_schedule": {"frequency": HOUR}})).await;
    pair.a.ok("PATCH", path, json!({"target_retention": {"days": 9}})).await;
    let body = json!({"replication_schedule": {"blackout": {"start": 0, "end": HOUR}}});
    pair.a.ok("PATCH", path, body).await;
    let group = pair
        .a
        .ok("PATCH", path, json!({"replication_schedule": {"enabled": true}}))
        .await
        .remove(0);
    let retention = json!({"all_for_sec": 14400, "per_day": 3, "days": 9});
    assert_eq!(group["target_retention"], retention);
    let schedule =
        json!({"enabled": true, "frequency": HOUR, "blackout": {"start": 0, "end": HOUR}});
    assert_eq!(group["replication_schedule"], schedule);
    let cleared = json!({"replication_schedule": {"blackout": ""}});
    let group = pair.a.ok("PATCH", path, cleared).await.remove(0);
    assert_eq!(group["replication_schedule"]["blackout"], json!({}));
    let at = json!({"replication_schedule": {"at": 3600}});
    pair.a.no("PATCH", path, at.clone(), "whole days").await;
    pair.a.ok("PATCH", path, json!({"replication_schedule": {"frequency": DAY}})).await;
    pair.a.ok("PATCH", path, at).await;
    let fast = json!({"replication_schedule": {"frequency": MINUTE}});
    pair.a.no("PATCH", path, fast, "at least 5 minutes").await;
}

#[tokio::test]
async fn one_point_in_time_arrives_with_exactly_that_content() {
    let mut pair = Pair::new();
    pair.replicated(&["v", "w"]).await;
    pair.a.write("v", "v1");
    pair.a.write("w", "w1");
    pair.ship("replicate_now", "s").await;
    pair.a.write("v", "v2");
    pair.a.write("w", "w2");

    // In flight: listed everywhere, not complete, not to be copied.
    pair.pass(6000);
    let row = pair.transfer("s").await;
    assert_eq!((&row["completed"], &row["progress"]), (&Value::Null, &json!(0.5)));
    assert!(row["started"].is_number());
    let snap = pair.b.get("/protection-group-snapshots?names=a%3Apg.s").await.remove(0);
    assert_eq!(
        snap["created"],
        pair.a.get("/protection-group-snapshots?names=pg.s").await[0]["created"]
    );
    let source = json!({"source": {"name": "a:pg.s.v"}});
    pair.b.no("POST", "/volumes?names=c", source.clone(), "replicated").await;
    let filter = "/protection-group-snapshots/transfer?names=a%3Apg&filter=progress%3D%221.0%22";
    assert!(pair.b.get(filter).await.is_empty());
    assert_eq!(pair.b.array.dump()["snapshots"]["a:pg.s.v"]["content"], Value::Null);

    pair.pass(6000);
    let row = pair.transfer("s").await;
    assert_eq!(row["progress"], 1.0);
    assert_eq!(row["completed"].as_u64().unwrap() - row["started"].as_u64().unwrap(), 12_000);
    assert_eq!(pair.b.get(filter).await.len(), 1);
    let path = "/volume-snapshots?destroyed=false&filter=name%3D%27a%3Apg.s.*%27";
    assert_eq!(pair.b.get(path).await.len(), 2);
    let clone = pair.b.ok("POST", "/volumes?names=c", source).await.remove(0);
    assert_eq!(clone["source"]["name"], "v");
    assert_eq!(pair.b.array.content("c").unwrap(), ["v1"]);
    assert_eq!(pair.b.array.snapshot_content("a:pg.s.w").unwrap(), ["w1"]);
    // The source shows the shipment under its own name.
    let path = "/protection-group-snapshots/transfer?source_names=pg";
    assert_eq!(pair.a.get(path).await[0]["name"], "pg.s");
    assert_eq!(pair.a.get("/volume-snapshots/transfer").await[0]["progress"], 1.0);
}

#[tokio::test]
async fn only_what_is_new_is_shipped() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    for n in 0..20 {
        pair.a.write("v", &format!("{n}"));
    }
    pair.ship("replicate_now", "first").await;
    pair.pass(30_000);
    assert_eq!(pair.transfer("first").await["data_transferred"], 20 << 20);
    pair.a.write("v", "more");
    pair.ship("replicate_now", "second").await;
    pair.pass(11_000);
    let row = pair.transfer("second").await;
    assert_eq!((&row["data_transferred"], &row["progress"]), (&json!(1 << 20), &json!(1.0)));
}

#[tokio::test]
async fn replicate_waits_and_replicate_now_does_not() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    pair.ship("replicate", "one").await;
    pair.pass(4000);
    pair.ship("replicate", "two").await;
    pair.ship("replicate_now", "three").await;
    let two = pair.transfer("two").await;
    assert_eq!((&two["started"], &two["progress"]), (&Value::Null, &json!(0.0)));
    pair.pass(6000);
    assert_eq!(pair.transfer("one").await["progress"], 1.0);
    pair.pass(4000);
    assert_eq!(pair.transfer("three").await["progress"], 1.0);
    assert_eq!(pair.transfer("two").await["progress"], 0.0);
    pair.pass(10_000);
    assert_eq!(pair.transfer("two").await["progress"], 1.0);
    let path = "/protection-group-snapshots?source_names=pg&replicate=true&replicate_now=true";
    pair.a.no("POST", path, json!({}), "cannot be used together").await;
}

#[tokio::test]
async fn replication_needs_targets_that_allow_it() {
    let mut pair = Pair::new();
    pair.a.connected("v").await;
    pair.a.ok("POST", "/protection-groups?names=pg", Value::Null).await;
    let path = "/protection-group-snapshots?source_names=pg&replicate_now=true";
    pair.a.no("POST", path, json!({}), "no targets").await;
    let targets = "/protection-groups/targets?group_names=pg&member_names=b";
    pair.a.ok("POST", targets, Value::Null).await;
    pair.a.ok("POST", path, json!({})).await;
    pair.pass(HOUR);
    assert!(pair.b.get("/protection-group-snapshots").await.is_empty());
    let rows = pair.a.get("/protection-group-snapshots/transfer").await;
    assert!(rows[0]["completed"].is_null() && rows[0]["progress"].is_null());
}

#[tokio::test]
async fn numbers_rise_and_local_snapshots_stay_local() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    let path = "/protection-group-snapshots?source_names=pg";
    assert_eq!(pair.a.ok("POST", path, json!({})).await[0]["name"], "pg.1");
    assert_eq!(pair.a.ok("POST", path, json!({})).await[0]["name"], "pg.2");
    for bad in ["12", "a.b", "x-"] {
        pair.a.no("POST", path, json!({"suffix": bad}), "suffix").await;
    }
    assert!(pair.b.get("/protection-group-snapshots").await.is_empty());
    let missing = "/protection-group-snapshots?source_names=none";
    pair.a.no("POST", missing, json!({}), "does not exist").await;
    let remote = "/protection-group-snapshots?source_names=a%3Apg";
    pair.b.no("POST", remote, json!({}), "not local").await;
}

#[tokio::test]
async fn a_copy_for_replication_leaves_after_an_hour() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    let path =
        "/protection-group-snapshots?source_names=pg&replicate_now=true&for_replication=true";
    pair.a.ok("POST", path, json!({"suffix": "s"})).await;
    pair.pass(HOUR - 1);
    assert_eq!(pair.a.get("/protection-group-snapshots").await.len(), 1);
    pair.pass(1);
    assert!(pair.a.get("/protection-group-snapshots").await.is_empty());
    assert_eq!(pair.transfer("s").await["progress"], 1.0);
}

#[tokio::test]
async fn a_snapshot_can_be_shipped_later() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    let path = "/protection-group-snapshots?source_names=pg";
    pair.a.ok("POST", path, json!({"suffix": "s"})).await;
    pair.pass(HOUR);
    pair.a.ok("POST", "/protection-group-snapshots/replica?names=pg.s&on=b", Value::Null).await;
    pair.pass(10_000);
    let row = pair.transfer("s").await;
    let snap = pair.b.get("/protection-group-snapshots?names=a%3Apg.s").await.remove(0);
    // Started late, created when the source took it.
    assert!(row["started"].as_u64().unwrap() - snap["created"].as_u64().unwrap() >= HOUR);
}

#[tokio::test]
async fn disallowing_cuts_the_source_off_from_the_target() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    pair.ship("replicate_now", "s").await;
    pair.pass(5000);
    let remote = "/protection-groups/targets?group_names=a%3Apg";
    pair.b.ok("PATCH", remote, json!({"allowed": false})).await;
    pair.pass(HOUR);
    assert_eq!(pair.transfer("s").await["progress"], 0.5);
    pair.ship("replicate_now", "t").await;
    pair.b
        .no("GET", "/protection-group-snapshots?names=a%3Apg.t", Value::Null, "does not exist")
        .await;
    pair.b.ok("PATCH", remote, json!({"allowed": true})).await;
    pair.pass(5000);
    assert_eq!(pair.transfer("s").await["progress"], 1.0);
}

#[tokio::test]
async fn a_whole_group_is_restored_from_a_snapshot() {
    let mut pair = Pair::new();
    pair.replicated(&["v", "w"]).await;
    pair.a.write("v", "1");
    pair.ship("replicate_now", "s").await;
    let path = "/protection-groups?names=new&source_names=a%3Apg.s";
    pair.b.no("POST", path, Value::Null, "replicated").await;
    pair.pass(20_000);
    pair.b.ok("POST", path, Value::Null).await;
    assert_eq!(pair.b.array.content("v").unwrap(), ["1"]);
    assert_eq!(pair.b.array.volume("w").unwrap().protection_groups.len(), 1);
    pair.a.write("v", "2");
    let path = "/protection-groups?names=pg&source_names=pg.s";
    pair.a.no("POST", path, Value::Null, "already exists").await;
    pair.a.ok("POST", &format!("{path}&overwrite=true"), Value::Null).await;
    assert_eq!(pair.a.array.content("v").unwrap(), ["1"]);
}

#[tokio::test]
async fn replicas_outlive_the_group_and_follow_renames() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    pair.ship("replicate_now", "s").await;
    pair.pass(20_000);
    pair.a.ok("PATCH", "/protection-groups?names=pg", json!({"name": "qg"})).await;
    assert_eq!(pair.b.get("/volume-snapshots?names=a%3Aqg.s.v").await.len(), 1);
    pair.a.ok("PATCH", "/arrays", json!({"name": "z"})).await;
    assert_eq!(pair.b.get("/volume-snapshots?names=z%3Aqg.s.v").await.len(), 1);
    pair.b.no("GET", "/volume-snapshots?names=a%3Aqg.s.v", Value::Null, "does not exist").await;
    pair.a.ok("PATCH", "/protection-groups?names=qg", json!({"destroyed": true})).await;
    pair.a.ok("DELETE", "/protection-groups?names=qg", Value::Null).await;
    assert_eq!(pair.b.get("/protection-groups?names=z%3Aqg").await[0]["target_count"], 0);
    let body = json!({"source": {"name": "z:qg.s.v"}});
    pair.b.ok("POST", "/volumes?names=c", body).await;
    pair.b.ok("PATCH", "/protection-groups?names=z%3Aqg", json!({"destroyed": true})).await;
    pair.b.ok("DELETE", "/protection-groups?names=z%3Aqg", Value::Null).await;
    assert!(pair.b.get("/volume-snapshots").await.is_empty());
}

#[tokio::test]
async fn members_are_listed_at_once_from_both_sides() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    let path = "/protection-groups/volumes?group_names=pg&member_names=v";
    pair.a.no("POST", path, Value::Null, "already belongs to").await;
    for path in
        ["/protection-groups/volumes?member_names=v", "/volumes/protection-groups?group_names=pg"]
    {
        let rows = pair.a.get(path).await;
        assert_eq!(
            (&rows[0]["group"]["name"], &rows[0]["member"]["name"]),
            (&json!("pg"), &json!("v"))
        );
    }
    pair.a.ok("DELETE", path, Value::Null).await;
    pair.a.no("DELETE", path, Value::Null, "could not be found").await;
    assert!(pair.a.get("/protection-groups/volumes?member_names=v").await.is_empty());
}
