//! One simulated OpenStack cloud. All five services look at one [`State`] under one lock, so that what
//! Nova says of a volume and what Cinder and the array say of it can never disagree.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    middleware::{from_fn_with_state, map_request},
};
use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard, RwLock};
use protector_types::{Clock, Rng, SplitMix};

use crate::{
    array::Array,
    faults::{FaultPlan, Gate},
};

mod auth;
pub mod cinder;
mod dump;
mod error;
pub mod glance;
mod http;
pub mod keystone;
pub mod neutron;
pub mod nova;

pub use auth::{Caller, header};
pub use error::{ApiError, Service};
pub use http::{JsonBody, Microversion, Page, Params, original_path, paginate};

/// A handle on one cloud; clones share it.
#[derive(Clone)]
pub struct Cloud(pub(crate) Arc<Inner>);

/// What a [`Cloud`] holds.
pub struct Inner {
    /// `site-a`, for example.
    pub name: String,
    /// The Keystone region.
    pub region: String,
    /// Where clients reach the cloud, without a trailing slash: the catalog is made from it.
    /// Services live below it: `/identity/v3`, `/compute/v2.1`, `/volume/v3`, `/network/v2.0`, `/image/v2`.
    pub base_url: RwLock<String>,
    /// The world's time.
    pub clock: Arc<dyn Clock>,
    /// How long things take and which limits hold.
    pub profile: Profile,
    /// Every draw is keyed by (seed, thing).
    pub seed: u64,
    /// The array behind Cinder.
    pub array: Array,
    /// All services' objects.
    pub state: Mutex<State>,
    /// Numbers the ids that [`Cloud::new_id`] gives.
    pub(crate) counter: AtomicU64,
    /// Faults and latency in front of the router.
    pub(crate) gate: Gate,
}

/// What a cloud is made from.
#[derive(Clone)]
pub struct CloudConfig {
    /// `site-a`, for example.
    pub name: String,
    /// The Keystone region.
    pub region: String,
    /// Where clients reach it, without a trailing slash; can be changed later.
    pub base_url: String,
    /// Its time.
    pub clock: Arc<dyn Clock>,
    /// How long things take.
    pub profile: Profile,
    /// Every draw is keyed by it.
    pub seed: u64,
    /// The array behind Cinder.
    pub array: Array,
    /// The world's faults.
    pub faults: FaultPlan,
    /// Users, projects, roles.
    pub accounts: keystone::SeedConfig,
    /// Networks.
    pub networks: Vec<neutron::NetworkSeed>,
    /// Images.
    pub images: Vec<glance::ImageSeed>,
}

impl Cloud {
    /// A cloud with what the configuration seeds.
    pub fn new(config: CloudConfig) -> Self {
        let call_ms = config.profile.call_ms;
        let gate = Gate::new(config.faults, &config.name, false, config.clock.clone(), call_ms);
        let cloud = Self(Arc::new(Inner {
            name: config.name,
            region: config.region,
            base_url: RwLock::new(config.base_url),
            clock: config.clock,
            profile: config.profile,
            seed: config.seed,
            array: config.array,
            state: Mutex::default(),
            counter: AtomicU64::new(0),
            gate,
        }));
        {
            let mut guard = cloud.lock();
            let state = &mut *guard;
            keystone::seed(&mut state.keystone, &config.accounts, &cloud.region, || {
                cloud.new_hex_id()
            });
            neutron::seed(&cloud, state, &config.networks);
            glance::seed(&cloud, state, &config.images);
        }
        cloud
    }

    /// The same cloud once more, as it is now: with its own state, on this array, under this clock and these faults.
    pub(crate) fn fork(&self, array: Array, clock: Arc<dyn Clock>, faults: FaultPlan) -> Self {
        self.settle();
        let mut state = self.lock().clone();
        // A bell of its own: the two clouds have nothing to tell each other.
        state.cinder.bell = Arc::default();
        let gate = Gate::new(faults, &self.name, false, clock.clone(), self.profile.call_ms);
        Self(Arc::new(Inner {
            name: self.name.clone(),
            region: self.region.clone(),
            base_url: RwLock::new(format!("http://{}.sim", self.name)),
            clock,
            profile: self.profile.clone(),
            seed: self.seed,
            array,
            state: Mutex::new(state),
            counter: AtomicU64::new(self.counter.load(Ordering::Relaxed)),
            gate,
        }))
    }

    /// All services below one root, behind faults and latency, and the tests' own `/_sim`.
    pub fn router(&self) -> Router {
        let services: Router = Router::new()
            .merge(keystone::router())
            .merge(neutron::router())
            .merge(glance::router())
            .nest("/compute/v2.1", nova::router())
            .nest("/compute", nova::versions())
            .nest("/volume/v3", cinder::router())
            .nest("/volume", cinder::versions())
            .merge(crate::control::cloud_router())
            .fallback(http::no_such_path)
            .with_state(self.clone());
        let gated = self.gate.wrap(services).layer(from_fn_with_state(self.clone(), http::finish));
        Router::new().fallback_service(gated).layer(map_request(http::without_trailing_slash))
    }

    /// Faults and latency in front of the router.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Everything in the cloud, once all work that is due has happened: the tests' oracle. Without
    /// secrets.
    pub fn dump(&self) -> serde_json::Value {
        dump::dump(self)
    }
}

impl std::ops::Deref for Cloud {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    /// All services' objects, locked. Never hold it across an await.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The site's wall time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Where clients reach the cloud, without a trailing slash.
    pub fn base_url(&self) -> String {
        self.base_url.read().clone()
    }

    /// A new UUID with hyphens. The same seed gives the same sequence.
    pub fn new_id(&self) -> String {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut rng = SplitMix::keyed(self.seed, &format!("id/{}/{n}", self.name));
        let (high, low) = (u128::from(rng.next_u64()), u128::from(rng.next_u64()));
        uuid::Builder::from_random_bytes(((high << 64) | low).to_be_bytes()).into_uuid().to_string()
    }

    /// A new id of 32 hex digits, as Keystone makes them.
    pub fn new_hex_id(&self) -> String {
        self.new_id().replace('-', "")
    }

    /// How long something takes: drawn from `range` (milliseconds) by hash(seed, site, key).
    pub fn draw(&self, key: &str, range: (u64, u64)) -> Duration {
        draw_ms(self.seed, &format!("{}/{key}", self.name), range)
    }
}

/// A duration from `range` (milliseconds, both ends included) that depends on (seed, key) alone.
pub(crate) fn draw_ms(seed: u64, key: &str, range: (u64, u64)) -> Duration {
    let (low, high) = range;
    let span = high.saturating_sub(low).saturating_add(1);
    Duration::from_millis(low + SplitMix::keyed(seed, key).next_u64() % span)
}

/// The whole cloud's state.
#[derive(Clone, Default)]
pub struct State {
    /// Users, projects, roles, tokens, trusts.
    pub keystone: keystone::State,
    /// Servers, flavors, keypairs, server groups.
    pub nova: nova::State,
    /// Volumes, types, attachments.
    pub cinder: cinder::State,
    /// Networks, subnets, ports, security groups.
    pub neutron: neutron::State,
    /// Images.
    pub glance: glance::State,
    /// Policy overrides, rule name -> expression (see [`Caller::allows`]):
    /// `volume_extension:volume_manage` -> `rule:admin_or_owner`, for example.
    pub policies: BTreeMap<String, String>,
    /// Quota overrides.
    pub quotas: Quotas,
}

impl State {
    /// The expression in force for a policy rule.
    pub fn policy<'a>(&'a self, rule: &str, default: &'a str) -> &'a str {
        self.policies.get(rule).map_or(default, String::as_str)
    }
}

/// Limits per (service, project, resource): `compute`/`instances`, `volume`/`gigabytes`,
/// `network`/`port`. The project `*` is everybody's.
#[derive(Debug, Clone, Default)]
pub struct Quotas(pub BTreeMap<(String, String, String), i64>);

impl Quotas {
    /// The limit in force; -1 is none.
    pub fn limit(&self, service: Service, project_id: &str, resource: &str, default: i64) -> i64 {
        let key =
            |project: &str| (service.name().to_owned(), project.to_owned(), resource.to_owned());
        let own = self.0.get(&key(project_id)).or_else(|| self.0.get(&key("*")));
        own.copied().unwrap_or(default)
    }

    /// Sets a limit.
    pub fn set(&mut self, service: Service, project_id: &str, resource: &str, limit: i64) {
        self.0
            .insert((service.name().to_owned(), project_id.to_owned(), resource.to_owned()), limit);
    }
}

/// How long the cloud's asynchronous work takes, in the world's milliseconds, and its caps.
/// Pairs are (shortest, longest), drawn by hash(seed, resource id).
#[derive(Debug, Clone)]
pub struct Profile {
    /// One API call, before its effect.
    pub call_ms: (u64, u64),
    /// BUILD to ACTIVE.
    pub server_build_ms: (u64, u64),
    /// Stop, start, delete of a server.
    pub server_action_ms: (u64, u64),
    /// Cinder `managing` to `available`; also create.
    pub volume_manage_ms: (u64, u64),
    /// Attach, detach, delete of a volume.
    pub volume_action_ms: (u64, u64),
    /// At most this many servers build at the same time; the rest wait in BUILD.
    pub builds_at_once: usize,
}

impl Default for Profile {
    /// Near-instant, for tests.
    fn default() -> Self {
        Self {
            call_ms: (0, 0),
            server_build_ms: (20, 60),
            server_action_ms: (10, 20),
            volume_manage_ms: (10, 30),
            volume_action_ms: (5, 10),
            builds_at_once: 20,
        }
    }
}
