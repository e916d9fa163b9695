//! Site A dies, site B is forced to be the primary, and site A returns: it learns by itself that it is not the primary any
//! more and makes itself safe; a person synchronises; in the end the application is back at site A with what was written
//! at site B.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{Play, mappings, with};

const REPLICATED: &str = "written before the last replication";
const LOST: &str = "written after it";
const AT_B: &str = "written at site B";
const HOME: &str = "written at home again";

/// Plays it.
pub async fn play(play: &mut Play<'_>) -> anyhow::Result<Value> {
    disaster(play).await?;
    play.say("\nSite A is back.");
    play.stage.revive_site(0).await?;
    returns(play).await?;
    play.sync_force(1, None).await?;
    play.expect_group(&[0, 1], "failed_over", 1).await?;
    play.expect_safe(0).await?;
    play.expect_one_primary(1).await?;
    go_home(play).await
}

/// A last replication, writes that it does not hold, the end of site A, and the forced failover.
async fn disaster(play: &mut Play<'_>) -> anyhow::Result<()> {
    play.must_write(0, REPLICATED).await?;
    play.complete(0, "sync_volumes", json!({})).await?;
    play.must_write(0, LOST).await?;
    play.say("\nSite A is gone: cloud, array and Protector.");
    play.stage.kill_site(0).await;
    play.complete(1, "failover", with(mappings(0), "force", true)).await?;
    play.expect_group(&[1], "failed_over", 1).await?;
    play.expect_stamp(1, REPLICATED).await?;
    play.expect_sync(1, "UNREACHABLE").await?;
    play.must_write(1, AT_B).await
}

/// What site A does by itself, and what it does not.
async fn returns(play: &Play<'_>) -> anyhow::Result<()> {
    play.expect_quarantine(0).await?;
    let (a, b) = (play.group(0).await?, play.group(1).await?);
    ensure!(
        a["epoch"].as_u64() < b["epoch"].as_u64(),
        "the document does not wait for sync-force: epoch {} at A, {} at B",
        a["epoch"],
        b["epoch"]
    );
    let sync = play.expect_sync(1, "OUT OF SYNC").await?;
    let reason = sync["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("sync-force"), "sync-status does not say what to do: {sync}");
    // What was never replicated is still where it was written: nobody has touched the volumes.
    for server in &play.servers {
        for volume in &server.volumes {
            let content = play.stage.world.cloud(0).volume_content(volume);
            let last = content.ok().and_then(|stamps| stamps.last().cloned());
            ensure!(last.as_deref() == Some(LOST), "{volume} at A ends with {last:?}");
        }
    }
    play.expect_one_primary(1).await
}

/// Failback with replication restored: all content as at site B, and nothing twice.
async fn go_home(play: &Play<'_>) -> anyhow::Result<Value> {
    let record = play.come_home(AT_B).await?;
    play.must_write(0, HOME).await?;
    let left = play.nova(1).await?;
    ensure!(left.is_empty(), "site B still has {} servers", left.len());
    let group = play.group(0).await?;
    ensure!(
        group["replication_status"] == "replicating",
        "replication: {}",
        group["replication_status"]
    );
    Ok(record)
}
