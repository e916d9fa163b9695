//! Brings the world to where an operation starts: two sites with the tenant's application under protection, the
//! operations that come before run undisturbed by real engines, and the one under test accepted over the API, with its
//! plan, and not run. Then the world is frozen.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use protector_demo::{
    Protected, Rest, Stage, StageOptions, protect,
    rest::text,
    stage::{FLAVORS, NETWORKS},
    tenant::{self, AppServer, PUBLIC_KEY},
};
use protector_server::{EngineConfig, Protector, Roles, hooks::shared_clock};
use protector_sim::{
    cloud::{Profile, cinder::VolumeSeed},
    faults::Partition,
    world::World,
};
use protector_store::Scope;
use protector_types::{Clock, Code, OperationId, Refusal};
use protector_workflow::{NoHook, SystemClock};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    clock::{Moment, VirtualClock},
    play::Start,
    table::{Before, Entry},
};

/// Seconds of the scene's world in one real second.
const SPEED: f64 = 40.0;
/// Seconds: a transfer may take days, but a play that waits for them in vain only takes longer and shows nothing more.
const LONGEST: u64 = 900;
/// The tenant's own.
const SECURITY_GROUP: &str = "web";
/// Real time that one prerequisite may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The set stage, for an entry's bodies.
pub struct Scene {
    /// The two sites.
    pub stage: Stage,
    /// Sites, projects, group.
    pub protected: Protected,
    /// The application at site A.
    pub servers: Vec<AppServer>,
    clock: Arc<dyn Clock>,
    _folder: tempfile::TempDir,
}

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

impl Scene {
    async fn set(synchronous: bool) -> anyhow::Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("protector-scene-").tempdir().context("a folder")?;
        let origin = SystemClock::new().now().timestamp_micros() as f64 / 1e6;
        let clock: Arc<dyn Clock> = shared_clock(SPEED, origin);
        let options = StageOptions {
            seed: 1,
            clock: clock.clone(),
            profile: profile(),
            array_call_ms: (0, 0),
            transfer_ms: (500, 1_000),
            state_dir: folder.path().to_owned(),
            documented_port: false,
            protectors: true,
            engine: EngineConfig::default(),
            synchronous,
            drivers: Vec::new(),
            room_for: (4, 4),
        };
        let api_only = Roles { api: true, engine: false };
        let stage = Stage::start_with(options, [api_only; 2]).await?;
        let servers = application(&stage).await.context("the application")?;
        let protected = protect::protect(&stage, &servers).await.context("protection")?;
        Ok(Self { stage, protected, servers, clock, _folder: folder })
    }

    async fn tenant(&self, at: usize) -> anyhow::Result<Rest> {
        Ok(self.stage.tenant(at).await?.0)
    }

    fn group_url(&self, at: usize) -> String {
        let (api, project) = (&self.stage.sites[at].api_url, &self.protected.projects[at]);
        format!("{api}/v1/{project}/protection-groups/{}", self.protected.group_id)
    }

    /// Starts an action at a site; gives the operation's id.
    async fn act(&self, at: usize, body: &Value) -> anyhow::Result<String> {
        let url = format!("{}/action", self.group_url(at));
        let answer = self.tenant(at).await?.post(&url, body).await;
        text(&answer.with_context(|| format!("{body}"))?, "/operation/id")
    }

    /// An action from its acceptance to its end, by an engine that lives so long.
    async fn run(&self, at: usize, body: &Value, ends: &str) -> anyhow::Result<()> {
        let operation = self.act(at, body).await?;
        let engine = self.engine(at).await?;
        let tenant = self.tenant(at).await?;
        let project = &self.protected.projects[at];
        let url = format!("{}/v1/{project}/operations/{operation}", self.stage.sites[at].api_url);
        let real = SystemClock::new();
        let record = loop {
            let record = tenant.get(&url).await?["operation"].take();
            let status = record["status"].as_str().unwrap_or_default();
            if matches!(status, "completed" | "failed" | "cancelled" | "needs_attention") {
                break record;
            }
            ensure!(real.monotonic() < PATIENCE, "{body} does not end: {record}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        engine.stop().await;
        ensure!(record["status"] == ends, "{body} did not end {ends}: {record}");
        self.in_sync(at).await
    }

    async fn engine(&self, at: usize) -> anyhow::Result<Engine> {
        let config = self.stage.sites[at].config.clone();
        let protector = Protector::assemble(config, self.clock.clone(), Arc::new(NoHook)).await?;
        let shutdown = CancellationToken::new();
        let roles = Roles { api: false, engine: true };
        let task = tokio::spawn(protector.run(roles, None, shutdown.clone()));
        Ok(Engine { task, shutdown })
    }

    /// Waits until the other site has this site's version of the group; a site that is down never has.
    async fn in_sync(&self, at: usize) -> anyhow::Result<()> {
        if self.stage.world.faults().partitioned(&self.stage.sites[1 - at].name).is_some() {
            return Ok(());
        }
        let real = SystemClock::new();
        while real.monotonic() < Duration::from_secs(10) {
            let mut versions = Vec::new();
            for site in [0, 1] {
                let group = self.tenant(site).await?.get(&self.group_url(site)).await?;
                versions.push(group["protection_group"]["version"].clone());
            }
            if versions[0] == versions[1] {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::bail!("the sites do not agree on the group")
    }

    async fn prepare(&self, before: &Before) -> anyhow::Result<()> {
        match before {
            Before::Run { at, body, ends } => self.run(*at, &body(self), ends).await,
            Before::World(_, change) => {
                change(&self.stage.world);
                Ok(())
            }
            Before::Delete(name) => self.delete(name).await,
            Before::Down(at) => {
                let name = self.stage.sites[*at].name.clone();
                self.stage.world.partition(&name, Some(Partition::Refuse));
                Ok(())
            }
            Before::Up(at) => {
                self.stage.world.partition(&self.stage.sites[*at].name, None);
                Ok(())
            }
            Before::Wait(seconds) => {
                self.clock.sleep(Duration::from_secs(*seconds)).await;
                Ok(())
            }
        }
    }

    /// An administrator deletes a server at site A.
    async fn delete(&self, name: &str) -> anyhow::Result<()> {
        let server = self.servers.iter().find(|s| s.name == name).context("such a server")?;
        let nova = format!("{}/compute/v2.1", self.stage.sites[0].cloud_url);
        let url = format!("{nova}/servers/{}", server.id);
        self.stage.admin(0).await?.call("DELETE", &url, None).await?;
        self.clock.sleep(Duration::from_secs(10)).await;
        Ok(())
    }

    /// The accepted operation's plan, and everything as it is at that moment.
    async fn freeze(&self, entry: &Entry, id: &str) -> anyhow::Result<Start> {
        let config = self.stage.sites[entry.at].config.clone();
        let protector = Protector::assemble(config, self.clock.clone(), Arc::new(NoHook)).await?;
        let operation: OperationId = id.parse().context("the operation's id")?;
        let core = protector.core();
        let mut plan = core.store().load_plan(operation).await.context("the plan")?;
        if entry.refused {
            let row = core.store().operation(&Scope::System, operation).await?;
            let refusal = Refusal::new(Code::PlanRefused, "a server of the group is gone");
            plan = core.planner().refused(row.operation_type, row.group_id, &refusal);
        }
        let mut site_ids = Vec::new();
        for id in &self.protected.site_ids {
            site_ids.push(id.parse().context("a site's id")?);
        }
        for step in &mut plan.steps {
            step.deadline_sec = step.deadline_sec.min(LONGEST);
        }
        // A fork cannot go back in time: the moment is read after it was made.
        let still = |moment: Moment| self.stage.world.fork(Arc::new(VirtualClock::at(moment)));
        let ahead = Moment {
            now: self.clock.now() + chrono::Duration::seconds(5),
            monotonic: self.clock.monotonic() + Duration::from_secs(5),
        };
        Ok(Start {
            world: still(ahead),
            moment: ahead,
            plan: Arc::new(plan),
            operation,
            site_ids: [site_ids[0], site_ids[1]],
            arrange: entry.arrange,
            planted: None,
        })
    }
}

struct Engine {
    task: JoinHandle<anyhow::Result<()>>,
    shutdown: CancellationToken,
}

impl Engine {
    async fn stop(self) {
        self.shutdown.cancel();
        // Its own error was logged.
        let _ = self.task.await;
    }
}

/// Sets the stage for an entry of the table.
///
/// # Errors
/// What could not be brought about.
pub fn set(entry: &Entry) -> anyhow::Result<Start> {
    protector_server::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let scene = Scene::set(entry.synchronous).await?;
        for before in entry.before {
            scene.prepare(before).await.with_context(|| format!("{before:?}"))?;
        }
        let id = scene.act(entry.at, &(entry.body)(&scene)).await?;
        let start = scene.freeze(entry, &id).await?;
        scene.stage.stop().await;
        Ok(start)
    })
}

/// Two servers that need every kind of step: one runs, with two volumes, in a server group, with a key and a security
/// group of its own; one is off, with metadata and image metadata on its volume.
async fn application(stage: &Stage) -> anyhow::Result<Vec<AppServer>> {
    let (tenant, project) = stage.tenant(0).await?;
    let cloud = stage.sites[0].cloud_url.clone();
    let token = tenant.token().unwrap_or_default();
    let tokens = format!("{}/auth/tokens", stage.sites[0].auth_url);
    let info = tenant.call_with("GET", &tokens, &[("X-Subject-Token", token)], None).await?.ok()?;
    let user = text(&info, "/token/user/id")?;
    let nova = format!("{cloud}/compute/v2.1");
    let key = json!({"keypair": {"name": "app-key", "public_key": PUBLIC_KEY}});
    tenant.post(&format!("{nova}/os-keypairs"), &key).await.context("keypair")?;
    let group = json!({"server_group": {"name": "apart", "policy": "anti-affinity"}});
    let group = tenant.post(&format!("{nova}/os-server-groups"), &group).await?;
    let group = text(&group, "/server_group/id")?;
    let neutron = format!("{cloud}/network/v2.0");
    security_group(&tenant, &neutron).await.context("security group")?;
    let networks = tenant.get(&format!("{neutron}/networks")).await?;
    let mut servers = Vec::new();
    for (index, (name, volumes)) in [("web-1", 2), ("db-1", 1)].into_iter().enumerate() {
        let volumes = make_volumes(stage, name, volumes, (&project, &user))?;
        let network = networks["networks"].as_array().into_iter().flatten();
        let network = network.clone().find(|n| n["name"] == NETWORKS[0][index]);
        let network = network.and_then(|n| n["id"].as_str()).context("a network")?;
        let body = server_body(name, network, &volumes, (index == 0).then_some(group.as_str()));
        let made = tenant.post(&format!("{nova}/servers"), &body).await.context("server")?;
        let id = text(&made, "/server/id")?;
        tenant::await_status(stage, &tenant, 0, &id, "ACTIVE").await?;
        servers.push(AppServer { name: name.into(), id, volumes });
    }
    for server in &servers {
        ensure!(tenant::stamp(stage, 0, server, "before"), "{} cannot write", server.name);
    }
    let db = &servers[1];
    dress(&tenant, &format!("{cloud}/volume/v3/{project}/volumes/{}", db.volumes[0])).await?;
    let stop = json!({"os-stop": null});
    tenant.post(&format!("{nova}/servers/{}/action", db.id), &stop).await.context("stop")?;
    tenant::await_status(stage, &tenant, 0, &db.id, "SHUTOFF").await?;
    Ok(servers)
}

/// A group that lets its own members in: the reference to itself has to point to the copy.
async fn security_group(tenant: &Rest, neutron: &str) -> anyhow::Result<()> {
    let group = json!({"security_group": {"name": SECURITY_GROUP, "description": "web tier"}});
    let made = tenant.post(&format!("{neutron}/security-groups"), &group).await?;
    let id = text(&made, "/security_group/id")?;
    let rule = json!({"security_group_rule": {
        "security_group_id": id, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
        "port_range_min": 80, "port_range_max": 80, "remote_group_id": id,
    }});
    tenant.post(&format!("{neutron}/security-group-rules"), &rule).await?;
    Ok(())
}

async fn dress(tenant: &Rest, volume: &str) -> anyhow::Result<()> {
    let metadata = json!({"metadata": {"tier": "database"}});
    tenant.post(&format!("{volume}/metadata"), &metadata).await.context("metadata")?;
    let image = json!({"os-set_image_metadata": {"metadata": {"hw_firmware_type": "uefi"}}});
    tenant.post(&format!("{volume}/action"), &image).await.context("image metadata")?;
    Ok(())
}

fn make_volumes(
    stage: &Stage,
    server: &str,
    count: u32,
    (project, user): (&str, &str),
) -> anyhow::Result<Vec<String>> {
    (0..count)
        .map(|v| {
            let seed = VolumeSeed {
                name: format!("{server}-{v}"),
                size: if v == 0 { 20 } else { 10 },
                volume_type: Some(stage.volume_type().into()),
                project_id: project.to_owned(),
                user_id: user.to_owned(),
                bootable: v == 0,
            };
            stage.world.cloud(0).add_volume(seed).map_err(|e| anyhow::anyhow!("volume: {e}"))
        })
        .collect()
}

fn server_body(name: &str, network: &str, volumes: &[String], group: Option<&str>) -> Value {
    let disks: Vec<Value> = volumes
        .iter()
        .enumerate()
        .map(|(v, id)| {
            json!({"uuid": id, "source_type": "volume", "destination_type": "volume",
                   "boot_index": if v == 0 { 0 } else { -1 }, "delete_on_termination": false})
        })
        .collect();
    let mut body = json!({"server": {
        "name": name,
        "flavorRef": format!("{}-id", FLAVORS[0]),
        "networks": [{"uuid": network}],
        "block_device_mapping_v2": disks,
        "metadata": {"role": name},
        "tags": ["prod"],
    }});
    if let Some(group) = group {
        body["server"]["key_name"] = json!("app-key");
        body["server"]["security_groups"] = json!([{"name": SECURITY_GROUP}]);
        body["os:scheduler_hints"] = json!({"group": group});
    }
    body
}

/// The world as a play gets it, for tests of the harness itself.
pub fn fork(start: &Start) -> World {
    start.world.fork(Arc::new(VirtualClock::at(start.moment)))
}
