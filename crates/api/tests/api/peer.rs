//! Site to site.

use serde_json::json;

use crate::{
    fake::{
        group, group_id, mapping, mapping_id, member, operation_id, policy, site, site_a, site_b,
    },
    support::Api,
};

#[tokio::test]
async fn only_services_and_administrators_call_as_a_peer() {
    let api = Api::new();
    for (who, status) in [("service", 200), ("admin", 200), ("member", 403), ("foreign", 403)] {
        assert_eq!(api.get(who, "/v1/peer/info").await.status, status, "{who}");
    }
    let body = api.get("service", "/v1/peer/info").await.json();
    assert_eq!(
        body,
        json!({"peer": {
            "site_id": site_a(), "site_name": "site-a", "version": "1.3", "now": body["peer"]["now"], "sees": []
        }})
    );
}

#[tokio::test]
async fn documents_are_taken_whole() {
    let api = Api::new();
    let document =
        json!({"document": {"group": group(), "members": [member()], "policy": policy()}});
    let path = format!("/v1/peer/groups/{}", group_id());
    let answer = api.call("service", "PUT", &path, &document.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["stamp"]["version"], 7);
    assert_eq!(api.get("service", &path).await.json()["stamp"]["digest"], "d");
    assert_eq!(api.call("service", "DELETE", &path, "").await.status, 204);

    // Larger than a client's body may be.
    let mut large = document.clone();
    large["document"]["group"]["description"] = "x".repeat(2 << 20).into();
    assert_eq!(api.call("service", "PUT", &path, &large.to_string()).await.status, 200);

    let other = "/v1/peer/groups/00000000-0000-0000-0000-0000000000ff";
    let answer = api.call("service", "PUT", other, &document.to_string()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.details().contains("document.group.id"), "{}", answer.details());
}

#[tokio::test]
async fn sites_mappings_tokens_and_records_are_taken() {
    let api = Api::new();
    let body = json!({"site": site(), "password": "hunter2"});
    let answer = api
        .call("service", "PUT", &format!("/v1/peer/sites/{}", site_b()), &body.to_string())
        .await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    assert_eq!(api.core.seen.lock().handovers[0].password.expose(), "hunter2");

    let path = format!("/v1/peer/tenant-mappings/{}", mapping_id());
    let body = json!({"tenant_mapping": mapping()});
    assert_eq!(api.call("service", "PUT", &path, &body.to_string()).await.status, 204);
    assert_eq!(api.call("service", "DELETE", &path, "").await.status, 204);

    let path = format!("/v1/peer/groups/{}/array-tokens/{}", group_id(), site_b());
    assert_eq!(api.call("service", "PUT", &path, r#"{"token": "t-1"}"#).await.status, 204);
    assert_eq!(api.core.seen.lock().tokens, [(group_id(), site_b(), "t-1".to_owned())]);

    let path = format!("/v1/peer/operations/{}", operation_id());
    let body = json!({"project_id": "p", "record": {"id": operation_id(), "anything": 1}});
    let answer = api.call("service", "PUT", &path, &body.to_string()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["last_seq"].as_u64()),
        (200, Some(0)),
        "{}",
        answer.text
    );
    let body = json!({"project_id": "p", "record": {"id": "op-other"}});
    assert_eq!(api.call("service", "PUT", &path, &body.to_string()).await.status, 400);
    assert_eq!(api.core.seen.lock().records.len(), 1);
}

#[tokio::test]
async fn claims_and_forced_documents_go_their_own_ways() {
    let api = Api::new();
    let path = format!("/v1/peer/groups/{}/claim/{}", group_id(), operation_id());
    let body = json!({"holder_site_id": site_b()}).to_string();
    let answer = api.call("service", "PUT", &path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let claim = &answer.json()["claim"];
    assert_eq!(claim["granted"], true);
    assert_eq!(claim["operation_id"], json!(operation_id()));
    assert_eq!(claim["stamp"]["version"], 7);
    assert_eq!(api.call("service", "DELETE", &path, "").await.status, 204);
    assert_eq!(api.call("member", "PUT", &path, &body).await.status, 403);

    let document = json!({"group": group(), "members": [], "policy": null});
    let path = format!("/v1/peer/groups/{}/forced", group_id());
    let body = json!({"document": document, "instead_of": null}).to_string();
    assert_eq!(api.call("service", "PUT", &path, &body).await.status, 200);

    let shown = api.get("service", &format!("/v1/peer/groups/{}/document", group_id())).await;
    assert_eq!(shown.json()["document"]["group"]["id"], json!(group_id()));
    let stamps = api.get("service", &format!("/v1/peer/sites/{}/groups", site_b())).await;
    assert_eq!(stamps.json()["stamps"][0]["group_id"], json!(group_id()));
}

#[tokio::test]
async fn the_peer_learns_who_delegated_here() {
    let api = Api::new();
    let body = api.get("service", "/v1/peer/projects/p1/delegations").await.json();
    let only = &body["delegations"][0];
    assert_eq!(only["trust"], "trust-1");
    assert_eq!(
        (&only["delegation"]["project_id"], &only["delegation"]["state"]),
        (&json!("p1"), &json!("in_force"))
    );
    assert_eq!(api.get("member", "/v1/peer/projects/p1/delegations").await.status, 403);
}
