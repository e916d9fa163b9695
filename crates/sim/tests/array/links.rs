//! The wire between two arrays.

use protector_sim::array::{Array, LinkStatus, LinkType};
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn both_ends_show_the_connection() {
    let mut pair = Pair::new();
    let seen = pair.a.get("/array-connections").await.remove(0);
    assert_eq!(
        (&seen["name"], &seen["status"], &seen["type"]),
        (&json!("b"), &json!("connected"), &json!("sync-replication"))
    );
    assert_eq!(pair.b.get("/array-connections").await[0]["name"], "a");
    Array::set_link(&pair.a.array, &pair.b.array, LinkStatus::PartiallyConnected);
    assert_eq!(pair.b.get("/array-connections").await[0]["status"], "partially_connected");
}

#[tokio::test]
async fn shipments_stand_still_while_the_link_is_broken() {
    let mut pair = Pair::new();
    pair.replicated(&["v"]).await;
    pair.ship("replicate_now", "s").await;
    pair.pass(4000);
    Array::set_link(&pair.a.array, &pair.b.array, LinkStatus::Broken);
    pair.pass(HOUR);
    assert_eq!(pair.transfer("s").await["progress"], 0.4);
    Array::set_link(&pair.a.array, &pair.b.array, LinkStatus::PartiallyConnected);
    pair.pass(6000);
    assert_eq!(pair.transfer("s").await["progress"], 1.0);
}

#[tokio::test]
async fn a_connection_is_made_with_the_other_arrays_key() {
    let mut pair = Pair::new();
    let key = pair.b.get("/array-connections/connection-key").await[0]["connection_key"].clone();
    let mut body = json!({
        "management_address": pair.b.array.config().management_address,
        "connection_key": key,
        "type": "async-replication",
    });
    pair.a.no("POST", "/array-connections", body.clone(), "already exists").await;
    pair.replicated(&["v"]).await;
    pair.a.no("DELETE", "/array-connections?names=b", Value::Null, "already in use").await;
    let path = "/protection-groups/targets?group_names=pg&member_names=b";
    pair.a.ok("DELETE", path, Value::Null).await;
    pair.a.ok("DELETE", "/array-connections?names=b", Value::Null).await;
    assert!(pair.b.get("/array-connections").await.is_empty());
    body["connection_key"] = json!("wrong");
    pair.a.no("POST", "/array-connections", body.clone(), "Invalid connection key").await;
    body["connection_key"] = key;
    assert_eq!(pair.a.ok("POST", "/array-connections", body).await[0]["type"], "async-replication");
    // An asynchronous connection stretches no pods.
    pair.a.ok("POST", "/pods?names=p", json!({})).await;
    let path = "/pods/arrays?group_names=p&member_names=b";
    pair.a.no("POST", path, Value::Null, "sync-replication").await;
}

#[tokio::test]
async fn state_from_before_the_link_is_kept() {
    let pair = Pair::new();
    let config =
        protector_sim::array::ArrayConfig::new("c", std::sync::Arc::new(pair.clock.clone()), 3);
    let c = Array::new(config);
    c.create_volume("early", GIB).unwrap();
    let mut client = Client::new(&c);
    client.login().await;
    Array::link_as(&pair.a.array, &c, LinkType::Async);
    assert_eq!(client.get("/volumes").await[0]["name"], "early");
    assert_eq!(client.get("/array-connections").await[0]["name"], "a");
    assert!(pair.b.array.volume("early").is_none());
}

#[test]
fn linked_arrays_are_used_from_many_threads_without_a_deadlock() {
    let pair = Pair::new();
    let (a, b) = (&pair.a.array, &pair.b.array);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                for n in 0..200 {
                    let (one, other) = if worker % 2 == 0 { (a, b) } else { (b, a) };
                    one.create_volume(&format!("v{worker}-{n}"), GIB).unwrap();
                    other.volume("v0-0");
                    if n % 50 == 0 {
                        Array::link(one, other);
                        Array::set_link(other, one, LinkStatus::Connected);
                        one.dump();
                    }
                }
            });
        }
    });
    assert_eq!(a.volumes().len() + b.volumes().len(), 800);
}
