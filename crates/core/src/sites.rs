//! Sites: registration (which exchanges the records with the peer), changes, validation.

use protector_ports::{PortError, SiteHandover, VolumeType};
use protector_store::{Page, PageRequest};
use protector_types::{Code, Refusal, Secret, Site, SiteId, SiteStatus};

use crate::{Core, NewSite, SiteChange, ValidationReport, errors, validation};

impl Core {
    /// Registers the local site, or the peer. The local one takes the id that this Protector made at its first start;
    /// the peer is asked for its own, and is handed both records, so that ids are equal on both sides.
    ///
    /// # Errors
    /// AlreadyExists; SiteError with the reason when credentials or addresses do not work; nothing is stored then.
    pub async fn register_site(&self, new: NewSite) -> Result<Site, Refusal> {
        check_new(&new)?;
        let password = new.password.clone();
        let mut site = self.record(new).await?;
        if site.is_local {
            let identity = self
                .fabric
                .identity_at(&site, &password)
                .await
                .map_err(errors::site("The site cannot be used"))?;
            identity
                .whoami()
                .await
                .map_err(errors::site("Keystone does not accept the site's credentials"))?;
        } else {
            site.id = self.introduce(&mut site, &password).await?;
        }
        site.status = SiteStatus::Active;
        site.status_observed_at = Some(self.clock.now());
        self.store.insert_site(&site, &password).await.map_err(errors::store)?;
        self.fabric.forget(site.id).await;
        Ok(site)
    }

    async fn record(&self, new: NewSite) -> Result<Site, Refusal> {
        let now = self.clock.now();
        Ok(Site {
            id: self.store.own_site_id().await.map_err(errors::store)?,
            name: new.name,
            description: new.description,
            auth_url: new.auth_url,
            region_name: new.region_name,
            protector_url: new.protector_url,
            username: new.username,
            project_name: new.project_name,
            user_domain_name: new.user_domain_name,
            project_domain_name: new.project_domain_name,
            application_credential_id: new.application_credential_id,
            ca_cert: new.ca_cert,
            insecure: new.insecure,
            is_local: new.is_local,
            cinder_host: new.cinder_host,
            status: SiteStatus::Registering,
            status_reason: None,
            status_observed_at: None,
            created_at: now,
        })
    }

    /// Asks the peer who it is and hands it both records.
    async fn introduce(&self, site: &mut Site, password: &Secret) -> Result<SiteId, Refusal> {
        let local = self.store.local_site().await.map_err(errors::store)?.ok_or_else(|| {
            Refusal::new(
                Code::SiteError,
                "Register the local site first (`is_local: true`), then its peer",
            )
        })?;
        let unreachable = errors::site("The Protector of the new site cannot be used");
        let peer = self.fabric.peer_at(site, password).await.map_err(&unreachable)?;
        let info = peer.info().await.map_err(&unreachable)?;
        if info.site_id == local.id {
            return Err(Refusal::new(
                Code::SiteError,
                "The new site's Protector is this Protector itself; give the peer's `protector_url`",
            ));
        }
        site.id = info.site_id;
        let own_password = self.store.site_password(local.id).await.map_err(errors::store)?;
        // From the peer's view, local and remote change places.
        let ours = SiteHandover { site: Site { is_local: false, ..local }, password: own_password };
        let theirs = SiteHandover {
            site: Site { is_local: true, ..site.clone() },
            password: password.clone(),
        };
        peer.put_site(&theirs).await.map_err(&unreachable)?;
        peer.put_site(&ours).await.map_err(&unreachable)?;
        Ok(info.site_id)
    }

    /// All sites.
    ///
    /// # Errors
    /// RequestInvalidValue for an unknown marker or sort key.
    pub async fn list_sites(&self, page: PageRequest) -> Result<Page<Site>, Refusal> {
        self.store.list_sites(&page).await.map_err(errors::store)
    }

    /// One site.
    ///
    /// # Errors
    /// NotFound.
    pub async fn site(&self, id: SiteId) -> Result<Site, Refusal> {
        self.store.site(id).await.map_err(errors::store)
    }

    /// Changes a site's record.
    ///
    /// # Errors
    /// NotFound, AlreadyExists for the name.
    pub async fn update_site(&self, id: SiteId, change: SiteChange) -> Result<Site, Refusal> {
        let mut site = self.site(id).await?;
        let password = change.password.clone();
        apply(&mut site, change);
        self.store.update_site(&site, password.as_ref()).await.map_err(errors::store)?;
        self.fabric.forget(id).await;
        self.observe(&site).await;
        self.site(id).await
    }

    /// Forgets a site.
    ///
    /// # Errors
    /// InUse while tenant mappings or groups name it.
    pub async fn delete_site(&self, id: SiteId) -> Result<(), Refusal> {
        self.store.delete_site(id).await.map_err(errors::store)?;
        self.fabric.forget(id).await;
        Ok(())
    }

    /// Replication-enabled volume types with their extra specs.
    ///
    /// # Errors
    /// NotFound; SiteError when Cinder cannot be asked.
    pub async fn site_volume_types(&self, id: SiteId) -> Result<Vec<VolumeType>, Refusal> {
        self.site(id).await?;
        let cloud = self.service_cloud(id).await?;
        let types = cloud
            .block_storage()
            .volume_types()
            .await
            .map_err(errors::site("Cinder cannot be asked"))?;
        Ok(types.into_iter().filter(crate::groups::is_replicated).collect())
    }

    /// The site's services as an administrator.
    pub(crate) async fn service_cloud(
        &self,
        id: SiteId,
    ) -> Result<std::sync::Arc<dyn protector_ports::Cloud>, Refusal> {
        self.fabric.service_cloud(id).await.map_err(errors::site("The site cannot be used"))
    }

    /// Connectivity and capability, each with ok, reason and fix. Harmless calls only.
    ///
    /// # Errors
    /// NotFound.
    pub async fn validate_site(&self, id: SiteId) -> Result<ValidationReport, Refusal> {
        let site = self.site(id).await?;
        let report = validation::validate(self, &site).await;
        self.observe(&site).await;
        Ok(report)
    }

    /// Looks whether a site answers, and records it with the time.
    pub async fn observe(&self, site: &Site) -> SiteStatus {
        let (status, reason) = match self.fabric.identity(site.id).await {
            Ok(identity) => verdict(identity.whoami().await.err()),
            Err(error) => verdict(Some(error)),
        };
        // The cloud answers; its Protector may not, or not as it should.
        let (status, reason) = match (status, site.is_local, self.store.own_site_id().await) {
            (SiteStatus::Active, false, Ok(local)) => self.peer_verdict(site.id, local).await,
            _ => (status, reason),
        };
        if let Err(error) = self.store.observe_site(site.id, status, reason.as_deref()).await {
            tracing::warn!(site = %site.name, %error, "the site's status could not be recorded");
        }
        status
    }

    /// Our own Keystone's word on a token.
    ///
    /// # Errors
    /// Unauthenticated; Unavailable when Keystone does not answer; Upstream when it refuses *us*.
    pub async fn authenticate(
        &self,
        token: &Secret,
    ) -> Result<protector_ports::TokenInfo, Refusal> {
        let own = self.store.own_site_id().await.map_err(errors::store)?;
        let identity = self.fabric.identity(own).await.map_err(keystone)?;
        match identity.validate_token(token).await {
            Ok(info) => Ok(info),
            Err(PortError::Absent { .. }) => Err(Refusal::new(
                Code::Unauthenticated,
                "The token is unknown, revoked or expired; get a new one from Keystone",
            )),
            Err(error) => Err(keystone(error)),
        }
    }
}

fn keystone(error: PortError) -> Refusal {
    tracing::error!(%error, "Keystone could not validate a token");
    match error {
        PortError::Transient { .. } | PortError::Unknown { .. } => {
            Refusal::new(Code::Unavailable, "Keystone does not answer; try again")
        }
        _ => Refusal::new(
            Code::Upstream,
            "Keystone refused Protector's own credentials; an operator has to act",
        ),
    }
}

fn verdict(error: Option<PortError>) -> (SiteStatus, Option<String>) {
    match error {
        None => (SiteStatus::Active, None),
        Some(error @ (PortError::Transient { .. } | PortError::Unknown { .. })) => {
            (SiteStatus::Unreachable, Some(error.to_string()))
        }
        Some(error) => (SiteStatus::Error, Some(error.to_string())),
    }
}

fn check_new(new: &NewSite) -> Result<(), Refusal> {
    let bad = |message: &str| Err(Refusal::new(Code::RequestInvalidValue, message));
    if new.name.trim().is_empty() {
        return bad("name: must not be empty");
    }
    if new.username.is_none() && new.application_credential_id.is_none() {
        return bad("username: give a service user or an application credential");
    }
    if new.username.is_some() && new.project_name.is_none() {
        return bad("project_name: needed with username");
    }
    if new.password.is_empty() {
        return bad("password: must not be empty");
    }
    Ok(())
}

fn apply(site: &mut Site, change: SiteChange) {
    fn set<T>(field: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *field = value;
        }
    }
    set(&mut site.name, change.name);
    set(&mut site.description, change.description);
    set(&mut site.auth_url, change.auth_url);
    set(&mut site.region_name, change.region_name.map(Some));
    set(&mut site.protector_url, change.protector_url.map(Some));
    set(&mut site.username, change.username.map(Some));
    set(&mut site.project_name, change.project_name.map(Some));
    set(&mut site.user_domain_name, change.user_domain_name);
    set(&mut site.project_domain_name, change.project_domain_name);
    set(&mut site.ca_cert, change.ca_cert.map(Some));
    set(&mut site.insecure, change.insecure);
    set(&mut site.cinder_host, change.cinder_host.map(Some));
}
