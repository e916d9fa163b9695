//! The harness itself: what it is to catch is planted, and it must say so.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use protector_testkit::{
    Inventory, TwoSites,
    expect::{self, Problems},
    inventory::{ArrayVolume, Port, Server, Volume},
    two_sites::SPEED,
};
use protector_types::Clock as _;
use protector_workflow::SystemClock;

/// One planted fault, and what the harness must say of it.
type Plant = (&'static str, fn(&mut Inventory), &'static str);

fn first_server(inventory: &mut Inventory, at: usize) -> &mut Server {
    inventory.sites[at].servers.values_mut().next().unwrap()
}

fn again<T: Clone>(map: &mut std::collections::BTreeMap<String, T>) {
    let twice = map.values().next_back().unwrap().clone();
    map.insert("twice".into(), twice);
}

/// Anything of each kind that is there once more, missing, or not as it should be.
fn plants() -> Vec<Plant> {
    vec![
        ("a second server", |i| again::<Server>(&mut i.sites[1].servers), "new servers"),
        ("a missing server", |i| drop(i.sites[1].servers.pop_first()), "new servers"),
        ("a second volume", |i| again::<Volume>(&mut i.sites[1].volumes), "new volumes"),
        ("a port that is left", |i| again::<Port>(&mut i.sites[1].ports), "new ports"),
        (
            "a clone that is left",
            |i| again::<ArrayVolume>(&mut i.sites[1].array_volumes),
            "new array volumes",
        ),
        ("a lost connection", |i| drop(i.sites[1].connections.pop()), "connections"),
        (
            "a server that is off",
            |i| first_server(i, 1).status = "SHUTOFF".into(),
            "recovered server",
        ),
        (
            "a source that runs",
            |i| first_server(i, 0).status = "ACTIVE".into(),
            "not SHUTOFF and locked",
        ),
        (
            "a source that is not locked",
            |i| first_server(i, 0).locked = false,
            "not SHUTOFF and locked",
        ),
        (
            "a source that is connected",
            |i| i.sites[0].connections.push(("v".into(), "h".into())),
            "still connected",
        ),
        (
            "another MAC",
            |i| i.sites[1].ports.values_mut().for_each(|p| p.mac = "fa:16:3e:0:0:0".into()),
            "addresses",
        ),
        (
            "other data",
            |i| i.sites[1].array_volumes.values_mut().for_each(|v| v.content.clear()),
            "does not hold",
        ),
        (
            "a second final snapshot",
            |i| {
                let again: Vec<String> =
                    i.sites[0].group_snapshots.iter().map(|n| format!("{n}-2")).collect();
                i.sites[0].group_snapshots.extend(again);
            },
            "final snapshots",
        ),
    ]
}

fn says(problems: &Problems, words: &str) -> bool {
    problems.iter().any(|problem| problem.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_fault_is_told_and_a_good_failover_has_none() {
    protector_server::install_crypto_provider();
    let two = TwoSites::start(1, SPEED).await.unwrap();
    let world = two.stage.world.clone();
    let operation = two.start_failover().await.unwrap();
    let mut engine = two.engine("engine-1", None).unwrap();
    let real = SystemClock::new();
    while two.operation(&operation).await.unwrap()["status"] != "completed" {
        assert!(
            engine.ended().unwrap().is_none() && real.monotonic().as_secs() < 60,
            "{}",
            engine.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    engine.terminate().await.unwrap();
    let after = two.inventory();
    let before = &two.before;
    assert_eq!(expect::failed_over(&world, before, &after, &operation), Problems::new());
    for (name, plant, words) in plants() {
        let mut planted = after.clone();
        plant(&mut planted);
        let problems = expect::failed_over(&world, before, &planted, &operation);
        assert!(says(&problems, words), "{name}: {problems:?}");
    }
    let nothing = expect::failed_over(&world, before, before, &operation);
    assert!(says(&nothing, "site B has 0 new servers"), "{nothing:?}");
    let problems = expect::rolled_back(&world, before, &after, &operation);
    for words in
        ["servers are left", "volumes are left", "ports are left", "cannot write", "not ACTIVE"]
    {
        assert!(says(&problems, words), "{words}: {problems:?}");
    }
    two.stop().await;
}
