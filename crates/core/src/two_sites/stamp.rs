//! How two copies of a group's document stand to each other.

use std::cmp::Ordering;

use protector_ports::GroupStamp;
use protector_types::{Epoch, SiteId};

/// How an offered copy stands to the one that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The same.
    Same,
    /// The offered one is newer, and what is held went into it.
    Newer,
    /// The offered one is older, and went into what is held.
    Older,
    /// Neither went into the other.
    Conflict,
}

impl Standing {
    /// Seen from the other side.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Newer => Self::Older,
            Self::Older => Self::Newer,
            other => other,
        }
    }
}

/// The epoch that a document had under a number, if its record reaches back so far.
fn epoch_at(stamp: &GroupStamp, number: u64) -> Option<Epoch> {
    if stamp.epoch.number == number {
        return Some(stamp.epoch);
    }
    stamp.epochs_before.iter().copied().find(|epoch| epoch.number == number)
}

/// True if `newer` went through the epoch that `older` is in. Where its record does not reach back so far, the number
/// decides.
fn went_through(newer: &GroupStamp, older: &GroupStamp) -> bool {
    epoch_at(newer, older.epoch.number).is_none_or(|epoch| epoch == older.epoch)
}

/// Compares what is offered with what is held. The epoch decides before the version. An epoch is a number, the site
/// that raised it and the operation that did: the same number raised twice is a conflict whatever the versions, also
/// when one of the two was followed by further epochs; the same epoch and version with another digest is one too.
pub fn compare(offered: &GroupStamp, held: &GroupStamp) -> Standing {
    match offered.epoch.number.cmp(&held.epoch.number) {
        Ordering::Greater if went_through(offered, held) => Standing::Newer,
        Ordering::Less if went_through(held, offered) => Standing::Older,
        Ordering::Equal if offered.epoch == held.epoch => within_epoch(offered, held),
        _ => Standing::Conflict,
    }
}

fn within_epoch(offered: &GroupStamp, held: &GroupStamp) -> Standing {
    match offered.version.cmp(&held.version) {
        Ordering::Greater => Standing::Newer,
        Ordering::Less => Standing::Older,
        Ordering::Equal if offered.digest == held.digest => Standing::Same,
        Ordering::Equal => Standing::Conflict,
    }
}

/// True if the peer shows an epoch that this very site raised and does not know any more: our database was restored from
/// an old copy.
pub fn was_restored(local: SiteId, ours: &GroupStamp, theirs: &GroupStamp) -> bool {
    let unknown =
        |epoch: &Epoch| epoch.raised_by == local && epoch_at(ours, epoch.number) != Some(*epoch);
    compare(theirs, ours) == Standing::Newer
        && theirs
            .epochs_before
            .iter()
            .chain([&theirs.epoch])
            .any(|epoch| epoch.number > ours.epoch.number && unknown(epoch))
}

#[cfg(test)]
pub(crate) mod tests {
    use protector_types::OperationId;
    use uuid::Uuid;

    use super::*;

    pub(crate) fn site(n: u128) -> SiteId {
        SiteId(Uuid::from_u128(n))
    }

    pub(crate) fn epoch(number: u64, raised_by: u128, raised_in: u128) -> Epoch {
        let raised_in = (raised_in > 0).then(|| OperationId(Uuid::from_u128(raised_in)));
        Epoch { number, raised_by: site(raised_by), raised_in }
    }

    /// Epochs as (raised by, raised in), from the first; the last one is the current. The primary is who raised it.
    pub(crate) fn stamp(epochs: &[(u128, u128)], version: u64, digest: &str) -> GroupStamp {
        let all: Vec<Epoch> =
            epochs.iter().zip(1..).map(|(&(by, op), number)| epoch(number, by, op)).collect();
        let (current, before) = all.split_last().unwrap();
        GroupStamp {
            epoch: *current,
            epochs_before: before.to_vec(),
            version,
            primary: current.raised_by,
            digest: digest.into(),
        }
    }

    const BIRTH: (u128, u128) = (1, 0);

    #[test]
    fn the_epoch_decides_before_the_version() {
        let first = |v, d| stamp(&[BIRTH], v, d);
        let second = |v, d| stamp(&[BIRTH, (2, 7)], v, d);
        assert_eq!(compare(&second(3, "x"), &first(9, "y")), Standing::Newer);
        assert_eq!(compare(&first(9, "x"), &second(3, "y")), Standing::Older);
        assert_eq!(compare(&first(4, "x"), &first(3, "y")), Standing::Newer);
        assert_eq!(compare(&first(3, "x"), &first(3, "x")), Standing::Same);
        assert_eq!(compare(&first(3, "x"), &first(3, "y")), Standing::Conflict);
    }

    #[test]
    fn one_number_raised_twice_is_a_conflict_whatever_followed() {
        let a = stamp(&[BIRTH, (1, 5)], 3, "a");
        let b = stamp(&[BIRTH, (2, 6)], 9, "b");
        assert_eq!(compare(&a, &b), Standing::Conflict);
        // B raised once more: its number is higher, but it never saw what A did.
        let further = stamp(&[BIRTH, (2, 6), (2, 6)], 9, "b");
        assert_eq!(compare(&further, &a), Standing::Conflict);
        assert_eq!(compare(&a, &further), Standing::Conflict);
        // The same site twice: restored from an old copy between its two forced failovers.
        let twin = stamp(&[BIRTH, (2, 8)], 5, "t");
        assert_eq!(compare(&twin, &b), Standing::Conflict);
    }

    #[test]
    fn a_record_that_does_not_reach_back_trusts_the_number() {
        let mut newer = stamp(&[BIRTH, (2, 6), (1, 7)], 9, "n");
        newer.epochs_before.clear();
        assert_eq!(compare(&newer, &stamp(&[BIRTH], 3, "o")), Standing::Newer);
    }

    #[test]
    fn a_restored_database_is_told_by_an_epoch_that_only_it_could_have_raised() {
        let ours = stamp(&[BIRTH], 3, "o");
        assert!(was_restored(site(2), &ours, &stamp(&[BIRTH, (2, 6)], 9, "n")));
        assert!(!was_restored(site(1), &ours, &stamp(&[BIRTH, (2, 6)], 9, "n")));
        assert!(!was_restored(site(2), &stamp(&[BIRTH, (2, 6)], 9, "n"), &ours));
    }
}
