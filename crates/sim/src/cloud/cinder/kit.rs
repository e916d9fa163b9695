//! What Nova and Cinder share: the locked world, its queue of due work, refusals in the OpenStack
//! form, and the decoded request.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Deref,
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use http::{HeaderValue, StatusCode, header};
use protector_types::{Rng, SplitMix};
use serde_json::{Map, Value, json};

use crate::cloud::{Caller, Cloud, Inner, Microversion, Service, State};

/// A service's refusal; becomes `{"<fault>": {"code", "message"}}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct Refusal {
    pub code: u16,
    pub message: String,
}

/// What handlers give back.
pub(crate) type Reply = Result<Response, Refusal>;

macro_rules! refusals {
    ($($name:ident = $code:literal),*) => { impl Refusal { $(
        pub(crate) fn $name(message: impl Into<String>) -> Self {
            Self { code: $code, message: message.into() }
        })*
    } };
}
refusals!(bad = 400, denied = 403, absent = 404, conflict = 409, over = 413, broken = 500);

impl Refusal {
    /// A rule of the service's policy said no.
    pub(crate) fn policy(rule: &str) -> Self {
        Self::denied(format!("Policy doesn't allow {rule} to be performed."))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Nova and Cinder share the form of their faults.
        let error = Service::Nova.error(status, self.message);
        let error = if self.code == 413 { error.header("retry-after", "0") } else { error };
        error.into_response()
    }
}

/// A JSON answer.
pub(crate) fn reply(status: StatusCode, body: Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        body.to_string(),
    )
        .into_response()
}

/// 200 with a body.
pub(crate) fn ok(body: Value) -> Reply {
    Ok(reply(StatusCode::OK, body))
}

/// A status without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    Ok(status.into_response())
}

/// Who calls, and under which microversion.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub caller: Caller,
    /// The minor microversion that the call runs under (3.x or 2.x).
    pub version: u16,
}

impl Deref for Who {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl Who {
    /// The microversion is at least this one.
    pub(crate) fn since(&self, minor: u16) -> bool {
        self.version >= minor
    }

    /// May see and change the object; reading roles are not told apart.
    pub(crate) fn admin(&self) -> bool {
        self.caller.is_admin()
    }
}

/// One decoded request.
pub(crate) struct Call {
    pub who: Who,
    pub path: HashMap<String, String>,
    /// The path below the service's root.
    pub uri_path: String,
    pub query: Vec<(String, String)>,
    pub body: Value,
}

impl Call {
    /// A path parameter.
    pub(crate) fn arg(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// The first query parameter of that name.
    pub(crate) fn q(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// True for `1`, `true`, `yes`, also for a bare `?all_tenants`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.q(name).is_some_and(|v| {
            v.is_empty()
                || ["1", "true", "t", "yes", "y", "on"].contains(&v.to_lowercase().as_str())
        })
    }

    /// The object under `key` of the body.
    pub(crate) fn object(&self, key: &str) -> Result<&Map<String, Value>, Refusal> {
        self.body.get(key).and_then(Value::as_object).ok_or_else(|| {
            Refusal::bad(format!(
                "Invalid input for field/attribute {key}. '{key}' is a required property"
            ))
        })
    }
}

impl FromRequest<Cloud> for Call {
    type Rejection = Response;

    async fn from_request(request: Request, cloud: &Cloud) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, cloud)
            .await
            .map_err(IntoResponse::into_response)?;
        let version = parts.extensions.get::<Microversion>().map_or(0, |v| v.1);
        let path: HashMap<String, String> = RawPathParams::from_request_parts(&mut parts, cloud)
            .await
            .map(|p| p.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
            .unwrap_or_default();
        if path.get("project_id").is_some_and(|project| *project != caller.project_id) {
            return Err(Refusal::bad("Malformed request url").into_response());
        }
        let uri_path = parts.uri.path().to_owned();
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes())
            .into_owned()
            .collect();
        let bytes = Bytes::from_request(Request::from_parts(parts, body), cloud)
            .await
            .map_err(IntoResponse::into_response)?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|_| Refusal::bad("Malformed request body").into_response())?
        };
        Ok(Self { who: Who { caller, version }, path, uri_path, query, body })
    }
}

/// Settles the microversion of a request and tells it in the answer.
pub(crate) async fn microversion(
    service: Service,
    (min, max): (Microversion, Microversion),
    mut request: Request,
    next: Next,
) -> Response {
    let version = match Microversion::negotiate(request.headers(), service, min, max) {
        Ok(version) => version,
        Err(refused) => return refused.into_response(),
    };
    request.extensions_mut().insert(version);
    let mut response = next.run(request).await;
    for (name, value) in &version.response_headers(service) {
        response.headers_mut().append(name.clone(), value.clone());
    }
    response
}

/// Work that falls due; ordered by time, then by the order of scheduling.
#[derive(Debug, Clone)]
pub(crate) struct Timeline<J> {
    due: BTreeMap<(Duration, u64), J>,
    sequence: u64,
}

impl<J> Default for Timeline<J> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), sequence: 0 }
    }
}

impl<J> Timeline<J> {
    /// When the next piece falls due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Puts work on the line.
    pub(crate) fn put(&mut self, at: Duration, job: J) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), job);
    }

    fn take_due(&mut self, now: Duration) -> Option<(Duration, J)> {
        let ((at, sequence), _) = self.due.first_key_value()?;
        let (at, sequence) = (*at, *sequence);
        if at > now {
            return None;
        }
        self.due.remove(&(at, sequence)).map(|job| (at, job))
    }
}

/// The cloud under its lock at one instant. Everything that Nova and Cinder do is a method of it.
pub(crate) struct World<'a> {
    pub inner: &'a Inner,
    pub st: &'a mut State,
    /// The instant (monotonic) at which the present piece of work happens.
    pub at: Duration,
}

impl World<'_> {
    /// Runs all work that has fallen due, in order, each piece at its own instant.
    pub(crate) fn settle(&mut self) {
        let now = self.inner.clock.monotonic();
        if !self.st.cinder.backend_down {
            for job in std::mem::take(&mut self.st.cinder.parked) {
                self.st.cinder.work.put(now, job);
            }
        }
        loop {
            let volume = self.st.cinder.work.next_due();
            let compute = self.st.nova.work.next_due();
            let volume_first = match (volume, compute) {
                (Some(v), Some(c)) => v <= c,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            if volume_first {
                let Some((at, job)) = self.st.cinder.work.take_due(now) else { break };
                self.at = at;
                self.run_volume_job(job);
            } else {
                let Some((at, job)) = self.st.nova.work.take_due(now) else { break };
                self.at = at;
                self.run_server_job(job);
            }
        }
        self.at = now;
    }

    /// When the next piece of work falls due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        [self.st.cinder.work.next_due(), self.st.nova.work.next_due()].into_iter().flatten().min()
    }

    /// Wall time of the present instant.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let clock = &self.inner.clock;
        let back = clock.monotonic().saturating_sub(self.at);
        clock.now() - chrono::Duration::from_std(back).unwrap_or_default()
    }

    /// A time drawn for one named thing.
    pub(crate) fn draw(&self, (low, high): (u64, u64), key: &str) -> Duration {
        let span = high.saturating_sub(low).saturating_add(1);
        let extra = SplitMix::keyed(self.inner.seed, key).next_u64() % span;
        Duration::from_millis(low + extra)
    }

    /// An id that depends on (seed, site, kind, name, how many of that name before), never on the
    /// order in which different things are made.
    pub(crate) fn new_id(&mut self, kind: &str, name: &str) -> String {
        let key = format!("{}/{kind}/{name}", self.inner.name);
        let count = self.st.cinder.made.entry(key.clone()).or_default();
        *count += 1;
        let mut draw = SplitMix::keyed(self.inner.seed, &format!("{key}/{count}"));
        let bits = (u128::from(draw.next_u64()) << 64) | u128::from(draw.next_u64());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
    }

    /// Schedules Cinder work after a drawn time.
    pub(crate) fn volume_later(&mut self, after: Duration, job: super::work::Job) {
        let at = self.at + after;
        self.st.cinder.work.put(at, job);
    }

    /// Schedules Nova work after a drawn time.
    pub(crate) fn server_later(&mut self, after: Duration, job: crate::cloud::nova::work::Job) {
        let at = self.at + after;
        self.st.nova.work.put(at, job);
    }
}

impl Cloud {
    /// Runs `f` on the settled world, under its lock.
    pub(crate) fn world<R>(&self, f: impl FnOnce(&mut World<'_>) -> R) -> R {
        let mut guard = self.0.state.lock();
        let mut world = World { inner: &self.0, st: &mut guard, at: self.0.clock.monotonic() };
        world.settle();
        let result = f(&mut world);
        let bell = guard.cinder.bell.clone();
        drop(guard);
        bell.notify_one();
        result
    }

    /// Brings Nova and Cinder up to the clock: everything that has fallen due happens now. Each API
    /// call does so by itself; call it before looking at the array from outside.
    pub fn settle(&self) {
        self.world(|_| ());
    }

    /// Keeps the cloud up to its clock without anybody looking: sleeps (in the world's time) until
    /// the next piece of work falls due. Never ends; run it as a task.
    pub async fn keep_settled(self) {
        let bell = self.0.state.lock().cinder.bell.clone();
        loop {
            let next = {
                let mut guard = self.0.state.lock();
                let mut world =
                    World { inner: &self.0, st: &mut guard, at: self.0.clock.monotonic() };
                world.settle();
                world.next_due()
            };
            match next {
                None => bell.notified().await,
                Some(at) => {
                    let rest = at.saturating_sub(self.0.clock.monotonic());
                    tokio::select! {
                        () = self.0.clock.sleep(rest) => {}
                        () = bell.notified() => {}
                    }
                }
            }
        }
    }
}

/// `2026-11-23T14:03:00.000000`, as Cinder and its siblings write time.
pub(crate) fn micros(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// `2026-11-23T14:03:00Z`, as Nova writes time.
pub(crate) fn seconds(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A text field; numbers count as text as some clients send them.
pub(crate) fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    match map.get(key)? {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

/// A flag, as a boolean or one of its spellings.
pub(crate) fn truth(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(b) => Some(*b),
        Value::String(s) => match s.to_lowercase().as_str() {
            "true" | "1" | "t" | "yes" | "y" | "on" => Some(true),
            "false" | "0" | "f" | "no" | "n" | "off" => Some(false),
            _ => None,
        },
        Value::Number(n) => Some(n.as_i64() == Some(1)),
        _ => None,
    }
}

/// A whole number, also when sent as text.
pub(crate) fn whole(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(n) => n.as_i64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

/// A string-to-string map; 400 for anything else, as the real schemas do.
pub(crate) fn string_map(
    value: Option<&Value>,
    field: &str,
) -> Result<BTreeMap<String, String>, Refusal> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    if value.is_null() {
        return Ok(BTreeMap::new());
    }
    let Some(map) = value.as_object() else {
        return Err(invalid(field, value, "is not of type 'object'"));
    };
    map.iter()
        .map(|(k, v)| match v {
            Value::String(s) if s.chars().count() <= 255 && k.chars().count() <= 255 => {
                Ok((k.clone(), s.clone()))
            }
            Value::String(_) => Err(invalid(field, v, "is too long")),
            _ => Err(invalid(&format!("{field}/{k}"), v, "is not of type 'string'")),
        })
        .collect()
}

/// The message of a failed JSON schema.
pub(crate) fn invalid(field: &str, value: &Value, why: &str) -> Refusal {
    let shown = match value {
        Value::String(s) => format!("'{s}'"),
        other => other.to_string(),
    };
    let bare = shown.trim_matches('\'').to_owned();
    Refusal::bad(format!("Invalid input for field/attribute {field}. Value: {bare}. {shown} {why}"))
}

/// One page of `items` by `limit`, `marker` and `offset`; the flag says that more follow.
pub(crate) fn page<'a, T>(
    items: Vec<&'a T>,
    call: &Call,
    id: impl Fn(&T) -> &str,
    most: usize,
    bad_marker: impl Fn(&str) -> Refusal,
) -> Result<(Vec<&'a T>, bool), Refusal> {
    let limit = match call.q("limit") {
        None => most,
        Some(raw) => match raw.parse::<i64>() {
            Ok(n) if n < 0 => return Err(Refusal::bad("limit param must be positive")),
            Ok(n) => (n as usize).min(most),
            Err(_) => return Err(Refusal::bad("limit param must be an integer")),
        },
    };
    let mut start = 0;
    if let Some(marker) = call.q("marker").filter(|m| !m.is_empty()) {
        start =
            items.iter().position(|item| id(item) == marker).ok_or_else(|| bad_marker(marker))? + 1;
    }
    start += call.q("offset").and_then(|o| o.parse::<usize>().ok()).unwrap_or(0);
    let total = items.len();
    let rows: Vec<&T> = items.into_iter().skip(start).take(limit).collect();
    let more = limit > 0 && rows.len() == limit && start + limit < total;
    // A page that was cut by the caller's own limit carries a link even if it happens to be the last.
    let exact = limit > 0 && rows.len() == limit && call.q("limit").is_some();
    Ok((rows, more || exact))
}

/// The `next` link of a page.
pub(crate) fn next_link(base: &str, call: &Call, last: &str) -> Value {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in &call.query {
        if key != "marker" && key != "offset" {
            query.append_pair(key, value);
        }
    }
    query.append_pair("marker", last);
    json!([{"rel": "next", "href": format!("{base}?{}", query.finish())}])
}
