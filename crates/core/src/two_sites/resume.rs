//! May an engine go on with an operation that it finds in its database after a start?

use protector_types::OperationId;

use super::Standing;

/// What the peer says when it is asked for its renewal of the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerWord {
    /// The claim is (again) this operation's at the peer, whose copy of the group stands so to ours.
    Granted(Standing),
    /// Another operation has it there.
    HeldBy(OperationId, Standing),
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Go on.
    Go,
    /// Not yet: the peer is away, or a person has to choose first.
    Wait,
    /// The group has gone on without this operation: it ends here, and nothing of it is touched.
    GiveUp,
}

/// The decision. `peer`: `None` when it does not answer. A forced operation needs nobody.
pub fn resume(forced: bool, peer: Option<PeerWord>) -> Resume {
    if forced {
        return Resume::Go;
    }
    match peer {
        None => Resume::Wait,
        Some(PeerWord::Granted(Standing::Same | Standing::Older)) => Resume::Go,
        // Somebody went on from what we hold: our operation is not in it any more, or it was taken over.
        Some(PeerWord::Granted(Standing::Newer) | PeerWord::HeldBy(_, Standing::Newer)) => {
            Resume::GiveUp
        }
        Some(PeerWord::Granted(Standing::Conflict) | PeerWord::HeldBy(_, _)) => Resume::Wait,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_a_peer_that_knows_nothing_newer_lets_an_operation_go_on() {
        let other = OperationId(Uuid::from_u128(9));
        assert_eq!(resume(false, None), Resume::Wait);
        assert_eq!(resume(true, None), Resume::Go);
        assert_eq!(resume(false, Some(PeerWord::Granted(Standing::Same))), Resume::Go);
        assert_eq!(resume(false, Some(PeerWord::Granted(Standing::Older))), Resume::Go);
        assert_eq!(resume(false, Some(PeerWord::Granted(Standing::Newer))), Resume::GiveUp);
        assert_eq!(resume(false, Some(PeerWord::HeldBy(other, Standing::Newer))), Resume::GiveUp);
        assert_eq!(resume(false, Some(PeerWord::HeldBy(other, Standing::Same))), Resume::Wait);
    }
}
