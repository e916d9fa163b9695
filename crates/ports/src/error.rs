//! One table for what services answer (4-architecture.md section 3, rule 13).

use std::time::Duration;

/// The result of a call to the world.
pub type PortResult<T> = Result<T, PortError>;

/// Why a call did not give what it should. `message` is the service's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Certainly not there (404 while looking; the array's "does not exist").
    #[error("{service}: {message}")]
    Absent {
        /// "nova at site-b", for example.
        service: String,
        /// The service's words.
        message: String,
    },
    /// The state of the thing does not allow it, or it is there already (409, the array's 400): look again.
    #[error("{service}: {message}")]
    Conflict {
        /// Who said it.
        service: String,
        /// The service's words.
        message: String,
    },
    /// We may not (403). `message` names the policy where the service does.
    #[error("{service} refused: {message}")]
    Denied {
        /// Who said it.
        service: String,
        /// The service's words.
        message: String,
    },
    /// The request is wrong (400, 413 over quota ...): repeating it cannot help.
    #[error("{service}: {message}")]
    Invalid {
        /// Who said it.
        service: String,
        /// The service's words.
        message: String,
    },
    /// Certainly had no effect, and may work later (429, 503 with the service's own body, connection refused).
    #[error("{service} is not available: {message}")]
    Transient {
        /// Who said it.
        service: String,
        /// What happened.
        message: String,
        /// What the service asked for.
        retry_after: Option<Duration>,
    },
    /// The answer was lost or cannot be read: the effect may have landed, or may still land.
    #[error("{service}: no usable answer: {message}")]
    Unknown {
        /// Whom we asked.
        service: String,
        /// What happened.
        message: String,
    },
}

impl PortError {
    /// True if a later repeat of a *read* may work.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Transient { .. } | Self::Unknown { .. })
    }

    /// True for a certain "not there".
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }
}

/// Turns a certain "not there" into `None`.
///
/// # Errors
/// Whatever else went wrong.
pub fn absent_as_none<T>(result: PortResult<T>) -> PortResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(PortError::Absent { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
