//! From what an array answers to what the product is told. Nearly every refusal is a 400; only its text says
//! what it means.

use http::{HeaderMap, StatusCode};
use protector_http::{CallKind, Upstream, UpstreamKind, classify_status};
use protector_ports::PortError;

const ABSENT: &[&str] = &[
    "does not exist",
    "no such volume or snapshot",
    "has been destroyed",
    "could not be found",
    "no such",
];

const CONFLICT: &[&str] = &[
    "already exists",
    "already includes",
    "already allowed",
    "already belongs to",
    "already a member",
    "already in use",
    "already connected",
    "cannot be deleted due to existing connections",
    "existing connections",
    "pending eradication",
];

const BUSY: &[&str] = &["server is busy", "too many requests"];

/// The table of an array's answers.
pub fn classify(kind: CallKind, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Upstream {
    let mut upstream = classify_status(kind, status, headers, body);
    let text = upstream.message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    upstream.kind = match status.as_u16() {
        400 if says(CONFLICT) => UpstreamKind::Conflict,
        400 if says(ABSENT) => UpstreamKind::Absent,
        400 if says(BUSY) => UpstreamKind::Transient,
        // The array's limiter works before anything else does.
        500 if says(BUSY) => UpstreamKind::Transient,
        // The array has no 404 of its own: the address or the version is wrong, or a proxy speaks.
        404 => UpstreamKind::Unknown,
        _ => upstream.kind,
    };
    upstream
}

/// The error that the product sees.
pub fn port_error(array: &str, upstream: Upstream) -> PortError {
    let service = array.to_owned();
    let Upstream { kind, message, retry_after, .. } = upstream;
    match kind {
        UpstreamKind::Absent => PortError::Absent { service, message },
        UpstreamKind::Conflict => PortError::Conflict { service, message },
        UpstreamKind::Denied => PortError::Denied { service, message },
        UpstreamKind::Invalid => PortError::Invalid { service, message },
        UpstreamKind::Transient => PortError::Transient { service, message, retry_after },
        UpstreamKind::Unknown => PortError::Unknown { service, message },
        UpstreamKind::Unauthorized => PortError::Denied {
            service,
            message: format!("the API token is not accepted: {message}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use UpstreamKind::*;

    use super::*;

    #[test]
    fn the_table_of_texts() {
        for (status, text, expected) in [
            (400, "Volume does not exist.", Absent),
            (400, "Host does not exist.", Absent),
            (400, "No such volume or snapshot.", Absent),
            (400, "Volume has been destroyed.", Absent),
            (400, "Protection group could not be found.", Absent),
            (400, "Volume already exists.", Conflict),
            (400, "Volume already exists, pending eradication.", Conflict),
            (400, "Target already includes this group.", Conflict),
            (400, "Protection group is already allowed on fa-b.", Conflict),
            (400, "Volume already belongs to the protection group.", Conflict),
            (400, "Host cannot be deleted due to existing connections.", Conflict),
            (400, "LUN already in use.", Conflict),
            (400, "Volume name must be between 1 and 63 characters.", Invalid),
            (400, "Snapshot limit reached.", Invalid),
            (400, "Missing or invalid parameter.", Invalid),
            (401, "Invalid session.", Unauthorized),
            (403, "Operation not permitted.", Denied),
            (404, "Not found", Unknown),
            (429, "Too many requests", Transient),
            (500, "Server is busy", Transient),
            (500, "Internal error", Unknown),
            (503, "Service unavailable", Transient),
        ] {
            let body = format!(r#"{{"errors": [{{"context": "x", "message": "{text}"}}]}}"#);
            let status = StatusCode::from_u16(status).unwrap();
            let upstream = classify(CallKind::Effect, status, &HeaderMap::new(), body.as_bytes());
            assert_eq!(upstream.kind, expected, "{status} {text}");
            assert!(upstream.message.contains(text));
        }
    }

    #[test]
    fn a_gateways_refusal_keeps_its_words() {
        let body = br#"{"message": "rate limit exceeded"}"#;
        let upstream = classify(CallKind::Read, StatusCode::FORBIDDEN, &HeaderMap::new(), body);
        assert_eq!((upstream.kind, upstream.message.as_str()), (Denied, "rate limit exceeded"));
    }
}
