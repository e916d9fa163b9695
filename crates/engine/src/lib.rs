//! The engine: claims operations under a lease, drives them, takes over from engines that died, and keeps things as they
//! should be (reconcilers). Any number may run over one database.

pub mod claims;
pub mod config;
pub mod driver;
mod leave;
pub mod reconcilers;
pub mod sweep;

use std::{collections::HashMap, sync::Arc};

use protector_core::Core;
use protector_types::{Clock, OperationId};
use protector_workflow::{CallScope, Control, FaultHook};
use tokio::{
    sync::{broadcast, mpsc},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use config::EngineConfig;

use crate::{claims::Watch, driver::Driver};

/// One engine.
pub struct Engine {
    /// Name of this process, new at every start: a restarted engine is another engine.
    pub id: String,
    /// The product.
    pub core: Core,
    /// Knobs.
    pub config: EngineConfig,
    /// Test hook.
    pub hook: Arc<dyn FaultHook>,
    /// Lease check on the way out.
    pub scope: Arc<dyn CallScope>,
}

/// Completes when something is to be looked at: at one operation, or (a ring was missed) at all.
pub(crate) async fn rung(bell: &mut broadcast::Receiver<OperationId>) -> Option<OperationId> {
    match bell.recv().await {
        Ok(operation) => Some(operation),
        Err(broadcast::error::RecvError::Lagged(_)) => None,
        Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
    }
}

/// What this engine drives right now.
#[derive(Default)]
struct Driven {
    tasks: JoinSet<OperationId>,
    operations: HashMap<tokio::task::Id, OperationId>,
    controls: HashMap<OperationId, mpsc::UnboundedSender<Control>>,
}

impl Engine {
    fn clock(&self) -> &Arc<dyn Clock> {
        self.core.clock()
    }

    /// Runs until `shutdown`, then drains: claims nothing more, lets go of what it drives, within the drain time.
    pub async fn run(self, shutdown: CancellationToken) {
        let engine = Arc::new(self);
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".into());
        if let Err(error) = engine.core.store().engine_started(&engine.id, &host).await {
            tracing::warn!(%error, "the engine could not announce itself");
        }
        tracing::info!(engine = %engine.id, "engine started");
        let reconcilers = AbortOnDropHandle::new(tokio::spawn(reconcilers::run(
            engine.clone(),
            shutdown.clone(),
        )));
        let mut driven = Driven::default();
        let mut watch = Watch::new(engine.config.lease);
        let mut bell = engine.core.bell();
        while !shutdown.is_cancelled() {
            engine.tick(&mut watch, &mut driven).await;
            tokio::select! {
                () = engine.clock().sleep(engine.config.poll) => {}
                _ = rung(&mut bell) => {}
                () = shutdown.cancelled() => {}
            }
        }
        engine.drain(&mut driven).await;
        let _ = reconcilers.await;
        if let Err(error) = engine.core.store().engine_stopped(&engine.id).await {
            tracing::warn!(%error, "the engine could not sign off");
        }
    }

    async fn tick(self: &Arc<Self>, watch: &mut Watch, driven: &mut Driven) {
        while let Some(ended) = driven.tasks.try_join_next_with_id() {
            let task = ended.map_or_else(
                |error| {
                    tracing::error!(%error, "a driver panicked; its operation is claimed again");
                    error.id()
                },
                |(task, _)| task,
            );
            if let Some(operation) = driven.operations.remove(&task) {
                driven.controls.remove(&operation);
            }
        }
        let claimable = match self.core.store().claimable(self.config.claim_batch).await {
            Ok(claimable) => claimable,
            Err(error) => {
                tracing::warn!(%error, "cannot look for operations");
                return;
            }
        };
        let controls = &driven.controls;
        let now = self.clock().monotonic();
        let due = watch.due(&claimable, now, &self.id, |id| controls.contains_key(&id));
        for candidate in due {
            let claimed = self
                .core
                .store()
                .claim(candidate.id, &self.id, candidate.owner.as_deref(), candidate.heartbeat)
                .await;
            match claimed {
                Ok(Some(fence)) => {
                    let (sender, control) = mpsc::unbounded_channel();
                    driven.controls.insert(candidate.id, sender);
                    let driver = Driver { engine: self.clone(), operation: candidate.id, fence };
                    let task = driven.tasks.spawn(driver.drive(control));
                    driven.operations.insert(task.id(), candidate.id);
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(operation = %candidate.id, %error, "cannot claim"),
            }
        }
    }

    async fn drain(&self, driven: &mut Driven) {
        for control in driven.controls.values() {
            // A driver that has just ended has dropped its end; nothing to release then.
            let _ = control.send(Control::Release);
        }
        let all = async { while driven.tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = tokio::time::sleep(self.config.drain) => {
                tracing::warn!("drain time is over; what is left will be taken over when its lease ends");
            }
        }
    }
}
