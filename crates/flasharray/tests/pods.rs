//! Synchronous groups against two simulated arrays that share a stretched pod.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{sync::Arc, time::Duration};

use axum::Router;
use common::{RealClock, permit};
use protector_flasharray::FlashArray;
use protector_http::{Client, RouterTransport};
use protector_ports::{ArrayGroupSpec, PortError, ReplicationArray, SyncGroup};
use protector_sim::{
    array::{Array, LinkStatus},
    world::{World, WorldConfig},
};
use protector_types::{Retention, Secret};

const GIB: u64 = 1 << 30;
const OWN: &str = "protector-11111111-1111-4111-8111-111111111111";
const VOLUME: &str = "cinder-pod::volume-1-cinder";

struct Lab {
    world: World,
    a: FlashArray,
    b: FlashArray,
}

async fn lab() -> Lab {
    let clock = RealClock::shared();
    let world = World::new(WorldConfig::new(7, clock.clone()));
    let transport = RouterTransport::new(clock.clone());
    for host in ["array-a", "array-b"] {
        let router: Router = world.route(host).unwrap();
        transport.route(format!("{host}.sim"), router);
    }
    let client = Client::new(Arc::new(transport), clock);
    let array = |at: usize, host: &str| {
        let token = Secret::from(world.array(at).config().admin_token());
        FlashArray::new(&client, "site", &format!("http://{host}.sim"), token)
    };
    let (a, b) = (array(0, "array-a"), array(1, "array-b"));
    world.array(0).ensure_stretched_pod("cinder-pod", "array-b").unwrap();
    for _ in 0..400 {
        if world.array(0).pod_is_online("cinder-pod") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let volume = world.array(0);
    volume.create_volume(VOLUME, GIB).unwrap();
    volume.connect("host-1", VOLUME).unwrap();
    Lab { world, a, b }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn online(group: &SyncGroup) -> Vec<(&str, bool)> {
    group.copies.iter().map(|copy| (copy.array.as_str(), copy.online)).collect()
}

#[tokio::test]
async fn the_group_is_in_the_pod_of_the_volumes_and_its_points_are_on_both_arrays() {
    let Lab { world, a, b } = lab().await;
    for volumes in [vec![], names(&[VOLUME])] {
        let found = b.sync_group(OWN, "array-a", &volumes).await.unwrap();
        assert_eq!(found.name, format!("cinder-pod::{OWN}"));
        assert_eq!(online(&found), [("array-a", true), ("array-b", true)]);
        assert_eq!(found.why_unusable("array-b"), None);
    }
    let name = format!("cinder-pod::{OWN}");
    let spec = ArrayGroupSpec {
        name: name.clone(),
        target: "array-b".into(),
        interval_sec: 600,
        retention: Retention::default(),
    };
    for _ in 0..2 {
        a.ensure_group(&spec).await.unwrap();
        a.add_to_group(&name, &names(&[VOLUME])).await.unwrap();
        a.set_group_schedule(&name, true).await.unwrap();
        b.allow_group("array-a", &name, true).await.unwrap();
    }
    let group = b.group(&name).await.unwrap();
    assert_eq!((group.schedule_enabled, group.interval_sec), (true, 600));
    assert_eq!(group.volumes, names(&[VOLUME]).into_iter().collect());
    assert_eq!(group.targets, [("array-a".to_owned(), true), ("array-b".to_owned(), true)]);

    world.array(0).write("host-1", VOLUME, "first").unwrap();
    b.snapshot_group(&name, "now").await.unwrap();
    world.array(0).write("host-1", VOLUME, "second").unwrap();
    for array in [&a, &b] {
        assert!(array.has_group_snapshot(&name, "now").await.unwrap());
        let point = array.recovery_point("array-a", &name, "now").await.unwrap().unwrap();
        assert!(point.is_usable_for(&names(&[VOLUME])), "{point:?}");
        assert_eq!(point.completed, Some(point.created));
        let newest = &array.recovery_points("array-a", &name).await.unwrap()[0];
        assert_eq!(*newest, point);
    }
    let point = format!("{name}.now");
    let clone = b.clone_from_point(&point, VOLUME, "ptr-clone").await.unwrap();
    assert_eq!(clone.name, "ptr-clone");
    assert_eq!(world.array(1).content("ptr-clone").unwrap(), ["first"]);
    assert!(world.array(0).volume("ptr-clone").is_none(), "out of the pod, on this array only");
    world.array(0).disconnect("host-1", VOLUME).unwrap();
    a.overwrite_from_point(VOLUME, &point, VOLUME, &permit()).await.unwrap();
    assert_eq!(world.array(1).content(VOLUME).unwrap(), ["first"]);
}

#[tokio::test]
async fn what_cannot_be_a_synchronous_group_is_said_in_words() {
    let Lab { world, a, b } = lab().await;
    let refused = |result: Result<SyncGroup, PortError>| match result {
        Err(PortError::Invalid { message, .. }) => message,
        other => panic!("{other:?}"),
    };
    world.array(0).create_volume("outside", GIB).unwrap();
    let message = refused(a.sync_group(OWN, "array-b", &names(&[VOLUME, "outside"])).await);
    assert!(message.contains("outside are in no pod"), "{message}");
    let message = refused(a.sync_group(OWN, "array-c", &[]).await);
    assert!(message.contains("no pod is stretched to array array-c"), "{message}");
    world.array(0).ensure_stretched_pod("second", "array-b").unwrap();
    let message = refused(a.sync_group(OWN, "array-b", &[]).await);
    assert!(message.contains("several pods"), "{message}");
    world.array(0).create_volume("second::v", GIB).unwrap();
    let message = refused(a.sync_group(OWN, "array-b", &names(&[VOLUME, "second::v"])).await);
    assert!(message.contains("several pods (cinder-pod, second)"), "{message}");

    // The arrays lose each other: one side goes on, and each says which.
    Array::set_link(world.array(0), world.array(1), LinkStatus::Broken);
    let found = b.sync_group(OWN, "array-a", &names(&[VOLUME])).await.unwrap();
    assert_eq!(online(&found), [("array-a", true), ("array-b", false)]);
    assert_eq!(found.why_unusable("array-b").as_deref(), Some("is offline at array array-b"));
    assert_eq!(found.why_unusable("array-c").as_deref(), Some("is not at array array-c"));
}
