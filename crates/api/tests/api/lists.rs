use protector_types::{OperationStatus, OperationType};

use crate::{
    fake::{PROJECT, group_id, operation_id, site_b},
    support::Api,
};

#[tokio::test]
async fn the_next_page_keeps_the_filters() {
    let api = Api::new();
    let path = format!(
        "/v1/{PROJECT}/protection-groups?limit=1&name=a%20b&marker=old&sort_dir=desc&sort_key=name"
    );
    let body = api.get("member", &path).await.json();
    let next = &body["protection_groups_links"][0];
    assert_eq!(next["rel"], "next");
    let href = next["href"].as_str().unwrap();
    let expected = format!(
        "http://site-a:8788/v1/{PROJECT}/protection-groups?limit=1&name=a+b&sort_dir=desc&sort_key=name&marker={}",
        group_id()
    );
    assert_eq!(href, expected);
    let page = api.core.seen.lock().pages[0].clone();
    assert_eq!((page.limit, page.marker.as_deref()), (1, Some("old")));
    assert_eq!((page.sort_key.as_deref(), page.descending), (Some("name"), true));
    // And the link itself works.
    let again = api.get("member", href.strip_prefix("http://site-a:8788").unwrap()).await;
    assert_eq!(again.status, 200);
}

#[tokio::test]
async fn a_whole_list_has_no_links() {
    let api = Api::new();
    let body = api.get("admin", "/v1/admin/tenant-mappings").await.json();
    assert_eq!(body["tenant_mappings_links"], serde_json::json!([]));
    assert_eq!(body["tenant_mappings"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn every_list_has_things_and_their_links() {
    let api = Api::new();
    let group = format!("/v1/{PROJECT}/protection-groups/{}", group_id());
    for (who, path, things) in [
        ("admin", "/v1/admin/sites".into(), "sites"),
        ("admin", format!("/v1/admin/sites/{}/volume-types", site_b()), "volume_types"),
        ("admin", "/v1/admin/tenant-mappings".into(), "tenant_mappings"),
        ("member", format!("/v1/{PROJECT}/protection-groups"), "protection_groups"),
        ("member", format!("{group}/members"), "members"),
        ("member", format!("{group}/recovery-points"), "recovery_points"),
        ("member", format!("/v1/{PROJECT}/operations"), "operations"),
        ("member", format!("/v1/{PROJECT}/operations/{}/events", operation_id()), "events"),
    ] {
        let body = api.get(who, &path).await.json();
        assert!(body[things].as_array().is_some_and(|items| !items.is_empty()), "{path}: {body}");
        assert!(body[format!("{things}_links")].is_array(), "{path}: {body}");
    }
}

#[tokio::test]
async fn operations_are_filtered_and_begin_with_the_newest() {
    let api = Api::new();
    let path = format!(
        "/v1/{PROJECT}/operations?protection_group_id={}&operation_type=test_failover&status=running&since=2025-11-03T00:00:00Z",
        group_id()
    );
    assert_eq!(api.get("member", &path).await.status, 200);
    let seen = api.core.seen.lock();
    let filter = &seen.operation_filters[0];
    assert_eq!(filter.protection_group_id, Some(group_id()));
    assert_eq!(filter.operation_type, Some(OperationType::TestFailover));
    assert_eq!(filter.status, Some(OperationStatus::Running));
    assert!(filter.since.is_some());
    assert!(seen.pages[0].descending);
}

#[tokio::test]
async fn recovery_points_come_in_pages_as_every_list() {
    let api = Api::new();
    let path = format!("/v1/{PROJECT}/protection-groups/{}/recovery-points", group_id());
    let names = |body: &serde_json::Value| -> Vec<String> {
        let points = body["recovery_points"].as_array().unwrap().iter();
        points.map(|point| point["name"].as_str().unwrap().to_owned()).collect()
    };
    let body = api.get("member", &format!("{path}?limit=1")).await.json();
    assert_eq!(names(&body), ["fa-a:protector.1"], "newest first");
    let next = body["recovery_points_links"][0]["href"].as_str().unwrap();
    let next = &next[next.find("/v1/").unwrap()..];
    let body = api.get("member", next).await.json();
    assert_eq!(
        (names(&body), &body["recovery_points_links"]),
        (vec!["fa-a:protector.0".to_owned()], &serde_json::json!([]))
    );
    let body = api.get("member", &format!("{path}?sort_key=name&sort_dir=asc")).await.json();
    assert_eq!(names(&body), ["fa-a:protector.0", "fa-a:protector.1"]);
    for wrong in ["limit=0", "marker=nothing", "sort_key=size", "colour=red"] {
        let reply = api.get("member", &format!("{path}?{wrong}")).await;
        assert_eq!(reply.status, 400, "{wrong}");
    }
}
