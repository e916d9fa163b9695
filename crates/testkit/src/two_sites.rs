//! Two simulated sites with the documentation's application under protection: both APIs in this process, no engine.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use protector_demo::{
    Protected, Rest, Stage, StageOptions, follow, protect,
    rest::text,
    tenant::{self, AppServer, AppShape},
};
use protector_server::{EngineConfig, Protector, Roles, hooks::shared_clock};
use protector_sim::cloud::Profile;
use protector_types::Clock;
use protector_workflow::{NoHook, SystemClock};
use serde_json::Value;

use crate::{
    Inventory,
    process::{Service, ServiceProcess},
};

/// Servers of the application.
pub const SERVERS: usize = 3;
/// Volumes of the application, all servers together.
pub const VOLUMES: usize = 5;

/// Simulated seconds per real second, unless [`TwoSites::start`] is told otherwise: a lease lasts one real second.
pub const SPEED: f64 = 20.0;

/// How long a process may take until it answers, in real time.
pub const READY: Duration = Duration::from_secs(30);

/// The harness. Drop it and everything is gone, but for the folder if [`TwoSites::keep`] was called.
pub struct TwoSites {
    /// The two sites and the two APIs.
    pub stage: Stage,
    /// The application at site A.
    pub servers: Vec<AppServer>,
    /// Sites, projects, group.
    pub protected: Protected,
    /// Everything that was there when protection was in place.
    pub before: Inventory,
    /// The tenant's caller at each site.
    pub tenants: [Rest; 2],
    speed: f64,
    origin: f64,
    folder: tempfile::TempDir,
}

/// Quick, but not instant: a process can die while a server is being built.
fn profile() -> Profile {
    Profile {
        call_ms: (0, 0),
        server_build_ms: (1_000, 3_000),
        server_action_ms: (300, 1_000),
        volume_manage_ms: (300, 1_000),
        volume_action_ms: (100, 300),
        builds_at_once: 20,
    }
}

impl TwoSites {
    /// Brings up both sites, the application (3 servers, 5 volumes) and its protection. Each volume then gets a last
    /// stamp of its own, which the recovered volume must show.
    ///
    /// # Errors
    /// What could not be brought up.
    pub async fn start(seed: u64, speed: f64) -> anyhow::Result<Self> {
        // Boxed: the layouts of tests that start this way are deep enough already.
        Box::pin(Self::start_with(seed, speed, Roles { api: true, engine: false })).await
    }

    /// The same with these services of both Protectors in this process.
    ///
    /// # Errors
    /// What could not be brought up.
    pub async fn start_with(seed: u64, speed: f64, roles: Roles) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("protector-two-sites-")
            .tempdir()
            .context("a folder")?;
        let origin = SystemClock::new().now().timestamp_micros() as f64 / 1e6;
        let clock: Arc<dyn Clock> = shared_clock(speed, origin);
        let options = StageOptions {
            seed,
            clock,
            profile: profile(),
            array_call_ms: (0, 0),
            transfer_ms: (500, 1_000),
            state_dir: folder.path().to_owned(),
            documented_port: false,
            protectors: true,
            engine: EngineConfig::default(),
            synchronous: false,
            drivers: Vec::new(),
            room_for: (SERVERS as u32, 2),
        };
        let stage = Stage::start_with(options, [roles; 2]).await?;
        let shape = AppShape { servers: SERVERS as u32, volumes_per_server: None };
        let servers = tenant::build(&stage, shape).await.context("the application")?;
        let protected = protect::protect(&stage, &servers).await.context("protection")?;
        for server in &servers {
            for volume in &server.volumes {
                let stamp = format!("last write to {volume}");
                let written = stage.world.cloud(0).guest_write(&server.id, volume, &stamp);
                written.map_err(|e| anyhow::anyhow!("{e}"))?;
            }
        }
        let before = Inventory::take(&stage.world);
        let tenants = [stage.tenant(0).await?.0, stage.tenant(1).await?.0];
        Ok(Self { stage, servers, protected, before, tenants, speed, origin, folder })
    }

    /// Where databases, keys and the engines' logs are.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Leaves the folder behind, for whoever looks for the cause of a failure.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Everything that is there now.
    pub fn inventory(&self) -> Inventory {
        Inventory::take(&self.stage.world)
    }

    /// Starts the planned failover of the group over the API; gives the operation's id.
    ///
    /// # Errors
    /// What the API answered.
    pub async fn start_failover(&self) -> anyhow::Result<String> {
        let body = protect::failover_body();
        let record = follow::start(&self.stage, &self.tenants[0], &self.protected, &body).await?;
        text(&record, "/id")
    }

    /// The operation's record at site A.
    ///
    /// # Errors
    /// What the API answered.
    pub async fn operation(&self, id: &str) -> anyhow::Result<Value> {
        let url = format!(
            "{}/v1/{}/operations/{id}",
            self.stage.sites[0].api_url, self.protected.projects[0]
        );
        Ok(self.tenants[0].get(&url).await?["operation"].take())
    }

    /// The group's record at a site.
    ///
    /// # Errors
    /// What the API answered.
    pub async fn group(&self, at: usize) -> anyhow::Result<Value> {
        let (api, project) = (&self.stage.sites[at].api_url, &self.protected.projects[at]);
        let url = format!("{api}/v1/{project}/protection-groups/{}", self.protected.group_id);
        Ok(self.tenants[at].get(&url).await?["protection_group"].take())
    }

    /// A site's Protector on its database, without services: what an operator's tool would see. It runs beside the real
    /// one.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub async fn beside(&self, at: usize) -> anyhow::Result<Protector> {
        let config = self.stage.sites[at].config.clone();
        Protector::assemble(config, self.stage.clock.clone(), Arc::new(NoHook)).await
    }

    /// The address of the group at a site.
    pub fn group_url(&self, at: usize) -> String {
        let (api, project) = (&self.stage.sites[at].api_url, &self.protected.projects[at]);
        format!("{api}/v1/{project}/protection-groups/{}", self.protected.group_id)
    }

    /// Waits until both sites show the same version of the group (at most `patience` of real time); gives both records.
    ///
    /// # Errors
    /// What an API answered.
    pub async fn groups_in_sync(&self, patience: Duration) -> anyhow::Result<[Value; 2]> {
        let real = SystemClock::new();
        loop {
            let groups = [self.group(0).await?, self.group(1).await?];
            if groups[0]["version"] == groups[1]["version"] || real.monotonic() > patience {
                return Ok(groups);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts `protector engine` on site A's database, as a process of its own that shares this world's time; it kills
    /// itself at the `crash_at`-th point.
    ///
    /// # Errors
    /// When there is no binary, or it cannot be started.
    pub fn engine(&self, name: &str, crash_at: Option<u64>) -> anyhow::Result<ServiceProcess> {
        self.process(0, name, Service::Engine(crash_at))
    }

    /// Replaces a site's API in this process by `protector api` as a process of its own, at the same address.
    ///
    /// # Errors
    /// When there is no binary, or it does not answer within [`READY`].
    pub async fn api(&mut self, at: usize) -> anyhow::Result<ServiceProcess> {
        self.stage.stop_protector(at).await;
        let name = format!("api-{}", self.stage.sites[at].name);
        let process = self.process(at, &name, Service::Api)?;
        let real = SystemClock::new();
        while self.group(at).await.is_err() {
            anyhow::ensure!(real.monotonic() < READY, "no answer:\n{}", process.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(process)
    }

    fn process(&self, at: usize, name: &str, service: Service) -> anyhow::Result<ServiceProcess> {
        let (folder, config) = (self.folder.path(), &self.stage.sites[at].config);
        ServiceProcess::start(folder, name, config, (self.speed, self.origin), service)
    }

    /// Stops everything.
    pub async fn stop(self) {
        self.stage.stop().await;
    }
}
