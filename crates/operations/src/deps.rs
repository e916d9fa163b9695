//! What steps are made with.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use protector_ports::{Cloud, Fabric, PortResult, ReplicationArray};
use protector_types::{GroupId, ProjectId, SiteId};
use serde::{Deserialize, Serialize};

use crate::watch::Watch;

/// Pushes a group's document to the other site.
#[async_trait]
pub trait GroupPush: Send + Sync {
    /// Ensure: the peer holds our current document.
    async fn push_group(&self, group: GroupId) -> PortResult<()>;
}

/// Shared by all steps of all operations.
#[derive(Clone)]
pub struct Deps {
    /// The world.
    pub fabric: Arc<dyn Fabric>,
    /// The peer's copy.
    pub push: Arc<dyn GroupPush>,
    /// Ids learnt from an answer, by marker: spares a list call while we wait. Never the truth: a look by marker
    /// works without.
    hints: Arc<Mutex<HashMap<String, String>>>,
    /// Lists that steps which wait share.
    pub(crate) watch: Arc<Watch>,
}

impl Deps {
    /// For the planner.
    pub fn new(fabric: Arc<dyn Fabric>, push: Arc<dyn GroupPush>) -> Self {
        Self { fabric, push, hints: Arc::default(), watch: Arc::default() }
    }

    /// Remembers an id.
    pub fn hint(&self, marker: &str, id: &str) {
        self.hints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(marker.to_owned(), id.to_owned());
    }

    /// The id, if it was learnt in this process.
    pub fn hinted(&self, marker: &str) -> Option<String> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner).get(marker).cloned()
    }

    /// No longer needed.
    pub fn forget_hint(&self, marker: &str) {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner).remove(marker);
    }
}

/// A project at a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which site.
    pub site: SiteId,
    /// Which project there.
    pub project: ProjectId,
}

impl Place {
    /// The services, as our service user.
    pub async fn cloud(&self, deps: &Deps) -> PortResult<Arc<dyn Cloud>> {
        deps.fabric.cloud(self.site, &self.project).await
    }

    /// The services in the name of a tenant's user; `None`: as our service user.
    pub async fn cloud_as(&self, deps: &Deps, user: Option<&str>) -> PortResult<Arc<dyn Cloud>> {
        match user {
            Some(user) => deps.fabric.cloud_as(self.site, &self.project, user).await,
            None => self.cloud(deps).await,
        }
    }
}

/// The array of a group at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayPlace {
    /// Which group's policy.
    pub group: GroupId,
    /// Which site.
    pub site: SiteId,
}

impl ArrayPlace {
    /// The array.
    pub async fn array(&self, deps: &Deps) -> PortResult<Arc<dyn ReplicationArray>> {
        deps.fabric.array(self.group, self.site).await
    }
}
