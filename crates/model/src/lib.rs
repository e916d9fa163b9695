//! A model of the two-site protocol, checked exhaustively: two sites, one group, two operators, messages that are lost,
//! duplicated and overtaken, crashes, a database restored from an old copy, force at either or both sites.
//!
//! What a site decides is not written here: the model calls the very functions of [`protector_core::two_sites`] that the
//! product calls. What is written here is the world around them: what is in the network, what is in a database, and what
//! a crash leaves of both. [`Rules`] can be replaced by planted bad ones, which the checks must catch.

mod check;
mod explore;
mod rules;
mod site;
mod steps;
mod world;

pub use check::{Report, check, first_failure};
pub use explore::{Explored, explore};
pub use rules::{Planted, Rules};
pub use site::{Doc, Kind, Row, Site, Step, Work};
pub use world::{Act, Budget, Message, Protocol, World};
