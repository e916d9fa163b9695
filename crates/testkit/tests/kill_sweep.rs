//! `kill -9` of the engine, on the real process, before and after the commit of every journal write, around every call
//! of a step, and between every request and its answer. Then another engine is started and the operation must end as if
//! nothing had happened, by the simulators' own account.
//!
//! By default each k-th point; all of them:
//! `PROTECTOR_KILL_SWEEP=all cargo nextest run --release -P slow -p protector-testkit --test kill_sweep --no-capture`
//! One again: `PROTECTOR_KILL_SWEEP=17 ...`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use protector_demo::{follow, rest::text};
use protector_testkit::{
    CaseEnd, Selection, ServiceProcess, TwoSites,
    expect::{self, Problems},
    process,
    sweep::{parallel, sweep},
    two_sites::SPEED,
};
use protector_types::Clock as _;
use protector_workflow::SystemClock;
use serde_json::{Value, json};

/// How long one engine may take, in real time.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for both sites' records to become equal once the operation has ended.
const SYNC: Duration = Duration::from_secs(20);
/// Points come after the last commit, too: how long to wait for a death there.
const GRACE: Duration = Duration::from_millis(400);
/// Simulated seconds per real second where an engine is to be caught at work: a failover lasts seconds then, and the
/// test's own delays do not matter, however busy the machine is.
const SLOW: f64 = 5.0;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(40);

/// What is swept.
#[derive(Clone, Copy, PartialEq)]
enum Scenario {
    /// All goes well.
    Planned,
    /// One server's build at B fails for good.
    Rollback,
    /// The way back, after a failover.
    Failback,
}

fn ended(record: &Value) -> bool {
    matches!(
        record["status"].as_str(),
        Some("completed" | "failed" | "cancelled" | "needs_attention")
    )
}

/// Follows until the operation ends or the engine dies.
async fn first_engine(
    two: &TwoSites,
    operation: &str,
    engine: &mut ServiceProcess,
) -> anyhow::Result<CaseEnd> {
    let real = SystemClock::new();
    while real.monotonic() < PATIENCE {
        if let Some(point) = engine.crash_point()? {
            return Ok(CaseEnd::Killed(point));
        }
        if ended(&two.operation(operation).await?) {
            tokio::time::sleep(GRACE).await;
            return Ok(engine.crash_point()?.map_or(CaseEnd::Survived, CaseEnd::Killed));
        }
        tokio::time::sleep(LOOK).await;
    }
    anyhow::bail!(
        "the engine neither died nor finished: {}\n{}",
        two.operation(operation).await?,
        engine.log()
    )
}

/// Follows until the operation ends.
async fn next_engine(
    two: &TwoSites,
    operation: &str,
    engine: &mut ServiceProcess,
) -> anyhow::Result<Value> {
    let real = SystemClock::new();
    loop {
        let record = two.operation(operation).await?;
        if ended(&record) {
            return Ok(record);
        }
        if let Some(status) = engine.ended()? {
            anyhow::bail!("the second engine ended with {status}:\n{}", engine.log());
        }
        if real.monotonic() > PATIENCE {
            anyhow::bail!("the second engine does not finish: {record}\n{}", engine.log());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// To site B, with an engine that lives; then the guests write there. Gives what they hold.
async fn there(two: &TwoSites) -> anyhow::Result<Contents> {
    let operation = two.start_failover().await?;
    let mut engine = two.engine("engine-0", None)?;
    let record = next_engine(two, &operation, &mut engine).await?;
    anyhow::ensure!(record["status"] == "completed", "the failover before: {record}");
    two.groups_in_sync(SYNC).await?;
    engine.terminate().await?;
    for (id, server) in &two.inventory().sites[1].servers {
        for (volume, _) in &server.disks {
            let written = two.stage.world.cloud(1).guest_write(id, volume, "written at B");
            written.map_err(|error| anyhow::anyhow!("{error}"))?;
        }
    }
    Ok(expect::contents(&two.inventory().sites[1]))
}

async fn start_failback(two: &TwoSites) -> anyhow::Result<String> {
    let body = json!({"failback": {"reverse_replication": true}});
    let started = follow::start(&two.stage, &two.tenants[0], &two.protected, &body).await?;
    text(&started, "/id")
}

type Contents = std::collections::BTreeMap<(String, usize), String>;

async fn run(scenario: Scenario, n: u64, two: &TwoSites) -> anyhow::Result<(CaseEnd, Problems)> {
    let mut last = Contents::new();
    if scenario == Scenario::Rollback {
        two.stage.world.cloud(1).fail_builds_of("web-2", Some("No valid host was found."));
    }
    let operation = if scenario == Scenario::Failback {
        last = there(two).await?;
        start_failback(two).await?
    } else {
        two.start_failover().await?
    };
    let mut engine = two.engine("engine-1", Some(n))?;
    let end = first_engine(two, &operation, &mut engine).await?;
    if end != CaseEnd::Survived {
        engine = two.engine("engine-2", None)?;
    }
    let record = next_engine(two, &operation, &mut engine).await?;
    let groups = two.groups_in_sync(SYNC).await?;
    match (&end, scenario) {
        // It would kill itself at some later point of its reconcilers.
        (CaseEnd::Survived, _) => engine.kill().await?,
        _ => engine.terminate().await?,
    }
    let (world, after) = (&two.stage.world, two.inventory());
    let mut problems = Problems::new();
    match scenario {
        Scenario::Planned => {
            problems.extend(expect::operation(&record, "completed", &expect::STAGES));
            problems.extend(expect::groups(&groups, "failed_over", 1));
            problems.extend(expect::failed_over(world, &two.before, &after, &operation));
        }
        Scenario::Rollback => {
            problems.extend(expect::operation(&record, "failed", &[]));
            problems.extend(expect::groups(&groups, "active", 0));
            problems.extend(expect::rolled_back(world, &two.before, &after, &operation));
        }
        Scenario::Failback => {
            problems.extend(expect::operation(&record, "completed", &expect::STAGES));
            problems.extend(expect::groups(&groups, "active", 2));
            problems.extend(expect::failed_back(world, &two.before, &last, &after));
        }
    }
    Ok((end, problems))
}

async fn case(scenario: Scenario, n: u64) -> anyhow::Result<(CaseEnd, Problems)> {
    let mut two = TwoSites::start(n, SPEED).await?;
    let mut end = run(scenario, n, &two).await;
    let bad = end.as_ref().map_or(true, |(_, problems)| !problems.is_empty());
    if bad {
        two.keep();
        let note = format!("databases and logs: {}", two.folder().display());
        match &mut end {
            Ok((_, problems)) => problems.push(note),
            Err(error) => end = Err(anyhow::anyhow!("{error:#}\n{note}")),
        }
    }
    two.stop().await;
    end
}

async fn swept(scenario: Scenario, k: u64) {
    protector_server::install_crypto_provider();
    println!("binary under test: {}", process::binary().unwrap().display());
    let selection = Selection::from_env(k).unwrap();
    let real = SystemClock::new();
    let report = sweep(&selection, parallel(4), move |n| case(scenario, n)).await;
    println!("{report}  in {} s", real.monotonic().as_secs());
    assert!(report.problems.is_empty(), "{report}");
    if !matches!(selection, Selection::Only(_)) {
        assert!(report.survived.is_some(), "{report}");
        assert!(report.points.len() > 5, "hardly any point was reached: {report}");
        for kind in ["journal.", "step.", "http."] {
            assert!(
                report.points.values().any(|p| p.kind.starts_with(kind)),
                "no {kind}* point: {report}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_failover_survives_a_kill_of_its_engine_at_any_point() {
    swept(Scenario::Planned, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_survives_a_kill_of_its_engine_at_any_point() {
    swept(Scenario::Rollback, 17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failback_survives_a_kill_of_its_engine_at_any_point() {
    swept(Scenario::Failback, 19).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_engine_goes_on_when_it_was_frozen_for_longer_than_its_lease() {
    protector_server::install_crypto_provider();
    let two = TwoSites::start(1, SLOW).await.unwrap();
    let operation = two.start_failover().await.unwrap();
    let mut engine = two.engine("engine-1", None).unwrap();
    let real = SystemClock::new();
    while two.operation(&operation).await.unwrap()["progress"].as_u64().unwrap_or(0) == 0 {
        assert!(real.monotonic() < PATIENCE, "{}", engine.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    engine.freeze().await.unwrap();
    let lease = two.stage.sites[0].config.engine.lease;
    two.stage.clock.sleep(lease * 2).await;
    // Its lease is over, whatever it was doing; where it notices that depends on where it was frozen.
    let asleep = two.operation(&operation).await.unwrap();
    assert!(!ended(&asleep), "it ended before it was frozen: {asleep}");
    engine.thaw().await.unwrap();
    let record = next_engine(&two, &operation, &mut engine).await.unwrap();
    assert_eq!(expect::operation(&record, "completed", &expect::STAGES), Problems::new());
    engine.terminate().await.unwrap();
    let after = two.inventory();
    let problems = expect::failed_over(&two.stage.world, &two.before, &after, &operation);
    assert_eq!(problems, Problems::new());
    two.stop().await;
}
