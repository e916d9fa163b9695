//! Sessions: tokens are kept, renewed in time and once on 401, by one for all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use common::{Log, Seen, client, json, service};
use protector_openstack::{AuthMethod, Credentials, OpenStackCloud, Scope, Site};
use protector_ports::{Cloud, Identity, PortError};
use protector_types::{ManualClock, ProjectId, Secret};
use serde_json::json as j;

/// Keystone hands out `token-1`, `token-2` ...; Glance accepts what `accepts` says.
struct World {
    site: Site,
    log: Log,
    clock: ManualClock,
    keystone_up: Arc<AtomicBool>,
}

fn token_body(project: &str) -> serde_json::Value {
    j!({"token": {
        "user": {"id": "u1", "name": "protector", "domain": {"id": "default"}},
        "project": {"id": project, "name": "demo", "domain": {"id": "default"}},
        "roles": [{"id": "r", "name": "member"}, {"name": "protector"}],
        "methods": ["password"],
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "expires_at": "2026-01-01T01:00:00.000000Z",
        "catalog": [{"type": "image", "endpoints": [{"interface": "public", "region_id": "A", "url": "http://cloud/image"}]}],
        "unheard_of": null,
    }})
}

fn world(method: AuthMethod, accepts: impl Fn(&str) -> bool + Send + Sync + 'static) -> World {
    let issued = AtomicUsize::new(0);
    let keystone_up = Arc::new(AtomicBool::new(true));
    let up = keystone_up.clone();
    let answer = move |seen: &Seen| -> Response {
        if seen.path() == "/identity/v3/auth/tokens" && seen.method == "POST" {
            if !up.load(SeqCst) {
                return json(503, j!({"error": {"message": "down"}}));
            }
            let identity = &seen.body["auth"]["identity"];
            if identity["password"]["user"]["password"] == "wrong" {
                return json(
                    401,
                    j!({"error": {"message": "The request you have made requires authentication."}}),
                );
            }
            let project =
                seen.body["auth"]["scope"]["project"]["id"].as_str().unwrap_or("own").to_owned();
            let token = format!("token-{}", issued.fetch_add(1, SeqCst) + 1);
            return (
                axum::http::StatusCode::CREATED,
                [("x-subject-token", token)],
                token_body(&project).to_string(),
            )
                .into_response();
        }
        if !accepts(seen.header("x-auth-token").unwrap_or_default()) {
            return json(401, j!({"error": {"message": "who?"}}));
        }
        json(200, j!({"images": []}))
    };
    let (router, log) = service(answer);
    let (client, clock) = client("cloud", router);
    let credentials = Credentials::password("http://cloud/identity", Some("A"), method);
    World { site: Site::new(client, "site-a", credentials), log, clock, keystone_up }
}

fn password(password: &str) -> AuthMethod {
    AuthMethod::Password {
        user: "protector".into(),
        user_domain: "Default".into(),
        password: Secret::from(password),
        project: "service".into(),
        project_domain: "Default".into(),
    }
}

const LOGIN: &str = "POST /identity/v3/auth/tokens";

async fn at_once(cloud: &Arc<OpenStackCloud>, n: usize) -> Vec<Result<usize, PortError>> {
    let tasks: Vec<_> = (0..n)
        .map(|_| {
            let cloud = cloud.clone();
            tokio::spawn(async move { cloud.image().images().await.map(|images| images.len()) })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[tokio::test]
async fn one_log_in_serves_all_until_most_of_its_life_is_over() {
    let world = world(password("right"), |_| true);
    let cloud = world.site.cloud(Scope::Project(ProjectId::from("p1")));
    assert_eq!(world.log.count(LOGIN), 0, "getting a handle calls nobody");
    assert!(at_once(&cloud, 20).await.iter().all(Result::is_ok));
    assert!(world.site.cloud(Scope::Project(ProjectId::from("p1"))).image().images().await.is_ok());
    assert_eq!(world.log.count(LOGIN), 1);
    let body = world.log.last(LOGIN).body;
    assert_eq!(body["auth"]["scope"], j!({"project": {"id": "p1"}}));
    assert_eq!(body["auth"]["identity"]["password"]["user"]["domain"]["name"], "Default");

    world.clock.advance(Duration::from_secs(47 * 60));
    cloud.image().images().await.unwrap();
    assert_eq!(world.log.count(LOGIN), 1);
    world.clock.advance(Duration::from_secs(2 * 60));
    assert!(at_once(&cloud, 20).await.iter().all(Result::is_ok));
    assert_eq!(world.log.count(LOGIN), 2, "renewed before it ends, once");
}

#[tokio::test]
async fn projects_have_sessions_of_their_own() {
    let world = world(password("right"), |_| true);
    world.site.cloud(Scope::Own).image().images().await.unwrap();
    assert_eq!(world.log.last(LOGIN).body["auth"]["scope"]["project"]["name"], "service");
    world
        .site
        .cloud(Scope::Trust { id: "t1".into(), otherwise: None })
        .image()
        .images()
        .await
        .unwrap();
    assert_eq!(world.log.last(LOGIN).body["auth"]["scope"], j!({"OS-TRUST:trust": {"id": "t1"}}));
    assert_eq!(world.log.count(LOGIN), 2);
}

#[tokio::test]
async fn a_revoked_token_is_replaced_once_for_all() {
    let world = world(password("right"), |token| token != "token-1");
    let cloud = world.site.cloud(Scope::Own);
    assert!(at_once(&cloud, 20).await.iter().all(Result::is_ok));
    assert_eq!(world.log.count(LOGIN), 2);
}

#[tokio::test]
async fn a_second_401_is_a_refusal() {
    let world = world(password("right"), |_| false);
    let error = world.site.cloud(Scope::Own).image().images().await.unwrap_err();
    assert!(matches!(error, PortError::Denied { .. }), "{error:?}");
    assert_eq!(world.log.count(LOGIN), 2);
    assert_eq!(world.log.count("GET /image/v2/images"), 2);
}

#[tokio::test]
async fn a_wrong_password_is_asked_for_once_more_and_never_shown() {
    let world = world(password("wrong"), |_| true);
    let cloud = world.site.cloud(Scope::Project(ProjectId::from("p1")));
    let results = at_once(&cloud, 20).await;
    for result in &results {
        let error = result.as_ref().unwrap_err();
        assert!(matches!(error, PortError::Denied { .. }), "{error:?}");
        assert!(error.to_string().contains("project p1"), "{error}");
    }
    assert_eq!(world.log.count(LOGIN), 2, "those who waited share the refusal, asked once more");
    assert!(cloud.image().images().await.is_err());
    assert_eq!(world.log.count(LOGIN), 4, "who comes later tries again");
    assert!(!format!("{:?}", world.site.session(Scope::Own).credentials()).contains("wrong"));
}

#[tokio::test]
async fn a_living_token_outlasts_a_keystone_that_is_down() {
    let world = world(password("right"), |_| true);
    let cloud = world.site.cloud(Scope::Own);
    cloud.image().images().await.unwrap();
    world.keystone_up.store(false, SeqCst);
    world.clock.advance(Duration::from_secs(50 * 60));
    // The pauses between attempts pass only when somebody moves the clock.
    let asked = {
        let cloud = cloud.clone();
        tokio::spawn(async move { cloud.image().images().await.is_ok() })
    };
    while !asked.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.clock.advance(Duration::from_secs(1));
    }
    assert!(asked.await.unwrap());
    let before = world.log.count(LOGIN);
    assert!(before > 1);
    cloud.image().images().await.unwrap();
    assert_eq!(world.log.count(LOGIN), before, "no new try at each call");
}

#[tokio::test]
async fn an_application_credential_acts_only_in_its_project() {
    let method = || AuthMethod::ApplicationCredential { id: "ac".into(), secret: "s".into() };
    let good = world(method(), |_| true);
    good.site.cloud(Scope::Own).image().images().await.unwrap();
    let body = good.log.last(LOGIN).body;
    assert_eq!(body["auth"]["identity"]["methods"], j!(["application_credential"]));
    assert!(body["auth"].get("scope").is_none());

    let error = good.site.cloud(Scope::Project("other".into())).image().images().await.unwrap_err();
    assert!(
        matches!(&error, PortError::Denied { message, .. } if message.contains("bound to project")),
        "{error:?}"
    );
    let error = good
        .site
        .cloud(Scope::Trust { id: "t".into(), otherwise: None })
        .image()
        .images()
        .await
        .unwrap_err();
    assert!(matches!(error, PortError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn a_missing_service_is_named() {
    let world = world(password("right"), |_| true);
    let error = world.site.cloud(Scope::Own).networking().subnets().await.unwrap_err();
    assert!(
        matches!(&error, PortError::Invalid { message, .. } if message.contains("\"network\"")),
        "{error:?}"
    );
    let error = world.site.identity().endpoint("disaster-recovery").await.unwrap_err();
    assert!(error.is_absent(), "{error:?}");
    assert_eq!(world.site.identity().endpoint("image").await.unwrap(), "http://cloud/image");
}

/// As uWSGI serves Keystone without a web server in front.
#[tokio::test]
async fn a_keystone_without_a_date_header_tells_its_time_by_a_new_token() {
    use protector_types::Clock as _;

    let world = world(password("right"), |_| true);
    let theirs: chrono::DateTime<chrono::Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let skew = world.site.identity().clock_skew_ms().await.unwrap();
    assert_eq!(skew, (theirs - world.clock.now()).num_milliseconds());
}
