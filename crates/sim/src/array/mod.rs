//! One simulated FlashArray. [`Array`] is the handle that the Cinder simulator uses in the place of the
//! Pure driver; everybody else talks REST 2.x to it.
//!
//! Arrays that are linked share one `Fabric` behind one lock, so that both can be looked at
//! without a deadlock. Nothing runs in the background: whatever is due by the injected clock happens
//! when somebody looks (`progress.rs`).

mod backend;
mod config;
mod connections;
mod contract;
mod dump;
mod error;
mod fabric;
mod filter;
mod groups;
mod ids;
mod lifecycle;
mod model;
mod names;
mod pods;
mod progress;
mod query;
mod replication;
mod rest;
mod view;
mod volumes;
mod wire;

pub use backend::{Array, ArrayRefusal, VolumeView};
pub use config::{
    ApiToken, ArrayConfig, RateLimit, Strictness, TransferTiming, default_versions,
    published_versions,
};
pub use model::{LinkStatus, LinkType};
