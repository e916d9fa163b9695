//! The demo from beginning to end.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use protector_server::EngineConfig;
use protector_server::ScaledClock;
use protector_sim::cloud::Profile;
use protector_types::Clock;
use serde_json::{Value, json};

use crate::{
    DemoOptions, Stage, StageOptions, env_file, protect,
    scenario::{self, Play},
    tenant::{self, AppShape},
    words,
};

/// What a data centre takes (milliseconds): calls, builds, manages, array calls, the final transfer.
pub fn data_centre() -> (Profile, (u64, u64), (u64, u64)) {
    let profile = Profile {
        call_ms: (30, 150),
        server_build_ms: (8_000, 25_000),
        server_action_ms: (2_000, 6_000),
        volume_manage_ms: (2_000, 6_000),
        volume_action_ms: (500, 2_000),
        builds_at_once: 20,
    };
    (profile, (20, 80), (5_000, 5_000))
}

/// Runs the demo; 0 for success.
///
/// # Errors
/// When something could not be brought up, or an answer was not as documented.
pub async fn run(options: DemoOptions) -> anyhow::Result<i32> {
    let temporary = tempfile::tempdir().context("a temporary folder")?;
    let state_dir = options.state_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let say = |text: &str| {
        if !options.json {
            println!("{text}");
        }
    };
    say("Two simulated sites, each with an OpenStack cloud, a FlashArray and a Protector ...");
    let stage = Stage::start(stage_options(&options, state_dir)).await?;
    for site in &stage.sites {
        say(&format!(
            "  {}  Keystone {}  FlashArray {}  Protector {}",
            site.name, site.auth_url, site.array_url, site.api_url
        ));
    }
    let shape =
        AppShape { servers: options.servers, volumes_per_server: options.volumes_per_server };
    let servers = tenant::build(&stage, shape).await.context("the tenant's application")?;
    let volumes: usize = servers.iter().map(|s| s.volumes.len()).sum();
    say(&format!(
        "The tenant's application runs at site-a: {} servers, {volumes} volumes, two networks.",
        servers.len()
    ));
    let protected = protect::protect(&stage, &servers).await.context("protection")?;
    protect::set_mappings(&stage, &protected).await?;
    say(&format!(
        "Protection group prod-web-app ({}) protects it, replicated to site-b.",
        protected.group_id
    ));
    if let Some(path) = &options.env_file {
        env_file::write(path, &stage, &protected)?;
        say(&format!("Shell variables: {} (clouds.yaml beside it)", path.display()));
    }
    let mut play = Play { stage, options: &options, protected, servers };
    let ended = match options.no_failover {
        true => scenario::set_the_scene(&mut play).await.map(|()| None),
        false => scenario::run(&mut play).await.map(Some),
    };
    let Play { stage, protected, .. } = play;
    let (code, operation) = match ended {
        Ok(record) => {
            if let Some(record) = &record {
                report(&options, record)?;
            }
            (0, record)
        }
        Err(error) if options.once => {
            eprintln!("{} failed: {error:#}", options.scenario.name());
            (1, None)
        }
        Err(error) => return Err(error),
    };
    if options.once {
        stage.stop().await;
        return Ok(code);
    }
    let operation = operation.as_ref().and_then(|o| o["id"].as_str());
    say("\nEverything keeps running; stop it with Ctrl-C. Paste these:\n");
    say(&words::curl_lines(&stage, &protected, operation));
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")?;
    stage.stop().await;
    Ok(code)
}

/// The final record: all that is printed on standard output with `--json`.
fn report(options: &DemoOptions, record: &Value) -> anyhow::Result<()> {
    if options.json {
        println!("{}", serde_json::to_string_pretty(&json!({"operation": record}))?);
    } else {
        println!("result_data: {}", record["result_data"]);
    }
    Ok(())
}

fn stage_options(options: &DemoOptions, state_dir: PathBuf) -> StageOptions {
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(options.speed, now()));
    let (profile, array_call_ms, transfer_ms) = data_centre();
    StageOptions {
        seed: options.seed,
        clock,
        profile,
        array_call_ms,
        transfer_ms,
        state_dir,
        documented_port: true,
        protectors: true,
        engine: EngineConfig::default(),
        synchronous: options.scenario == crate::options::Scenario::SyncReplication,
        drivers: Vec::new(),
        room_for: (options.servers, options.volumes_per_server.unwrap_or(2)),
    }
}

/// The demo begins at the real date; from there its clock runs at its own speed.
fn now() -> chrono::DateTime<chrono::Utc> {
    protector_server::SystemClock::new().now()
}
