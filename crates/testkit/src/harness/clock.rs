//! Virtual time: when every task waits, time jumps to the next sleeper. No real waiting, the same order every time.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use chrono::{DateTime, Utc};
use protector_types::{BoxFuture, Clock};

/// A moment, by both readings of a clock.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Wall time.
    pub now: DateTime<Utc>,
    /// Monotonic time.
    pub monotonic: Duration,
}

impl Moment {
    /// The present of a clock.
    pub fn of(clock: &dyn Clock) -> Self {
        Self { now: clock.now(), monotonic: clock.monotonic() }
    }
}

/// The clock of one play. Clones share the time.
#[derive(Clone)]
pub struct VirtualClock {
    start: Moment,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    now: Duration,
    next: u64,
    timers: BTreeMap<(Duration, u64), Option<Waker>>,
}

impl std::fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VirtualClock({:?})", self.lock().now)
    }
}

impl VirtualClock {
    /// A clock that shows this moment, and stands still outside of [`VirtualClock::runtime`].
    pub fn at(start: Moment) -> Self {
        let inner = Inner { now: start.monotonic, ..Inner::default() };
        Self { start, inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Jumps to the next sleeper.
    fn advance(&self) {
        let waker = {
            let mut inner = self.lock();
            let Some(((at, _), waker)) = inner.timers.pop_first() else { return };
            inner.now = inner.now.max(at);
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A single-threaded runtime whose idle moments move this clock.
    ///
    /// # Errors
    /// When the system has no resources for one.
    pub fn runtime(&self) -> std::io::Result<tokio::runtime::Runtime> {
        let clock = self.clone();
        tokio::runtime::Builder::new_current_thread()
            .on_thread_park(move || clock.advance())
            .build()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        let passed = self.monotonic().saturating_sub(self.start.monotonic);
        self.start.now + chrono::Duration::from_std(passed).unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        self.lock().now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        let key = (inner.now.saturating_add(duration), number);
        drop(inner);
        Box::pin(Sleep { clock: self.clone(), key })
    }
}

struct Sleep {
    clock: VirtualClock,
    key: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.clock.lock();
        if inner.now >= self.key.0 {
            return Poll::Ready(());
        }
        inner.timers.insert(self.key, Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.lock().timers.remove(&self.key);
    }
}
