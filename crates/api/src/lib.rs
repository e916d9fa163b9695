//! The REST API: token, microversion, policy, core, answer. `router.rs` is the whole of it on one page.
//!
//! A request passes, outermost first: [`layers::observe`] (request id, span, log line, metrics), catch-panic,
//! [`layers::negotiate_version`], [`layers::authenticate`] (all but the public calls), handler. A handler reads
//! the body, loads what the request is about, asks the policy, calls the core and answers; what cannot be
//! answered becomes an [`ApiError`], and `error.rs` has the one table that makes HTTP of it.

pub mod auth;
pub mod call;
pub mod convert;
pub mod core_api;
pub mod docs;
pub mod error;
pub mod extract;
pub mod handlers;
pub mod layers;
pub mod metrics;
pub mod precondition;
pub mod query;
pub mod router;
pub mod state;

pub use core_api::CoreApi;
pub use error::ApiError;
pub use metrics::OperationCounts;
pub use router::{openapi, router};
pub use state::{AppState, AppStateBuilder};

/// What the core speaks.
pub(crate) use protector_core::model;
