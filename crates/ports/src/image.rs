//! Glance, as far as we need it.

use async_trait::async_trait;
use protector_types::Candidate;

use crate::PortResult;

/// Glance at one site, in one project.
#[async_trait]
pub trait Image: Send + Sync {
    /// Read; images the project may use.
    async fn images(&self) -> PortResult<Vec<Candidate>>;
}
