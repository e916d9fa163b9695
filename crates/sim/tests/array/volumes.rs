//! Volumes, their snapshots and tags.

use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn names_and_sizes_are_checked() {
    let mut pair = Pair::new();
    for name in ["a.b", "-a", "123", &"x".repeat(64)] {
        let path = format!("/volumes?names={name}");
        pair.a.no("POST", &path, json!({}), "between 1 and 63 characters").await;
    }
    pair.a.no("POST", "/volumes?names=v", json!({"provisioned": 1000}), "size").await;
    let made = pair.a.ok("POST", "/volumes?names=v", json!({})).await;
    assert_eq!(made[0]["provisioned"], 1 << 20);
    assert_eq!(made[0]["serial"].as_str().unwrap().len(), 24);
    pair.a.no("POST", "/volumes?names=V", json!({}), "already exists").await;
    pair.a.no("POST", "/volumes?names=no::v", json!({}), "Pod does not exist").await;
    pair.a.no("POST", "/volumes?names=no/v", json!({}), "Volume group does not exist").await;
}

#[tokio::test]
async fn every_missing_name_is_an_error_of_its_own() {
    let mut pair = Pair::new();
    pair.a.volume("v").await;
    let reply = pair.a.call("GET", "/volumes?names=v,x,y", Value::Null).await;
    assert_eq!(reply.status, 400);
    let contexts: Vec<&str> = reply.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["context"].as_str().unwrap())
        .collect();
    assert_eq!(contexts, ["x", "y"]);
    pair.a.no("POST", "/volumes?names=new,v", json!({}), "already exists").await;
    assert!(pair.a.array.volume("new").is_none());
}

#[tokio::test]
async fn ids_and_serials_survive_a_rename_and_snapshots_follow_it() {
    let mut pair = Pair::new();
    let before = pair.a.volume("v").await;
    pair.a.ok("POST", "/volume-snapshots?source_names=v", json!({"suffix": "s"})).await;
    pair.a.ok("POST", "/protection-groups?names=g", Value::Null).await;
    pair.a.ok("POST", "/protection-groups/volumes?group_names=g&member_names=v", Value::Null).await;
    pair.a.ok("POST", "/protection-group-snapshots?source_names=g", json!({"suffix": "s"})).await;
    let after = pair.a.ok("PATCH", "/volumes?names=v", json!({"name": "w"})).await.remove(0);
    assert_eq!((&after["id"], &after["serial"]), (&before["id"], &before["serial"]));
    pair.a.no("GET", "/volumes?names=v", Value::Null, "does not exist").await;
    assert_eq!(pair.a.get("/volume-snapshots?names=w.s").await.len(), 1);
    // Names inside group snapshots stay as they were.
    assert_eq!(pair.a.get("/volume-snapshots?names=g.s.v").await.len(), 1);
}

#[tokio::test]
async fn clones_share_content_until_somebody_writes() {
    let mut pair = Pair::new();
    pair.a.connected("v").await;
    pair.a.write("v", "1");
    let path = "/volumes?names=c&with_default_protection=false";
    let clone = pair.a.ok("POST", path, json!({"source": {"name": "v"}})).await.remove(0);
    assert_eq!(clone["source"]["name"], "v");
    assert_ne!(clone["serial"], pair.a.get("/volumes?names=v").await[0]["serial"]);
    pair.a.write("v", "2");
    assert_eq!(pair.a.array.content("c").unwrap(), ["1"]);
    assert_eq!(pair.a.array.content("v").unwrap(), ["1", "2"]);
    let dump = pair.a.array.dump();
    assert_eq!(dump["volumes"]["c"]["stamps"], 1);
    assert_ne!(dump["volumes"]["c"]["content"], dump["volumes"]["v"]["content"]);
}

#[tokio::test]
async fn overwrite_keeps_identity_and_refuses_protection_parameters() {
    let mut pair = Pair::new();
    pair.a.connected("src").await;
    pair.a.write("src", "1");
    pair.a.connected("dst").await;
    let before = pair.a.get("/volumes?names=dst").await.remove(0);
    let body = json!({"source": {"name": "src"}});
    let path = "/volumes?names=dst&overwrite=true";
    for more in ["with_default_protection=false", "add_to_protection_group_names=g"] {
        pair.a.ok("POST", "/protection-groups?names=g", Value::Null).await;
        let path = format!("{path}&{more}");
        pair.a.no("POST", &path, body.clone(), "Invalid parameter combination").await;
        pair.a.ok("PATCH", "/protection-groups?names=g", json!({"destroyed": true})).await;
        pair.a.ok("DELETE", "/protection-groups?names=g", Value::Null).await;
    }
    pair.a.no("POST", "/volumes?names=dst", body.clone(), "already exists").await;
    let after = pair.a.ok("POST", path, body).await.remove(0);
    for same in ["id", "serial", "name", "connection_count"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(pair.a.array.content("dst").unwrap(), ["1"]);
    pair.a.no("POST", path, json!({"provisioned": GIB}), "invalid").await;
}

#[tokio::test]
async fn lenient_arrays_take_what_cinder_sends() {
    let mut pair = Pair::with(|c| c.strict.refuse_overwrite_with_protection = false);
    pair.a.volume("src").await;
    let path = "/volumes?names=dst&overwrite=true&with_default_protection=false";
    pair.a.ok("POST", path, json!({"source": {"name": "src"}})).await;
    pair.a.ok("POST", path, json!({"source": {"name": "src"}})).await;
}

#[tokio::test]
async fn default_protection_is_joined_unless_declined() {
    let mut pair = Pair::new();
    pair.a.ok("POST", "/protection-groups?names=safe,more", Value::Null).await;
    let body = json!({"default_protections": [{"name": "safe", "type": "protection_group"}]});
    pair.a.ok("PATCH", "/container-default-protections?names=a", body).await;
    pair.a.ok("POST", "/volumes?names=in", json!({})).await;
    pair.a.ok("POST", "/volumes?names=out&with_default_protection=false", json!({})).await;
    let path = "/volumes?names=both&add_to_protection_group_names=more";
    pair.a.ok("POST", path, json!({})).await;
    let groups = |v: &str| pair.a.array.volume(v).unwrap().protection_groups;
    assert_eq!(groups("in"), [("safe".to_owned(), false)]);
    assert!(groups("out").is_empty());
    assert_eq!(groups("both").len(), 2);
}

#[tokio::test]
async fn shrinking_needs_truncate() {
    let mut pair = Pair::new();
    pair.a.volume("v").await;
    pair.a.ok("PATCH", "/volumes?names=v", json!({"provisioned": 2 * GIB})).await;
    let smaller = json!({"provisioned": GIB});
    pair.a.no("PATCH", "/volumes?names=v", smaller.clone(), "truncation").await;
    let after = pair.a.ok("PATCH", "/volumes?names=v&truncate=true", smaller).await.remove(0);
    assert_eq!(after["provisioned"], GIB);
}

#[tokio::test]
async fn demoted_volumes_take_no_writes() {
    let mut pair = Pair::new();
    pair.a.connected("v").await;
    let state = |s: &str| json!({"requested_promotion_state": s});
    let after = pair.a.ok("PATCH", "/volumes?names=v", state("demoted")).await.remove(0);
    assert_eq!(after["promotion_status"], "demoted");
    assert!(pair.a.array.write("guest", "v", "x").is_err());
    pair.a.ok("PATCH", "/volumes?names=v", state("promoted")).await;
    pair.a.write("v", "x");
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let pair = Pair::new();
    let mut new = pair.a.version("2.56");
    new.volume("v").await;
    let body = json!([{"name": "x", "source": {"name": "v"}}, {"name": "v", "provisioned": GIB}]);
    new.no("POST", "/volumes/batch", body, "already exists").await;
    assert!(pair.a.array.volume("x").is_none());
    let body = json!([{"name": "x", "source": {"name": "v"}}, {"name": "y", "provisioned": GIB}]);
    let made = new.ok("POST", "/volumes/batch?with_default_protection=false", body).await;
    assert_eq!(made.len(), 2);
}

#[tokio::test]
async fn snapshots_of_a_volume_have_chosen_or_rising_suffixes() {
    let mut pair = Pair::new();
    pair.a.volume("v").await;
    let path = "/volume-snapshots?source_names=v";
    for number in 1..=2 {
        let made = pair.a.ok("POST", path, json!({})).await;
        assert_eq!(made[0]["name"], format!("v.{number}"));
    }
    for bad in ["7", "a.b", "-a"] {
        pair.a.no("POST", path, json!({"suffix": bad}), "suffix").await;
    }
    pair.a.ok("POST", path, json!({"suffix": "s"})).await;
    // The suffix alone or the whole name.
    pair.a.ok("PATCH", "/volume-snapshots?names=v.s", json!({"name": "t"})).await;
    pair.a.ok("PATCH", "/volume-snapshots?names=v.t", json!({"name": "v.u"})).await;
    pair.a.no("POST", path, json!({"suffix": "u"}), "already exists").await;
    pair.a.ok("PATCH", "/volume-snapshots?names=v.u", json!({"destroyed": true})).await;
    pair.a.no("POST", path, json!({"suffix": "u"}), "already exists").await;
    let body = json!({"source": {"name": "v.u"}});
    pair.a.no("POST", "/volumes?names=c", body, "has been destroyed").await;
    pair.a.ok("DELETE", "/volume-snapshots?names=v.u", Value::Null).await;
    pair.a.ok("POST", path, json!({"suffix": "u"})).await;
}

#[tokio::test]
async fn tags_are_kept_by_namespace_and_copied_when_copyable() {
    let mut pair = Pair::new();
    pair.a.volume("v").await;
    let tag =
        |k: &str, copyable| json!({"key": k, "value": "1", "namespace": "n", "copyable": copyable});
    let body = json!([tag("k", true), tag("l", false)]);
    pair.a.ok("PUT", "/volumes/tags/batch?resource_names=v", body).await;
    assert!(pair.a.get("/volumes/tags?resource_names=v").await.is_empty());
    assert_eq!(pair.a.get("/volumes/tags?resource_names=v&namespaces=n").await.len(), 2);
    pair.a.ok("POST", "/volumes?names=c", json!({"source": {"name": "v"}})).await;
    let copied = pair.a.get("/volumes/tags?resource_names=c&namespaces=n").await;
    assert_eq!(copied.len(), 1);
    let found = pair.a.call("GET", "/volumes?filter=tags('l','1')", Value::Null).await.names();
    assert_eq!(found, ["v"]);
    let path = "/volumes/tags?resource_names=v&namespaces=n&keys=k";
    pair.a.ok("DELETE", path, Value::Null).await;
    assert_eq!(pair.a.get("/volumes/tags?resource_names=v&namespaces=n").await.len(), 1);
    let path = "/volumes/tags?resource_names=v&namespaces=n,m";
    pair.a.no("DELETE", path, Value::Null, "Only one namespace").await;
}

#[tokio::test]
async fn moves_into_pods_need_the_groups_to_be_left() {
    let mut pair = Pair::new();
    pair.a.volume("v").await;
    pair.a.ok("POST", "/pods?names=p", json!({})).await;
    pair.a.ok("POST", "/protection-groups?names=g,p%3A%3Ag", Value::Null).await;
    pair.a.ok("POST", "/protection-groups/volumes?group_names=g&member_names=v", Value::Null).await;
    let body = json!({"pod": {"name": "p"}});
    pair.a.no("PATCH", "/volumes?names=v", body.clone(), "member of protection groups").await;
    let path = "/volumes?names=v&remove_from_protection_group_names=g\
                &add_to_protection_group_names=p%3A%3Ag";
    assert_eq!(pair.a.ok("PATCH", path, body).await[0]["name"], "p::v");
    let groups = pair.a.array.volume("p::v").unwrap().protection_groups;
    assert_eq!(groups, [("p::g".to_owned(), false)]);
    let path = "/protection-groups/volumes?group_names=g&member_names=p%3A%3Av";
    pair.a.no("POST", path, Value::Null, "same pod").await;
}
