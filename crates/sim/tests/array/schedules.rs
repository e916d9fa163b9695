//! What happens by itself when time passes.

use serde_json::{Value, json};

use crate::support::*;

async fn complete(pair: &mut Pair) -> Vec<String> {
    let path =
        "/protection-group-snapshots/transfer?source_names=a%3Apg&destroyed=false&sort=started";
    let rows = pair.b.get(path).await;
    let done = rows.iter().filter(|r| !r["completed"].is_null());
    done.map(|r| r["name"].as_str().unwrap().to_owned()).collect()
}

async fn enable(pair: &mut Pair, frequency: u64) {
    let body = json!({"replication_schedule": {"frequency": frequency, "enabled": true}});
    pair.a.ok("PATCH", "/protection-groups?names=pg", body).await;
}

#[tokio::test]
async fn an_enabled_schedule_ships_at_its_frequency() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    enable(&mut pair, 5 * MINUTE).await;
    pair.pass(MINUTE);
    assert_eq!(complete(&mut pair).await, ["a:pg.1"]);
    pair.a.write("v", "x");
    pair.pass(5 * MINUTE);
    assert_eq!(complete(&mut pair).await, ["a:pg.1", "a:pg.2"]);
    assert_eq!(pair.b.array.snapshot_content("a:pg.2.v").unwrap(), ["x"]);
    assert!(pair.b.array.snapshot_content("a:pg.1.v").unwrap().is_empty());
    let body = json!({"replication_schedule": {"enabled": false}});
    pair.a.ok("PATCH", "/protection-groups?names=pg", body).await;
    pair.pass(DAY / 4);
    assert_eq!(complete(&mut pair).await.len(), 2);
}

#[tokio::test]
async fn points_are_taken_when_they_were_due_however_late_one_looks() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    enable(&mut pair, 10 * MINUTE).await;
    pair.pass(HOUR);
    let rows = pair.b.get("/protection-group-snapshots?sort=created").await;
    let times: Vec<i64> = rows.iter().map(|r| r["created"].as_i64().unwrap()).collect();
    assert_eq!(times.len(), 7);
    assert!(times.windows(2).all(|w| w[1] - w[0] == 10 * MINUTE as i64), "{times:?}");
}

#[tokio::test]
async fn nothing_is_shipped_without_leave() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    let remote = "/protection-groups/targets?group_names=a%3Apg";
    pair.b.ok("PATCH", remote, json!({"allowed": false})).await;
    enable(&mut pair, 5 * MINUTE).await;
    pair.pass(HOUR);
    assert!(pair.b.get("/protection-group-snapshots").await.is_empty());
    pair.b.ok("PATCH", remote, json!({"allowed": true})).await;
    pair.pass(6 * MINUTE);
    assert!(!complete(&mut pair).await.is_empty());
}

#[tokio::test]
async fn a_slow_shipment_delays_the_next_point() {
    let mut pair = Pair::with(|c| c.transfer.base_ms = (8 * MINUTE, 8 * MINUTE));
    pair.replicated(&["v"]).await;
    enable(&mut pair, 5 * MINUTE).await;
    pair.pass(8 * MINUTE);
    assert_eq!(complete(&mut pair).await.len(), 1);
    let rows = pair.b.get("/protection-group-snapshots?sort=created").await;
    let gap = rows[1]["created"].as_u64().unwrap() - rows[0]["created"].as_u64().unwrap();
    assert_eq!((rows.len(), gap), (2, 8 * MINUTE));
}

#[tokio::test]
async fn blackouts_put_off_what_falls_into_them() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    // It is noon: from 13 to 15 nothing may be shipped.
    let window = json!({"start": 13 * HOUR, "end": 15 * HOUR});
    let body = json!({"replication_schedule": {"blackout": window}});
    pair.a.ok("PATCH", "/protection-groups?names=pg", body).await;
    enable(&mut pair, HOUR).await;
    pair.pass(3 * HOUR - 1);
    assert_eq!(complete(&mut pair).await.len(), 1);
    pair.pass(MINUTE);
    assert_eq!(complete(&mut pair).await.len(), 2);
}

#[tokio::test]
async fn daily_schedules_keep_their_time() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    let body = json!({"replication_schedule": {"frequency": DAY}});
    pair.a.ok("PATCH", "/protection-groups?names=pg", body).await;
    let body = json!({"replication_schedule": {"at": 14 * 3600, "enabled": true}});
    pair.a.ok("PATCH", "/protection-groups?names=pg", body).await;
    pair.pass(2 * HOUR - 1);
    assert!(pair.a.get("/protection-group-snapshots").await.is_empty());
    pair.pass(DAY + 1);
    assert_eq!(pair.a.get("/protection-group-snapshots").await.len(), 2);
}

#[tokio::test]
async fn snapshot_schedules_stay_on_the_source() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    let body = json!({"snapshot_schedule": {"frequency": HOUR, "enabled": true}});
    pair.a.ok("PATCH", "/protection-groups?names=pg", body).await;
    pair.pass(2 * HOUR);
    assert_eq!(pair.a.get("/protection-group-snapshots").await.len(), 3);
    assert!(pair.b.get("/protection-group-snapshots").await.is_empty());
}

#[tokio::test]
async fn retention_is_applied_on_both_sides() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    let body = json!({
        "source_retention": {"all_for_sec": 3600, "per_day": 0, "days": 0},
        "target_retention": {"all_for_sec": 7200, "per_day": 1, "days": 2},
    });
    pair.a.ok("PATCH", "/protection-groups?names=pg", body).await;
    enable(&mut pair, 30 * MINUTE).await;
    // A point without retention stays for ever.
    pair.ship("replicate_now", "kept").await;
    pair.pass(6 * HOUR);
    let live = "/protection-group-snapshots?destroyed=false";
    let on = |rows: Vec<Value>| -> Vec<String> {
        rows.iter().map(|r| r["suffix"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(on(pair.a.get(live).await), ["12", "13", "kept"]);
    // Two hours of everything; the newest of the day is among them.
    assert_eq!(on(pair.b.get(live).await), ["10", "11", "12", "13", "kept"]);
    pair.pass(DAY - 6 * HOUR);
    let days: Vec<String> = on(pair.b.get(live).await);
    // One of yesterday besides the last two hours.
    assert_eq!(days.len(), 4 + 1 + 1, "{days:?}");
    pair.pass(60 * DAY);
    assert!(on(pair.b.get("/protection-group-snapshots").await).contains(&"kept".to_owned()));
}
