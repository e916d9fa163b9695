//! The layer that puts the plan, latency, partitions and hard kills in front of a router.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use protector_http::transport::{Dropped, Refused};
use protector_types::Clock;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Effect, FaultPlan, Partition, stale::Past};
use crate::cloud::{Service, draw_ms, header as text_header};

/// A response that stands for a connection that closed without an answer. A server closes the socket
/// on it; a transport in the same process sees the marker [`Dropped`].
pub fn dropped() -> Response {
    marked(Dropped)
}

/// A response that stands for a connection that nobody took: the call cannot have had an effect. Over a
/// socket it is closed like any other; a transport in the same process sees the marker [`Refused`].
pub fn refused() -> Response {
    marked(Refused)
}

fn marked(marker: impl Clone + Send + Sync + 'static) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.extensions_mut().insert(marker);
    response
}

/// What a rule can match.
#[derive(Debug, Clone)]
pub struct Call {
    /// `identity`, `compute`, `volume`, `network`, `image` or `array`.
    pub service: String,
    /// `GET` ...
    pub method: String,
    /// Path and query.
    pub path: String,
    /// As text.
    pub body: String,
    /// Hash of method, path and body.
    pub identity: u64,
}

impl Call {
    fn new(is_array: bool, request: &axum::http::request::Parts, body: &[u8]) -> Self {
        let path = request.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        let service = if is_array { "array" } else { Service::of_path(&path).name() };
        let method = request.method.as_str().to_owned();
        let text = String::from_utf8_lossy(body).into_owned();
        let identity = fnv(&[method.as_bytes(), path.as_bytes(), body]);
        Self { service: service.to_owned(), method, path, body: text, identity }
    }
}

/// FNV-1a over parts.
fn fnv(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|p| p.iter().chain(std::iter::once(&0xff)));
    bytes.fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What stands in front of one cloud or array; clones share it.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    plan: FaultPlan,
    site: String,
    is_array: bool,
    clock: Arc<dyn Clock>,
    call_ms: (u64, u64),
    past: Past,
    /// Cancelled when the site's power goes; a new one takes its place.
    power: Mutex<CancellationToken>,
}

/// Uploads of images are the largest bodies.
const MOST_BYTES: usize = 80 << 20;

/// How often a hanging call looks whether its partition has ended, in world's milliseconds.
const POLL_MS: u64 = 50;

impl Gate {
    /// A gate; `call_ms` is the range from which each call's latency is drawn.
    pub fn new(
        plan: FaultPlan,
        site: &str,
        is_array: bool,
        clock: Arc<dyn Clock>,
        call_ms: (u64, u64),
    ) -> Self {
        Self(Arc::new(Inner {
            plan,
            site: site.to_owned(),
            is_array,
            clock,
            call_ms,
            past: Past::default(),
            power: Mutex::new(CancellationToken::new()),
        }))
    }

    /// The plan that all gates of a world share.
    pub fn plan(&self) -> &FaultPlan {
        &self.0.plan
    }

    /// The cloud's or array's name.
    pub fn site(&self) -> &str {
        &self.0.site
    }

    /// Everything under way dies without effect, late effects too: the machine lost power.
    pub fn cut_power(&self) {
        let mut power = self.0.power.lock();
        power.cancel();
        *power = CancellationToken::new();
    }

    /// Puts the gate in front of a router.
    pub fn wrap(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), pass))
    }

    async fn sleep(&self, duration: Duration) {
        if !duration.is_zero() {
            self.0.clock.sleep(duration).await;
        }
    }

    async fn hang(&self, ms: u64) -> Response {
        self.sleep(Duration::from_millis(ms)).await;
        dropped()
    }

    /// Runs a call to its end even if the client goes away (a real server does not notice), unless the
    /// power goes.
    async fn run(&self, delay: Duration, next: Next, request: Request) -> Response {
        let task = self.spawn(delay, next, request);
        match task.await {
            Ok(Some(response)) => response,
            Ok(None) => dropped(),
            Err(error) => {
                tracing::error!(site = %self.0.site, %error, "a simulated handler panicked");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    fn spawn(
        &self,
        delay: Duration,
        next: Next,
        request: Request,
    ) -> tokio::task::JoinHandle<Option<Response>> {
        let power = self.0.power.lock().clone();
        let gate = self.clone();
        tokio::spawn(async move {
            let work = async {
                gate.sleep(delay).await;
                next.run(request).await
            };
            tokio::select! {
                biased;
                () = power.cancelled() => None,
                response = work => Some(response),
            }
        })
    }

    /// Hangs or closes while the site is cut off; `None`: it is not.
    async fn partitioned(&self) -> Option<Response> {
        let partition = self.0.plan.partitioned(&self.0.site)?;
        self.0.plan.count(&self.0.site, "partition");
        if partition == Partition::Refuse {
            return Some(refused());
        }
        self.wait_while_hanging().await;
        Some(dropped())
    }

    async fn wait_while_hanging(&self) {
        while self.0.plan.partitioned(&self.0.site) == Some(Partition::Hang) {
            self.0.clock.sleep(Duration::from_millis(POLL_MS)).await;
        }
    }

    fn refusal(
        &self,
        path: &str,
        code: u16,
        message: Option<String>,
        retry_after: Option<u64>,
    ) -> Response {
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let usual = status.canonical_reason().unwrap_or("Error").to_owned();
        let mut response = if self.0.is_array {
            (status, Json(array_error(code, message))).into_response()
        } else if status == StatusCode::UNAUTHORIZED {
            Service::of_path(path).unauthorized().into_response()
        } else {
            let error = Service::of_path(path).error(status, message.unwrap_or(usual));
            match retry_after {
                Some(secs) => error.header("retry-after", &secs.to_string()).into_response(),
                None => error.into_response(),
            }
        };
        if let Some(value) = retry_after.and_then(|s| HeaderValue::from_str(&s.to_string()).ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }

    async fn answer_from_the_past(
        &self,
        call: &Call,
        token: &str,
        response: Response,
        ms: u64,
    ) -> Response {
        let now = self.0.clock.monotonic();
        let (mut parts, body) = response.into_parts();
        let Ok(today) = axum::body::to_bytes(body, MOST_BYTES).await else { return dropped() };
        if !parts.status.is_success() {
            return Response::from_parts(parts, today.into());
        }
        let key = format!("{token} {}", call.path);
        let old = self.0.past.before(&key, &today, now, Duration::from_millis(ms));
        self.0.past.note_answer(&key, &today, now);
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, old.into())
    }

    /// Remembers what later stale answers are made of.
    async fn remember(&self, call: &Call, token: &str, response: Response) -> Response {
        let read = call.method == "GET" && self.0.plan.may_be_stale(&self.0.site, call);
        let write = call.method != "GET" && self.0.plan.has_stale_rules();
        if !response.status().is_success() || !(read || write) {
            return response;
        }
        let now = self.0.clock.monotonic();
        let (parts, body) = response.into_parts();
        let Ok(bytes) = axum::body::to_bytes(body, MOST_BYTES).await else { return dropped() };
        if read {
            self.0.past.note_answer(&format!("{token} {}", call.path), &bytes, now);
        } else {
            self.0.past.note_birth(&bytes, now);
        }
        Response::from_parts(parts, bytes.into())
    }
}

/// As an array words it; 403 and 429 come from the gateway in front of it and look different.
fn array_error(code: u16, message: Option<String>) -> serde_json::Value {
    let usual = match code {
        401 => "Invalid session.",
        403 => "Forbidden.",
        429 => "API rate limit exceeded.",
        500 => "Server is busy",
        503 => "Service is unavailable.",
        _ => "The request was refused.",
    };
    let message = message.unwrap_or_else(|| usual.to_owned());
    if matches!(code, 403 | 429) {
        return json!({"message": message});
    }
    json!({"errors": [{"context": null, "message": message}]})
}

async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    // The tests' own door stays open whatever happens to the site.
    if request.uri().path().starts_with("/_sim") {
        return next.run(request).await;
    }
    if let Some(response) = gate.partitioned().await {
        return response;
    }
    let response = faulty(&gate, request, next).await;
    if gate.0.plan.partitioned(&gate.0.site).is_some() {
        // Cut off while the call was under way: it may have had its effect, its answer is lost.
        gate.wait_while_hanging().await;
        return dropped();
    }
    response
}

async fn faulty(gate: &Gate, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes): Result<Bytes, _> = axum::body::to_bytes(body, MOST_BYTES).await else {
        return dropped();
    };
    let call = Call::new(gate.0.is_array, &parts, &bytes);
    let token = text_header(&parts.headers, "x-auth-token").unwrap_or_default().to_owned();
    let request = Request::from_parts(parts, bytes.into());
    let site = gate.0.site.clone();
    let attempt = gate.0.plan.attempt(&site, call.identity);
    let latency =
        draw_ms(gate.0.plan.seed(), &format!("call/{site}/{:016x}", call.identity), gate.0.call_ms);
    let effect = gate.0.plan.decide(&site, &call, attempt);
    if let Some(effect) = &effect {
        tracing::debug!(
            site,
            method = call.method,
            path = call.path,
            attempt,
            fault = effect.name(),
            "fault injected"
        );
    }
    match effect {
        None => {
            let response = gate.run(latency, next, request).await;
            gate.remember(&call, &token, response).await
        }
        Some(Effect::Refuse) => refused(),
        Some(Effect::TimeoutBefore { hang_ms }) => gate.hang(hang_ms).await,
        Some(Effect::TimeoutAfter { hang_ms }) => {
            let response = gate.run(latency, next, request).await;
            gate.remember(&call, &token, response).await;
            gate.hang(hang_ms).await
        }
        Some(Effect::LateEffect { secs, hang_ms }) => {
            // Nobody waits for it: that is the point.
            drop(gate.spawn(Duration::from_secs(secs), next, request));
            gate.hang(hang_ms).await
        }
        Some(Effect::Status { code, message, retry_after }) => {
            gate.sleep(latency).await;
            gate.refusal(&call.path, code, message, retry_after)
        }
        Some(Effect::Stale { ms }) => {
            let response = gate.run(latency, next, request).await;
            gate.answer_from_the_past(&call, &token, response, ms).await
        }
        Some(Effect::Slow { ms }) => {
            let response = gate.run(latency + Duration::from_millis(ms), next, request).await;
            gate.remember(&call, &token, response).await
        }
    }
}
