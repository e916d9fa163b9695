//! Clocks for the tests.
#![allow(dead_code, clippy::disallowed_methods)]

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use protector_types::{BoxFuture, Clock};

/// Real time.
#[derive(Debug)]
pub struct RealClock(std::time::Instant);

impl RealClock {
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self(std::time::Instant::now()))
    }
}

impl Clock for RealClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Time that jumps forward by whatever somebody wants to sleep, and remembers it.
#[derive(Debug, Default)]
pub struct JumpClock {
    elapsed: Mutex<Duration>,
    pub slept: Mutex<Vec<Duration>>,
}

impl Clock for JumpClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + *self.elapsed.lock()
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.lock()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        *self.elapsed.lock() += duration;
        self.slept.lock().push(duration);
        Box::pin(std::future::ready(()))
    }
}
