//! Stretched pods.

use protector_sim::array::{Array, LinkStatus};
use serde_json::{Value, json};

use crate::support::*;

async fn stretched(pair: &mut Pair) {
    pair.a.ok("POST", "/pods?names=p", json!({})).await;
    pair.a.volume("p%3A%3Av").await;
    pair.a.ok("POST", "/pods/arrays?group_names=p&member_names=b", Value::Null).await;
}

async fn states(client: &mut Client) -> Vec<String> {
    let pod = client.get("/pods?names=p").await.remove(0);
    let arrays = pod["arrays"].as_array().unwrap().clone();
    arrays.iter().map(|a| a["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn both_arrays_show_the_pod_and_one_serial() {
    let mut pair = Pair::new();
    stretched(&mut pair).await;
    assert_eq!(states(&mut pair.b).await, ["online", "resyncing"]);
    pair.pass(10_000);
    assert_eq!(states(&mut pair.b).await, ["online", "online"]);
    let serial = |rows: Vec<Value>| rows[0]["serial"].clone();
    let here = serial(pair.a.get("/volumes?names=p%3A%3Av").await);
    assert_eq!(here, serial(pair.b.get("/volumes?names=p%3A%3Av").await));
    assert!(pair.a.array.volume("p::v").unwrap().in_stretched_pod);
    pair.a.array.connect("ha", "p::v").unwrap();
    pair.b.array.connect("hb", "p::v").unwrap();
    pair.a.array.write("ha", "p::v", "1").unwrap();
    pair.b.array.write("hb", "p::v", "2").unwrap();
    assert_eq!(pair.a.array.content("p::v").unwrap(), ["1", "2"]);
    assert_eq!(pair.a.array.volume("p::v").unwrap().connection_count, 1);
}

#[tokio::test]
async fn nothing_comes_in_from_outside_or_moves_while_stretched() {
    let mut pair = Pair::new();
    stretched(&mut pair).await;
    pair.a.volume("out").await;
    let body = json!({"source": {"name": "out"}});
    pair.a.no("POST", "/volumes?names=p%3A%3Ac", body, "stretched pod").await;
    let body = json!({"pod": {"name": "p"}});
    pair.a.no("PATCH", "/volumes?names=out", body, "stretched pod").await;
    pair.a.ok("POST", "/volumes?names=p%3A%3Ac", json!({"source": {"name": "p::v"}})).await;
    assert!(pair.b.array.volume("p::c").is_some());
}

#[tokio::test]
async fn unstretching_leaves_a_destroyed_remnant_to_copy_from() {
    let mut pair = Pair::new();
    stretched(&mut pair).await;
    pair.a.array.connect("h", "p::v").unwrap();
    pair.a.array.write("h", "p::v", "1").unwrap();
    let path = "/pods/arrays?group_names=p&member_names=b";
    pair.a.ok("DELETE", path, Value::Null).await;
    pair.b.no("GET", "/pods?names=p", Value::Null, "does not exist").await;
    let remnant = pair.b.get("/pods?destroyed=true").await.remove(0);
    assert_eq!(remnant["name"], "p.restretch");
    let body = json!({"destroyed": false});
    pair.b.no("PATCH", "/pods?names=p.restretch", body, "cannot be recovered").await;
    pair.b.ok("POST", "/pods?names=saved", json!({"source": {"name": "p.restretch"}})).await;
    assert_eq!(pair.b.array.content("saved::v").unwrap(), ["1"]);
}

#[tokio::test]
async fn a_broken_link_leaves_the_preferred_side_online() {
    let mut pair = Pair::new();
    stretched(&mut pair).await;
    pair.pass(10_000);
    let body = json!({"failover_preferences": [{"name": "b"}]});
    pair.a.ok("PATCH", "/pods?names=p", body).await;
    for (array, host) in [(&pair.a.array, "ha"), (&pair.b.array, "hb")] {
        array.connect(host, "p::v").unwrap();
    }
    Array::set_link(&pair.a.array, &pair.b.array, LinkStatus::Broken);
    assert_eq!(states(&mut pair.a).await, ["offline", "online"]);
    assert!(pair.a.array.write("ha", "p::v", "x").is_err());
    pair.b.array.write("hb", "p::v", "y").unwrap();
    pair.b
        .no("DELETE", "/pods/arrays?group_names=p&member_names=a", Value::Null, "with_unknown")
        .await;
    Array::set_link(&pair.a.array, &pair.b.array, LinkStatus::Connected);
    assert_eq!(states(&mut pair.a).await, ["resyncing", "online"]);
    pair.pass(10_000);
    assert_eq!(states(&mut pair.a).await, ["online", "online"]);
}

#[tokio::test]
async fn pods_are_destroyed_empty_or_with_their_contents() {
    let mut pair = Pair::new();
    stretched(&mut pair).await;
    let gone = json!({"destroyed": true});
    pair.a.no("PATCH", "/pods?names=p&destroy_contents=true", gone.clone(), "stretched").await;
    pair.a.ok("DELETE", "/pods/arrays?group_names=p&member_names=b", Value::Null).await;
    pair.a.no("PATCH", "/pods?names=p", gone.clone(), "not empty").await;
    pair.a.ok("PATCH", "/pods?names=p&destroy_contents=true", gone).await;
    assert_eq!(pair.a.get("/volumes?names=p%3A%3Av").await[0]["destroyed"], true);
    pair.a.no("DELETE", "/pods?names=p", Value::Null, "not empty").await;
    pair.a.ok("DELETE", "/pods?names=p&eradicate_contents=true", Value::Null).await;
    assert!(pair.a.array.volume("p::v").is_none());
}

#[tokio::test]
async fn replicas_of_a_pods_group_carry_the_pods_name() {
    let mut pair = Pair::new();
    pair.a.ok("POST", "/pods?names=p", json!({})).await;
    pair.a.volume("p%3A%3Av").await;
    pair.a.ok("POST", "/protection-groups?names=p%3A%3Apg", Value::Null).await;
    let path = "/protection-groups/volumes?group_names=p%3A%3Apg&member_names=p%3A%3Av";
    pair.a.ok("POST", path, Value::Null).await;
    let path = "/protection-groups/targets?group_names=p%3A%3Apg&member_names=b";
    pair.a.ok("POST", path, Value::Null).await;
    let path = "/protection-groups/targets?group_names=p%3Apg";
    pair.b.ok("PATCH", path, json!({"allowed": true})).await;
    let path = "/protection-group-snapshots?source_names=p%3A%3Apg&replicate_now=true";
    pair.a.ok("POST", path, json!({"suffix": "s"})).await;
    pair.pass(10_000);
    assert_eq!(pair.a.get("/volume-snapshots?names=p%3A%3Apg.s.v").await.len(), 1);
    assert_eq!(pair.b.get("/volume-snapshots?names=p%3Apg.s.v").await.len(), 1);
}

#[tokio::test]
async fn a_lost_array_leaves_its_pods_to_the_other_one_and_is_brought_in_step_again() {
    let mut pair = Pair::new();
    stretched(&mut pair).await;
    pair.pass(10_000);
    for (array, host) in [(&pair.a.array, "ha"), (&pair.b.array, "hb")] {
        array.connect(host, "p::v").unwrap();
    }
    // Whatever the preference says: the mediator hears of one of them only.
    pair.a.array.set_lost(true);
    assert_eq!(states(&mut pair.b).await, ["offline", "online"]);
    assert!(pair.a.array.write("ha", "p::v", "x").is_err());
    pair.b.array.write("hb", "p::v", "y").unwrap();
    // A copy that lacks what the other acknowledged is not let in because the other one dies as well.
    pair.pass(1_000);
    pair.b.array.set_lost(true);
    pair.a.array.set_lost(false);
    assert!(pair.a.array.write("ha", "p::v", "x").is_err());
    pair.b.array.set_lost(false);
    pair.pass(10_000);
    assert_eq!(states(&mut pair.b).await, ["online", "online"]);
    assert_eq!(pair.a.array.content("p::v").unwrap(), ["y"]);
}

#[tokio::test]
async fn a_pods_group_and_its_points_are_on_both_arrays_and_are_copied_out_of_the_pod() {
    let mut pair = Pair::new();
    stretched(&mut pair).await;
    pair.pass(10_000);
    pair.a.array.connect("h", "p::v").unwrap();
    pair.a.ok("POST", "/protection-groups?names=p%3A%3Apg", Value::Null).await;
    let member = "/protection-groups/volumes?group_names=p%3A%3Apg&member_names=p%3A%3Av";
    pair.a.ok("POST", member, Value::Null).await;
    pair.a.volume("outside").await;
    let stranger = "/protection-groups/volumes?group_names=p%3A%3Apg&member_names=outside";
    pair.a.no("POST", stranger, Value::Null, "same pod").await;
    pair.a.array.write("h", "p::v", "1").unwrap();
    let snapshot = "/protection-group-snapshots?source_names=p%3A%3Apg&apply_retention=true";
    pair.b.ok("POST", snapshot, json!({"suffix": "s"})).await;
    pair.a.array.write("h", "p::v", "2").unwrap();
    for client in [&mut pair.a, &mut pair.b] {
        assert_eq!(client.get("/volume-snapshots?names=p%3A%3Apg.s.v").await.len(), 1);
    }
    let body = json!({"source": {"name": "p::pg.s.v"}});
    pair.b.ok("POST", "/volumes?names=out", body).await;
    assert_eq!(pair.b.array.content("out").unwrap(), ["1"]);
    assert!(pair.a.array.volume("out").is_none());
}
