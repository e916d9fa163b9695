//! `sync-force`: which way, and when a quarantine ends.

use protector_ports::GroupStamp;
use protector_types::SiteId;

use super::{Standing, compare};

/// Which way the document goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both have it.
    InSync,
    /// From here to the peer.
    Push,
    /// From the peer to here.
    Pull,
    /// A person has to say whose copy is taken.
    Choose,
    /// The chosen copy is the older one: it never replaces a newer.
    ChosenIsOlder,
}

/// The decision. `from`: whose copy the person chose; needed only in a conflict.
pub fn direction(
    local: SiteId,
    ours: &GroupStamp,
    theirs: &GroupStamp,
    from: Option<SiteId>,
) -> Direction {
    let chose_ours = from.map(|site| site == local);
    match (compare(theirs, ours), chose_ours) {
        (Standing::Same, _) => Direction::InSync,
        (Standing::Newer, Some(true)) | (Standing::Older, Some(false)) => Direction::ChosenIsOlder,
        (Standing::Newer, _) | (Standing::Conflict, Some(false)) => Direction::Pull,
        (Standing::Older, _) | (Standing::Conflict, Some(true)) => Direction::Push,
        (Standing::Conflict, None) => Direction::Choose,
    }
}

/// Whether a quarantine ends: a person synchronised (or asked for its release), both copies are the same, and this
/// site's own was made safe (or a person says so, where making it safe had failed).
pub fn may_release(asked: bool, in_sync: bool, is_safe: bool) -> bool {
    asked && in_sync && is_safe
}

#[cfg(test)]
mod tests {
    use super::{super::stamp::tests::*, *};

    const BIRTH: (u128, u128) = (1, 0);

    #[test]
    fn the_newer_copy_wins_and_a_conflict_needs_a_choice() {
        let old = stamp(&[BIRTH], 3, "o");
        let new = stamp(&[BIRTH, (2, 6)], 4, "n");
        let rival = stamp(&[BIRTH, (1, 7)], 9, "r");
        let here = site(1);
        assert_eq!(direction(here, &old, &old, None), Direction::InSync);
        assert_eq!(direction(here, &old, &new, None), Direction::Pull);
        assert_eq!(direction(here, &new, &old, None), Direction::Push);
        assert_eq!(direction(here, &old, &new, Some(site(2))), Direction::Pull);
        assert_eq!(direction(here, &old, &new, Some(here)), Direction::ChosenIsOlder);
        assert_eq!(direction(here, &rival, &new, None), Direction::Choose);
        assert_eq!(direction(here, &rival, &new, Some(here)), Direction::Push);
        assert_eq!(direction(here, &rival, &new, Some(site(2))), Direction::Pull);
    }
}
