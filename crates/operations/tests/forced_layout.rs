//! The shape of a forced failover's graph, of its completion, and of a drill's end.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use protector_core::{ActionParams, PlanRequest};
use protector_operations::{
    deps::{ArrayPlace, Place},
    facts::Places,
    forced::{
        layout::lay_out,
        plan::{Facts, LeftOut, Ready},
        retry::Recalled,
    },
    rebuild::{ReadyMember, resolve::ReadyPort},
};
use protector_types::{
    GroupId, Member, MemberId, OperationId, OperationType, ReplicationPolicy, Retention, SiteId,
};
use protector_workflow::{OnFailure, Plan};
use serde_json::{Value, json};

fn member(group: GroupId, site: SiteId, name: &str) -> Member {
    let volume = |position: u32| {
        json!({
            "position": position, "device": "/dev/vda", "boot_index": -1, "name": name, "description": "",
            "size_gib": 1, "bootable": position == 0, "metadata": {}, "image_metadata": {},
            "delete_on_termination": false,
            "placements": {site.to_string(): {
                "volume_id": format!("{name}-{position}"), "array_volume": format!("volume-{name}-{position}-cinder"),
                "array_volume_id": null, "serial": "S",
            }},
        })
    };
    serde_json::from_value(json!({
        "id": MemberId::generate(), "group_id": group, "servers": {site.to_string(): format!("{name}-id")},
        "spec": {"name": name}, "volumes": [volume(0), volume(1)], "observed_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

fn request(names: &[&str]) -> PlanRequest {
    let (a, b) = (SiteId::generate(), SiteId::generate());
    let id = GroupId::generate();
    let at = "2026-01-01T00:00:00Z";
    let group = serde_json::from_value(json!({
        "id": id, "name": "g", "description": "", "replication_type": "async", "primary_site_id": a,
        "secondary_site_id": b, "projects": {a.to_string(): "pa", b.to_string(): "pb"}, "volume_types": {},
        "mappings": {}, "status": "active", "current_primary_site_id": a, "replication_status": "replicating",
        "failover_count": 0, "last_replication_at": null, "version": 1, "epoch": {"number": 1, "raised_by": a},
        "current_operation_id": null, "active_test_operation_id": null, "quarantine": null, "created_at": at,
        "updated_at": at,
    }))
    .unwrap();
    PlanRequest {
        operation_id: OperationId::generate(),
        operation: OperationType::Failover,
        params: ActionParams { force: true, ..ActionParams::default() },
        members: names.iter().map(|name| member(id, a, name)).collect(),
        group,
        policy: ReplicationPolicy {
            array_urls: BTreeMap::new(),
            array_names: BTreeMap::new(),
            replication_interval: 300,
            rpo_minutes: None,
            retention: Retention::default(),
            updated_at: chrono::DateTime::UNIX_EPOCH,
        },
        site_names: BTreeMap::new(),
        cinder_hosts: BTreeMap::new(),
        local_site: b,
        fences: Vec::new(),
        delegates: BTreeMap::new(),
        drill: None,
        retried: None,
    }
}

fn ready<'a>(request: &'a PlanRequest, left_out: &[usize], recalled: Option<Value>) -> Ready<'a> {
    let (a, b) = (request.group.primary_site_id, request.group.secondary_site_id);
    let place = |site: SiteId| Place { site, project: request.group.projects[&site].clone() };
    let array = |site: SiteId| ArrayPlace { group: request.group.id, site };
    let of = |(m, member): (usize, &'a Member)| {
        let ready = ReadyMember {
            member,
            source_server_id: format!("{}-id", member.spec.name),
            was_active: true,
            was_locked: false,
            runs_now: true,
            flavor_id: "f".into(),
            ports: vec![ReadyPort { source_id: "p".into(), ..ReadyPort::default() }],
            security_groups: Vec::new(),
            owner: None,
            key_name: None,
            import_key: None,
            availability_zone: None,
            server_group_id: None,
        };
        (m, ready)
    };
    let all = || request.members.iter().enumerate();
    Ready {
        places: Places {
            source: place(a),
            target: place(b),
            source_array: array(a),
            target_array: array(b),
            source_delegates: Vec::new(),
            target_delegates: Vec::new(),
        },
        members: all().filter(|(m, _)| !left_out.contains(m)).map(of).collect(),
        left_out: all()
            .filter(|(m, _)| left_out.contains(m))
            .map(|(m, member)| LeftOut { m, member, in_point: true, why: "no room".into() })
            .collect(),
        earlier: usize::from(recalled.is_some()),
        cinder_host: "h@b#p".into(),
        volume_type: "t".into(),
        source_array: "array-a".into(),
        mirrored: false,
        source_answers: false,
        remains: None,
        makes_room: Vec::new(),
        taken: BTreeMap::new(),
        facts: Facts {
            group_id: request.group.id,
            source_site: "site-a".into(),
            source_site_id: a,
            target_site: "site-b".into(),
            driven_by: b,
            not_preserved: vec![],
            warnings: vec![],
            retry_of: recalled.as_ref().map(|_| OperationId::generate()),
            superseded: BTreeMap::new(),
        },
        recalled: Recalled(
            recalled
                .and_then(|r| r.as_object().cloned())
                .into_iter()
                .flatten()
                .collect::<BTreeMap<_, _>>(),
        ),
    }
}

/// Everything that a step waits for, directly or not.
fn ancestors(plan: &Plan, step: &str) -> BTreeSet<String> {
    let needs: BTreeMap<&str, &Vec<String>> =
        plan.steps.iter().map(|s| (s.id.as_str(), &s.after)).collect();
    let (mut found, mut todo) = (BTreeSet::new(), vec![step.to_owned()]);
    while let Some(next) = todo.pop() {
        let more = needs[next.as_str()].iter().filter(|n| found.insert((*n).clone()));
        todo.extend(more.cloned());
    }
    found
}

fn ids(plan: &Plan, kind: &str) -> Vec<String> {
    plan.steps.iter().filter(|s| s.kind == kind).map(|s| s.id.clone()).collect()
}

#[test]
fn no_server_is_made_before_all_volumes_are_cloned_and_the_epoch_is_raised() {
    let request = request(&["web-1", "web-2", "db-1"]);
    let plan = lay_out(&request, &ready(&request, &[2], None));
    plan.validate().unwrap();
    let clones = ids(&plan, "clone_volume");
    assert_eq!(clones.len(), 6, "those of the member that is left out too: {clones:?}");
    let creates = ids(&plan, "create_server");
    assert_eq!(creates, ["m0.create", "m1.create"]);
    for create in &creates {
        let before = ancestors(&plan, create);
        assert!(clones.iter().all(|clone| before.contains(clone)), "{create}: {before:?}");
        assert!(before.contains("epoch") && before.contains("close"), "{create}: {before:?}");
    }
}

#[test]
fn each_server_is_a_point_of_no_return_and_each_members_failure_is_its_own() {
    let request = request(&["web-1", "db-1"]);
    let plan = lay_out(&request, &ready(&request, &[], None));
    for step in &plan.steps {
        assert_eq!(step.no_return, step.kind == "create_server", "{}", step.id);
        let expected = match (step.kind.as_str(), &step.subject) {
            (_, None) => continue,
            // The server is up by then.
            ("finish_server", _) => OnFailure::Warn,
            _ => OnFailure::Isolate,
        };
        assert_eq!(step.on_failure, expected, "{} of {:?}", step.id, step.subject);
    }
    for step in plan.steps.iter().filter(|step| step.subject.is_none()) {
        assert_ne!(step.on_failure, OnFailure::Isolate, "{} is everybody's", step.id);
    }
    let arrive = plan.steps.iter().find(|s| s.kind == "arrive").unwrap();
    assert_eq!(arrive.on_failure, OnFailure::Rollback, "nothing came up: everything is undone");
    let before = ancestors(&plan, "arrive");
    assert!(before.contains("m0.create") && before.contains("m1.create"));
}

#[test]
fn who_is_left_out_is_a_failure_with_a_reason_that_holds_up_nobody() {
    let request = request(&["web-1", "db-1"]);
    let plan = lay_out(&request, &ready(&request, &[1], None));
    let out = plan.steps.iter().find(|s| s.id == "m1.left_out").unwrap();
    assert_eq!((out.kind.as_str(), out.on_failure), ("refuse", OnFailure::Isolate));
    assert_eq!((out.subject.as_deref(), &out.input), (Some("db-1"), &json!("no room")));
    assert!(!ancestors(&plan, "m0.create").contains("m1.left_out"));
    assert!(ancestors(&plan, "arrive").contains("m1.left_out"));
}

#[test]
fn a_completion_takes_what_is_there_and_raises_no_epoch() {
    let request = request(&["web-1", "db-1"]);
    let recalled = json!({
        "point": {"name": "array-a:g.7"}, "m0.clone0": {"name": "c0"}, "m0.clone1": {"name": "c1"},
        "m0.manage0": {"volume_id": "v0"},
    });
    let plan = lay_out(&request, &ready(&request, &[1], Some(recalled)));
    plan.validate().unwrap();
    assert_eq!(ids(&plan, "recall"), ["point", "m0.clone0", "m0.clone1", "m0.manage0"]);
    assert_eq!(ids(&plan, "move_primary"), Vec::<String>::new());
    assert_eq!(ids(&plan, "refuse_source"), Vec::<String>::new());
    let managed = plan.steps.iter().find(|s| s.id == "m0.manage0").unwrap();
    assert_eq!(managed.input["source_id"], "web-1-0", "the map of old to new ids stays whole");
    assert_eq!(ids(&plan, "manage_volume"), ["m0.manage1"]);
    let arrive = plan.steps.iter().find(|s| s.kind == "arrive").unwrap();
    assert_eq!(arrive.input["earlier"], json!(1));
}
