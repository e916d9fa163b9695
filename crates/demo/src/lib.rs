//! The demo and the stage that tests and benchmarks share: two simulated sites with arrays, two Protectors, a tenant's
//! application, protection over the real API, and a failover to watch.

pub mod env_file;
pub mod follow;
pub mod options;
pub mod progress;
pub mod protect;
pub mod rest;
pub mod run;
pub mod scenario;
pub mod stage;
pub mod tenant;
pub mod way;
pub mod words;

pub use options::DemoOptions;
pub use protect::Protected;
pub use rest::Rest;
pub use run::run;
pub use stage::{Stage, StageOptions};
