//! What every service's handlers share: bodies, parameters, microversions, paging, finishing touches.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, OriginalUri, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{ApiError, Cloud, Service};

/// The path as the client sent it, also below a nested router.
pub fn original_path(parts: &Parts) -> String {
    original_uri(parts).path().to_owned()
}

fn original_uri(parts: &Parts) -> Uri {
    parts.extensions.get::<OriginalUri>().map_or_else(|| parts.uri.clone(), |u| u.0.clone())
}

/// A JSON body; anything else is the service's 400.
#[derive(Debug, Clone)]
pub struct JsonBody<T = Value>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(req: Request, state: &S) -> Result<Self, ApiError> {
        let nested = req.extensions().get::<OriginalUri>().map(|u| u.0.path().to_owned());
        let service = Service::of_path(nested.as_deref().unwrap_or(req.uri().path()));
        let bytes = Bytes::from_request(req, state)
            .await
            .map_err(|e| service.bad_request(format!("Unreadable request body: {e}")))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|e| match service {
            Service::Nova => service.bad_request("Malformed request body"),
            _ => service.bad_request(format!("Malformed request body: {e}")),
        })
    }
}

/// The query string, in order, repeated keys kept.
#[derive(Debug, Clone, Default)]
pub struct Params(pub Vec<(String, String)>);

impl Params {
    /// Reads a query string.
    pub fn parse(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// All values of a key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// True if the key is there, whatever its value (`?effective`), unless it says `0` or `false`.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key)
            .is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false" | "no"))
    }

    /// The same query with another marker.
    fn with_marker(&self, marker: &str) -> String {
        let mut out = url::form_urlencoded::Serializer::new(String::new());
        for (k, v) in self.0.iter().filter(|(k, _)| k != "marker") {
            out.append_pair(k, v);
        }
        out.append_pair("marker", marker);
        out.finish()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// A microversion such as 2.95 or 3.70. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Microversion(pub u16, pub u16);

impl std::fmt::Display for Microversion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl std::str::FromStr for Microversion {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        let (major, minor) = s.split_once('.').ok_or(())?;
        Ok(Self(major.parse().map_err(|_| ())?, minor.parse().map_err(|_| ())?))
    }
}

impl Microversion {
    /// Reads `OpenStack-API-Version: compute 2.x` (or `volume 3.x`) and Nova's older
    /// `X-OpenStack-Nova-API-Version`. Absent: `min`. `latest`: `max`. Malformed: 400; outside: 406.
    pub fn negotiate(
        headers: &HeaderMap,
        service: Service,
        min: Self,
        max: Self,
    ) -> Result<Self, ApiError> {
        let wanted = Self::header_value(headers, service);
        let Some(wanted) = wanted else { return Ok(min) };
        if wanted == "latest" {
            return Ok(max);
        }
        let version: Self = wanted.parse().map_err(|()| {
            service.bad_request(format!("API Version String {wanted} is of invalid format. Must be of format MajorNum.MinorNum."))
        })?;
        if version < min || version > max {
            return Err(service.error(
                StatusCode::NOT_ACCEPTABLE,
                format!("Version {version} is not supported by the API. Minimum is {min} and maximum is {max}."),
            ));
        }
        Ok(version)
    }

    fn header_value(headers: &HeaderMap, service: Service) -> Option<String> {
        for value in headers.get_all("openstack-api-version") {
            for part in value.to_str().unwrap_or_default().split(',') {
                if let Some((kind, version)) = part.trim().split_once(' ')
                    && kind.eq_ignore_ascii_case(service.name())
                {
                    return Some(version.trim().to_owned());
                }
            }
        }
        if service == Service::Nova {
            let legacy = headers.get("x-openstack-nova-api-version")?;
            return legacy.to_str().ok().map(|v| v.trim().to_owned());
        }
        None
    }

    /// The headers with which a service tells the version it used.
    pub fn response_headers(self, service: Service) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        };
        put("openstack-api-version", format!("{} {self}", service.name()));
        put("vary", "OpenStack-API-Version".to_owned());
        if service == Service::Nova {
            put("x-openstack-nova-api-version", self.to_string());
            put("vary", "X-OpenStack-Nova-API-Version".to_owned());
        }
        headers
    }
}

/// One page of a list and the links to the next.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The items of this page.
    pub items: Vec<Value>,
    /// The absolute URL of the next page.
    pub next: Option<String>,
}

impl Page {
    /// `{"servers": [...], "servers_links": [{"rel": "next", "href": ...}]}`; no links on the last page.
    pub fn into_json(self, key: &str) -> Value {
        let mut out = Map::new();
        if let Some(next) = &self.next {
            out.insert(format!("{key}_links"), json!([{"rel": "next", "href": next}]));
        }
        out.insert(key.to_owned(), Value::Array(self.items));
        Value::Object(out)
    }
}

/// Cuts a sorted list to `limit` items after `marker` (the `id` of an item). `path` is the client's
/// path (`/compute/v2.1/servers`), for the link to the next page. A marker that is not in the list and
/// a limit that is no number are the service's 400.
pub fn paginate(
    cloud: &Cloud,
    service: Service,
    path: &str,
    items: Vec<Value>,
    params: &Params,
    max_limit: usize,
) -> Result<Page, ApiError> {
    let limit = match params.get("limit") {
        None => max_limit,
        Some(text) => {
            let limit: usize = text.parse().map_err(|_| {
                service.bad_request(format!("limit param must be an integer, not '{text}'"))
            })?;
            if limit == 0 && service == Service::Nova {
                0
            } else if limit == 0 {
                max_limit
            } else {
                limit.min(max_limit)
            }
        }
    };
    let start = match params.get("marker").filter(|m| !m.is_empty()) {
        None => 0,
        Some(marker) => {
            let at = items.iter().position(|i| i.get("id").and_then(Value::as_str) == Some(marker));
            at.map(|at| at + 1)
                .ok_or_else(|| service.bad_request(format!("marker [{marker}] not found")))?
        }
    };
    let more = items.len() > start.saturating_add(limit);
    let items: Vec<Value> = items.into_iter().skip(start).take(limit).collect();
    let next = items
        .last()
        .and_then(|last| last.get("id").and_then(Value::as_str))
        .filter(|_| more)
        .map(|id| format!("{}{path}?{}", cloud.base_url(), params.with_marker(id)));
    Ok(Page { items, next })
}

/// The outer layer of a cloud: a request id on each answer, `Date` from the site's clock (clients
/// measure skew with it), `WWW-Authenticate` on 401, and Glance's HTML errors.
pub async fn finish(State(cloud): State<Cloud>, request: Request, next: Next) -> Response {
    let service = Service::of_path(request.uri().path());
    let wants_json = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|a| a.to_str().ok())
        .is_some_and(|a| a.contains("application/json"));
    let mut response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && response.extensions().get::<ApiError>().is_none()
    {
        response = service
            .error(
                StatusCode::METHOD_NOT_ALLOWED,
                "The method is not allowed for the requested URL.",
            )
            .into_response();
    }
    if service == Service::Glance && !wants_json && response.status() != StatusCode::UNAUTHORIZED {
        response = as_html(response);
    }
    let unauthorized = response.status() == StatusCode::UNAUTHORIZED;
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    let id = format!("req-{}", cloud.new_id());
    if service == Service::Nova {
        put("x-compute-request-id", id.clone());
    }
    put("x-openstack-request-id", id);
    put("date", cloud.0.clock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if unauthorized {
        put("www-authenticate", format!("Keystone uri=\"{}/identity\"", cloud.base_url()));
    }
    response
}

/// `/compute/` is `/compute`: clients disagree on it and the real services take both.
pub async fn without_trailing_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path().trim_end_matches('/');
    if path.len() < uri.path().len() && !path.is_empty() {
        let target = uri.query().map_or_else(|| path.to_owned(), |q| format!("{path}?{q}"));
        if let Ok(uri) = target.parse() {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn as_html(response: Response) -> Response {
    let Some(error) = response.extensions().get::<ApiError>().cloned() else { return response };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts
        .headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    Response::from_parts(parts, error.html().into())
}

/// A path that no service has.
pub async fn no_such_path(uri: Uri) -> ApiError {
    Service::of_path(uri.path()).not_found("The resource could not be found.")
}
