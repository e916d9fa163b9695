//! Every method of the port against two simulated arrays that replicate to each other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use axum::{middleware::map_response, response::Response};
use common::{RealClock, permit};
use protector_flasharray::FlashArray;
use protector_http::{Client, Dropped, RouterTransport};
use protector_ports::{
    ArrayConnection, ArrayGroupSpec, PortError, PortResult, RecoveryPoint, ReplicationArray,
    VolumeKey,
};
use protector_sim::{
    array::{ApiToken, Array, LinkStatus, RateLimit},
    faults::{Effect, Rule},
    world::{World, WorldConfig},
};
use protector_types::{Retention, Secret};

const GIB: u64 = 1 << 30;
const GROUP: &str = "protector-11111111-1111-4111-8111-111111111111";
/// One of each class of versions that the client tells apart.
const VERSIONS: &[&[&str]] = &[&["2.4"], &["2.4", "2.16"], &["2.4", "2.16", "2.26", "2.56"]];

struct Lab {
    world: World,
    client: Client,
    a: FlashArray,
    b: FlashArray,
}

fn lab_with(change: impl FnOnce(&mut WorldConfig)) -> Lab {
    let clock = RealClock::shared();
    let mut config = WorldConfig::new(7, clock.clone());
    change(&mut config);
    let world = World::new(config);
    let transport = RouterTransport::new(clock.clone());
    for host in ["array-a", "array-b"] {
        let router = world.route(host).unwrap().layer(map_response(mark_dropped));
        transport.route(format!("{host}.sim"), router);
    }
    let client = Client::new(Arc::new(transport), clock);
    let array = |at: usize, host: &str| {
        let token = Secret::from(world.array(at).config().admin_token());
        FlashArray::new(&client, "site", &format!("http://{host}.sim"), token)
    };
    let (a, b) = (array(0, "array-a"), array(1, "array-b"));
    Lab { world, client, a, b }
}

fn lab() -> Lab {
    lab_with(|_| {})
}

fn lab_of(versions: &[&str]) -> Lab {
    lab_with(|config| config.array.versions = versions.iter().map(|v| (*v).to_owned()).collect())
}

/// The simulator's word for a closed connection, in ours.
async fn mark_dropped(mut response: Response) -> Response {
    if response.extensions().get::<protector_sim::faults::Dropped>().is_some() {
        response.extensions_mut().insert(Dropped);
    }
    response
}

impl Lab {
    fn array(&self, at: usize) -> &Array {
        self.world.array(at)
    }

    /// A volume with a host and some writes at the source.
    fn volume(&self, name: &str) {
        let array = self.array(0);
        array.create_volume(name, GIB).unwrap();
        array.connect("host-1", name).unwrap();
        array.write("host-1", name, &format!("{name}-first")).unwrap();
    }

    /// The group with these members, replicating from a to b.
    async fn replicate(&self, volumes: &[&str]) {
        self.a.ensure_group(&spec()).await.unwrap();
        self.b.allow_group("array-a", GROUP, true).await.unwrap();
        self.a.add_to_group(GROUP, &owned(volumes)).await.unwrap();
    }

    async fn arrived(&self, suffix: &str) -> RecoveryPoint {
        until(|| async {
            let point = self.b.recovery_point("array-a", GROUP, suffix).await.unwrap()?;
            point.completed.is_some().then_some(point)
        })
        .await
    }
}

fn spec() -> ArrayGroupSpec {
    ArrayGroupSpec {
        name: GROUP.into(),
        target: "array-b".into(),
        interval_sec: 600,
        retention: Retention::default(),
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    owned(names).into_iter().collect()
}

async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    for _ in 0..400 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within four seconds");
}

fn is_absent<T: std::fmt::Debug>(result: PortResult<T>) -> bool {
    matches!(result, Err(PortError::Absent { .. }))
}

fn is_conflict<T: std::fmt::Debug>(result: PortResult<T>) -> bool {
    matches!(result, Err(PortError::Conflict { .. }))
}

fn is_invalid<T: std::fmt::Debug>(result: PortResult<T>) -> bool {
    matches!(result, Err(PortError::Invalid { .. }))
}

fn named(name: &str) -> VolumeKey {
    VolumeKey::Name(name.into())
}

#[tokio::test]
async fn an_array_says_who_it_is_and_to_whom_it_is_linked() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        let info = lab.a.identify().await.unwrap();
        assert_eq!(info.name, "array-a");
        assert!(!info.id.is_empty() && !info.version.is_empty());
        let expected = versions.iter().rfind(|v| **v != "2.56").unwrap();
        assert_eq!(lab.a.rest_version().await.unwrap().to_string(), **expected);
        let links = lab.a.links().await.unwrap();
        assert!(links.iter().any(|link| link.remote == "array-b" && link.is_usable()), "{links:?}");
        Array::set_link(lab.array(0), lab.array(1), LinkStatus::Broken);
        let links = lab.a.links().await.unwrap();
        assert!(links.iter().all(|link| !link.is_usable()), "{links:?}");
    }
}

#[tokio::test]
async fn volumes_are_found_by_name_and_by_serial_after_a_rename() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        lab.volume("one");
        lab.volume("two");
        let one = lab.a.volume(&named("one")).await.unwrap();
        assert_eq!((one.size_bytes, one.destroyed), (GIB, false));
        lab.array(0).rename_volume("one", "one-renamed").unwrap();
        for serial in [one.serial.clone(), one.serial.to_lowercase()] {
            let found = lab.a.volume(&VolumeKey::Serial(serial)).await.unwrap();
            assert_eq!((found.name.as_str(), &found.serial), ("one-renamed", &one.serial));
        }
        assert!(is_absent(lab.a.volume(&named("one")).await));
        assert!(is_absent(lab.a.volume(&VolumeKey::Serial("0".repeat(24))).await));

        let all = lab.a.volumes_named(&owned(&["two", "one-renamed"])).await.unwrap();
        assert_eq!(all.len(), 2);
        let some = lab.a.volumes_named(&owned(&["two", "one", "nobody"])).await.unwrap();
        assert_eq!(some.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["two"]);

        lab.array(0).destroy_volume("two").unwrap();
        assert!(is_absent(lab.a.volume(&named("two")).await));
        assert!(lab.a.volumes_named(&owned(&["two"])).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn many_volumes_come_in_portions_and_pages() {
    let lab = lab();
    let names: Vec<String> = (0..130).map(|n| format!("bulk-{n}")).collect();
    for name in &names {
        lab.array(0).create_volume(name, GIB).unwrap();
    }
    let mut asked = names.clone();
    asked.push("nobody".into());
    assert_eq!(lab.a.volumes_named(&asked).await.unwrap().len(), 130);
    lab.a.ensure_group(&spec()).await.unwrap();
    lab.a.add_to_group(GROUP, &names).await.unwrap();
    assert_eq!(lab.a.group(GROUP).await.unwrap().volumes.len(), 130);
    lab.a.remove_from_group(GROUP, &names).await.unwrap();
    assert!(lab.a.group(GROUP).await.unwrap().volumes.is_empty());
}

#[tokio::test]
async fn a_group_is_made_once_and_follows_its_policy() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        assert!(is_absent(lab.a.group(GROUP).await));
        lab.a.ensure_group(&spec()).await.unwrap();
        let made = lab.a.group(GROUP).await.unwrap();
        assert_eq!((made.interval_sec, made.schedule_enabled), (600, false));
        assert_eq!(made.targets, [("array-b".to_owned(), false)]);
        assert!(made.volumes.is_empty());

        lab.a.set_group_schedule(GROUP, true).await.unwrap();
        let changed = ArrayGroupSpec {
            interval_sec: 900,
            retention: Retention { all_for_sec: 7200, per_day: 2, days: 3 },
            ..spec()
        };
        lab.a.ensure_group(&changed).await.unwrap();
        lab.a.ensure_group(&changed).await.unwrap();
        let group = lab.a.group(GROUP).await.unwrap();
        assert_eq!(
            (group.interval_sec, group.schedule_enabled),
            (900, true),
            "the schedule is not ours to stop here"
        );
        let dump = lab.array(0).dump().to_string();
        assert!(dump.contains("7200"), "the retention has arrived");
        lab.a.set_group_schedule(GROUP, false).await.unwrap();
        assert!(!lab.a.group(GROUP).await.unwrap().schedule_enabled);

        assert!(is_invalid(
            lab.a.ensure_group(&ArrayGroupSpec { interval_sec: 60, ..changed.clone() }).await
        ));
        let nowhere = ArrayGroupSpec { target: "array-x".into(), ..changed };
        assert!(lab.a.ensure_group(&nowhere).await.is_err());
        assert!(is_absent(lab.a.set_group_schedule("protector-none", true).await));
    }
}

#[tokio::test]
async fn the_target_allows_and_disallows() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        assert!(is_absent(lab.b.allow_group("array-a", GROUP, true).await));
        lab.a.ensure_group(&spec()).await.unwrap();
        let allowed = || async { lab.a.group(GROUP).await.unwrap().targets[0].1 };
        for wanted in [true, true, false, false, true] {
            lab.b.allow_group("array-a", GROUP, wanted).await.unwrap();
            assert_eq!(allowed().await, wanted);
        }
    }
}

#[tokio::test]
async fn members_come_and_go_and_only_ours_are_taken_out() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        for name in ["one", "two", "three"] {
            lab.volume(name);
        }
        assert!(is_absent(lab.a.add_to_group(GROUP, &owned(&["one"])).await));
        lab.replicate(&["one", "two"]).await;
        lab.a.add_to_group(GROUP, &owned(&["one", "two", "three"])).await.unwrap();
        assert_eq!(lab.a.group(GROUP).await.unwrap().volumes, set(&["one", "two", "three"]));
        assert!(is_absent(lab.a.add_to_group(GROUP, &owned(&["nobody"])).await));
        lab.a.remove_from_group(GROUP, &owned(&["two", "nobody"])).await.unwrap();
        lab.a.remove_from_group(GROUP, &owned(&["two"])).await.unwrap();
        assert_eq!(lab.a.group(GROUP).await.unwrap().volumes, set(&["one", "three"]));
        lab.a.remove_from_group("protector-none", &owned(&["one"])).await.unwrap();

        lab.array(0).join_protection_group("cinder-group", "one").unwrap();
        assert!(is_invalid(lab.a.remove_from_group("cinder-group", &owned(&["one"])).await));
        assert!(lab.a.group("cinder-group").await.unwrap().volumes.contains("one"));
    }
}

#[tokio::test]
async fn a_point_is_usable_when_it_has_arrived_with_every_volume() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        lab.volume("one");
        lab.replicate(&["one"]).await;
        assert_eq!(lab.b.recovery_point("array-a", GROUP, "op-1").await.unwrap(), None);
        assert!(!lab.a.has_group_snapshot(GROUP, "op-1").await.unwrap());
        lab.a.snapshot_group(GROUP, "op-1").await.unwrap();
        assert!(lab.a.has_group_snapshot(GROUP, "op-1").await.unwrap());
        assert!(is_conflict(lab.a.snapshot_group(GROUP, "op-1").await));
        let first = lab.arrived("op-1").await;
        assert_eq!(first.name, format!("array-a:{GROUP}.op-1"));
        assert_eq!((first.progress_milli, &first.volumes), (1000, &set(&["one"])));

        lab.volume("two");
        lab.a.add_to_group(GROUP, &owned(&["two"])).await.unwrap();
        lab.a.snapshot_group(GROUP, "op-2").await.unwrap();
        let second = lab.arrived("op-2").await;
        assert!(second.created >= first.created);

        let points = lab.b.recovery_points("array-a", GROUP).await.unwrap();
        let names: Vec<_> = points.iter().map(|p| p.name.rsplit('.').next().unwrap()).collect();
        assert_eq!(names, ["op-2", "op-1"]);
        let both = owned(&["one", "two"]);
        assert!(points[0].is_usable_for(&both) && !points[1].is_usable_for(&both));
        assert_eq!(points[1], first);
        assert!(lab.b.recovery_points("array-a", "protector-none").await.unwrap().is_empty());
        assert!(is_absent(lab.a.snapshot_group("protector-none", "op-1").await));
    }
}

#[tokio::test]
async fn a_point_on_its_way_is_listed_but_not_usable() {
    let lab = lab_with(|config| config.array.transfer.base_ms = (1500, 1500));
    lab.volume("one");
    lab.replicate(&["one"]).await;
    lab.a.snapshot_group(GROUP, "op-1").await.unwrap();
    let point =
        until(|| async { lab.b.recovery_point("array-a", GROUP, "op-1").await.unwrap() }).await;
    assert_eq!(point.completed, None);
    assert!(point.progress_milli < 1000 && !point.is_usable_for(&owned(&["one"])));
    let points = lab.b.recovery_points("array-a", GROUP).await.unwrap();
    assert!(points.iter().all(|p| p.completed.is_none()), "{points:?}");
    assert!(lab.b.clone_from_point(&point.name, "one", "too-early").await.is_err());
    let point = lab.arrived("op-1").await;
    assert!(point.is_usable_for(&owned(&["one"])));
    lab.b.clone_from_point(&point.name, "one", "in-time").await.unwrap();
}

#[tokio::test]
async fn a_clone_has_the_content_of_its_point_and_a_name_of_its_own() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        lab.volume("one");
        lab.replicate(&["one"]).await;
        lab.a.snapshot_group(GROUP, "op-1").await.unwrap();
        lab.array(0).write("host-1", "one", "later").unwrap();
        let point = lab.arrived("op-1").await;

        let clone = lab.b.clone_from_point(&point.name, "one", "ptr-1-0").await.unwrap();
        assert_eq!((clone.name.as_str(), clone.size_bytes), ("ptr-1-0", GIB));
        assert_eq!(lab.array(1).content("ptr-1-0").unwrap(), ["one-first"]);
        let view = lab.array(1).volume("ptr-1-0").unwrap();
        assert_eq!(view.serial, clone.serial);
        assert!(view.protection_groups.is_empty() && view.connection_count == 0, "{view:?}");

        assert!(is_conflict(lab.b.clone_from_point(&point.name, "one", "ptr-1-0").await));
        lab.b.destroy_volume(&named("ptr-1-0"), &permit()).await.unwrap();
        assert!(
            is_conflict(lab.b.clone_from_point(&point.name, "one", "ptr-1-0").await),
            "a destroyed volume keeps its name"
        );
        assert!(is_absent(lab.b.clone_from_point(&point.name, "nobody", "ptr-1-1").await));
        assert!(is_invalid(lab.b.clone_from_point(&point.name, "one", "not a name!").await));
    }
}

#[tokio::test]
async fn volumes_are_found_by_our_tags_while_they_live() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        for name in ["one", "two"] {
            lab.volume(name);
            lab.array(0).tag_volume(name, "default", "op", "7").unwrap();
        }
        let tags =
            vec![("op".to_owned(), "7".to_owned()), ("kind".to_owned(), "it's a clone".to_owned())];
        lab.a.tag_volume("one", &tags).await.unwrap();
        lab.a.tag_volume("one", &tags).await.unwrap();
        let found = |key: &'static str, value: &'static str| {
            let lab = &lab;
            async move {
                let found = lab.a.volumes_tagged(key, value).await.unwrap();
                found.into_iter().map(|v| v.name).collect::<Vec<_>>()
            }
        };
        assert_eq!(found("op", "7").await, ["one"]);
        assert_eq!(found("kind", "it's a clone").await, ["one"]);
        assert!(found("op", "8").await.is_empty());
        assert!(is_absent(lab.a.tag_volume("nobody", &tags).await));
        lab.array(0).destroy_volume("one").unwrap();
        assert!(found("op", "7").await.is_empty());
    }
}

#[tokio::test]
async fn a_fence_can_be_taken_back_with_the_same_lun() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        lab.volume("zero");
        lab.volume("one");
        let before = lab.a.connections("one").await.unwrap();
        assert_eq!(before.len(), 1);
        assert_eq!(before[0].host.as_deref(), Some("host-1"));
        lab.a.disconnect("one", &before[0], &permit()).await.unwrap();
        lab.a.disconnect("one", &before[0], &permit()).await.unwrap();
        assert!(lab.a.connections("one").await.unwrap().is_empty());
        assert!(lab.array(0).write("host-1", "one", "fenced").is_err());
        lab.a.connect("one", &before[0]).await.unwrap();
        lab.a.connect("one", &before[0]).await.unwrap();
        assert_eq!(lab.a.connections("one").await.unwrap(), before);
        lab.array(0).write("host-1", "one", "back").unwrap();

        let other = ArrayConnection { lun: before[0].lun.map(|lun| lun + 7), ..before[0].clone() };
        assert!(is_conflict(lab.a.connect("one", &other).await));
        assert!(is_absent(lab.a.connections("nobody").await));
        let nobody = ArrayConnection { host: Some("nobody".into()), host_group: None, lun: None };
        assert!(is_absent(lab.a.connect("one", &nobody).await));
        lab.a.disconnect("one", &nobody, &permit()).await.unwrap();
    }
}

#[tokio::test]
async fn a_volume_in_use_is_not_destroyed_and_a_destroyed_one_is_recoverable() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        lab.volume("one");
        assert!(is_conflict_or_invalid(lab.a.destroy_volume(&named("one"), &permit()).await));
        let connection = lab.a.connections("one").await.unwrap().remove(0);
        lab.a.disconnect("one", &connection, &permit()).await.unwrap();
        let serial = VolumeKey::Serial(lab.a.volume(&named("one")).await.unwrap().serial);
        for _ in 0..2 {
            lab.a.destroy_volume(&serial, &permit()).await.unwrap();
            lab.a.destroy_volume(&named("one"), &permit()).await.unwrap();
        }
        lab.a.destroy_volume(&named("nobody"), &permit()).await.unwrap();
        assert!(lab.array(0).volume("one").unwrap().destroyed, "there still, not eradicated");
    }
}

fn is_conflict_or_invalid(result: PortResult<()>) -> bool {
    matches!(result, Err(PortError::Conflict { .. } | PortError::Invalid { .. }))
}

#[tokio::test]
async fn a_destroyed_group_leaves_its_volumes_and_can_be_made_again() {
    for versions in VERSIONS {
        let lab = lab_of(versions);
        lab.volume("one");
        lab.replicate(&["one"]).await;
        lab.a.set_group_schedule(GROUP, true).await.unwrap();
        lab.a.destroy_group(GROUP, &permit()).await.unwrap();
        lab.a.destroy_group(GROUP, &permit()).await.unwrap();
        assert!(is_absent(lab.a.group(GROUP).await));
        assert!(lab.a.volume(&named("one")).await.is_ok());
        lab.a.ensure_group(&spec()).await.unwrap();
        let again = lab.a.group(GROUP).await.unwrap();
        assert!(again.volumes.is_empty() && !again.schedule_enabled, "{again:?}");
        assert!(is_invalid(lab.a.destroy_group("cinder-group", &permit()).await));
    }
}

#[tokio::test]
async fn sessions_end_and_tokens_have_limits() {
    let lab = lab_with(|config| {
        config.array.session_idle_timeout_ms = 0;
    });
    lab.volume("one");
    assert!(lab.a.volume(&named("one")).await.is_ok());
    lab.array(0).drop_sessions();
    assert!(lab.a.volume(&named("one")).await.is_ok());
    let wrong =
        FlashArray::new(&lab.client, "site", "http://array-a.sim", Secret::from("no-such-token"));
    let error = wrong.identify().await.unwrap_err();
    assert!(matches!(&error, PortError::Denied { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("no-such-token"));
}

#[tokio::test]
async fn a_token_that_may_only_read_is_denied_the_rest() {
    let clock = RealClock::shared();
    let mut config = protector_sim::array::ArrayConfig::new("array-r", clock.clone(), 3);
    config.api_tokens.push(ApiToken::readonly("viewer", "viewer-token"));
    let array = Array::new(config);
    array.create_volume("one", GIB).unwrap();
    let transport = RouterTransport::new(clock.clone());
    transport.route("array-r.sim", array.router());
    let client = Client::new(Arc::new(transport), clock);
    let reader =
        FlashArray::new(&client, "site", "http://array-r.sim", Secret::from("viewer-token"));
    assert!(reader.volume(&named("one")).await.is_ok());
    let error = reader.destroy_volume(&named("one"), &permit()).await.unwrap_err();
    assert!(matches!(error, PortError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn an_array_that_says_slower_is_called_slower_until_it_works() {
    let lab =
        lab_with(|config| config.array.rate_limit = Some(RateLimit { calls: 12, window_ms: 300 }));
    lab.volume("one");
    for _ in 0..5 {
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let array = lab.a.clone();
                tokio::spawn(async move { array.volume(&named("one")).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    }
    let counters = lab.client.metrics().snapshot();
    assert!(counters[0].throttled > 0, "{counters:?}");
}

#[tokio::test]
async fn faults_on_the_way_are_told_apart() {
    let lab = lab();
    lab.volume("one");
    lab.replicate(&["one"]).await;
    let faults = lab.world.faults();
    let rule = |effect| {
        Rule::new(effect)
            .site("array-a")
            .method("POST")
            .path("/protection-group-snapshots")
            .times(1)
    };

    // It happened, and nobody said so.
    faults.add(rule(Effect::TimeoutAfter { hang_ms: 5 }));
    let error = lab.a.snapshot_group(GROUP, "op-1").await.unwrap_err();
    assert!(matches!(error, PortError::Unknown { .. }), "{error:?}");
    assert!(lab.a.has_group_snapshot(GROUP, "op-1").await.unwrap());
    // It did not happen, and nobody said so.
    faults.add(rule(Effect::TimeoutBefore { hang_ms: 5 }));
    assert!(matches!(lab.a.snapshot_group(GROUP, "op-2").await, Err(PortError::Unknown { .. })));
    assert!(!lab.a.has_group_snapshot(GROUP, "op-2").await.unwrap());
    // It certainly did not happen: asked again by the client itself.
    for code in [429, 503] {
        faults.add(rule(Effect::Status { code, message: None, retry_after: None }));
        lab.a.snapshot_group(GROUP, &format!("op-{code}")).await.unwrap();
    }
    faults.add(rule(Effect::Status { code: 401, message: None, retry_after: None }));
    lab.a.snapshot_group(GROUP, "op-401").await.unwrap();
    let busy =
        Effect::Status { code: 500, message: Some("Server is busy".into()), retry_after: None };
    faults.add(rule(busy));
    lab.a.snapshot_group(GROUP, "op-busy").await.unwrap();
    // It may have happened.
    let broken =
        Effect::Status { code: 500, message: Some("Internal error".into()), retry_after: None };
    faults.add(rule(broken));
    let error = lab.a.snapshot_group(GROUP, "op-500").await.unwrap_err();
    assert!(matches!(error, PortError::Unknown { .. }), "{error:?}");

    // Reads and what may be repeated just work.
    faults
        .add(Rule::new(Effect::TimeoutAfter { hang_ms: 5 }).site("array-a").method("GET").times(2));
    assert!(lab.a.group(GROUP).await.is_ok());
    faults.add(
        Rule::new(Effect::TimeoutAfter { hang_ms: 5 })
            .site("array-a")
            .path("/connections")
            .times(1),
    );
    let connection = lab.a.connections("one").await.unwrap().remove(0);
    faults.add(
        Rule::new(Effect::TimeoutAfter { hang_ms: 5 }).site("array-a").method("DELETE").times(1),
    );
    // Connections are not repeated behind the caller's back: a late first call could undo what came after it.
    let lost = lab.a.disconnect("one", &connection, &permit()).await;
    assert!(matches!(lost, Err(PortError::Unknown { .. })), "{lost:?}");
    lab.a.disconnect("one", &connection, &permit()).await.unwrap();
    faults.add(
        Rule::new(Effect::TimeoutAfter { hang_ms: 5 }).site("array-a").method("POST").times(1),
    );
    let lost = lab.a.connect("one", &connection).await;
    assert!(matches!(lost, Err(PortError::Unknown { .. })), "{lost:?}");
    lab.a.connect("one", &connection).await.unwrap();
    faults.add(
        Rule::new(Effect::TimeoutAfter { hang_ms: 5 }).site("array-a").method("POST").times(1),
    );
    lab.volume("two");
    lab.a.add_to_group(GROUP, &owned(&["two"])).await.unwrap();
}
