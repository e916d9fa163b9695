//! Time and chance, always injected.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use chrono::{DateTime, Utc};

/// A boxed future that can cross threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The only source of time. Implementations: the system's clock, a clock with a speed factor
/// (demo), and [`ManualClock`] for tests.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall time in UTC; may jump. Only for display and for time-outs that must outlive a process.
    fn now(&self) -> DateTime<Utc>;
    /// Time since an arbitrary start; never goes back. For leases and deadlines.
    fn monotonic(&self) -> Duration;
    /// Completes when `duration` of this clock's time has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// How many seconds of this clock pass in one real second (1.0 for the system's clock).
    fn speed(&self) -> f64 {
        1.0
    }
}

/// A seeded source of chance. Not for secrets.
pub trait Rng: Send {
    /// The next 64 bits.
    fn next_u64(&mut self) -> u64;
    /// A number in `0.0..1.0`.
    fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// SplitMix64: small, seedable, good enough for jitter and simulated latencies.
#[derive(Debug, Clone)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// A generator for one named thing, so that a draw depends on `(seed, key)` and never on the
    /// order in which things happen.
    pub fn keyed(seed: u64, key: &str) -> Self {
        // FNV-1a: stable across platforms and releases, unlike the standard hasher.
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325u64 ^ seed.rotate_left(17), |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(hash)
    }
}

impl Rng for SplitMix {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug, Clone)]
pub struct ManualClock {
    inner: Arc<Mutex<Manual>>,
    epoch: DateTime<Utc>,
}

#[derive(Debug, Default)]
struct Manual {
    elapsed: Duration,
    sleepers: Vec<(Duration, Waker)>,
}

impl ManualClock {
    /// A clock whose first instant is `epoch`.
    pub fn new(epoch: DateTime<Utc>) -> Self {
        Self { inner: Arc::default(), epoch }
    }

    /// Moves time forward and wakes whoever was waiting for it.
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.elapsed += by;
            let now = inner.elapsed;
            let (due, rest): (Vec<_>, Vec<_>) =
                inner.sleepers.drain(..).partition(|(at, _)| *at <= now);
            inner.sleepers = rest;
            due
        };
        for (_, waker) in due {
            waker.wake();
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.epoch + chrono::Duration::from_std(self.monotonic()).unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).elapsed
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let until = self.monotonic() + duration;
        let inner = self.inner.clone();
        Box::pin(std::future::poll_fn(move |cx| {
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            if inner.elapsed >= until {
                return Poll::Ready(());
            }
            inner.sleepers.push((until, cx.waker().clone()));
            Poll::Pending
        }))
    }
}
