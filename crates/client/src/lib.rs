//! Our own API, called from the outside: [`ProtectorClient`] has a function per call, and [`PeerClient`] is the other
//! site's Protector as `core` wants it ([`protector_ports::PeerSite`]).
//!
//! Tokens come from a [`TokenSource`]; a 401 renews the token once. What goes wrong is a [`ClientError`] with the
//! API's own codes and sentences.

pub mod client;
pub mod error;
pub mod groups;
pub mod operations;
pub mod peer;
pub mod sites;
pub mod token;

pub use client::ProtectorClient;
pub use error::{ClientError, classify};
pub use operations::OperationQuery;
pub use peer::PeerClient;
pub use token::{FixedToken, TokenSource};
