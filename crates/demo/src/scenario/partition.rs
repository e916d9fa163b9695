//! The two sites cannot talk, neither Protector to Protector nor Protector to the other cloud: in quiet, and in the middle
//! of a planned failover. Nothing is changed meanwhile, nothing is done twice, and in the end there is one primary.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use protector_sim::faults::Partition;
use serde_json::{Value, json};

use super::{Play, mappings, truth};
use crate::way::Ways;

const LAST: &str = "the last write before the move";
/// So far the failover has come when the link is cut: volumes are being made at site B.
const MIDWAY: u64 = 45;
/// Longer than a claim lasts without renewal.
const SILENCE: Duration = Duration::from_secs(40);

/// Plays it.
pub async fn play(play: &mut Play<'_>) -> anyhow::Result<Value> {
    let ways = Ways::lay(&play.stage, &play.protected.site_ids, play.options.seed).await?;
    let played = both(play, &ways).await;
    // They stay: whoever looks around afterwards finds two sites that talk.
    ways.heal();
    played
}

async fn both(play: &Play<'_>, ways: &Ways) -> anyhow::Result<Value> {
    in_quiet(play, ways).await?;
    midway(play, ways).await
}

/// In quiet: changes are refused at both sites, reads work, and afterwards everything is as before.
async fn in_quiet(play: &Play<'_>, ways: &Ways) -> anyhow::Result<()> {
    play.say("\nThe link between the sites is cut: calls hang.");
    ways.cut(Partition::Hang);
    let sync = || Some(json!({"sync_volumes": {}}));
    let patch = || Some(json!({"protection_group": {"description": "x"}}));
    futures::try_join!(
        play.expect_refused_at_once(0, "POST", "/action", sync()),
        play.expect_refused_at_once(1, "PATCH", "", patch()),
    )?;
    play.say("\nAnd now connections are refused.");
    ways.cut(Partition::Refuse);
    futures::try_join!(play.expect_peer_unreachable(0), play.expect_peer_unreachable(1))?;
    play.expect_one_primary(0).await?;
    play.say("\nThe link is whole again.");
    ways.heal();
    for at in 0..2 {
        play.expect_sync(at, "IN SYNC").await?;
    }
    play.must_change(0, "after the first partition").await?;
    play.must_change(1, "and from the other site").await
}

/// In the middle of a planned failover: it waits, and completes when the link is back.
async fn midway(play: &Play<'_>, ways: &Ways) -> anyhow::Result<Value> {
    play.must_write(0, LAST).await?;
    let id = play.begin(0, "failover", mappings(0)).await?;
    play.await_progress(0, &id, MIDWAY).await?;
    play.say("\nThe link between the sites is cut in the middle of it: connections are refused.");
    ways.cut(Partition::Refuse);
    nothing_begins(play, &id).await?;
    play.say("\nThe link is whole again.");
    ways.heal();
    let record = play.watch(0, "failover", &id).await?;
    ensure!(record["status"] == "completed", "the failover ended {record}");
    nothing_twice(play, &id).await?;
    Ok(record)
}

/// Without the peer's renewal nothing new is made there, the operation goes on waiting, and nobody else may start one.
async fn nothing_begins(play: &Play<'_>, id: &str) -> anyhow::Result<()> {
    play.stage.clock.sleep(SILENCE).await;
    let before = holdings(play, 1);
    play.stage.clock.sleep(SILENCE / 2).await;
    let after = holdings(play, 1);
    ensure!(before == after, "without renewal, site B changed from {before:?} to {after:?}");
    let record = play.operation(0, id).await?;
    ensure!(record["status"] == "running", "the failover does not wait: {record}");
    for at in 0..2 {
        play.expect_group(&[at], "failing_over", 0).await?;
        let busy = play.must_not_change(at, "protection_group.busy").await?;
        ensure!(busy.contains(id), "{busy} does not name {id}");
    }
    let force = json!({"failover": super::with(mappings(0), "force", true)});
    let forced = play.ask(1, "POST", "/action", Some(force)).await?;
    truth::refused(&forced, "protection_group.busy")?;
    play.say("The failover waits; nothing new is made at site B.");
    Ok(())
}

/// What was made at a site, by kind: how many, whatever state they are in.
fn holdings(play: &Play<'_>, at: usize) -> BTreeMap<&'static str, usize> {
    let cloud = play.stage.world.cloud(at).dump();
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    BTreeMap::from([
        ("servers", count(&cloud["compute"]["servers"])),
        ("volumes", count(&cloud["volume"]["volumes"])),
        ("ports", count(&cloud["network"]["ports"])),
    ])
}

/// One primary, one operation, one server and one volume of each.
async fn nothing_twice(play: &Play<'_>, id: &str) -> anyhow::Result<()> {
    play.expect_group(&[0, 1], "failed_over", 1).await?;
    play.expect_one_primary(1).await?;
    play.expect_stamp(1, LAST).await?;
    play.expect_safe(0).await?;
    let made = holdings(play, 1);
    let wanted = [("servers", play.count()), ("volumes", play.volumes()), ("ports", play.count())];
    ensure!(made == BTreeMap::from(wanted), "site B has {made:?}, not {wanted:?}");
    for at in 0..2 {
        play.expect_sync(at, "IN SYNC").await?;
        let group = play.group(at).await?;
        ensure!(group["failover_count"] == 1, "failover_count is {}", group["failover_count"]);
        let done = |record: &Value| record["status"] == "completed";
        play.await_operation(at, id, "the end of the failover", done).await?;
    }
    Ok(())
}
