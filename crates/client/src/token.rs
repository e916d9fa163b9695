//! Where tokens come from.

use async_trait::async_trait;
use protector_ports::PortResult;
use protector_types::Secret;

/// Gives a valid token of the user that the client acts for.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that should be valid, cached or new.
    ///
    /// # Errors
    /// Keystone's.
    async fn token(&self) -> PortResult<Secret>;

    /// The API did not accept `token`: a new one.
    ///
    /// # Errors
    /// Keystone's.
    async fn refused(&self, token: &Secret) -> PortResult<Secret>;
}

/// One token, for tools and tests; it cannot be renewed.
#[derive(Debug, Clone)]
pub struct FixedToken(pub Secret);

#[async_trait]
impl TokenSource for FixedToken {
    async fn token(&self) -> PortResult<Secret> {
        Ok(self.0.clone())
    }

    async fn refused(&self, _: &Secret) -> PortResult<Secret> {
        Ok(self.0.clone())
    }
}
