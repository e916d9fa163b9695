//! Who may be taken over: an observer never compares two hosts' clocks, it watches the owner's heartbeat counter stand
//! still on its own monotonic clock.

use std::{collections::HashMap, time::Duration};

use protector_store::Claimable;
use protector_types::OperationId;

/// What was seen of each operation's owner, and since when it has not changed.
pub struct Watch {
    lease: Duration,
    seen: HashMap<OperationId, (Option<String>, u64, Duration)>,
}

impl Watch {
    /// `lease`: how long a heartbeat must stand still.
    pub fn new(lease: Duration) -> Self {
        Self { lease, seen: HashMap::new() }
    }

    /// Those to be claimed now: free ones at once, owned ones after their heartbeat has stood still for the lease, none
    /// that is `driven` by this engine. One that it owns but does not drive (its lease ran out while the machine slept,
    /// or its driver panicked) is claimed again at once: nobody else may be there to do it.
    pub fn due<'a>(
        &mut self,
        claimable: &'a [Claimable],
        now: Duration,
        own: &str,
        driven: impl Fn(OperationId) -> bool,
    ) -> Vec<&'a Claimable> {
        self.seen.retain(|id, _| claimable.iter().any(|c| c.id == *id));
        claimable
            .iter()
            .filter(|candidate| match candidate.owner.as_deref() {
                _ if driven(candidate.id) => false,
                None => true,
                Some(owner) if owner == own => true,
                Some(_) => {
                    let fresh = (candidate.owner.clone(), candidate.heartbeat, now);
                    let seen = self.seen.entry(candidate.id).or_insert_with(|| fresh.clone());
                    if (&seen.0, seen.1) != (&fresh.0, fresh.1) {
                        *seen = fresh;
                    }
                    now.saturating_sub(seen.2) >= self.lease
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use protector_types::OperationStatus;

    use super::*;

    fn candidate(owner: Option<&str>, heartbeat: u64) -> Claimable {
        Claimable {
            id: OperationId(uuid::Uuid::from_u128(1)),
            status: OperationStatus::Running,
            owner: owner.map(str::to_owned),
            heartbeat,
        }
    }

    #[test]
    fn a_living_owner_is_never_taken_over_and_a_dead_one_after_the_lease() {
        let mut watch = Watch::new(Duration::from_secs(20));
        for second in 0..60 {
            let alive = [candidate(Some("other"), second / 3)];
            assert!(
                watch.due(&alive, Duration::from_secs(second), "me", |_| false).is_empty(),
                "at {second}"
            );
        }
        let dead = [candidate(Some("other"), 19)];
        assert!(watch.due(&dead, Duration::from_secs(76), "me", |_| false).is_empty());
        assert_eq!(watch.due(&dead, Duration::from_secs(80), "me", |_| false).len(), 1);
    }

    #[test]
    fn a_free_operation_is_taken_at_once_and_an_own_one_never_twice() {
        let mut watch = Watch::new(Duration::from_secs(20));
        assert_eq!(watch.due(&[candidate(None, 0)], Duration::ZERO, "me", |_| false).len(), 1);
        let own = [candidate(Some("me"), 0)];
        assert!(watch.due(&own, Duration::ZERO, "me", |_| true).is_empty());
        assert!(watch.due(&own, Duration::from_secs(100), "me", |_| true).is_empty());
    }

    #[test]
    fn an_own_operation_that_nobody_drives_any_more_is_taken_up_again() {
        let mut watch = Watch::new(Duration::from_secs(20));
        let own = [candidate(Some("me"), 7)];
        assert_eq!(watch.due(&own, Duration::ZERO, "me", |_| false).len(), 1);
    }
}
