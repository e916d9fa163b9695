//! A site dies in the middle of what it drives. What it left does not hold up the other site: a forced failover ends a
//! drill or a sync, and a planned failover is taken over. The site that returns goes on with nothing of it.

use std::time::Duration;

use anyhow::ensure;
use protector_server::SystemClock;
use protector_types::Clock as _;
use serde_json::{Value, json};

use super::{Play, mappings, with};

const REPLICATED: &str = "written before the last replication";
const AT_B: &str = "written at site B";
/// The forced failover is accepted within so much real time, whatever the dead site was doing.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);
/// So far the planned failover has come when its site dies: the point is at the other site, servers are being made.
const MIDWAY: u64 = 60;

/// Plays it.
pub async fn play(play: &mut Play<'_>) -> anyhow::Result<Value> {
    a_sync(play).await?;
    play.complete(1, "reprotect", json!({})).await?;
    play.expect_group(&[0, 1], "active", 1).await?;
    a_planned_failover(play).await
}

/// Site A dies while it drives a sync; site B is forced.
async fn a_sync(play: &mut Play<'_>) -> anyhow::Result<()> {
    play.must_write(0, REPLICATED).await?;
    play.complete(0, "sync_volumes", json!({})).await?;
    let left = play.begin(0, "sync_volumes", json!({})).await?;
    play.await_operation(1, &left, "the sync", |record| record["status"] == "running").await?;
    play.say("\nSite A is gone in the middle of the sync.");
    play.stage.kill_site(0).await;
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let forced = play.begin(1, "failover", with(mappings(0), "force", true)).await?;
    let took = clock.monotonic() - began;
    ensure!(took < ACCEPTED_WITHIN, "the forced failover was held up for {took:?}");
    let record = play.watch(1, "failover", &forced).await?;
    ensure!(record["status"] == "completed", "the forced failover ended {record}");
    play.expect_group(&[1], "failed_over", 1).await?;
    play.expect_stamp(1, REPLICATED).await?;
    ended_for(play, 1, &left, &forced).await?;
    play.must_write(1, AT_B).await?;
    play.say("\nSite A is back.");
    play.stage.revive_site(0).await?;
    play.expect_quarantine(0).await?;
    ended_for(play, 0, &left, &forced).await?;
    play.sync_force(1, None).await?;
    play.expect_one_primary(1).await
}

/// The operation has failed at a site, and names its successor.
async fn ended_for(play: &Play<'_>, at: usize, left: &str, by: &str) -> anyhow::Result<()> {
    let failed = |record: &Value| record["status"] == "failed";
    let record = play.await_operation(at, left, "the end of what it drove", failed).await?;
    let why = record["error_message"].as_str().unwrap_or_default();
    ensure!(why.contains(by), "{left} at site {at} does not name {by}: {why:?}");
    Ok(())
}

/// Site B, the primary now, dies while it drives a planned failover; site A takes it over.
async fn a_planned_failover(play: &mut Play<'_>) -> anyhow::Result<Value> {
    let id = play.begin(1, "failover", mappings(1)).await?;
    play.await_progress(1, &id, MIDWAY).await?;
    let far = |record: &Value| record["progress"].as_u64() >= Some(MIDWAY);
    play.await_operation(0, &id, "the journal as it grows", far).await?;
    play.say("\nSite B is gone in the middle of its planned failover.");
    play.stage.kill_site(1).await;
    let taken = play.take_over(0).await?;
    ensure!(taken["id"] == *id, "taken over was {taken}");
    let record = play.watch(0, "takeover", &id).await?;
    ensure!(record["status"] == "completed", "what was taken over ended {record}");
    play.expect_group(&[0], "failed_over", 0).await?;
    play.expect_stamp(0, AT_B).await?;
    play.say("\nSite B is back.");
    play.stage.revive_site(1).await?;
    play.expect_quarantine(1).await?;
    play.sync_force(0, None).await?;
    play.expect_group(&[0, 1], "failed_over", 0).await?;
    let same = |record: &Value| record["status"] == "completed";
    play.await_operation(1, &id, "the end that site A gave it", same).await?;
    play.expect_one_primary(0).await?;
    Ok(record)
}
