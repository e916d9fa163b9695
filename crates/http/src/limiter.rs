//! How many calls a service gets at a time: more while it keeps up, half when it says that it does not.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds of a [`Limiter`].
#[derive(Debug, Clone, Copy)]
pub struct LimiterConfig {
    /// Calls at a time in the beginning.
    pub start: usize,
    /// Never more than this.
    pub max: usize,
    /// Never fewer than this.
    pub min: usize,
    /// At most one cut in this time, so that one bad moment counts once.
    pub cooldown: Duration,
    /// Answers slower than this may count as overload...
    pub slow: Duration,
    /// ... when they are this many times slower than usual.
    pub blow_up: f64,
}

impl Default for LimiterConfig {
    fn default() -> Self {
        Self {
            start: 16,
            max: 64,
            min: 1,
            cooldown: Duration::from_secs(1),
            slow: Duration::from_secs(2),
            blow_up: 4.0,
        }
    }
}

/// How a call went, as far as the service's load is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Answered in this time.
    Fine(Duration),
    /// 429, 503, or a lost answer.
    Overloaded,
    /// Says nothing about load.
    Neutral,
}

/// Additive increase, multiplicative decrease; first come, first served.
#[derive(Debug)]
pub struct Limiter {
    semaphore: Arc<Semaphore>,
    config: LimiterConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Places to be taken away as soon as they are given back.
    debt: usize,
    /// Good answers at full load since the last change.
    streak: usize,
    last_cut: Option<Duration>,
    /// Moving averages of seconds per call: what it takes now, and what it usually takes.
    recent: f64,
    usual: f64,
    samples: u32,
}

/// The right to one call. Dropped without [`Slot::done`], it just goes back.
#[derive(Debug)]
pub struct Slot {
    limiter: Arc<Limiter>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Limiter {
    /// A limiter within these bounds.
    pub fn new(config: LimiterConfig) -> Arc<Self> {
        let min = config.min.max(1);
        let max = config.max.max(min);
        let limit = config.start.clamp(min, max);
        Arc::new(Self {
            semaphore: Arc::new(Semaphore::new(limit)),
            config: LimiterConfig { min, max, ..config },
            state: Mutex::new(State {
                limit,
                debt: 0,
                streak: 0,
                last_cut: None,
                recent: 0.0,
                usual: 0.0,
                samples: 0,
            }),
        })
    }

    /// Calls that may be under way at the same time, as of now.
    pub fn limit(&self) -> usize {
        self.state.lock().limit
    }

    /// A place at once, if one is free and nobody waits.
    pub fn try_acquire(self: &Arc<Self>) -> Option<Slot> {
        let permit = self.semaphore.clone().try_acquire_owned().ok()?;
        Some(Slot { limiter: self.clone(), permit: Some(permit) })
    }

    /// Waits for a place, in the order of asking.
    pub async fn acquire(self: &Arc<Self>) -> Slot {
        // The semaphore is never closed; without a permit the call would go out unlimited.
        let permit = self.semaphore.clone().acquire_owned().await.ok();
        Slot { limiter: self.clone(), permit }
    }

    fn learn(&self, load: Load, now: Duration) {
        let mut state = self.state.lock();
        match load {
            Load::Neutral => {}
            Load::Overloaded => self.cut(&mut state, now),
            Load::Fine(took) => {
                if state.blown_up(took, &self.config) {
                    self.cut(&mut state, now);
                } else if self.semaphore.available_permits() == 0 {
                    self.grow(&mut state);
                }
            }
        }
    }

    /// One more place after as many good answers as there are places: one step per round trip at full load.
    fn grow(&self, state: &mut State) {
        state.streak += 1;
        if state.streak < state.limit || state.limit >= self.config.max {
            return;
        }
        state.streak = 0;
        state.limit += 1;
        if state.debt > 0 {
            state.debt -= 1;
        } else {
            self.semaphore.add_permits(1);
        }
    }

    fn cut(&self, state: &mut State, now: Duration) {
        if state.last_cut.is_some_and(|at| now.saturating_sub(at) < self.config.cooldown) {
            return;
        }
        let limit = (state.limit / 2).max(self.config.min);
        let fewer = state.limit - limit;
        let taken = self.semaphore.forget_permits(fewer);
        state.debt += fewer - taken;
        state.limit = limit;
        state.streak = 0;
        state.last_cut = Some(now);
        // What was slow a moment ago must not cut again once the load is gone.
        state.recent = state.usual;
    }
}

impl State {
    fn blown_up(&mut self, took: Duration, config: &LimiterConfig) -> bool {
        const SETTLED: u32 = 20;
        let took = took.as_secs_f64();
        if self.samples == 0 {
            (self.recent, self.usual) = (took, took);
        }
        self.samples = self.samples.saturating_add(1);
        self.recent += 0.3 * (took - self.recent);
        // Learns fast in the beginning, then slowly.
        let weight = if self.samples < SETTLED { 0.2 } else { 0.01 };
        self.usual += weight * (took - self.usual);
        self.samples >= SETTLED
            && self.recent > config.slow.as_secs_f64()
            && self.recent > config.blow_up * self.usual
    }
}

impl Slot {
    /// Gives the place back and tells how the call went. `now` is a monotonic reading.
    pub fn done(self, load: Load, now: Duration) {
        self.limiter.learn(load, now);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut state = self.limiter.state.lock();
        if state.debt > 0 {
            state.debt -= 1;
            permit.forget();
        } else {
            // Under the lock: a cut sees the place either free or still in use.
            drop(permit);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const FAST: Load = Load::Fine(Duration::from_millis(50));

    fn limiter(start: usize, max: usize) -> Arc<Limiter> {
        Limiter::new(LimiterConfig { start, max, ..LimiterConfig::default() })
    }

    fn round(limiter: &Arc<Limiter>, load: Load, now: u64) {
        let slots: Vec<_> = std::iter::from_fn(|| limiter.try_acquire()).collect();
        for slot in slots {
            slot.done(load, Duration::from_secs(now));
        }
    }

    #[test]
    fn it_grows_slowly_at_full_load_and_never_over_the_maximum() {
        let limiter = limiter(4, 6);
        let mut seen = vec![];
        for now in 0..40 {
            round(&limiter, FAST, now);
            seen.push(limiter.limit());
        }
        assert!(seen.windows(2).all(|w| w[1] == w[0] || w[1] == w[0] + 1), "{seen:?}");
        assert_eq!(*seen.last().unwrap(), 6);
    }

    #[test]
    fn it_does_not_grow_while_places_stay_free() {
        let limiter = limiter(4, 64);
        for now in 0..200 {
            limiter.try_acquire().unwrap().done(FAST, Duration::from_secs(now));
        }
        assert_eq!(limiter.limit(), 4);
    }

    #[test]
    fn overload_halves_once_per_cooldown_and_takes_back_places_in_use() {
        let limiter = limiter(16, 64);
        let held: Vec<_> = (0..16).map(|_| limiter.try_acquire().unwrap()).collect();
        for slot in held {
            slot.done(Load::Overloaded, Duration::from_secs(5));
        }
        assert_eq!(limiter.limit(), 8, "sixteen refusals of the same moment count once");
        let held: Vec<_> = std::iter::from_fn(|| limiter.try_acquire()).collect();
        assert_eq!(held.len(), 8);
        drop(held);
        for now in 10..30 {
            limiter.try_acquire().unwrap().done(Load::Overloaded, Duration::from_secs(now));
        }
        assert_eq!(limiter.limit(), 1);
        assert!(limiter.try_acquire().is_some(), "one call always gets through");
    }

    #[test]
    fn answers_much_slower_than_usual_count_as_overload() {
        let limiter = limiter(16, 64);
        for now in 0..100 {
            limiter.try_acquire().unwrap().done(FAST, Duration::from_secs(now));
        }
        for now in 100..106 {
            limiter
                .try_acquire()
                .unwrap()
                .done(Load::Fine(Duration::from_secs(9)), Duration::from_secs(now));
        }
        assert!(limiter.limit() < 16, "{}", limiter.limit());
    }

    #[test]
    fn slow_from_the_start_is_usual() {
        let limiter = limiter(16, 64);
        for now in 0..100 {
            limiter
                .try_acquire()
                .unwrap()
                .done(Load::Fine(Duration::from_secs(9)), Duration::from_secs(now));
        }
        assert_eq!(limiter.limit(), 16);
    }

    #[tokio::test]
    async fn places_are_given_in_the_order_of_asking() {
        let limiter = limiter(1, 1);
        let held = limiter.try_acquire().unwrap();
        let order = Arc::new(Mutex::new(vec![]));
        let mut tasks = vec![];
        for n in 0..5 {
            let (limiter, order) = (limiter.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let slot = limiter.acquire().await;
                order.lock().push(n);
                slot.done(Load::Neutral, Duration::ZERO);
            }));
            tokio::task::yield_now().await;
        }
        drop(held);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), [0, 1, 2, 3, 4]);
    }
}
