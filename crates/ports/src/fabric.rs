//! How the thinking rooms get hold of a site's services, an array or the peer.

use std::sync::Arc;

use async_trait::async_trait;
use protector_types::{GroupId, ProjectId, Secret, Site, SiteId};

use crate::{
    BlockStorage, Compute, Identity, Image, Networking, PeerSite, PortResult, ReplicationArray,
};

/// As whom the calls of a [`Cloud`] are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Keystone's id of the user.
    pub user_id: String,
    /// Its name.
    pub user_name: String,
    /// A tenant's user, through a trust; else our service user.
    pub delegated: bool,
    /// Why not through the trust that was meant, if one was.
    pub reason: Option<String>,
}

/// One site's services, in one project.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Read; as whom we act right now. Logs in if nobody has yet.
    async fn actor(&self) -> PortResult<Actor>;
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
    /// The same in the name of a tenant's user, through the trust that is known of him; without one, or once Keystone no
    /// longer honours it, as our service user: [`Cloud::actor`] tells.
    async fn cloud_as(
        &self,
        site: SiteId,
        project: &ProjectId,
        user_id: &str,
    ) -> PortResult<Arc<dyn Cloud>>;
    /// The services of a site as an administrator: our service user in its own project. For locks (a lock from the
    /// server's own project is the tenant's to undo) and for lists that members may not read (pools, extra specs).
    async fn service_cloud(&self, site: SiteId) -> PortResult<Arc<dyn Cloud>>;
    /// Read; logs in with a trust to our service user at a site. Denied when Keystone does not honour it.
    async fn prove_trust(&self, site: SiteId, trust: &Secret) -> PortResult<()>;
    /// Read; may a plain member of the project manage array volumes into Cinder? Proved by a manage request that cannot
    /// work, with a token that holds role `member` alone (a trust of our service user to itself, gone afterwards).
    async fn may_member_manage(&self, site: SiteId, project: &ProjectId) -> PortResult<bool>;
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
