//! A forced failover of which one server cannot be built: the others run, and `retry` completes it from the same point.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{Play, mappings, with};

const REPLICATED: &str = "written before the disaster";
/// The server whose build fails.
const UNLUCKY: &str = "web-2";

/// Plays it.
pub async fn play(play: &mut Play<'_>) -> anyhow::Result<Value> {
    play.write(0, REPLICATED).await?;
    play.complete(0, "sync_volumes", json!({})).await?;
    play.stage.world.cloud(1).fail_builds_of(UNLUCKY, Some("No valid host was found."));
    play.say("\nSite A is gone, and site B has no host for web-2.");
    play.stage.kill_site(0).await;
    let record = play.act(1, "failover", with(mappings(0), "force", true)).await?;
    ensure!(record["status"] == "failed", "the failover ended {}: {record}", record["status"]);
    let failed = record["steps_failed"].to_string();
    ensure!(failed.contains(UNLUCKY), "steps_failed does not name {UNLUCKY}: {failed}");
    play.expect_group(&[1], "failed_over_partial", 1).await?;
    play.say(&format!("failed_over_partial: {}", record["error_message"]));
    play.stage.world.cloud(1).fail_builds_of(UNLUCKY, None);
    play.say("\nSite B has a host again.");
    let record = play.complete(1, "retry", json!({})).await?;
    play.expect_group(&[1], "failed_over", 1).await?;
    play.expect_active(1, play.count()).await?;
    play.expect_stamp(1, REPLICATED).await?;
    Ok(record)
}
