//! The handle that the Cinder simulator uses.

use serde_json::Value;

use crate::support::*;

#[tokio::test]
async fn a_driver_s_life_with_a_volume() {
    let mut pair = Pair::new();
    let a = pair.a.array.clone();
    let view = a.create_volume("volume-1-cinder", GIB).unwrap();
    a.ensure_protection_group("cinder-group", "b").unwrap();
    a.ensure_protection_group("cinder-group", "b").unwrap();
    a.join_protection_group("cinder-group", "volume-1-cinder").unwrap();
    a.join_protection_group("cinder-group", "volume-1-cinder").unwrap();
    a.tag_volume("volume-1-cinder", "ns", "ProjectId", "p").unwrap();
    assert_eq!(a.connect("host", "volume-1-cinder").unwrap(), 1);
    assert_eq!(a.connect("host", "volume-1-cinder").unwrap(), 1);
    a.write("host", "volume-1-cinder", "x").unwrap();
    assert!(a.write("other", "volume-1-cinder", "x").is_err());
    a.rename_volume("volume-1-cinder", "mine").unwrap();
    let after = a.volume("mine").unwrap();
    assert_eq!((&after.id, &after.serial), (&view.id, &view.serial));
    assert_eq!(after.protection_groups, [("cinder-group".to_owned(), true)]);
    assert_eq!(pair.a.get("/volumes/tags?namespaces=ns").await.len(), 1);
    a.untag_volume("mine", "ns").unwrap();
    a.leave_protection_group("cinder-group", "mine").unwrap();
    a.clone_volume("mine", "copy").unwrap();
    assert_eq!(a.content("copy").unwrap(), ["x"]);
    a.extend_volume("copy", 2 * GIB).unwrap();
    a.disconnect("host", "mine").unwrap();
    a.disconnect("host", "mine").unwrap();
    assert!(!a.is_connected("host", "mine"));
    a.connect("host", "mine").unwrap();
    a.destroy_volume("mine").unwrap();
    assert!(a.volume("mine").unwrap().destroyed);
    assert_eq!(a.volume("mine").unwrap().connection_count, 0);
}

#[test]
fn refusals_are_in_the_array_s_words() {
    let pair = Pair::new();
    let a = &pair.a.array;
    let words = |e: protector_sim::array::ArrayRefusal| e.to_string();
    assert!(words(a.rename_volume("x", "y").unwrap_err()).contains("does not exist"));
    a.create_volume("v", GIB).unwrap();
    a.create_volume("w", GIB).unwrap();
    assert!(words(a.create_volume("v", GIB).unwrap_err()).contains("already exists"));
    assert!(words(a.rename_volume("v", "w").unwrap_err()).contains("already exists"));
    a.destroy_volume("v").unwrap();
    assert!(words(a.destroy_volume("v").unwrap_err()).contains("has been destroyed"));
    assert!(words(a.connect("h", "v").unwrap_err()).contains("has been destroyed"));
}

#[test]
fn two_worlds_with_one_seed_are_alike() {
    let dumps: Vec<Value> = (0..2)
        .map(|_| {
            let pair = Pair::new();
            pair.a.array.create_volume("v", GIB).unwrap();
            pair.a.array.connect("h", "v").unwrap();
            pair.a.array.dump()
        })
        .collect();
    assert_eq!(dumps[0], dumps[1]);
}
