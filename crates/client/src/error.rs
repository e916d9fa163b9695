//! What goes wrong, with the API's own codes.

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode};
use protector_api_types::{ErrorBody, ErrorEntry};
use protector_http::{CallKind, Upstream, UpstreamKind, classify_status};
use protector_ports::PortError;

/// Why a call did not give what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ClientError {
    /// "protector at site-b".
    pub service: String,
    /// What it means for us.
    pub kind: UpstreamKind,
    /// HTTP status; `None`: there was no answer.
    pub status: Option<u16>,
    /// The API's reasons, if it gave any.
    pub errors: Vec<ErrorEntry>,
    /// For a person.
    pub message: String,
    /// What the API asked for.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.service, self.message)
    }
}

impl ClientError {
    /// True if one of the reasons has this code.
    pub fn has_code(&self, code: &str) -> bool {
        self.errors.iter().any(|entry| entry.code == code)
    }

    pub(crate) fn new(service: &str, upstream: Upstream) -> Self {
        let errors = read_entries(upstream.message.as_bytes());
        let message = match errors.as_slice() {
            [] => upstream.message,
            entries => entries.iter().map(|e| e.detail.as_str()).collect::<Vec<_>>().join("; "),
        };
        Self {
            service: service.to_owned(),
            kind: upstream.kind,
            status: upstream.status.map(|status| status.as_u16()),
            errors,
            message,
            retry_after: upstream.retry_after,
        }
    }

    pub(crate) fn from_port(service: &str, error: &PortError) -> Self {
        let kind = match error {
            PortError::Absent { .. } => UpstreamKind::Absent,
            PortError::Conflict { .. } => UpstreamKind::Conflict,
            PortError::Denied { .. } => UpstreamKind::Denied,
            PortError::Invalid { .. } => UpstreamKind::Invalid,
            PortError::Transient { .. } => UpstreamKind::Transient,
            PortError::Unknown { .. } => UpstreamKind::Unknown,
        };
        let message = format!("no token: {error}");
        Self {
            service: service.to_owned(),
            kind,
            status: None,
            errors: Vec::new(),
            message,
            retry_after: None,
        }
    }
}

fn read_entries(body: &[u8]) -> Vec<ErrorEntry> {
    serde_json::from_slice::<ErrorBody>(body).map(|body| body.errors).unwrap_or_default()
}

/// Reads an unsuccessful answer: the common table, and our error body kept whole for [`ClientError::new`].
/// A 404 that is not ours comes from something else at this address: no proof of absence.
pub fn classify(kind: CallKind, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Upstream {
    let mut upstream = classify_status(kind, status, headers, body);
    if read_entries(body).is_empty() {
        if upstream.kind == UpstreamKind::Absent {
            upstream.kind = UpstreamKind::Unknown;
        }
        return upstream;
    }
    upstream.message = String::from_utf8_lossy(body).into_owned();
    if status == StatusCode::PRECONDITION_FAILED {
        upstream.kind = UpstreamKind::Conflict;
    }
    upstream
}

impl From<ClientError> for PortError {
    fn from(error: ClientError) -> Self {
        let ClientError { service, kind, message, retry_after, .. } = error;
        match kind {
            UpstreamKind::Absent => Self::Absent { service, message },
            UpstreamKind::Conflict => Self::Conflict { service, message },
            UpstreamKind::Denied | UpstreamKind::Unauthorized => Self::Denied { service, message },
            UpstreamKind::Invalid => Self::Invalid { service, message },
            UpstreamKind::Transient => Self::Transient { service, message, retry_after },
            UpstreamKind::Unknown => Self::Unknown { service, message },
        }
    }
}
