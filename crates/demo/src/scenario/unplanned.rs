//! Site A dies as a whole; the application comes up at site B from the newest complete point. What is lost is what was
//! written after that point, and the record says how much.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{Play, mappings, with};

const REPLICATED: &str = "written before the last replication";
const LOST: &str = "written after it";

/// A last replication, writes that it does not hold, and site A is gone.
pub async fn disaster(play: &mut Play<'_>) -> anyhow::Result<()> {
    play.write(0, REPLICATED).await?;
    play.complete(0, "sync_volumes", json!({})).await?;
    play.write(0, LOST).await?;
    play.say("\nSite A is gone: Keystone, Nova, Cinder, Neutron, the array and its Protector.");
    play.stage.kill_site(0).await;
    Ok(())
}

/// Plays it.
pub async fn play(play: &mut Play<'_>) -> anyhow::Result<Value> {
    disaster(play).await?;
    let record = play.complete(1, "failover", with(mappings(0), "force", true)).await?;
    play.expect_group(&[1], "failed_over", 1).await?;
    play.expect_active(1, play.count()).await?;
    play.expect_stamp(1, REPLICATED).await?;
    let loss = record["result_data"]["data_loss_seconds"].as_u64();
    ensure!(loss.is_some(), "the record does not say what was lost: {}", record["result_data"]);
    play.say(&format!("Lost: {} seconds of writes, as the record says.", loss.unwrap_or_default()));
    Ok(record)
}
