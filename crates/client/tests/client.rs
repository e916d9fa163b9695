//! The client against a router that notes what it is sent.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![expect(
    clippy::disallowed_methods,
    reason = "the pauses between attempts are waited for in real time"
)]

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use protector_api_types::{ActionParamsBody, PolicySet, SiteCreate};
use protector_client::{OperationQuery, PeerClient, ProtectorClient, TokenSource};
use protector_http::{Client, RouterTransport, UpstreamKind};
use protector_ports::{OperationPiece, PeerSite, PortError, PortResult, SiteHandover};
use protector_types::*;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Debug)]
struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from(std::time::SystemTime::now())
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[derive(Debug, Clone)]
struct Sent {
    line: String,
    token: String,
    version: String,
    idempotency_key: Option<String>,
    body: Value,
}

/// Answers in order; the last one again and again.
#[derive(Default)]
struct Script {
    answers: VecDeque<(u16, String)>,
    sent: Vec<Sent>,
    renewed: usize,
}

#[derive(Clone, Default)]
struct World(Arc<Mutex<Script>>);

#[async_trait]
impl TokenSource for World {
    async fn token(&self) -> PortResult<Secret> {
        Ok(Secret::new(format!("token-{}", self.0.lock().renewed)))
    }
    async fn refused(&self, token: &Secret) -> PortResult<Secret> {
        assert_eq!(token.expose(), format!("token-{}", self.0.lock().renewed));
        self.0.lock().renewed += 1;
        self.token().await
    }
}

impl World {
    fn answering(answers: &[(u16, Value)]) -> Self {
        let world = Self::default();
        let answers = answers.iter().map(|(status, body)| (*status, body.to_string())).collect();
        world.0.lock().answers = answers;
        world
    }

    async fn answer(self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 24).await.unwrap();
        let text = |name: &str| parts.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        let mut script = self.0.lock();
        script.sent.push(Sent {
            line: format!("{} {}", parts.method, parts.uri.path_and_query().unwrap()),
            token: text("x-auth-token").unwrap_or_default(),
            version: text("openstack-api-version").unwrap_or_default(),
            idempotency_key: text("idempotency-key"),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        });
        let (status, answer) = match script.answers.len() {
            0 => (200, "{}".to_owned()),
            1 => script.answers[0].clone(),
            _ => script.answers.pop_front().unwrap(),
        };
        let mut response = Body::from(answer).into_response();
        *response.status_mut() = status.try_into().unwrap();
        if status == 299 {
            response.extensions_mut().insert(protector_http::Dropped);
        }
        response
    }

    fn http(&self) -> (Client, Arc<RouterTransport>) {
        let clock: Arc<dyn Clock> = Arc::new(RealClock(Instant::now()));
        let transport = Arc::new(RouterTransport::new(clock.clone()));
        let world = self.clone();
        let router = Router::new().fallback(move |request| world.clone().answer(request));
        transport.route("site-b:8788", router);
        (Client::new(transport.clone(), clock), transport)
    }

    fn client(&self) -> ProtectorClient {
        let tokens: Arc<dyn TokenSource> = Arc::new(self.clone());
        ProtectorClient::connect(&self.http().0, "site-b", "http://site-b:8788/v1/", tokens)
    }

    fn peer(&self) -> PeerClient {
        let tokens: Arc<dyn TokenSource> = Arc::new(self.clone());
        PeerClient::new(self.http().0.service("protector", "site-b"), "http://site-b:8788", tokens)
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().sent.iter().map(|sent| sent.line.clone()).collect()
    }

    fn last(&self) -> Sent {
        self.0.lock().sent.last().unwrap().clone()
    }
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn operation(n: u128) -> Value {
    json!({
        "id": format!("op-{}", id(n)), "operation_type": "failover", "status": "running", "progress": 0,
        "source_site_id": id(10), "target_site_id": id(11), "started_at": "2025-11-03T10:00:00Z",
        "completed_at": null, "error_message": null, "steps_completed": [], "steps_failed": [],
        "protection_group_id": id(6)
    })
}

fn refusal(code: &str, status: u16, detail: &str) -> Value {
    json!({"errors": [{
        "request_id": "req-1", "code": code, "status": status, "title": "t", "detail": detail, "links": []
    }]})
}

#[tokio::test]
async fn an_action_is_sent_as_the_founding_document_writes_it() {
    let world = World::answering(&[(202, json!({"operation": operation(1)}))]);
    let params = ActionParamsBody {
        network_mapping: [("a".to_owned(), "b".to_owned())].into(),
        force: true,
        ..ActionParamsBody::default()
    };
    let project = ProjectId::from("p/1");
    let record = world
        .client()
        .act(&project, GroupId(id(6)), Action::Failover, &params, Some("key"))
        .await
        .unwrap();
    assert_eq!(record.id, OperationId(id(1)));
    let sent = world.last();
    assert_eq!(sent.line, format!("POST /v1/p%2F1/protection-groups/{}/action", id(6)));
    assert_eq!(sent.body, json!({"failover": {"network_mapping": {"a": "b"}, "force": true}}));
    assert_eq!((sent.token.as_str(), sent.version.as_str()), ("token-0", "protector 1.3"));
    assert_eq!(sent.idempotency_key.as_deref(), Some("key"));
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_only_with_an_idempotency_key() {
    let project = ProjectId::from("p");
    let params = ActionParamsBody::default();
    let answers = [(299, json!({})), (202, json!({"operation": operation(1)}))];

    let world = World::answering(&answers);
    let lost = world.client().act(&project, GroupId(id(6)), Action::Failover, &params, None).await;
    assert_eq!(lost.unwrap_err().kind, UpstreamKind::Unknown);
    assert_eq!(world.lines().len(), 1);

    let world = World::answering(&answers);
    let found =
        world.client().act(&project, GroupId(id(6)), Action::Failover, &params, Some("k")).await;
    assert_eq!(found.unwrap().id, OperationId(id(1)));
    assert_eq!(world.lines().len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let unauthorized = (401, refusal("auth.unauthenticated", 401, "The token is not valid"));
    let health = (200, json!({"health": {"status": "ok", "components": []}}));
    let world = World::answering(&[unauthorized.clone(), health]);
    assert_eq!(world.client().health().await.unwrap().status, "ok");
    let tokens: Vec<_> = world.0.lock().sent.iter().map(|s| s.token.clone()).collect();
    assert_eq!(tokens, ["token-0", "token-1"]);

    let world = World::answering(&[unauthorized]);
    let error = world.client().health().await.unwrap_err();
    assert_eq!(error.status, Some(401));
    assert!(error.has_code("auth.unauthenticated"));
    assert_eq!(world.lines().len(), 2);
}

#[tokio::test]
async fn errors_keep_the_apis_codes_and_sentences() {
    let sentence = "Cannot modify protection group — remote site unreachable";
    let body = refusal("protection_group.peer_unreachable", 409, sentence);
    let world = World::answering(&[(409, body)]);
    let project = ProjectId::from("p");
    let error = world.client().group(&project, GroupId(id(6))).await.unwrap_err();
    assert!(error.has_code("protection_group.peer_unreachable"));
    assert_eq!(error.to_string(), format!("protector at site-b: {sentence}"));
}

#[tokio::test]
async fn the_table_of_port_errors() {
    let project = ProjectId::from("p");
    for (status, body, expected) in [
        (404, refusal("resource.not_found", 404, "x"), "Absent"),
        (404, json!({"message": "no route"}), "Unknown"),
        (409, refusal("protection_group.busy", 409, "x"), "Conflict"),
        (412, refusal("resource.version_mismatch", 412, "x"), "Conflict"),
        (403, refusal("auth.forbidden", 403, "x"), "Denied"),
        (401, refusal("auth.unauthenticated", 401, "x"), "Denied"),
        (400, refusal("request.malformed", 400, "x"), "Invalid"),
        (500, refusal("internal", 500, "x"), "Unknown"),
    ] {
        let world = World::answering(&[(status, body)]);
        let params = ActionParamsBody::default();
        let call =
            world.client().act(&project, GroupId(id(6)), Action::Failback, &params, None).await;
        let error = PortError::from(call.unwrap_err());
        assert!(format!("{error:?}").starts_with(expected), "{status}: {error:?}");
    }
    let world = World::default();
    let (http, transport) = world.http();
    transport.unroute("site-b:8788");
    let options = protector_http::ServiceOptions { attempts: 1, ..Default::default() };
    let service = http.service_with("protector", "site-b", || options);
    let peer = PeerClient::new(service, "http://site-b:8788", Arc::new(world));
    assert!(matches!(peer.info().await, Err(PortError::Transient { .. })));
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    let page = |n: u128, more: bool| {
        let links =
            if more { json!([{"rel": "next", "href": "http://elsewhere/"}]) } else { json!([]) };
        (200, json!({"operations": [operation(n)], "operations_links": links}))
    };
    let world = World::answering(&[page(1, true), page(2, false)]);
    let query =
        OperationQuery { status: Some(OperationStatus::Running), ..OperationQuery::default() };
    let all = world.client().list_operations(&ProjectId::from("p"), &query).await.unwrap();
    assert_eq!(
        all.iter().map(|o| o.id).collect::<Vec<_>>(),
        [OperationId(id(1)), OperationId(id(2))]
    );
    assert_eq!(
        world.lines(),
        [
            "GET /v1/p/operations?limit=500&status=running".to_owned(),
            format!("GET /v1/p/operations?limit=500&status=running&marker=op-{}", id(1))
        ]
    );
}

#[tokio::test]
async fn a_list_that_does_not_go_on_is_an_error_and_no_loop() {
    let links = json!([{"rel": "next", "href": "http://elsewhere/"}]);
    let page = json!({"operations": [operation(1)], "operations_links": links});
    let world = World::answering(&[(200, page)]);
    let all =
        world.client().list_operations(&ProjectId::from("p"), &OperationQuery::default()).await;
    assert!(all.unwrap_err().message.contains("same page"));
    assert_eq!(world.lines().len(), 2);
}

#[tokio::test]
async fn secrets_are_sent_where_they_belong() {
    let world = World::answering(&[(400, refusal("request.malformed", 400, "x"))]);
    let site =
        SiteCreate { name: "b".into(), password: Some("hunter2".into()), ..SiteCreate::default() };
    assert!(world.client().create_site(&site).await.is_err());
    assert_eq!(world.last().body["site"]["password"], "hunter2");
    assert_eq!(world.last().body["site"]["user_domain_name"], "Default");
    let policy = PolicySet {
        primary_fa_url: "https://a".into(),
        primary_fa_api_token: Some("t-a".into()),
        secondary_fa_url: "https://b".into(),
        secondary_fa_api_token: None,
        replication_interval: 300,
        rpo_minutes: None,
        retention: None,
    };
    assert!(!format!("{policy:?} {site:?}").contains("t-a"));
    assert!(
        world.client().set_policy(&ProjectId::from("p"), GroupId(id(6)), &policy).await.is_err()
    );
    assert_eq!(world.last().body["policy"]["primary_fa_api_token"], "t-a");
    assert_eq!(world.last().body["policy"]["secondary_fa_api_token"], Value::Null);
}

#[tokio::test]
async fn the_peer_is_called_on_its_own_paths() {
    let world = World::answering(&[(200, json!({"last_seq": 3}))]);
    let peer = world.peer();
    let now: DateTime<Utc> = "2025-11-03T10:00:00Z".parse().unwrap();
    let mapping = TenantMapping {
        id: TenantMappingId(id(7)),
        primary_site_id: SiteId(id(10)),
        primary_project_id: "p".into(),
        secondary_site_id: SiteId(id(11)),
        secondary_project_id: "q".into(),
        created_at: now,
    };
    let site: Site = serde_json::from_value(json!({
        "id": id(11), "name": "b", "description": "", "auth_url": "http://b:5000/v3", "region_name": null,
        "protector_url": null, "username": "u", "project_name": "service", "user_domain_name": "Default",
        "project_domain_name": "Default", "application_credential_id": null, "ca_cert": null, "insecure": false,
        "is_local": true, "cinder_host": null, "status": "active", "status_reason": null,
        "status_observed_at": null, "created_at": now
    }))
    .unwrap();
    peer.put_site(&SiteHandover { site, password: "hunter2".into() }).await.unwrap();
    assert_eq!(world.last().body["password"], "hunter2");
    peer.put_tenant_mapping(&mapping).await.unwrap();
    peer.delete_tenant_mapping(&mapping).await.unwrap();
    peer.put_array_token(GroupId(id(6)), SiteId(id(11)), &"t".into()).await.unwrap();
    assert_eq!(world.last().body, json!({"token": "t"}));
    let operation: OperationId = format!("op-{}", id(1)).parse().unwrap();
    let piece = OperationPiece {
        project_id: "p".into(),
        record: json!({"id": operation}),
        plan: None,
        entries: vec![json!({"seq": 3})],
    };
    assert_eq!(peer.put_operation(operation, &piece).await, Ok(3));
    assert_eq!(world.last().body["project_id"], "p");
    peer.delete_group(GroupId(id(6))).await.unwrap();
    assert_eq!(
        world.lines(),
        [
            format!("PUT /v1/peer/sites/{}", id(11)),
            format!("PUT /v1/peer/tenant-mappings/{}", id(7)),
            format!("DELETE /v1/peer/tenant-mappings/{}", id(7)),
            format!("PUT /v1/peer/groups/{}/array-tokens/{}", id(6), id(11)),
            format!("PUT /v1/peer/operations/op-{}", id(1)),
            format!("DELETE /v1/peer/groups/{}", id(6)),
        ]
    );
    // What is gone already is gone.
    let world = World::answering(&[(404, refusal("resource.not_found", 404, "x"))]);
    world.peer().delete_group(GroupId(id(6))).await.unwrap();
    assert!(matches!(
        world.peer().group_stamp(GroupId(id(6))).await,
        Err(PortError::Absent { .. })
    ));
}
