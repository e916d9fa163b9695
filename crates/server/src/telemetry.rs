//! Log output.

use tracing_subscriber::EnvFilter;

/// Logs to standard error, as `PROTECTOR_LOG` says (default: `info`); as JSON if `json`.
pub fn init(json: bool, default: &str) {
    let filter =
        EnvFilter::try_from_env("PROTECTOR_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (tests, several Protectors in one process) keeps the first's settings.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}
