//! One table for what services answer (4-architecture.md section 3, rule 13).

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use crate::{call::CallKind, redact::scrub, transport::TransportError};

/// What an unsuccessful answer means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamKind {
    /// Certainly not there.
    Absent,
    /// The state does not allow it, or it is there already: look again.
    Conflict,
    /// Not allowed.
    Denied,
    /// The request is wrong: a repeat cannot help.
    Invalid,
    /// The token is not accepted: authenticate again, once.
    Unauthorized,
    /// Certainly had no effect, and may work later.
    Transient,
    /// The effect may have landed, or may still land.
    Unknown,
}

/// An unsuccessful answer, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// What it means.
    pub kind: UpstreamKind,
    /// `None`: there was no answer.
    pub status: Option<StatusCode>,
    /// The service's own words, fit to be shown.
    pub message: String,
    /// What the service asked for.
    pub retry_after: Option<Duration>,
}

impl Upstream {
    /// Without status.
    pub fn new(kind: UpstreamKind, message: impl Into<String>) -> Self {
        Self { kind, status: None, message: message.into(), retry_after: None }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Upstream {}

/// How a service's unsuccessful answers are read; adapters refine [`classify_status`] for theirs.
pub type Classify = fn(CallKind, StatusCode, &HeaderMap, &[u8]) -> Upstream;

/// The table for services that use HTTP's statuses as they are meant (OpenStack).
pub fn classify_status(
    kind: CallKind,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Upstream {
    // A proxy or a wrong address also answers 404 or 503, but not in the service's form.
    let own = is_json_object(body);
    let meaning = match status.as_u16() {
        401 => UpstreamKind::Unauthorized,
        403 => UpstreamKind::Denied,
        404 | 410 if own => UpstreamKind::Absent,
        404 | 410 => UpstreamKind::Unknown,
        409 => UpstreamKind::Conflict,
        429 => UpstreamKind::Transient,
        503 if own || kind != CallKind::Effect => UpstreamKind::Transient,
        408 => UpstreamKind::Unknown,
        400..500 => UpstreamKind::Invalid,
        // 1xx and 3xx are not for us to follow; 5xx may come after the effect.
        _ => UpstreamKind::Unknown,
    };
    Upstream {
        kind: meaning,
        status: Some(status),
        message: message_of(status, body),
        retry_after: retry_after(headers),
    }
}

/// What a failed transport means.
pub fn classify_transport(error: &TransportError) -> Upstream {
    let kind = match error {
        TransportError::Refused(_) | TransportError::Tls(_) => UpstreamKind::Transient,
        TransportError::BadUrl(_) => UpstreamKind::Invalid,
        TransportError::Lost(_) | TransportError::TooLarge { .. } => UpstreamKind::Unknown,
    };
    Upstream::new(kind, error.to_string())
}

fn is_json_object(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// `Retry-After` in seconds. The date form is not used by our services and is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The service's own words in an error body: OpenStack's `{"itemNotFound": {"message"}}`,
/// `{"NeutronError": {"type", "message"}}`, `{"error": {"message"}}`; an array's `{"errors": [{"context", "message"}]}`
/// or `{"message"}`. Otherwise the status with the beginning of the text.
pub fn message_of(status: StatusCode, body: &[u8]) -> String {
    let words = serde_json::from_slice::<Value>(body).ok().and_then(|value| words(&value));
    let text = words.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(&body[..body.len().min(300)]);
        if text.trim().is_empty() || text.trim_start().starts_with('<') || is_json_object(body) {
            status.to_string()
        } else {
            format!("{status}: {text}")
        }
    });
    scrub(&text)
}

fn words(value: &Value) -> Option<String> {
    let object = value.as_object()?;
    if let Some(errors) = object.get("errors").and_then(Value::as_array) {
        let all: Vec<String> = errors.iter().filter_map(array_error).collect();
        if !all.is_empty() {
            return Some(all.join("; "));
        }
    }
    if let Some(message) = object.get("message").and_then(Value::as_str) {
        return Some(message.to_owned());
    }
    object.values().find_map(|inner| {
        if let Some(text) = inner.as_str() {
            return Some(text.to_owned());
        }
        let message = inner.get("message")?.as_str()?;
        match inner.get("type").and_then(Value::as_str) {
            Some(kind) if !kind.is_empty() => Some(format!("{kind}: {message}")),
            _ => Some(message.to_owned()),
        }
    })
}

fn array_error(error: &Value) -> Option<String> {
    let message = error.get("message").or_else(|| error.get("detail"))?.as_str()?;
    match error.get("context").and_then(Value::as_str) {
        Some(context) if !context.is_empty() => Some(format!("{context}: {message}")),
        _ => Some(message.to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use UpstreamKind::*;

    use super::*;

    fn meaning(kind: CallKind, status: u16, body: &str) -> UpstreamKind {
        let status = StatusCode::from_u16(status).unwrap();
        classify_status(kind, status, &HeaderMap::new(), body.as_bytes()).kind
    }

    #[test]
    fn the_table_of_statuses() {
        let own = r#"{"error": {"message": "m"}}"#;
        let proxy = "<html>Service Unavailable</html>";
        for (kind, status, body, expected) in [
            (CallKind::Read, 400, own, Invalid),
            (CallKind::Read, 401, own, Unauthorized),
            (CallKind::Read, 403, own, Denied),
            (CallKind::Read, 404, own, Absent),
            (CallKind::Read, 404, proxy, Unknown),
            (CallKind::Read, 404, "", Unknown),
            (CallKind::Effect, 409, own, Conflict),
            (CallKind::Effect, 413, own, Invalid),
            (CallKind::Effect, 429, proxy, Transient),
            (CallKind::Effect, 500, own, Unknown),
            (CallKind::Effect, 502, proxy, Unknown),
            (CallKind::Effect, 503, own, Transient),
            (CallKind::Effect, 503, proxy, Unknown),
            (CallKind::Read, 503, proxy, Transient),
            (CallKind::Effect, 504, proxy, Unknown),
            (CallKind::Read, 302, "", Unknown),
        ] {
            assert_eq!(meaning(kind, status, body), expected, "{kind:?} {status} {body}");
        }
    }

    #[test]
    fn the_table_of_transport_failures() {
        for (error, expected) in [
            (TransportError::Refused("x".into()), Transient),
            (TransportError::Tls("x".into()), Transient),
            (TransportError::BadUrl("x".into()), Invalid),
            (TransportError::Lost("x".into()), Unknown),
            (TransportError::TooLarge { limit: 1 }, Unknown),
        ] {
            assert_eq!(classify_transport(&error).kind, expected, "{error}");
        }
    }

    #[test]
    fn the_services_own_words_are_found() {
        for (body, expected) in [
            (r#"{"itemNotFound": {"message": "no server", "code": 404}}"#, "no server"),
            (
                r#"{"NeutronError": {"type": "IpAddressInUse", "message": "taken", "detail": ""}}"#,
                "IpAddressInUse: taken",
            ),
            (r#"{"error": {"code": 401, "message": "who?", "title": "Unauthorized"}}"#, "who?"),
            (
                r#"{"errors": [{"context": "v1", "message": "Volume does not exist."}]}"#,
                "v1: Volume does not exist.",
            ),
            (r#"{"message": "gateway"}"#, "gateway"),
            ("<html>x</html>", "400 Bad Request"),
            ("plain", "400 Bad Request: plain"),
            ("", "400 Bad Request"),
        ] {
            assert_eq!(message_of(StatusCode::BAD_REQUEST, body.as_bytes()), expected);
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(7)));
        headers.insert(RETRY_AFTER, "-3".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }
}
