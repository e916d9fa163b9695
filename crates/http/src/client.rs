//! What all calls share: deadline, retry, adaptive concurrency, request ids, counters.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header::USER_AGENT};
use parking_lot::Mutex;
use protector_types::{Clock, Rng, SplitMix};

use crate::{
    answer::Answer,
    call::{Call, CallKind},
    context::{CallContext, current_context},
    limiter::{Limiter, LimiterConfig, Load, Slot},
    metrics::{Counters, Metrics},
    transport::{MaxBody, Transport, TransportError},
    upstream::{Classify, Upstream, UpstreamKind, classify_status, classify_transport},
};

/// A call that has less time than this left is not sent.
const LEAST_DEADLINE: Duration = Duration::from_millis(50);

/// What all services of a [`Client`] share.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// `User-Agent`.
    pub user_agent: &'static str,
    /// Seed of the jitter between attempts.
    pub seed: u64,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { user_agent: "protector", seed: 0 }
    }
}

/// How one service is called.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Bounds of the calls at a time.
    pub limiter: LimiterConfig,
    /// One attempt of a call that may be repeated.
    pub attempt: Duration,
    /// One attempt of a call that may not be repeated.
    pub effect: Duration,
    /// Everything together, when the call does not say otherwise.
    pub budget: Duration,
    /// At most this many attempts.
    pub attempts: u32,
    /// First pause; each next one is twice as long.
    pub pause: Duration,
    /// Longest pause that we choose by ourselves.
    pub longest_pause: Duration,
    /// Header that carries the request id.
    pub request_id_header: HeaderName,
    /// How unsuccessful answers are read.
    pub classify: Classify,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            limiter: LimiterConfig::default(),
            attempt: Duration::from_secs(30),
            effect: Duration::from_secs(60),
            budget: Duration::from_secs(90),
            attempts: 4,
            pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(5),
            request_id_header: HeaderName::from_static("x-openstack-request-id"),
            classify: classify_status,
        }
    }
}

/// The way out through one transport. Clones share everything.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    options: ClientOptions,
    services: Mutex<HashMap<(String, String), Service>>,
}

impl Client {
    /// A client with its own counters and the usual options.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self::with_options(transport, clock, Arc::default(), ClientOptions::default())
    }

    /// A client that counts into `metrics`.
    pub fn with_options(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        options: ClientOptions,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                transport,
                clock,
                metrics,
                options,
                services: Mutex::default(),
            }),
        }
    }

    /// The time by which deadlines and pauses are counted.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    /// A service at a site, with the usual options. The same one for the same two names.
    pub fn service(&self, name: &str, site: &str) -> Service {
        self.service_with(name, site, ServiceOptions::default)
    }

    /// A service at a site; `options` are those of the first to ask.
    pub fn service_with(
        &self,
        name: &str,
        site: &str,
        options: impl FnOnce() -> ServiceOptions,
    ) -> Service {
        self.inner
            .services
            .lock()
            .entry((name.to_owned(), site.to_owned()))
            .or_insert_with(|| {
                let options = options();
                Service {
                    inner: Arc::new(ServiceInner {
                        label: format!("{name} at {site}"),
                        limiter: Limiter::new(options.limiter),
                        counters: self.inner.metrics.counters(name, site),
                        transport: self.inner.transport.clone(),
                        clock: self.inner.clock.clone(),
                        user_agent: HeaderValue::from_static(self.inner.options.user_agent),
                        seed: self.inner.options.seed,
                        options,
                    }),
                }
            })
            .clone()
    }
}

/// One service at one site. Clones share everything.
#[derive(Clone)]
pub struct Service {
    inner: Arc<ServiceInner>,
}

struct ServiceInner {
    label: String,
    limiter: Arc<Limiter>,
    counters: Arc<Counters>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    user_agent: HeaderValue,
    seed: u64,
    options: ServiceOptions,
}

impl Service {
    /// "nova at site-b": for messages.
    pub fn label(&self) -> &str {
        &self.inner.label
    }

    /// Calls that may be under way at the same time, as of now.
    pub fn concurrency(&self) -> usize {
        self.inner.limiter.limit()
    }

    /// The time by which deadlines are counted.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Sends the call, again where that is safe and may help, until its budget is spent.
    ///
    /// # Errors
    /// [`Upstream`] for everything but a 2xx answer: the last attempt's failure.
    pub async fn send(&self, call: Call) -> Result<Answer, Upstream> {
        let inner = &*self.inner;
        let context = current_context();
        let start = inner.clock.monotonic();
        let end = start + call.budget.unwrap_or(inner.options.budget);
        let end = context.not_after.as_ref().map_or(end, |limit| end.min(limit()));
        let mut attempt = 1;
        loop {
            let failure = match inner.attempt(&call, &context, end, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if attempt >= inner.options.attempts || !failure.repeatable {
                return Err(failure.upstream);
            }
            let pause = inner.pause(&call, attempt, failure.upstream.retry_after);
            if inner.clock.monotonic() + pause + LEAST_DEADLINE > end {
                return Err(failure.upstream);
            }
            inner.clock.sleep(pause).await;
            inner.counters.retried();
            attempt += 1;
        }
    }
}

struct Failure {
    upstream: Upstream,
    repeatable: bool,
}

impl From<Upstream> for Failure {
    fn from(upstream: Upstream) -> Self {
        Self { upstream, repeatable: false }
    }
}

impl ServiceInner {
    async fn attempt(
        &self,
        call: &Call,
        context: &CallContext,
        end: Duration,
        attempt: u32,
    ) -> Result<Answer, Failure> {
        let slot = self.slot(end).await?;
        let sent = self.clock.monotonic();
        let left = end.saturating_sub(sent);
        if left < LEAST_DEADLINE {
            slot.done(Load::Neutral, sent);
            return Err(not_sent("no time left to send the call").into());
        }
        let longest = match call.kind {
            CallKind::Read | CallKind::Ensure => self.options.attempt,
            CallKind::Effect => self.options.effect,
        };
        let request = match self.request(call, context) {
            Ok(request) => request,
            Err(error) => {
                slot.done(Load::Neutral, sent);
                return Err(error.into());
            }
        };
        let guard = InFlight::new(&self.counters);
        let outcome = self.transport.send(request, left.min(longest)).await;
        drop(guard);
        let now = self.clock.monotonic();
        self.digest(call, attempt, outcome, slot, now, now.saturating_sub(sent))
    }

    /// Waits for a place, but not over the end.
    async fn slot(&self, end: Duration) -> Result<Slot, Upstream> {
        if let Some(slot) = self.limiter.try_acquire() {
            return Ok(slot);
        }
        let left = end.saturating_sub(self.clock.monotonic());
        tokio::select! {
            biased;
            slot = self.limiter.acquire() => Ok(slot),
            () = self.clock.sleep(left) => Err(not_sent("too many calls are waiting for this service")),
        }
    }

    fn request(&self, call: &Call, context: &CallContext) -> Result<Request<Bytes>, Upstream> {
        let mut request = Request::new(call.body.clone());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call
            .url
            .parse()
            .map_err(|e| classify_transport(&TransportError::BadUrl(format!("{e}"))))?;
        let headers = request.headers_mut();
        *headers = call.headers.clone();
        headers.insert(USER_AGENT, self.user_agent.clone());
        if let Some(id) = &context.request_id
            && let Ok(value) = HeaderValue::from_str(id.as_str())
        {
            headers.insert(self.options.request_id_header.clone(), value);
        }
        if let Some(limit) = call.max_body {
            request.extensions_mut().insert(MaxBody(limit));
        }
        Ok(request)
    }

    fn digest(
        &self,
        call: &Call,
        attempt: u32,
        outcome: Result<Response<Bytes>, TransportError>,
        slot: Slot,
        now: Duration,
        took: Duration,
    ) -> Result<Answer, Failure> {
        let repeat = call.kind != CallKind::Effect;
        let (method, path, ms) = (&call.method, call.path(), took.as_millis());
        match outcome {
            Ok(response) if response.status().is_success() => {
                slot.done(Load::Fine(took), now);
                let (parts, body) = response.into_parts();
                self.counters.status(parts.status, took);
                tracing::debug!(service = %self.label, %method, path, status = parts.status.as_u16(), ms, "call");
                Ok(Answer { status: parts.status, headers: parts.headers, body })
            }
            Ok(response) => {
                let (parts, body) = response.into_parts();
                self.counters.status(parts.status, took);
                let upstream =
                    (self.options.classify)(call.kind, parts.status, &parts.headers, &body);
                let load = match (upstream.kind, parts.status) {
                    (UpstreamKind::Transient, _) | (_, StatusCode::TOO_MANY_REQUESTS) => {
                        Load::Overloaded
                    }
                    (UpstreamKind::Unknown, _) => Load::Neutral,
                    _ => Load::Fine(took),
                };
                slot.done(load, now);
                let theirs =
                    parts.headers.get("x-openstack-request-id").and_then(|v| v.to_str().ok());
                tracing::debug!(
                    service = %self.label, %method, path, status = parts.status.as_u16(), ms, attempt,
                    theirs, message = %upstream.message, "call refused"
                );
                let repeatable = match upstream.kind {
                    UpstreamKind::Transient => true,
                    UpstreamKind::Unknown => repeat && passing(parts.status),
                    _ => false,
                };
                Err(Failure { upstream, repeatable })
            }
            Err(error) => {
                let connected =
                    matches!(error, TransportError::Lost(_) | TransportError::TooLarge { .. });
                self.counters.failed(connected, took);
                let load = if matches!(error, TransportError::Lost(_)) {
                    Load::Overloaded
                } else {
                    Load::Neutral
                };
                slot.done(load, now);
                let repeatable = match error {
                    TransportError::Refused(_) => true,
                    TransportError::Lost(_) => repeat,
                    _ => false,
                };
                let upstream = classify_transport(&error);
                tracing::debug!(service = %self.label, %method, path, ms, attempt, %error, "call failed");
                Err(Failure { upstream, repeatable })
            }
        }
    }

    /// The pause after an attempt: what the service asked for, else doubling; with jitter, so that those who
    /// were refused together do not come back together.
    fn pause(&self, call: &Call, attempt: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.options.pause.saturating_mul(1 << (attempt - 1).min(10));
        let own = doubled.min(self.options.longest_pause);
        let key = format!("{}|{}|{}|{attempt}", self.label, call.method, call.url);
        let jitter = SplitMix::keyed(self.seed, &key).next_f64();
        match asked {
            Some(asked) => asked.max(own.mul_f64(0.5)) + own.mul_f64(0.5 * jitter),
            None => own.mul_f64(0.5 + 0.5 * jitter),
        }
    }
}

/// Statuses of a proxy or of a service in trouble, after which a repeat may do better.
fn passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 500 | 502 | 503 | 504)
}

fn not_sent(why: &str) -> Upstream {
    Upstream::new(UpstreamKind::Transient, why)
}

struct InFlight<'a>(&'a Counters);

impl<'a> InFlight<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.started();
        Self(counters)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}
