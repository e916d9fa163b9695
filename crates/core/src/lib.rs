//! The product's thinking that is not an operation: sites, mappings, groups, members, policies, metadata sync;
//! admission as pure functions; and the `Planner` trait through which an accepted action becomes a plan.

pub mod actions;
pub mod admission;
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
pub mod reset;
pub mod service;
pub mod sites;
pub mod tenant_mappings;
mod validation;

/// The newest microversion of our API.
pub const API_VERSION: &str = "1.3";

pub use model::*;
pub use planner::{EarlierOperation, PlanRequest, Planner};
pub use protector_store::{Page, PageRequest};
pub use service::Core;
