//! From what a service answered to what the product is told.

use http::{HeaderMap, StatusCode};
use protector_http::{CallKind, Upstream, UpstreamKind, classify_status};
use protector_ports::PortError;

/// Cinder's whole sentence, whatever the status.
const BACKEND_DOWN: &str = "Service is unavailable at this time.";

/// The table of statuses, with OpenStack's own peculiarities: a quota is refused with 403 (Nova), 413 (Cinder) or
/// 409 (Neutron), and is none of denied or conflict; and Cinder says 400 for a back end that is down or disabled for the
/// moment (its `ServiceUnavailable` is an `Invalid`), releases before ours 503 for a host that it does not have.
pub fn classify(kind: CallKind, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Upstream {
    let mut upstream = classify_status(kind, status, headers, body);
    let quota = || {
        let text = upstream.message.to_ascii_lowercase();
        text.contains("quota exceeded")
            || text.contains("overquota")
            || text.contains("exceeds allowed")
    };
    let unknown_host = || {
        let text = &upstream.message;
        (text.starts_with("Host '") || text.starts_with("Cluster '"))
            && text.ends_with("' not found")
    };
    let kind = match upstream.kind {
        UpstreamKind::Denied | UpstreamKind::Conflict if quota() => UpstreamKind::Invalid,
        UpstreamKind::Transient if unknown_host() => UpstreamKind::Invalid,
        UpstreamKind::Invalid if upstream.message == BACKEND_DOWN => UpstreamKind::Transient,
        _ => return upstream,
    };
    upstream.kind = kind;
    upstream
}

/// The error that the product sees.
pub fn port_error(service: &str, upstream: Upstream) -> PortError {
    let service = service.to_owned();
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
            message: format!("our credentials are not accepted: {message}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_wrong_request_whatever_its_status() {
        for (status, body) in [
            (
                403,
                r#"{"forbidden": {"message": "Quota exceeded for instances: Requested 1", "code": 403}}"#,
            ),
            (
                413,
                r#"{"overLimit": {"message": "VolumeLimitExceeded: Maximum number of volumes allowed (1)"}}"#,
            ),
            (
                409,
                r#"{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['port']."}}"#,
            ),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let upstream = classify(CallKind::Effect, status, &HeaderMap::new(), body.as_bytes());
            assert_eq!(upstream.kind, UpstreamKind::Invalid, "{status}");
        }
    }

    #[test]
    fn a_host_that_cinder_does_not_have_will_not_come_by_itself() {
        let of = |status: StatusCode, text: &str| {
            let body = format!(r#"{{"badRequest": {{"code": 400, "message": "{text}"}}}}"#);
            classify(CallKind::Effect, status, &HeaderMap::new(), body.as_bytes()).kind
        };
        for status in [StatusCode::BAD_REQUEST, StatusCode::SERVICE_UNAVAILABLE] {
            assert_eq!(of(status, "Host 'a@b#c' not found"), UpstreamKind::Invalid, "{status}");
            assert_eq!(of(status, BACKEND_DOWN), UpstreamKind::Transient, "{status}");
        }
    }

    #[test]
    fn plain_denials_and_conflicts_stay() {
        let of = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            port_error("x", classify(CallKind::Effect, status, &HeaderMap::new(), body.as_bytes()))
        };
        let denied = of(
            403,
            r#"{"forbidden": {"message": "Policy doesn't allow volume_extension:volume_manage"}}"#,
        );
        assert!(
            matches!(denied, PortError::Denied { ref message, .. } if message.contains("volume_manage"))
        );
        let conflict = of(
            409,
            r#"{"NeutronError": {"type": "IpAddressInUse", "message": "10.0.0.4 in use"}}"#,
        );
        assert!(matches!(conflict, PortError::Conflict { .. }));
        assert!(matches!(of(401, "{}"), PortError::Denied { .. }));
    }
}
