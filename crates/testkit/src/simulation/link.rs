//! The way between two Protectors, with faults on it: a proxy in front of each API, behind the simulator's own fault gate.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::Response,
};
use protector_http::{SocketTransport, TlsOptions, Transport};
use protector_sim::{
    faults::{Effect, FaultPlan, Gate, Rule, When, dropped},
    serve::Server,
};
use protector_types::Clock;

/// How long the way may take, in real time.
const PATIENCE: Duration = Duration::from_secs(20);
/// The largest body on the way.
const MOST_BYTES: usize = 64 << 20;

#[derive(Clone)]
struct Way {
    to: String,
    transport: Arc<SocketTransport>,
}

/// The way to one Protector.
pub struct Link {
    /// Its name in the fault plan.
    pub name: String,
    server: Server,
}

impl Link {
    /// A way to the API at `to`.
    ///
    /// # Errors
    /// When nothing can listen.
    pub async fn open(
        name: &str,
        to: &str,
        plan: &FaultPlan,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let tls = TlsOptions { ca_pem: None, insecure: false };
        let transport = SocketTransport::new(&tls).map_err(|error| anyhow::anyhow!("{error}"))?;
        let way = Way { to: to.to_owned(), transport: Arc::new(transport) };
        let router = Router::new().fallback(pass).with_state(way);
        let gate = Gate::new(plan.clone(), name, false, clock, (0, 0));
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let server = Server::start(gate.wrap(router), address, None, Some(gate))
            .await
            .with_context(|| format!("the way {name}"))?;
        Ok(Self { name: name.to_owned(), server })
    }

    /// Where it begins.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Closes it for good.
    pub async fn close(&self) {
        self.server.stop().await;
    }
}

async fn pass(State(way): State<Way>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MOST_BYTES).await else { return dropped() };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut onward = axum::http::Request::builder()
        .method(parts.method)
        .uri(format!("{}{path}", way.to.trim_end_matches('/')));
    for (name, value) in &parts.headers {
        if name != axum::http::header::HOST && name != axum::http::header::CONTENT_LENGTH {
            onward = onward.header(name, value);
        }
    }
    let Ok(onward) = onward.body(Bytes::from(body)) else { return dropped() };
    match way.transport.send(onward, PATIENCE).await {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            parts.headers.remove(axum::http::header::TRANSFER_ENCODING);
            Response::from_parts(parts, Body::from(body))
        }
        Err(_) => dropped(),
    }
}

/// Faults on a way, each with this probability.
pub fn disturb(plan: &FaultPlan, name: &str, probability: f64) {
    let effects = [
        Effect::Refuse,
        Effect::TimeoutBefore { hang_ms: 2_000 },
        Effect::TimeoutAfter { hang_ms: 2_000 },
        Effect::LateEffect { secs: 4, hang_ms: 2_000 },
        Effect::Status { code: 503, message: None, retry_after: None },
        Effect::Slow { ms: 3_000 },
    ];
    for effect in effects {
        plan.add(Rule {
            site: Some(name.to_owned()),
            service: None,
            method: None,
            path: None,
            body: None,
            when: When::Probability(probability),
            times: None,
            effect,
        });
    }
}
