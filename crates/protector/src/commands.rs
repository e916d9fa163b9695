//! Subcommands.

use std::{ffi::OsString, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use protector_server::SystemClock;
use protector_server::{Config, Protector, Roles, hooks::CrashAt, telemetry};
use protector_types::Clock;
use tokio_util::sync::CancellationToken;

/// Tenant-driven disaster recovery for OpenStack.
#[derive(Debug, Parser)]
#[command(name = "protector", version)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the REST API.
    Api(Service),
    /// Run the engine.
    Engine(Service),
    /// Run API and engine in one process.
    AllInOne(Service),
    /// Two simulated sites, two Protectors, an application, and a failover to watch.
    Demo(protector_demo::DemoOptions),
    /// Serve the simulators alone.
    #[command(subcommand)]
    Sim(crate::sim::Sim),
    /// Work on the database.
    #[command(subcommand)]
    Db(Db),
    /// List what operations that have ended left behind, at both sites.
    Leftovers(Leftovers),
    /// Print the OpenAPI document.
    Openapi,
    /// Print a configuration file with every option, its default and its meaning.
    ConfigSample,
    /// Print a policy file with every rule, its default and its meaning.
    PolicySample,
}

#[derive(Debug, clap::Args)]
struct Service {
    /// Configuration file.
    #[arg(long, env = "PROTECTOR_CONFIG", default_value = "/etc/protector/protector.conf")]
    config_file: PathBuf,
    /// Log as JSON.
    #[arg(long)]
    log_json: bool,
}

#[derive(Debug, clap::Args)]
struct Leftovers {
    #[command(flatten)]
    service: Service,
    /// Remove what may be removed; without it nothing is changed.
    #[arg(long)]
    remove: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// An operation whose record is gone from this site's database and that you hold to be dead: what carries its marker
    /// may then be removed too.
    #[arg(long, value_name = "op-...")]
    operation: Option<protector_types::OperationId>,
}

#[derive(Debug, Subcommand)]
enum Db {
    /// Bring the schema up to this release.
    Sync(Service),
}

impl CommandLine {
    /// An engine and nothing else.
    pub fn is_engine_alone(&self) -> bool {
        matches!(self.command, Command::Engine(_))
    }
}

/// `protector-api ...` is `protector api ...`.
pub fn with_own_name(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let name = arguments
        .first()
        .map(PathBuf::from)
        .and_then(|path| path.file_name().map(|n| n.to_string_lossy().into_owned()));
    let service = match name.as_deref() {
        Some("protector-api") => "api",
        Some("protector-engine") => "engine",
        _ => return arguments,
    };
    arguments.insert(1, service.into());
    arguments
}

/// Runs the command; gives the exit code.
///
/// # Errors
/// With what a person can act on.
pub async fn run(line: CommandLine) -> anyhow::Result<i32> {
    protector_server::install_crypto_provider();
    match line.command {
        Command::Api(service) => serve(service, Roles { api: true, engine: false }).await,
        Command::Engine(service) => serve(service, Roles { api: false, engine: true }).await,
        Command::AllInOne(service) => serve(service, Roles { api: true, engine: true }).await,
        Command::Demo(options) => {
            telemetry::init(false, "error");
            protector_demo::run(options).await
        }
        Command::Sim(sim) => {
            telemetry::init(false, "info");
            crate::sim::run(sim).await
        }
        Command::Db(Db::Sync(service)) => {
            telemetry::init(service.log_json, "info");
            // Assembling migrates.
            assemble(&service).await?;
            println!("the database is at this release's schema");
            Ok(0)
        }
        Command::Leftovers(options) => {
            crate::leftovers::run(
                assemble(&options.service).await?,
                options.remove,
                options.json,
                options.operation,
            )
            .await
        }
        Command::Openapi => {
            println!("{}", protector_server::openapi_json()?);
            Ok(0)
        }
        Command::ConfigSample => {
            print!("{}", protector_server::config::sample());
            Ok(0)
        }
        Command::PolicySample => {
            print!("{}", protector_server::policy_sample());
            Ok(0)
        }
    }
}

async fn assemble(service: &Service) -> anyhow::Result<Protector> {
    let config = Config::read(Some(&service.config_file))?;
    let clock: Arc<dyn Clock> =
        protector_server::test_clock().unwrap_or_else(|| Arc::new(SystemClock::new()));
    Protector::assemble(config, clock, Arc::new(CrashAt::from_env())).await
}

async fn serve(service: Service, roles: Roles) -> anyhow::Result<i32> {
    telemetry::init(service.log_json, "info");
    // First of all: a stop that comes while we assemble is a stop, not a death.
    let stopped = stop_signal()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        stopped.await;
        tracing::info!("stopping");
        stop.cancel();
    });
    let protector = assemble(&service).await?;
    protector.run(roles, None, shutdown).await?;
    Ok(0)
}

/// SIGTERM (systemd) or SIGINT, received from now on, whenever the future is polled.
///
/// # Errors
/// When the system does not deliver signals.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    })
}
