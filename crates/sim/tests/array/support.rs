//! Two linked arrays, a clock to move, and short ways to call them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request},
};
use chrono::{TimeZone, Utc};
use http_body_util::BodyExt;
use protector_sim::array::{Array, ArrayConfig, TransferTiming};
use protector_types::ManualClock;
use serde_json::{Value, json};
use tower::ServiceExt;

pub const GIB: u64 = 1 << 30;
pub const MINUTE: u64 = 60_000;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub json: Value,
}

impl Reply {
    pub fn items(&self) -> Vec<Value> {
        self.json["items"].as_array().cloned().unwrap_or_default()
    }

    pub fn names(&self) -> Vec<String> {
        self.items().iter().map(|i| i["name"].as_str().unwrap_or("").to_owned()).collect()
    }

    pub fn message(&self) -> String {
        self.json["errors"][0]["message"].as_str().unwrap_or("").to_owned()
    }
}

/// One array and a session on it.
pub struct Client {
    pub array: Array,
    router: Router,
    session: Option<String>,
    version: &'static str,
}

impl Client {
    pub fn new(array: &Array) -> Self {
        let router = array.router();
        Self { array: array.clone(), router, session: None, version: "2.26" }
    }

    /// The same array in another REST version.
    pub fn version(&self, version: &'static str) -> Self {
        Self { version, ..Self::new(&self.array) }
    }

    pub async fn raw(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let json =
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Reply { status: parts.status.as_u16(), headers: parts.headers, json }
    }

    pub async fn login(&mut self) -> Reply {
        let uri = format!("/api/{}/login", self.version);
        let token = self.array.config().admin_token().to_owned();
        let reply = self.raw("POST", &uri, &[("api-token", &token)], "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        self.session = Some(reply.headers["x-auth-token"].to_str().unwrap().to_owned());
        reply
    }

    pub fn session(&self) -> &str {
        self.session.as_deref().unwrap()
    }

    pub async fn call(&mut self, method: &str, path: &str, body: Value) -> Reply {
        let uri = format!("/api/{}{path}", self.version);
        let text = if body.is_null() { String::new() } else { body.to_string() };
        for _ in 0..2 {
            if self.session.is_none() {
                self.login().await;
            }
            let reply = self.raw(method, &uri, &[("x-auth-token", self.session())], &text).await;
            if reply.status != 401 {
                return reply;
            }
            self.session = None;
        }
        panic!("no session");
    }

    /// Must work; gives the items.
    pub async fn ok(&mut self, method: &str, path: &str, body: Value) -> Vec<Value> {
        let reply = self.call(method, path, body).await;
        assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
        reply.items()
    }

    pub async fn get(&mut self, path: &str) -> Vec<Value> {
        self.ok("GET", path, Value::Null).await
    }

    /// Must be refused with a 400 that says `words`.
    pub async fn no(&mut self, method: &str, path: &str, body: Value, words: &str) {
        let reply = self.call(method, path, body).await;
        assert_eq!(reply.status, 400, "{method} {path}: {reply:?}");
        assert!(reply.message().contains(words), "{method} {path}: {reply:?}");
    }

    pub async fn volume(&mut self, name: &str) -> Value {
        let path = format!("/volumes?names={name}&with_default_protection=false");
        self.ok("POST", &path, json!({"provisioned": GIB})).await.remove(0)
    }

    /// A volume that `host` can write to.
    pub async fn connected(&mut self, name: &str) {
        self.volume(name).await;
        self.array.connect("guest", name).unwrap();
    }

    pub fn write(&self, volume: &str, stamp: &str) {
        self.array.write("guest", volume, stamp).unwrap();
    }
}

/// Two linked arrays.
pub struct Pair {
    pub a: Client,
    pub b: Client,
    pub clock: ManualClock,
}

impl Pair {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// Transfers take exactly ten seconds plus a second per stamp, unless `change` says otherwise.
    pub fn with(change: impl Fn(&mut ArrayConfig)) -> Self {
        let clock = ManualClock::new(Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap());
        let array = |name: &str| {
            let mut config = ArrayConfig::new(name, Arc::new(clock.clone()), 7);
            config.transfer = TransferTiming {
                base_ms: (10_000, 10_000),
                bytes_per_second: 1 << 20,
                bytes_per_stamp: 1 << 20,
            };
            change(&mut config);
            Array::new(config)
        };
        let (a, b) = (array("a"), array("b"));
        Array::link(&a, &b);
        Self { a: Client::new(&a), b: Client::new(&b), clock }
    }

    pub fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    /// A group `pg` on a with the volumes, replicated to b and allowed there; schedules off.
    pub async fn replicated(&mut self, volumes: &[&str]) {
        for volume in volumes {
            self.a.connected(volume).await;
        }
        self.a.ok("POST", "/protection-groups?names=pg", Value::Null).await;
        let members = volumes.join(",");
        let path = format!("/protection-groups/volumes?group_names=pg&member_names={members}");
        self.a.ok("POST", &path, Value::Null).await;
        let path = "/protection-groups/targets?group_names=pg&member_names=b";
        self.a.ok("POST", path, Value::Null).await;
        let path = "/protection-groups/targets?group_names=a%3Apg";
        self.b.ok("PATCH", path, json!({"allowed": true})).await;
    }

    /// An on-demand snapshot that is shipped.
    pub async fn ship(&mut self, how: &str, suffix: &str) {
        let path = format!("/protection-group-snapshots?source_names=pg&{how}=true");
        self.a.ok("POST", &path, json!({"suffix": suffix})).await;
    }

    /// The row of a shipment on the target.
    pub async fn transfer(&mut self, suffix: &str) -> Value {
        let path = format!("/protection-group-snapshots/transfer?names=a%3Apg.{suffix}");
        self.b.get(&path).await.remove(0)
    }
}
