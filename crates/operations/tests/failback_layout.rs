//! The shape of a failback's graph: what law 1 and the rollback barrier rest on.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use protector_core::{ActionParams, PlanRequest};
use protector_operations::{
    deps::{ArrayPlace, Place},
    facts::Places,
    failback::{
        layout::lay_out,
        originals::Original,
        plan::{Back, Leaving, PlanFacts, Ready},
    },
    fencing::Running,
    rebuild::{ReadyMember, resolve::ReadyPort, taken::Taken},
    replication::Direction,
    unfencing::{Fenced, Recorded},
};
use protector_ports::{ArrayInfo, NetworkPort};
use protector_types::{
    Epoch, GroupId, GroupStatus, Mappings, Member, MemberId, MemberVolume, OperationId,
    OperationType, ProtectionGroup, ReplicationPolicy, ReplicationStatus, ReplicationType,
    Retention, ServerSpec, SiteId, VolumePlacement,
};
use protector_workflow::{OnFailure, Plan};

fn member(group_id: GroupId, site: SiteId, name: &str, volumes: u32) -> Member {
    let volume = |position: u32| MemberVolume {
        position,
        device: format!("/dev/vd{}", char::from(b'a' + u8::try_from(position).unwrap())),
        boot_index: if position == 0 { 0 } else { -1 },
        name: format!("{name}-{position}"),
        description: String::new(),
        size_gib: 1,
        bootable: position == 0,
        metadata: BTreeMap::new(),
        image_metadata: BTreeMap::new(),
        delete_on_termination: false,
        placements: BTreeMap::from([(
            site,
            VolumePlacement {
                volume_id: format!("{name}-{position}-id"),
                array_volume: format!("volume-{name}-{position}-cinder"),
                array_volume_id: None,
                serial: String::new(),
            },
        )]),
    };
    Member {
        id: MemberId::generate(),
        group_id,
        servers: BTreeMap::from([(site, format!("{name}-id"))]),
        spec: ServerSpec { name: name.into(), ..ServerSpec::default() },
        volumes: (0..volumes).map(volume).collect(),
        observed_at: DateTime::UNIX_EPOCH,
        abandoned: None,
    }
}

fn request(members: &[(&str, u32)]) -> PlanRequest {
    let (a, b) = (SiteId::generate(), SiteId::generate());
    let id = GroupId::generate();
    let group = ProtectionGroup {
        id,
        name: "g".into(),
        description: String::new(),
        replication_type: ReplicationType::Async,
        primary_site_id: a,
        secondary_site_id: b,
        projects: BTreeMap::from([(a, "pa".into()), (b, "pb".into())]),
        volume_types: BTreeMap::new(),
        test_volume_types: BTreeMap::new(),
        mappings: Mappings::default(),
        status: GroupStatus::Active,
        current_primary_site_id: a,
        replication_status: ReplicationStatus::Replicating,
        failover_count: 0,
        last_replication_at: None,
        version: 1,
        epoch: Epoch { number: 1, raised_by: a, raised_in: None },
        epochs_before: Vec::new(),
        current_operation_id: None,
        active_test_operation_id: None,
        quarantine: None,
        kept: Vec::new(),
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        array_group: None,
    };
    PlanRequest {
        operation_id: OperationId::generate(),
        operation: OperationType::Failover,
        params: ActionParams::default(),
        members: members.iter().map(|(name, volumes)| member(id, a, name, *volumes)).collect(),
        group,
        policy: ReplicationPolicy {
            array_urls: BTreeMap::new(),
            array_names: BTreeMap::new(),
            replication_interval: 300,
            rpo_minutes: None,
            retention: Retention::default(),
            updated_at: DateTime::UNIX_EPOCH,
        },
        site_names: BTreeMap::new(),
        cinder_hosts: BTreeMap::new(),
        local_site: a,
        fences: Vec::new(),
        delegates: BTreeMap::new(),
        drill: None,
        retried: None,
    }
}

/// Two members with two volumes each, at B: `reused` takes its content back, `rebuilt` has a port that its original
/// still holds. A third one never left A.
// tidy: allow long function: one world as data
fn plan(reverse_replication: bool) -> Plan {
    let mut request = request(&[("reused", 2), ("rebuilt", 2), ("stayed", 1)]);
    let (a, b) = (request.group.primary_site_id, request.group.secondary_site_id);
    request.group.current_primary_site_id = b;
    for member in &mut request.members[..2] {
        member.servers.insert(b, "at-b".into());
        for volume in &mut member.volumes {
            let there = volume.placements[&a].clone();
            volume.placements.insert(b, VolumePlacement { array_volume: "b".into(), ..there });
        }
    }
    let place = |site: SiteId| Place { site, project: request.group.projects[&site].clone() };
    let array = |site: SiteId| ArrayPlace { group: request.group.id, site };
    let info = |name: &str| ArrayInfo { name: name.into(), ..ArrayInfo::default() };
    let running = Running { server_id: "at-b".into(), was_active: true, was_locked: false };
    let fenced = |start| Fenced {
        server_id: "at-a".into(),
        was_locked: false,
        start,
        connections: Recorded::Here(Vec::new()),
        volumes: vec!["x".into()],
    };
    let rebuilt = ReadyMember {
        member: &request.members[1],
        source_server_id: "at-b".into(),
        was_active: true,
        runs_now: true,
        was_locked: false,
        flavor_id: "f".into(),
        ports: vec![ReadyPort { source_id: "p".into(), ..ReadyPort::default() }],
        security_groups: Vec::new(),
        owner: None,
        key_name: None,
        import_key: None,
        availability_zone: None,
        server_group_id: None,
    };
    let leaving = |member, back| Leaving {
        member,
        running: running.clone(),
        recorded: running.clone(),
        ports: vec!["port-at-b".into()],
        back,
    };
    let port = Box::new(NetworkPort { id: "old".into(), ..NetworkPort::default() });
    let ready = Ready {
        places: Places {
            source: place(b),
            target: place(a),
            source_array: array(b),
            target_array: array(a),
            source_delegates: Vec::new(),
            target_delegates: Vec::new(),
        },
        leaving: vec![
            leaving(
                &request.members[0],
                Back::Reused(Original { fenced: fenced(true), fence_first: None }),
            ),
            leaving(
                &request.members[1],
                Back::Rebuilt {
                    ready: Box::new(rebuilt),
                    ports: vec![Taken::Plugged(port)],
                    original: Some("old-server".into()),
                },
            ),
        ],
        stayed: vec![(&request.members[2], fenced(true))],
        back: Direction::new(&request, b, &info("fa-b"), &info("fa-a"), vec!["b".into()]),
        forth: Direction::new(&request, a, &info("fa-a"), &info("fa-b"), vec!["a".into()]),
        cinder_host: "h@b#p".into(),
        volume_type: "t".into(),
        kept: Vec::new(),
        retires: true,
        makes_room: Vec::new(),
        remains: None,
        facts: PlanFacts {
            operation_id: request.operation_id,
            group_id: request.group.id,
            source_site: "site-b".into(),
            target_site: "site-a".into(),
            not_preserved: vec![],
            members: BTreeMap::new(),
            reused: vec![],
            rebuilt: BTreeMap::new(),
            not_overwritten: BTreeMap::new(),
            servers: BTreeMap::new(),
            volumes: BTreeMap::new(),
            reverse_replication,
            keep_sec: 60,
            warnings: Vec::new(),
        },
    };
    let plan = lay_out(&request, &ready);
    plan.validate().unwrap();
    plan
}

/// Everything that must be done before a step.
fn ancestors(plan: &Plan, id: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut queue = vec![id.to_owned()];
    while let Some(id) = queue.pop() {
        let step = plan.steps.iter().find(|s| s.id == id).unwrap();
        for before in &step.after {
            if seen.insert(before.clone()) {
                queue.push(before.clone());
            }
        }
    }
    seen
}

/// Ids of the steps of a kind.
fn of_kind(plan: &Plan, kind: &str) -> Vec<String> {
    plan.steps.iter().filter(|s| s.kind == kind).map(|s| s.id.clone()).collect()
}

#[test]
fn nothing_is_overwritten_before_it_is_secured_and_the_final_point_is_complete() {
    let plan = plan(true);
    let overwrites = of_kind(&plan, "restore_content");
    assert_eq!(overwrites.len(), 2);
    for (n, id) in overwrites.iter().enumerate() {
        let before = ancestors(&plan, id);
        for needed in ["point", "r0.verify", &format!("r0.secure{n}"), "m0.fence", "m1.fence"] {
            assert!(before.contains(needed), "{id} does not wait for {needed}");
        }
    }
    // Nothing stops before the bulk has arrived and every original is secured.
    for stop in ["m0.stop", "m1.stop"] {
        let before = ancestors(&plan, stop);
        assert!(before.contains("pre-point") && before.contains("r0.secure1"), "{before:?}");
    }
}

#[test]
fn no_server_starts_at_the_original_site_before_all_are_fenced_at_the_other() {
    let plan = plan(true);
    for kind in ["start_server", "create_server", "restore_connections"] {
        for id in of_kind(&plan, kind) {
            let before = ancestors(&plan, &id);
            for fence in ["m0.fence", "m1.fence", "point"] {
                assert!(before.contains(fence), "{id} does not wait for {fence}");
            }
        }
    }
    // Connections only when the content is there; the lock goes after them, and the start is last.
    let before = ancestors(&plan, "r0.start");
    for needed in ["r0.unlock", "r0.connect", "r0.content0", "r0.content1"] {
        assert!(before.contains(needed), "r0.start does not wait for {needed}");
    }
    assert!(of_kind(&plan, "restore_content").iter().all(|id| !id.starts_with('s')));
    assert!(ancestors(&plan, "s0.start").contains("s0.connect"), "who stayed is unfenced");
}

#[test]
fn what_is_left_behind_goes_only_past_the_point_of_no_return_and_never_fails_the_operation() {
    for reverse in [true, false] {
        let plan = plan(reverse);
        let no_return: Vec<_> = plan.steps.iter().filter(|s| s.no_return).collect();
        assert_eq!(no_return.len(), 1);
        assert_eq!(no_return[0].kind, "swap_back");
        let before = ancestors(&plan, "swap");
        for needed in ["m0.verify", "m1.verify", "up"] {
            assert!(before.contains(needed), "the swap does not wait for {needed}");
        }
        let after: Vec<_> =
            plan.steps.iter().filter(|s| ancestors(&plan, &s.id).contains("swap")).collect();
        assert!(after.iter().all(|s| s.on_failure == OnFailure::Warn));
        for kind in ["retire_server", "delete_port"] {
            for id in of_kind(&plan, kind) {
                assert!(ancestors(&plan, &id).contains("swap"), "{id} goes too early");
            }
        }
        assert_eq!(of_kind(&plan, "retire_server"), ["m0.retire", "m1.original", "m1.retire"]);
        assert_eq!(of_kind(&plan, "start_schedule").len(), usize::from(reverse));
    }
}

#[test]
fn a_rebuilt_server_gets_the_port_that_its_original_gave_up() {
    let plan = plan(false);
    let take = plan.steps.iter().find(|s| s.kind == "take_port").unwrap();
    assert_eq!(take.input["port_id"], "old");
    assert!(take.after.contains(&"m1.free0".to_owned()));
    assert!(ancestors(&plan, "m1.create").contains(&take.id));
    assert!(of_kind(&plan, "create_port").is_empty());
}
