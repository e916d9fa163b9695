//! The one implementation of [`Fabric`]: sessions and clients for sites, arrays and the peer, made on first use and
//! shared.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use moka::future::Cache;
use parking_lot::Mutex;
use protector_client::{PeerClient, TokenSource, classify};
use protector_flasharray::FlashArray;
use protector_http::{Client, ServiceOptions, SocketTransport, TlsOptions, Transport};
use protector_openstack::{
    AuthMethod, Credentials, OpenStackCloud, Scope as SessionScope, Session, Site as Entrance,
};
use protector_ports::{
    ArrayDriver, Cloud, Fabric, Identity, PeerSite, PortError, PortResult, ReplicationArray,
};
use protector_store::{Scope, Store, StoreError};
use protector_types::{
    Clock, Delegation, DelegationState, GroupId, ProjectId, Secret, Site, SiteId,
};
use sha2::{Digest, Sha256};

use crate::{Config, config::KeystoneConfig, hooks::HookedTransport};

/// Service type of our API in the catalog.
const SERVICE_TYPE: &str = "disaster-recovery";

/// How long what our database says of an array or a delegation is used without another look. A step takes several
/// calls, and another process may change either; a group that an operation holds cannot change its policy.
const BOOKS_AGE: Duration = Duration::from_secs(5);

/// More groups, sites and users than any engine drives at once.
const BOOKS_SIZE: u64 = 10_000;

/// How long the probe's trust could live if it were not removed.
const PROBE_LIFE: chrono::Duration = chrono::Duration::minutes(5);

/// Wires adapters to ports.
pub struct Wiring {
    store: Store,
    clock: Arc<dyn Clock>,
    hook: Arc<dyn protector_workflow::FaultHook>,
    keystone: KeystoneConfig,
    array_client: Client,
    sites: Mutex<HashMap<SiteId, Arc<Connected>>>,
    connecting: tokio::sync::Mutex<()>,
    drivers: Vec<Arc<dyn ArrayDriver>>,
    arrays: Mutex<HashMap<(String, [u8; 32]), Opened>>,
    array_of: Cache<(GroupId, SiteId), Opened>,
    trust_of: Cache<(SiteId, ProjectId, String), Option<(Delegation, Secret)>>,
}

/// An array with its session.
type Opened = Arc<dyn ReplicationArray>;

/// A site with its sessions and, if it is not ours, the way to its Protector.
struct Connected {
    entrance: Entrance,
    client: Client,
    protector_url: Option<String>,
}

impl Wiring {
    /// Nobody is called. An array whose address none of `drivers` knows is a FlashArray.
    ///
    /// # Errors
    /// When the arrays' certificates cannot be read.
    pub fn new(
        config: &Config,
        store: Store,
        clock: Arc<dyn Clock>,
        hook: Arc<dyn protector_workflow::FaultHook>,
        drivers: Vec<Arc<dyn ArrayDriver>>,
    ) -> anyhow::Result<Self> {
        let tls = TlsOptions { ca_pem: config.array_ca.clone(), insecure: config.array_insecure };
        let array_client = client(&tls, &clock, &hook)
            .map_err(|e| anyhow::anyhow!("[flasharray] ca_file: {e}"))?;
        Ok(Self {
            store,
            clock,
            hook,
            keystone: config.keystone.clone(),
            array_client,
            sites: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            drivers,
            arrays: Mutex::default(),
            array_of: Cache::builder().max_capacity(BOOKS_SIZE).time_to_live(BOOKS_AGE).build(),
            trust_of: Cache::builder().max_capacity(BOOKS_SIZE).time_to_live(BOOKS_AGE).build(),
        })
    }

    async fn connected(&self, id: SiteId) -> PortResult<Arc<Connected>> {
        if let Some(known) = self.sites.lock().get(&id) {
            return Ok(known.clone());
        }
        // One at a time: a hundred steps that begin together must not each read the trust store.
        let _connecting = self.connecting.lock().await;
        if let Some(known) = self.sites.lock().get(&id) {
            return Ok(known.clone());
        }
        let connected = Arc::new(match self.store.site(id).await {
            Ok(site) => {
                let password = self.store.site_password(id).await.map_err(own)?;
                self.connect(&site, &password)?
            }
            // Before its registration the local site is known from our own configuration: tokens must be validated.
            Err(StoreError::NotFound { .. })
                if self.store.own_site_id().await.map_err(own)? == id =>
            {
                self.connect_configured()?
            }
            Err(error) => return Err(own(error)),
        });
        Ok(self.sites.lock().entry(id).or_insert(connected).clone())
    }

    fn connect(&self, site: &Site, password: &Secret) -> PortResult<Connected> {
        let method = match (&site.application_credential_id, &site.username) {
            (Some(id), _) => {
                AuthMethod::ApplicationCredential { id: id.clone(), secret: password.clone() }
            }
            (None, user) => AuthMethod::Password {
                user: user.clone().unwrap_or_default(),
                user_domain: site.user_domain_name.clone(),
                password: password.clone(),
                project: site.project_name.clone().unwrap_or_default(),
                project_domain: site.project_domain_name.clone(),
            },
        };
        let tls = TlsOptions { ca_pem: site.ca_cert.clone(), insecure: site.insecure };
        self.connect_with(
            &site.name,
            &site.auth_url,
            site.region_name.as_deref(),
            method,
            &tls,
            site.protector_url.clone(),
        )
    }

    fn connect_configured(&self) -> PortResult<Connected> {
        let keystone = &self.keystone;
        let method = AuthMethod::Password {
            user: keystone.username.clone(),
            user_domain: keystone.user_domain_name.clone(),
            password: keystone.password.clone(),
            project: keystone.project_name.clone(),
            project_domain: keystone.project_domain_name.clone(),
        };
        let tls = TlsOptions { ca_pem: keystone.ca_pem.clone(), insecure: keystone.insecure };
        self.connect_with(
            "local",
            &keystone.auth_url,
            keystone.region_name.as_deref(),
            method,
            &tls,
            None,
        )
    }

    fn connect_with(
        &self,
        name: &str,
        auth_url: &str,
        region: Option<&str>,
        method: AuthMethod,
        tls: &TlsOptions,
        protector_url: Option<String>,
    ) -> PortResult<Connected> {
        let client = client(tls, &self.clock, &self.hook)
            .map_err(|message| PortError::Invalid { service: format!("site {name}"), message })?;
        let entrance =
            Entrance::new(client.clone(), name, Credentials::password(auth_url, region, method));
        Ok(Connected { entrance, client, protector_url })
    }

    async fn peer_of(&self, site: &Connected, name: &str) -> PortResult<Arc<dyn PeerSite>> {
        let url = match &site.protector_url {
            Some(url) => url.clone(),
            None => site.entrance.identity().endpoint(SERVICE_TYPE).await?,
        };
        let session = site.entrance.session(SessionScope::Own);
        let options = || ServiceOptions { classify, ..ServiceOptions::default() };
        let service = site.client.service_with("protector", name, options);
        Ok(Arc::new(PeerClient::new(service, &url, Arc::new(SessionTokens(session)))))
    }
}

impl Wiring {
    /// The trust of a user that is in force as far as we know. Trouble with our own books must not stop an operation:
    /// our service user does the same.
    async fn trust(
        &self,
        site: SiteId,
        project: &ProjectId,
        user: &str,
    ) -> Option<(Delegation, Secret)> {
        let read = async {
            let found = self.store.delegation(site, project, user).await?;
            Ok(found.and_then(|(record, trust)| {
                let in_force = record.state == DelegationState::InForce;
                trust.filter(|_| in_force).map(|trust| (record, trust))
            }))
        };
        let key = (site, project.clone(), user.to_owned());
        match self.trust_of.try_get_with(key, read).await {
            Ok(found) => found,
            Err(error) => {
                let error: Arc<StoreError> = error;
                tracing::error!(%site, user, %error, "a user's delegation cannot be read");
                None
            }
        }
    }

    async fn trust_has_ended(&self, record: &Delegation, trust: &Secret, reason: &str) {
        self.trust_of.invalidate_all();
        if let Err(error) = self.store.end_delegation(record, trust, reason).await {
            tracing::warn!(user = record.user_id, %error, "the end of a delegation could not be recorded");
        }
    }
}

impl Wiring {
    /// The array that a group's policy names at a site, with the token stored here.
    async fn array_in_books(&self, group: GroupId, site: SiteId) -> PortResult<Opened> {
        let service = || "our database".to_owned();
        let policy = self.store.policy(&Scope::System, group).await.map_err(own)?;
        let url = policy.and_then(|p| p.array_urls.get(&site).cloned()).ok_or_else(|| {
            PortError::Invalid {
                service: service(),
                message: format!(
                    "group {group} has no replication policy with an array at site {site}"
                ),
            }
        })?;
        let token = self.store.array_token(group, site).await.map_err(own)?.ok_or_else(|| PortError::Invalid {
            service: service(),
            message: format!("no API token of the array {url} is stored here; set the policy again at this site"),
        })?;
        Ok(self.array_with(&url, &token))
    }

    /// One client an array and token, with its session.
    fn array_with(&self, url: &str, token: &Secret) -> Opened {
        let key = (url.to_owned(), Sha256::digest(token.expose()).into());
        let mut arrays = self.arrays.lock();
        let array = arrays.entry(key).or_insert_with(|| {
            let other = self.drivers.iter().find_map(|driver| driver.open(url, token));
            other.unwrap_or_else(|| {
                Arc::new(FlashArray::new(&self.array_client, "array", url, token.clone()))
            })
        });
        array.clone()
    }
}

/// With a token that must hold role `member` and nothing that says more.
async fn plain_member_manages(cloud: &OpenStackCloud) -> PortResult<bool> {
    let token = cloud.session().token().await.map_err(|error| PortError::Invalid {
        service: "keystone".into(),
        message: format!("a token of a plain member could not be had: {error}"),
    })?;
    let plain = |role: &String| ["member", "reader"].contains(&role.as_str());
    if !token.info.roles.iter().all(plain) {
        return Err(PortError::Invalid {
            service: "keystone".into(),
            message: format!("the probe's token holds {}", token.info.roles.join(", ")),
        });
    }
    match cloud.block_storage().prove_manage_right().await {
        Ok(()) => Ok(true),
        Err(PortError::Denied { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Our database as a party that a port call needs.
fn own(error: StoreError) -> PortError {
    let service = "our database".to_owned();
    match error {
        StoreError::NotFound { .. } => PortError::Absent { service, message: error.to_string() },
        StoreError::Unavailable { .. } => {
            PortError::Transient { service, message: error.to_string(), retry_after: None }
        }
        _ => PortError::Invalid { service, message: error.to_string() },
    }
}

fn client(
    tls: &TlsOptions,
    clock: &Arc<dyn Clock>,
    hook: &Arc<dyn protector_workflow::FaultHook>,
) -> Result<Client, String> {
    let sockets: Arc<dyn Transport> =
        Arc::new(SocketTransport::new(tls).map_err(|e| e.to_string())?);
    let transport = Arc::new(HookedTransport { inner: sockets, hook: hook.clone() });
    Ok(Client::new(transport, clock.clone()))
}

/// Tokens of our service user at a site.
struct SessionTokens(Arc<Session>);

#[async_trait]
impl TokenSource for SessionTokens {
    async fn token(&self) -> PortResult<Secret> {
        let token = self.0.token().await?;
        Ok(Secret::new(token.header().to_str().unwrap_or_default()))
    }

    async fn refused(&self, _token: &Secret) -> PortResult<Secret> {
        let current = self.0.token().await?;
        let token = self.0.renew(Some(&current)).await?;
        Ok(Secret::new(token.header().to_str().unwrap_or_default()))
    }
}

#[async_trait]
impl Fabric for Wiring {
    async fn cloud(&self, site: SiteId, project: &ProjectId) -> PortResult<Arc<dyn Cloud>> {
        let connected = self.connected(site).await?;
        Ok(connected.entrance.cloud(SessionScope::Project(project.clone())))
    }

    async fn cloud_as(
        &self,
        site: SiteId,
        project: &ProjectId,
        user_id: &str,
    ) -> PortResult<Arc<dyn Cloud>> {
        let connected = self.connected(site).await?;
        let scope = match self.trust(site, project, user_id).await {
            Some((record, trust)) => {
                let otherwise = Some(project.clone());
                let scope = SessionScope::Trust { id: trust.expose().to_owned(), otherwise };
                match connected.entrance.session(scope.clone()).trust_ended() {
                    None => scope,
                    Some(reason) => {
                        connected.entrance.forget(&scope);
                        self.trust_has_ended(&record, &trust, &reason).await;
                        SessionScope::Project(project.clone())
                    }
                }
            }
            None => SessionScope::Project(project.clone()),
        };
        Ok(connected.entrance.cloud(scope))
    }

    async fn service_cloud(&self, site: SiteId) -> PortResult<Arc<dyn Cloud>> {
        Ok(self.connected(site).await?.entrance.cloud(SessionScope::Own))
    }

    async fn prove_trust(&self, site: SiteId, trust: &Secret) -> PortResult<()> {
        let connected = self.connected(site).await?;
        let scope = SessionScope::Trust { id: trust.expose().to_owned(), otherwise: None };
        let proof = connected.entrance.session(scope.clone()).token().await;
        connected.entrance.forget(&scope);
        proof.map(drop)
    }

    async fn may_member_manage(&self, site: SiteId, project: &ProjectId) -> PortResult<bool> {
        let connected = self.connected(site).await?;
        let (entrance, identity) = (&connected.entrance, connected.entrance.identity());
        let in_project = entrance.session(SessionScope::Project(project.clone()));
        let trust = identity.trust_to_ourselves(&in_project, project, PROBE_LIFE).await?;
        let scope = SessionScope::Trust { id: trust.expose().to_owned(), otherwise: None };
        let cloud = entrance.cloud(scope.clone());
        let proof = plain_member_manages(&cloud).await;
        entrance.forget(&scope);
        if let Err(error) = identity.drop_trust(&trust).await {
            tracing::info!(%error, "the trust of the probe stays until it ends by itself");
        }
        proof
    }

    async fn identity(&self, site: SiteId) -> PortResult<Arc<dyn Identity>> {
        Ok(self.connected(site).await?.entrance.identity())
    }

    async fn array(&self, group: GroupId, site: SiteId) -> PortResult<Arc<dyn ReplicationArray>> {
        let read = self.array_in_books(group, site);
        let array = self.array_of.try_get_with((group, site), read).await;
        array.map_err(|error| PortError::clone(&error))
    }

    async fn array_at(&self, url: &str, token: &Secret) -> PortResult<Arc<dyn ReplicationArray>> {
        Ok(self.array_with(url, token))
    }

    async fn peer(&self, site: SiteId) -> PortResult<Arc<dyn PeerSite>> {
        let connected = self.connected(site).await?;
        self.peer_of(&connected, &site.to_string()).await
    }

    async fn peer_at(&self, site: &Site, password: &Secret) -> PortResult<Arc<dyn PeerSite>> {
        let connected = self.connect(site, password)?;
        self.peer_of(&connected, &site.name).await
    }

    async fn identity_at(&self, site: &Site, password: &Secret) -> PortResult<Arc<dyn Identity>> {
        Ok(self.connect(site, password)?.entrance.identity())
    }

    async fn forget(&self, site: SiteId) {
        self.sites.lock().remove(&site);
    }
}
