//! The product's thinking that is not an operation: sites, mappings, groups, members, policies, metadata sync;
//! admission as pure functions; and the `Planner` trait through which an accepted action becomes a plan.

pub mod actions;
pub mod admission;
pub mod claims;
mod controls;
pub mod delegations;
mod earlier;
mod errors;
pub mod facts;
pub mod groups;
pub mod health;
pub mod kept;
pub mod members;
pub mod model;
pub mod operations;
pub mod peer;
pub mod planner;
pub mod policies;
pub mod preview;
pub mod quarantine;
mod reach;
pub mod reset;
pub mod service;
pub mod sites;
pub mod streams;
pub mod sync;
pub mod sync_force;
pub mod takeover;
pub mod tenant_mappings;
pub mod two_sites;
mod validation;

/// The newest microversion of our API.
pub const API_VERSION: &str = "1.3";

pub use model::*;
pub use planner::{EarlierOperation, PlanRequest, Planner};
pub use protector_store::{Page, PageRequest};
pub use service::Core;
