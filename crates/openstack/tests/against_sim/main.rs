//! Every method of the ports against a simulated cloud.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod block_storage;
mod compute;
mod delegation;
mod identity;
mod lab;
mod network;
