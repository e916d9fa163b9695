//! Sites, mappings, groups, members, policies.

use serde_json::{Value, json};

use crate::{
    fake::{PROJECT, group_id, mapping_id, member_id, site_a, site_b},
    support::Api,
};

fn group() -> String {
    format!("/v1/{PROJECT}/protection-groups/{}", group_id())
}

#[tokio::test]
async fn a_site_is_registered_and_its_password_never_shown() {
    let api = Api::new();
    let body = json!({"site": {
        "name": "site-b", "auth_url": "http://site-b-controller:5000/v3", "username": "protector",
        "password": "hunter2", "project_name": "service"
    }});
    let answer = api.post("admin", "/v1/admin/sites", &body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(
        answer.header("location"),
        format!("http://site-a:8788/v1/admin/sites/{}", site_b())
    );
    assert!(!answer.text.contains("password"), "{}", answer.text);
    assert_eq!(answer.json()["site"]["status"], "active");
    let seen = api.core.seen.lock();
    assert_eq!(seen.sites[0].password.expose(), "hunter2");
    assert_eq!(seen.sites[0].user_domain_name, "Default");
}

#[tokio::test]
async fn sites_and_mappings_have_all_their_verbs() {
    let api = Api::new();
    let site = format!("/v1/admin/sites/{}", site_b());
    let mapping = format!("/v1/admin/tenant-mappings/{}", mapping_id());
    let new_mapping = json!({"tenant_mapping": {
        "primary_site_id": site_a(), "primary_project_id": PROJECT,
        "secondary_site_id": site_b(), "secondary_project_name": "prod", "secondary_project_domain_name": "Default"
    }});
    for (method, path, body, status) in [
        ("GET", site.clone(), String::new(), 200),
        ("PATCH", site.clone(), r#"{"site": {"description": "x"}}"#.into(), 200),
        ("POST", format!("{site}/validate"), String::new(), 200),
        ("GET", format!("{site}/volume-types"), String::new(), 200),
        ("DELETE", site, String::new(), 204),
        ("POST", "/v1/admin/tenant-mappings".into(), new_mapping.to_string(), 201),
        ("GET", mapping.clone(), String::new(), 200),
        ("DELETE", mapping, String::new(), 204),
    ] {
        let answer = api.call("admin", method, &path, &body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_group_is_shown_with_everything_that_is_documented() {
    let api = Api::new();
    let body = r#"{"protection_group": {"name": "prod-web-app", "network_mapping": {"a": "b"}}}"#;
    let answer = api.post("member", &format!("/v1/{PROJECT}/protection-groups"), body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(api.core.seen.lock().groups[0].mappings.network["a"], "b");
    let shown = answer.json()["protection_group"].clone();
    for key in [
        "name",
        "description",
        "replication_type",
        "primary_site_id",
        "secondary_site_id",
        "primary_volume_type",
        "secondary_volume_type",
        "network_mapping",
        "flavor_mapping",
        "image_mapping",
        "security_group_mapping",
        "keypair_mapping",
        "status",
        "current_primary_site_id",
        "replication_status",
        "failover_count",
        "last_replication_at",
        "version",
        "epoch",
        "consistency_group",
        "current_operation_id",
        "active_test_operation_id",
        "quarantine",
    ] {
        assert!(shown.get(key).is_some(), "{key} is missing in {shown}");
    }
    assert_eq!(shown["consistency_group"]["volume_count"], 1);
    assert_eq!(shown["primary_volume_type"], "gold");
}

#[tokio::test]
async fn a_member_is_shown_without_its_user_data() {
    let api = Api::new();
    let answer = api
        .post("member", &format!("{}/members", group()), r#"{"member": {"server": "web-1"}}"#)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.json()["member"]["server_id"], "server-a");
    assert!(!answer.text.contains("c2VjcmV0"), "{}", answer.text);
    let member = format!("{}/members/{}", group(), member_id());
    assert_eq!(api.get("member", &member).await.json()["member"]["volumes"][0]["size_gib"], 20);
    assert_eq!(api.post("member", &format!("{member}/refresh"), "").await.status, 200);
}

#[tokio::test]
async fn array_tokens_go_in_and_never_come_out() {
    let api = Api::new();
    let path = format!("{}/policy", group());
    let body = json!({"policy": {
        "primary_fa_url": "https://fa-a.example", "primary_fa_api_token": "t-secret-a",
        "secondary_fa_url": "https://fa-b.example", "secondary_fa_api_token": "***"
    }});
    *api.core.has_policy.lock() = false;
    let answer = api.post("member", &path, &body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    *api.core.has_policy.lock() = true;
    assert_eq!(api.post("member", &path, &body.to_string()).await.status, 200);
    for answer in [answer, api.get("member", &path).await] {
        let policy = answer.json()["policy"].clone();
        assert_eq!(
            (&policy["primary_fa_api_token"], &policy["secondary_fa_api_token"]),
            (&json!("***"), &json!("***"))
        );
        assert_eq!(policy["replication_interval"], 300);
        assert!(!answer.text.contains("t-secret-a"));
    }
    let seen = api.core.seen.lock();
    let set = &seen.policies[0];
    assert_eq!(set.primary_fa_api_token.as_ref().map(|t| t.expose()), Some("t-secret-a"));
    assert_eq!(set.secondary_fa_api_token, None, "the mask means: keep");
}

#[tokio::test]
async fn the_copies_of_a_group_are_shown() {
    let api = Api::new();
    let sync = api.get("member", &format!("{}/sync-status", group())).await.json();
    assert_eq!(sync["sync_status"]["status"], "OUT OF SYNC");
    assert_eq!(sync["sync_status"]["last_synced_at"], Value::Null);
    let points = api.get("member", &format!("{}/recovery-points", group())).await.json();
    assert_eq!(points["recovery_points"][0]["progress"], 50);
    let cg = api.get("member", &format!("{}/consistency-group", group())).await.json();
    assert_eq!(
        cg["consistency_group"]["newest_recovery_point"]["created_at"],
        "2025-11-03T10:00:00Z"
    );
    let health = api.get("member", "/v1/health").await.json();
    assert_eq!(health["health"]["status"], "unknown");
}
