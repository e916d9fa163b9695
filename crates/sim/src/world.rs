//! Two clouds and two arrays under one clock, one seed and one fault plan.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::Router;
use protector_types::Clock;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::{
    array::{Array, ArrayConfig},
    cloud::{
        Cloud, CloudConfig, Profile, glance::ImageSeed, keystone::SeedConfig, neutron::NetworkSeed,
    },
    control,
    faults::{FaultPlan, Gate, Partition},
    serve::Server,
    tls::{Authority, TlsError},
};

/// How one site is called and what it starts with.
#[derive(Debug, Clone)]
pub struct SiteConfig {
    /// `site-a`, for example.
    pub name: String,
    /// The Keystone region.
    pub region: String,
    /// `array-a`, for example.
    pub array: String,
    /// Users, projects, roles.
    pub accounts: SeedConfig,
    /// Networks.
    pub networks: Vec<NetworkSeed>,
    /// Images.
    pub images: Vec<ImageSeed>,
}

impl SiteConfig {
    /// The site `site-<letter>` with the array `array-<letter>`, the usual accounts, a network for each
    /// tenant and a shared one.
    pub fn usual(letter: char) -> Self {
        Self {
            name: format!("site-{letter}"),
            region: format!("Region{}", letter.to_ascii_uppercase()),
            array: format!("array-{letter}"),
            accounts: SeedConfig::default(),
            networks: vec![
                NetworkSeed::new("app-net", "app", false, "10.10.0.0/24"),
                NetworkSeed::new("other-net", "other", false, "10.20.0.0/24"),
                NetworkSeed::new("shared-net", "admin", true, "192.168.100.0/24"),
            ],
            images: vec![ImageSeed::public("cirros", "admin")],
        }
    }
}

/// What a world is made from.
#[derive(Clone)]
pub struct WorldConfig {
    /// Everything that is drawn is keyed by it.
    pub seed: u64,
    /// The time of all four, unless `clocks` says otherwise.
    pub clock: Arc<dyn Clock>,
    /// Another time for each site, to simulate skew; `None`: `clock`.
    pub clocks: [Option<Arc<dyn Clock>>; 2],
    /// Pace and caps of both clouds.
    pub profile: Profile,
    /// A pattern for both arrays: name, clock, seed and tokens are each array's own.
    pub array: ArrayConfig,
    /// The sites.
    pub sites: [SiteConfig; 2],
    /// Volume types and the arrays' replication as an operator would have set them up.
    pub furnished: bool,
    /// The usual flavors.
    pub flavors: bool,
}

impl WorldConfig {
    /// The usual two sites, at test speed.
    pub fn new(seed: u64, clock: Arc<dyn Clock>) -> Self {
        Self {
            seed,
            array: ArrayConfig::new("pattern", clock.clone(), seed),
            clock,
            clocks: [None, None],
            profile: Profile::default(),
            sites: [SiteConfig::usual('a'), SiteConfig::usual('b')],
            furnished: true,
            flavors: false,
        }
    }
}

/// One site of a world.
#[derive(Clone)]
pub struct Site {
    /// Its cloud.
    pub cloud: Cloud,
    /// Its array.
    pub array: Array,
    array_gate: Gate,
}

impl Site {
    /// The array's REST API behind faults and latency, and the tests' own `/_sim`.
    pub fn array_router(&self) -> Router {
        let control = control::array_router(&self.array, &self.array_gate);
        self.array_gate.wrap(self.array.router()).merge(control)
    }
}

/// Two sites whose arrays replicate to each other.
pub struct World {
    sites: [Site; 2],
    faults: FaultPlan,
    keepers: Vec<AbortHandle>,
}

impl Drop for World {
    fn drop(&mut self) {
        for keeper in &self.keepers {
            keeper.abort();
        }
    }
}

impl World {
    /// Makes both sites and links the arrays. Inside a Tokio runtime the clouds also keep themselves
    /// up to their clock; outside, each call brings them up to it.
    pub fn new(config: WorldConfig) -> Self {
        let faults = FaultPlan::new(config.seed);
        let sites = [0, 1].map(|at| site(&config, at, &faults));
        let [a, b] = &sites;
        Array::link(&a.array, &b.array);
        if config.furnished {
            furnish(a, &b.array);
            furnish(b, &a.array);
        }
        if config.flavors {
            sites.iter().for_each(|s| s.cloud.add_usual_flavors());
        }
        let keepers = keepers(&sites);
        Self { sites, faults, keepers }
    }

    /// The same world once more, as it is now: everything in it has the same ids, and from here on neither notices what
    /// happens to the other. The copy is under `clock`, which must show the same time; it has no faults, and is reached
    /// in process ([`World::route`]). For tests that try many ways out of one situation.
    pub fn fork(&self, clock: Arc<dyn Clock>) -> Self {
        let [a, b] = &self.sites;
        let [array_a, array_b] = Array::fork_pair([&a.array, &b.array], &clock);
        let faults = FaultPlan::new(self.faults.seed());
        let sites = [(a, array_a), (b, array_b)].map(|(site, array)| {
            let array_gate = Gate::new(faults.clone(), &array.name(), true, clock.clone(), (0, 0));
            let cloud = site.cloud.fork(array.clone(), clock.clone(), faults.clone());
            Site { cloud, array, array_gate }
        });
        let keepers = keepers(&sites);
        Self { sites, faults, keepers }
    }

    /// Both sites.
    pub fn sites(&self) -> &[Site; 2] {
        &self.sites
    }

    /// A site by its cloud's name.
    pub fn site(&self, name: &str) -> Option<&Site> {
        self.sites.iter().find(|s| s.cloud.name == name)
    }

    /// A cloud: 0 or 1 (anything else is 1).
    pub fn cloud(&self, at: usize) -> &Cloud {
        &self.sites[at.min(1)].cloud
    }

    /// An array: 0 or 1 (anything else is 1).
    pub fn array(&self, at: usize) -> &Array {
        &self.sites[at.min(1)].array
    }

    /// The faults of all four.
    pub fn faults(&self) -> &FaultPlan {
        &self.faults
    }

    /// Cuts a site's cloud and array off (or lets them back), by the cloud's name.
    pub fn partition(&self, name: &str, partition: Option<Partition>) {
        if let Some(site) = self.site(name) {
            self.faults.partition(name, partition);
            self.faults.partition(&site.array.name(), partition);
        }
    }

    /// The router behind a host name in process: a cloud's or an array's name, with or without `.sim`.
    pub fn route(&self, host: &str) -> Option<Router> {
        let name = host.strip_suffix(".sim").unwrap_or(host);
        self.sites.iter().find_map(|s| {
            if s.cloud.name == name {
                Some(s.cloud.router())
            } else if s.array.name() == name {
                Some(s.array_router())
            } else {
                None
            }
        })
    }

    /// Everything in all four: the tests' oracle.
    pub fn dump(&self) -> Value {
        let clouds: serde_json::Map<String, Value> =
            self.sites.iter().map(|s| (s.cloud.name.clone(), s.cloud.dump())).collect();
        let arrays: serde_json::Map<String, Value> =
            self.sites.iter().map(|s| (s.array.name(), s.array.dump())).collect();
        json!({"clouds": clouds, "arrays": arrays})
    }

    /// Serves all four on ports. The clouds' catalogs point there from then on.
    pub async fn serve(&self, options: ServeOptions) -> Result<Served, ServeError> {
        let authority = Authority::new()?;
        let mut sites = Vec::new();
        for (at, site) in self.sites.iter().enumerate() {
            sites.push(serve_site(site, &authority, &options, at).await?);
        }
        Ok(Served { sites, ca_pem: authority.pem().to_owned() })
    }
}

/// Inside a Tokio runtime: tasks that keep the clouds up to their clock.
fn keepers(sites: &[Site; 2]) -> Vec<AbortHandle> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => sites
            .iter()
            .map(|s| runtime.spawn(s.cloud.clone().keep_settled()).abort_handle())
            .collect(),
        Err(_) => Vec::new(),
    }
}

fn site(config: &WorldConfig, at: usize, faults: &FaultPlan) -> Site {
    let wanted = &config.sites[at];
    let clock = config.clocks[at].clone().unwrap_or_else(|| config.clock.clone());
    let own = ArrayConfig::new(&wanted.array, clock.clone(), config.seed);
    let array_config = ArrayConfig {
        name: own.name,
        clock: clock.clone(),
        seed: config.seed,
        api_tokens: own.api_tokens,
        management_address: own.management_address,
        ..config.array.clone()
    };
    let array = Array::new(array_config);
    let cloud = Cloud::new(CloudConfig {
        name: wanted.name.clone(),
        region: wanted.region.clone(),
        base_url: format!("http://{}.sim", wanted.name),
        clock: clock.clone(),
        profile: config.profile.clone(),
        seed: config.seed,
        array: array.clone(),
        faults: faults.clone(),
        accounts: wanted.accounts.clone(),
        networks: wanted.networks.clone(),
        images: wanted.images.clone(),
    });
    // The array draws its latency itself, from `ArrayConfig::call_ms`.
    let array_gate = Gate::new(faults.clone(), &wanted.array, true, clock, (0, 0));
    Site { cloud, array, array_gate }
}

/// What an operator sets up before tenants come.
fn furnish(site: &Site, peer: &Array) {
    site.cloud.add_usual_volume_types();
    site.cloud.set_replication_target(&peer.name());
}

/// Where and how to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Address to bind.
    pub ip: IpAddr,
    /// One per cloud; 0: any free one.
    pub cloud_ports: [u16; 2],
    /// One per array (TLS); 0: any free one.
    pub array_ports: [u16; 2],
    /// Clouds over TLS, too.
    pub cloud_tls: bool,
    /// Arrays also over plain HTTP, on a free port each.
    pub array_plain: bool,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            ip: IpAddr::from([127, 0, 0, 1]),
            cloud_ports: [0, 0],
            array_ports: [0, 0],
            cloud_tls: false,
            array_plain: false,
        }
    }
}

/// Why a world could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port could not be bound.
    #[error("the simulator could not listen for {name} on {addr}: {source}; choose another port")]
    Bind {
        /// The cloud or array.
        name: String,
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The servers of one site.
pub struct ServedSite {
    /// The cloud's.
    pub cloud: Server,
    /// The array's, over TLS.
    pub array: Server,
    /// The array's, over plain HTTP, if wished.
    pub array_plain: Option<Server>,
    /// The array itself.
    storage: Array,
}

impl ServedSite {
    /// Everything of the site at once.
    fn all(&self) -> impl Iterator<Item = &Server> {
        [Some(&self.cloud), Some(&self.array), self.array_plain.as_ref()].into_iter().flatten()
    }

    /// The whole site goes down hard: connections close, calls under way have no effect. State stays.
    pub async fn kill(&self) {
        for server in self.all() {
            server.kill().await;
        }
        self.storage.set_lost(true);
    }

    /// Stops the whole site gracefully.
    pub async fn stop(&self) {
        for server in self.all() {
            server.stop().await;
        }
    }

    /// The site comes back on the same ports.
    pub async fn restart(&self) -> std::io::Result<()> {
        self.storage.set_lost(false);
        for server in self.all() {
            server.restart().await?;
        }
        Ok(())
    }
}

/// A world on ports. Dropping it leaves the servers running until the runtime ends; call `stop`.
pub struct Served {
    /// In the order of the world's sites.
    pub sites: Vec<ServedSite>,
    /// The authority that clients of the arrays must trust.
    pub ca_pem: String,
}

impl Served {
    /// Stops everything gracefully.
    pub async fn stop(&self) {
        for site in &self.sites {
            site.stop().await;
        }
    }

    /// Addresses and credentials as environment variables, for other processes.
    pub fn env(&self, world: &World, config: &WorldConfig) -> Vec<(String, String)> {
        let mut out = Vec::new();
        for (at, (site, served)) in world.sites.iter().zip(&self.sites).enumerate() {
            let letter = if at == 0 { 'A' } else { 'B' };
            let mut put =
                |key: &str, value: String| out.push((format!("SIM_{letter}_{key}"), value));
            put("NAME", site.cloud.name.clone());
            put("REGION", site.cloud.region.clone());
            put("URL", served.cloud.url());
            put("AUTH_URL", format!("{}/identity/v3", served.cloud.url()));
            put("ARRAY_NAME", site.array.name());
            put("ARRAY_URL", served.array.url());
            put("ARRAY_TOKEN", site.array.config().admin_token().to_owned());
            if let Some(plain) = &served.array_plain {
                put("ARRAY_PLAIN_URL", plain.url());
            }
            for account in &config.sites[at].accounts.accounts {
                let key = account.user.to_ascii_uppercase().replace('-', "_");
                put(&format!("{key}_PASSWORD"), account.password.clone());
                put(&format!("{key}_PROJECT"), account.project.clone());
            }
        }
        out
    }
}

async fn serve_site(
    site: &Site,
    authority: &Authority,
    options: &ServeOptions,
    at: usize,
) -> Result<ServedSite, ServeError> {
    let names = [site.cloud.name.as_str(), &site.array.name()].map(str::to_owned);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tls = authority.server_config(&names, options.ip)?;
    let listen = |port: u16| SocketAddr::new(options.ip, port);
    let bind =
        |name: String, addr: SocketAddr| move |source| ServeError::Bind { name, addr, source };

    let addr = listen(options.cloud_ports[at]);
    let cloud_tls = options.cloud_tls.then(|| tls.clone());
    let gate = Some(site.cloud.gate().clone());
    let cloud = Server::start(site.cloud.router(), addr, cloud_tls, gate).await;
    let cloud = cloud.map_err(bind(site.cloud.name.clone(), addr))?;
    *site.cloud.base_url.write() = cloud.url();

    let gate = || Some(site.array_gate.clone());
    let addr = listen(options.array_ports[at]);
    let array = Server::start(site.array_router(), addr, Some(tls), gate()).await;
    let array = array.map_err(bind(site.array.name(), addr))?;
    let array_plain = if options.array_plain {
        let addr = listen(0);
        let plain = Server::start(site.array_router(), addr, None, gate()).await;
        Some(plain.map_err(bind(site.array.name(), addr))?)
    } else {
        None
    };
    Ok(ServedSite { cloud, array, array_plain, storage: site.array.clone() })
}
