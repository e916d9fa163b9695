//! Serves two linked arrays over HTTPS and writes addresses and tokens to a file:
//! `arrays --env-file PATH [--seed N] [--port-a N] [--port-b N] [--base-ms N] [--lenient]`.
//!
//! The clock is the machine's plus what `POST /_sim/advance?ms=N` adds. Guests write through
//! `POST /_sim/write?host=H&volume=V&stamp=S`; `/_sim/dump` shows all that an array holds;
//! `POST /_sim/link?status=connected|partial|broken` cuts the wire between them. Ends on Ctrl-C or
//! SIGTERM.

use std::{
    collections::HashMap,
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use protector_sim::{
    array::{ApiToken, Array, ArrayConfig, LinkStatus, TransferTiming},
    serve::Server,
    tls::Authority,
};
use protector_types::{BoxFuture, Clock};

/// The machine's time plus an offset.
#[derive(Debug, Clone)]
struct ShiftedClock {
    start: std::time::Instant,
    offset_ms: Arc<AtomicU64>,
}

impl Clock for ShiftedClock {
    #[expect(clippy::disallowed_methods, reason = "this is the system's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + chrono::Duration::milliseconds(self.offset_ms.load(Ordering::SeqCst) as i64)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed() + Duration::from_millis(self.offset_ms.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[derive(Clone)]
struct Door {
    array: Array,
    peer: Array,
    clock: ShiftedClock,
}

type Given = Query<HashMap<String, String>>;

async fn advance(State(door): State<Door>, Query(given): Given) -> StatusCode {
    match given.get("ms").map(|ms| ms.parse::<u64>()) {
        Some(Ok(ms)) => {
            door.clock.offset_ms.fetch_add(ms, Ordering::SeqCst);
            StatusCode::NO_CONTENT
        }
        _ => StatusCode::BAD_REQUEST,
    }
}

async fn write(State(door): State<Door>, Query(given): Given) -> (StatusCode, String) {
    let text = |key: &str| given.get(key).map_or("", String::as_str);
    match door.array.write(text("host"), text("volume"), text("stamp")) {
        Ok(()) => (StatusCode::NO_CONTENT, String::new()),
        Err(refusal) => (StatusCode::CONFLICT, refusal.to_string()),
    }
}

async fn link(State(door): State<Door>, Query(given): Given) -> StatusCode {
    let status = match given.get("status").map(String::as_str) {
        Some("connected") => LinkStatus::Connected,
        Some("partial") => LinkStatus::PartiallyConnected,
        Some("broken") => LinkStatus::Broken,
        _ => return StatusCode::BAD_REQUEST,
    };
    Array::set_link(&door.array, &door.peer, status);
    StatusCode::NO_CONTENT
}

fn router(array: &Array, peer: &Array, clock: &ShiftedClock) -> Router {
    let door = Door { array: array.clone(), peer: peer.clone(), clock: clock.clone() };
    Router::new()
        .route("/_sim/dump", get(|State(d): State<Door>| async move { Json(d.array.dump()) }))
        .route("/_sim/advance", post(advance))
        .route("/_sim/write", post(write))
        .route("/_sim/link", post(link))
        .with_state(door)
        .merge(array.router())
}

fn arguments() -> HashMap<String, String> {
    let mut given = HashMap::new();
    let mut words = std::env::args().skip(1).peekable();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else { continue };
        let value = words.next_if(|next| !next.starts_with("--")).unwrap_or_default();
        given.insert(name.to_owned(), value);
    }
    given
}

fn number(given: &HashMap<String, String>, name: &str, or: u64) -> Result<u64, Box<dyn Error>> {
    Ok(given.get(name).map_or(Ok(or), |v| v.parse())?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given = arguments();
    let Some(env_file) = given.get("env-file") else { return Err("--env-file is missing".into()) };
    let seed = number(&given, "seed", 1)?;
    let base = number(&given, "base-ms", 40)?;
    #[expect(clippy::disallowed_methods, reason = "this is the system's clock")]
    let start = std::time::Instant::now();
    let clock = ShiftedClock { start, offset_ms: Arc::default() };
    let make = |name: &str| {
        let mut config = ArrayConfig::new(name, Arc::new(clock.clone()), seed);
        config.transfer = TransferTiming { base_ms: (base, base * 2), ..config.transfer };
        config.strict.refuse_overwrite_with_protection = !given.contains_key("lenient");
        let reader = format!("{name}-reader-token");
        config.api_tokens.push(ApiToken::readonly("reader", &reader));
        Array::new(config)
    };
    let (a, b) = (make("array-a"), make("array-b"));
    Array::link(&a, &b);

    let authority = Authority::new()?;
    let ip = IpAddr::from([127, 0, 0, 1]);
    let ca_path = format!("{env_file}.ca.pem");
    std::fs::write(&ca_path, authority.pem())?;
    let mut env = format!("ARRAY_CA={ca_path}\n");
    let mut servers = Vec::new();
    for (letter, array, peer) in [("A", &a, &b), ("B", &b, &a)] {
        let port = number(&given, &format!("port-{}", letter.to_lowercase()), 0)?;
        let addr = SocketAddr::new(ip, u16::try_from(port)?);
        let tls = authority.server_config(&[&array.name()], ip)?;
        let server = Server::start(router(array, peer, &clock), addr, Some(tls), None).await?;
        env += &format!("ARRAY_{letter}_URL={}\n", server.url());
        env += &format!("ARRAY_{letter}_NAME={}\n", array.name());
        env += &format!("ARRAY_{letter}_TOKEN={}\n", array.config().admin_token());
        env += &format!("ARRAY_{letter}_READER_TOKEN={}-reader-token\n", array.name());
        servers.push(server);
    }
    // Written under another name first: whoever waits for the file never reads half of it.
    let partial = format!("{env_file}.partial");
    std::fs::write(&partial, env)?;
    std::fs::rename(&partial, env_file)?;

    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    for server in &servers {
        server.stop().await;
    }
    Ok(())
}
