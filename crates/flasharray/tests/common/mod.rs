//! A service of a few lines, and clocks.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

pub mod array;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::any,
};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use protector_http::{Client, RouterTransport};
use protector_ports::DestroyPermit;
use protector_types::{BoxFuture, Clock, Evidence, ManualClock, OperationId};

/// Real time.
#[derive(Debug)]
pub struct RealClock(std::time::Instant);

impl RealClock {
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self(std::time::Instant::now()))
    }
}

impl Clock for RealClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A request as the service saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: serde_json::Value,
}

impl Seen {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What was asked, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    pub fn all(&self) -> Vec<Seen> {
        self.0.lock().clone()
    }

    pub fn count(&self, part: &str) -> usize {
        self.0.lock().iter().filter(|seen| seen.line().contains(part)).count()
    }

    pub fn last(&self, part: &str) -> Seen {
        let all = self.0.lock();
        all.iter().rev().find(|seen| seen.line().contains(part)).expect("no such request").clone()
    }
}

/// A router that keeps a log and answers by `answer`.
pub fn service(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> (Router, Log) {
    let log = Log::default();
    let kept = log.clone();
    let answer = Arc::new(answer);
    let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let (kept, answer) = (kept.clone(), answer.clone());
        async move {
            let seen = Seen {
                method,
                target: uri.path_and_query().unwrap().to_string(),
                headers,
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            kept.0.lock().push(seen.clone());
            // Gives others a chance to be under way at the same time.
            tokio::task::yield_now().await;
            answer(&seen)
        }
    };
    (Router::new().fallback(any(handler)), log)
}

pub fn json(status: u16, body: serde_json::Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

/// A client whose time stands still until told, over a transport in real time.
pub fn client(authority: &str, router: Router) -> (Client, ManualClock) {
    let transport = RouterTransport::new(RealClock::shared());
    transport.route(authority, router);
    let clock = ManualClock::new(DateTime::UNIX_EPOCH);
    (Client::new(Arc::new(transport), Arc::new(clock.clone())), clock)
}

/// As an engine has it, with evidence from its journal.
pub fn permit() -> DestroyPermit {
    DestroyPermit::made_by(Evidence::from_journal(OperationId::generate(), "test", 1))
}
