//! Simulated Nova and Cinder over their wire APIs, in process, on a clock that stands still.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cinder_access;
mod cinder_manage;
mod cinder_sync;
mod cinder_volumes;
mod fence;
mod nova_create;
mod nova_lists;
mod nova_servers;
mod nova_sub;
mod support;
