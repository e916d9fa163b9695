//! Brings up two simulated sites with their arrays and one Protector each, on real sockets with real databases.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use protector_server::{
    ArrayDriver, Config, Protector, Roles, config::KeystoneConfig, hooks::CrashAt,
    listen::Listening,
};
use protector_sim::{
    cloud::{Profile, neutron::NetworkSeed, nova::FlavorSeed},
    world::{ServeOptions, Served, SiteConfig, World, WorldConfig},
};
use protector_types::{Clock, Secret};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::rest::{Rest, text};

/// The tenant's networks at each site, named as in the documentation so that its curl lines can be pasted.
pub const NETWORKS: [[&str; 2]; 2] = [
    ["aaa11111-net-primary-web", "aaa11111-net-primary-db"],
    ["bbb22222-net-secondary-web", "bbb22222-net-secondary-db"],
];
/// The tenant's flavor at each site.
pub const FLAVORS: [&str; 2] = ["m1.large", "m2.large"];
/// The port of the documentation.
const PORT: u16 = 8788;

/// What the stage is made from.
#[derive(Clone)]
pub struct StageOptions {
    /// Seed of the world.
    pub seed: u64,
    /// The world's and both Protectors' time.
    pub clock: Arc<dyn Clock>,
    /// Pace and caps of both clouds.
    pub profile: Profile,
    /// Pace of both arrays' calls.
    pub array_call_ms: (u64, u64),
    /// What a transfer takes however little it ships.
    pub transfer_ms: (u64, u64),
    /// Folder for databases and keys.
    pub state_dir: PathBuf,
    /// Try the documentation's port first.
    pub documented_port: bool,
    /// Run Protector's services in this process; tests that kill them run their own.
    pub protectors: bool,
    /// The engine's knobs.
    pub engine: protector_server::EngineConfig,
    /// The application's volumes replicate synchronously: both arrays share Cinder's pod.
    pub synchronous: bool,
    /// Drivers of arrays that are no FlashArrays, for both Protectors.
    pub drivers: Vec<Arc<dyn ArrayDriver>>,
    /// Quota of the tenant's project: large enough for so many servers with so many volumes.
    pub room_for: (u32, u32),
}

/// One site on the stage.
pub struct StageSite {
    /// `site-a`.
    pub name: String,
    /// Keystone v3.
    pub auth_url: String,
    /// Base of the cloud's services.
    pub cloud_url: String,
    /// Array management.
    pub array_url: String,
    /// Array name.
    pub array_name: String,
    /// Array API token.
    pub array_token: String,
    /// Our API.
    pub api_url: String,
    /// This Protector's configuration.
    pub config: Config,
}

/// Everything that runs.
pub struct Stage {
    /// The simulated world: oracle and lever of tests.
    pub world: Arc<World>,
    /// Its servers.
    pub served: Served,
    /// Site A, site B.
    pub sites: Vec<StageSite>,
    /// The application's volumes replicate synchronously.
    pub synchronous: bool,
    drivers: Vec<Arc<dyn ArrayDriver>>,
    /// Their time.
    pub clock: Arc<dyn Clock>,
    /// Without a token.
    pub rest: Rest,
    /// One per site; `None` while it is not running in this process.
    protectors: Vec<Option<RunningProtector>>,
}

/// A Protector that runs in this process.
struct RunningProtector {
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// How long a Protector whose site dies may take to notice, in real time.
const LAST_BREATH: Duration = Duration::from_secs(1);

impl Stage {
    /// Brings everything up; each Protector with its API and its engine.
    ///
    /// # Errors
    /// When something cannot listen or start.
    pub async fn start(options: StageOptions) -> anyhow::Result<Self> {
        Self::start_with(options, [Roles { api: true, engine: true }; 2]).await
    }

    /// Brings everything up; each site's Protector runs only these services in this process, for tests that run (and
    /// kill) the others as processes of their own.
    ///
    /// # Errors
    /// When something cannot listen or start.
    pub async fn start_with(options: StageOptions, roles: [Roles; 2]) -> anyhow::Result<Self> {
        let world_config = world_config(&options);
        let world = Arc::new(World::new(world_config));
        furnish(&world, &options)?;
        let serve = ServeOptions { ip: Ipv4Addr::LOCALHOST.into(), ..ServeOptions::default() };
        let served = world.serve(serve).await.context("the simulated sites")?;
        let rest = Rest::new(Some(&served.ca_pem))?;
        let mut stage = Self {
            world,
            served,
            sites: Vec::new(),
            synchronous: options.synchronous,
            drivers: options.drivers.clone(),
            clock: options.clock.clone(),
            rest,
            protectors: Vec::new(),
        };
        for (at, roles) in roles.into_iter().enumerate() {
            let listening = listen(at, options.documented_port).await?;
            let site = stage.describe(at, &options, &listening);
            stage.announce(&site).await.context("the service catalog")?;
            let running = match options.protectors {
                true => Some(stage.run_protector(&site, roles, listening).await?),
                false => None,
            };
            stage.protectors.push(running);
            stage.sites.push(site);
        }
        Ok(stage)
    }

    /// Name of the type of the application's volumes, at both sites.
    pub fn volume_type(&self) -> &'static str {
        if self.synchronous { "replicated-sync" } else { "replicated" }
    }

    fn describe(&self, at: usize, options: &StageOptions, listening: &Listening) -> StageSite {
        let simulated = &self.world.sites()[at];
        let served = &self.served.sites[at];
        let name = simulated.cloud.name.clone();
        let folder = options.state_dir.join(&name);
        let auth_url = format!("{}/identity/v3", served.cloud.url());
        let api_url = format!("http://{}", listening.address);
        let config = Config {
            bind: listening.address.to_string(),
            public_endpoint: Some(api_url.clone()),
            database: format!("sqlite://{}", folder.join("protector.sqlite").display()),
            key_directory: folder.join("keys"),
            policy_file: folder.join("policy.yaml"),
            keystone: KeystoneConfig {
                auth_url: auth_url.clone(),
                region_name: Some(simulated.cloud.region.clone()),
                username: "protector".into(),
                password: Secret::new("protector-password"),
                project_name: "service".into(),
                user_domain_name: "Default".into(),
                project_domain_name: "Default".into(),
                ca_pem: None,
                insecure: false,
            },
            array_ca: Some(self.served.ca_pem.clone()),
            array_insecure: false,
            engine: options.engine.clone(),
        };
        StageSite {
            name,
            auth_url,
            cloud_url: served.cloud.url(),
            array_url: served.array.url(),
            array_name: simulated.array.name(),
            array_token: simulated.array.config().admin_token().to_owned(),
            api_url,
            config,
        }
    }

    /// Registers our API in the site's catalog, as an operator does at installation.
    async fn announce(&self, site: &StageSite) -> anyhow::Result<()> {
        let (admin, _) =
            self.rest.login(&site.auth_url, "admin", "admin-password", "admin").await?;
        let service =
            json!({"service": {"type": "disaster-recovery", "name": "protector", "enabled": true}});
        let service = admin.post(&format!("{}/services", site.auth_url), &service).await?;
        let endpoint = json!({"endpoint": {
            "service_id": text(&service, "/service/id")?,
            "interface": "public",
            "region_id": site.config.keystone.region_name,
            "url": site.api_url,
        }});
        admin.post(&format!("{}/endpoints", site.auth_url), &endpoint).await?;
        Ok(())
    }

    async fn run_protector(
        &self,
        site: &StageSite,
        roles: Roles,
        listening: Listening,
    ) -> anyhow::Result<RunningProtector> {
        let hook = Arc::new(CrashAt::from_env());
        let (config, drivers) = (site.config.clone(), self.drivers.clone());
        let protector = Protector::assemble_with(config, self.clock.clone(), hook, drivers)
            .await
            .with_context(|| format!("Protector of {}", site.name))?;
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(protector.run(roles, Some(listening), shutdown.clone()));
        Ok(RunningProtector { shutdown, task })
    }

    /// The disaster: cloud, array and Protector of a site are gone at once. What they hold stays.
    pub async fn kill_site(&mut self, at: usize) {
        self.served.sites[at].kill().await;
        if let Some(mut running) = self.protectors[at].take() {
            // Its network is dead already: what it still wants to say reaches nobody.
            running.shutdown.cancel();
            if tokio::time::timeout(LAST_BREATH, &mut running.task).await.is_err() {
                running.task.abort();
            }
        }
    }

    /// The site comes back as it was: cloud and array on their ports, a new Protector on the old database.
    ///
    /// # Errors
    /// When something cannot listen again.
    pub async fn revive_site(&mut self, at: usize) -> anyhow::Result<()> {
        self.served.sites[at].restart().await.context("the simulated site")?;
        self.start_protector(at).await
    }

    /// Stops a site's Protector in good order; its cloud and array run on.
    pub async fn stop_protector(&mut self, at: usize) {
        if let Some(running) = self.protectors[at].take() {
            running.shutdown.cancel();
            // Its own error was logged; it is down anyway.
            let _ = running.task.await;
        }
    }

    /// Starts a site's Protector again, at the same address on the same database.
    ///
    /// # Errors
    /// When it cannot listen or start again.
    pub async fn start_protector(&mut self, at: usize) -> anyhow::Result<()> {
        let site = &self.sites[at];
        let roles = Roles { api: true, engine: true };
        let listening = Listening::bind(&site.config.bind).await?;
        let running = self.run_protector(site, roles, listening).await?;
        self.protectors[at] = Some(running);
        Ok(())
    }

    /// The file of a site's database.
    pub fn database(&self, at: usize) -> PathBuf {
        PathBuf::from(self.sites[at].config.database.trim_start_matches("sqlite://"))
    }

    /// A tenant's caller at a site, with the project's id.
    ///
    /// # Errors
    /// When Keystone refuses.
    pub async fn tenant(&self, at: usize) -> anyhow::Result<(Rest, String)> {
        self.rest.login(&self.sites[at].auth_url, "app-user", "app-password", "app").await
    }

    /// An administrator's caller at a site.
    ///
    /// # Errors
    /// When Keystone refuses.
    pub async fn admin(&self, at: usize) -> anyhow::Result<Rest> {
        Ok(self.rest.login(&self.sites[at].auth_url, "admin", "admin-password", "admin").await?.0)
    }

    /// Stops both Protectors and all servers.
    pub async fn stop(mut self) {
        for running in self.protectors.iter().flatten() {
            running.shutdown.cancel();
        }
        for running in self.protectors.drain(..).flatten() {
            // Its own error was logged; the stage goes down anyway.
            let _ = running.task.await;
        }
        self.served.stop().await;
    }
}

fn world_config(options: &StageOptions) -> WorldConfig {
    let mut config = WorldConfig::new(options.seed, options.clock.clone());
    config.profile = options.profile.clone();
    config.array.call_ms = options.array_call_ms;
    config.array.transfer.base_ms = options.transfer_ms;
    for (at, letter) in ['a', 'b'].into_iter().enumerate() {
        let mut site = SiteConfig::usual(letter);
        let third = |n: usize| format!("10.{}.0.0/16", 100 + n);
        site.networks.extend(
            NETWORKS[at]
                .iter()
                .enumerate()
                .map(|(n, name)| NetworkSeed::new(name, "app", false, &third(n))),
        );
        config.sites[at] = site;
    }
    config
}

/// Flavors and quotas, as an operator would have set them.
fn furnish(world: &World, options: &StageOptions) -> anyhow::Result<()> {
    let (servers, volumes) = options.room_for;
    for (at, flavor) in FLAVORS.iter().enumerate() {
        let cloud = world.cloud(at);
        cloud.add_flavor(FlavorSeed {
            id: format!("{flavor}-id"),
            name: (*flavor).to_owned(),
            vcpus: 4,
            ram: 8192,
            disk: 0,
            extra_specs: Default::default(),
        });
        allow_manage(cloud);
        crate::tenant::raise_quota(
            cloud,
            "app",
            u64::from(servers),
            u64::from(servers) * u64::from(volumes),
        );
    }
    if options.synchronous {
        for at in 0..FLAVORS.len() {
            let partner = world.sites()[1 - at].array.name();
            let made = world.cloud(at).set_sync_target(&partner);
            made.map_err(|why| anyhow::anyhow!("Cinder's pod towards {partner}: {why}"))?;
        }
    }
    Ok(())
}

/// The Cinder policy that we recommend: a dedicated role, held by our service user on mapped projects.
fn allow_manage(cloud: &protector_sim::cloud::Cloud) {
    let mut state = cloud.lock();
    for rule in ["volume_manage", "volume_unmanage"] {
        state
            .policies
            .insert(format!("volume_extension:{rule}"), "rule:admin_api or role:protector".into());
    }
}

async fn listen(at: usize, documented: bool) -> anyhow::Result<Listening> {
    if documented {
        // Each site on a loopback address of its own, so that both can have the documented port.
        let address = format!("127.0.0.{}:{PORT}", at + 1);
        if let Ok(listening) = Listening::bind(&address).await {
            return Ok(listening);
        }
    }
    Listening::bind("127.0.0.1:0").await
}
