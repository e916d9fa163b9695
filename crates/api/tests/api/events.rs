//! The journal, paged and followed live.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use protector_types::OperationStatus;
use tower::ServiceExt;

use crate::{
    fake::{PROJECT, event, operation_id},
    support::Api,
};

fn path() -> String {
    format!("/v1/{PROJECT}/operations/{}/events", operation_id())
}

#[tokio::test]
async fn the_journal_comes_in_pages() {
    let api = Api::new();
    let body = api.get("member", &format!("{}?limit=2", path())).await.json();
    let seqs: Vec<_> =
        body["events"].as_array().unwrap().iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2]);
    let next = body["events_links"][0]["href"].as_str().unwrap();
    assert!(next.ends_with("?limit=2&marker=2"), "{next}");
    let body = api.get("member", &format!("{}?limit=2&marker=4", path())).await.json();
    assert_eq!(body["events"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["events_links"], serde_json::json!([]));
}

async fn stream(api: &Api, last: &str) -> Body {
    let request = Request::get(path())
        .header("x-auth-token", "member")
        .header("openstack-api-version", "protector 1.3")
        .header("accept", "text/event-stream")
        .header("last-event-id", last)
        .body(Body::empty())
        .unwrap();
    let response = api.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body()
}

async fn frame(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn it_is_followed_live_until_the_operation_ends() {
    let api = Api::new();
    api.core.record.lock().status = OperationStatus::Running;
    let mut body = stream(&api, "4").await;
    let first = frame(&mut body).await.unwrap();
    assert!(first.contains("id: 5") && first.contains("event: done"), "{first}");

    // Nothing new: it waits, and looks again half a second later.
    assert!(tokio::time::timeout(Duration::from_millis(50), frame(&mut body)).await.is_err());
    api.core.events.lock().push(event(6));
    assert!(tokio::time::timeout(Duration::from_millis(50), frame(&mut body)).await.is_err());
    api.clock.advance(Duration::from_millis(500));
    assert!(frame(&mut body).await.unwrap().contains("id: 6"));

    api.core.events.lock().push(event(7));
    api.core.record.lock().status = OperationStatus::Completed;
    assert!(frame(&mut body).await.unwrap().contains("id: 7"));
    let end = frame(&mut body).await.unwrap();
    assert!(end.contains("event: end") && end.contains("completed"), "{end}");
    assert_eq!(frame(&mut body).await, None);
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let api = Api::new();
    api.core.record.lock().status = OperationStatus::Running;
    let mut body = stream(&api, "5").await;
    api.clock.advance(Duration::from_secs(3600));
    let end = frame(&mut body).await.unwrap();
    assert!(end.contains("event: error") && end.contains("expired"), "{end}");
    assert_eq!(frame(&mut body).await, None);
}
