//! HTTP: versions, logins, sessions, limits, and from there to [`super::rest`].

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri},
    routing::any,
};
use protector_types::{Rng, SplitMix};
use serde_json::{Value, json};

use super::{
    backend::Array,
    contract::{self, Endpoint},
    error::{Outcome, Refused},
    fabric::Fabric,
    ids,
    model::*,
    query::Query,
    rest::{self, Call, Reply},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// What goes back: status, body (none for an empty one), extra headers.
struct Answer {
    status: u16,
    body: Option<Value>,
    headers: Vec<(HeaderName, String)>,
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { status: 200, body: Some(body), headers: Vec::new() }
    }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        Self { status: refused.status, body: Some(refused.body()), headers: Vec::new() }
    }
}

/// All paths of one array.
pub(crate) fn router(array: Array) -> Router {
    Router::new().fallback(any(serve)).with_state(array)
}

async fn serve(
    State(array): State<Array>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let request_id = match headers.get(&REQUEST_ID).and_then(|v| v.to_str().ok()) {
        Some(id) => id.to_owned(),
        None => array.locked(|f, at| f.draw_id(at, "request")),
    };
    pause(&array).await;
    let answer = array.locked(|f, at| answer(f, at, &method, &uri, &headers, &body));
    respond(answer, &request_id)
}

/// The time that a call takes before its effect.
async fn pause(array: &Array) {
    let range = array.config().call_ms;
    if range == (0, 0) {
        return;
    }
    let calls = array.locked(|f, at| f.units.get(&at).map_or(0, |u| u.calls));
    let key = format!("{}/call/{calls}", array.config().name);
    let ms = ids::draw(array.config().seed, &key, range);
    array.config().clock.sleep(std::time::Duration::from_millis(ms)).await;
}

fn respond(answer: Answer, request_id: &str) -> Response<Body> {
    let bytes = answer.body.map(|b| b.to_string()).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in answer.headers.into_iter().chain([(REQUEST_ID, request_id.to_owned())]) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

fn answer(
    f: &mut Fabric,
    at: Key,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Answer {
    if let Some(limited) = limited(f, at) {
        return limited;
    }
    let path = uri.path().trim_end_matches('/');
    if path == "/api/api_version" && method == Method::GET {
        let versions = f.units.get(&at).map(|u| u.config.versions.clone());
        return Answer::ok(json!({ "version": versions }));
    }
    let Some((minor, rest)) = split(f, at, path) else { return Refused::not_found().into() };
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    match (method.as_str(), rest) {
        ("POST", "/login") => return login(f, at, header("api-token")),
        ("POST", "/logout") => return logout(f, at, header("x-auth-token")),
        _ => {}
    }
    let Some(session) = session(f, at, header("x-auth-token")) else {
        return unauthorized(f.unit_name(at));
    };
    if session.readonly && method != Method::GET {
        return Refused {
            status: 403,
            errors: vec![(None, "Operation not permitted for this user.".into())],
        }
        .into();
    }
    match call(f, at, &session.user, method.as_str(), rest, minor, uri.query(), body) {
        Ok(answer) => answer,
        Err(refused) => refused.into(),
    }
}

/// The limiter stands in front of everything, logins too.
fn limited(f: &mut Fabric, at: Key) -> Option<Answer> {
    let now = f.now;
    let unit = f.units.get_mut(&at)?;
    unit.calls += 1;
    let limit = unit.config.rate_limit?;
    if now - unit.window.0 >= limit.window_ms as Ms {
        unit.window = (now, 0);
    }
    unit.window.1 += 1;
    if unit.window.1 <= limit.calls {
        return None;
    }
    let wait = (unit.window.0 + limit.window_ms as Ms - now).max(1);
    let seconds = (wait as u64).div_ceil(1000).to_string();
    let refused = Refused { status: 429, errors: vec![(None, "API rate limit exceeded".into())] };
    let mut answer = Answer::from(refused);
    let window = (limit.window_ms / 1000).max(1);
    answer.headers = vec![
        (HeaderName::from_static("retry-after"), seconds.clone()),
        (HeaderName::from_static("ratelimit-limit"), format!("{};w={window}", limit.calls)),
        (HeaderName::from_static("ratelimit-remaining"), "0".into()),
        (HeaderName::from_static("ratelimit-reset"), seconds),
    ];
    Some(answer)
}

/// `/api/2.X/rest` of a version that this array has.
fn split<'p>(f: &Fabric, at: Key, path: &'p str) -> Option<(u32, &'p str)> {
    let rest = path.strip_prefix("/api/")?;
    let slash = rest.find('/')?;
    let (version, rest) = rest.split_at(slash);
    let known = f.units.get(&at)?.config.versions.iter().any(|v| v == version);
    let minor = version.strip_prefix("2.")?.parse().ok()?;
    known.then_some((minor, rest))
}

fn login(f: &mut Fabric, at: Key, api_token: &str) -> Answer {
    let now = f.now;
    let name = f.unit_name(at).to_owned();
    let Some(unit) = f.units.get_mut(&at) else { return unauthorized(&name) };
    let Some(account) = unit
        .config
        .api_tokens
        .iter()
        .find(|t| t.token == api_token && !api_token.is_empty())
        .cloned()
    else {
        return Refused { status: 401, errors: vec![(None, "Invalid API token.".into())] }.into();
    };
    unit.drawn += 1;
    let id = unit.drawn;
    let mut rng = SplitMix::keyed(unit.config.seed, &format!("{}/session/{id}", unit.config.name));
    let token = format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64());
    let session = Session {
        id,
        user: account.username.clone(),
        readonly: account.readonly,
        started: now,
        used: now,
    };
    unit.sessions.insert(token.clone(), session);
    let mut answer = Answer::ok(json!({"items": [{"username": account.username}]}));
    answer.headers.push((AUTH_TOKEN, token));
    answer
}

fn logout(f: &mut Fabric, at: Key, token: &str) -> Answer {
    let name = f.unit_name(at).to_owned();
    match f.units.get_mut(&at).and_then(|u| u.sessions.remove(token)) {
        Some(_) => Answer { status: 200, body: None, headers: Vec::new() },
        None => unauthorized(&name),
    }
}

/// The live session of a token; using it keeps it alive.
fn session(f: &mut Fabric, at: Key, token: &str) -> Option<Session> {
    let now = f.now;
    let unit = f.units.get_mut(&at)?;
    let timeout = unit.idle_timeout as Ms;
    unit.sessions.retain(|_, s| timeout == 0 || now - s.used < timeout);
    let session = unit.sessions.get_mut(token)?;
    session.used = now;
    Some(session.clone())
}

fn unauthorized(array: &str) -> Answer {
    let body = json!({"errors": [{
        "message": "Invalid session.",
        "location_context": {"name": array, "id": null, "resource_type": "remote-arrays"},
    }]});
    Answer { status: 401, body: Some(body), headers: Vec::new() }
}

#[allow(clippy::too_many_arguments)]
fn call(
    f: &mut Fabric,
    at: Key,
    user: &str,
    method: &str,
    path: &str,
    minor: u32,
    raw_query: Option<&str>,
    bytes: &Bytes,
) -> Outcome<Answer> {
    let endpoint = contract::endpoint(method, path).filter(|e| e.since <= minor);
    let Some(endpoint) = endpoint else {
        let mut refused = Refused::not_found();
        if contract::path_exists(path, minor) {
            refused.status = 405;
        }
        return Err(refused);
    };
    let query = Query::parse(raw_query);
    let body = parse_body(bytes)?;
    let strict = f.unit(at)?.config.strict.refuse_unknown_parameters;
    if strict {
        check(endpoint, &query, &body, minor)?;
    }
    let mut call = Call { f, at, user, q: &query, body: &body, minor, answer: &endpoint.answer };
    match rest::dispatch(&mut call, method, path)? {
        Reply::Page(page) => Ok(Answer::ok(page)),
        Reply::Empty => Ok(Answer { status: 200, body: None, headers: Vec::new() }),
        Reply::Items(mut items) => {
            for item in &mut items {
                endpoint.answer.prune(item, minor);
            }
            Ok(Answer::ok(json!({ "items": items })))
        }
    }
}

fn parse_body(bytes: &Bytes) -> Outcome<Value> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(json!({}));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Null) => Ok(json!({})),
        Ok(body @ (Value::Object(_) | Value::Array(_))) => Ok(body),
        _ => Err(Refused::request("The body is not valid JSON.")),
    }
}

/// Refuses parameters and body fields that this version of the end point does not know.
fn check(endpoint: &Endpoint, query: &Query, body: &Value, minor: u32) -> Outcome<()> {
    let known = |key: &str| endpoint.query.get(key).is_some_and(|since| *since <= minor);
    if let Some(unknown) = query.keys().find(|key| !known(key)) {
        return Err(Refused::of(unknown, "Invalid query parameter for this version."));
    }
    if query.has("context_names") {
        return Err(Refused::of("context_names", "This array is not in a fleet."));
    }
    match endpoint.body.unknown(body, minor) {
        Some(unknown) => Err(Refused::of(&unknown, "Invalid body field for this version.")),
        None => Ok(()),
    }
}
