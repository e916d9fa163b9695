//! Acceptance, claims, heartbeats, controls, idempotency.

use std::{collections::BTreeSet, time::Duration};

use protector_store::{Accepted, Conflict, Requested, StoreError};
use protector_types::*;
use protector_workflow::{Ask, Journal};
use serde_json::json;

use crate::fixtures::{Db, SYSTEM, World, gate, plan};

pub async fn of_sixteen_requests_one_holds_the_group(db: Db) {
    let world = World::new(db).await;
    let group = world.stored_group("p", "shop").await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = world.store.clone();
            let new = world.operation(&group, OperationType::Failover);
            let gate = gate(&group, OperationType::Failover);
            tokio::spawn(async move { (new.id, store.insert_and_claim_group(&new, &gate).await) })
        })
        .collect();
    let (mut winners, mut named, mut losers) = (vec![], BTreeSet::new(), vec![]);
    for task in tasks {
        match task.await.unwrap() {
            (id, Ok(Accepted::New { group_version, .. })) => winners.push((id, group_version)),
            (id, Err(StoreError::Conflict(Conflict::Busy { operation, .. }))) => {
                losers.push(id);
                named.insert(operation);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((winners.len(), losers.len()), (1, 15));
    let (winner, version) = winners[0];
    assert_eq!(named, BTreeSet::from([winner]), "losers learn who won");
    for loser in losers {
        assert!(matches!(
            world.store.operation(&SYSTEM, loser).await,
            Err(StoreError::NotFound { .. })
        ));
    }
    let stored = world.store.group(&SYSTEM, group.id).await.unwrap();
    assert_eq!(stored.current_operation_id, Some(winner));
    assert_eq!(stored.status, GroupStatus::FailingOver);
    assert_eq!((stored.version, version), (group.version + 1, group.version + 1));
    assert_eq!(world.store.outbox_due(9).await.unwrap()[0].version, version);
    assert_eq!(world.store.load_plan(winner).await.unwrap(), plan());
    let row = world.store.operation(&SYSTEM, winner).await.unwrap();
    assert_eq!((row.status, row.view.stages[0].total), (OperationStatus::Pending, 1));
    let held = world.store.delete_group(group.id, Some(version)).await.unwrap_err();
    assert!(matches!(held, StoreError::Conflict(Conflict::Busy { .. })), "{held}");
}

pub async fn of_sixteen_engines_one_has_the_operation(db: Db) {
    let world = World::new(db).await;
    let group = world.stored_group("p", "shop").await;
    let id = world.accept(group.id, OperationType::Failover).await;
    for round in 0..3u64 {
        let seen = world.store.claimable(10).await.unwrap().remove(0);
        assert_eq!(seen.id, id);
        let tasks: Vec<_> = (0..16)
            .map(|n| {
                let (store, seen) = (world.store.clone(), seen.clone());
                let engine = format!("engine-{round}-{n}");
                tokio::spawn(async move {
                    let owner = seen.owner.as_deref();
                    store.claim(id, &engine, owner, seen.heartbeat).await.unwrap()
                })
            })
            .collect();
        let mut fences = vec![];
        for task in tasks {
            fences.extend(task.await.unwrap());
        }
        assert_eq!(fences, [round + 1], "one winner, with the next fence");
    }
}

pub async fn a_dead_engines_operation_changes_hands_and_a_live_ones_does_not(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let (id, fence) = world.claimed(group.id, OperationType::Failover).await;
    let seen = store.claimable(10).await.unwrap().remove(0);
    assert_eq!(seen.owner.as_deref(), Some("engine-1"));
    assert!(store.heartbeat(id, "engine-1", fence).await.unwrap());
    // It has lived since it was seen.
    assert_eq!(store.claim(id, "engine-2", seen.owner.as_deref(), seen.heartbeat).await, Ok(None));
    let seen = store.claimable(10).await.unwrap().remove(0);
    let next = store.claim(id, "engine-2", seen.owner.as_deref(), seen.heartbeat).await.unwrap();
    assert_eq!(next, Some(fence + 1));
    assert!(!store.heartbeat(id, "engine-1", fence).await.unwrap());
    assert!(!store.release(id, "engine-1", fence).await.unwrap());
    assert!(!store.heartbeat(id, "engine-2", fence).await.unwrap(), "the fence counts too");
    assert!(store.release(id, "engine-2", fence + 1).await.unwrap());
    let free = store.claimable(10).await.unwrap().remove(0);
    assert_eq!(free.owner, None);

    let fence = store.claim(id, "engine-3", None, free.heartbeat).await.unwrap().unwrap();
    let end = world.summary(OperationStatus::Failed);
    store.append(id, fence, &world.entries(1), &[], &end).await.unwrap();
    assert!(store.claimable(10).await.unwrap().is_empty());
    let row = store.operation(&SYSTEM, id).await.unwrap();
    assert_eq!(store.claim(id, "engine-4", row.owner.as_deref(), row.heartbeat).await, Ok(None));
}

pub async fn requests_of_persons_wait_until_the_journal_has_them(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let (id, fence) = world.claimed(group.id, OperationType::Failover).await;
    assert!(store.requests(id).await.unwrap().is_empty());
    let (eve, adam) = (world.request("r1", Ask::Cancel), world.request("r2", Ask::Retry));
    for new in [&eve, &adam] {
        let asked = store.request_control(id, new).await.unwrap();
        assert!(matches!(asked, Requested::Waiting(row) if row.id == id));
    }
    let both = [eve.request.clone(), adam.request.clone()];
    assert_eq!(store.requests(id).await.unwrap(), both, "the second does not replace the first");
    // An engine that dies before its journal has one leaves it to the next.
    assert_eq!(store.requests(id).await.unwrap(), both);
    let asked = world.asked(&eve.request);
    let now = world.summary(OperationStatus::Running);
    store.append(id, fence, &[asked], &[], &now).await.unwrap();
    assert_eq!(store.requests(id).await.unwrap(), std::slice::from_ref(&adam.request));

    // A parked operation that was let go is picked up again only for a request.
    let parked = world.summary(OperationStatus::NeedsAttention);
    store.append(id, fence, &[world.asked(&adam.request)], &[], &parked).await.unwrap();
    store.release(id, "engine-1", fence).await.unwrap();
    assert!(store.claimable(10).await.unwrap().is_empty());
    store.request_control(id, &world.request("r3", Ask::Retry)).await.unwrap();
    let seen = store.claimable(10).await.unwrap().remove(0);
    assert_eq!((seen.id, seen.status), (id, OperationStatus::NeedsAttention));

    let fence = store.claim(id, "engine-1", None, seen.heartbeat).await.unwrap().unwrap();
    let end = world.summary(OperationStatus::Cancelled);
    store.append(id, fence, &world.entries(1), &[], &end).await.unwrap();
    let late = store.request_control(id, &eve).await.unwrap_err();
    let status = OperationStatus::Cancelled;
    assert_eq!(late, Conflict::Ended { operation: id, status }.into());
    let unknown = store.request_control(OperationId::generate(), &eve).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
}

pub async fn a_request_with_a_key_is_left_once(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let (id, _) = world.claimed(group.id, OperationType::Failover).await;
    let keyed = |request: &str, digest: &str| {
        let mut new = world.request(request, Ask::Cancel);
        new.idempotency = Some(("key".into(), digest.into()));
        new
    };
    store.request_control(id, &keyed("r1", "d")).await.unwrap();
    let again = store.request_control(id, &keyed("r2", "d")).await.unwrap();
    assert!(matches!(again, Requested::Replayed(row) if row.id == id));
    assert_eq!(store.requests(id).await.unwrap().len(), 1);
    let other = store.request_control(id, &keyed("r3", "e")).await.unwrap_err();
    assert_eq!(other, Conflict::IdempotencyMismatch { operation: id }.into());
}

pub async fn what_never_began_ends_at_once_and_its_group_is_where_it_was(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let cancel = world.request("r1", Ask::Cancel);
    let (id, fence) = world.claimed(group.id, OperationType::Failover).await;
    assert_eq!(store.cancel_pending(id, &cancel, None).await, Ok(None), "an engine has it");
    let stranger = Some(("engine-2", fence));
    assert_eq!(store.cancel_pending(id, &cancel, stranger).await, Ok(None));
    let row = store.cancel_pending(id, &cancel, Some(("engine-1", fence))).await.unwrap().unwrap();
    assert_eq!((row.status, row.journal_seq), (OperationStatus::Cancelled, 2));
    assert_eq!(store.operation(&SYSTEM, id).await.unwrap(), row);
    assert_eq!(store.entries(&SYSTEM, id, 0, 9).await.unwrap().len(), 2);
    let now = store.group(&SYSTEM, group.id).await.unwrap();
    assert_eq!((now.status, now.current_operation_id), (GroupStatus::Active, None));
    assert!(!store.heartbeat(id, "engine-1", fence).await.unwrap(), "its engine lets go");
    let late = store.append(id, fence, &world.entries(1), &[], &world.summary(row.status)).await;
    assert!(late.is_err());

    let drill = world.accept(group.id, OperationType::TestFailover).await;
    let ended = store.cancel_pending(drill, &cancel, None).await.unwrap();
    assert!(ended.is_some());
    let now = store.group(&SYSTEM, group.id).await.unwrap();
    assert_eq!((now.current_operation_id, now.active_test_operation_id), (None, None));
}

pub async fn a_failover_that_is_left_on_its_way_leaves_its_group_in_error(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let (id, fence) = world.claimed(group.id, OperationType::Failover).await;
    let end = world.summary(OperationStatus::Failed);
    store.append(id, fence, &world.entries(1), &[], &end).await.unwrap();
    let now = store.group(&SYSTEM, group.id).await.unwrap();
    assert_eq!((now.status, now.current_operation_id), (GroupStatus::Error, None));
}

pub async fn a_repeated_request_is_answered_with_its_first_operation(db: Db) {
    let world = World::new(db.clone()).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let keyed = |digest: &str| {
        let mut new = world.operation(&group, OperationType::SyncVolumes);
        new.idempotency = Some(("key-1".into(), digest.into()));
        new
    };
    let gate = gate(&group, OperationType::SyncVolumes);
    let first = keyed("digest-a");
    let accepted = store.insert_and_claim_group(&first, &gate).await.unwrap();
    assert!(matches!(accepted, Accepted::New { .. }));
    match store.insert_and_claim_group(&keyed("digest-a"), &gate).await.unwrap() {
        Accepted::Replayed(row) => assert_eq!(row.id, first.id),
        other => panic!("{other:?}"),
    }
    let mismatch = store.insert_and_claim_group(&keyed("digest-b"), &gate).await.unwrap_err();
    assert_eq!(mismatch, Conflict::IdempotencyMismatch { operation: first.id }.into());
    let found = store.find_idempotent(&"p".into(), "key-1").await.unwrap();
    assert_eq!(found, Some((first.id, "digest-a".into())));
    assert_eq!(store.find_idempotent(&"q".into(), "key-1").await.unwrap(), None);

    db.clock.advance(Duration::from_secs(24 * 3600 + 1));
    assert_eq!(store.find_idempotent(&"p".into(), "key-1").await.unwrap(), None);
    let busy = store.insert_and_claim_group(&keyed("digest-a"), &gate).await.unwrap_err();
    assert_eq!(busy, Conflict::Busy { group: group.id, operation: first.id }.into());
    let fence = store.claim(first.id, "e", None, 0).await.unwrap().unwrap();
    let end = world.summary(OperationStatus::Completed);
    store.append(first.id, fence, &[], &[], &end).await.unwrap();
    let version = store.group(&SYSTEM, group.id).await.unwrap().version;
    let gate = protector_store::GroupGate { expected_version: version, ..gate };
    let again = store.insert_and_claim_group(&keyed("digest-b"), &gate).await.unwrap();
    assert!(matches!(again, Accepted::New { .. }), "the key is free again");
}

pub async fn the_same_request_sent_sixteen_times_at_once_makes_one_operation(db: Db) {
    let world = World::new(db).await;
    let group = world.stored_group("p", "shop").await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = world.store.clone();
            let mut new = world.operation(&group, OperationType::SyncVolumes);
            new.idempotency = Some(("key".into(), "digest".into()));
            let gate = gate(&group, OperationType::SyncVolumes);
            tokio::spawn(async move { store.insert_and_claim_group(&new, &gate).await.unwrap() })
        })
        .collect();
    let (mut ids, mut new) = (BTreeSet::new(), 0);
    for task in tasks {
        match task.await.unwrap() {
            Accepted::New { operation, .. } => {
                new += 1;
                ids.insert(operation.id);
            }
            Accepted::Replayed(row) => drop(ids.insert(row.id)),
        }
    }
    assert_eq!((new, ids.len()), (1, 1));
}

pub async fn a_group_claim_is_idempotent_and_changes_hands_only_when_it_stood_still(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = GroupId::generate();
    let (ours, theirs) = (OperationId::generate(), OperationId::generate());
    let claim = store.take_group_claim(group, ours, world.here).await.unwrap();
    assert_eq!(store.take_group_claim(group, ours, world.here).await.unwrap(), claim);
    let refused = store.take_group_claim(group, theirs, world.there).await.unwrap_err();
    assert_eq!(refused, Conflict::Claimed { group, operation: ours, holder: world.here }.into());
    assert!(store.renew_group_claim(group, ours).await.unwrap());
    assert!(!store.renew_group_claim(group, theirs).await.unwrap());
    // Renewed since it was seen.
    assert!(store.take_over_group_claim(&claim, theirs, world.there).await.is_err());
    let seen = store.group_claim(group).await.unwrap().unwrap();
    let taken = store.take_over_group_claim(&seen, theirs, world.there).await.unwrap();
    assert_eq!((taken.holder_site_id, taken.renewals), (world.there, 2));
    assert!(!store.renew_group_claim(group, ours).await.unwrap());
    store.release_group_claim(group, ours).await.unwrap();
    assert_eq!(store.group_claim(group).await.unwrap(), Some(taken));
    store.release_group_claim(group, theirs).await.unwrap();
    assert_eq!(store.group_claim(group).await.unwrap(), None);

    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, here) = (store.clone(), world.here);
            tokio::spawn(async move {
                store.take_group_claim(group, OperationId::generate(), here).await.is_ok()
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!(won, 1);
}

pub async fn a_drill_is_open_until_nothing_of_it_is_left(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let drill_of =
        || async { store.group(&SYSTEM, group.id).await.unwrap().active_test_operation_id };
    let end = |status, leaked: &[&str]| {
        let mut summary = world.summary(status);
        summary.result_data = Some(json!({"leaked": leaked}));
        summary
    };

    // Undone without a rest: closed.
    let (id, fence) = world.claimed(group.id, OperationType::TestFailover).await;
    assert_eq!(drill_of().await, Some(id));
    store.append(id, fence, &[], &[], &end(OperationStatus::Failed, &[])).await.unwrap();
    assert_eq!(drill_of().await, None);

    // Completed: open, and it blocks a second one.
    let (id, fence) = world.claimed(group.id, OperationType::TestFailover).await;
    store.append(id, fence, &[], &[], &end(OperationStatus::Completed, &[])).await.unwrap();
    assert_eq!(drill_of().await, Some(id));
    let now = store.group(&SYSTEM, group.id).await.unwrap();
    assert_eq!((now.status, now.current_operation_id), (GroupStatus::Active, None));
    let second = world.operation(&now, OperationType::TestFailover);
    let gate = gate(&now, OperationType::TestFailover);
    let refused = store.insert_and_claim_group(&second, &gate).await.unwrap_err();
    assert_eq!(refused, Conflict::DrillOpen { group: group.id, operation: id }.into());

    // A cleanup that leaves something leaves it open; one that leaves nothing closes it.
    let (cleanup, fence) = world.claimed(group.id, OperationType::TestCleanup).await;
    store
        .append(cleanup, fence, &[], &[], &end(OperationStatus::Completed, &["vol"]))
        .await
        .unwrap();
    assert_eq!(drill_of().await, Some(id));
    let (cleanup, fence) = world.claimed(group.id, OperationType::TestCleanup).await;
    store.append(cleanup, fence, &[], &[], &end(OperationStatus::Completed, &[])).await.unwrap();
    assert_eq!(drill_of().await, None);
}

pub async fn a_forced_failover_ends_what_holds_the_group_and_its_engine_writes_no_more(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let (drill, fence) = world.claimed(group.id, OperationType::TestFailover).await;
    let held = store.group(&SYSTEM, group.id).await.unwrap();
    let forced = world.operation(&held, OperationType::Failover);
    let usual = gate(&held, OperationType::Failover);
    let busy = store.insert_and_claim_group(&forced, &usual).await.unwrap_err();
    assert_eq!(busy, Conflict::Busy { group: group.id, operation: drill }.into());
    let gate = protector_store::GroupGate {
        supersedes: vec![OperationType::TestFailover],
        holder_result: Some(json!({"test_instances": []})),
        ..usual
    };
    store.insert_and_claim_group(&forced, &gate).await.unwrap();
    let ended = store.operation(&SYSTEM, drill).await.unwrap();
    assert_eq!(ended.status, OperationStatus::Failed);
    assert!(ended.error_message.unwrap().contains(&forced.id.to_string()), "names its successor");
    assert_eq!(ended.result_data, gate.holder_result);
    let late = world.summary(OperationStatus::Running);
    assert!(store.append(drill, fence, &world.entries(1), &[], &late).await.is_err());
    assert!(!store.heartbeat(drill, "engine-1", fence).await.unwrap(), "its engine lets go");
    let now = store.group(&SYSTEM, group.id).await.unwrap();
    assert_eq!(now.current_operation_id, Some(forced.id));
    assert_eq!(now.active_test_operation_id, Some(drill), "what it made is still there");
}
