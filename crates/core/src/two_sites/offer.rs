//! What a site does with a document that it is offered, or that it only sees at its peer.

use protector_ports::GroupStamp;
use protector_types::SiteId;

use super::{Standing, compare};

/// How a document comes to a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer<'a> {
    /// Pushed, or seen at the peer by a look of ours. `agreed`: this site granted its claim to the operation that made
    /// the change, so its own copy was made safe under that claim.
    Ordinary {
        /// See above.
        agreed: bool,
    },
    /// `sync-force`: a person says that this side takes it. `instead_of`: in a conflict, the copy that the person saw
    /// and gives up.
    Forced {
        /// See above.
        instead_of: Option<&'a GroupStamp>,
    },
}

/// What the site does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing: it has this very document.
    Keep,
    /// Takes it. `lifts`: it names this site as primary again, so a quarantine is taken back exactly.
    Take {
        /// See above.
        lifts: bool,
    },
    /// Takes it, and is quarantined: until now it was the primary itself, and nobody has made its copy safe.
    TakeAndQuarantine,
    /// Is quarantined, and keeps its document until `sync-force`.
    Quarantine,
    /// Does not take it.
    Refuse(Standing),
}

/// The decision. `held`: this site's own copy, if it knows the group.
pub fn answer(
    local: SiteId,
    held: Option<&GroupStamp>,
    offered: &GroupStamp,
    offer: Offer<'_>,
) -> Answer {
    let Some(held) = held else { return Answer::Take { lifts: false } };
    // What was the primary until now and is not any more has to be made safe first.
    let moves_away = held.primary == local && offered.primary != local;
    let lifts = offered.primary == local && offered.epoch != held.epoch;
    match (compare(offered, held), offer) {
        (Standing::Same, _) => Answer::Keep,
        (Standing::Newer, Offer::Ordinary { agreed: false }) if moves_away => Answer::Quarantine,
        (Standing::Newer, Offer::Forced { .. }) if moves_away => Answer::TakeAndQuarantine,
        (Standing::Newer, _) => Answer::Take { lifts },
        (Standing::Conflict, Offer::Forced { instead_of: Some(given_up) }) if given_up == held => {
            if moves_away {
                Answer::TakeAndQuarantine
            } else {
                Answer::Take { lifts }
            }
        }
        (standing @ (Standing::Older | Standing::Conflict), _) => Answer::Refuse(standing),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::stamp::tests::*, *};

    const BIRTH: (u128, u128) = (1, 0);
    const ORDINARY: Offer<'_> = Offer::Ordinary { agreed: false };

    #[test]
    fn a_new_primary_quarantines_the_old_one_unless_it_agreed() {
        let held = stamp(&[BIRTH], 3, "h");
        let moved = stamp(&[BIRTH, (2, 6)], 4, "m");
        assert_eq!(answer(site(1), Some(&held), &moved, ORDINARY), Answer::Quarantine);
        let agreed = Offer::Ordinary { agreed: true };
        assert_eq!(answer(site(1), Some(&held), &moved, agreed), Answer::Take { lifts: false });
        let forced = Offer::Forced { instead_of: None };
        assert_eq!(answer(site(1), Some(&held), &moved, forced), Answer::TakeAndQuarantine);
        // The other site was not the primary: nothing runs there that had to be made safe.
        let other = stamp(&[BIRTH, (1, 6)], 4, "o");
        assert_eq!(answer(site(2), Some(&held), &other, ORDINARY), Answer::Take { lifts: false });
    }

    #[test]
    fn a_further_epoch_that_names_this_site_again_lifts_its_quarantine() {
        let held = stamp(&[BIRTH], 3, "h");
        let mut again = stamp(&[BIRTH, (2, 6), (2, 6)], 5, "a");
        again.primary = site(1);
        assert_eq!(answer(site(1), Some(&held), &again, ORDINARY), Answer::Take { lifts: true });
    }

    #[test]
    fn an_older_document_is_never_taken_and_a_conflict_only_when_a_person_gave_up_this_very_copy() {
        let held = stamp(&[BIRTH, (1, 5)], 3, "a");
        let other = stamp(&[BIRTH, (2, 6)], 9, "b");
        let older = stamp(&[BIRTH], 2, "o");
        let force = |given| Offer::Forced { instead_of: given };
        assert_eq!(
            answer(site(1), Some(&held), &older, force(Some(&held))),
            Answer::Refuse(Standing::Older)
        );
        assert_eq!(
            answer(site(1), Some(&held), &other, ORDINARY),
            Answer::Refuse(Standing::Conflict)
        );
        assert_eq!(
            answer(site(1), Some(&held), &other, force(None)),
            Answer::Refuse(Standing::Conflict)
        );
        let stale = stamp(&[BIRTH, (1, 5)], 2, "s");
        assert_eq!(
            answer(site(1), Some(&held), &other, force(Some(&stale))),
            Answer::Refuse(Standing::Conflict)
        );
        assert_eq!(
            answer(site(1), Some(&held), &other, force(Some(&held))),
            Answer::TakeAndQuarantine
        );
    }
}
