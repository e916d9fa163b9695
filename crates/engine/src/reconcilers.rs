//! Periodic, idempotent tasks that make something so again. Never mixed with operations: no plan, no undo.

use std::{sync::Arc, time::Duration};

use protector_store::PageRequest;
use tokio_util::sync::CancellationToken;

use crate::Engine;

/// Documents pushed in one go.
const PUSH_BATCH: u64 = 50;
/// Operations streamed in one go.
const STREAM_BATCH: u64 = 50;

/// Runs all reconcilers until `shutdown`.
pub(crate) async fn run(engine: Arc<Engine>, shutdown: CancellationToken) {
    tokio::join!(
        every(&engine, engine.config.push_interval, &shutdown, || push_documents(&engine)),
        every(&engine, engine.config.observe_interval, &shutdown, || observe_sites(&engine)),
        every(&engine, engine.config.kept_interval, &shutdown, || engine.core.expire_kept()),
        look_at_peers(&engine, &shutdown),
        every(&engine, engine.config.heartbeat, &shutdown, || upkeep(&engine)),
    );
}

/// What is done with each heartbeat: together, because an idle engine's cost is how often it wakes.
async fn upkeep(engine: &Engine) {
    tokio::join!(
        beat(engine),
        drop_dead_claims(engine),
        tend_quarantines(engine),
        stream_operations(engine),
    );
}

async fn every<F: Future<Output = ()>>(
    engine: &Engine,
    interval: Duration,
    shutdown: &CancellationToken,
    task: impl Fn() -> F,
) {
    loop {
        tokio::select! {
            () = engine.clock().sleep(interval) => task().await,
            () = shutdown.cancelled() => return,
        }
    }
}

/// What the peer has not confirmed is pushed again.
async fn push_documents(engine: &Engine) {
    let due = match engine.core.store().outbox_due(PUSH_BATCH).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "cannot read the outbox");
            return;
        }
    };
    for row in due {
        if let Err(error) = engine.core.push_group(row.group_id).await {
            tracing::info!(group = %row.group_id, %error, "the peer has not taken the document; will be repeated");
        }
    }
}

/// Records, plans and journals go to the peer as they grow.
async fn stream_operations(engine: &Engine) {
    if let Err(error) = engine.core.stream_operations(STREAM_BATCH).await {
        tracing::warn!(%error, "cannot look for operations that the peer does not have");
    }
}

/// Newer copies at a peer are taken or obeyed: at once when this engine starts, then periodically, so that a site that
/// comes back learns by itself who is the primary.
async fn look_at_peers(engine: &Engine, shutdown: &CancellationToken) {
    loop {
        if let Ok(sites) = engine.core.list_sites(PageRequest::default()).await {
            for site in sites.items.iter().filter(|site| !site.is_local) {
                if let Err(error) = engine.core.look_at_peer(site.id).await {
                    tracing::info!(site = %site.name, %error, "the peer cannot be looked at; tried again");
                }
            }
        }
        tokio::select! {
            () = engine.clock().sleep(engine.config.look_interval) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Claims that nobody renews any more, by this engine's own clock.
async fn drop_dead_claims(engine: &Engine) {
    if let Err(error) = engine.core.drop_dead_claims().await {
        tracing::warn!(%error, "cannot look at claims");
    }
}

/// Quarantined groups: what ran here is made safe, or put back.
async fn tend_quarantines(engine: &Engine) {
    if let Err(error) = engine.core.tend_quarantines().await {
        tracing::warn!(%error, "cannot tend quarantined groups");
    }
}

/// Sites' reachability, with the time of the look.
async fn observe_sites(engine: &Engine) {
    let Ok(sites) = engine.core.list_sites(PageRequest::default()).await else { return };
    for site in sites.items {
        engine.core.observe(&site).await;
    }
}

/// For health: this engine lives.
async fn beat(engine: &Engine) {
    if let Err(error) = engine.core.store().engine_heartbeat(&engine.id).await {
        tracing::warn!(%error, "the engine's heartbeat could not be written");
    }
}
