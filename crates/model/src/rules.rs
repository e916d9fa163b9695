//! The product's decisions, and planted bad ones.

use protector_core::two_sites::{
    Answer, Direction, Grant, Held, Offer, PeerWord, Resume, Standing, Want, answer, compare,
    direction, grant, may_release, resume,
};
use protector_ports::GroupStamp;
use protector_types::{Epoch, SiteId};

/// A mistake that one could make in the decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// An older document is taken.
    TakesOlder,
    /// Who raised an epoch does not matter, and what came before it neither.
    IgnoresRaiser,
    /// Whoever asks gets the claim.
    GrantsAlways,
    /// A restarted engine goes on without asking.
    ResumesUnasked,
    /// A conflict is decided by the one who synchronises, whatever the other side holds by then.
    ChoosesBlindly,
    /// A quarantine never ends.
    NeverReleases,
    /// A site that learns of a new primary takes the document and goes on.
    NeverQuarantines,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::TakesOlder,
        Self::IgnoresRaiser,
        Self::GrantsAlways,
        Self::ResumesUnasked,
        Self::ChoosesBlindly,
        Self::NeverReleases,
        Self::NeverQuarantines,
    ];
}

/// The decisions that the model runs on: the product's, with at most one planted mistake.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules(pub Option<Planted>);

impl Rules {
    fn has(self, planted: Planted) -> bool {
        self.0 == Some(planted)
    }

    fn seen(self, stamp: &GroupStamp) -> GroupStamp {
        if !self.has(Planted::IgnoresRaiser) {
            return stamp.clone();
        }
        let nobody = SiteId(uuid::Uuid::nil());
        let epoch = Epoch { number: stamp.epoch.number, raised_by: nobody, raised_in: None };
        GroupStamp { epoch, epochs_before: Vec::new(), ..stamp.clone() }
    }

    pub(crate) fn compare(self, offered: &GroupStamp, held: &GroupStamp) -> Standing {
        compare(&self.seen(offered), &self.seen(held))
    }

    pub(crate) fn answer(
        self,
        local: SiteId,
        held: &GroupStamp,
        offered: &GroupStamp,
        offer: Offer<'_>,
    ) -> Answer {
        let (held, offered) = (self.seen(held), self.seen(offered));
        let given_up = match offer {
            Offer::Forced { instead_of: Some(stamp) } => Some(self.seen(stamp)),
            _ => None,
        };
        let offer = match offer {
            Offer::Forced { .. } => Offer::Forced {
                instead_of: if self.has(Planted::ChoosesBlindly) {
                    given_up.as_ref().map(|_| &held)
                } else {
                    given_up.as_ref()
                },
            },
            ordinary => ordinary,
        };
        match answer(local, Some(&held), &offered, offer) {
            Answer::Refuse(Standing::Older) if self.has(Planted::TakesOlder) => {
                Answer::Take { lifts: false }
            }
            Answer::Quarantine | Answer::TakeAndQuarantine
                if self.has(Planted::NeverQuarantines) =>
            {
                Answer::Take { lifts: false }
            }
            other => other,
        }
    }

    pub(crate) fn grant(self, held: Option<&Held>, want: &Want) -> Grant {
        if self.has(Planted::GrantsAlways) { Grant::Taken } else { grant(held, want) }
    }

    pub(crate) fn resume(self, forced: bool, peer: Option<PeerWord>) -> Resume {
        if self.has(Planted::ResumesUnasked) { Resume::Go } else { resume(forced, peer) }
    }

    pub(crate) fn direction(
        self,
        local: SiteId,
        ours: &GroupStamp,
        theirs: &GroupStamp,
        from: Option<SiteId>,
    ) -> Direction {
        direction(local, &self.seen(ours), &self.seen(theirs), from)
    }

    pub(crate) fn may_release(self, asked: bool, in_sync: bool, is_safe: bool) -> bool {
        !self.has(Planted::NeverReleases) && may_release(asked, in_sync, is_safe)
    }
}
