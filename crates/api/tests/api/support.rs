//! One API in the process, and short words for calling it.

use std::sync::Arc;

use axum::{Router, body::Body};
use chrono::{DateTime, Utc};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use protector_api::{AppState, router};
use protector_policy::PolicyFile;
use protector_types::ManualClock;
use serde_json::Value;
use tower::ServiceExt;

use crate::fake::FakeCore;

pub const JSON: (&str, &str) = ("content-type", "application/json");

/// The instant at which every test begins.
pub fn start() -> DateTime<Utc> {
    "2025-11-03T10:00:00Z".parse().unwrap()
}

pub struct Api {
    pub router: Router,
    pub core: Arc<FakeCore>,
    pub clock: ManualClock,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Codes of the error body, whose form is checked.
    pub fn codes(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().unwrap_or_else(|| panic!("no errors: {body}"));
        assert!(!errors.is_empty());
        for error in errors {
            for key in ["request_id", "code", "status", "title", "detail", "links"] {
                assert!(error.get(key).is_some(), "{key} is missing in {error}");
            }
            assert_eq!(error["request_id"], self.header("x-openstack-request-id"), "{error}");
            let code = error["code"].as_str().unwrap();
            let help = error["links"][0]["href"].as_str().unwrap();
            assert!(help.ends_with(&format!("/{code}.md")), "{help}");
        }
        errors.iter().map(|error| error["code"].as_str().unwrap().to_owned()).collect()
    }

    /// All sentences of the error body.
    pub fn details(&self) -> String {
        let body = self.json();
        let errors = body["errors"].as_array().unwrap();
        errors.iter().map(|e| e["detail"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
    }
}

impl Api {
    pub fn new() -> Self {
        let clock = ManualClock::new(start());
        let core = Arc::new(FakeCore::new());
        let policy = PolicyFile::open("no-such-directory/policy.yaml", Arc::new(clock.clone()));
        let state =
            AppState::builder(core.clone(), Arc::new(policy.unwrap()), Arc::new(clock.clone()))
                .keystone_uri("http://keystone.site-a:5000/v3")
                .operation_counts(core.clone())
                .build();
        Self { router: router(state), core, clock }
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "site-a:8788");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// With the token of `who`, in the newest version.
    pub async fn call(&self, who: &str, method: &str, path: &str, body: &str) -> Answer {
        self.call_in("protector latest", who, method, path, body).await
    }

    pub async fn call_in(
        &self,
        version: &str,
        who: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let headers = [JSON, ("x-auth-token", who), ("openstack-api-version", version)];
        self.send(method, path, &headers, body).await
    }

    pub async fn get(&self, who: &str, path: &str) -> Answer {
        self.call(who, "GET", path, "").await
    }

    pub async fn post(&self, who: &str, path: &str, body: &str) -> Answer {
        self.call(who, "POST", path, body).await
    }
}

/// The keys of an object, in order of the alphabet.
pub fn keys(value: &Value) -> Vec<String> {
    value.as_object().unwrap_or_else(|| panic!("not an object: {value}")).keys().cloned().collect()
}
