//! The ways between two sites, which can be cut: a proxy in front of each Protector and each cloud, used by the other
//! site's Protector only, behind the simulator's own fault gate.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Response, header},
};
use protector_http::{SocketTransport, TlsOptions, Transport};
use protector_sim::{
    faults::{Effect, FaultPlan, Gate, Partition, Rule, When, dropped},
    serve::Server,
};
use protector_types::Clock;
use serde_json::json;

use crate::Stage;

/// How long the way may take, in real time.
const PATIENCE: Duration = Duration::from_secs(20);
/// The largest body on the way.
const MOST_BYTES: usize = 64 << 20;

#[derive(Clone)]
struct Leads {
    to: String,
    transport: Arc<SocketTransport>,
    /// Where the way begins: answers that name the far end (a catalog does) name this instead.
    from: Arc<std::sync::OnceLock<String>>,
}

/// The way to one Protector or one cloud.
pub struct Way {
    /// Its name in the fault plan.
    pub name: String,
    server: Server,
}

impl Way {
    /// A way to what is served at `to`.
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
        let from = Arc::new(std::sync::OnceLock::new());
        let to = to.trim_end_matches('/').to_owned();
        let leads = Leads { to, transport: Arc::new(transport), from: from.clone() };
        let router = Router::new().fallback(pass).with_state(leads);
        let gate = Gate::new(plan.clone(), name, false, clock, (0, 0));
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let server = Server::start(gate.wrap(router), address, None, Some(gate))
            .await
            .with_context(|| format!("the way {name}"))?;
        from.get_or_init(|| server.url());
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

async fn pass(State(leads): State<Leads>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MOST_BYTES).await else { return dropped() };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut onward =
        axum::http::Request::builder().method(parts.method).uri(format!("{}{path}", leads.to));
    for (name, value) in &parts.headers {
        if name != header::HOST && name != header::CONTENT_LENGTH {
            onward = onward.header(name, value);
        }
    }
    let Ok(onward) = onward.body(body) else { return dropped() };
    match leads.transport.send(onward, PATIENCE).await {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            parts.headers.remove(header::TRANSFER_ENCODING);
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(leads.seen_from_here(body)))
        }
        Err(_) => dropped(),
    }
}

impl Leads {
    fn seen_from_here(&self, body: Bytes) -> Bytes {
        match (std::str::from_utf8(&body), self.from.get()) {
            (Ok(text), Some(from)) if text.contains(&self.to) => {
                text.replace(&self.to, from).into()
            }
            _ => body,
        }
    }
}

/// Loses, delays and refuses messages on a way: each kind of fault with this probability.
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
        plan.add(Rule::new(effect).site(name).when(When::Probability(probability)));
    }
}

/// All ways between the two sites of a stage.
pub struct Ways {
    plan: FaultPlan,
    /// By the site they lead to: its Protector, its cloud.
    to: [[Way; 2]; 2],
}

impl Ways {
    /// From here on each Protector reaches the other one and the other cloud over them.
    ///
    /// # Errors
    /// When nothing can listen, or a site's record cannot be changed.
    pub async fn lay(stage: &Stage, site_ids: &[String; 2], seed: u64) -> anyhow::Result<Self> {
        let plan = FaultPlan::new(seed);
        let to = [Self::to(stage, 0, &plan).await?, Self::to(stage, 1, &plan).await?];
        for at in 0..2 {
            let [protector, cloud] = &to[1 - at];
            let admin = stage.admin(at).await?;
            let url = format!("{}/v1/admin/sites/{}", stage.sites[at].api_url, site_ids[1 - at]);
            let auth_url = format!("{}/identity/v3", cloud.url());
            let body = json!({"site": {"protector_url": protector.url(), "auth_url": auth_url}});
            admin.call("PATCH", &url, Some(&body)).await.context("the way to the peer")?;
        }
        Ok(Self { plan, to })
    }

    async fn to(stage: &Stage, at: usize, plan: &FaultPlan) -> anyhow::Result<[Way; 2]> {
        let (site, clock) = (&stage.sites[at], &stage.clock);
        let name = |what: &str| format!("way-to-{what}-of-{}", site.name);
        Ok([
            Way::open(&name("protector"), &site.api_url, plan, clock.clone()).await?,
            Way::open(&name("cloud"), &site.cloud_url, plan, clock.clone()).await?,
        ])
    }

    /// No site reaches the other's Protector or cloud any more.
    pub fn cut(&self, how: Partition) {
        for at in 0..2 {
            self.cut_to(at, how);
        }
    }

    /// Nobody at the other site reaches this one any more.
    pub fn cut_to(&self, at: usize, how: Partition) {
        for way in &self.to[at] {
            self.plan.partition(&way.name, Some(how));
        }
    }

    /// Documents of a group and journals do not come through to a site any more; claims do.
    pub fn hold_documents_to(&self, at: usize, group: &str) {
        for path in [format!("*/peer/groups/{group}"), "*/peer/operations/*".to_owned()] {
            let rule = Rule::new(Effect::Refuse).site(&self.to[at][0].name).method("PUT");
            self.plan.add(rule.path(&path));
        }
    }

    /// Messages between the two Protectors are lost and late from here on, see [`disturb`].
    pub fn disturb(&self, probability: f64) {
        self.to.iter().for_each(|[protector, _]| disturb(&self.plan, &protector.name, probability));
    }

    /// How many faults there have been on all ways.
    pub fn injected(&self) -> u64 {
        self.plan.counts(None).values().sum()
    }

    /// Everything comes through again.
    pub fn heal(&self) {
        self.plan.clear(None);
        for way in self.to.iter().flatten() {
            self.plan.partition(&way.name, None);
        }
    }
}
