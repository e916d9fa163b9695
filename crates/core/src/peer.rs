//! Two sites, one truth: what the peer asks of us, and how our copies are named to it.

use std::time::Duration;

use protector_ports::{GroupStamp, PeerInfo, PeerSite, PortError, SiteHandover, SiteSeen};
use protector_store::{GroupFilter, Scope, whole_list};
use protector_types::{
    Code, Fence, GroupDocument, GroupId, ProtectionGroup, Refusal, Secret, SiteId, TenantMapping,
    TenantMappingId,
};
use sha2::{Digest, Sha256};

use crate::{Core, errors};

/// How long a caller waits for word from the peer, in real time whatever the injected clock does: a person waits. The
/// whole request is to be answered within 3 s.
pub(crate) const PEER_PATIENCE: Duration = Duration::from_millis(2_500);

/// The stamp of a document. The digest covers everything in it.
pub fn stamp(document: &GroupDocument) -> GroupStamp {
    let bytes = serde_json::to_vec(document).unwrap_or_default();
    let digest = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    let group = &document.group;
    GroupStamp {
        epoch: group.epoch,
        epochs_before: group.epochs_before.clone(),
        version: group.version,
        primary: group.current_primary_site_id,
        digest,
    }
}

/// Our own database as a party of a peer call.
pub(crate) fn own(error: protector_store::StoreError) -> PortError {
    PortError::Unknown { service: "our database".into(), message: error.to_string() }
}

impl Core {
    /// The peer, if it answers in time.
    ///
    /// # Errors
    /// PeerUnreachable with the documented sentence.
    pub(crate) async fn require_peer(
        &self,
        site: SiteId,
    ) -> Result<std::sync::Arc<dyn PeerSite>, Refusal> {
        let look = async {
            let peer = self.fabric.peer(site).await?;
            peer.info().await.map(|_| peer)
        };
        match tokio::time::timeout(PEER_PATIENCE, look).await {
            Ok(Ok(peer)) => Ok(peer),
            Ok(Err(error)) => {
                tracing::warn!(%site, %error, "the peer does not answer as it should");
                Err(Refusal::peer_unreachable())
            }
            Err(_) => Err(Refusal::peer_unreachable()),
        }
    }

    /// Every group's document, for those who look after all of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn all_documents(&self) -> Result<Vec<GroupDocument>, Refusal> {
        let groups = whole_list(
            |group: &ProtectionGroup| group.id.to_string(),
            |page| async move {
                self.store.list_groups(&Scope::System, &GroupFilter::default(), &page).await
            },
        );
        let mut all = Vec::new();
        for group in groups.await.map_err(errors::store)? {
            let document = self.store.group_document(&Scope::System, group.id).await;
            all.push(document.map_err(errors::store)?);
        }
        Ok(all)
    }

    /// Why the peer's copy of a group is not certainly the same as ours; `None`: it is.
    pub async fn copies_differ(&self, document: &GroupDocument) -> Option<String> {
        match self.sync_of(document).await {
            Ok(sync) if sync.status == protector_types::SyncState::InSync => None,
            Ok(sync) => Some(format!("{} ({})", sync.status, sync.reason.unwrap_or_default())),
            Err(refusal) => Some(refusal.to_string()),
        }
    }

    // What the peer asks of us, from /v1/peer/...

    /// Who we are.
    ///
    /// # Errors
    /// SiteError before the local site is registered.
    pub async fn peer_info(&self) -> Result<PeerInfo, Refusal> {
        let site_id = self.store.own_site_id().await.map_err(errors::store)?;
        let sites = self.store.all_sites().await.map_err(errors::store)?;
        let name = sites.iter().find(|site| site.id == site_id).map(|site| site.name.clone());
        let sees = sites.into_iter().filter(|site| site.id != site_id).map(|site| SiteSeen {
            site_id: site.id,
            status: site.status,
            reason: site.status_reason,
            observed_at: site.status_observed_at,
        });
        Ok(PeerInfo {
            site_id,
            site_name: name.unwrap_or_default(),
            version: crate::API_VERSION.into(),
            now: self.clock.now(),
            sees: sees.collect(),
        })
    }

    /// Takes a site record that the peer hands over: ours (if we have none yet) or its own.
    ///
    /// # Errors
    /// RequestInvalidValue for a record of a third site, AlreadyExists for a name in use.
    pub async fn accept_site(&self, handover: SiteHandover) -> Result<(), Refusal> {
        let own = self.store.own_site_id().await.map_err(errors::store)?;
        let mut site = handover.site;
        if site.is_local != (site.id == own) {
            return Err(Refusal::new(
                Code::RequestInvalidValue,
                format!(
                    "site {}: this Protector runs in site {own}; check the protector_url that the peer uses",
                    site.id
                ),
            ));
        }
        if site.is_local && self.store.site(own).await.is_ok() {
            // An operator has registered it here already: his record stays.
            return Ok(());
        }
        site.status_observed_at = None;
        site.status = protector_types::SiteStatus::Registering;
        let stored = match self.store.site(site.id).await {
            Ok(_) => self.store.update_site(&site, Some(&handover.password)).await,
            Err(_) => self.store.insert_site(&site, &handover.password).await,
        };
        stored.map_err(errors::store)?;
        self.fabric.forget(site.id).await;
        self.observe(&site).await;
        Ok(())
    }

    /// Takes a tenant mapping that was made at the peer.
    ///
    /// # Errors
    /// AlreadyExists for another mapping of the same projects.
    pub async fn accept_tenant_mapping(&self, mapping: TenantMapping) -> Result<(), Refusal> {
        match self.store.tenant_mapping(mapping.id).await {
            Ok(_) => Ok(()),
            Err(_) => self.store.insert_tenant_mapping(&mapping).await.map_err(errors::store),
        }
    }

    /// Drops a tenant mapping that was deleted at the peer.
    ///
    /// # Errors
    /// The database's.
    pub async fn drop_tenant_mapping(&self, id: TenantMappingId) -> Result<(), Refusal> {
        let mapping = match self.tenant_mapping(id).await {
            Ok(mapping) => mapping,
            Err(refusal) if refusal.code == Code::NotFound => return Ok(()),
            Err(refusal) => return Err(refusal),
        };
        self.store.delete_tenant_mapping(id).await.map_err(errors::store)?;
        self.unmapped(&mapping).await
    }

    /// Our copy's stamp.
    ///
    /// # Errors
    /// NotFound.
    pub async fn group_stamp(&self, id: GroupId) -> Result<GroupStamp, Refusal> {
        Ok(stamp(&self.store.group_document(&Scope::System, id).await.map_err(errors::store)?))
    }

    /// The group was deleted at the peer.
    ///
    /// # Errors
    /// The database's.
    pub async fn drop_group(&self, id: GroupId) -> Result<(), Refusal> {
        match self.store.delete_group(id, None).await.map_err(errors::store) {
            Err(refusal) if refusal.code == Code::NotFound => Ok(()),
            other => other,
        }
    }

    /// Takes an array token, to be stored under our own key.
    ///
    /// # Errors
    /// NotFound for a group that we do not know.
    pub async fn accept_array_token(
        &self,
        group: GroupId,
        site: SiteId,
        token: Secret,
    ) -> Result<(), Refusal> {
        self.store.set_array_token(group, site, &token).await.map_err(errors::store)
    }

    /// Takes how servers were before they were fenced. Older records than ours change nothing.
    ///
    /// # Errors
    /// NotFound for a group that we do not know.
    pub async fn accept_fences(&self, group: GroupId, fences: Vec<Fence>) -> Result<(), Refusal> {
        self.store.put_fences(group, &fences).await.map_err(errors::store)
    }
}
