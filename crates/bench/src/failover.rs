//! `bench failover`: wall time and CPU of a planned failover, compared with the reference.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use protector_demo::{
    Protected, Rest, Stage, StageOptions, follow, protect, rest::text, run::data_centre, tenant,
};
use protector_server::{EngineConfig, Protector, Roles, hooks::CrashAt};
use protector_sim::cloud::Cloud;
use protector_types::{Clock as _, Rng as _, SplitMix};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::StageClock,
    engine::{self, EngineProcess},
    reference::{Pace, ServerDraws, planned_failover},
};

/// How fast the stage is set: nothing of it is measured.
const SETTING_SPEED: f64 = 20.0;
/// Real time that a started engine gets before it is measured.
const WARM: Duration = Duration::from_secs(2);
/// Real time between two looks at the operation.
const LOOK: Duration = Duration::from_millis(50);

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Servers in the group.
    #[arg(long, default_value_t = 100)]
    servers: u32,
    /// Volumes of each.
    #[arg(long, default_value_t = 2)]
    volumes_per_server: u32,
    /// How many seeds; the median counts.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of the simulated data centres in one real second. Other than 1 only for a quick look: overhead that is
    /// real time then counts so many times.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Small and fast, to see that it works: 4 servers, 1 seed, 5 times real time.
    #[arg(long)]
    quick: bool,
    /// The `protector` binary; default: the one beside this, built first when cargo runs this.
    #[arg(long)]
    engine: Option<PathBuf>,
    /// Keeps database, configuration and the engine's log of each seed below this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// What one seed gave, in the data centres' time.
struct Measured {
    wall: Duration,
    reference: Duration,
    critical: Duration,
    cpu_ms_per_server: f64,
}

impl Measured {
    fn ratio(&self) -> f64 {
        self.wall.as_secs_f64() / self.reference.as_secs_f64()
    }
}

/// Runs all seeds and prints the medians; the last line is `ratio N.NN`.
///
/// # Errors
/// When the stage cannot be set or a failover does not complete.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let mut options = options.clone();
    if options.quick {
        (options.servers, options.seeds, options.speed) = (4, 1, 5.0);
    }
    ensure!(options.servers > 0 && options.seeds > 0, "at least one server and one seed");
    ensure!(options.speed > 0.0, "--speed must be positive");
    let binary = match &options.engine {
        Some(path) => path.clone(),
        None => engine::binary().await?,
    };
    println!(
        "failover: {} servers x {} volumes, {} seeds, speed {}",
        options.servers, options.volumes_per_server, options.seeds, options.speed
    );
    let mut all = Vec::new();
    for seed in options.seed..options.seed + options.seeds {
        let measured =
            Box::pin(one(&options, &binary, seed)).await.with_context(|| format!("seed {seed}"))?;
        println!(
            "seed {seed}: wall_s {:.2} reference_s {:.2} critical_path_s {:.2} cpu_ms_per_server {:.1} ratio {:.3}",
            measured.wall.as_secs_f64(),
            measured.reference.as_secs_f64(),
            measured.critical.as_secs_f64(),
            measured.cpu_ms_per_server,
            measured.ratio(),
        );
        all.push(measured);
    }
    let of = |what: fn(&Measured) -> f64| median(all.iter().map(what).collect());
    println!("wall_s {:.2}", of(|m| m.wall.as_secs_f64()));
    println!("reference_s {:.2}", of(|m| m.reference.as_secs_f64()));
    println!("critical_path_s {:.2}", of(|m| m.critical.as_secs_f64()));
    println!("cpu_ms_per_server {:.1}", of(|m| m.cpu_ms_per_server));
    println!("ratio {:.2}", of(Measured::ratio));
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

async fn one(options: &Options, binary: &Path, seed: u64) -> anyhow::Result<Measured> {
    let temporary = tempfile::tempdir().context("a temporary folder")?;
    let folder = match &options.keep {
        Some(keep) => keep.join(format!("seed-{seed}")),
        None => temporary.path().to_owned(),
    };
    let clock = StageClock::new(SETTING_SPEED);
    let stage = Stage::start(stage_options(options, &clock, seed, &folder)).await?;
    let apis = Apis::start(&stage).await?;
    let shape = tenant::AppShape {
        servers: options.servers,
        volumes_per_server: Some(options.volumes_per_server),
    };
    let servers = tenant::build(&stage, shape).await.context("the tenant's application")?;
    let protected = protect::protect(&stage, &servers).await.context("protection")?;
    let site = folder.join(&stage.sites[0].name);
    let origin = clock.measure_at(options.speed);
    let engine =
        EngineProcess::start(binary, &stage.sites[0].config, &site, options.speed, origin)?;
    tokio::time::sleep(WARM).await;

    let (tenant, project) = stage.tenant(0).await?;
    let (begun, cpu) = (clock.monotonic(), engine.cpu()?);
    failover(&stage, &tenant, &project, &protected).await?;
    let wall = clock.monotonic() - begun;
    let cpu = engine.cpu()?.saturating_sub(cpu);

    let pace = pace(&stage, seed);
    let draws = draws(&stage, options)?;
    let graph = planned_failover(&pace, &draws);
    engine.stop().await?;
    apis.stop().await;
    stage.stop().await;
    Ok(Measured {
        wall,
        reference: graph.makespan(pace.profile.builds_at_once),
        critical: graph.critical_path(),
        cpu_ms_per_server: cpu.as_secs_f64() * 1e3 / f64::from(options.servers),
    })
}

fn stage_options(options: &Options, clock: &StageClock, seed: u64, folder: &Path) -> StageOptions {
    let (profile, array_call_ms, transfer_ms) = data_centre();
    StageOptions {
        seed,
        clock: Arc::new(clock.clone()),
        profile,
        array_call_ms,
        transfer_ms,
        state_dir: folder.to_owned(),
        documented_port: false,
        protectors: false,
        engine: EngineConfig::default(),
        synchronous: false,
        drivers: Vec::new(),
        room_for: (options.servers, options.volumes_per_server),
    }
}

/// Both sites' APIs, in this process and without engines: only site A's engine is measured, in its own.
struct Apis {
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Apis {
    async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let mut apis = Self { shutdown: CancellationToken::new(), tasks: Vec::new() };
        for site in &stage.sites {
            let hook = Arc::new(CrashAt::from_env());
            let protector =
                Protector::assemble(site.config.clone(), stage.clock.clone(), hook).await?;
            let roles = Roles { api: true, engine: false };
            let running = protector.run(roles, None, apis.shutdown.clone());
            apis.tasks.push(tokio::spawn(running));
        }
        // Their sockets are bound by the tasks themselves.
        for site in &stage.sites {
            let address = site.config.bind.clone();
            let mut attempts = 0;
            while tokio::net::TcpStream::connect(&address).await.is_err() {
                attempts += 1;
                ensure!(attempts < 200, "the API of {} does not listen", site.name);
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(apis)
    }

    async fn stop(self) {
        self.shutdown.cancel();
        for task in self.tasks {
            // The measurement is over; what an API says at its end changes nothing.
            let _ = task.await;
        }
    }
}

/// From the POST to the terminal state.
async fn failover(
    stage: &Stage,
    tenant: &Rest,
    project: &str,
    protected: &Protected,
) -> anyhow::Result<()> {
    let started = follow::start(stage, tenant, protected, &protect::failover_body()).await?;
    let id = text(&started, "/id")?;
    let url = format!("{}/v1/{project}/operations/{id}", stage.sites[0].api_url);
    loop {
        let record = tenant.get(&url).await?["operation"].take();
        match record["status"].as_str().unwrap_or_default() {
            "completed" => return Ok(()),
            "pending" | "running" => tokio::time::sleep(LOOK).await,
            other => bail!("the failover is {other}: {}", record["error_message"]),
        }
    }
}

fn pace(stage: &Stage, seed: u64) -> Pace {
    let (_, array_call_ms, transfer_ms) = data_centre();
    Pace {
        seed,
        profile: stage.world.cloud(1).profile.clone(),
        array_call_ms,
        transfer: Duration::from_millis(transfer_ms.0),
    }
}

/// What the simulator drew, by the ids that its resources have now: the same hash(seed, resource).
fn draws(stage: &Stage, options: &Options) -> anyhow::Result<Vec<ServerDraws>> {
    let (source, target) = (stage.world.cloud(0), stage.world.cloud(1));
    let there = servers(target)?;
    ensure!(
        there.len() == options.servers as usize,
        "the target has {} servers, not {}",
        there.len(),
        options.servers
    );
    let here = servers(source)?;
    let mut all = Vec::new();
    for server in &there {
        let (name, id) = (text(server, "/name")?, text(server, "/id")?);
        let original =
            here.iter().find(|s| s["name"] == name.as_str()).context("a server of no source")?;
        let original = text(original, "/id")?;
        let manages = server["disks"].as_array().into_iter().flatten().map(|disk| {
            let key = format!("manage/{}", text(disk, "/volume_id")?);
            Ok(drawn(target, &key, target.profile.volume_manage_ms))
        });
        all.push(ServerDraws {
            // Its first action was its creation, the second is the stop.
            stop: drawn(
                source,
                &format!("server-stop/{original}/2"),
                source.profile.server_action_ms,
            ),
            manages: manages.collect::<anyhow::Result<_>>()?,
            build: drawn(target, &format!("build/{id}"), target.profile.server_build_ms),
            name,
        });
    }
    Ok(all)
}

fn servers(cloud: &Cloud) -> anyhow::Result<Vec<Value>> {
    let dump = cloud.dump();
    Ok(dump["compute"]["servers"].as_array().context("the world's servers")?.clone())
}

fn drawn(cloud: &Cloud, key: &str, (low, high): (u64, u64)) -> Duration {
    let span = high.saturating_sub(low) + 1;
    Duration::from_millis(low + SplitMix::keyed(cloud.seed, key).next_u64() % span)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
