//! A planned failover: nothing is lost.

use serde_json::Value;

use super::{Play, failover_body};

const LAST: &str = "the last write before the move";

/// Plays it.
pub async fn play(play: &mut Play<'_>) -> anyhow::Result<Value> {
    play.write(0, LAST).await?;
    let params = failover_body()["failover"].clone();
    let record = play.complete(0, "failover", params).await?;
    play.expect_group(&[0, 1], "failed_over", 1).await?;
    play.expect_active(1, play.count()).await?;
    play.expect_stamp(1, LAST).await?;
    Ok(record)
}
