//! The tenant's application: web servers and a database on two networks, made through Nova and Cinder as a tenant does.

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use protector_sim::cloud::{Cloud, Service, cinder::VolumeSeed};
use serde_json::{Value, json};

use crate::{
    rest::{Rest, text},
    stage::{FLAVORS, NETWORKS, Stage},
};

/// Servers made at the same time.
const AT_ONCE: usize = 16;
/// A valid public key of nobody.
pub const PUBLIC_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdlbmVyYXRlZGZvcnRoZXByb3RlY3RvcmRlbW8wMDAw tenant@example";

/// One server of the application.
#[derive(Debug, Clone)]
pub struct AppServer {
    /// Name.
    pub name: String,
    /// Nova id at site A.
    pub id: String,
    /// Cinder ids at site A, in device order.
    pub volumes: Vec<String>,
}

/// What to build.
#[derive(Debug, Clone, Copy)]
pub struct AppShape {
    /// Servers.
    pub servers: u32,
    /// Volumes of each; `None`: 2 for each but the last, which has 1.
    pub volumes_per_server: Option<u32>,
}

impl AppShape {
    fn volumes_of(&self, index: u32) -> u32 {
        self.volumes_per_server.unwrap_or(if index + 1 == self.servers && self.servers > 1 {
            1
        } else {
            2
        })
    }

    fn name_of(&self, index: u32) -> String {
        if index + 1 == self.servers && self.servers > 1 {
            "db-1".into()
        } else {
            format!("web-{}", index + 1)
        }
    }
}

/// Room for the application in a project.
pub fn raise_quota(cloud: &Cloud, project: &str, servers: u64, volumes: u64) {
    let mut state = cloud.lock();
    let Some(project) = state.keystone.project_named(project, "default").map(|p| p.id.clone())
    else {
        return;
    };
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let needs = [
        (Service::Nova, "instances", servers.max(10)),
        (Service::Nova, "cores", (servers * 4).max(40)),
        (Service::Nova, "ram", (servers * 8192).max(102_400)),
        (Service::Cinder, "volumes", volumes.max(20)),
        (Service::Cinder, "gigabytes", (volumes * 20).max(1000)),
        (Service::Neutron, "port", (servers * 2).max(100)),
    ];
    for (service, resource, limit) in needs {
        state.quotas.set(service, &project, resource, number(limit));
    }
}

/// Builds the application at site A and writes a first stamp to every volume.
///
/// # Errors
/// What a service answered.
pub async fn build(stage: &Stage, shape: AppShape) -> anyhow::Result<Vec<AppServer>> {
    let (tenant, project) = stage.tenant(0).await?;
    let user = user_id(stage, &tenant).await?;
    let cloud_url = stage.sites[0].cloud_url.clone();
    let key = json!({"keypair": {"name": "app-key", "public_key": PUBLIC_KEY}});
    tenant.post(&format!("{cloud_url}/compute/v2.1/os-keypairs"), &key).await.context("keypair")?;
    let networks = tenant.get(&format!("{cloud_url}/network/v2.0/networks")).await?;
    let (tenant, networks, project, user) = (&tenant, &networks, &project, &user);
    let servers: Vec<AppServer> = stream::iter(0..shape.servers)
        .map(|index| async move {
            let volumes = make_volumes(stage, shape, index, project, user)?;
            let server = make_server(stage, tenant, networks, shape, index, &volumes).await?;
            anyhow::Ok(server)
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    for server in &servers {
        stamp(stage, 0, server, "before");
    }
    Ok(servers)
}

async fn user_id(stage: &Stage, tenant: &Rest) -> anyhow::Result<String> {
    let url = format!("{}/auth/tokens", stage.sites[0].auth_url);
    let token = tenant.token().unwrap_or_default();
    let info = tenant.call_with("GET", &url, &[("X-Subject-Token", token)], None).await?.ok()?;
    text(&info, "/token/user/id")
}

fn make_volumes(
    stage: &Stage,
    shape: AppShape,
    index: u32,
    project: &str,
    user: &str,
) -> anyhow::Result<Vec<String>> {
    (0..shape.volumes_of(index))
        .map(|v| {
            let name = if v == 0 { "root".to_owned() } else { format!("data-{v}") };
            let seed = VolumeSeed {
                name: format!("{}-{name}", shape.name_of(index)),
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

async fn make_server(
    stage: &Stage,
    tenant: &Rest,
    networks: &Value,
    shape: AppShape,
    index: u32,
    volumes: &[String],
) -> anyhow::Result<AppServer> {
    let cloud_url = &stage.sites[0].cloud_url;
    let name = shape.name_of(index);
    let network = NETWORKS[0][usize::from(name.starts_with("db"))];
    let network_id = networks["networks"]
        .as_array()
        .and_then(|all| all.iter().find(|n| n["name"] == network))
        .and_then(|n| n["id"].as_str())
        .with_context(|| format!("network {network}"))?;
    let disks: Vec<Value> = volumes
        .iter()
        .enumerate()
        .map(|(v, id)| {
            json!({"uuid": id, "source_type": "volume", "destination_type": "volume",
                   "boot_index": if v == 0 { 0 } else { -1 }, "delete_on_termination": false})
        })
        .collect();
    let body = json!({"server": {
        "name": name,
        "flavorRef": format!("{}-id", FLAVORS[0]),
        "networks": [{"uuid": network_id}],
        "block_device_mapping_v2": disks,
        "key_name": "app-key",
        "metadata": {"tier": if name.starts_with("db") { "database" } else { "web" }},
        "tags": ["prod"],
    }});
    let made =
        tenant.post(&format!("{cloud_url}/compute/v2.1/servers"), &body).await.context("server")?;
    let id = text(&made, "/server/id")?;
    await_status(stage, tenant, 0, &id, "ACTIVE").await?;
    Ok(AppServer { name, id, volumes: volumes.to_vec() })
}

/// Waits until a server has a status.
///
/// # Errors
/// When it goes to ERROR, or after ten simulated minutes.
pub async fn await_status(
    stage: &Stage,
    tenant: &Rest,
    at: usize,
    id: &str,
    wanted: &str,
) -> anyhow::Result<()> {
    let url = format!("{}/compute/v2.1/servers/{id}", stage.sites[at].cloud_url);
    for _ in 0..600 {
        let status = text(&tenant.get(&url).await?, "/server/status")?;
        if status == wanted {
            return Ok(());
        }
        anyhow::ensure!(status != "ERROR", "server {id} went to ERROR");
        stage.clock.sleep(std::time::Duration::from_secs(1)).await;
    }
    anyhow::bail!("server {id} is not {wanted} after ten minutes")
}

/// The guest writes a stamp to each of its volumes; false if it cannot (stopped or disconnected).
pub fn stamp(stage: &Stage, at: usize, server: &AppServer, text: &str) -> bool {
    server
        .volumes
        .iter()
        .all(|volume| stage.world.cloud(at).guest_write(&server.id, volume, text).is_ok())
}
