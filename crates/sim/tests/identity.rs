//! Keystone's hard rules.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Answer, Lab, Token, password, word};
use serde_json::{Value, json};

fn trust_body(trustor: &str, trustee: &str, project: &str, extra: Value) -> Value {
    let mut trust = json!({
        "trustor_user_id": trustor, "trustee_user_id": trustee, "project_id": project,
        "impersonation": true, "roles": [{"name": "member"}],
    });
    for (key, value) in extra.as_object().unwrap() {
        trust[key] = value.clone();
    }
    json!({"trust": trust})
}

async fn trust_login<'a>(lab: &'a Lab, trust_id: &str) -> Result<Token<'a>, Answer> {
    lab.login_with(json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"name": "protector", "domain": {"id": "default"}, "password": word("protector")}}},
        "scope": {"OS-TRUST:trust": {"id": trust_id}},
    }}))
    .await
}

/// app-user trusts protector; gives the trust's id.
async fn make_trust(lab: &Lab, app: &Token<'_>, extra: Value) -> String {
    let service = lab.login("protector", "service").await;
    let body = trust_body(&app.user_id(), &service.user_id(), &app.project_id(), extra);
    let answer = app.post("/identity/v3/OS-TRUST/trusts", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["trust"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn discovery_is_multiple_choices_above_and_one_version_below() {
    let lab = Lab::new();
    let root = lab.raw("GET", "/identity", &[], None).await;
    assert_eq!(root.status, 300);
    assert_eq!(
        root.body["versions"]["values"][0]["links"][0]["href"],
        "http://site-a.sim/identity/v3/"
    );
    let v3 = lab.raw("GET", "/identity/v3", &[], None).await;
    assert_eq!((v3.status.as_u16(), v3.body["version"]["status"].as_str()), (200, Some("stable")));
    assert!(v3.headers.contains_key("x-openstack-request-id"));
    assert_eq!(v3.headers["date"], "Thu, 01 Jan 2026 00:00:00 GMT");
}

#[tokio::test]
async fn a_password_token_has_roles_and_catalog() {
    let lab = Lab::new();
    let app = lab.app().await;
    let token = &app.body["token"];
    let roles: Vec<&str> =
        token["roles"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(roles, ["member", "reader"]);
    let types: Vec<&str> =
        token["catalog"].as_array().unwrap().iter().map(|s| s["type"].as_str().unwrap()).collect();
    for wanted in ["identity", "compute", "volumev3", "block-storage", "network", "image"] {
        assert!(types.contains(&wanted), "{types:?}");
    }
    assert_eq!(token["expires_at"], "2026-01-01T01:00:00.000000Z");
}

#[tokio::test]
async fn wrong_passwords_and_foreign_projects_are_the_same_401() {
    let lab = Lab::new();
    for body in [
        password("app-user", "wrong", "app"),
        password("nobody", "wrong", "app"),
        password("app-user", &word("app-user"), "other"),
        password("app-user", &word("app-user"), "nowhere"),
    ] {
        let answer = lab.login_with(body).await.err().unwrap();
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.body["error"]["message"],
            "The request you have made requires authentication."
        );
        assert_eq!(
            answer.headers["www-authenticate"],
            "Keystone uri=\"http://site-a.sim/identity\""
        );
    }
}

#[tokio::test]
async fn tokens_expire_and_a_service_may_look_at_them_for_48_hours() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.advance(3599);
    assert!(app.lives().await);
    lab.advance(1);
    assert!(!app.lives().await);
    assert_eq!(app.get("/network/v2.0/ports").await.status, 401);
    let service = lab.login("protector", "service").await;
    let headers =
        [("x-auth-token", service.secret.as_str()), ("x-subject-token", app.secret.as_str())];
    let strict = lab.raw("GET", "/identity/v3/auth/tokens", &headers, None).await;
    assert_eq!(strict.status, 404);
    let lenient = lab.raw("GET", "/identity/v3/auth/tokens?allow_expired=1", &headers, None).await;
    assert_eq!(
        (lenient.status.as_u16(), lenient.body["token"]["project"]["name"].as_str()),
        (200, Some("app"))
    );
    // With a service token beside it, the middleware of the other services accepts it, too.
    let both =
        [("x-auth-token", app.secret.as_str()), ("x-service-token", service.secret.as_str())];
    assert_eq!(lab.raw("GET", "/network/v2.0/ports", &both, None).await.status, 200);
    lab.advance(48 * 3600);
    let service = lab.login("protector", "service").await;
    let headers =
        [("x-auth-token", service.secret.as_str()), ("x-subject-token", app.secret.as_str())];
    let late = lab.raw("GET", "/identity/v3/auth/tokens?allow_expired=1", &headers, None).await;
    assert_eq!(late.status, 404);
}

#[tokio::test]
async fn nocatalog_leaves_the_catalog_out_and_tenants_may_not_validate_others() {
    let lab = Lab::new();
    let (app, other) = (lab.app().await, lab.login("other-user", "other").await);
    let own = [("x-auth-token", app.secret.as_str()), ("x-subject-token", app.secret.as_str())];
    let answer = lab.raw("GET", "/identity/v3/auth/tokens?nocatalog", &own, None).await;
    assert!(answer.body["token"].get("catalog").is_none());
    let foreign =
        [("x-auth-token", app.secret.as_str()), ("x-subject-token", other.secret.as_str())];
    assert_eq!(lab.raw("GET", "/identity/v3/auth/tokens", &foreign, None).await.status, 403);
    assert_eq!(lab.raw("HEAD", "/identity/v3/auth/tokens", &own, None).await.status, 200);
}

#[tokio::test]
async fn revoked_tokens_and_disabled_users_are_out_at_once() {
    let lab = Lab::new();
    let (admin, app) = (lab.admin().await, lab.app().await);
    let second = lab.app().await;
    let headers = [("x-auth-token", app.secret.as_str()), ("x-subject-token", app.secret.as_str())];
    assert_eq!(lab.raw("DELETE", "/identity/v3/auth/tokens", &headers, None).await.status, 204);
    assert!(!app.lives().await);
    assert!(second.lives().await);
    let path = format!("/identity/v3/users/{}", app.user_id());
    assert_eq!(admin.patch(&path, json!({"user": {"enabled": false}})).await.status, 200);
    assert!(!second.lives().await);
    assert!(lab.login_with(password("app-user", &word("app-user"), "app")).await.is_err());
    lab.advance(1);
    admin.patch(&path, json!({"user": {"enabled": true}})).await;
    assert!(!second.lives().await, "old tokens stay void");
    assert!(lab.login_with(password("app-user", &word("app-user"), "app")).await.is_ok());
}

#[tokio::test]
async fn a_changed_password_voids_tokens() {
    let lab = Lab::new();
    let app = lab.app().await;
    let path = format!("/identity/v3/users/{}/password", app.user_id());
    lab.advance(1);
    let wrong =
        app.post(&path, json!({"user": {"original_password": "x", "password": "new"}})).await;
    assert_eq!(wrong.status, 401);
    let right = app
        .post(&path, json!({"user": {"original_password": word("app-user"), "password": "new"}}))
        .await;
    assert_eq!(right.status, 204);
    assert!(!app.lives().await);
    assert!(lab.login_with(password("app-user", "new", "app")).await.is_ok());
}

#[tokio::test]
async fn roles_come_and_go_with_grants() {
    let lab = Lab::new();
    let (admin, app) = (lab.admin().await, lab.app().await);
    let roles = admin.get("/identity/v3/roles?name=member").await;
    let member = roles.body["roles"][0]["id"].as_str().unwrap().to_owned();
    let projects = admin.get("/identity/v3/projects?name=other").await;
    let other = projects.body["projects"][0]["id"].as_str().unwrap().to_owned();
    let grant = format!("/identity/v3/projects/{other}/users/{}/roles/{member}", app.user_id());
    assert_eq!(admin.call("HEAD", &grant, None).await.status, 404);
    assert_eq!(app.call("PUT", &grant, None).await.status, 403);
    assert_eq!(admin.call("PUT", &grant, None).await.status, 204);
    assert_eq!(admin.call("PUT", &grant, None).await.status, 204, "granting twice is fine");
    assert_eq!(admin.call("HEAD", &grant, None).await.status, 204);
    let there = lab.login_with(password("app-user", &word("app-user"), "other")).await.unwrap();
    let listed = admin
        .get(&format!(
            "/identity/v3/role_assignments?user.id={}&scope.project.id={other}&effective",
            app.user_id()
        ))
        .await;
    assert_eq!(
        listed.body["role_assignments"].as_array().unwrap().len(),
        2,
        "member implies reader"
    );
    assert_eq!(admin.delete(&grant).await.status, 204);
    assert_eq!(admin.delete(&grant).await.status, 404);
    assert!(!there.lives().await, "a token without roles is none");
}

#[tokio::test]
async fn a_trust_impersonates_and_dies_with_the_role() {
    let lab = Lab::new();
    let (admin, app) = (lab.admin().await, lab.app().await);
    let id = make_trust(&lab, &app, json!({})).await;
    let trusted = trust_login(&lab, &id).await.unwrap();
    let token = &trusted.body["token"];
    assert_eq!(token["user"]["name"], "app-user");
    assert_eq!(token["project"]["name"], "app");
    assert_eq!(token["OS-TRUST:trust"]["id"], id.as_str());
    assert_eq!(trusted.get("/network/v2.0/networks").await.status, 200);
    // Trust tokens make neither trusts nor credentials nor other tokens.
    let again = trust_body(&app.user_id(), &app.user_id(), &app.project_id(), json!({}));
    assert_eq!(trusted.post("/identity/v3/OS-TRUST/trusts", again).await.status, 403);
    let credential = json!({"application_credential": {"name": "x"}});
    let path = format!("/identity/v3/users/{}/application_credentials", app.user_id());
    assert_eq!(trusted.post(&path, credential).await.status, 403);
    let rescope = lab
        .login_with(
            json!({"auth": {"identity": {"methods": ["token"], "token": {"id": trusted.secret}}}}),
        )
        .await;
    assert_eq!(rescope.err().unwrap().status, 403);

    let roles = admin.get("/identity/v3/roles?name=member").await;
    let member = roles.body["roles"][0]["id"].as_str().unwrap().to_owned();
    let grant = format!(
        "/identity/v3/projects/{}/users/{}/roles/{member}",
        app.project_id(),
        app.user_id()
    );
    assert_eq!(admin.delete(&grant).await.status, 204);
    assert!(!trusted.lives().await);
    assert_eq!(trust_login(&lab, &id).await.err().unwrap().status, 403);
}

#[tokio::test]
async fn a_trust_dies_with_the_trustor_and_with_time() {
    let lab = Lab::new();
    let (admin, app) = (lab.admin().await, lab.app().await);
    let short = make_trust(&lab, &app, json!({"expires_at": "2026-01-01T00:10:00.000000Z"})).await;
    let long = make_trust(&lab, &app, json!({})).await;
    assert!(trust_login(&lab, &short).await.is_ok());
    lab.advance(600);
    assert_eq!(trust_login(&lab, &short).await.err().unwrap().status, 401);
    let through = trust_login(&lab, &long).await.unwrap();
    admin
        .patch(
            &format!("/identity/v3/users/{}", app.user_id()),
            json!({"user": {"enabled": false}}),
        )
        .await;
    assert!(!through.lives().await);
    assert_eq!(trust_login(&lab, &long).await.err().unwrap().status, 403);
}

#[tokio::test]
async fn only_the_trustor_makes_trusts_and_only_of_held_roles() {
    let lab = Lab::new();
    let (app, other) = (lab.app().await, lab.login("other-user", "other").await);
    let body = |extra| trust_body(&app.user_id(), &other.user_id(), &app.project_id(), extra);
    let path = "/identity/v3/OS-TRUST/trusts";
    assert_eq!(other.post(path, body(json!({}))).await.status, 403);
    assert_eq!(app.post(path, body(json!({"roles": [{"name": "admin"}]}))).await.status, 404);
    assert_eq!(app.post(path, body(json!({"roles": []}))).await.status, 403);
    assert_eq!(
        app.post(path, body(json!({"expires_at": "2020-01-01T00:00:00Z"}))).await.status,
        400
    );
    assert_eq!(app.post(path, body(json!({"trustee_user_id": "nobody"}))).await.status, 404);
    let made = app.post(path, body(json!({}))).await;
    let id = made.body["trust"]["id"].as_str().unwrap();
    assert_eq!(
        trust_login(&lab, id).await.err().unwrap().status,
        403,
        "protector is not the trustee"
    );
    assert_eq!(other.delete(&format!("{path}/{id}")).await.status, 403);
    assert_eq!(app.delete(&format!("{path}/{id}")).await.status, 204);
    assert_eq!(app.get(&format!("{path}/{id}")).await.status, 404);
}

#[tokio::test]
async fn application_credentials_log_in_but_make_and_read_no_trusts() {
    let lab = Lab::new();
    let app = lab.app().await;
    let trust = make_trust(&lab, &app, json!({})).await;
    let path = format!("/identity/v3/users/{}/application_credentials", app.user_id());
    let body = json!({"application_credential": {"name": "ci", "secret": "s3cret", "roles": [{"name": "member"}], "expires_at": "2026-01-01T00:30:00Z"}});
    let made = app.post(&path, body.clone()).await;
    assert_eq!(made.status, 201);
    assert_eq!(app.post(&path, body).await.status, 409);
    let id = made.body["application_credential"]["id"].as_str().unwrap().to_owned();
    let login = |secret: &str| json!({"auth": {"identity": {"methods": ["application_credential"], "application_credential": {"id": id, "secret": secret}}}});
    assert_eq!(lab.login_with(login("wrong")).await.err().unwrap().status, 401);
    let token = lab.login_with(login("s3cret")).await.unwrap();
    assert_eq!(token.body["token"]["project"]["name"], "app");
    assert_eq!(token.body["token"]["application_credential"]["restricted"], true);
    let make = trust_body(&app.user_id(), &app.user_id(), &app.project_id(), json!({}));
    assert_eq!(token.post("/identity/v3/OS-TRUST/trusts", make).await.status, 403);
    assert_eq!(token.get(&format!("/identity/v3/OS-TRUST/trusts/{trust}")).await.status, 403);
    assert_eq!(
        token.post(&path, json!({"application_credential": {"name": "more"}})).await.status,
        403
    );
    let mut scoped = login("s3cret");
    scoped["auth"]["scope"] = json!({"project": {"name": "app", "domain": {"id": "default"}}});
    assert_eq!(lab.login_with(scoped).await.err().unwrap().status, 401);
    lab.advance(1800);
    assert!(!token.lives().await);
    assert_eq!(lab.login_with(login("s3cret")).await.err().unwrap().status, 401);
}

#[tokio::test]
async fn registered_services_are_in_the_catalog() {
    let lab = Lab::new();
    let (admin, app) = (lab.admin().await, lab.app().await);
    assert_eq!(
        app.post("/identity/v3/services", json!({"service": {"type": "x"}})).await.status,
        403
    );
    let service = admin
        .post(
            "/identity/v3/services",
            json!({"service": {"type": "disaster-recovery", "name": "protector"}}),
        )
        .await;
    let id = service.body["service"]["id"].as_str().unwrap();
    let endpoint = json!({"endpoint": {"service_id": id, "interface": "public", "region_id": "RegionA", "url": "http://10.0.0.1:8999/v1/$(project_id)s"}});
    assert_eq!(admin.post("/identity/v3/endpoints", endpoint).await.status, 201);
    let fresh = lab.app().await;
    let catalog = fresh.body["token"]["catalog"].as_array().unwrap().clone();
    let entry = catalog.iter().find(|s| s["type"] == "disaster-recovery").unwrap();
    assert_eq!(
        entry["endpoints"][0]["url"],
        format!("http://10.0.0.1:8999/v1/{}", fresh.project_id())
    );
}

#[tokio::test]
async fn a_rescoped_token_does_not_outlive_its_parent() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.advance(1800);
    let body = json!({"auth": {
        "identity": {"methods": ["token"], "token": {"id": app.secret}},
        "scope": {"project": {"id": app.project_id()}},
    }});
    let second = lab.login_with(body).await.unwrap();
    assert_eq!(second.body["token"]["expires_at"], app.body["token"]["expires_at"]);
    assert_eq!(second.body["token"]["methods"], json!(["password", "token"]));
}

#[tokio::test]
async fn an_unscoped_token_is_good_for_keystone_only() {
    let lab = Lab::new();
    let mut body = password("app-user", &word("app-user"), "app");
    body["auth"]["scope"] = json!("unscoped");
    let token = lab.login_with(body).await.unwrap();
    assert!(token.body["token"].get("roles").is_none());
    let projects = token.get("/identity/v3/auth/projects").await;
    assert_eq!(projects.body["projects"][0]["name"], "app");
    assert_eq!(token.get("/network/v2.0/networks").await.status, 401);
}
