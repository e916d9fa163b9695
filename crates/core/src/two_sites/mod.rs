//! The two-site protocol as pure decisions (3-workflows.md sections 3 and 6): no I/O, no clock, no chance. The product
//! asks them before it acts, and the model of the protocol (`crates/model`) checks these very functions exhaustively.
//!
//! | question | function |
//! |---|---|
//! | how do two copies of a group stand to each other? | [`compare`] |
//! | what becomes of a document that is offered, or only seen at the peer? | [`answer`] |
//! | who gets a claim, and when is one dead? | [`grant`], [`Expiry`] |
//! | may a restarted engine go on? | [`resume`] |
//! | which way does `sync-force` go? | [`direction`] |
//! | may a quarantine end? | [`may_release`] |

mod claim;
mod force;
mod offer;
mod resume;
mod stamp;

pub use claim::{CLAIM_LASTS, Expiry, Grant, Held, TAKEOVER_AFTER, Want, claim_order, grant};
pub use force::{Direction, direction, may_release};
pub use offer::{Answer, Offer, answer};
pub use resume::{PeerWord, Resume, resume};
pub use stamp::{Standing, compare, was_restored};
