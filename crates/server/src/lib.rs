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
