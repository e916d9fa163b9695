//! The client against an array of a few lines: versions, sessions, encodings, volumes, and what it does when the
//! array says something unexpected.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Seen;
use common::{
    array::{LOGIN, NEW, OLD, items, refusal, world},
    client, json, permit, service,
};
use protector_flasharray::FlashArray;
use protector_ports::{ArrayConnection, PortError, ReplicationArray, VolumeKey};
use protector_types::Secret;
use serde_json::json as j;

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
    // Asked once more, and no oftener: an array locks out who insists.
    assert_eq!(log.count(LOGIN), 2);
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
