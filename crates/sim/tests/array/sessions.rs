//! Versions, logins, sessions, limits.

use protector_sim::array::{ApiToken, RateLimit};
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn versions_are_listed_without_a_session_in_ascending_order() {
    let pair = Pair::new();
    let reply = pair.a.raw("GET", "/api/api_version", &[], "").await;
    let versions: Vec<String> = serde_json::from_value(reply.json["version"].clone()).unwrap();
    assert_eq!(versions.first().unwrap(), "1.0");
    assert_eq!(versions.last().unwrap(), "2.56");
    let at = |v: &str| versions.iter().position(|x| x == v);
    assert!(at("2.9") < at("2.10") && at("2.9").is_some());
    assert_eq!((at("2.12"), at("2.18"), at("2.27")), (None, None, None));
    assert_eq!(pair.a.raw("GET", "/api/2.12/volumes", &[], "").await.status, 404);
}

#[tokio::test]
async fn login_gives_a_header_and_logout_ends_the_session() {
    let mut pair = Pair::new();
    let reply = pair.a.login().await;
    assert_eq!(reply.json, json!({"items": [{"username": "pureuser"}]}));
    let token = pair.a.session().to_owned();
    let auth = [("x-auth-token", token.as_str())];
    assert_eq!(pair.a.raw("GET", "/api/2.26/arrays", &auth, "").await.status, 200);
    assert_eq!(pair.a.raw("POST", "/api/2.26/logout", &auth, "").await.status, 200);
    assert_eq!(pair.a.raw("GET", "/api/2.26/arrays", &auth, "").await.status, 401);
    let wrong = pair.a.raw("POST", "/api/2.26/login", &[("api-token", "x")], "").await;
    assert_eq!(wrong.status, 401);
}

#[tokio::test]
async fn idle_sessions_expire_and_used_ones_do_not() {
    let mut pair = Pair::new();
    pair.a.login().await;
    let token = pair.a.session().to_owned();
    let auth = [("x-auth-token", token.as_str())];
    for _ in 0..3 {
        pair.pass(29 * MINUTE);
        assert_eq!(pair.a.raw("GET", "/api/2.26/arrays", &auth, "").await.status, 200);
    }
    pair.pass(30 * MINUTE);
    let reply = pair.a.raw("GET", "/api/2.26/arrays", &auth, "").await;
    assert_eq!(reply.status, 401);
    let location = json!({"name": "a", "id": null, "resource_type": "remote-arrays"});
    let error = json!({"message": "Invalid session.", "location_context": location});
    assert_eq!(reply.json, json!({"errors": [error]}));
    assert!(reply.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn idle_timeout_can_be_changed_and_switched_off() {
    let mut pair = Pair::new();
    pair.a.no("PATCH", "/arrays", json!({"idle_timeout": 60_000}), "invalid").await;
    pair.a.no("PATCH", "/arrays", json!({"idle_timeout": 300_001}), "invalid").await;
    pair.a.ok("PATCH", "/arrays", json!({"idle_timeout": 0})).await;
    let token = pair.a.session().to_owned();
    pair.pass(30 * DAY);
    let auth = [("x-auth-token", token.as_str())];
    assert_eq!(pair.a.raw("GET", "/api/2.26/arrays", &auth, "").await.status, 200);
    pair.a.array.drop_sessions();
    assert_eq!(pair.a.raw("GET", "/api/2.26/arrays", &auth, "").await.status, 401);
}

#[tokio::test]
async fn readers_get_403_with_a_top_level_message() {
    let pair = Pair::with(|config| config.api_tokens.push(ApiToken::readonly("reader", "r")));
    let login = pair.a.raw("POST", "/api/2.26/login", &[("api-token", "r")], "").await;
    let token = login.headers["x-auth-token"].to_str().unwrap();
    let auth = [("x-auth-token", token)];
    assert_eq!(pair.a.raw("GET", "/api/2.26/volumes", &auth, "").await.status, 200);
    let reply = pair.a.raw("POST", "/api/2.26/volumes?names=v", &auth, "{}").await;
    assert_eq!(reply.status, 403);
    assert!(reply.json["message"].is_string() && reply.json["errors"].is_null());
}

#[tokio::test]
async fn the_limiter_stands_before_the_login() {
    let limit = Some(RateLimit { calls: 2, window_ms: 5000 });
    let mut pair = Pair::with(|config| config.rate_limit = limit);
    pair.a.login().await;
    pair.a.login().await;
    let token = pair.a.array.config().admin_token().to_owned();
    let reply = pair.a.raw("POST", "/api/2.26/login", &[("api-token", &token)], "").await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.headers["retry-after"], "5");
    assert!(reply.json["message"].is_string());
    pair.pass(5000);
    pair.a.login().await;
}

#[tokio::test]
async fn newer_parameters_and_fields_do_not_exist_in_older_versions() {
    let mut pair = Pair::new();
    let mut old = pair.a.version("2.15");
    let path = "/volumes?names=v&with_default_protection=false";
    old.no("POST", path, json!({"provisioned": GIB}), "Invalid query parameter").await;
    pair.a.ok("POST", path, json!({"provisioned": GIB})).await;
    pair.a.ok("POST", "/protection-groups?names=g", Value::Null).await;
    assert!(pair.a.get("/protection-groups?names=g").await[0]["id"].is_string());
    let group = &old.get("/protection-groups?names=g").await[0];
    assert!(group["id"].is_null() && group["retention_lock"].is_string());
    let mut oldest = pair.a.version("2.4");
    assert!(oldest.get("/protection-groups?names=g").await[0]["retention_lock"].is_null());
    let body = json!({"retention_lock": "ratcheted"});
    oldest.no("PATCH", "/protection-groups?names=g", body, "Invalid body field").await;
    assert_eq!(pair.a.call("POST", "/volumes/batch", json!([])).await.status, 404);
    assert_eq!(pair.a.call("PUT", "/volumes", json!({})).await.status, 405);
    assert_eq!(pair.a.call("GET", "/nonsense", Value::Null).await.status, 404);
}
