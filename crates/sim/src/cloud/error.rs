//! Errors in the shape that each real service gives them.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// Which service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Identity.
    Keystone,
    /// Compute.
    Nova,
    /// Block storage.
    Cinder,
    /// Network.
    Neutron,
    /// Image.
    Glance,
}

impl Service {
    /// By the first segment of a path; Keystone for everything else.
    pub fn of_path(path: &str) -> Self {
        match path.trim_start_matches('/').split('/').next().unwrap_or_default() {
            "compute" => Self::Nova,
            "volume" => Self::Cinder,
            "network" => Self::Neutron,
            "image" => Self::Glance,
            _ => Self::Keystone,
        }
    }

    /// The first path segment, which is also its name in fault plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keystone => "identity",
            Self::Nova => "compute",
            Self::Cinder => "volume",
            Self::Neutron => "network",
            Self::Glance => "image",
        }
    }

    /// Any status; the fault name or Neutron type follows from it.
    pub fn error(self, status: StatusCode, message: impl Into<String>) -> ApiError {
        ApiError { service: self, status, kind: None, message: message.into(), headers: Vec::new() }
    }

    /// 400.
    pub fn bad_request(self, message: impl Into<String>) -> ApiError {
        self.error(StatusCode::BAD_REQUEST, message)
    }

    /// 401 as `keystonemiddleware` says it, whatever the service.
    pub fn unauthorized(self) -> ApiError {
        self.error(StatusCode::UNAUTHORIZED, "The request you have made requires authentication.")
    }

    /// 403 with the service's own words.
    pub fn forbidden(self, message: impl Into<String>) -> ApiError {
        self.error(StatusCode::FORBIDDEN, message)
    }

    /// 403 of a policy rule, in the service's usual sentence.
    pub fn policy_denied(self, rule: &str) -> ApiError {
        match self {
            Self::Nova | Self::Cinder => {
                self.forbidden(format!("Policy doesn't allow {rule} to be performed."))
            }
            Self::Neutron => {
                self.forbidden(format!("({{'rule': '{rule}'}}) is disallowed by policy"))
            }
            Self::Glance => self.forbidden("You are not authorized to complete this action."),
            Self::Keystone => self.forbidden(format!(
                "You are not authorized to perform the requested action: {rule}."
            )),
        }
    }

    /// 404.
    pub fn not_found(self, message: impl Into<String>) -> ApiError {
        self.error(StatusCode::NOT_FOUND, message)
    }

    /// 409.
    pub fn conflict(self, message: impl Into<String>) -> ApiError {
        self.error(StatusCode::CONFLICT, message)
    }

    /// 413, Cinder's answer to a quota that is used up (Nova says 403, Neutron 409 `OverQuota`).
    pub fn over_limit(self, message: impl Into<String>) -> ApiError {
        self.error(StatusCode::PAYLOAD_TOO_LARGE, message).header("retry-after", "0")
    }

    /// 503.
    pub fn unavailable(self, message: impl Into<String>) -> ApiError {
        self.error(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// 500.
    pub fn internal(self, message: impl Into<String>) -> ApiError {
        self.error(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

/// A refusal that renders itself as the real service would.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status}: {message}")]
pub struct ApiError {
    /// Who refuses.
    pub service: Service,
    /// HTTP status.
    pub status: StatusCode,
    /// Neutron's exception type, or another fault name than the status' usual one.
    pub kind: Option<String>,
    /// For the caller.
    pub message: String,
    /// Extra headers, `Retry-After` for example.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// Sets Neutron's `type` (`IpAddressInUse`) or the name of the fault object.
    pub fn kind(mut self, kind: &str) -> Self {
        self.kind = Some(kind.to_owned());
        self
    }

    /// Adds a header; values that are no header values are left out.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    fn body(&self) -> Value {
        let code = self.status.as_u16();
        if self.status == StatusCode::UNAUTHORIZED {
            return keystone_body(self.status, &self.message);
        }
        match self.service {
            Service::Keystone => keystone_body(self.status, &self.message),
            Service::Nova | Service::Cinder => {
                let name = self.kind.as_deref().unwrap_or_else(|| fault_name(code));
                let mut inner = json!({"code": code, "message": self.message});
                if let Some((_, retry)) =
                    self.headers.iter().find(|(n, _)| n == header::RETRY_AFTER)
                {
                    inner["retryAfter"] = json!(retry.to_str().unwrap_or_default());
                }
                json!({ name: inner })
            }
            Service::Neutron => {
                let kind = self.kind.as_deref().unwrap_or_else(|| neutron_type(code));
                json!({"NeutronError": {"type": kind, "message": self.message, "detail": ""}})
            }
            Service::Glance => json!({
                "message": format!("{}<br /><br />\n\n\n", self.message),
                "code": format!("{code} {}", self.reason()),
                "title": self.reason(),
            }),
        }
    }

    fn reason(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    /// What Glance says to a client that does not ask for JSON.
    pub(crate) fn html(&self) -> String {
        let title = format!("{} {}", self.status.as_u16(), self.reason());
        format!(
            "<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n  {}<br /><br />\n\n\n </body>\n</html>",
            self.message
        )
    }
}

fn keystone_body(status: StatusCode, message: &str) -> Value {
    json!({"error": {
        "code": status.as_u16(),
        "message": message,
        "title": status.canonical_reason().unwrap_or("Error"),
    }})
}

fn fault_name(code: u16) -> &'static str {
    match code {
        400 => "badRequest",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        409 => "conflictingRequest",
        413 | 429 => "overLimit",
        415 => "badMediaType",
        501 => "notImplemented",
        503 => "serviceUnavailable",
        _ => "computeFault",
    }
}

fn neutron_type(code: u16) -> &'static str {
    match code {
        400 => "HTTPBadRequest",
        403 => "PolicyNotAuthorized",
        404 => "HTTPNotFound",
        409 => "Conflict",
        429 => "HTTPTooManyRequests",
        503 => "HTTPServiceUnavailable",
        _ => "HTTPInternalServerError",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        for (name, value) in &self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        // Glance's shape depends on `Accept`; the outer layer knows it and needs the error again.
        response.extensions_mut().insert(self);
        response
    }
}
