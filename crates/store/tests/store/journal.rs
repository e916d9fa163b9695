//! The journal: fence, atomicity, effects.

use std::collections::BTreeMap;

use protector_store::{OperationFilter, OperationRow, PageRequest, StoreError};
use protector_types::{domain_effect::NewPlacement, *};
use protector_workflow::{EntryKind, Journal, JournalError, NewEntry};
use serde_json::json;

use crate::fixtures::{Db, SYSTEM, World, placement, project};

/// All that an append may change.
async fn state(world: &World, id: OperationId, group: GroupId) -> impl PartialEq + std::fmt::Debug {
    (
        world.store.load(id).await.unwrap(),
        world.store.operation(&SYSTEM, id).await.unwrap(),
        world.store.group_document(&SYSTEM, group).await.unwrap(),
        world.store.outbox_row(group).await.unwrap(),
    )
}

pub async fn a_stale_fence_writes_nothing(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let (id, old) = world.claimed(group.id, OperationType::Failover).await;
    let running = world.summary(OperationStatus::Running);
    assert_eq!(store.append(id, old, &world.entries(3), &[], &running).await, Ok(1));
    let seen = store.claimable(1).await.unwrap().remove(0);
    let new =
        store.claim(id, "engine-2", seen.owner.as_deref(), seen.heartbeat).await.unwrap().unwrap();

    let before = state(&world, id, group.id).await;
    let swap = swap(&world, group.id, vec![]);
    let end = world.summary(OperationStatus::Completed);
    let refused = store.append(id, old, &world.entries(5), &[swap], &end).await.unwrap_err();
    assert_eq!(refused, JournalError::Fenced { operation: id, fence: old });
    assert_eq!(state(&world, id, group.id).await, before);
    assert_eq!(store.append(id, new, &world.entries(1), &[], &running).await, Ok(4));
    let unknown = store.append(OperationId::generate(), 1, &world.entries(1), &[], &running).await;
    assert!(matches!(unknown, Err(JournalError::Rejected { .. })), "{unknown:?}");
}

fn swap(world: &World, group_id: GroupId, placements: Vec<NewPlacement>) -> DomainEffect {
    DomainEffect::SwapPrimary {
        group_id,
        new_primary: world.there,
        // Planned at the other site; this one has taken it over, and is who raises the epoch.
        raised_by: world.there,
        status: GroupStatus::FailedOver,
        placements,
    }
}

pub async fn an_illegal_transition_takes_its_entries_along(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let other = world.stored_group("p", "other").await;
    let version = group.version;
    let member = world.member(group.id, "srv");
    store.insert_member(&member, version).await.unwrap();
    let (id, fence) = world.claimed(group.id, OperationType::Failover).await;
    let running = world.summary(OperationStatus::Running);
    let status = |group_id, status| DomainEffect::SetStatus { group_id, status };
    let stranger = NewPlacement {
        member_id: MemberId::generate(),
        server_id: "x".into(),
        volumes: BTreeMap::new(),
    };
    let gap = NewPlacement {
        member_id: member.id,
        server_id: "x".into(),
        volumes: BTreeMap::from([(9, placement("x"))]),
    };
    let bad: [Vec<DomainEffect>; 5] = [
        vec![status(group.id, GroupStatus::FailingBack)],
        // The first is legal, and is taken back with the second.
        vec![status(group.id, GroupStatus::Active), status(group.id, GroupStatus::FailedOver)],
        vec![status(other.id, GroupStatus::FailingOver)],
        vec![swap(&world, group.id, vec![stranger])],
        vec![swap(&world, group.id, vec![gap])],
    ];
    let before = state(&world, id, group.id).await;
    for effects in bad {
        let refused = store.append(id, fence, &world.entries(70), &effects, &running).await;
        assert!(matches!(refused, Err(JournalError::Rejected { .. })), "{refused:?}");
        assert_eq!(state(&world, id, group.id).await, before, "{effects:?}");
    }
    assert_eq!(store.group(&SYSTEM, other.id).await.unwrap(), other);
    assert_eq!(store.append(id, fence, &world.entries(1), &[], &running).await, Ok(1));
}

/// Members are in the document: a change of theirs that left the version alone was once a conflict between the sites.
pub async fn a_member_that_has_nothing_at_a_site_any_more_is_a_new_version(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let member = world.member(group.id, "srv");
    store.insert_member(&member, group.version).await.unwrap();
    let (id, fence) = world.claimed(group.id, OperationType::Failover).await;
    let before = store.group(&SYSTEM, group.id).await.unwrap();
    store.outbox_pushed(group.id, before.version).await.unwrap();
    let displaced = DomainEffect::Displaced {
        group_id: group.id,
        site_id: world.here,
        members: vec![member.id],
    };
    let running = world.summary(OperationStatus::Running);
    store.append(id, fence, &world.entries(1), &[displaced], &running).await.unwrap();
    let after = store.group_document(&SYSTEM, group.id).await.unwrap();
    assert!(!after.members[0].servers.contains_key(&world.here), "{:?}", after.members[0]);
    assert_eq!(after.group.version, before.version + 1);
    let row = store.outbox_row(group.id).await.unwrap().unwrap();
    assert!(row.pushed_version < Some(row.version), "the peer is told: {row:?}");
}

pub async fn the_swap_of_the_primary_is_one_transaction(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let (moved, stays) = (world.member(group.id, "srv-1"), world.member(group.id, "srv-2"));
    let version = store.insert_member(&moved, group.version).await.unwrap();
    store.insert_member(&stays, version).await.unwrap();
    let (id, fence) = world.claimed(group.id, OperationType::Failover).await;
    let before = store.group(&SYSTEM, group.id).await.unwrap();
    store.outbox_pushed(group.id, before.version).await.unwrap();

    let running = world.summary(OperationStatus::Running);
    let point = world.db.now();
    let replicated = DomainEffect::Replicated {
        group_id: group.id,
        point_at: Some(point),
        status: ReplicationStatus::Replicating,
    };
    store.append(id, fence, &world.entries(1), &[replicated], &running).await.unwrap();
    let place = NewPlacement {
        member_id: moved.id,
        server_id: "srv-1-there".into(),
        volumes: BTreeMap::from([(0, placement("there"))]),
    };
    let effects = [swap(&world, group.id, vec![place])];
    store.append(id, fence, &world.entries(1), &effects, &running).await.unwrap();

    let after = store.group(&SYSTEM, group.id).await.unwrap();
    assert_eq!(after.status, GroupStatus::FailedOver);
    assert_eq!(after.current_primary_site_id, world.there);
    assert_eq!(after.failover_count, before.failover_count + 1);
    assert_eq!(
        after.epoch,
        Epoch { number: before.epoch.number + 1, raised_by: world.here, raised_in: Some(id) }
    );
    assert_eq!((after.version, after.last_replication_at), (before.version + 2, Some(point)));
    assert_eq!(after.current_operation_id, Some(id), "until the operation ends");
    let there = store.find_member_by_server(world.there, "srv-1-there").await.unwrap().unwrap();
    assert_eq!(there.id, moved.id);
    assert_eq!(there.servers[&world.here], "srv-1", "the old place is kept");
    assert_eq!(there.volumes[0].placements[&world.there], placement("there"));
    assert_eq!(there.volumes[0].placements[&world.here], placement("srv-1"));
    assert_eq!(store.member(&SYSTEM, group.id, stays.id).await.unwrap(), stays);
    let due = store.outbox_due(9).await.unwrap().remove(0);
    assert_eq!((due.version, due.epoch), (after.version, after.epoch.number));

    let end = world.summary(OperationStatus::Completed);
    store.append(id, fence, &world.entries(1), &[], &end).await.unwrap();
    let ended = store.group(&SYSTEM, group.id).await.unwrap();
    assert_eq!((ended.current_operation_id, ended.version), (None, after.version + 1));
    let row = store.operation(&SYSTEM, id).await.unwrap();
    assert_eq!((row.view, row.result_data), (end.view.clone(), end.result_data.clone()));
    assert_eq!((row.completed_at, row.status), (end.completed_at, OperationStatus::Completed));
    assert_eq!((row.progress, row.error_message), (42, end.view.error_message));
    assert_eq!((row.journal_seq, row.started_at), (3, Some(world.db.now())));
}

pub async fn a_parked_operation_keeps_its_group(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let (id, fence) = world.claimed(group.id, OperationType::Failover).await;
    let held = store.group(&SYSTEM, group.id).await.unwrap();
    let parked = world.summary(OperationStatus::NeedsAttention);
    store.append(id, fence, &world.entries(1), &[], &parked).await.unwrap();
    assert_eq!(store.group(&SYSTEM, group.id).await.unwrap(), held);
    // And on: rolled back, ended.
    let back = DomainEffect::SetStatus { group_id: group.id, status: GroupStatus::Active };
    let end = world.summary(OperationStatus::Failed);
    store.append(id, fence, &world.entries(1), &[back], &end).await.unwrap();
    let free = store.group(&SYSTEM, group.id).await.unwrap();
    assert_eq!((free.status, free.current_operation_id), (GroupStatus::Active, None));
    assert_eq!((free.version, free.failover_count), (held.version + 1, held.failover_count));
}

pub async fn an_ended_record_never_changes(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let (id, fence) = world.claimed(group.id, OperationType::SyncVolumes).await;
    let end = world.summary(OperationStatus::Completed);
    store.append(id, fence, &world.entries(1), &[], &end).await.unwrap();
    let before = state(&world, id, group.id).await;
    let running = world.summary(OperationStatus::Running);
    let late = store.append(id, fence, &world.entries(1), &[], &running).await;
    assert!(matches!(late, Err(JournalError::Rejected { .. })), "{late:?}");
    assert_eq!(state(&world, id, group.id).await, before);
}

pub async fn four_thousand_entries_come_back_without_gaps(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let (id, fence) = world.claimed(group.id, OperationType::Failover).await;
    let running = world.summary(OperationStatus::Running);
    let entry = |n: u64| NewEntry {
        at: world.db.now(),
        kind: EntryKind::Started {
            step: format!("s{n}"),
            attempt: 1,
            input: json!({"text": "ä\u{0}'\"\\ ☃", "n": n}),
            deadline_at: world.db.now(),
        },
    };
    let (mut written, mut size) = (0u64, 1u64);
    while written < 4000 {
        let batch: Vec<_> = (written..(written + size).min(4000)).map(entry).collect();
        let first = store.append(id, fence, &batch, &[], &running).await.unwrap();
        assert_eq!(first, written + 1);
        written += batch.len() as u64;
        size = size * 2 + 1;
        if size > 300 {
            size = 1;
        }
    }
    let loaded = store.load(id).await.unwrap();
    assert_eq!(loaded.len(), 4000);
    for (n, stored) in (0u64..).zip(&loaded) {
        let NewEntry { at, kind } = entry(n);
        assert_eq!((stored.seq, stored.at, &stored.kind), (n + 1, at, &kind));
    }
    let events = store.entries(&project("p"), id, 3990, 5).await.unwrap();
    assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [3991, 3992, 3993, 3994, 3995]);
    assert_eq!(store.operation(&SYSTEM, id).await.unwrap().journal_seq, 4000);
}

pub async fn the_peers_record_is_shown_and_never_driven(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let id = world.accept(group.id, OperationType::SyncVolumes).await;
    let local = store.operation(&SYSTEM, id).await.unwrap();
    let text = serde_json::to_string(&local).unwrap();
    let mut record: OperationRow = serde_json::from_str(&text).unwrap();
    assert!(matches!(
        store.put_remote_operation(&record).await,
        Err(StoreError::AlreadyExists { .. })
    ));

    record.id = OperationId::generate();
    (record.owner, record.fence, record.journal_seq) = (Some("engine there".into()), 3, 5);
    store.put_remote_operation(&record).await.unwrap();
    let shown = store.operation(&project("p"), record.id).await.unwrap();
    assert!(shown.remote && shown.owner.is_none());
    let page = store
        .list_operations(&project("p"), &OperationFilter::default(), &PageRequest::default())
        .await
        .unwrap();
    assert_eq!(page.items.len(), 2);
    assert_eq!(store.claimable(9).await.unwrap().len(), 1);
    assert_eq!(store.claim(record.id, "engine-1", None, shown.heartbeat).await, Ok(None));
    let cancel = world.request("r1", protector_workflow::Ask::Cancel);
    assert!(store.request_control(record.id, &cancel).await.is_err());

    // Newer copies are taken, older ones and those after the end are not.
    let newer = OperationRow { journal_seq: 9, status: OperationStatus::Failed, ..record.clone() };
    let older = OperationRow { journal_seq: 4, status: OperationStatus::Running, ..record.clone() };
    store.put_remote_operation(&older).await.unwrap();
    assert_eq!(store.operation(&SYSTEM, record.id).await.unwrap().journal_seq, 5);
    store.put_remote_operation(&newer).await.unwrap();
    let later = OperationRow { journal_seq: 10, ..older };
    store.put_remote_operation(&later).await.unwrap();
    let last = store.operation(&SYSTEM, record.id).await.unwrap();
    assert_eq!((last.status, last.journal_seq), (OperationStatus::Failed, 9));
}
