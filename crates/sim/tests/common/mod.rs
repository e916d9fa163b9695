//! A client over a router in the same process.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use chrono::{TimeZone, Utc};
use protector_sim::{
    array::{Array, ArrayConfig},
    cloud::{Cloud, CloudConfig, Profile},
    faults::{Dropped, FaultPlan, Refused},
    world::SiteConfig,
};
use protector_types::ManualClock;
use serde_json::{Value, json};
use tower::ServiceExt;

/// One cloud, its plan and its clock.
pub struct Lab {
    pub clock: ManualClock,
    pub plan: FaultPlan,
    pub cloud: Cloud,
    pub router: Router,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
    pub bytes: Bytes,
    /// Closed without an answer.
    pub dropped: bool,
    /// Nobody listened.
    pub refused: bool,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(42, Profile::default())
    }

    pub fn with(seed: u64, profile: Profile) -> Self {
        let clock = ManualClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap());
        let plan = FaultPlan::new(seed);
        let site = SiteConfig::usual('a');
        let cloud = Cloud::new(CloudConfig {
            name: site.name,
            region: site.region,
            base_url: "http://site-a.sim".to_owned(),
            clock: Arc::new(clock.clone()),
            profile,
            seed,
            array: Array::new(ArrayConfig::new("array-a", Arc::new(clock.clone()), seed)),
            faults: plan.clone(),
            accounts: site.accounts,
            networks: site.networks,
            images: site.images,
        });
        Self { router: cloud.router(), clock, plan, cloud }
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// One call with any headers.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        send(&self.router, method, path, headers, body).await
    }

    /// Logs in with a password; panics if that fails.
    pub async fn login(&self, user: &str, project: &str) -> Token<'_> {
        let answer = self
            .raw(
                "POST",
                "/identity/v3/auth/tokens",
                &[],
                Some(password(user, &word(user), project)),
            )
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Token {
            lab: self,
            secret: answer.headers["x-subject-token"].to_str().unwrap().to_owned(),
            body: answer.body,
        }
    }

    pub async fn admin(&self) -> Token<'_> {
        self.login("admin", "admin").await
    }

    pub async fn app(&self) -> Token<'_> {
        self.login("app-user", "app").await
    }

    /// A token of any login body; the answer if it fails.
    pub async fn login_with(&self, body: Value) -> Result<Token<'_>, Answer> {
        let answer = self.raw("POST", "/identity/v3/auth/tokens", &[], Some(body)).await;
        if answer.status != 201 {
            return Err(answer);
        }
        let secret = answer.headers["x-subject-token"].to_str().unwrap().to_owned();
        Ok(Token { lab: self, secret, body: answer.body })
    }
}

/// The seeded password of a user.
pub fn word(user: &str) -> String {
    format!("{}-password", user.trim_end_matches("-user"))
}

/// A login body.
pub fn password(user: &str, password: &str, project: &str) -> Value {
    json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"name": user, "domain": {"name": "Default"}, "password": password}}},
        "scope": {"project": {"name": project, "domain": {"id": "default"}}},
    }})
}

pub async fn send(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Answer {
    let mut request =
        Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map_or_else(Body::empty, |b| Body::from(b.to_string()));
    let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let dropped = response.extensions().get::<Dropped>().is_some();
    let refused = response.extensions().get::<Refused>().is_some();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status, headers, body, bytes, dropped, refused }
}

/// A logged-in user.
pub struct Token<'a> {
    pub lab: &'a Lab,
    pub secret: String,
    pub body: Value,
}

impl Token<'_> {
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.lab
            .raw(
                method,
                path,
                &[("x-auth-token", &self.secret), ("accept", "application/json")],
                body,
            )
            .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    pub fn user_id(&self) -> String {
        self.body["token"]["user"]["id"].as_str().unwrap().to_owned()
    }

    pub fn project_id(&self) -> String {
        self.body["token"]["project"]["id"].as_str().unwrap().to_owned()
    }

    /// True if the token still validates.
    pub async fn lives(&self) -> bool {
        let headers =
            [("x-auth-token", self.secret.as_str()), ("x-subject-token", self.secret.as_str())];
        self.lab.raw("GET", "/identity/v3/auth/tokens", &headers, None).await.status == 200
    }
}
