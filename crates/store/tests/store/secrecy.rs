//! Secrets at rest.

use std::path::Path;

use protector_secrets::KeyRepository;
use protector_store::StoreError;
use protector_types::*;
use sea_orm::{ConnectionTrait, Database};

use crate::fixtures::{Db, World};

const PASSWORD: &str = "correct-horse-battery-staple";
const TRUST: &str = "0123456789abcdef0123456789abcdef";
const TOKEN: &str = "T-0123456789abcdef-array-token";

async fn filled(db: &Db) -> (World, Site, ProtectionGroup) {
    let world = World::new(db.clone()).await;
    let site = Site {
        id: world.there,
        name: "visible-site-name".into(),
        description: String::new(),
        auth_url: "https://keystone/v3".into(),
        region_name: None,
        protector_url: None,
        username: None,
        project_name: None,
        user_domain_name: "Default".into(),
        project_domain_name: "Default".into(),
        application_credential_id: None,
        ca_cert: None,
        insecure: false,
        is_local: false,
        cinder_host: None,
        status: SiteStatus::Active,
        status_reason: None,
        status_observed_at: None,
        created_at: db.now(),
    };
    world.store.insert_site(&site, &Secret::new(PASSWORD)).await.unwrap();
    let group = world.stored_group("p", "shop").await;
    world.store.set_array_token(group.id, world.here, &Secret::new("first")).await.unwrap();
    world.store.set_array_token(group.id, world.here, &Secret::new(TOKEN)).await.unwrap();
    (world, site, group)
}

pub async fn secrets_open_only_in_their_place(db: Db) {
    let (world, site, group) = filled(&db).await;
    let store = &world.store;
    assert_eq!(store.site_password(site.id).await.unwrap().expose(), PASSWORD);
    let token = store.array_token(group.id, world.here).await.unwrap().unwrap();
    assert_eq!(token.expose(), TOKEN);
    assert_eq!(store.array_token(group.id, world.there).await.unwrap(), None);

    // A foreign hand copies the password's text to the token's place.
    let url = db.url.replace("+psycopg2", "").replace("+pymysql", "");
    let raw = Database::connect(url.replace("postgresql:", "postgres:")).await.unwrap();
    raw.execute_unprepared("UPDATE array_tokens SET sealed = (SELECT sealed FROM site_secrets)")
        .await
        .unwrap();
    let moved = store.array_token(group.id, world.here).await.unwrap_err();
    assert!(matches!(moved, StoreError::Vault(_)), "{moved}");
    assert!(!moved.to_string().contains(PASSWORD));

    // Other keys do not open it.
    let stranger = Db { keys: KeyRepository::in_memory().unwrap().into(), ..db };
    let refused = stranger.connect().await.site_password(site.id).await.unwrap_err();
    assert!(matches!(refused, StoreError::Vault(_)), "{refused}");
}

fn delegation(world: &World, user: &str, db: &Db) -> Delegation {
    Delegation {
        site_id: world.there,
        project_id: "p".into(),
        user_id: user.into(),
        user_name: format!("{user}-name"),
        state: DelegationState::InForce,
        reason: None,
        used_at: db.now(),
        observed_at: db.now(),
    }
}

pub async fn a_trust_is_sealed_and_ends_only_as_itself(db: Db) {
    let (world, ..) = filled(&db).await;
    let (store, project) = (&world.store, ProjectId::from("p"));
    let (ann, bob) = (delegation(&world, "ann", &db), delegation(&world, "bob", &db));
    let (first, second) = (Secret::new("trust-1"), Secret::new("trust-2"));
    store.put_delegation(&ann, Some(&first)).await.unwrap();
    store.put_delegation(&bob, Some(&second)).await.unwrap();
    assert_eq!(store.delegation(world.here, &project, "ann").await.unwrap(), None);
    let known = store.delegation(world.there, &project, "ann").await.unwrap().unwrap();
    assert_eq!(known, (ann.clone(), Some(first.clone())));
    // Whoever called last comes first.
    db.clock.advance(std::time::Duration::from_secs(1));
    store.delegation_used(world.there, &project, "bob").await.unwrap();
    let all = store.delegations(world.there, &project).await.unwrap();
    let users: Vec<_> = all.iter().map(|(d, _)| d.user_id.as_str()).collect();
    assert_eq!(users[0], "bob", "{users:?}");

    // A new trust stands there meanwhile: the end of the old one is no news.
    store.put_delegation(&ann, Some(&second)).await.unwrap();
    store.end_delegation(&ann, &first, "gone").await.unwrap();
    let known = store.delegation(world.there, &project, "ann").await.unwrap().unwrap();
    assert_eq!(known.0.state, DelegationState::InForce);
    store.end_delegation(&ann, &second, "gone").await.unwrap();
    let (known, trust) = store.delegation(world.there, &project, "ann").await.unwrap().unwrap();
    assert_eq!(
        (known.state, known.reason.as_deref(), trust),
        (DelegationState::Ended, Some("gone"), None)
    );

    store.remove_delegation(world.there, &project, "ann").await.unwrap();
    store.remove_delegation(world.there, &project, "ann").await.unwrap();
    assert_eq!(store.delegation(world.there, &project, "ann").await.unwrap(), None);
    // A site's delegations go with it.
    store.put_delegation(&ann, Some(&first)).await.unwrap();
    store.delete_site(world.there).await.unwrap();
    assert!(store.delegations(world.there, &project).await.unwrap().is_empty());
}

fn holds(folder: &Path, needle: &str) -> bool {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let mut bytes = files.map(|file| std::fs::read(file.path()).unwrap());
    bytes.any(|bytes| bytes.windows(needle.len()).any(|window| window == needle.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_of_the_database_hold_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::new(format!("sqlite://{}", folder.path().join("protector.db").display()));
    let (world, ..) = filled(&db).await;
    let trust = Secret::new(TRUST);
    world.store.put_delegation(&delegation(&world, "ann", &db), Some(&trust)).await.unwrap();
    for closed in [false, true] {
        assert!(holds(folder.path(), "visible-site-name"), "the look finds what is there");
        for secret in [PASSWORD, TOKEN, TRUST] {
            assert!(!holds(folder.path(), secret), "{secret}");
        }
        if !closed {
            world.store.close().await.unwrap();
        }
    }
}
