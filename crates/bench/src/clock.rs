//! A clock that hurries while the stage is set and then runs at the speed that is measured.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use protector_types::{BoxFuture, Clock};
use protector_workflow::SystemClock;

/// Longest real sleep before the speed is looked at again.
const LOOK: Duration = Duration::from_millis(50);

/// Wall time is the system's until the measurement begins, so that the engine's process, which knows only the
/// measured speed, shows the same; monotonic time runs at the present speed.
#[derive(Debug, Clone)]
pub struct StageClock {
    system: SystemClock,
    phase: Arc<Mutex<Phase>>,
}

#[derive(Debug, Clone, Copy)]
struct Phase {
    speed: f64,
    /// The system's monotonic reading when this phase began.
    since: Duration,
    /// This clock's reading then.
    base: Duration,
    /// Wall time from which on it runs at `speed`; `None`: as the system's.
    origin: Option<DateTime<Utc>>,
}

impl StageClock {
    /// A clock that runs at `speed` for now.
    pub fn new(speed: f64) -> Self {
        let system = SystemClock::new();
        let since = system.monotonic();
        let phase = Phase { speed, since, base: Duration::ZERO, origin: None };
        Self { system, phase: Arc::new(Mutex::new(phase)) }
    }

    /// From now on at this speed; gives the moment as Unix seconds, for the other process.
    pub fn measure_at(&self, speed: f64) -> f64 {
        let base = self.monotonic();
        let origin = self.system.now();
        *self.phase() = Phase { speed, since: self.system.monotonic(), base, origin: Some(origin) };
        origin.timestamp_micros() as f64 / 1e6
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for StageClock {
    fn now(&self) -> DateTime<Utc> {
        let phase = *self.phase();
        let now = self.system.now();
        let Some(origin) = phase.origin else { return now };
        let real = (now - origin).num_microseconds().unwrap_or_default() as f64;
        origin + chrono::Duration::microseconds((real * phase.speed) as i64)
    }

    fn monotonic(&self) -> Duration {
        let phase = *self.phase();
        let real = self.system.monotonic().saturating_sub(phase.since);
        phase.base + real.mul_f64(phase.speed)
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
                let real = left.div_f64(clock.speed()).clamp(Duration::from_micros(1), LOOK);
                tokio::time::sleep(real).await;
            }
        })
    }

    fn speed(&self) -> f64 {
        self.phase().speed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_that_began_in_a_hurry_goes_on_at_the_measured_speed() {
        let clock = StageClock::new(1.0);
        let sleep = tokio::spawn(clock.sleep(Duration::from_secs(600)));
        let before = clock.monotonic();
        clock.measure_at(100_000.0);
        assert!(clock.monotonic() >= before);
        tokio::time::timeout(Duration::from_secs(10), sleep).await.unwrap().unwrap();
    }
}
