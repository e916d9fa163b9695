//! The shape of a failover's graph: what the rollback barrier and the pipelining rest on.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use protector_core::{ActionParams, PlanRequest};
use protector_operations::{
    deps::{ArrayPlace, Place},
    facts::Places,
    failover::{
        STAGES,
        layout::lay_out,
        plan::{PlanFacts, Ready},
    },
    rebuild::{ReadyMember, resolve::ReadyPort},
};
use protector_types::{
    Epoch, GroupId, GroupStatus, Mappings, Member, MemberId, MemberVolume, OperationId,
    OperationType, ProtectionGroup, ReplicationPolicy, ReplicationStatus, ReplicationType,
    Retention, ServerSpec, SiteId, VolumePlacement,
};
use protector_workflow::Plan;

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

fn plan(members: &[(&str, u32)], off: &[&str]) -> Plan {
    let request = request(members);
    let (a, b) = (request.group.primary_site_id, request.group.secondary_site_id);
    let place = |site: SiteId| Place { site, project: request.group.projects[&site].clone() };
    let array = |site: SiteId| ArrayPlace { group: request.group.id, site };
    let ready = Ready {
        places: Places {
            source: place(a),
            target: place(b),
            source_array: array(a),
            target_array: array(b),
            source_delegates: Vec::new(),
            target_delegates: Vec::new(),
        },
        members: request
            .members
            .iter()
            .map(|member| ReadyMember {
                member,
                source_server_id: format!("{}-id", member.spec.name),
                was_active: !off.contains(&member.spec.name.as_str()),
                was_locked: false,
                runs_now: !off.contains(&member.spec.name.as_str()),
                flavor_id: "f".into(),
                ports: vec![ReadyPort { source_id: "p".into(), ..ReadyPort::default() }],
                security_groups: Vec::new(),
                owner: None,
                key_name: None,
                import_key: None,
                availability_zone: None,
                server_group_id: None,
            })
            .collect(),
        cinder_host: "h@b#p".into(),
        volume_type: "t".into(),
        source_array: "array-a".into(),
        makes_room: Vec::new(),
        facts: PlanFacts {
            group_id: request.group.id,
            source_site: "site-a".into(),
            target_site: "site-b".into(),
            not_preserved: vec![],
            warnings: vec![],
        },
        remains: None,
    };
    lay_out(&request, &ready)
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

fn of_kind<'a>(plan: &'a Plan, kind: &str) -> Vec<&'a str> {
    plan.steps.iter().filter(|s| s.kind == kind).map(|s| s.id.as_str()).collect()
}

#[test]
fn the_plan_is_well_formed_and_has_the_documented_stages() {
    let plan = plan(&[("web-1", 2), ("web-2", 2), ("db-1", 1)], &[]);
    assert_eq!(plan.validate(), Ok(()));
    let names: Vec<_> = plan.stages.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, STAGES.map(|(name, ..)| name));
    assert_eq!(of_kind(&plan, "clone_volume").len(), 5);
    assert_eq!(of_kind(&plan, "manage_volume").len(), 5);
    assert_eq!(of_kind(&plan, "create_server").len(), 3);
}

#[test]
fn the_snapshot_is_taken_only_when_every_source_server_is_fenced() {
    let plan = plan(&[("web-1", 2), ("db-1", 1)], &["db-1"]);
    let before = ancestors(&plan, "snapshot");
    for kind in ["stop_server", "lock_server", "record_connections", "disconnect_volumes"] {
        let steps = of_kind(&plan, kind);
        assert_eq!(steps.len(), 2, "{kind}");
        assert!(steps.iter().all(|s| before.contains(*s)), "{kind}");
    }
}

#[test]
fn no_server_is_made_before_all_sources_are_fenced_so_undo_frees_no_source_too_early() {
    let plan = plan(&[("web-1", 2), ("web-2", 1)], &[]);
    for server in of_kind(&plan, "create_server") {
        let before = ancestors(&plan, server);
        let fences = of_kind(&plan, "disconnect_volumes");
        assert!(fences.iter().all(|f| before.contains(*f)), "{server}");
    }
}

#[test]
fn a_server_waits_for_its_own_volumes_and_ports_only() {
    let plan = plan(&[("web-1", 2), ("web-2", 1)], &[]);
    let before = ancestors(&plan, "m0.create");
    assert!(before.contains("m0.manage0") && before.contains("m0.manage1"));
    assert!(before.contains("m0.port0"));
    assert!(!before.iter().any(|s| s.starts_with("m1.manage") || s.starts_with("m1.port")));
}

#[test]
fn the_switch_waits_for_every_server_and_every_second_look_at_the_source() {
    let plan = plan(&[("web-1", 1), ("web-2", 1)], &["web-2"]);
    let before = ancestors(&plan, "swap");
    for kind in ["create_server", "settle_power", "finish_server", "verify_source"] {
        assert!(of_kind(&plan, kind).iter().all(|s| before.contains(*s)), "{kind}");
    }
    assert_eq!(of_kind(&plan, "settle_power"), ["m1.power"]);
    let no_return: Vec<_> =
        plan.steps.iter().filter(|s| s.no_return).map(|s| s.id.as_str()).collect();
    assert_eq!(no_return, ["swap"]);
}

#[test]
fn markers_fit_novas_tags_even_in_the_largest_plan() {
    let names: Vec<String> = (0..2000).map(|n| format!("s{n}")).collect();
    let members: Vec<(&str, u32)> = names.iter().map(|n| (n.as_str(), 1)).collect();
    let plan = plan(&members, &[]);
    let longest = plan.steps.iter().map(|s| s.id.len()).max().unwrap();
    assert!("ptr-".len() + 12 + 1 + longest <= 60);
    let edges: usize = plan.steps.iter().map(|s| s.after.len()).sum();
    assert!(edges < plan.steps.len() * 4, "{edges} edges for {} steps", plan.steps.len());
}
