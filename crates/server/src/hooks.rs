//! Where the wiring reaches into the executor: the lease check on the way out, and the crash hook of the kill sweep.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use protector_http::{CallContext, Transport, TransportError, in_context};
use protector_types::{BoxFuture, Clock};
use protector_workflow::{CallScope, FaultHook, Lease, ScaledClock, SystemClock};

/// No request of a step is sent unless its deadline ends inside the lease.
pub struct LeaseScope;

impl CallScope for LeaseScope {
    fn enter<'a>(&self, lease: Lease, work: BoxFuture<'a, ()>) -> BoxFuture<'a, ()> {
        let not_after = Arc::new(move || lease.valid_until());
        Box::pin(in_context(CallContext { request_id: None, not_after: Some(not_after) }, work))
    }
}

/// Environment variable of the kill sweep: the process kills itself (SIGKILL) at the n-th point.
pub const CRASH_AT: &str = "PROTECTOR_CRASH_AT";

/// Counts the points of the executor and kills the process at one of them. For tests of the real process; without the
/// environment variable it only counts.
pub struct CrashAt {
    at: Option<u64>,
    reached: AtomicU64,
}

impl CrashAt {
    /// As the environment says.
    pub fn from_env() -> Self {
        let at = std::env::var(CRASH_AT).ok().and_then(|text| text.parse().ok());
        Self { at, reached: AtomicU64::new(0) }
    }
}

impl FaultHook for CrashAt {
    fn reached(&self, point: &'static str, subject: &str) {
        let Some(at) = self.at else { return };
        let number = self.reached.fetch_add(1, Ordering::SeqCst) + 1;
        if number == at {
            // Straight to the file descriptor: nothing may be buffered when the process is gone.
            eprintln!("protector: crash point {number}: {point} {subject}");
            let _ = std::process::Command::new("kill")
                .args(["-9", &std::process::id().to_string()])
                .status();
            // SIGKILL is on its way; nothing of this process may run on.
            std::process::abort();
        }
    }
}

/// Tells the hook around each request that may have an effect: "between request and answer" is after the effect and
/// before anybody here knows of it.
pub struct HookedTransport {
    /// The real one.
    pub inner: Arc<dyn Transport>,
    /// Whom to tell.
    pub hook: Arc<dyn FaultHook>,
}

#[async_trait]
impl Transport for HookedTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let effect = !matches!(*request.method(), Method::GET | Method::HEAD);
        // What beats by the clock comes at no fixed place: a sweep that counts would not end.
        let path = request.uri().path();
        let beats = path.contains("/claim/") || path.starts_with("/v1/peer/operations/");
        if !effect || beats {
            return self.inner.send(request, deadline).await;
        }
        let path = request.uri().path().to_owned();
        self.hook.reached("http.before_request", &path);
        let answer = self.inner.send(request, deadline).await;
        self.hook.reached("http.before_answer", &path);
        answer
    }
}

/// Environment variables of tests that run real processes beside a fast simulated world: how many seconds pass in one
/// real second, and the Unix time from which on they do, so that all processes show the same time.
pub const CLOCK_SPEED: &str = "PROTECTOR_TEST_CLOCK_SPEED";
/// See [`CLOCK_SPEED`].
pub const CLOCK_ORIGIN: &str = "PROTECTOR_TEST_CLOCK_ORIGIN";

/// The clock that the environment asks for, if it asks for one.
pub fn test_clock() -> Option<Arc<dyn Clock>> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<f64>().ok();
    let (speed, origin) = (number(CLOCK_SPEED)?, number(CLOCK_ORIGIN)?);
    Some(shared_clock(speed, origin))
}

/// A clock that shows the same time in every process that has the same speed and origin (Unix seconds).
pub fn shared_clock(speed: f64, origin: f64) -> Arc<dyn Clock> {
    let now = SystemClock::new().now();
    let real = now.timestamp_micros() as f64 / 1e6 - origin;
    let ahead = chrono::Duration::microseconds((real * (speed - 1.0) * 1e6) as i64);
    Arc::new(ScaledClock::new(speed, now + ahead))
}
