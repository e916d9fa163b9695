use serde_json::json;

use crate::support::Api;

#[tokio::test]
async fn versions_are_discovered_without_a_token() {
    let api = Api::new();
    let entry = json!({
        "id": "v1", "status": "CURRENT", "min_version": "1.0", "version": "1.3",
        "links": [{"rel": "self", "href": "http://site-a:8788/v1/"}]
    });
    let answer = api.send("GET", "/", &[], "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"versions": [entry]}));
    for path in ["/v1", "/v1/"] {
        assert_eq!(
            api.send("GET", path, &[], "").await.json(),
            json!({"version": entry}),
            "{path}"
        );
    }
    let behind_tls = api.send("GET", "/", &[("x-forwarded-proto", "https")], "").await.json();
    assert_eq!(behind_tls["versions"][0]["links"][0]["href"], "https://site-a:8788/v1/");
}

#[tokio::test]
async fn liveness_follows_the_database_alone() {
    let api = Api::new();
    assert_eq!(api.send("GET", "/healthz", &[], "").await.status, 200);
    *api.core.database.lock() = "down";
    let answer = api.send("GET", "/healthz", &[], "").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["status"], "down");
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_operations_by_status() {
    let api = Api::new();
    let group =
        format!("/v1/{}/protection-groups/{}", crate::fake::PROJECT, crate::fake::group_id());
    api.get("member", &group).await;
    api.get("member", "/v1/admin/sites").await;
    let answer = api.send("GET", "/metrics", &[], "").await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let text = answer.text;
    for line in [
        r#"protector_http_requests_total{method="GET",route="/v1/{tenant_id}/protection-groups/{pg_id}",status="200"} 1"#,
        r#"protector_http_requests_total{method="GET",route="/v1/admin/sites",status="403"} 1"#,
        r#"protector_operations{operation_type="failover",status="running"} 2"#,
        "protector_database_up 1",
        "protector_http_requests_in_flight 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains(&crate::fake::group_id().to_string()), "ids must not be labels");
    assert_eq!(text.matches("# EOF").count(), 1, "{text}");
    assert!(text.trim_end().ends_with("# EOF"));
}

#[tokio::test]
async fn every_answer_has_a_fresh_request_id() {
    let api = Api::new();
    let mut seen = std::collections::BTreeSet::new();
    for path in ["/", "/nothing", "/v1/admin/sites", "/healthz"] {
        let answer = api.send("GET", path, &[], "").await;
        let id = answer.header("x-openstack-request-id").to_owned();
        assert!(
            id.strip_prefix("req-").is_some_and(|id| uuid::Uuid::parse_str(id).is_ok()),
            "{path}: {id}"
        );
        assert!(seen.insert(id));
    }
}
