//! To site B and back: nothing that was written at either site is lost, and nothing is left behind.

use anyhow::ensure;
use serde_json::Value;

use super::{Play, mappings, with};

/// There and back once.
pub async fn once(play: &mut Play<'_>) -> anyhow::Result<Value> {
    round(play, 1).await
}

/// There and back twice.
pub async fn twice(play: &mut Play<'_>) -> anyhow::Result<Value> {
    round(play, 1).await?;
    round(play, 2).await
}

async fn round(play: &mut Play<'_>, n: u32) -> anyhow::Result<Value> {
    let (there, back) = (format!("round {n}, at site A"), format!("round {n}, at site B"));
    play.write(0, &there).await?;
    play.complete(0, "failover", mappings(0)).await?;
    play.expect_group(&[0, 1], "failed_over", 1).await?;
    play.expect_active(1, play.count()).await?;
    play.expect_stamp(1, &there).await?;
    play.write(1, &back).await?;
    home(play, &back).await
}

/// Failback with replication restored: what was written last serves at site A, and site B is empty.
pub(super) async fn home(play: &Play<'_>, back: &str) -> anyhow::Result<Value> {
    let params = with(mappings(1), "reverse_replication", true);
    let record = play.complete(1, "failback", params).await?;
    play.expect_group(&[0, 1], "active", 0).await?;
    play.expect_active(0, play.count()).await?;
    play.expect_stamp(0, back).await?;
    let left = play.nova(1).await?;
    ensure!(left.is_empty(), "site B still has {} servers after the failback", left.len());
    let group = play.group(0).await?;
    ensure!(
        group["replication_status"] == "replicating",
        "replication is {} after a failback with reverse_replication",
        group["replication_status"]
    );
    Ok(record)
}
