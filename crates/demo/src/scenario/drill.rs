//! A drill: the application comes up at site B beside the running one, is looked at, and goes again without a trace.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{Play, mappings, with};
use crate::follow;

const REPLICATED: &str = "what the drill must show";
const MEANWHILE: &str = "written while the drill ran";

/// Plays it.
pub async fn play(play: &mut Play<'_>) -> anyhow::Result<Value> {
    play.write(0, REPLICATED).await?;
    play.complete(0, "sync_volumes", json!({})).await?;
    let drill = with(mappings(0), "retain_primary", true);
    play.complete(0, "test_failover", drill.clone()).await?;
    play.expect_active(1, play.count()).await?;
    play.expect_stamp(1, REPLICATED).await?;
    let written = play.write(0, MEANWHILE).await?;
    ensure!(written > 0, "the application at site A cannot write during the drill");
    play.expect_active(0, play.count()).await?;
    refuse_a_second(play, drill).await?;
    let record = play.complete(0, "test_cleanup", json!({})).await?;
    let leaked = &record["result_data"]["leaked"];
    ensure!(leaked.as_array().is_some_and(Vec::is_empty), "the cleanup left {leaked}");
    ensure!(play.nova(1).await?.is_empty(), "servers of the drill are left at site B");
    play.expect_group(&[0, 1], "active", 0).await?;
    play.expect_active(0, play.count()).await?;
    play.expect_stamp(0, MEANWHILE).await?;
    Ok(record)
}

async fn refuse_a_second(play: &Play<'_>, drill: Value) -> anyhow::Result<()> {
    let (tenant, _) = play.stage.tenant(0).await?;
    let body = json!({"test_failover": drill});
    match follow::start_at(&play.stage, 0, &tenant, &play.protected, &body).await {
        Ok(record) => anyhow::bail!("a second drill was accepted: {}", record["id"]),
        Err(error) => {
            let words = format!("{error:#}");
            ensure!(words.contains("HTTP 409"), "a second drill was not refused with 409: {words}");
            play.say("\nA second drill is refused while this one is open.");
            Ok(())
        }
    }
}
