//! `If-Match` and `Idempotency-Key`.

use crate::{
    fake::{PROJECT, group_id, member_id},
    support::{Api, JSON},
};

fn group() -> String {
    format!("/v1/{PROJECT}/protection-groups/{}", group_id())
}

#[tokio::test]
async fn the_version_is_the_etag_and_guards_changes() {
    let api = Api::new();
    assert_eq!(api.get("member", &group()).await.header("etag"), "\"7\"");
    let body = r#"{"protection_group": {"description": "new"}}"#;
    let patch = async |tag: Option<&str>| {
        let mut headers = vec![JSON, ("x-auth-token", "member")];
        headers.extend(tag.map(|tag| ("if-match", tag)));
        api.send("PATCH", &group(), &headers, body).await
    };
    for (tag, status) in [
        (None, 200),
        (Some("\"7\""), 200),
        (Some("*"), 200),
        (Some("\"6\", \"7\""), 200),
        (Some("\"6\""), 412),
        (Some("abc"), 400),
    ] {
        let answer = patch(tag).await;
        assert_eq!(answer.status, status, "{tag:?}: {}", answer.text);
        if status == 412 {
            assert_eq!(answer.codes(), ["resource.version_mismatch"]);
        }
    }
    let versions: Vec<_> =
        api.core.seen.lock().changes.iter().map(|(_, version)| *version).collect();
    assert_eq!(versions, [None, Some(7), None, Some(7)]);
}

#[tokio::test]
async fn deletions_honour_it_too() {
    let api = Api::new();
    let member = format!("{}/members/{}", group(), member_id());
    for path in [group(), member] {
        for (tag, status) in [("\"6\"", 412), ("\"7\"", 204)] {
            let headers = [("x-auth-token", "member"), ("if-match", tag)];
            assert_eq!(
                api.send("DELETE", &path, &headers, "").await.status,
                status,
                "{path} {tag}"
            );
        }
    }
    assert_eq!(api.core.seen.lock().deleted, [Some(7)]);
}

#[tokio::test]
async fn an_idempotency_key_travels_with_the_digest_of_the_body() {
    let api = Api::new();
    let path = format!("{}/action", group());
    let post = async |key: &str, body: &str| {
        let headers = [JSON, ("x-auth-token", "member"), ("idempotency-key", key)];
        api.send("POST", &path, &headers, body).await.status
    };
    assert_eq!(post("k", r#"{"failover": {"force": false, "flavor_mapping": {}}}"#).await, 202);
    assert_eq!(post("k", r#"{ "failover": {"flavor_mapping": {}, "force": false} }"#).await, 202);
    assert_eq!(post("k", r#"{"failback": {}}"#).await, 202);
    assert_eq!(post("", r#"{"failback": {}}"#).await, 400);
    assert_eq!(post(&"k".repeat(256), r#"{"failback": {}}"#).await, 400);
    let sync = format!("{}/consistency-group/sync", group());
    let headers = [JSON, ("x-auth-token", "member"), ("idempotency-key", "k")];
    assert_eq!(api.send("POST", &sync, &headers, "").await.status, 202);
    let seen = api.core.seen.lock();
    let keys: Vec<_> = seen.actions.iter().map(|(_, r)| r.idempotency.clone().unwrap()).collect();
    assert_eq!(keys[0], keys[1], "white space and order of keys do not matter");
    assert_ne!(keys[0].1, keys[2].1);
    assert_eq!(keys[0].0, "k");
    assert_eq!(keys[0].1.len(), 64);
}
