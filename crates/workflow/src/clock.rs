//! The clocks of a running process: real time, and real time that passes faster.

// The one place where time comes in from outside; everyone else gets a clock from here.
#![allow(clippy::disallowed_methods)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use protector_types::{BoxFuture, Clock};

/// The system's clock. Its sleeps need a tokio runtime with time enabled.
#[derive(Debug, Clone)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock on which `speed` seconds pass in one real second, from a given first moment on: for the demo and for
/// tests. Clones share the same time. A sleep never ends early; it may end late by up to two real milliseconds,
/// which are `speed` times as much of this clock's time.
#[derive(Debug, Clone)]
pub struct ScaledClock {
    started: Arc<Instant>,
    epoch: DateTime<Utc>,
    speed: f64,
}

impl ScaledClock {
    /// A clock that shows `epoch` now. A speed that is not a positive number counts as 1.
    pub fn new(speed: f64, epoch: DateTime<Utc>) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { started: Arc::new(Instant::now()), epoch, speed }
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> DateTime<Utc> {
        let elapsed = chrono::Duration::from_std(self.monotonic()).unwrap_or(chrono::Duration::MAX);
        self.epoch.checked_add_signed(elapsed).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    fn monotonic(&self) -> Duration {
        scale(self.started.elapsed(), self.speed)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(async move {
            let until = clock.monotonic().saturating_add(duration);
            loop {
                let left = until.saturating_sub(clock.monotonic());
                if left.is_zero() {
                    return;
                }
                // Rounding may wake us a moment early: at least a microsecond, then look again.
                let real = scale(left, 1.0 / clock.speed).max(Duration::from_micros(1));
                tokio::time::sleep(real).await;
            }
        })
    }

    fn speed(&self) -> f64 {
        self.speed
    }
}

fn scale(duration: Duration, by: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * by).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn an_hour_of_a_fast_clock_passes_in_a_moment() {
        run(async {
            let clock = ScaledClock::new(100_000.0, DateTime::UNIX_EPOCH);
            let begun = Instant::now();
            clock.sleep(Duration::from_secs(3600)).await;
            assert!(begun.elapsed() < Duration::from_secs(2));
            assert!(clock.monotonic() >= Duration::from_secs(3600));
            assert!(clock.now() >= DateTime::UNIX_EPOCH + chrono::Duration::hours(1));
        });
    }

    #[test]
    fn sleeps_never_end_early_and_the_system_clock_runs_at_its_own_pace() {
        run(async {
            for clock in [
                Arc::new(SystemClock::new()) as Arc<dyn Clock>,
                Arc::new(ScaledClock::new(0.5, DateTime::UNIX_EPOCH)),
                Arc::new(ScaledClock::new(f64::NAN, DateTime::UNIX_EPOCH)),
            ] {
                let before = clock.monotonic();
                clock.sleep(Duration::from_millis(5)).await;
                assert!(clock.monotonic() - before >= Duration::from_millis(5));
            }
            assert!((Utc::now() - SystemClock::new().now()).num_seconds().abs() < 2);
            assert_eq!(ScaledClock::new(0.0, DateTime::UNIX_EPOCH).speed(), 1.0);
        });
    }

    #[test]
    fn absurd_durations_do_not_overflow() {
        let clock = ScaledClock::new(1e12, DateTime::UNIX_EPOCH);
        let _forever = clock.sleep(Duration::MAX);
        assert!(clock.now() > DateTime::UNIX_EPOCH);
    }
}
