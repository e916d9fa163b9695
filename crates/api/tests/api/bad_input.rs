//! Law 8: bad input gets a clear error that names field and reason, and changes nothing.

use crate::{
    fake::{PROJECT, group_id},
    support::{Api, JSON},
};

fn group() -> String {
    format!("/v1/{PROJECT}/protection-groups/{}", group_id())
}

struct Case {
    path: String,
    body: String,
    status: u16,
    code: &'static str,
    words: &'static [&'static str],
}

fn case(path: &str, body: &str, code: &'static str, words: &'static [&'static str]) -> Case {
    Case { path: path.into(), body: body.into(), status: 400, code, words }
}

fn action(body: &str, code: &'static str, words: &'static [&'static str]) -> Case {
    case(&format!("{}/action", group()), body, code, words)
}

const MALFORMED: &str = "request.malformed";
const UNKNOWN: &str = "request.unknown_field";
const VALUE: &str = "request.invalid_value";

fn actions() -> Vec<Case> {
    vec![
        action("", MALFORMED, &["empty"]),
        action("{", MALFORMED, &["not valid JSON", "line 1"]),
        action("{} x", MALFORMED, &["not valid JSON"]),
        action("[]", MALFORMED, &["JSON object", "a list"]),
        action("null", MALFORMED, &["JSON object", "null"]),
        action(&"[".repeat(500), MALFORMED, &["not valid JSON"]),
        action("{}", MALFORMED, &["exactly one key", "none", "failover"]),
        action(
            r#"{"failover": {}, "failback": {}}"#,
            MALFORMED,
            &["exactly one key", "failback, failover"],
        ),
        action(r#"{"failover": {}, "failover": {}}"#, MALFORMED, &["\"failover\" occurs twice"]),
        action(r#"{"explode": {}}"#, UNKNOWN, &["explode", "failover, failback"]),
        action(r#"{"FAILOVER": {}}"#, UNKNOWN, &["FAILOVER"]),
        action(r#"{"failover": null}"#, VALUE, &["failover", "must be an object, not null"]),
        action(r#"{"failover": []}"#, VALUE, &["must be an object, not a list"]),
        action(r#"{"failover": {"frce": true}}"#, UNKNOWN, &["failover.frce", "force"]),
        action(r#"{"failover": {"force": "yes"}}"#, VALUE, &["failover.force", "boolean"]),
        action(r#"{"failover": {"force": null}}"#, VALUE, &["failover.force", "boolean"]),
        action(
            r#"{"failover": {"network_mapping": ["a"]}}"#,
            VALUE,
            &["failover.network_mapping", "map"],
        ),
        action(
            r#"{"failover": {"network_mapping": {"a": 1}}}"#,
            VALUE,
            &["failover.network_mapping.a", "string"],
        ),
        action(
            r#"{"failover": {"network_mapping": {"a": ""}}}"#,
            VALUE,
            &["network_mapping.a", "empty"],
        ),
        action(
            r#"{"failover": {"network_mapping": {"": "b"}}}"#,
            VALUE,
            &["network_mapping", "empty"],
        ),
        action(
            r#"{"failover": {"force": true, "retain_primary": true}}"#,
            VALUE,
            &["failover.force", "drill"],
        ),
        action(r#"{"failover": {"reverse_replication": true}}"#, UNKNOWN, &["reverse_replication"]),
        action(r#"{"failback": {"force": true}}"#, VALUE, &["failback.force"]),
        action(r#"{"failback": {"retain_primary": false}}"#, UNKNOWN, &["failback.retain_primary"]),
        action(r#"{"test_failover": {"force": true}}"#, VALUE, &["test_failover.force"]),
        action(r#"{"test_cleanup": {"force": true}}"#, VALUE, &["test_cleanup.force"]),
        action(r#"{"sync_volumes": {"force": true}}"#, VALUE, &["sync_volumes.force"]),
        action(
            r#"{"sync_volumes": {"network_mapping": {"a": "b"}}}"#,
            UNKNOWN,
            &["sync_volumes.network_mapping"],
        ),
        action(r#"{"cancel": {"force": true}}"#, VALUE, &["cancel.force"]),
    ]
}

// tidy: allow long function: a table, one case a line or two.
fn resources() -> Vec<Case> {
    let groups = format!("/v1/{PROJECT}/protection-groups");
    let members = format!("{}/members", group());
    let policy = format!("{}/policy", group());
    let long = format!(r#"{{"protection_group": {{"name": "{}"}}}}"#, "x".repeat(256));
    vec![
        case(&groups, r#"{"name": "x"}"#, UNKNOWN, &["name", "protection_group"]),
        case(&groups, r#"{"protection_group": {}}"#, VALUE, &["protection_group.name", "missing"]),
        case(
            &groups,
            r#"{"protection_group": {"name": " "}}"#,
            VALUE,
            &["protection_group.name", "empty"],
        ),
        case(&groups, r#"{"protection_group": {"name": "a\u0000b"}}"#, VALUE, &["control"]),
        case(&groups, &long, VALUE, &["255"]),
        case(
            &groups,
            r#"{"protection_group": {"name": 1}}"#,
            VALUE,
            &["protection_group.name", "string"],
        ),
        case(
            &groups,
            r#"{"protection_group": {"name": "x", "status": "active"}}"#,
            UNKNOWN,
            &["protection_group.status"],
        ),
        case(
            &groups,
            r#"{"protection_group": {"name": "x", "replication_type": "semi"}}"#,
            VALUE,
            &["replication_type", "async"],
        ),
        case(
            &groups,
            r#"{"protection_group": {"name": "x", "primary_site_id": "nope"}}"#,
            VALUE,
            &["primary_site_id"],
        ),
        case(&members, r#"{"member": {"server": ""}}"#, VALUE, &["member.server", "empty"]),
        case(
            &members,
            r#"{"member": {"server_id": "x"}}"#,
            UNKNOWN,
            &["member.server_id", "server"],
        ),
        case(
            &policy,
            r#"{"policy": {"primary_fa_url": "ftp://a", "secondary_fa_url": "b"}}"#,
            VALUE,
            &["primary_fa_url", "http", "secondary_fa_url"],
        ),
        case(
            &policy,
            r#"{"policy": {"primary_fa_url": "https://u:p@a", "secondary_fa_url": "https://b"}}"#,
            VALUE,
            &["user name or password"],
        ),
        case(
            &policy,
            r#"{"policy": {"primary_fa_url": "https://a", "secondary_fa_url": "https://b", "replication_interval": 10}}"#,
            VALUE,
            &["replication_interval", "300"],
        ),
        case(
            &policy,
            r#"{"policy": {"primary_fa_url": "https://a", "secondary_fa_url": "https://b", "replication_interval": -300}}"#,
            VALUE,
            &["replication_interval"],
        ),
        case(
            &policy,
            r#"{"policy": {"primary_fa_url": "https://a", "secondary_fa_url": "https://b", "rpo_minutes": 0}}"#,
            VALUE,
            &["rpo_minutes"],
        ),
        case(
            &policy,
            r#"{"policy": {"primary_fa_url": "https://a", "secondary_fa_url": "https://b", "primary_fa_api_token": 77123}}"#,
            VALUE,
            &["primary_fa_api_token", "must be a string"],
        ),
        case(&format!("{}/sync-force", group()), r#"{"from": "x"}"#, VALUE, &["from"]),
        case(
            &format!("{}/consistency-group/sync", group()),
            r#"{"force": true}"#,
            UNKNOWN,
            &["force"],
        ),
    ]
}

fn administration() -> Vec<Case> {
    let site = r#"{"site": {"name": "b", "auth_url": "http://b:5000/v3", "username": "u"}}"#;
    let both = r#"{"site": {"name": "b", "auth_url": "http://b:5000/v3", "username": "u", "application_credential_id": "i", "application_credential_secret": "s"}}"#;
    let mapping = r#"{"tenant_mapping": {"primary_site_id": "00000000-0000-0000-0000-00000000000a", "secondary_site_id": "00000000-0000-0000-0000-00000000000a", "primary_project_id": "p", "primary_project_name": "n"}}"#;
    vec![
        case("/v1/admin/sites", site, VALUE, &["site.password", "site.project_name"]),
        case("/v1/admin/sites", both, VALUE, &["site.username", "application credential"]),
        case(
            "/v1/admin/sites",
            r#"{"site": {"name": "b", "auth_url": "nowhere", "username": "u", "password": "hunter2", "project_name": "p"}}"#,
            VALUE,
            &["site.auth_url"],
        ),
        case(
            "/v1/admin/tenant-mappings",
            mapping,
            VALUE,
            &["secondary_site_id", "primary_project_id", "secondary_project_id"],
        ),
    ]
}

#[tokio::test]
async fn the_table_of_bad_bodies() {
    let api = Api::new();
    let tenants = actions().into_iter().chain(resources()).map(|case| ("member", case));
    let all = tenants.chain(administration().into_iter().map(|case| ("admin", case)));
    for (who, case) in all {
        let answer = api.post(who, &case.path, &case.body).await;
        let shown =
            format!("{} {}\n{}", case.path, &case.body[..case.body.len().min(200)], answer.text);
        assert_eq!(answer.status, case.status, "{shown}");
        assert_eq!(answer.codes()[0], case.code, "{shown}");
        for word in case.words {
            assert!(answer.details().contains(word), "{word:?} is not in {shown}");
        }
        for secret in ["hunter2", "77123"] {
            assert!(!answer.text.contains(secret), "{shown}");
        }
    }
    let seen = api.core.seen.lock();
    assert!(seen.actions.is_empty() && seen.groups.is_empty() && seen.servers.is_empty());
    assert!(seen.policies.is_empty() && seen.sites.is_empty());
}

#[tokio::test]
async fn only_json_of_a_sane_size_is_read() {
    let api = Api::new();
    let path = format!("{}/action", group());
    let token = ("x-auth-token", "member");
    let body = r#"{"sync_volumes": {}}"#;
    for headers in [
        vec![token],
        vec![token, ("content-type", "text/plain")],
        vec![token, ("content-type", "application/x-www-form-urlencoded")],
        vec![token, JSON, ("content-encoding", "gzip")],
    ] {
        let answer = api.send("POST", &path, &headers, body).await;
        assert_eq!(answer.status, 415, "{headers:?}");
        assert_eq!(answer.codes(), ["request.unsupported_media_type"]);
    }
    let headers = [token, ("content-type", "application/json; charset=utf-8")];
    assert_eq!(api.send("POST", &path, &headers, body).await.status, 202);

    let large = format!("{}{}", " ".repeat(1 << 20), body);
    let answer = api.send("POST", &path, &[token, JSON], &large).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.codes(), ["request.too_large"]);
}

#[tokio::test]
async fn query_parameters_are_refused_by_name() {
    let api = Api::new();
    let groups = format!("/v1/{PROJECT}/protection-groups");
    for (path, code, word) in [
        (format!("{groups}?limt=1"), "request.unknown_parameter", "limt"),
        (format!("{groups}?limit=0"), VALUE, "limit"),
        (format!("{groups}?limit=1001"), VALUE, "1000"),
        (format!("{groups}?limit=-1"), VALUE, "limit"),
        (format!("{groups}?limit=1&limit=2"), VALUE, "given twice"),
        (format!("{groups}?sort_dir=up"), VALUE, "asc or desc"),
        (format!("{groups}?status=broken"), VALUE, "GroupStatus"),
        (format!("{}?force=true", group()), "request.unknown_parameter", "force"),
        (format!("/v1/{PROJECT}/operations?since=yesterday"), VALUE, "since"),
        (format!("/v1/{PROJECT}/operations?protection_group_id=1"), VALUE, "UUID"),
    ] {
        let answer = api.get("member", &path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.codes(), [code], "{path}");
        assert!(answer.details().contains(word), "{path}: {}", answer.details());
    }
    let answer = api.call("member", "DELETE", &format!("{}?force=true", group()), "").await;
    assert_eq!(answer.status, 400);
    assert!(api.core.seen.lock().deleted.is_empty());
}

#[tokio::test]
async fn what_is_not_there_has_our_error_body() {
    let api = Api::new();
    for path in [
        "/nothing".to_owned(),
        "/v2/".to_owned(),
        format!("/v1/{PROJECT}"),
        format!("/v1/{PROJECT}/protection-groups/not-a-uuid"),
        format!("/v1/{PROJECT}/protection-groups/00000000-0000-0000-0000-000000000001"),
        format!("/v1/{PROJECT}/protection-groups/%FF"),
        format!("/v1/{PROJECT}/operations/456"),
    ] {
        let answer = api.get("member", &path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.codes(), ["resource.not_found"], "{path}");
    }
    for (method, path) in
        [("PUT", group()), ("DELETE", "/".into()), ("PATCH", format!("{}/action", group()))]
    {
        let answer = api.call("member", method, &path, "").await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.codes(), ["request.method_not_allowed"]);
        assert!(!answer.header("allow").is_empty(), "{method} {path}");
    }
}

#[tokio::test]
async fn a_panic_is_a_500_that_says_nothing_of_the_inside() {
    let api = Api::new();
    *api.core.panics.lock() = true;
    for (method, path) in [("GET", group()), ("DELETE", group())] {
        let answer = api.call("member", method, &path, "").await;
        assert_eq!(answer.status, 500, "{method}");
        assert_eq!(answer.codes(), ["internal"]);
        assert!(!answer.text.contains("planted"), "{}", answer.text);
    }
}
