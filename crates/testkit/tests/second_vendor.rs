//! Arrays of another vendor, through the whole product with both Protectors, both databases and real sockets: the driver
//! is all that is new (`second_vendor/vault.rs`), and nothing of the operations knows of it.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "failback/round.rs"]
#[allow(dead_code, reason = "the failback tests use all of it")]
mod round;
#[path = "second_vendor/vault.rs"]
mod vault;

use std::sync::Arc;

use protector_demo::protect;
use round::{Round, failback_body};
use serde_json::{Value, json};
use vault::{Driver, Vendor};

async fn open() -> (Round, Arc<Vendor>) {
    let vendor = Arc::new(Vendor::default());
    let drivers: Vec<Arc<dyn protector_server::ArrayDriver>> =
        vec![Arc::new(Driver(vendor.clone()))];
    let round = Round::open_with(drivers, |stage| {
        let side = |at: usize| {
            let site = &stage.sites[at];
            (site.array_url.clone(), stage.world.array(at).clone())
        };
        vendor.attach([side(0), side(1)], stage.clock.clone());
    })
    .await;
    (round, vendor)
}

/// Nothing of ours is on the FlashArrays beneath.
fn nothing_on_the_flasharrays(round: &Round) {
    let dump: Value = round.stage.world.dump();
    for (name, array) in dump["arrays"].as_object().unwrap() {
        let groups = array["groups"].to_string() + &array["group_snapshots"].to_string();
        assert!(!groups.contains("protector-"), "{name}: {groups}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drill_failover_and_failback_work_on_another_vendors_arrays() {
    let (round, vendor) = open().await;
    round.write(0, "for the drill");
    round.done(0, &json!({"sync_volumes": {}})).await;
    let before = round.contents(0);

    let mut drill = protect::failover_body()["failover"].clone();
    drill.as_object_mut().unwrap().remove("force");
    drill["retain_primary"] = json!(true);
    let drilled = round.done(0, &json!({"test_failover": drill})).await;
    assert_eq!(drilled["result_data"]["instances_created"], 3, "{drilled}");
    let copies: Vec<_> = round.contents(1).into_values().collect();
    let originals: Vec<_> = before.values().cloned().collect();
    assert_eq!(copies.len(), 5);
    assert!(copies.iter().all(|copy| originals.contains(copy)), "{copies:?} {originals:?}");
    let cleaned = round.done(0, &json!({"test_cleanup": {}})).await;
    assert_eq!(cleaned["result_data"]["leaked"], json!([]), "{cleaned}");
    assert!(round.inventory().sites[1].servers.is_empty());

    round.write(0, "the last words at A");
    let last = round.contents(0);
    let moved = round.fail_over().await;
    let point = moved["result_data"]["recovery_point"]["name"].as_str().unwrap();
    assert!(point.starts_with("ledger#"), "{point}");
    assert_eq!(moved["result_data"]["leaked"], json!([]), "{moved}");
    assert_eq!(round.contents(1), last);
    assert_eq!(round.group(1).await["status"], "failed_over");

    round.write(1, "the last words at B");
    let last = round.contents(1);
    let back = round.done(1, &failback_body(true)).await;
    assert_eq!(back["result_data"]["leaked"], json!([]), "{back}");
    assert_eq!(round.group(0).await["status"], "active");
    assert_eq!(round.contents(0), last);
    assert!(round.inventory().sites[1].servers.is_empty());

    let calls = vendor.calls();
    for (what, at_least) in [
        ("ensure_group", 3),
        ("snapshot_group", 5),
        ("clone_from_point", 10),
        ("snapshot_volume", 5),
        ("overwrite_from_point", 5),
        ("disconnect", 10),
    ] {
        assert!(calls.get(what).is_some_and(|n| *n >= at_least), "{what} in {calls:?}");
    }
    nothing_on_the_flasharrays(&round);
    round.close().await;
}
