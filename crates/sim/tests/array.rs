//! The simulated array over its router, rule by rule, on a clock that the test moves.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "array/handle.rs"]
mod handle;
#[path = "array/hosts.rs"]
mod hosts;
#[path = "array/lifecycle.rs"]
mod lifecycle;
#[path = "array/links.rs"]
mod links;
#[path = "array/pods.rs"]
mod pods;
#[path = "array/replication.rs"]
mod replication;
#[path = "array/schedules.rs"]
mod schedules;
#[path = "array/sessions.rs"]
mod sessions;
#[path = "array/support.rs"]
mod support;
#[path = "array/volumes.rs"]
mod volumes;
