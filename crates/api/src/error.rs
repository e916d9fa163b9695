//! One table from refusals to HTTP, and the one error body.

use std::any::Any;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use protector_api_types::{ErrorBody, ErrorEntry, Microversion, VersionError, help_link};
use protector_policy::Denied;
use protector_types::{Code, Kind, Refusal};

use crate::layers::current_request_id;

/// Codes that only HTTP has; the others are [`Code`].
pub const HTTP_CODES: [(&str, u16, &str); 2] = [
    ("request.method_not_allowed", 405, "Method not allowed"),
    ("request.unsupported_media_type", 415, "Unsupported media type"),
];

/// Why a request is not answered.
#[derive(Debug)]
pub enum ApiError {
    /// The core, the policy or a check says no.
    Refusal(Refusal),
    /// The microversion cannot be had.
    Version(VersionError),
    /// The path is there, the method is not.
    MethodNotAllowed,
    /// The body is not JSON by its own description.
    UnsupportedMediaType(String),
}

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// A refusal with one sentence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self::Refusal(Refusal::new(code, detail))
    }

    /// The same answer for what is not there and for what the caller may not see (law 8).
    pub fn not_found(kind: &str, id: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("{kind} {id} does not exist"))
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<VersionError> for ApiError {
    fn from(error: VersionError) -> Self {
        Self::Version(error)
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let detail = format!("{denied}; ask an administrator for a role that the rule names");
        Self::new(Code::Forbidden, detail)
    }
}

/// The status of each kind of refusal.
pub const fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::BadRequest => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Kind::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Upstream => StatusCode::BAD_GATEWAY,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, errors) = match self {
            Self::Refusal(refusal) => (status_of(refusal.code.kind()), entries(&refusal)),
            Self::Version(error) => version_entry(&error),
            Self::MethodNotAllowed => {
                let (code, status, title) = HTTP_CODES[0];
                let detail =
                    "This path does not have this method; the Allow header names those it has";
                http_entry(code, status, title, detail.into())
            }
            Self::UnsupportedMediaType(detail) => {
                let (code, status, title) = HTTP_CODES[1];
                http_entry(code, status, title, detail)
            }
        };
        let mut response = (status, Json(ErrorBody { errors })).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

fn entry(code: &str, status: u16, title: &str, detail: String) -> ErrorEntry {
    ErrorEntry {
        request_id: current_request_id(),
        code: code.to_owned(),
        status,
        title: title.to_owned(),
        detail,
        links: vec![help_link(code)],
        min_version: None,
        max_version: None,
    }
}

fn code_entry(code: Code, detail: String) -> ErrorEntry {
    entry(code.as_str(), status_of(code.kind()).as_u16(), code.title(), detail)
}

fn http_entry(
    code: &str,
    status: u16,
    title: &str,
    detail: String,
) -> (StatusCode, Vec<ErrorEntry>) {
    let http = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (http, vec![entry(code, status, title, detail)])
}

/// One entry per reason; each repeats the leading sentence, so that it can be read alone.
fn entries(refusal: &Refusal) -> Vec<ErrorEntry> {
    if refusal.code.kind() == Kind::Internal {
        // What broke is for our log, not for the client.
        tracing::error!(detail = %refusal, "internal error");
        let detail = "Protector could not answer because of an internal error; give the request id to an operator";
        return vec![code_entry(refusal.code, detail.into())];
    }
    if refusal.reasons.is_empty() {
        return vec![code_entry(refusal.code, refusal.detail.clone())];
    }
    let lead =
        if refusal.detail.is_empty() { String::new() } else { format!("{}: ", refusal.detail) };
    refusal
        .reasons
        .iter()
        .map(|reason| {
            let subject = reason.subject.as_ref().map(|s| format!("{s}: ")).unwrap_or_default();
            code_entry(reason.code, format!("{lead}{subject}{}", reason.message))
        })
        .collect()
}

fn version_entry(error: &VersionError) -> (StatusCode, Vec<ErrorEntry>) {
    match error {
        VersionError::Malformed { .. } => (
            StatusCode::BAD_REQUEST,
            vec![code_entry(Code::RequestInvalidValue, error.to_string())],
        ),
        VersionError::OutOfRange { .. } => {
            let mut entry = code_entry(Code::VersionNotSupported, error.to_string());
            entry.min_version = Some(Microversion::MIN.to_string());
            entry.max_version = Some(Microversion::MAX.to_string());
            (StatusCode::NOT_ACCEPTABLE, vec![entry])
        }
    }
}

/// The answer to a request whose handler panicked.
pub fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    ApiError::new(Code::Internal, format!("panic: {text}")).into_response()
}

/// The answer to a path that is not there.
pub async fn no_such_path() -> ApiError {
    ApiError::new(
        Code::NotFound,
        "There is nothing at this path; GET /openapi.json lists what there is",
    )
}

/// The answer to a method that a path does not have.
pub async fn no_such_method() -> ApiError {
    ApiError::MethodNotAllowed
}
