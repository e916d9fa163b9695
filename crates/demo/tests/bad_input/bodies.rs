//! What the body, the path, the query or a header alone says.

use super::{
    MALFORMED, NOT_FOUND, UNKNOWN, VALUE,
    support::{Case, Theatre},
};

/// What the body alone says.
// tidy: allow long function: a table
pub fn bodies(t: &Theatre) -> Vec<Case> {
    let group = t.group_url(0);
    let action = |body: &str, code, words: &[&str]| {
        Case::new("POST", &format!("{group}/action"), body, 400, code, words)
    };
    let groups = |body: &str, code, words: &[&str]| {
        Case::new(
            "POST",
            &format!("{}/protection-groups", t.project_url(0)),
            body,
            400,
            code,
            words,
        )
    };
    let member = |body: &str, code, words: &[&str]| {
        Case::new("POST", &format!("{group}/members"), body, 400, code, words)
    };
    vec![
        action("", MALFORMED, &["empty"]),
        action(r#"{"failover": {"#, MALFORMED, &["not valid JSON", "line 1"]),
        action("failover=1", MALFORMED, &["not valid JSON"]),
        action("[]", MALFORMED, &["JSON object", "a list"]),
        action("{}", MALFORMED, &["exactly one key", "failover", "test_cleanup"]),
        action(
            r#"{"failover": {}, "failback": {}}"#,
            MALFORMED,
            &["exactly one key", "failback, failover"],
        ),
        action(r#"{"failover": {}, "failover": {}}"#, MALFORMED, &["\"failover\" occurs twice"]),
        action(r#"{"explode": {}}"#, UNKNOWN, &["explode", "Allowed: failover, failback"]),
        action(
            r#"{"failover": {"netwrok_mapping": {}}}"#,
            UNKNOWN,
            &["failover.netwrok_mapping", "network_mapping"],
        ),
        action(r#"{"failover": {"force": "yes"}}"#, VALUE, &["failover.force", "boolean"]),
        action(
            r#"{"failover": {"network_mapping": ["a"]}}"#,
            VALUE,
            &["failover.network_mapping", "map"],
        ),
        action(
            r#"{"failover": {"flavor_mapping": {"m1.large": 2}}}"#,
            VALUE,
            &["failover.flavor_mapping.m1.large", "string"],
        ),
        action(r#"{"failover": []}"#, VALUE, &["failover", "must be an object"]),
        action(
            r#"{"failover": {"force": true, "retain_primary": true}}"#,
            VALUE,
            &["failover.force", "drill"],
        ),
        action(r#"{"failback": {"force": true}}"#, VALUE, &["failback.force", "cannot be forced"]),
        action(
            r#"{"sync_volumes": {"retain_primary": true}}"#,
            UNKNOWN,
            &["sync_volumes.retain_primary"],
        ),
        action(r#"{"cancel": {}}"#, UNKNOWN, &["cancel", "1.3", "1.2"])
            .with("OpenStack-API-Version", "protector 1.2"),
        groups("{", MALFORMED, &["not valid JSON"]),
        groups(r#"{"name": "x"}"#, UNKNOWN, &["name", "protection_group"]),
        groups(r#"{"protection_group": {}}"#, VALUE, &["protection_group.name", "missing"]),
        groups(r#"{"protection_group": {"name": 7}}"#, VALUE, &["protection_group.name", "string"]),
        groups(
            r#"{"protection_group": {"name": "x", "status": "active"}}"#,
            UNKNOWN,
            &["protection_group.status"],
        ),
        groups(
            r#"{"protection_group": {"name": "x", "replication_type": "fast"}}"#,
            VALUE,
            &["replication_type", "async"],
        ),
        groups(
            r#"{"protection_group": {"name": "x", "primary_volume_type": "plain"}}"#,
            VALUE,
            &["primary_volume_type", "plain", "replicated"],
        ),
        groups(
            r#"{"protection_group": {"name": "x", "secondary_volume_type": "nope"}}"#,
            VALUE,
            &["secondary_volume_type", "nope", "site-b", "does not exist"],
        ),
        groups(
            r#"{"protection_group": {"name": "x", "secondary_site_id": "here"}}"#,
            VALUE,
            &["protection_group.secondary_site_id"],
        ),
        member("{}", VALUE, &["member", "missing"]),
        member(r#"{"member": {"server": ""}}"#, VALUE, &["member.server", "empty"]),
        member(r#"{"member": {"server": "web-1", "name": "x"}}"#, UNKNOWN, &["member.name"]),
        Case::new(
            "PATCH",
            &group,
            r#"{"protection_group": {"replication_type": "sync"}}"#,
            400,
            UNKNOWN,
            &["replication_type"],
        ),
        Case::new(
            "PATCH",
            &group,
            r#"{"protection_group": {"network_mapping": {"a": ""}}}"#,
            400,
            VALUE,
            &["network_mapping.a", "empty"],
        ),
    ]
}

/// What path, query and headers say.
// tidy: allow long function: a table
pub fn envelopes(t: &Theatre) -> Vec<Case> {
    let (group, all) = (t.group_url(0), t.project_url(0));
    let get =
        |url: String, status, code, words: &[&str]| Case::new("GET", &url, "", status, code, words);
    let nobody = "00000000-0000-4000-8000-000000000000";
    vec![
        get(format!("{all}/protection-groups/{nobody}"), 404, NOT_FOUND, &["does not exist"]),
        get(format!("{all}/protection-groups/not-an-id"), 404, NOT_FOUND, &["not-an-id"]),
        get(format!("{all}/operations/op-1"), 404, NOT_FOUND, &["op-1"]),
        get(format!("{all}/nothing"), 404, NOT_FOUND, &["openapi.json"]),
        get(format!("{all}/operations?limit=0"), 400, VALUE, &["limit", "1 to 1000"]),
        get(format!("{all}/operations?limit=1001"), 400, VALUE, &["limit", "1 to 1000"]),
        get(format!("{all}/operations?sort_dir=up"), 400, VALUE, &["sort_dir", "asc or desc"]),
        get(format!("{all}/operations?sort_key=colour"), 400, VALUE, &["sort_key", "created_at"]),
        get(format!("{all}/operations?marker=op-nothing"), 400, VALUE, &["marker"]),
        get(
            format!("{all}/operations?operation_type=explode"),
            400,
            VALUE,
            &["operation_type", "explode"],
        ),
        get(
            format!("{all}/operations?colour=red"),
            400,
            "request.unknown_parameter",
            &["colour", "operation_type"],
        ),
        get(group.clone(), 406, "request.version_not_supported", &["1.0", "1.3", "9.9"])
            .with("OpenStack-API-Version", "protector 9.9"),
        get(group.clone(), 400, VALUE, &["OpenStack-API-Version"])
            .with("OpenStack-API-Version", "protector one"),
        Case::new("PUT", &group, "{}", 405, "request.method_not_allowed", &["Allow"]),
        Case::new(
            "POST",
            &format!("{group}/action"),
            " ".repeat((1 << 20) + 1),
            413,
            "request.too_large",
            &["1 MiB"],
        ),
        Case::new(
            "PATCH",
            &group,
            r#"{"protection_group": {"name": "y"}}"#,
            412,
            "resource.version_mismatch",
            &["version", "99999", "read it again"],
        )
        .with("If-Match", "\"99999\""),
        Case::new("DELETE", &group, "", 412, "resource.version_mismatch", &["99999"])
            .with("If-Match", "\"99999\""),
        Case::new(
            "PATCH",
            &group,
            r#"{"protection_group": {"name": "y"}}"#,
            400,
            VALUE,
            &["If-Match", "ETag"],
        )
        .with("If-Match", "\"yesterday\""),
        Case::new(
            "POST",
            &format!("{group}/action"),
            r#"{"failover": {}}"#,
            400,
            VALUE,
            &["Idempotency-Key", "255"],
        )
        .with("Idempotency-Key", &"k".repeat(256)),
    ]
}
