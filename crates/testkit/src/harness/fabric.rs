//! The real adapters over a simulated world in process: what `server` wires over sockets and a database.

use std::sync::Arc;

use async_trait::async_trait;
use protector_flasharray::FlashArray;
use protector_http::{Client, Transport};
use protector_openstack::{AuthMethod, Credentials, Scope, Site as Entrance};
use protector_operations::GroupPush;
use protector_ports::{Cloud, Fabric, Identity, PeerSite, PortError, PortResult, ReplicationArray};
use protector_sim::world::World;
use protector_types::{Clock, GroupId, ProjectId, Secret, Site, SiteId};

/// Fresh sessions and clients of one engine.
pub struct SimFabric {
    ids: [SiteId; 2],
    entrances: [Entrance; 2],
    arrays: [FlashArray; 2],
}

impl SimFabric {
    /// Nobody is called yet.
    pub fn new(
        world: &World,
        ids: [SiteId; 2],
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let client = Client::new(transport, clock);
        let entrances = [0, 1].map(|at: usize| {
            let cloud = &world.sites()[at].cloud;
            let method = AuthMethod::Password {
                user: "protector".into(),
                user_domain: "Default".into(),
                password: Secret::new("protector-password"),
                project: "service".into(),
                project_domain: "Default".into(),
            };
            let url = format!("http://{}.sim/identity/v3", cloud.name);
            let credentials = Credentials::password(&url, Some(&cloud.region), method);
            Entrance::new(client.clone(), &cloud.name, credentials)
        });
        let arrays = [0, 1].map(|at: usize| {
            let array = &world.sites()[at].array;
            let token = Secret::new(array.config().admin_token());
            FlashArray::new(&client, "array", &format!("https://{}.sim", array.name()), token)
        });
        Self { ids, entrances, arrays }
    }

    fn at(&self, site: SiteId) -> PortResult<usize> {
        self.ids.iter().position(|id| *id == site).ok_or_else(|| PortError::Absent {
            service: "harness".into(),
            message: format!("there is no site {site}"),
        })
    }
}

/// The plays have one Protector.
fn no_peer<T>() -> PortResult<T> {
    Err(PortError::Transient {
        service: "peer".into(),
        message: "the property harness has no second Protector".into(),
        retry_after: None,
    })
}

/// What `validate` asks, and no step.
fn not_in_a_plan<T>(what: &str) -> PortResult<T> {
    Err(PortError::Invalid {
        service: "harness".into(),
        message: format!("{what} when a site is validated, not by a step"),
    })
}

#[async_trait]
impl Fabric for SimFabric {
    async fn cloud(&self, site: SiteId, project: &ProjectId) -> PortResult<Arc<dyn Cloud>> {
        Ok(self.entrances[self.at(site)?].cloud(Scope::Project(project.clone())))
    }

    /// The plays' tenants have delegated nothing: as our service user.
    async fn cloud_as(
        &self,
        site: SiteId,
        project: &ProjectId,
        _user_id: &str,
    ) -> PortResult<Arc<dyn Cloud>> {
        self.cloud(site, project).await
    }

    async fn service_cloud(&self, site: SiteId) -> PortResult<Arc<dyn Cloud>> {
        Ok(self.entrances[self.at(site)?].cloud(Scope::Own))
    }

    async fn prove_trust(&self, _site: SiteId, _trust: &Secret) -> PortResult<()> {
        not_in_a_plan("a trust is proved")
    }

    async fn may_member_manage(&self, _site: SiteId, _project: &ProjectId) -> PortResult<bool> {
        not_in_a_plan("the manage right is probed")
    }

    async fn identity(&self, site: SiteId) -> PortResult<Arc<dyn Identity>> {
        Ok(self.entrances[self.at(site)?].identity())
    }

    async fn array(&self, _group: GroupId, site: SiteId) -> PortResult<Arc<dyn ReplicationArray>> {
        Ok(Arc::new(self.arrays[self.at(site)?].clone()))
    }

    async fn array_at(&self, url: &str, _token: &Secret) -> PortResult<Arc<dyn ReplicationArray>> {
        Err(PortError::Absent {
            service: "harness".into(),
            message: format!("arrays are reached by site, not as {url}"),
        })
    }

    async fn peer(&self, _site: SiteId) -> PortResult<Arc<dyn PeerSite>> {
        no_peer()
    }

    async fn peer_at(&self, _site: &Site, _password: &Secret) -> PortResult<Arc<dyn PeerSite>> {
        no_peer()
    }

    async fn identity_at(&self, site: &Site, _password: &Secret) -> PortResult<Arc<dyn Identity>> {
        self.identity(site.id).await
    }

    async fn forget(&self, _site: SiteId) {}
}

/// The peer takes every document.
pub struct Pushes;

#[async_trait]
impl GroupPush for Pushes {
    async fn push_group(&self, _group: GroupId) -> PortResult<()> {
        Ok(())
    }
}
