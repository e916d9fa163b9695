//! One list for all that wait: while a hundred servers are being built, a short list of the ids in BUILD, read again
//! at most so often, spares each of them its own look. Never the truth: who is no longer listed is looked at by
//! itself, and so is, from time to time, who is.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use protector_ports::{Cloud, PortResult};
use protector_types::Clock;
use tokio::sync::oneshot;

use crate::deps::Place;

/// Between two reads of a list.
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

/// Who waits in a list, and whether somebody reads it.
#[derive(Default)]
struct Waiting {
    by_id: HashMap<String, Vec<oneshot::Sender<()>>>,
    is_read: bool,
}

/// One list with those who wait in it. Each of them sleeps until he is no longer listed: a hundred who wake to look
/// at one list cost more than the list.
#[derive(Default)]
struct Board(Mutex<Waiting>);

impl Board {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What ends when `id` is no longer listed; true if the caller has to start the reading.
    fn enter(&self, id: &str) -> (oneshot::Receiver<()>, bool) {
        let (left, gone) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.by_id.entry(id.to_owned()).or_default().push(left);
        let starts = !std::mem::replace(&mut waiting.is_read, true);
        (gone, starts)
    }

    /// Wakes who is no longer listed, and everybody if there is no list. False: nobody waits any more, and the reading
    /// ends.
    fn tell(&self, listed: Option<&BTreeSet<String>>) -> bool {
        let mut waiting = self.waiting();
        waiting.by_id.retain(|id, who| {
            who.retain(|left| !left.is_closed());
            // Dropping the sender wakes.
            !who.is_empty() && listed.is_some_and(|listed| listed.contains(id))
        });
        waiting.is_read = !waiting.by_id.is_empty();
        waiting.is_read
    }
}

type Boards = HashMap<(Listing, String), Arc<Board>>;

/// The lists of all places, shared by all operations.
#[derive(Default)]
pub(crate) struct Watch {
    boards: Mutex<Boards>,
    waits: Mutex<HashMap<String, u32>>,
}

impl Watch {
    fn board(&self, place: &Place, listing: Listing) -> Arc<Board> {
        let key = (listing, format!("{} {}", place.site, place.project));
        self.boards.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }

    /// Waits while `id` is listed; true if it still is and nobody need look at it now, false if somebody should.
    pub(crate) async fn still(
        &self,
        clock: &Arc<dyn Clock>,
        place: &Place,
        cloud: &Arc<dyn Cloud>,
        listing: Listing,
        id: &str,
    ) -> bool {
        let (board, cloud) = (self.board(place, listing), cloud.clone());
        self.wait(clock, &board, id, move || read(cloud.clone(), listing)).await
    }

    async fn wait<F: Future<Output = PortResult<Vec<String>>> + Send + 'static>(
        &self,
        clock: &Arc<dyn Clock>,
        board: &Arc<Board>,
        id: &str,
        read: impl Fn() -> F + Send + 'static,
    ) -> bool {
        let (gone, starts) = board.enter(id);
        if starts {
            tokio::spawn(keep_reading(clock.clone(), board.clone(), read));
        }
        tokio::select! {
            _ = gone => {
                self.forget(id);
                false
            }
            () = clock.sleep(PATIENCE) => self.may_wait_on(id),
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

/// Reads as long as somebody waits.
async fn keep_reading<F: Future<Output = PortResult<Vec<String>>>>(
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
    read: impl Fn() -> F,
) {
    loop {
        // Without a list everybody looks for himself.
        let listed = read().await.ok().map(BTreeSet::from_iter);
        if !board.tell(listed.as_ref()) {
            return;
        }
        clock.sleep(FRESH).await;
    }
}

async fn read(cloud: Arc<dyn Cloud>, listing: Listing) -> PortResult<Vec<String>> {
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
        let (watch, board, clock) = (Watch::default(), Arc::<Board>::default(), clock());
        let reads = Arc::new(AtomicU32::new(0));
        let ids: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let read = {
            let (ids, reads) = (ids.clone(), reads.clone());
            move || {
                let earlier = reads.fetch_add(1, Ordering::SeqCst);
                let listed = if earlier < 2 { ids.clone() } else { Vec::new() };
                async move { Ok(listed) }
            }
        };
        let waits = ids.iter().map(|id| watch.wait(&clock, &board, id, read.clone()));
        let still = futures::future::join_all(waits).await;
        assert!(still.iter().all(|still| !still), "all are to look for themselves");
        let reads = reads.load(Ordering::SeqCst);
        assert!((3..20).contains(&reads), "{reads} lists for a hundred waits");
    }

    #[tokio::test]
    async fn who_stays_listed_looks_for_himself_now_and_then() {
        let (watch, board, clock) = (Watch::default(), Arc::<Board>::default(), clock());
        let read = || async { Ok(vec!["a".to_owned()]) };
        let mut still = Vec::new();
        for _ in 0..2 * WAITS {
            still.push(watch.wait(&clock, &board, "a", read).await);
        }
        let own_looks = still.iter().filter(|still| !**still).count();
        assert_eq!((still[0], own_looks), (true, 2), "{still:?}");
    }

    #[tokio::test]
    async fn without_a_list_everybody_looks_for_himself() {
        let (watch, board, clock) = (Watch::default(), Arc::<Board>::default(), clock());
        let denied = || async {
            Err(PortError::Unknown { service: "nova".into(), message: "no answer".into() })
        };
        let before = clock.monotonic();
        assert!(!watch.wait(&clock, &board, "a", denied).await);
        assert!(clock.monotonic() - before < PATIENCE, "at once");
    }
}
