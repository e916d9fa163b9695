//! The engine's knobs. All times run on the injected clock, except where noted.

use std::time::Duration;

/// See the fields.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How often to look for operations.
    pub poll: Duration,
    /// How long an owner's heartbeat must stand still before its operation is taken, and how long our own right to go
    /// on lasts after a heartbeat.
    pub lease: Duration,
    /// How often to beat.
    pub heartbeat: Duration,
    /// Operations looked at in one go.
    pub claim_batch: u64,
    /// Real time for letting go at shutdown.
    pub drain: Duration,
    /// How often documents that the peer has not confirmed are pushed again.
    pub push_interval: Duration,
    /// How often the peer's copies are looked at.
    pub look_interval: Duration,
    /// How often sites are looked at.
    pub observe_interval: Duration,
    /// How often kept copies whose time has passed are looked for.
    pub kept_interval: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(500),
            lease: Duration::from_secs(20),
            heartbeat: Duration::from_secs(3),
            claim_batch: 200,
            drain: Duration::from_secs(30),
            push_interval: Duration::from_secs(5),
            look_interval: Duration::from_secs(10),
            observe_interval: Duration::from_secs(60),
            kept_interval: Duration::from_secs(60),
        }
    }
}
