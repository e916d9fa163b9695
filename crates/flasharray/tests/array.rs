//! The client against an array of a few lines: versions, sessions, encodings, and what it does when the array
//! says something unexpected.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use axum::response::{IntoResponse, Response};
use common::{Log, Seen, client, json, permit, service};
use protector_flasharray::FlashArray;
use protector_ports::{ArrayConnection, ArrayGroupSpec, PortError, ReplicationArray, VolumeKey};
use protector_types::{Retention, Secret};
use serde_json::{Value, json as j};

const LOGIN: &str = "/login";

struct World {
    array: FlashArray,
    log: Log,
}

fn refusal(text: &str) -> Response {
    json(400, j!({"errors": [{"context": "x", "message": text}]}))
}

fn items(items: Value) -> Response {
    json(200, j!({"items": items, "more_items_remaining": false, "continuation_token": null}))
}

/// An array with these versions that answers as `answer` does, without the `/api/2.x`; else "does not exist".
fn world(
    versions: &'static [&'static str],
    answer: impl Fn(&Seen, &str) -> Option<Response> + Send + Sync + 'static,
) -> World {
    let sessions = AtomicUsize::new(0);
    let (router, log) = service(move |seen| {
        if seen.path() == "/api/api_version" {
            return json(200, j!({"version": versions}));
        }
        let path =
            seen.path().splitn(4, '/').nth(3).map(|rest| format!("/{rest}")).unwrap_or_default();
        if path == LOGIN {
            if seen.header("api-token") != Some("good") {
                return json(401, j!({"errors": [{"message": "Invalid credentials."}]}));
            }
            let token = format!("session-{}", sessions.fetch_add(1, SeqCst) + 1);
            return ([("x-auth-token", token)], r#"{"items": [{"username": "pureuser"}]}"#)
                .into_response();
        }
        answer(seen, &path).unwrap_or_else(|| refusal("Volume does not exist."))
    });
    let (client, _) = client("fa-a", router);
    World { array: FlashArray::new(&client, "site-a", "http://fa-a/", Secret::from("good")), log }
}

const NEW: &[&str] = &["1.0", "2.0", "2.4", "2.9", "2.16", "2.26", "2.36"];
const OLD: &[&str] = &["1.19", "2.4", "2.11"];

#[tokio::test]
async fn the_newest_common_version_is_spoken_and_a_dead_session_is_replaced_once() {
    let alive = |seen: &Seen| seen.header("x-auth-token") != Some("session-1");
    let world = world(NEW, move |seen, path| {
        if !alive(seen) {
            return Some(json(401, j!({"errors": [{"message": "Invalid session."}]})));
        }
        (path == "/arrays").then(|| items(j!([{"id": "a1", "name": "fa-a", "version": "6.4.10"}])))
    });
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let array = world.array.clone();
            tokio::spawn(async move { array.identify().await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().name, "fa-a");
    }
    assert_eq!(world.log.count(LOGIN), 2);
    assert!(world.log.last("/arrays").path().starts_with("/api/2.26/"));
    assert_eq!(world.array.rest_version().await.unwrap().to_string(), "2.26");
}

#[tokio::test]
async fn an_array_that_is_too_old_is_refused_with_its_versions() {
    let world = world(&["1.19", "2.0", "2.3"], |_, _| None);
    let error = world.array.identify().await.unwrap_err();
    assert!(
        matches!(&error, PortError::Invalid { message, .. } if message.contains("2.3")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_wrong_token_is_denied_and_not_shown() {
    let (router, log) = service(|seen| match seen.path() {
        "/api/api_version" => json(200, j!({"version": NEW})),
        _ => json(401, j!({"errors": [{"message": "Invalid credentials."}]})),
    });
    let (client, _) = client("fa-a", router);
    let array = FlashArray::new(&client, "site-a", "http://fa-a", Secret::from("hunter2"));
    let error = array.identify().await.unwrap_err();
    assert!(
        matches!(error, PortError::Denied { .. }) && !format!("{error:?}").contains("hunter2"),
        "{error:?}"
    );
    assert_eq!(log.count(LOGIN), 1);
}

#[tokio::test]
async fn a_session_that_never_works_is_denied() {
    let world =
        world(NEW, |_, _| Some(json(401, j!({"errors": [{"message": "Invalid session."}]}))));
    assert!(matches!(world.array.identify().await, Err(PortError::Denied { .. })));
    assert_eq!((world.log.count(LOGIN), world.log.count("/arrays")), (2, 2));
}

#[tokio::test]
async fn names_are_encoded_and_only_what_lives_is_asked_for() {
    let world = world(NEW, |_, path| {
        (path == "/volumes")
            .then(|| items(j!([{"name": "pod::a b", "serial": "AB", "provisioned": 5, "id": "1"}])))
    });
    let volume = world.array.volume(&VolumeKey::Name("pod::a b".into())).await.unwrap();
    assert_eq!((volume.serial.as_str(), volume.size_bytes), ("AB", 5));
    assert_eq!(
        world.log.last("/volumes").target,
        "/api/2.26/volumes?names=pod%3A%3Aa%20b&destroyed=false"
    );
    assert!(world.array.volume(&VolumeKey::Serial("ab".into())).await.is_ok());
    assert_eq!(
        world.log.last("/volumes").target,
        "/api/2.26/volumes?filter=serial%3D%27ab%27&destroyed=false"
    );
    // A filter that the array did not understand must not give somebody else's volume.
    assert!(world.array.volume(&VolumeKey::Serial("cd".into())).await.unwrap_err().is_absent());
}

#[tokio::test]
async fn pages_are_followed_by_token_and_by_position() {
    let world = world(NEW, |seen, path| {
        let link =
            |name: &str| j!({"name": name, "status": "connected", "type": "async-replication"});
        (path == "/array-connections").then(|| {
            if seen.target.contains("continuation_token=t%201") {
                json(200, j!({"items": [link("c")], "more_items_remaining": true}))
            } else if seen.target.contains("offset=3") {
                json(200, j!({"items": [link("d")], "more_items_remaining": false}))
            } else {
                json(200, j!({"items": [link("a"), link("b")], "continuation_token": "t 1", "more_items_remaining": true}))
            }
        })
    });
    let links = world.array.links().await.unwrap();
    assert_eq!(links.iter().map(|l| l.remote.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert!(links.iter().all(|link| link.is_usable()));
}

#[tokio::test]
async fn many_names_go_in_portions_and_missing_ones_are_left_out() {
    let world = world(NEW, |seen, path| {
        if path != "/volumes" {
            return None;
        }
        let decoded = seen
            .target
            .replace("%27", "'")
            .replace("%28", "(")
            .replace("%29", ")")
            .replace("%2C", ",")
            .replace("%3D", "=");
        let (names, strict) = match decoded.split_once("names=") {
            Some((_, rest)) => (rest.split('&').next().unwrap().to_owned(), true),
            None => (
                decoded
                    .split_once("name=(")
                    .unwrap()
                    .1
                    .split(')')
                    .next()
                    .unwrap()
                    .replace('\'', ""),
                false,
            ),
        };
        if strict && names.contains("gone") {
            return Some(refusal("Volume does not exist."));
        }
        let found: Vec<_> = names
            .split(',')
            .filter(|name| !name.contains("gone"))
            .map(|name| j!({"name": name}))
            .collect();
        Some(items(found.into()))
    });
    let mut names: Vec<String> = (0..120).map(|n| format!("v{n}")).collect();
    names.push("gone".into());
    let found = world.array.volumes_named(&names).await.unwrap();
    assert_eq!(found.len(), 120);
    assert_eq!(world.log.count("names=v"), 3);
    assert_eq!(world.log.count("filter=name"), 1);
    assert!(world.array.volumes_named(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_clone_never_overwrites_and_joins_no_default_group() {
    for (versions, with_default) in [(NEW, true), (OLD, false)] {
        let world = world(versions, |seen, path| {
            (path == "/volumes" && seen.method == "POST")
                .then(|| items(j!([{"name": "new", "serial": "S1"}])))
        });
        let volume = world.array.clone_from_point("a:protector-1.7", "v1", "new").await.unwrap();
        assert_eq!(volume.serial, "S1");
        let seen = world.log.last("POST");
        assert_eq!(seen.body, j!({"source": {"name": "a:protector-1.7.v1"}}));
        assert!(!seen.target.contains("overwrite"));
        assert_eq!(
            seen.target.contains("with_default_protection=false"),
            with_default,
            "{}",
            seen.target
        );
    }
}

#[tokio::test]
async fn a_name_held_by_a_destroyed_volume_is_a_conflict_and_a_missing_source_is_absent() {
    let world = world(NEW, |seen, path| match (seen.method.as_str(), path) {
        ("POST", "/volumes") => Some(refusal("Volume has been destroyed.")),
        ("GET", "/volumes") if seen.target.contains("names=held") => {
            Some(items(j!([{"name": "held", "destroyed": true}])))
        }
        _ => None,
    });
    let conflict = world.array.clone_from_point("a:g.7", "v", "held").await.unwrap_err();
    assert!(matches!(conflict, PortError::Conflict { .. }), "{conflict:?}");
    assert!(world.array.clone_from_point("a:g.7", "v", "free").await.unwrap_err().is_absent());
}

#[tokio::test]
async fn destroying_is_recoverable_and_absent_is_success() {
    let world = world(NEW, |seen, path| match (seen.method.as_str(), path) {
        ("GET", "/volumes") if seen.target.contains("S1") => {
            Some(items(j!([{"name": "v", "id": "id-1", "serial": "S1"}])))
        }
        ("GET", "/volumes") => Some(items(j!([]))),
        ("PATCH", "/volumes") if seen.target.contains("ids=id-1") => Some(items(j!([]))),
        ("PATCH", "/volumes") if seen.target.contains("names=used") => {
            Some(refusal("Volume cannot be deleted due to existing connections."))
        }
        ("PATCH", "/volumes") => Some(refusal("Volume has been destroyed.")),
        _ => None,
    });
    world.array.destroy_volume(&VolumeKey::Serial("S1".into()), &permit()).await.unwrap();
    assert_eq!(world.log.last("PATCH").body, j!({"destroyed": true}));
    world.array.destroy_volume(&VolumeKey::Serial("S2".into()), &permit()).await.unwrap();
    world.array.destroy_volume(&VolumeKey::Name("gone".into()), &permit()).await.unwrap();
    let error =
        world.array.destroy_volume(&VolumeKey::Name("used".into()), &permit()).await.unwrap_err();
    assert!(matches!(error, PortError::Conflict { .. }), "{error:?}");
    assert_eq!(world.log.count("DELETE"), 0);
}

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
async fn restoring_a_connection_is_repeatable_but_not_with_another_lun() {
    let world = world(NEW, |seen, path| {
        (path == "/connections").then(|| match seen.method.as_str() {
            "POST" => refusal("Connection already exists."),
            "DELETE" => refusal("Connection does not exist."),
            _ => items(j!([
                {"host": {"name": "h1"}, "host_group": {"name": "hg"}, "lun": 9},
                {"host": {"name": "h2"}, "host_group": {"name": "hg"}, "lun": 9},
                {"host": {"name": "h"}, "host_group": {"name": null}, "lun": 4}])),
        })
    });
    let known = world.array.connections("v").await.unwrap();
    assert_eq!(known.len(), 2);
    for connection in &known {
        world.array.connect("v", connection).await.unwrap();
    }
    let other = ArrayConnection { lun: Some(5), ..known[1].clone() };
    assert!(matches!(world.array.connect("v", &other).await, Err(PortError::Conflict { .. })));
    world.array.disconnect("v", &known[0], &permit()).await.unwrap();
    assert!(world.log.last("DELETE").target.contains("host_group_names=hg&volume_names=v"));
    let nothing = ArrayConnection { host: None, host_group: None, lun: None };
    assert!(matches!(world.array.connect("v", &nothing).await, Err(PortError::Invalid { .. })));
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
async fn tags_go_into_our_namespace_and_are_not_copied() {
    let world = world(NEW, |seen, path| match path {
        "/volumes/tags/batch" => Some(items(j!([]))),
        "/volumes/tags" => Some(items(j!([
            {"resource": {"name": "v1"}, "namespace": "protector.dr", "key": "op", "value": "1"},
            {"resource": {"name": "v2"}, "namespace": "default", "key": "op", "value": "1"},
            {"resource": {"name": "v3"}, "namespace": "protector.dr", "key": "op", "value": "2"}]))),
        "/volumes" if seen.target.contains("names=v1&") => Some(items(j!([{"name": "v1"}]))),
        _ => None,
    });
    let tags: Vec<_> = (0..31).map(|n| (format!("k{n}"), "v".to_owned())).collect();
    world.array.tag_volume("v1", &tags).await.unwrap();
    assert_eq!(world.log.count("PUT"), 2, "at most thirty a call");
    assert_eq!(
        world.log.last("PUT").body,
        j!([{"namespace": "protector.dr", "key": "k30", "value": "v", "copyable": false}])
    );
    let found = world.array.volumes_tagged("op", "1").await.unwrap();
    assert_eq!(found.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["v1"]);
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

#[tokio::test]
async fn nothing_is_asked_of_the_array_that_eradicates() {
    let sources = ["volume.rs", "group.rs", "point.rs", "rest.rs", "session.rs"];
    for source in sources {
        let text = std::fs::read_to_string(format!("{}/src/{source}", env!("CARGO_MANIFEST_DIR")))
            .unwrap();
        for (number, line) in
            text.lines().enumerate().filter(|(_, line)| line.contains("Method::DELETE"))
        {
            // The two deletes there are: of a connection, and of a membership.
            assert!(
                line.contains("\"/connections\"") || line.contains("if member { Method::POST }"),
                "{source}:{}: {line}",
                number + 1
            );
        }
    }
}
