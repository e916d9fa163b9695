//! One Protector, assembled.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use protector_api::AppState;
use protector_core::Core;
use protector_engine::{
    Engine,
    sweep::{self, Sweep},
};
use protector_operations::{Deps, GroupPush, OperationsPlanner};
use protector_policy::PolicyFile;
use protector_ports::{ArrayDriver, Fabric, PortError, PortResult};
use protector_secrets::KeyRepository;
use protector_store::Store;
use protector_types::{Clock, GroupId};
use protector_workflow::FaultHook;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Config, fabric::Wiring, hooks::LeaseScope, listen::Listening};

/// Which services a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// `protector-api`.
    pub api: bool,
    /// `protector-engine`.
    pub engine: bool,
}

/// One Protector: database, adapters, product. No process-wide state: two fit into one process.
pub struct Protector {
    config: Config,
    core: Core,
    deps: Deps,
    policy: Arc<PolicyFile>,
    clock: Arc<dyn Clock>,
    hook: Arc<dyn FaultHook>,
}

/// The product's push, for the steps of operations. Set once the core stands.
#[derive(Default)]
struct LatePush(std::sync::OnceLock<Core>);

#[async_trait]
impl GroupPush for LatePush {
    async fn push_group(&self, group: GroupId) -> PortResult<()> {
        match self.0.get() {
            Some(core) => core.push_group(group).await,
            None => Err(PortError::Transient {
                service: "protector".into(),
                message: "still starting".into(),
                retry_after: None,
            }),
        }
    }
}

impl Protector {
    /// Opens keys and database (migrating it) and wires the adapters. Calls nobody outside.
    ///
    /// # Errors
    /// With the option that is wrong, or the database's words.
    pub async fn assemble(
        config: Config,
        clock: Arc<dyn Clock>,
        hook: Arc<dyn FaultHook>,
    ) -> anyhow::Result<Self> {
        Self::assemble_with(config, clock, hook, Vec::new()).await
    }

    /// The same with drivers for arrays that are no FlashArrays; each is asked in turn whether an address is its own.
    ///
    /// # Errors
    /// As [`Protector::assemble`].
    pub async fn assemble_with(
        config: Config,
        clock: Arc<dyn Clock>,
        hook: Arc<dyn FaultHook>,
        drivers: Vec<Arc<dyn ArrayDriver>>,
    ) -> anyhow::Result<Self> {
        let keys = KeyRepository::open_or_create(&config.key_directory)
            .context("[secrets] key_directory")?;
        let store = Store::connect(&config.database, Arc::new(keys), clock.clone())
            .await
            .context("[database] connection")?;
        store.migrate().await.context("the database could not be migrated")?;
        let policy = PolicyFile::open(&config.policy_file, clock.clone())
            .context("[oslo_policy] policy_file")?;
        let fabric: Arc<dyn Fabric> =
            Arc::new(Wiring::new(&config, store.clone(), clock.clone(), hook.clone(), drivers)?);
        let push = Arc::new(LatePush::default());
        let deps = Deps::new(fabric.clone(), push.clone());
        let planner = Arc::new(OperationsPlanner::new(deps.clone()));
        let core = Core::new(store, fabric, planner, clock.clone());
        // A fresh cell: nobody has set it.
        let _ = push.0.set(core.clone());
        Ok(Self { config, core, deps, policy: Arc::new(policy), clock, hook })
    }

    /// The product.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// What operations that have ended left at both sites; with `remove`, it is removed where that is safe. `named`: an
    /// operation that is not known here and that an operator holds to be dead.
    ///
    /// # Errors
    /// When our own books cannot be read.
    pub async fn leftovers(
        &self,
        remove: bool,
        named: Option<protector_types::OperationId>,
    ) -> anyhow::Result<Sweep> {
        let mut sweep = sweep::find(&self.core, &self.deps, named)
            .await
            .map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        if remove {
            sweep::remove(&self.deps, &mut sweep).await;
        }
        Ok(sweep)
    }

    /// Runs until `shutdown`; `listening` is where the API is served, bound by the caller or here.
    ///
    /// # Errors
    /// When the API cannot listen.
    pub async fn run(
        self,
        roles: Roles,
        listening: Option<Listening>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut services: JoinSet<anyhow::Result<()>> = JoinSet::new();
        if roles.api {
            let listening = match listening {
                Some(listening) => listening,
                None => Listening::bind(&self.config.bind).await?,
            };
            let router = protector_api::router(self.app_state());
            services.spawn(listening.serve(router, shutdown.clone()));
        }
        if roles.engine {
            let engine = self.engine();
            let shutdown = shutdown.clone();
            services.spawn(async move {
                engine.run(shutdown).await;
                Ok(())
            });
        }
        while let Some(ended) = services.join_next().await {
            let ended = ended.context("a service panicked").and_then(|result| result);
            if ended.is_err() {
                shutdown.cancel();
            }
            ended?;
        }
        Ok(())
    }

    fn app_state(&self) -> AppState {
        let mut builder =
            AppState::builder(Arc::new(self.core.clone()), self.policy.clone(), self.clock.clone())
                .keystone_uri(&self.config.keystone.auth_url);
        if let Some(endpoint) = &self.config.public_endpoint {
            builder = builder.public_endpoint(endpoint);
        }
        builder.build()
    }

    fn engine(&self) -> Engine {
        Engine {
            id: format!("engine-{}", uuid::Uuid::now_v7()),
            core: self.core.clone(),
            config: self.config.engine.clone(),
            hook: self.hook.clone(),
            scope: Arc::new(LeaseScope),
        }
    }
}
