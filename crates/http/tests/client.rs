//! The client over routers in the same process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use common::{JumpClock, RealClock};
use http::Method;
use protector_http::{
    Call, CallContext, CallKind, Client, Dropped, LimiterConfig, Refused, RouterTransport, Service,
    ServiceOptions, UpstreamKind, in_context,
};
use protector_types::RequestId;

/// A service that answers its n-th call by `answer(n)`, counted from 1.
struct World {
    calls: Arc<AtomicUsize>,
    service: Service,
    client: Client,
    clock: Arc<JumpClock>,
}

fn world(answer: impl Fn(usize) -> Response + Send + Sync + Clone + 'static) -> World {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let router = Router::new().fallback(any(move || {
        let (counter, answer) = (counter.clone(), answer.clone());
        async move { answer(counter.fetch_add(1, SeqCst) + 1) }
    }));
    let transport = RouterTransport::new(RealClock::shared());
    transport.route("svc", router);
    let clock = Arc::new(JumpClock::default());
    let client = Client::new(Arc::new(transport), clock.clone());
    World { calls, service: client.service("nova", "site-a"), client, clock }
}

fn of(status: u16, body: &'static str) -> Response {
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

fn effect() -> Call {
    Call::new(Method::POST, "http://svc/things", CallKind::Effect)
}

#[tokio::test]
async fn a_read_is_repeated_until_it_works() {
    let bad: [fn() -> Response; 3] =
        [|| of(503, "<html>"), || (Extension(Dropped), "").into_response(), || of(500, "{}")];
    let world = world(move |n| if n <= 3 { bad[n - 1]() } else { of(200, r#"{"a": 1}"#) });
    let answer = world.service.send(Call::get("http://svc/x")).await.unwrap();
    assert_eq!(answer.json::<serde_json::Value>().unwrap()["a"], 1);
    assert_eq!(world.calls.load(SeqCst), 4);
    let counters = &world.client.metrics().snapshot()[0];
    assert_eq!((counters.throttled, counters.lost, counters.server_error), (1, 1, 1));
    assert_eq!((counters.success, counters.retries, counters.in_flight), (1, 3, 0));
    assert_eq!((counters.service.as_str(), counters.site.as_str()), ("nova", "site-a"));
}

#[tokio::test]
async fn a_read_that_never_works_ends_with_the_last_failure() {
    let world = world(|_| (Extension(Dropped), "").into_response());
    let error = world.service.send(Call::get("http://svc/x")).await.unwrap_err();
    assert_eq!(error.kind, UpstreamKind::Unknown);
    assert_eq!(world.calls.load(SeqCst), 4);
}

#[tokio::test]
async fn refusals_are_not_repeated() {
    for status in [400, 401, 403, 404, 409] {
        let world = world(move |_| of(status, r#"{"error": {"message": "no"}}"#));
        let error = world.service.send(Call::get("http://svc/x")).await.unwrap_err();
        assert_eq!(error.message, "no");
        assert_eq!(world.calls.load(SeqCst), 1, "{status}");
    }
}

#[tokio::test]
async fn an_effect_is_repeated_only_when_it_certainly_did_not_happen() {
    let cases: [(fn() -> Response, usize); 6] = [
        (|| (Extension(Refused), "").into_response(), 2),
        (|| of(429, ""), 2),
        (|| of(503, r#"{"error": {"message": "busy"}}"#), 2),
        (|| of(503, "<html>proxy</html>"), 1),
        (|| of(500, "{}"), 1),
        (|| (Extension(Dropped), "").into_response(), 1),
    ];
    for (number, (bad, expected)) in cases.into_iter().enumerate() {
        let world = world(move |n| if n == 1 { bad() } else { of(202, "{}") });
        let outcome = world.service.send(effect()).await;
        assert_eq!(world.calls.load(SeqCst), expected, "case {number}");
        assert_eq!(outcome.is_ok(), expected == 2, "case {number}");
        if let Err(error) = outcome {
            assert_eq!(error.kind, UpstreamKind::Unknown, "case {number}");
        }
    }
}

#[tokio::test]
async fn what_the_service_asked_for_is_waited() {
    let world = world(|n| match n {
        1 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")], "").into_response(),
        _ => of(200, "{}"),
    });
    world.service.send(Call::get("http://svc/x")).await.unwrap();
    let slept = world.clock.slept.lock().clone();
    assert_eq!(slept.len(), 1);
    assert!(slept[0] >= Duration::from_secs(7) && slept[0] < Duration::from_secs(8), "{slept:?}");
    assert_eq!(world.service.concurrency(), 8, "the service said that it has too much to do");
}

#[tokio::test]
async fn no_pause_goes_over_the_budget() {
    let world = world(|_| {
        (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "600")], "{}").into_response()
    });
    let error = world.service.send(Call::get("http://svc/x")).await.unwrap_err();
    assert_eq!(error.kind, UpstreamKind::Transient);
    assert_eq!(error.retry_after, Some(Duration::from_secs(600)));
    assert_eq!(world.calls.load(SeqCst), 1);
    assert!(world.clock.slept.lock().is_empty());
}

#[tokio::test]
async fn after_the_end_of_the_lease_nothing_is_sent() {
    let world = world(|_| of(200, "{}"));
    let context = CallContext {
        not_after: Some(std::sync::Arc::new(|| Duration::ZERO)),
        ..CallContext::default()
    };
    let error = in_context(context, world.service.send(effect())).await.unwrap_err();
    assert_eq!(error.kind, UpstreamKind::Transient);
    assert_eq!(world.calls.load(SeqCst), 0);
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    let world = world(|_| of(200, "{}"));
    let error = world.service.send(Call::get("http://elsewhere/x")).await.unwrap_err();
    assert_eq!(error.kind, UpstreamKind::Transient);
    assert_eq!(world.client.metrics().snapshot()[0].refused, 4);
}

#[tokio::test]
async fn a_bad_address_is_said_so() {
    let world = world(|_| of(200, "{}"));
    for url in ["not a url", "/relative", "http://sv c/"] {
        let error = world.service.send(Call::get(url)).await.unwrap_err();
        assert_eq!(error.kind, UpstreamKind::Invalid, "{url}: {error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let world = world(|_| of(200, "0123456789"));
    let error = world.service.send(Call::get("http://svc/x").max_body(9)).await.unwrap_err();
    assert_eq!(error.kind, UpstreamKind::Unknown);
    assert!(error.message.contains("9 bytes"), "{error}");
    assert_eq!(world.calls.load(SeqCst), 1);
    assert!(world.service.send(Call::get("http://svc/x").max_body(10)).await.is_ok());
}

#[tokio::test]
async fn request_id_user_agent_and_body_are_sent() {
    let router = Router::new().fallback(any(|headers: HeaderMap, body: Bytes| async move {
        let header = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        serde_json::json!({
            "id": header("x-openstack-request-id"),
            "agent": header("user-agent"),
            "type": header("content-type"),
            "body": String::from_utf8_lossy(&body),
        })
        .to_string()
    }));
    let transport = RouterTransport::new(RealClock::shared());
    transport.route("svc", router);
    let client = Client::new(Arc::new(transport), RealClock::shared());
    let service = client.service("nova", "site-a");
    let context =
        CallContext { request_id: Some(RequestId::from("req-1")), ..CallContext::default() };
    let call = effect().json(&serde_json::json!({"a": 1}));
    let seen: serde_json::Value =
        in_context(context, service.send(call)).await.unwrap().json().unwrap();
    assert_eq!(
        seen,
        serde_json::json!({"id": "req-1", "agent": "protector", "type": "application/json", "body": "{\"a\":1}"})
    );
}

#[tokio::test]
async fn a_late_answer_is_lost_and_its_effect_still_lands() {
    let landed = Arc::new(AtomicUsize::new(0));
    let seen = landed.clone();
    let router = Router::new().fallback(any(move || async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        seen.fetch_add(1, SeqCst);
        "{}"
    }));
    let transport = RouterTransport::new(RealClock::shared());
    transport.route("svc", router);
    let client = Client::new(Arc::new(transport), RealClock::shared());
    let service = client.service("nova", "site-a");
    let error = service.send(effect().budget(Duration::from_millis(60))).await.unwrap_err();
    assert_eq!(error.kind, UpstreamKind::Unknown);
    assert_eq!(landed.load(SeqCst), 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(landed.load(SeqCst), 1);
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_the_limit_allows() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (in_now, in_most) = (now.clone(), most.clone());
    let router = Router::new().fallback(any(move || async move {
        in_most.fetch_max(in_now.fetch_add(1, SeqCst) + 1, SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        in_now.fetch_sub(1, SeqCst);
        "{}"
    }));
    let transport = RouterTransport::new(RealClock::shared());
    transport.route("svc", router);
    let client = Client::new(Arc::new(transport), RealClock::shared());
    let service = client.service_with("nova", "site-a", || ServiceOptions {
        limiter: LimiterConfig { start: 3, max: 3, ..LimiterConfig::default() },
        ..ServiceOptions::default()
    });
    let tasks: Vec<_> = (0..30)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { service.send(effect()).await.is_ok() })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert_eq!(most.load(SeqCst), 3);
}

#[tokio::test]
async fn waiting_for_a_place_ends_with_the_budget() {
    let router = Router::new().fallback(any(|| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        "{}"
    }));
    let transport = RouterTransport::new(RealClock::shared());
    transport.route("svc", router);
    let client = Client::new(Arc::new(transport), RealClock::shared());
    let service = client.service_with("nova", "site-a", || ServiceOptions {
        limiter: LimiterConfig { start: 1, max: 1, ..LimiterConfig::default() },
        ..ServiceOptions::default()
    });
    let first = {
        let service = service.clone();
        tokio::spawn(async move { service.send(effect()).await })
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    let error = service.send(effect().budget(Duration::from_millis(100))).await.unwrap_err();
    assert_eq!(error.kind, UpstreamKind::Transient, "{error}");
    first.abort();
}
