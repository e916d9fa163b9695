//! Hosts, host groups, connections.

use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn initiators_belong_to_one_host() {
    let mut pair = Pair::new();
    pair.a
        .ok("POST", "/hosts?names=h", json!({"iqns": ["iqn.x"], "wwns": ["500000000000000a"]}))
        .await;
    assert_eq!(pair.a.get("/hosts?names=h").await[0]["wwns"], json!(["50:00:00:00:00:00:00:0A"]));
    pair.a.no("POST", "/hosts?names=i", json!({"iqns": ["iqn.x"]}), "already in use").await;
    // Nothing is left of a host that was refused.
    pair.a.no("GET", "/hosts?names=i", Value::Null, "Host does not exist").await;
    pair.a.ok("POST", "/hosts?names=i", json!({})).await;
    pair.a.no("PATCH", "/hosts?names=i", json!({"add_iqns": ["IQN.X"]}), "already in use").await;
    pair.a.ok("PATCH", "/hosts?names=h", json!({"remove_iqns": ["iqn.x"]})).await;
    pair.a.ok("PATCH", "/hosts?names=i", json!({"add_iqns": ["iqn.x"]})).await;
}

#[tokio::test]
async fn luns_count_up_for_hosts_and_down_for_groups() {
    let mut pair = Pair::new();
    for volume in ["v1", "v2", "v3"] {
        pair.a.volume(volume).await;
    }
    pair.a.ok("POST", "/hosts?names=h,i", json!({})).await;
    pair.a.ok("POST", "/host-groups?names=g", json!({})).await;
    let path = "/connections?host_names=h&volume_names=v1,v2";
    let luns: Vec<Value> =
        pair.a.ok("POST", path, json!({})).await.iter().map(|c| c["lun"].clone()).collect();
    assert_eq!(luns, [1, 2]);
    let path = "/connections?host_group_names=g&volume_names=v3";
    assert_eq!(pair.a.ok("POST", path, json!({})).await[0]["lun"], 254);
    let path = "/connections?host_group_names=g&volume_names=v2";
    assert_eq!(pair.a.ok("POST", path, json!({})).await[0]["lun"], 253);
    // The hole is filled first.
    pair.a.ok("DELETE", "/connections?host_names=h&volume_names=v1", Value::Null).await;
    let path = "/connections?host_names=h&volume_names=v3";
    assert_eq!(pair.a.ok("POST", path, json!({})).await[0]["lun"], 1);
    let path = "/connections?host_names=h&volume_names=v1";
    pair.a.no("POST", path, json!({"lun": 1}), "already in use").await;
    pair.a.no("POST", path, json!({"lun": 5000}), "between 1 and 4095").await;
    let path = "/connections?host_names=h,i&volume_names=v1,v2";
    pair.a.no("POST", path, json!({}), "single name").await;
}

#[tokio::test]
async fn group_connections_show_one_row_per_host_and_count_once() {
    let mut pair = Pair::new();
    pair.a.volume("v").await;
    pair.a.ok("POST", "/hosts?names=h,i", json!({})).await;
    pair.a.ok("POST", "/host-groups?names=g", json!({})).await;
    pair.a.ok("POST", "/host-groups/hosts?group_names=g&member_names=h,i", Value::Null).await;
    let path = "/connections?host_group_names=g&volume_names=v";
    pair.a.ok("POST", path, json!({})).await;
    let rows = pair.a.get("/connections?volume_names=v").await;
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|r| r["host_group"]["name"] == "g" && r["lun"] == 254));
    assert_eq!(pair.a.get("/connections?host_names=h").await.len(), 1);
    assert_eq!(pair.a.get("/volumes?names=v").await[0]["connection_count"], 1);
    assert!(pair.a.array.is_connected("h", "v"));
    // A host of the group has no connection of its own to delete.
    let path = "/connections?host_names=h&volume_names=v";
    pair.a.no("DELETE", path, Value::Null, "does not exist").await;
    let path = "/host-groups?names=g";
    pair.a.no("DELETE", path, Value::Null, "existing connections").await;
}

#[tokio::test]
async fn hosts_with_connections_stay() {
    let mut pair = Pair::new();
    pair.a.connected("v").await;
    let words = "cannot be deleted due to existing connections";
    pair.a.no("DELETE", "/hosts?names=guest", Value::Null, words).await;
    let path = "/connections?host_names=guest&volume_names=v";
    pair.a.no("POST", path, json!({}), "Connection already exists").await;
    pair.a.ok("PATCH", "/hosts?names=guest", json!({"name": "renamed"})).await;
    assert!(pair.a.array.is_connected("renamed", "v"));
    pair.a.ok("DELETE", "/connections?host_names=renamed&volume_names=v", Value::Null).await;
    pair.a.ok("DELETE", "/hosts?names=renamed", Value::Null).await;
    let path = "/connections?host_names=renamed&volume_names=v";
    pair.a.no("POST", path, json!({}), "Host does not exist").await;
}
