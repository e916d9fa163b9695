//! Groups, snapshots and points against an array of a few lines.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use common::{
    array::{LOGIN, NEW, items, refusal, world},
    json, permit,
};
use protector_ports::{ArrayGroupSpec, PortError, ReplicationArray};
use protector_types::Retention;
use serde_json::{Value, json as j};

fn spec() -> ArrayGroupSpec {
    ArrayGroupSpec {
        name: "protector-1".into(),
        target: "fa-b".into(),
        interval_sec: 300,
        retention: Retention::default(),
    }
}

#[tokio::test]
async fn a_group_that_is_as_it_should_be_is_left_alone() {
    let world = world(NEW, |seen, path| match (seen.method.as_str(), path) {
        ("GET", "/protection-groups") => Some(items(j!([{"name": "protector-1",
            "replication_schedule": {"enabled": true, "frequency": 300_000},
            "target_retention": {"all_for_sec": 14400, "per_day": 3, "days": 7}}]))),
        ("GET", "/protection-groups/targets") => {
            Some(items(j!([{"member": {"name": "fa-b"}, "allowed": true}])))
        }
        _ => None,
    });
    world.array.ensure_group(&spec()).await.unwrap();
    assert!(
        world.log.all().iter().all(|seen| seen.method == "GET" || seen.path().ends_with(LOGIN))
    );
}

#[tokio::test]
async fn a_destroyed_group_comes_back_empty_and_switched_off() {
    let live = Arc::new(AtomicBool::new(false));
    let members = Arc::new(Mutex::new(vec!["old-1".to_owned(), "old-2".to_owned()]));
    let world = world(NEW, move |seen, path| match (seen.method.as_str(), path) {
        ("GET", "/protection-groups") if live.load(SeqCst) => Some(items(
            j!([{"name": "protector-1", "replication_schedule": {"enabled": true, "frequency": 1}}]),
        )),
        ("GET", "/protection-groups") => Some(refusal("Protection group does not exist.")),
        ("POST", "/protection-groups") => Some(refusal("Protection group already exists.")),
        ("PATCH", "/protection-groups") => {
            if seen.body["destroyed"] == false {
                live.store(true, SeqCst);
            }
            Some(items(j!([])))
        }
        ("GET", "/protection-groups/volumes") => {
            let rows: Vec<_> =
                members.lock().unwrap().iter().map(|name| j!({"member": {"name": name}})).collect();
            Some(items(rows.into()))
        }
        ("DELETE", "/protection-groups/volumes") => {
            members.lock().unwrap().clear();
            Some(json(200, Value::Null))
        }
        (_, "/protection-groups/targets") => Some(items(j!([]))),
        _ => None,
    });
    world.array.ensure_group(&spec()).await.unwrap();
    let patches: Vec<_> =
        world.log.all().into_iter().filter(|s| s.method == "PATCH").map(|s| s.body).collect();
    assert_eq!(patches[0], j!({"destroyed": false}));
    assert_eq!(patches[1], j!({"replication_schedule": {"enabled": false}}));
    assert_eq!(patches[2]["replication_schedule"], j!({"frequency": 300_000}));
    assert!(world.log.last("DELETE").target.contains("member_names=old-1,old-2"));
    assert!(
        world
            .log
            .last("POST")
            .target
            .ends_with("/targets?group_names=protector-1&member_names=fa-b")
    );
}

#[tokio::test]
async fn groups_of_others_are_never_made_emptied_or_destroyed() {
    let world = world(NEW, |_, _| Some(items(j!([]))));
    for name in ["cinder-group", "fa-b:protector-1", "pod::cinder-group"] {
        let volumes = ["v".to_owned()];
        assert!(matches!(
            world.array.destroy_group(name, &permit()).await,
            Err(PortError::Invalid { .. })
        ));
        assert!(matches!(
            world.array.remove_from_group(name, &volumes).await,
            Err(PortError::Invalid { .. })
        ));
        let spec = ArrayGroupSpec { name: name.into(), ..spec() };
        assert!(matches!(world.array.ensure_group(&spec).await, Err(PortError::Invalid { .. })));
    }
    assert!(world.log.all().is_empty());
}

#[tokio::test]
async fn a_membership_that_the_array_does_not_show_is_no_success() {
    let world = world(NEW, |seen, path| {
        (path == "/protection-groups/volumes").then(|| match seen.method.as_str() {
            "GET" => items(j!([{"member": {"name": "v1"}}])),
            _ => items(j!([])),
        })
    });
    let volumes = ["v1".to_owned(), "v2".to_owned()];
    let error = world.array.add_to_group("protector-1", &volumes).await.unwrap_err();
    assert!(
        matches!(&error, PortError::Unknown { message, .. } if message.contains("v2") && !message.contains("v1")),
        "{error:?}"
    );
    assert!(
        world.log.last("POST").target.ends_with("member_names=v2"),
        "only what is missing is added"
    );
    world.array.add_to_group("protector-1", &volumes[..1]).await.unwrap();
}

#[tokio::test]
async fn points_are_ordered_by_their_time_at_the_source_and_hold_what_they_hold() {
    let world = world(NEW, |seen, path| match path {
        "/protection-group-snapshots/transfer" => Some(items(j!([
            // Sent again later, but older.
            {"name": "a:protector-1.1", "started": 900, "completed": 950, "progress": 1.0},
            {"name": "a:protector-1.2", "started": 500, "completed": 600, "progress": 1},
            {"name": "a:protector-1.3", "started": 800, "completed": null, "progress": 0.5}]))),
        "/protection-group-snapshots" => Some(items(j!([
            {"name": "a:protector-1.1", "created": 1000}, {"name": "a:protector-1.2", "created": 2000},
            {"name": "a:protector-1.3", "created": 3000}, {"name": "a:protector-1.4", "created": 4000}]))),
        "/volume-snapshots" => {
            assert!(seen.target.contains("filter=name%3D%27a%3Aprotector-1."), "{}", seen.target);
            Some(items(j!([
                {"name": "a:protector-1.1.v1"}, {"name": "a:protector-1.2.v1"}, {"name": "a:protector-1.2.v2"},
                {"name": "a:protector-1.3.v1"}])))
        }
        _ => None,
    });
    let points = world.array.recovery_points("a", "protector-1").await.unwrap();
    let names: Vec<_> = points.iter().map(|p| p.name.rsplit('.').next().unwrap()).collect();
    assert_eq!(names, ["4", "3", "2", "1"]);
    let both = ["v1".to_owned(), "v2".to_owned()];
    let usable: Vec<_> = points.iter().map(|p| p.is_usable_for(&both)).collect();
    assert_eq!(usable, [false, false, true, false]);
    assert!(points[3].is_usable_for(&both[..1]));
    assert!(
        world
            .log
            .last("/transfer")
            .target
            .contains("source_names=a%3Aprotector-1&destroyed=false&sort=started-")
    );

    let point = world.array.recovery_point("a", "protector-1", "3").await.unwrap().unwrap();
    assert_eq!((point.completed, point.progress_milli), (None, 500));
    assert_eq!(world.array.recovery_point("a", "protector-1", "9").await.unwrap(), None);
}

#[tokio::test]
async fn a_snapshot_is_sent_at_once_and_kept_under_retention() {
    let world = world(NEW, |seen, path| match (seen.method.as_str(), path) {
        ("POST", "/protection-group-snapshots") if seen.body["suffix"] == "op-1" => {
            Some(items(j!([])))
        }
        ("POST", "/protection-group-snapshots") => Some(refusal("Snapshot already exists.")),
        ("GET", "/protection-group-snapshots") if seen.target.contains("protector-1.op-1") => {
            Some(items(j!([{"name": "protector-1.op-1", "created": 1}])))
        }
        _ => None,
    });
    world.array.snapshot_group("protector-1", "op-1").await.unwrap();
    let target = world.log.last("POST").target;
    assert!(
        target.ends_with("?source_names=protector-1&replicate_now=true&apply_retention=true"),
        "{target}"
    );
    let error = world.array.snapshot_group("protector-1", "op-2").await.unwrap_err();
    assert!(matches!(error, PortError::Conflict { .. }), "{error:?}");
    assert!(world.array.has_group_snapshot("protector-1", "op-1").await.unwrap());
    assert!(!world.array.has_group_snapshot("protector-1", "op-2").await.unwrap());
}

#[tokio::test]
async fn allowing_is_done_at_most_once() {
    let allowed = Arc::new(AtomicBool::new(false));
    let world = world(NEW, move |seen, path| {
        (path == "/protection-groups/targets").then(|| {
            if seen.method == "PATCH" {
                allowed.store(seen.body["allowed"] == true, SeqCst);
            }
            items(j!([{"group": {"name": "a:protector-1"}, "member": {"name": "fa-b"}, "allowed": allowed.load(SeqCst)}]))
        })
    });
    for wanted in [true, true, false, false] {
        world.array.allow_group("a", "protector-1", wanted).await.unwrap();
    }
    assert_eq!(world.log.count("PATCH"), 2);
    assert!(world.log.last("PATCH").target.ends_with("?group_names=a%3Aprotector-1"));
}
