//! What every request passes on its way in and out.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use protector_api_types::{Microversion, Negotiated, negotiate, since};
use protector_types::{Code, RequestId, Secret};
use tracing::Instrument;

use crate::{
    auth::unauthenticated,
    error::{ApiError, ApiResult},
    state::AppState,
};

const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-openstack-request-id");
const VERSION_HEADER: HeaderName = HeaderName::from_static("openstack-api-version");
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-auth-token");

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that this task answers; empty outside of one.
pub fn current_request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Outermost: gives the request its id, and notes how it went in span, log, metrics and answer.
pub async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let id = RequestId::generate().0;
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!(
        "request", request_id = %id, global_request_id = global_request_id(&request), %method, route
    );
    let started = state.clock().monotonic();
    let in_flight = state.metrics().start();

    let work = REQUEST_ID.scope(id.clone(), next.run(request)).instrument(span.clone());
    let mut response = if matches!(method, Method::GET | Method::HEAD | Method::OPTIONS) {
        work.await
    } else {
        // A task of its own: what has begun is finished even when the client hangs up half way.
        match tokio::spawn(work).await {
            Ok(response) => response,
            Err(error) => REQUEST_ID.sync_scope(id.clone(), || {
                ApiError::new(Code::Internal, error.to_string()).into_response()
            }),
        }
    };

    drop(in_flight);
    let took = state.clock().monotonic().saturating_sub(started);
    let status = response.status().as_u16();
    state.metrics().answered(method.as_str(), &route, status, took);
    let ms = took.as_millis();
    span.in_scope(|| tracing::info!(path, status, ms, "answered"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value);
    }
    response
}

/// `X-OpenStack-Request-Id` of the caller, if it has the form that OpenStack gives it.
fn global_request_id(request: &Request) -> Option<String> {
    let text = request.headers().get(REQUEST_ID_HEADER)?.to_str().ok()?;
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (text.starts_with("req-") && text.len() <= 64 && is_plain).then(|| text.to_owned())
}

/// Chooses the microversion, and says in the answer which it was.
pub async fn negotiate_version(mut request: Request, next: Next) -> Response {
    let headers = request.headers().get_all(VERSION_HEADER).iter();
    let texts: Result<Vec<&str>, _> = headers.map(HeaderValue::to_str).collect();
    let negotiated = match texts {
        Ok(texts) => negotiate(texts),
        Err(_) => Err(protector_api_types::VersionError::Malformed { text: "(not ASCII)".into() }),
    };
    let (negotiated, mut response) = match negotiated {
        Ok(negotiated) => {
            request.extensions_mut().insert(negotiated);
            let response = match refuse_later_verb(&request, negotiated.version) {
                Ok(()) => next.run(request).await,
                Err(error) => error.into_response(),
            };
            (negotiated, response)
        }
        Err(error) => {
            let spoken = Negotiated { version: Microversion::MIN, service: "protector" };
            (spoken, ApiError::from(error).into_response())
        }
    };
    let headers = response.headers_mut();
    let text = format!("{} {}", negotiated.service, negotiated.version);
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(VERSION_HEADER, value);
    }
    headers.append(header::VARY, HeaderValue::from_static("OpenStack-API-Version"));
    response
}

/// A call of a later version is not there in an earlier one.
fn refuse_later_verb(request: &Request, version: Microversion) -> ApiResult<()> {
    let Some(path) = request.extensions().get::<MatchedPath>() else { return Ok(()) };
    let method = if request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
    let since = since::verb_since(method, path.as_str());
    if since <= version {
        return Ok(());
    }
    Err(ApiError::new(
        Code::NotFound,
        format!(
            "There is nothing at this path in version {version}; it needs OpenStack-API-Version: protector {since}"
        ),
    ))
}

/// Finds out who asks. Everything behind this layer has an identity.
pub async fn authenticate(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut response = match identify(&state, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    if response.status() == StatusCode::UNAUTHORIZED
        && let Ok(value) = HeaderValue::from_str(state.www_authenticate())
    {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

async fn identify(state: &AppState, request: &mut Request) -> ApiResult<()> {
    let header = request
        .headers()
        .get(TOKEN_HEADER)
        .ok_or_else(|| unauthenticated("X-Auth-Token is missing; get a token from Keystone"))?;
    let text = header.to_str().map_err(|_| unauthenticated("X-Auth-Token holds no valid token"))?;
    let token = Secret::new(text.trim());
    let clock = state.clock().as_ref();
    let identity = state.tokens().identify(&token, state.core().as_ref(), clock).await?;
    request.extensions_mut().insert(identity);
    Ok(())
}
