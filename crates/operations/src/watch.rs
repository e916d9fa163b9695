//! One list for all that wait: while a hundred servers are being built, a short list of the ids in BUILD, read again
//! at most so often, spares each of them its own look. Never the truth: who is no longer listed is looked at by
//! itself, and so is, from time to time, who is.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use protector_ports::{Cloud, PortResult};
use protector_types::Clock;

use crate::deps::Place;

/// How old a list may be.
const FRESH: Duration = Duration::from_millis(400);
/// Longest wait of one look: how much later than otherwise a cancellation is noticed.
const PATIENCE: Duration = Duration::from_secs(4);
/// Waits after which who is still listed is looked at by itself, in case the service does not filter.
const WAITS: u32 = 5;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Listing {
    /// Servers in this status.
    Servers(&'static str),
    /// Volumes in this status.
    Volumes(&'static str),
}

#[derive(Default)]
struct Listed {
    /// Monotonic reading of when it was asked for.
    at: Option<Duration>,
    ids: BTreeSet<String>,
}

type Lists = HashMap<(Listing, String), Arc<futures::lock::Mutex<Listed>>>;

/// The lists of all places, shared by all operations.
#[derive(Default)]
pub(crate) struct Watch {
    lists: Mutex<Lists>,
    waits: Mutex<HashMap<String, u32>>,
}

impl Watch {
    fn list(&self, place: &Place, listing: Listing) -> Arc<futures::lock::Mutex<Listed>> {
        let key = (listing, format!("{} {}", place.site, place.project));
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }

    /// Waits while `id` is listed; true if it still is and nobody need look at it now, false if somebody should.
    pub(crate) async fn still(
        &self,
        clock: &Arc<dyn Clock>,
        place: &Place,
        cloud: &dyn Cloud,
        listing: Listing,
        id: &str,
    ) -> bool {
        let list = self.list(place, listing);
        self.wait(clock, &list, id, || read(cloud, listing)).await
    }

    async fn wait<F: Future<Output = PortResult<Vec<String>>>>(
        &self,
        clock: &Arc<dyn Clock>,
        list: &futures::lock::Mutex<Listed>,
        id: &str,
        read: impl Fn() -> F,
    ) -> bool {
        let until = clock.monotonic() + PATIENCE;
        loop {
            {
                let mut listed = list.lock().await;
                let now = clock.monotonic();
                if listed.at.is_none_or(|at| now.saturating_sub(at) >= FRESH) {
                    // Without a list everybody looks for himself.
                    let Ok(ids) = read().await else { return false };
                    (listed.at, listed.ids) = (Some(now), ids.into_iter().collect());
                }
                if !listed.ids.contains(id) {
                    self.forget(id);
                    return false;
                }
            }
            if clock.monotonic() >= until {
                return self.may_wait_on(id);
            }
            clock.sleep(FRESH).await;
        }
    }

    fn may_wait_on(&self, id: &str) -> bool {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waits.entry(id.to_owned()).or_default();
        *count += 1;
        !count.is_multiple_of(WAITS)
    }

    fn forget(&self, id: &str) {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

async fn read(cloud: &dyn Cloud, listing: Listing) -> PortResult<Vec<String>> {
    match listing {
        Listing::Servers(status) => cloud.compute().server_ids(status).await,
        Listing::Volumes(status) => cloud.block_storage().volume_ids(status).await,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use chrono::DateTime;
    use protector_ports::PortError;
    use protector_workflow::ScaledClock;

    use super::*;

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ScaledClock::new(20.0, DateTime::UNIX_EPOCH))
    }

    #[tokio::test]
    async fn many_who_wait_share_one_list_and_all_notice_the_end() {
        let (watch, list, clock, reads) =
            (Watch::default(), futures::lock::Mutex::default(), clock(), AtomicU32::new(0));
        let ids: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let read = || async {
            let earlier = reads.fetch_add(1, Ordering::SeqCst);
            Ok(if earlier < 2 { ids.clone() } else { Vec::new() })
        };
        let waits = ids.iter().map(|id| watch.wait(&clock, &list, id, read));
        let still = futures::future::join_all(waits).await;
        assert!(still.iter().all(|still| !still), "all are to look for themselves");
        let reads = reads.load(Ordering::SeqCst);
        assert!((3..20).contains(&reads), "{reads} lists for a hundred waits");
    }

    #[tokio::test]
    async fn who_stays_listed_looks_for_himself_now_and_then() {
        let (watch, list, clock) = (Watch::default(), futures::lock::Mutex::default(), clock());
        let read = || async { Ok(vec!["a".to_owned()]) };
        let mut still = Vec::new();
        for _ in 0..2 * WAITS {
            still.push(watch.wait(&clock, &list, "a", read).await);
        }
        let own_looks = still.iter().filter(|still| !**still).count();
        assert_eq!((still[0], own_looks), (true, 2), "{still:?}");
    }

    #[tokio::test]
    async fn without_a_list_everybody_looks_for_himself() {
        let (watch, list, clock) = (Watch::default(), futures::lock::Mutex::default(), clock());
        let denied = || async {
            Err(PortError::Unknown { service: "nova".into(), message: "no answer".into() })
        };
        let before = clock.monotonic();
        assert!(!watch.wait(&clock, &list, "a", denied).await);
        assert!(clock.monotonic() - before < PATIENCE, "at once");
    }
}
