//! Both sites are forced while they cannot talk. The link breaks in the very moment of the switch: site A has made site B
//! the primary, and site B has not heard of it. A person at each site takes the other one for dead: the one at B takes the
//! failover over, the one at A takes the group back. Both run; afterwards there is CONFLICT, and nothing moves until
//! somebody chooses. Then there is one primary.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use protector_sim::faults::{Effect, Partition, Rule};
use serde_json::{Value, json};

use super::{Play, mappings, truth};
use crate::{tenant::await_status, way::Ways};

const LAST: &str = "the last write before the move";
const AT_A: &str = "written at site A under force";
const AT_B: &str = "written at site B under force";
/// So far the failover has come when site A's Nova gets slow, and the last look at the source takes its time: servers are
/// being made at site B.
const MIDWAY: u64 = 60;
/// So far it has come when its news stops: all servers run at site B, and site B knows it.
const BEFORE_THE_SWITCH: u64 = 90;
/// How slow, in simulated milliseconds: long enough for the journal to reach site B.
const SLOW_MS: u64 = 12_000;
/// Long enough for every reconciler of both sites to have had its say.
const REFLECTION: Duration = Duration::from_secs(20);

/// Plays it.
pub async fn play(play: &mut Play<'_>) -> anyhow::Result<Value> {
    let ways = Ways::lay(&play.stage, &play.protected.site_ids, play.options.seed).await?;
    let played = whole(play, &ways).await;
    // They stay: whoever looks around afterwards finds two sites that talk.
    ways.heal();
    played
}

async fn whole(play: &Play<'_>, ways: &Ways) -> anyhow::Result<Value> {
    let id = breaks_at_the_switch(play, ways).await?;
    forced_at_b(play, &id).await?;
    forced_at_a(play).await?;
    play.must_write(0, AT_A).await?;
    play.must_write(1, AT_B).await?;
    play.say("\nThe link is whole again.");
    ways.heal();
    conflict(play).await?;
    play.sync_force(0, Some(1)).await?;
    one_primary(play).await?;
    play.complete(1, "sync_volumes", json!({})).await
}

/// Site A completes the failover, and site B hears nothing of its end.
async fn breaks_at_the_switch(play: &Play<'_>, ways: &Ways) -> anyhow::Result<String> {
    play.must_write(0, LAST).await?;
    let id = play.begin(0, "failover", mappings(0)).await?;
    play.await_progress(0, &id, MIDWAY).await?;
    let faults = play.stage.world.faults();
    let slow = Rule::new(Effect::Slow { ms: SLOW_MS }).site(&play.stage.sites[0].name);
    let slow = faults.add(slow.service("compute").method("GET"));
    play.await_progress(0, &id, BEFORE_THE_SWITCH).await?;
    let known = |record: &Value| record["progress"].as_u64() >= Some(BEFORE_THE_SWITCH);
    play.await_operation(1, &id, "the journal as it grows", known).await?;
    ways.hold_documents_to(1, &play.protected.group_id);
    ways.cut_to(0, Partition::Refuse);
    play.await_group(0, "the switch", |group| group["status"] == "failed_over").await?;
    ways.cut(Partition::Refuse);
    faults.remove(slow);
    play.say("\nThe link is cut in the moment of the switch: site B has not heard of it.");
    play.expect_group(&[1], "failing_over", 0).await?;
    Ok(id)
}

/// At B: "A is dead in the middle of its failover". The failover is taken over and finished.
async fn forced_at_b(play: &Play<'_>, id: &str) -> anyhow::Result<()> {
    let taken = play.take_over(1).await?;
    ensure!(taken["id"] == *id, "taken over was {taken}");
    let record = play.watch(1, "takeover", id).await?;
    ensure!(record["status"] == "completed", "what was taken over ended {record}");
    play.expect_group(&[1], "failed_over", 1).await?;
    play.expect_stamp(1, LAST).await
}

/// At A: "B is dead, and the group is there". What is at A takes it back, and its owner starts the servers.
async fn forced_at_a(play: &Play<'_>) -> anyhow::Result<()> {
    let body = json!({"reset_status": {"force": true}});
    let admin = play.stage.admin(0).await?;
    let reply = play.ask_as(&admin, 0, "POST", "/action", Some(body)).await?;
    reply.ok().context("reset_status")?;
    play.expect_group(&[0], "active", 0).await?;
    play.say("\nAn administrator at site A has given site B up: the group is active at A.");
    let (tenant, _) = play.stage.tenant(0).await?;
    let tenant = &tenant;
    let cloud_url = &play.stage.sites[0].cloud_url;
    let starts = play.servers.iter().map(|server| async {
        let url = format!("{cloud_url}/compute/v2.1/servers/{}/action", server.id);
        tenant.post(&url, &json!({"os-start": null})).await.context(server.name.clone())?;
        await_status(&play.stage, tenant, 0, &server.id, "ACTIVE").await
    });
    futures::future::try_join_all(starts).await.map(drop)
}

/// Both say so, refuse every change, and leave everything as it is.
async fn conflict(play: &Play<'_>) -> anyhow::Result<()> {
    for at in 0..2 {
        play.expect_sync(at, "CONFLICT").await?;
    }
    let before = [play.group(0).await?, play.group(1).await?];
    play.stage.clock.sleep(REFLECTION).await;
    for (at, before) in before.iter().enumerate() {
        let now = play.group(at).await?;
        ensure!(now == *before, "in a conflict, {before} became {now}");
        play.expect_sync(at, "CONFLICT").await?;
        play.must_not_change(at, "protection_group.out_of_sync").await?;
        let reply = play.ask(at, "POST", "/sync-force", Some(json!({}))).await?;
        let words = truth::refused(&reply, "protection_group.out_of_sync")?;
        ensure!(words.contains("CONFLICT") && words.contains("from"), "{words}");
        play.expect_active(at, play.count()).await?;
    }
    play.say("\nCONFLICT at both sites: nothing moves until a person chooses.");
    Ok(())
}

/// The chosen one runs as before; the other one is safe, and keeps what was written there.
async fn one_primary(play: &Play<'_>) -> anyhow::Result<()> {
    play.expect_group(&[0, 1], "failed_over", 1).await?;
    play.expect_one_primary(1).await?;
    play.expect_safe(0).await?;
    play.expect_stamp(1, AT_B).await?;
    for server in &play.servers {
        for volume in &server.volumes {
            let content = play.stage.world.cloud(0).volume_content(volume);
            let last = content.ok().and_then(|stamps| stamps.last().cloned());
            ensure!(last.as_deref() == Some(AT_A), "{volume} at A ends with {last:?}");
        }
    }
    Ok(())
}
