//! How one request gets out and its answer comes back.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

/// The largest answer that is read when the request does not say otherwise: 32 MiB.
pub const DEFAULT_MAX_BODY: usize = 32 << 20;

/// Why there is no answer. What matters is whether the request can have had an effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The connection was certainly not made: the request had no effect.
    #[error("no connection: {0}")]
    Refused(String),
    /// It was sent, and the answer was lost or came too late: the effect is unknown.
    #[error("no answer: {0}")]
    Lost(String),
    /// The peer's certificate or the handshake was refused: no effect, and a repeat cannot help.
    #[error("TLS: {0}")]
    Tls(String),
    /// The address cannot be used: no effect.
    #[error("bad address: {0}")]
    BadUrl(String),
    /// The answer is larger than we read: the effect is unknown, and a repeat cannot help.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// What would have been read.
        limit: usize,
    },
}

/// Sends one request, once.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `request` (with an absolute URI) and reads the whole answer, of whatever status.
    /// `deadline` bounds all of it; when it passes the answer counts as [`TransportError::Lost`].
    ///
    /// # Errors
    /// [`TransportError`] when there is no whole answer.
    async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError>;
}

/// Request extension: the largest body of an answer that may be read, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct MaxBody(pub usize);

/// The limit that a request asks for.
pub(crate) fn max_body(request: &Request<Bytes>) -> usize {
    request.extensions().get::<MaxBody>().map_or(DEFAULT_MAX_BODY, |limit| limit.0)
}

/// Response extension by which an in-process service says: my answer got lost on the way
/// ([`TransportError::Lost`]). The request had its effect, or had not; the client cannot know.
#[derive(Debug, Clone, Copy)]
pub struct Dropped;

/// Response extension by which an in-process service says: nobody listened
/// ([`TransportError::Refused`]).
#[derive(Debug, Clone, Copy)]
pub struct Refused;
