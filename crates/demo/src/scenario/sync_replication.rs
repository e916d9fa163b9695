//! Synchronous replication (ActiveCluster): every write is at both arrays before it is acknowledged. A drill, a planned
//! failover, re-protection by a retype, and the way back: nothing is lost anywhere, and no point has to be waited for.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{Play, failback, mappings, with};
use crate::rest::text;

const DRILLED: &str = "what the drill must show, a moment old";
const LAST: &str = "the last write before the move";
const BACK: &str = "written at site B";

/// Plays it.
pub async fn play(play: &mut Play<'_>) -> anyhow::Result<Value> {
    play.write(0, DRILLED).await?;
    let drill = with(mappings(0), "retain_primary", true);
    play.complete(0, "test_failover", drill).await?;
    play.expect_active(1, play.count()).await?;
    play.expect_stamp(1, DRILLED).await?;
    expect_type(play, 1, "plain").await?;
    let cleaned = play.complete(0, "test_cleanup", json!({})).await?;
    let leaked = &cleaned["result_data"]["leaked"];
    ensure!(leaked.as_array().is_some_and(Vec::is_empty), "the cleanup left {leaked}");

    play.write(0, LAST).await?;
    let moved = play.complete(0, "failover", mappings(0)).await?;
    let lost = &moved["result_data"]["data_loss_seconds"];
    ensure!(*lost == 0, "the failover reports a loss of {lost} s");
    play.expect_group(&[0, 1], "failed_over", 1).await?;
    play.expect_active(1, play.count()).await?;
    play.expect_stamp(1, LAST).await?;
    expect_type(play, 1, "plain").await?;

    // Protected again: Cinder gives the copies the synchronous type.
    play.write(1, BACK).await?;
    play.complete(1, "sync_volumes", json!({})).await?;
    expect_type(play, 1, "replicated-sync").await?;
    play.expect_stamp(1, BACK).await?;

    let record = failback::home(play, BACK).await?;
    expect_type(play, 0, "replicated-sync").await?;
    Ok(record)
}

/// All volumes that the tenant's servers use at a site have this type.
async fn expect_type(play: &Play<'_>, at: usize, name: &str) -> anyhow::Result<()> {
    let (tenant, _) = play.stage.tenant(at).await?;
    let url = format!("{}/volume/v3/volumes/detail", play.stage.sites[at].cloud_url);
    let listed = tenant.get(&url).await?;
    let mut seen = 0;
    for volume in listed["volumes"].as_array().into_iter().flatten() {
        if volume["status"] != "in-use" {
            continue;
        }
        let its_type = text(volume, "/volume_type")?;
        ensure!(
            its_type == name,
            "volume {} at site {at} has type {its_type}, not {name}",
            volume["id"]
        );
        seen += 1;
    }
    ensure!(seen > 0, "no volume is in use at site {at}");
    Ok(())
}
