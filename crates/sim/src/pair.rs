//! Two linked arrays on their own, without clouds: for real clouds whose Cinder drives them.
//!
//! Besides REST 2.x each array has the tests' door: `GET /_sim/dump`, `POST /_sim/write?host=H&volume=V&stamp=S`
//! (a guest writes), `POST /_sim/link?status=connected|partial|broken` (the wire between both), and for the array that
//! answers no more `POST /_sim/peer-power?state=off|on` at the other one (a site burns, a site comes back: what an
//! array holds it holds without power, too).

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, post},
};
use protector_types::Clock;

use crate::{
    array::{ApiToken, Array, ArrayConfig, LinkStatus, published_versions},
    serve::Server,
    tls::{TlsError, server_config_from_pem},
};

/// One end of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairEnd {
    /// The array's name as its peer knows it.
    pub name: String,
    /// Where it is served, over TLS.
    pub listen: SocketAddr,
    /// The API token of its administrator.
    pub token: String,
}

/// Why a pair could not be served.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// An address is taken or not ours.
    #[error(
        "array {name} cannot listen on {listen}: {source}; free the address or choose another one"
    )]
    Bind {
        /// The array.
        name: String,
        /// Where.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl PairError {
    /// True when something listens there already.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// Two arrays that replicate to each other, on their addresses.
pub struct Pair {
    arrays: [Array; 2],
    servers: [Arc<Server>; 2],
}

impl Pair {
    /// Makes both arrays, links them and serves them in the order given; the state lives in memory.
    ///
    /// # Errors
    /// [`PairError::Bind`] for the first address that is not free; then nothing is served.
    pub async fn serve(
        ends: [PairEnd; 2],
        certificate_pem: &str,
        key_pem: &str,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Result<Self, PairError> {
        let tls = server_config_from_pem(certificate_pem, key_pem)?;
        let arrays = [0, 1].map(|at: usize| Array::new(config(&ends[at], clock.clone(), seed)));
        Array::link(&arrays[0], &arrays[1]);
        let doors = [0, 1].map(|at: usize| Door {
            array: arrays[at].clone(),
            peer: arrays[1 - at].clone(),
            peer_server: Arc::default(),
        });
        let first = Arc::new(start(&doors[0], &ends[0], tls.clone()).await?);
        let second = match start(&doors[1], &ends[1], tls).await {
            Ok(second) => Arc::new(second),
            Err(error) => {
                first.kill().await;
                return Err(error);
            }
        };
        for (door, peer) in doors.iter().zip([&second, &first]) {
            door.peer_server.get_or_init(|| peer.clone());
        }
        Ok(Self { arrays, servers: [first, second] })
    }

    /// The arrays, in the order of the ends.
    pub fn arrays(&self) -> &[Array; 2] {
        &self.arrays
    }

    /// The servers, in the order of the ends.
    pub fn servers(&self) -> &[Arc<Server>; 2] {
        &self.servers
    }

    /// Stops both gracefully.
    pub async fn stop(&self) {
        for server in &self.servers {
            server.stop().await;
        }
    }
}

fn config(end: &PairEnd, clock: Arc<dyn Clock>, seed: u64) -> ArrayConfig {
    let mut config = ArrayConfig::new(&end.name, clock, seed);
    config.api_tokens = vec![ApiToken::admin("pureuser", &end.token)];
    // Other people's clients come here: each takes the newest version that it knows.
    config.versions =
        published_versions().filter(|minor| *minor >= 4).map(|m| format!("2.{m}")).collect();
    config.management_address = end.listen.ip().to_string();
    config
}

async fn start(
    door: &Door,
    end: &PairEnd,
    tls: Arc<rustls::ServerConfig>,
) -> Result<Server, PairError> {
    let router = Router::new()
        .route("/_sim/dump", get(dump))
        .route("/_sim/write", post(write))
        .route("/_sim/link", post(link))
        .route("/_sim/peer-power", post(peer_power))
        .with_state(door.clone())
        .merge(door.array.router());
    let bind = |source| PairError::Bind { name: end.name.clone(), listen: end.listen, source };
    Server::start(router, end.listen, Some(tls), None).await.map_err(bind)
}

#[derive(Clone)]
struct Door {
    array: Array,
    peer: Array,
    /// Set once both are served.
    peer_server: Arc<OnceLock<Arc<Server>>>,
}

type Given = Query<HashMap<String, String>>;

async fn dump(State(door): State<Door>) -> Json<serde_json::Value> {
    Json(door.array.dump())
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

async fn peer_power(State(door): State<Door>, Query(given): Given) -> (StatusCode, String) {
    let Some(server) = door.peer_server.get() else {
        return (StatusCode::CONFLICT, "the peer is not served yet; ask again".to_owned());
    };
    let status = match given.get("state").map(String::as_str) {
        Some("off") => {
            server.kill().await;
            LinkStatus::Broken
        }
        Some("on") => match server.restart().await {
            Ok(()) => LinkStatus::Connected,
            Err(error) => return (StatusCode::CONFLICT, format!("{}: {error}", server.addr())),
        },
        _ => return (StatusCode::BAD_REQUEST, "state is off or on".to_owned()),
    };
    Array::set_link(&door.array, &door.peer, status);
    (StatusCode::NO_CONTENT, String::new())
}
