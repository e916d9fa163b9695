//! Groups, members, policies, documents, outbox, scopes.

use protector_store::{Conflict, GroupFilter, OperationFilter, PageRequest, StoreError};
use protector_types::*;
use protector_workflow::Journal;

use crate::fixtures::{Db, SYSTEM, World, project};

pub async fn a_group_comes_back_as_it_was_written(db: Db) {
    let world = World::new(db).await;
    let mut group = world.group("p", "shop");
    group.quarantine = Some("the peer is ahead".into());
    group.active_test_operation_id = Some(OperationId::generate());
    world.store.insert_group(&group).await.unwrap();
    assert_eq!(world.store.group(&SYSTEM, group.id).await.unwrap(), group);

    let member = world.member(group.id, "srv-1");
    let version = world.store.insert_member(&member, group.version).await.unwrap();
    assert_eq!(world.store.member(&SYSTEM, group.id, member.id).await.unwrap(), member);
    let policy = world.policy();
    let version = world.store.set_policy(group.id, &policy, version).await.unwrap();
    assert_eq!(world.store.policy(&SYSTEM, group.id).await.unwrap(), Some(policy.clone()));
    assert_eq!(version, group.version + 2);

    let document = world.store.group_document(&SYSTEM, group.id).await.unwrap();
    assert_eq!(document.group.version, version);
    assert_eq!((document.members, document.policy), (vec![member], Some(policy)));
}

pub async fn names_are_unique_per_project_and_case_matters(db: Db) {
    let world = World::new(db).await;
    let first = world.stored_group("p", "shop").await;
    let twin = world.store.insert_group(&world.group("p", "shop")).await.unwrap_err();
    assert_eq!(twin, StoreError::AlreadyExists { what: "protection group", id: "shop".into() });
    world.stored_group("other", "shop").await;
    let second = world.stored_group("p", "Shop").await;
    let renamed = ProtectionGroup { name: "shop".into(), ..second.clone() };
    let clash = world.store.update_group(&renamed, second.version).await.unwrap_err();
    assert!(matches!(clash, StoreError::AlreadyExists { .. }), "{clash}");
    assert_eq!(world.store.group(&SYSTEM, second.id).await.unwrap(), second);
    let filter = GroupFilter { name: Some("shop".into()), status: None };
    let found =
        world.store.list_groups(&project("p"), &filter, &PageRequest::default()).await.unwrap();
    assert_eq!(found.items, [first]);
}

pub async fn what_fits_no_column_is_refused_and_what_must_be_kept_is(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    for name in ["n".repeat(256), "a\0b".to_owned()] {
        let refused = store.insert_group(&world.group("p", &name)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Invalid { .. }), "{refused}");
    }
    let longest = world.stored_group("p", &"ß".repeat(255)).await;
    assert_eq!(store.group(&SYSTEM, longest.id).await.unwrap(), longest);

    let (id, fence) = world.claimed(longest.id, OperationType::SyncVolumes).await;
    let mut summary = world.summary(OperationStatus::Failed);
    summary.view.error_message = Some("the array said \0 and more".into());
    store.append(id, fence, &world.entries(1), &[], &summary).await.unwrap();
    let row = store.operation(&SYSTEM, id).await.unwrap();
    assert_eq!(row.error_message.as_deref(), Some("the array said \u{fffd} and more"));
    store.outbox_failed(longest.id, "\0").await.unwrap();
}

pub async fn a_stale_version_or_an_illegal_status_changes_nothing(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let change = ProtectionGroup { description: "new".into(), ..group.clone() };
    let stored = store.update_group(&change, group.version).await.unwrap();
    assert_eq!((stored.version, stored.description.as_str()), (group.version + 1, "new"));

    let stale = store.update_group(&change, group.version).await.unwrap_err();
    let (expected, actual) = (group.version, stored.version);
    let conflict = Conflict::StaleVersion { group: group.id, expected, actual };
    assert_eq!(stale, StoreError::Conflict(conflict.clone()));
    let member = world.member(group.id, "srv");
    assert_eq!(store.insert_member(&member, expected).await, Err(conflict.clone().into()));
    assert_eq!(
        store.set_policy(group.id, &world.policy(), expected).await,
        Err(conflict.clone().into())
    );
    assert_eq!(store.delete_group(group.id, Some(expected)).await, Err(conflict.into()));

    let illegal = ProtectionGroup { status: GroupStatus::FailedOver, ..stored.clone() };
    let refused = store.update_group(&illegal, stored.version).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Conflict(Conflict::IllegalTransition { .. })),
        "{refused}"
    );
    assert_eq!(store.group(&SYSTEM, group.id).await.unwrap(), stored);
    assert!(store.members(&SYSTEM, group.id).await.unwrap().is_empty());

    store.delete_group(group.id, Some(stored.version)).await.unwrap();
    assert!(matches!(store.group(&SYSTEM, group.id).await, Err(StoreError::NotFound { .. })));
    assert!(store.outbox_due(10).await.unwrap().is_empty());
}

pub async fn a_server_is_in_one_group_at_most(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let (one, two) = (world.stored_group("p", "one").await, world.stored_group("q", "two").await);
    let member = world.member(one.id, "srv");
    let version = store.insert_member(&member, one.version).await.unwrap();
    let twin = store.insert_member(&world.member(two.id, "srv"), two.version).await.unwrap_err();
    assert!(matches!(twin, StoreError::AlreadyExists { .. }), "{twin}");
    assert_eq!(store.group(&SYSTEM, two.id).await.unwrap(), two, "nothing of it is left");
    let found = store.find_member_by_server(world.here, "srv").await.unwrap();
    assert_eq!(found.map(|m| m.group_id), Some(one.id));
    assert_eq!(store.find_member_by_server(world.there, "srv").await.unwrap(), None);

    let mut changed = member.clone();
    changed.servers.insert(world.there, "srv-b".into());
    let version = store.update_member(&changed, version).await.unwrap();
    assert_eq!(store.find_member_by_server(world.there, "srv-b").await.unwrap(), Some(changed));
    store.delete_member(one.id, member.id, version).await.unwrap();
    assert_eq!(store.find_member_by_server(world.here, "srv").await.unwrap(), None);
    store.insert_member(&world.member(two.id, "srv"), two.version).await.unwrap();
}

pub async fn every_change_of_a_document_is_queued_for_the_peer(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let due = |store: protector_store::Store| async move {
        let rows = store.outbox_due(10).await.unwrap();
        rows.into_iter().map(|row| row.version).collect::<Vec<_>>()
    };
    assert_eq!(due(store.clone()).await, [7]);
    store.outbox_pushed(group.id, 7).await.unwrap();
    assert!(due(store.clone()).await.is_empty());

    let member = world.member(group.id, "srv");
    let mut version = store.insert_member(&member, 7).await.unwrap();
    assert_eq!(due(store.clone()).await, [8]);
    store.outbox_pushed(group.id, version).await.unwrap();
    version = store.set_policy(group.id, &world.policy(), version).await.unwrap();
    assert_eq!(due(store.clone()).await, [9]);
    store.outbox_failed(group.id, "no route").await.unwrap();
    store.outbox_failed(group.id, "still no route").await.unwrap();
    let row = store.outbox_row(group.id).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.last_error.as_deref()), (2, Some("still no route")));
    assert_eq!((row.pushed_version, row.epoch), (Some(8), 4));

    version = store.delete_member(group.id, member.id, version).await.unwrap();
    assert_eq!(due(store.clone()).await, [10]);
    // The confirmation of an older push leaves the newer change due; a late one changes nothing.
    store.outbox_pushed(group.id, 9).await.unwrap();
    assert_eq!(due(store.clone()).await, [10]);
    store.outbox_pushed(group.id, version).await.unwrap();
    store.outbox_pushed(group.id, 9).await.unwrap();
    assert!(due(store.clone()).await.is_empty());
    let row = store.outbox_row(group.id).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.last_error), (0, None));
}

pub async fn the_peers_document_replaces_ours_and_keeps_tokens(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "shop").await;
    let version = store.insert_member(&world.member(group.id, "old"), 7).await.unwrap();
    store.set_policy(group.id, &world.policy(), version).await.unwrap();
    store.set_array_token(group.id, world.here, &Secret::new("t0ken")).await.unwrap();

    let theirs = GroupDocument {
        group: ProtectionGroup {
            name: "renamed".into(),
            status: GroupStatus::FailedOver,
            current_primary_site_id: world.there,
            version: 3,
            epoch: Epoch { number: 9, raised_by: world.there, raised_in: None },
            ..group.clone()
        },
        members: vec![world.member(group.id, "new-1"), world.member(group.id, "new-2")],
        policy: None,
    };
    store.put_document(&theirs).await.unwrap();
    assert_eq!(store.group_document(&SYSTEM, group.id).await.unwrap(), theirs);
    assert!(store.outbox_due(10).await.unwrap().is_empty(), "it came from the peer");
    assert_eq!(store.find_member_by_server(world.here, "old").await.unwrap(), None);
    let token = store.array_token(group.id, world.here).await.unwrap();
    assert_eq!(token.unwrap().expose(), "t0ken");
    assert_eq!(store.array_token_sites(group.id).await.unwrap(), [world.here]);

    // One that was compared with what is no longer here changes nothing: an old document never follows a newer one.
    let mut late = theirs.clone();
    late.group.name = "late".into();
    assert!(!store.replace_document(&late, Some(&group), None).await.unwrap());
    assert!(!store.replace_document(&late, None, None).await.unwrap());
    assert_eq!(store.group_document(&SYSTEM, group.id).await.unwrap(), theirs);
    assert!(store.replace_document(&theirs, Some(&theirs.group), None).await.unwrap());

    // A new one too, but not under a name that is taken, and then nothing of it.
    let mut fresh = theirs.clone();
    fresh.group.id = GroupId::generate();
    fresh.members = vec![world.member(fresh.group.id, "new-3")];
    assert!(matches!(store.put_document(&fresh).await, Err(StoreError::AlreadyExists { .. })));
    assert_eq!(store.find_member_by_server(world.here, "new-3").await.unwrap(), None);
    fresh.group.name = "fresh".into();
    store.put_document(&fresh).await.unwrap();
    assert_eq!(store.group_document(&SYSTEM, fresh.group.id).await.unwrap(), fresh);
    // A server of another group: the old document stays whole.
    fresh.members = vec![world.member(fresh.group.id, "new-1")];
    assert!(matches!(store.put_document(&fresh).await, Err(StoreError::AlreadyExists { .. })));
    assert!(store.find_member_by_server(world.here, "new-3").await.unwrap().is_some());
}

pub async fn a_project_sees_nothing_of_another(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("mine", "shop").await;
    let member = world.member(group.id, "srv");
    let version = store.insert_member(&member, group.version).await.unwrap();
    store.set_policy(group.id, &world.policy(), version).await.unwrap();
    let operation = world.accept(group.id, OperationType::SyncVolumes).await;
    let all = PageRequest::default();

    let missing = |outcome: Result<(), StoreError>| {
        assert!(matches!(outcome, Err(StoreError::NotFound { .. })), "{outcome:?}");
    };
    let (mine, foreign) = (project("mine"), project("mine-there"));
    missing(store.group(&foreign, group.id).await.map(drop));
    missing(store.group_document(&foreign, group.id).await.map(drop));
    missing(store.member(&foreign, group.id, member.id).await.map(drop));
    missing(store.members(&foreign, group.id).await.map(drop));
    missing(store.list_members(&foreign, group.id, &all).await.map(drop));
    missing(store.policy(&foreign, group.id).await.map(drop));
    missing(store.operation(&foreign, operation).await.map(drop));
    missing(store.entries(&foreign, operation, 0, 10).await.map(drop));
    let none = GroupFilter::default();
    assert!(store.list_groups(&foreign, &none, &all).await.unwrap().items.is_empty());
    assert!(store.members_of(&foreign, &[group.id]).await.unwrap().is_empty());
    assert!(store.policies_of(&foreign, &[group.id]).await.unwrap().is_empty());
    let by_group = OperationFilter { group_id: Some(group.id), ..OperationFilter::default() };
    assert!(store.list_operations(&foreign, &by_group, &all).await.unwrap().items.is_empty());
    let marked = PageRequest { marker: Some(group.id.to_string()), ..PageRequest::default() };
    assert!(store.list_groups(&foreign, &none, &marked).await.is_err(), "a marker tells nothing");

    assert_eq!(store.list_groups(&mine, &none, &all).await.unwrap().items.len(), 1);
    assert_eq!(store.members_of(&mine, &[group.id]).await.unwrap(), [member]);
    assert_eq!(store.policies_of(&mine, &[group.id]).await.unwrap().len(), 1);
    assert_eq!(store.list_operations(&mine, &by_group, &all).await.unwrap().items.len(), 1);
    assert!(store.entries(&mine, operation, 0, 10).await.unwrap().is_empty());
    // A member of this group is not found through another group of the same project.
    let other = world.stored_group("mine", "other").await;
    let member = store.members(&mine, group.id).await.unwrap().remove(0);
    missing(store.member(&mine, other.id, member.id).await.map(drop));
}

pub async fn of_many_writers_of_one_version_one_wins(db: Db) {
    let world = World::new(db).await;
    let group = world.stored_group("p", "shop").await;
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let (store, version) = (world.store.clone(), group.version);
            let change = ProtectionGroup { description: format!("by {n}"), ..group.clone() };
            tokio::spawn(async move { store.update_group(&change, version).await })
        })
        .collect();
    let mut won = vec![];
    for task in tasks {
        match task.await.unwrap() {
            Ok(group) => won.push(group),
            Err(StoreError::Conflict(Conflict::StaleVersion { .. })) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(world.store.group(&SYSTEM, group.id).await.unwrap(), won[0]);
}
