//! The demo from beginning to end.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use protector_server::EngineConfig;
use protector_server::ScaledClock;
use protector_sim::cloud::Profile;
use protector_types::Clock;
use serde_json::{Value, json};

use crate::{
    DemoOptions, Stage, StageOptions, env_file, follow,
    progress::Display,
    protect::{self, Protected},
    rest::text,
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
    say(&format!(
        "Protection group prod-web-app ({}) protects it, replicated to site-b.",
        protected.group_id
    ));
    if let Some(path) = &options.env_file {
        env_file::write(path, &stage, &protected)?;
        say(&format!("Shell variables: {} (clouds.yaml beside it)", path.display()));
    }
    let mut code = 0;
    let mut operation = None;
    if !options.no_failover {
        let record = failover(&stage, &options, &protected).await?;
        code = judge(&stage, &protected, &record, &options).await?;
        operation = record["id"].as_str().map(str::to_owned);
    }
    if options.once {
        stage.stop().await;
        return Ok(code);
    }
    say("\nEverything keeps running; stop it with Ctrl-C. Paste these:\n");
    say(&words::curl_lines(&stage, &protected, operation.as_deref()));
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")?;
    stage.stop().await;
    Ok(code)
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
        room_for: (options.servers, options.volumes_per_server.unwrap_or(2)),
    }
}

/// The demo begins at the real date; from there its clock runs at its own speed.
fn now() -> chrono::DateTime<chrono::Utc> {
    protector_server::SystemClock::new().now()
}

async fn failover(
    stage: &Stage,
    options: &DemoOptions,
    protected: &Protected,
) -> anyhow::Result<Value> {
    let (tenant, project) = stage.tenant(0).await?;
    if !options.json {
        println!(
            "\nPlanned failover of prod-web-app from site-a to site-b ({}x real time):\n",
            options.speed
        );
    }
    let started = follow::start(stage, &tenant, protected, &protect::failover_body()).await?;
    let id = text(&started, "/id")?;
    let mut display = Display::new("failover", options.json);
    let record = follow::follow(stage, &tenant, &project, &id, |record, events| {
        display.show(record, events)
    })
    .await?;
    display.finish();
    Ok(record)
}

/// Prints the record and what both clouds say; 0 if the failover completed and site B really has everything.
async fn judge(
    stage: &Stage,
    protected: &Protected,
    record: &Value,
    options: &DemoOptions,
) -> anyhow::Result<i32> {
    let printed = serde_json::to_string_pretty(&json!({"operation": record}))?;
    if options.json {
        println!("{printed}");
    }
    if record["status"] != "completed" {
        eprintln!("the failover ended {}: {}", record["status"], record["error_message"]);
        return Ok(1);
    }
    let (tenant, _) = stage.tenant(1).await?;
    let url = format!("{}/compute/v2.1/servers/detail", stage.sites[1].cloud_url);
    let servers = tenant.get(&url).await?;
    let servers = servers["servers"].as_array().cloned().unwrap_or_default();
    let active = servers.iter().filter(|s| s["status"] == "ACTIVE").count();
    if !options.json {
        let took = duration(record);
        println!("\nCompleted in {} simulated seconds. Site B's Nova now lists:", took.as_secs());
        for server in servers.iter().take(20) {
            let volumes =
                server["os-extended-volumes:volumes_attached"].as_array().map_or(0, Vec::len);
            println!(
                "  {:<12} {:<8} {volumes} volumes",
                server["name"].as_str().unwrap_or_default(),
                server["status"].as_str().unwrap_or_default()
            );
        }
        println!("result_data: {}", record["result_data"]);
    }
    let expected = usize::try_from(options.servers).unwrap_or(usize::MAX);
    if active != expected {
        eprintln!("site B has {active} ACTIVE servers, not {expected}");
        return Ok(1);
    }
    tracing::debug!(group = %protected.group_id, "demo done");
    Ok(0)
}

fn duration(record: &Value) -> Duration {
    let at = |key: &str| {
        record[key]
            .as_str()
            .and_then(|t| chrono::DateTime::parse_from_rfc3339(t).ok())
            .map(|t| t.timestamp())
    };
    match (at("started_at"), at("completed_at")) {
        (Some(from), Some(to)) => Duration::from_secs(u64::try_from(to - from).unwrap_or(0)),
        _ => Duration::ZERO,
    }
}
