//! An engine's right to go on with an operation, as the executor sees it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use protector_types::Clock;
use tokio_util::sync::CancellationToken;

/// Valid until a moment of *our own* monotonic clock; renewed by the engine's heartbeat. Hosts' clocks are never
/// compared. The fence guards our database, not Nova: so no call is sent unless its deadline ends inside the lease.
#[derive(Clone)]
pub struct Lease {
    fence: u64,
    valid_until_ms: Arc<AtomicU64>,
    revoked: CancellationToken,
    clock: Arc<dyn Clock>,
}

impl Lease {
    /// A lease under `fence`, valid for `duration` from now.
    pub fn new(fence: u64, clock: Arc<dyn Clock>, duration: Duration) -> Self {
        let lease = Self {
            fence,
            valid_until_ms: Arc::default(),
            revoked: CancellationToken::new(),
            clock,
        };
        lease.renew_from(lease.clock.monotonic(), duration);
        lease
    }

    /// After a successful heartbeat that was *begun* at `begun`. Without effect on a revoked lease.
    pub fn renew_from(&self, begun: Duration, duration: Duration) {
        let until = u64::try_from((begun + duration).as_millis()).unwrap_or(u64::MAX);
        self.valid_until_ms.fetch_max(until, Ordering::AcqRel);
    }

    /// The lease is lost for good: nothing may be sent any more, and who waits in [`Lease::lost`] is woken.
    pub fn revoke(&self) {
        self.revoked.cancel();
    }

    /// The fencing number.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// The end, by the holder's monotonic clock.
    pub fn valid_until(&self) -> Duration {
        Duration::from_millis(self.valid_until_ms.load(Ordering::Acquire))
    }

    /// How long it still holds.
    pub fn remaining(&self) -> Duration {
        if self.revoked.is_cancelled() {
            return Duration::ZERO;
        }
        Duration::from_millis(self.valid_until_ms.load(Ordering::Acquire))
            .saturating_sub(self.clock.monotonic())
    }

    /// True while anything remains.
    pub fn is_held(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// Completes when the lease has run out or was revoked; renewals in between prolong the wait.
    pub async fn lost(&self) {
        loop {
            let left = self.remaining();
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = self.clock.sleep(left) => {}
                () = self.revoked.cancelled() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use protector_types::ManualClock;

    use super::*;

    #[test]
    fn a_lease_ends_by_the_holders_own_clock_and_never_comes_back_after_revocation() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let lease = Lease::new(7, Arc::new(clock.clone()), Duration::from_secs(20));
        clock.advance(Duration::from_secs(15));
        assert_eq!(lease.remaining(), Duration::from_secs(5));
        lease.renew_from(clock.monotonic(), Duration::from_secs(20));
        clock.advance(Duration::from_secs(19));
        assert!(lease.is_held());
        lease.revoke();
        assert!(!lease.is_held());
        // A heartbeat that was on its way when the lease was lost.
        lease.renew_from(clock.monotonic(), Duration::from_secs(20));
        assert!(!lease.is_held());
    }
}
