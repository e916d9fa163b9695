//! Schema, identity, sites, tenant mappings, engines.

use protector_store::{Conflict, StoreError};
use protector_types::*;

use crate::fixtures::{Db, World};

pub async fn a_fresh_database_is_migrated_once_and_again_without_harm(db: Db) {
    let store = db.connect().await;
    assert!(store.pending_migrations().await.unwrap() > 20);
    assert!(store.all_sites().await.is_err(), "there are no tables yet");
    store.migrate().await.unwrap();
    assert_eq!(store.pending_migrations().await.unwrap(), 0);
    let id = store.own_site_id().await.unwrap();
    store.migrate().await.unwrap();
    let again = db.store().await;
    assert_eq!(again.own_site_id().await.unwrap(), id);
    assert_eq!(again.pending_migrations().await.unwrap(), 0);
    again.ping().await.unwrap();
}

pub async fn two_processes_migrate_at_once(db: Db) {
    let (one, two) = (db.connect().await, db.connect().await);
    let (first, second) = tokio::join!(one.migrate(), two.migrate());
    first.unwrap();
    second.unwrap();
    assert_eq!(one.pending_migrations().await.unwrap(), 0);
    let (a, b) = tokio::join!(one.own_site_id(), two.own_site_id());
    assert_eq!(a.unwrap(), b.unwrap());
}

pub async fn the_own_site_has_one_id_for_good(db: Db) {
    let store = db.store().await;
    let chosen = SiteId::generate();
    store.set_own_site_id(chosen).await.unwrap();
    assert_eq!(store.own_site_id().await.unwrap(), chosen);
    assert_eq!(db.connect().await.own_site_id().await.unwrap(), chosen);

    let world = World::new(db.clone()).await;
    let before = store.write_counter().await.unwrap();
    world.stored_group("p", "g").await;
    assert!(store.write_counter().await.unwrap() > before);
    store.set_own_site_id(chosen).await.unwrap();
    let refused = store.set_own_site_id(SiteId::generate()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(Conflict::InUse { .. })), "{refused}");
    assert_eq!(db.connect().await.own_site_id().await.unwrap(), chosen);
}

fn site(name: &str, db: &Db) -> Site {
    Site {
        id: SiteId::generate(),
        name: name.into(),
        description: "a cloud".into(),
        auth_url: "https://keystone/v3".into(),
        region_name: Some("RegionOne".into()),
        protector_url: None,
        username: Some("protector".into()),
        project_name: Some("service".into()),
        user_domain_name: "Default".into(),
        project_domain_name: "Default".into(),
        application_credential_id: None,
        ca_cert: None,
        insecure: false,
        is_local: name == "site-a",
        cinder_host: None,
        status: SiteStatus::Registering,
        status_reason: None,
        status_observed_at: None,
        created_at: db.now(),
    }
}

pub async fn sites_round_trip_and_have_unique_names(db: Db) {
    let store = db.store().await;
    let (a, b) = (site("site-a", &db), site("site-b", &db));
    store.insert_site(&a, &Secret::new("pw-a")).await.unwrap();
    store.insert_site(&b, &Secret::new("pw-b")).await.unwrap();
    let twin = store.insert_site(&site("site-a", &db), &Secret::new("x")).await.unwrap_err();
    assert_eq!(twin, StoreError::AlreadyExists { what: "site", id: "site-a".into() });

    assert_eq!(store.site(a.id).await.unwrap(), a);
    assert_eq!(store.local_site().await.unwrap(), Some(a.clone()));
    assert_eq!(store.site_by_name("site-b").await.unwrap(), Some(b.clone()));
    assert_eq!(store.all_sites().await.unwrap(), [a.clone(), b.clone()]);
    assert_eq!(store.site_password(b.id).await.unwrap().expose(), "pw-b");

    store.observe_site(b.id, SiteStatus::Unreachable, Some("no route")).await.unwrap();
    let seen = store.site(b.id).await.unwrap();
    assert_eq!(
        (seen.status, seen.status_reason.as_deref()),
        (SiteStatus::Unreachable, Some("no route"))
    );
    let clash = Site { name: "site-a".into(), ..seen.clone() };
    assert!(matches!(store.update_site(&clash, None).await, Err(StoreError::AlreadyExists { .. })));
    let renamed = Site { name: "site-c".into(), ..seen };
    store.update_site(&renamed, Some(&Secret::new("pw-c"))).await.unwrap();
    assert_eq!(store.site(b.id).await.unwrap(), renamed);
    assert_eq!(store.site_password(b.id).await.unwrap().expose(), "pw-c");

    store.delete_site(b.id).await.unwrap();
    assert!(matches!(store.site(b.id).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.site_password(b.id).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.delete_site(b.id).await, Err(StoreError::NotFound { .. })));
}

pub async fn a_tenant_mapping_is_unique_from_both_sides(db: Db) {
    let store = db.store().await;
    let (a, b) = (site("site-a", &db), site("site-b", &db));
    store.insert_site(&a, &Secret::new("x")).await.unwrap();
    store.insert_site(&b, &Secret::new("x")).await.unwrap();
    let mapping = |from: SiteId, p: &str, to: SiteId, q: &str| TenantMapping {
        id: TenantMappingId::generate(),
        primary_site_id: from,
        primary_project_id: p.into(),
        secondary_site_id: to,
        secondary_project_id: q.into(),
        created_at: db.now(),
    };
    let first = mapping(a.id, "p", b.id, "q");
    store.insert_tenant_mapping(&first).await.unwrap();
    for clash in [
        mapping(a.id, "p", b.id, "other"),
        mapping(a.id, "other", b.id, "q"),
        mapping(b.id, "q", a.id, "other"),
        mapping(b.id, "other", a.id, "p"),
    ] {
        let refused = store.insert_tenant_mapping(&clash).await.unwrap_err();
        assert!(matches!(refused, StoreError::AlreadyExists { .. }), "{refused}");
        let gone = store.tenant_mapping(clash.id).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "half of it was stored");
    }
    store.insert_tenant_mapping(&mapping(a.id, "q", b.id, "p")).await.unwrap();
    let from_there = store.find_tenant_mapping(b.id, &"q".into(), a.id).await.unwrap();
    assert_eq!(from_there, Some(first.clone()));
    let of_p = store.tenant_mappings_of(a.id, &"p".into()).await.unwrap();
    assert_eq!(of_p, std::slice::from_ref(&first));
    assert_eq!(store.find_tenant_mapping(a.id, &"none".into(), b.id).await.unwrap(), None);
    assert!(matches!(
        store.delete_site(a.id).await,
        Err(StoreError::Conflict(Conflict::InUse { .. }))
    ));

    store.delete_tenant_mapping(first.id).await.unwrap();
    assert_eq!(store.find_tenant_mapping(b.id, &"q".into(), a.id).await.unwrap(), None);
}

pub async fn engines_show_signs_of_life(db: Db) {
    let store = db.store().await;
    store.engine_started("e1", "host-1").await.unwrap();
    assert!(store.engine_heartbeat("e1").await.unwrap());
    assert!(store.engine_heartbeat("e1").await.unwrap());
    assert!(!store.engine_heartbeat("nobody").await.unwrap());
    let engines = store.engines().await.unwrap();
    assert_eq!((engines.len(), engines[0].heartbeat), (1, 2));
    store.engine_started("e1", "host-1").await.unwrap();
    assert_eq!(store.engines().await.unwrap()[0].heartbeat, 0);
    store.engine_stopped("e1").await.unwrap();
    assert!(store.engines().await.unwrap().is_empty());
}
