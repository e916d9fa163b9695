//! What several crates' tests share: a two-site harness on the demo's stage, the engine as a process that can be
//! killed, an inventory of everything in both clouds and on both arrays, the kill sweep, and the plan property harness.

pub mod expect;
pub mod harness;
pub mod inventory;
pub mod process;
pub mod race;
pub mod simulation;
pub mod sweep;
pub mod two_sites;

pub use inventory::Inventory;
pub use process::{CrashPoint, Service, ServiceProcess};
pub use sweep::{CaseEnd, Selection, SweepReport, sweep};
pub use two_sites::TwoSites;
