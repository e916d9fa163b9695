//! Safety snapshots of single volumes, and putting a content back, against a simulated array.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use common::{RealClock, permit};
use protector_flasharray::FlashArray;
use protector_http::{Client, RouterTransport};
use protector_ports::{PortError, ReplicationArray};
use protector_sim::world::{World, WorldConfig};
use protector_types::Secret;
use serde_json::Value;

const GIB: u64 = 1 << 30;
const VERSIONS: &[&[&str]] = &[&["2.4"], &["2.4", "2.16"], &["2.4", "2.16", "2.26", "2.56"]];

fn lab(versions: &[&str]) -> (World, FlashArray) {
    let clock = RealClock::shared();
    let mut config = WorldConfig::new(7, clock.clone());
    config.array.versions = versions.iter().map(|v| (*v).to_owned()).collect();
    let world = World::new(config);
    let transport = RouterTransport::new(clock.clone());
    transport.route("array-a.sim", world.route("array-a").unwrap());
    let client = Client::new(Arc::new(transport), clock);
    let token = Secret::from(world.array(0).config().admin_token());
    let array = FlashArray::new(&client, "site", "http://array-a.sim", token);
    (world, array)
}

fn volume(world: &World, name: &str) -> Value {
    world.array(0).dump()["volumes"][name].clone()
}

#[tokio::test]
async fn what_a_volume_held_is_kept_and_put_back() {
    for versions in VERSIONS {
        let (world, array) = lab(versions);
        let sim = world.array(0);
        for name in ["original", "newer"] {
            sim.create_volume(name, GIB).unwrap();
            sim.connect("host-1", name).unwrap();
            sim.write("host-1", name, name).unwrap();
            sim.disconnect("host-1", name).unwrap();
        }
        array.snapshot_volume("newer", "point").await.unwrap();
        array.snapshot_volume("original", "safe").await.unwrap();
        assert!(array.has_volume_snapshot("original.safe").await.unwrap());
        assert!(!array.has_volume_snapshot("original.other").await.unwrap());
        let again = array.snapshot_volume("original", "safe").await;
        assert!(matches!(again, Err(PortError::Conflict { .. })), "{again:?}");

        let before = volume(&world, "original");
        array.overwrite_volume("original", "newer.point", &permit()).await.unwrap();
        let after = volume(&world, "original");
        assert_eq!(after["last_stamp"], "newer");
        for kept in ["name", "serial", "id", "protection_groups"] {
            assert_eq!(after[kept], before[kept], "{kept}");
        }
        array.overwrite_volume("original", "original.safe", &permit()).await.unwrap();
        assert_eq!(volume(&world, "original")["content"], before["content"]);

        // Neither a volume that is not there is made, nor one overwritten by nothing.
        let none = array.overwrite_volume("no-such", "newer.point", &permit()).await;
        assert!(matches!(none, Err(PortError::Absent { .. })), "{none:?}");
        assert_eq!(volume(&world, "no-such"), Value::Null);
        let none = array.overwrite_volume("original", "newer.none", &permit()).await;
        assert!(matches!(none, Err(PortError::Absent { .. })), "{none:?}");
        assert_eq!(volume(&world, "original")["content"], before["content"]);

        array.destroy_volume_snapshot("original.safe", &permit()).await.unwrap();
        array.destroy_volume_snapshot("original.safe", &permit()).await.unwrap();
        array.destroy_volume_snapshot("original.none", &permit()).await.unwrap();
        assert!(!array.has_volume_snapshot("original.safe").await.unwrap());
        let held = array.snapshot_volume("original", "safe").await;
        assert!(matches!(held, Err(PortError::Conflict { .. })), "the name is held: {held:?}");
    }
}
