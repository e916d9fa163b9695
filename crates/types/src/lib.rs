//! The product's words: ids, states with their transition tables as data, mapping and policy
//! values, group documents, error codes, `Secret`, and the traits `Clock` and `Rng`.
//!
//! No I/O, no async runtime, no ambient clock: whatever reads time or chance takes it as an argument.

pub mod clock;
pub mod delegation;
pub mod document;
pub mod domain_effect;
pub mod error;
pub mod evidence;
pub mod fence;
pub mod ids;
pub mod kept;
pub mod mapping;
pub mod quarantine;
pub mod secret;
pub mod site;
pub mod states;

pub use clock::{BoxFuture, Clock, ManualClock, Rng, SplitMix};
pub use delegation::{Delegation, DelegationState, choose_delegate};
pub use document::*;
pub use domain_effect::{DomainEffect, NewPlacement};
pub use error::{Code, Kind, Reason, Refusal};
pub use evidence::Evidence;
pub use fence::{ArrayConnection, Fence, FencedVolume};
pub use ids::*;
pub use kept::{KeptCopy, KeptThing};
pub use mapping::{Candidate, Mapping, MappingError, resolve_reference};
pub use quarantine::{Quarantine, QuarantinedServer, SiteFacts};
pub use secret::Secret;
pub use site::*;
pub use states::*;
