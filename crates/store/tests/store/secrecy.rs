//! Secrets at rest.

use std::path::Path;

use protector_secrets::KeyRepository;
use protector_store::StoreError;
use protector_types::*;
use sea_orm::{ConnectionTrait, Database};

use crate::fixtures::{Db, World};

const PASSWORD: &str = "correct-horse-battery-staple";
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
    for closed in [false, true] {
        assert!(holds(folder.path(), "visible-site-name"), "the look finds what is there");
        assert!(!holds(folder.path(), PASSWORD) && !holds(folder.path(), TOKEN));
        if !closed {
            world.store.close().await.unwrap();
        }
    }
}
