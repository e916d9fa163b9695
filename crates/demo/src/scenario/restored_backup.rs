//! A Protector's database is restored from an old copy. Whoever is behind takes the newer document, and quarantines only
//! where it names another primary than the old copy does. An older document never replaces a newer one.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{Play, mappings};
use crate::rest::text;

const BEFORE: &str = "written before the move";
const AT_B: &str = "written at site B";
/// How long a history may take to come back.
const HISTORY_PATIENCE: Duration = Duration::from_secs(300);

/// Plays it.
pub async fn play(play: &mut Play<'_>) -> anyhow::Result<Value> {
    let copies = tempfile::tempdir().context("a folder for the copies")?;
    let old = [copies.path().join("a"), copies.path().join("b")];
    for (at, folder) in old.iter().enumerate() {
        back_up(play, at, folder).await?;
    }
    an_ordinary_change(play, &old[0]).await?;
    play.must_write(0, BEFORE).await?;
    play.complete(0, "failover", mappings(0)).await?;
    play.expect_group(&[0, 1], "failed_over", 1).await?;
    play.must_write(1, AT_B).await?;
    let history = [history(play, 0).await?, history(play, 1).await?];
    the_new_primary(play, &old[1]).await?;
    has_history(play, 1, &history[1]).await?;
    the_old_primary(play, &old[0]).await?;
    has_history(play, 0, &history[0]).await?;
    // With what the old copy had lost.
    play.come_home(AT_B).await
}

/// Restored to before an ordinary change: the newer document is simply taken.
async fn an_ordinary_change(play: &mut Play<'_>, old: &Path) -> anyhow::Result<()> {
    play.must_change(0, "newer than the copy").await?;
    let newer = play.group(1).await?;
    restore(play, 0, old).await?;
    catches_up(play, 0, &newer).await
}

/// Site B's copy knows nothing of the failover that made it the primary: it takes the document, and runs on.
async fn the_new_primary(play: &mut Play<'_>, old: &Path) -> anyhow::Result<()> {
    let newer = play.group(0).await?;
    restore(play, 1, old).await?;
    catches_up(play, 1, &newer).await?;
    play.expect_one_primary(1).await
}

/// Site A's copy says that the application runs there: it makes itself safe, says why, and waits for a person.
async fn the_old_primary(play: &mut Play<'_>, old: &Path) -> anyhow::Result<()> {
    let newer = play.group(1).await?;
    restore(play, 0, old).await?;
    play.expect_quarantine(0).await?;
    let sync = play.expect_sync(0, "OUT OF SYNC").await?;
    let reason = sync["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("restored from an old copy"), "sync-status says {sync}");
    same_document(&newer, &play.group(1).await?)?;
    play.expect_one_primary(1).await?;
    play.sync_force(1, None).await?;
    catches_up(play, 0, &newer).await
}

/// Copies the files of a site's database while its Protector is down.
async fn back_up(play: &mut Play<'_>, at: usize, folder: &Path) -> anyhow::Result<()> {
    play.stage.stop_protector(at).await;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for file in files(&play.stage.database(at))? {
        let to = folder.join(file.file_name().unwrap_or_default());
        fs::copy(&file, to).with_context(|| file.display().to_string())?;
    }
    play.stage.start_protector(at).await
}

/// Puts the old copy in the place of the database, and starts the Protector on it.
async fn restore(play: &mut Play<'_>, at: usize, folder: &Path) -> anyhow::Result<()> {
    let database = play.stage.database(at);
    play.say(&format!(
        "\nThe database of {} is restored from its old copy.",
        play.stage.sites[at].name
    ));
    play.stage.stop_protector(at).await;
    for file in files(&database)? {
        fs::remove_file(&file).with_context(|| file.display().to_string())?;
    }
    for file in files(&folder.join(database.file_name().unwrap_or_default()))? {
        let to = database.with_file_name(file.file_name().unwrap_or_default());
        fs::copy(&file, to).with_context(|| file.display().to_string())?;
    }
    play.stage.start_protector(at).await
}

/// The database with its log and index: all files whose names begin with its own.
fn files(database: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = database.parent().context("the database has no folder")?;
    let name = database.file_name().and_then(OsStr::to_str).context("the database has no name")?;
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let ours = |path: &PathBuf| {
        path.file_name().and_then(OsStr::to_str).is_some_and(|file| file.starts_with(name))
    };
    Ok(paths.filter(ours).collect())
}

/// Without anybody's doing the site shows the newer document, and is not quarantined.
async fn catches_up(play: &Play<'_>, at: usize, newer: &Value) -> anyhow::Result<()> {
    let caught_up = |group: &Value| {
        group["version"].as_u64() >= newer["version"].as_u64() && group["epoch"] == newer["epoch"]
    };
    let group = play.await_group(at, "the newer document", caught_up).await?;
    ensure!(group["quarantine"].is_null(), "quarantined: {}", group["quarantine"]);
    same_document(newer, &group)?;
    same_document(newer, &play.group(1 - at).await?)?;
    for at in 0..2 {
        play.expect_sync(at, "IN SYNC").await?;
    }
    play.say(&format!("{} has taken the newer document.", play.stage.sites[at].name));
    Ok(())
}

/// The operations of the group that a site knows, with the length of each one's journal.
async fn history(play: &Play<'_>, at: usize) -> anyhow::Result<BTreeMap<String, u64>> {
    let (api, project) = (&play.stage.sites[at].api_url, &play.protected.projects[at]);
    let group = &play.protected.group_id;
    let base = format!("{api}/v1/{project}/operations");
    let (tenant, _) = play.stage.tenant(at).await?;
    let list = tenant.get(&format!("{base}?protection_group_id={group}")).await?;
    let mut known = BTreeMap::new();
    for operation in list["operations"].as_array().into_iter().flatten() {
        let id = text(operation, "/id")?;
        let events = tenant.get(&format!("{base}/{id}/events?limit=1000")).await?;
        known.insert(id, events["events"].as_array().map_or(0, Vec::len) as u64);
    }
    Ok(known)
}

/// A site whose database was restored knows again what had happened after its copy was made: from its peer.
async fn has_history(
    play: &Play<'_>,
    at: usize,
    wanted: &BTreeMap<String, u64>,
) -> anyhow::Result<()> {
    ensure!(!wanted.is_empty(), "there was no history to lose");
    let deadline = play.stage.clock.monotonic() + HISTORY_PATIENCE;
    loop {
        let now = history(play, at).await?;
        if wanted.iter().all(|(id, length)| now.get(id) >= Some(length)) {
            play.say(&format!("{} has its history back.", play.stage.sites[at].name));
            return Ok(());
        }
        ensure!(
            play.stage.clock.monotonic() < deadline,
            "{} knows {now:?} of {wanted:?}",
            play.stage.sites[at].name
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What the document says is what it said.
fn same_document(newer: &Value, now: &Value) -> anyhow::Result<()> {
    for key in ["epoch", "version", "status", "description", "current_primary_site_id"] {
        ensure!(newer[key] == now[key], "{key} was {}, and is {}", newer[key], now[key]);
    }
    ensure!(json!(newer["failover_count"]) == now["failover_count"], "failover_count has changed");
    Ok(())
}
