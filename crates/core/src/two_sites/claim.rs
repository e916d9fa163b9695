//! Claims: one row per group at each site. Whoever changes a group without force holds both.

use std::time::Duration;

use protector_types::{OperationId, SiteId};

/// A claim that nobody renews for so long, by the observer's own monotonic clock, is dead; and so long does a renewal
/// last for its holder, counted from when he *began* it by his.
pub const CLAIM_LASTS: Duration = Duration::from_secs(30);

/// Without a renewal for so long by its own clock, a site may take over what its dead peer was driving.
pub const TAKEOVER_AFTER: Duration = Duration::from_secs(60);

/// The claim as it stands at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// For which operation or change.
    pub operation: OperationId,
    /// The site that drives it.
    pub holder: SiteId,
    /// Its renewals have stood still for [`CLAIM_LASTS`] by this site's own clock.
    pub is_dead: bool,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// For which operation or change.
    pub operation: OperationId,
    /// The site that drives it.
    pub holder: SiteId,
    /// A forced operation takes the claim of its own site from whoever has it.
    pub forced: bool,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Nobody had it.
    Taken,
    /// The same operation asks again: a renewal.
    Renewed,
    /// It was dead, or force takes it.
    TakenOver,
    /// The winner.
    Busy(OperationId),
}

/// The decision; the row is written only if it is still the one that was read.
pub fn grant(held: Option<&Held>, want: &Want) -> Grant {
    match held {
        None => Grant::Taken,
        Some(held) if held.operation == want.operation && held.holder == want.holder => {
            Grant::Renewed
        }
        Some(held) if held.is_dead || want.forced => Grant::TakenOver,
        Some(held) => Grant::Busy(held.operation),
    }
}

/// In which order an unforced operation claims: where the group's servers run first, so that two who start at the same
/// moment meet at one row.
pub fn claim_order(primary: SiteId, other: SiteId) -> [SiteId; 2] {
    [primary, other]
}

/// How long a counter has stood still, by the observer's own monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    operation: OperationId,
    renewals: u64,
    since: Duration,
}

impl Expiry {
    /// The first look.
    pub fn new(operation: OperationId, renewals: u64, now: Duration) -> Self {
        Self { operation, renewals, since: now }
    }

    /// Another look: how long nothing has changed.
    pub fn look(&mut self, operation: OperationId, renewals: u64, now: Duration) -> Duration {
        if (self.operation, self.renewals) != (operation, renewals) {
            *self = Self::new(operation, renewals, now);
        }
        now.saturating_sub(self.since)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{super::stamp::tests::site, *};

    fn op(n: u128) -> OperationId {
        OperationId(Uuid::from_u128(n))
    }

    #[test]
    fn of_two_one_wins_and_the_loser_learns_who() {
        let want = |n, forced| Want { operation: op(n), holder: site(n), forced };
        assert_eq!(grant(None, &want(1, false)), Grant::Taken);
        let held = Held { operation: op(1), holder: site(1), is_dead: false };
        assert_eq!(grant(Some(&held), &want(1, false)), Grant::Renewed);
        assert_eq!(grant(Some(&held), &want(2, false)), Grant::Busy(op(1)));
        assert_eq!(grant(Some(&held), &want(2, true)), Grant::TakenOver);
        let dead = Held { is_dead: true, ..held };
        assert_eq!(grant(Some(&dead), &want(2, false)), Grant::TakenOver);
    }

    #[test]
    fn a_renewed_claim_never_dies_and_a_silent_one_after_its_time() {
        let seconds = Duration::from_secs;
        let mut expiry = Expiry::new(op(1), 0, seconds(100));
        for n in 1..10 {
            assert!(expiry.look(op(1), n, seconds(100 + n * 29)) < CLAIM_LASTS);
        }
        assert!(expiry.look(op(1), 9, seconds(361 + 29)) < CLAIM_LASTS);
        assert!(expiry.look(op(1), 9, seconds(361 + 30)) >= CLAIM_LASTS);
        assert_eq!(expiry.look(op(2), 9, seconds(500)), Duration::ZERO);
    }
}
