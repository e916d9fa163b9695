//! The API against a small core of its own: what clients see, key by key.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod auth;
mod bad_input;
mod coverage;
mod discovery;
mod events;
mod fake;
mod fixtures;
mod lists;
mod peer;
mod plans;
mod preconditions;
mod resources;
mod shapes;
mod support;
mod versions;
