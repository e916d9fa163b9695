//! Wires one Protector: configuration, telemetry, adapters. The only place that names concrete adapters, and a library,
//! so that two Protectors run in one process (demo, simulation) as well as in two.

pub mod assembly;
pub mod config;
pub mod fabric;
pub mod hooks;
pub mod listen;
pub mod telemetry;

pub use assembly::{Protector, Roles};
pub use config::Config;
pub use hooks::test_clock;
pub use protector_engine::{EngineConfig, sweep::Sweep};

pub use protector_http::install_crypto_provider;
pub use protector_ports::ArrayDriver;
pub use protector_workflow::{ScaledClock, SystemClock};

/// The OpenAPI document.
///
/// # Errors
/// When it cannot be written as JSON (a bug).
pub fn openapi_json() -> serde_json::Result<String> {
    serde_json::to_string_pretty(&protector_api::openapi())
}

/// A policy file with every rule and its default.
pub fn policy_sample() -> String {
    protector_policy::sample()
}
