//! The operations: for each one a planner and a table of steps. Steps talk to `ports` only.
//!
//! [`catalog::all`] lists every definition with its version; a plan that was stored by an older release finds the
//! definition that it was made for, or is parked.

pub mod catalog;
pub mod deps;
pub mod drill;
pub mod facts;
pub mod failback;
pub mod failover;
pub mod fencing;
pub mod forced;
pub mod kept;
pub mod leaks;
pub mod marked;
pub mod outcome;
pub mod points;
pub mod preview;
pub mod rebuild;
pub mod registry;
pub mod replication;
pub mod reprotect;
pub mod results;
pub mod sketch;
pub mod steps;
pub mod sync_volumes;
pub mod unfencing;
mod watch;

pub use catalog::OperationsPlanner;
pub use deps::{Deps, GroupPush};
