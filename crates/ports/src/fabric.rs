//! How the thinking rooms get hold of a site's services, an array or the peer.

use std::sync::Arc;

use async_trait::async_trait;
use protector_types::{GroupId, ProjectId, Secret, Site, SiteId};

use crate::{
    BlockStorage, Compute, Identity, Image, Networking, PeerSite, PortResult, ReplicationArray,
};

/// One site's services, in one project.
pub trait Cloud: Send + Sync {
    /// Nova.
    fn compute(&self) -> &dyn Compute;
    /// Cinder.
    fn block_storage(&self) -> &dyn BlockStorage;
    /// Neutron.
    fn networking(&self) -> &dyn Networking;
    /// Glance.
    fn image(&self) -> &dyn Image;
}

/// Everything outside this process. `server` wires the one implementation.
#[async_trait]
pub trait Fabric: Send + Sync {
    /// The services of a site in a mapped project, as our service user there. Sessions are shared and renew
    /// themselves; a call may fail, getting a handle does not call anybody.
    async fn cloud(&self, site: SiteId, project: &ProjectId) -> PortResult<Arc<dyn Cloud>>;
    /// Keystone of a site as our service user in its own project.
    async fn identity(&self, site: SiteId) -> PortResult<Arc<dyn Identity>>;
    /// The array of a group at a site, with the stored token.
    async fn array(&self, group: GroupId, site: SiteId) -> PortResult<Arc<dyn ReplicationArray>>;
    /// An array by address and token: for checking a policy before it is stored.
    async fn array_at(&self, url: &str, token: &Secret) -> PortResult<Arc<dyn ReplicationArray>>;
    /// The Protector at a site that is not ours.
    async fn peer(&self, site: SiteId) -> PortResult<Arc<dyn PeerSite>>;
    /// The Protector at a site that is not stored yet, by record and password.
    async fn peer_at(&self, site: &Site, password: &Secret) -> PortResult<Arc<dyn PeerSite>>;
    /// Keystone of a site that is not stored yet.
    async fn identity_at(&self, site: &Site, password: &Secret) -> PortResult<Arc<dyn Identity>>;
    /// Drops cached sessions of a site after its record changed.
    async fn forget(&self, site: SiteId);
}
