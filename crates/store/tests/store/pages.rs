//! Pagination.

use std::{collections::BTreeSet, time::Duration};

use protector_store::{GroupFilter, OperationFilter, PageRequest, StoreError};
use protector_types::*;

use crate::fixtures::{Db, SYSTEM, World, project};

/// One of the thousand, and not one of those that came later.
fn original(name: &str) -> bool {
    name.len() == 5
}

/// Walks all groups in pages of 70 while others come and go; gives the names in the order seen.
async fn walk(world: &World, key: &str, descending: bool, round: usize) -> Vec<String> {
    let store = &world.store;
    let mut request =
        PageRequest { limit: 70, sort_key: Some(key.into()), descending, ..PageRequest::default() };
    let (mut seen, mut page_number) = (vec![], 0);
    loop {
        let page =
            store.list_groups(&project("p"), &GroupFilter::default(), &request).await.unwrap();
        assert!(page.items.len() <= 70);
        seen.extend(page.items.iter().map(|group| group.name.clone()));
        let last = page.items.last().unwrap().id;
        if !page.more {
            return seen;
        }
        // Before, in between and after; one of those that came and were seen goes again (not the marker).
        for name in ["a-early", "g0500-between", "z-late"] {
            world.stored_group("p", &format!("{name}-{round}-{page_number}")).await;
        }
        let passing = |group: &&ProtectionGroup| !original(&group.name) && group.id != last;
        if let Some(gone) = page.items.iter().find(passing) {
            store.delete_group(gone.id, None).await.unwrap();
        }
        request.marker = Some(last.to_string());
        page_number += 1;
    }
}

pub async fn a_thousand_rows_are_each_seen_once_while_others_come_and_go(db: Db) {
    let world = World::new(db.clone()).await;
    for n in 0..1000 {
        // Several with one time of creation: ties are broken by id.
        if n % 7 == 0 {
            db.clock.advance(Duration::from_millis(1));
        }
        // Ids are not in the order of names.
        world.stored_group("p", &format!("g{:04}", (n * 379) % 1000)).await;
        if n % 100 == 0 {
            world.stored_group("foreign", &format!("g{n:04}")).await;
        }
    }
    for (round, (key, descending)) in
        [("name", false), ("name", true), ("created_at", false), ("created_at", true)]
            .into_iter()
            .enumerate()
    {
        let seen = walk(&world, key, descending, round).await;
        let unique: BTreeSet<_> = seen.iter().collect();
        assert_eq!(unique.len(), seen.len(), "{key}: one was seen twice");
        let originals: Vec<_> = seen.iter().filter(|name| original(name)).cloned().collect();
        assert_eq!(originals.len(), 1000, "{key}: one was missed");
        if key == "name" {
            let mut sorted = originals.clone();
            sorted.sort();
            if descending {
                sorted.reverse();
            }
            assert_eq!(originals, sorted);
        }
    }
    let all = PageRequest { limit: 5000, ..PageRequest::default() };
    let page = world.store.list_groups(&SYSTEM, &GroupFilter::default(), &all).await.unwrap();
    assert!(!page.more && page.items.len() >= 1010);
}

pub async fn markers_and_keys_that_do_not_exist_are_refused(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let group = world.stored_group("p", "g").await;
    let operation = world.accept(group.id, OperationType::SyncVolumes).await;
    let bad_key = PageRequest { sort_key: Some("status; --".into()), ..PageRequest::default() };
    let bad_marker = PageRequest { marker: Some("nobody".into()), ..PageRequest::default() };
    for request in [bad_key, bad_marker] {
        let groups = store.list_groups(&SYSTEM, &GroupFilter::default(), &request).await;
        assert!(matches!(groups, Err(StoreError::Invalid { .. })), "{groups:?}");
        let operations =
            store.list_operations(&SYSTEM, &OperationFilter::default(), &request).await;
        assert!(matches!(operations, Err(StoreError::Invalid { .. })), "{operations:?}");
        assert!(matches!(store.list_sites(&request).await, Err(StoreError::Invalid { .. })));
        let members = store.list_members(&SYSTEM, group.id, &request).await;
        assert!(matches!(members, Err(StoreError::Invalid { .. })));
    }
    // A marker that has left the filter still marks its place.
    let pending = OperationFilter {
        status: Some(OperationStatus::Failed),
        operation_type: Some(OperationType::SyncVolumes),
        group_id: Some(group.id),
        since: Some(world.db.now()),
    };
    let request = PageRequest { marker: Some(operation.to_string()), ..PageRequest::default() };
    let page = store.list_operations(&project("p"), &pending, &request).await.unwrap();
    assert!(page.items.is_empty() && !page.more);
}
