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
pub use model_standin as model;

// TEMP
extern crate self as protector_workflow;
extern crate self as protector_core;
#[path = "../../core/src/model.rs"]
pub mod model_standin;
pub use model_standin as model_pub;
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StepFailure { pub stage: String, pub step: String, pub member: Option<String>, pub error: String, pub retries: u32 }
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StageView { pub name: String, pub done: usize, pub total: usize, pub running: usize }

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest { pub limit: u64, pub marker: Option<String>, pub sort_key: Option<String>, pub descending: bool }
impl Default for PageRequest { fn default() -> Self { Self { limit: 100, marker: None, sort_key: None, descending: false } } }
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> { pub items: Vec<T>, pub more: bool }
