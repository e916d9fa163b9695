//! Two sites, one truth: pushing group documents, taking the peer's, saying how the copies stand to each other.

use std::time::Duration;

use protector_ports::{GroupStamp, PeerInfo, PeerSite, PortError, PortResult, SiteHandover};
use protector_store::{GroupFilter, PageRequest, Scope};
use protector_types::{
    Code, Fence, GroupDocument, GroupId, OperationId, ProjectId, Refusal, Secret, SiteId,
    SyncState, TenantMapping, TenantMappingId,
};
use sha2::{Digest, Sha256};

use crate::{Core, SyncStatus, errors};

/// How long a caller waits for word from the peer, in real time whatever the injected clock does: a person waits. The
/// whole request is to be answered within 3 s.
const PEER_PATIENCE: Duration = Duration::from_millis(2_500);

/// How two copies of a document stand to each other. Pure; the model of the protocol uses it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The same.
    Same,
    /// The offered one is newer.
    Newer,
    /// The offered one is older.
    Older,
    /// Both claim the same epoch number, or the same version with other content.
    Conflict,
}

/// Compares what is offered with what is held (3-workflows.md section 6).
pub fn compare(offered: &GroupStamp, held: &GroupStamp) -> Standing {
    if offered.epoch != held.epoch {
        return if offered.epoch > held.epoch { Standing::Newer } else { Standing::Older };
    }
    if offered.raised_by != held.raised_by {
        return Standing::Conflict;
    }
    match offered.version.cmp(&held.version) {
        std::cmp::Ordering::Greater => Standing::Newer,
        std::cmp::Ordering::Less => Standing::Older,
        std::cmp::Ordering::Equal if offered.digest == held.digest => Standing::Same,
        std::cmp::Ordering::Equal => Standing::Conflict,
    }
}

/// The stamp of a document. The digest covers everything in it.
pub fn stamp(document: &GroupDocument) -> GroupStamp {
    let bytes = serde_json::to_vec(document).unwrap_or_default();
    let digest = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    GroupStamp {
        epoch: document.group.epoch.number,
        raised_by: document.group.epoch.raised_by,
        version: document.group.version,
        digest,
    }
}

/// Our own database as a party of a peer call.
fn own(error: protector_store::StoreError) -> PortError {
    PortError::Unknown { service: "our database".into(), message: error.to_string() }
}

/// Why an offered document is not taken, if it is not.
fn refused(standing: Standing, id: GroupId) -> Option<Refusal> {
    let why = match standing {
        Standing::Same | Standing::Newer => return None,
        Standing::Older => {
            format!("This site holds a newer document of group {id} than the one offered")
        }
        Standing::Conflict => {
            format!("Both sites hold different documents of group {id} (CONFLICT)")
        }
    };
    Some(Refusal::new(Code::OutOfSync, why))
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

    /// Pushes a group's document and has it confirmed.
    ///
    /// # Errors
    /// What the peer call gave; Unknown for our own database.
    pub async fn push_group(&self, id: GroupId) -> PortResult<()> {
        let document = self.store.group_document(&Scope::System, id).await.map_err(own)?;
        let local = self.store.own_site_id().await.map_err(own)?;
        let fences = self.store.fences(id).await.map_err(own)?;
        let pushed = async {
            let peer = self.fabric.peer(document.group.other_site(local)).await?;
            peer.put_group(&document).await?;
            if fences.is_empty() { Ok(()) } else { peer.put_fences(id, &fences).await }
        };
        match pushed.await {
            Ok(()) => self.store.outbox_pushed(id, document.group.version).await.map_err(own),
            Err(error) => {
                self.store.outbox_failed(id, &error.to_string()).await.map_err(own)?;
                Err(error)
            }
        }
    }

    /// Hands the record of an operation that ended here to the peer, so that both sites show it.
    ///
    /// # Errors
    /// What the peer call gave; Unknown for our own database.
    pub async fn push_operation(&self, id: OperationId) -> PortResult<()> {
        let row = self.store.operation(&Scope::System, id).await.map_err(own)?;
        let group = self.store.group(&Scope::System, row.group_id).await.map_err(own)?;
        let site = group.other_site(self.store.own_site_id().await.map_err(own)?);
        let Some(project) = group.projects.get(&site) else { return Ok(()) };
        let record = serde_json::to_value(&row).map_err(|error| PortError::Invalid {
            service: "our database".into(),
            message: format!("the record of {id} cannot be written: {error}"),
        })?;
        self.fabric.peer(site).await?.put_operation(project, &record).await
    }

    /// After an ordinary commit: a push that fails leaves OUT OF SYNC, and the engine goes on trying.
    pub(crate) async fn push_soon(&self, id: GroupId) {
        match tokio::time::timeout(PEER_PATIENCE, self.push_group(id)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(group = %id, %error, "the peer did not take the group's document yet")
            }
            Err(_) => {
                tracing::warn!(group = %id, "the peer did not confirm the group's document in time")
            }
        }
    }

    /// How the two copies of a group stand to each other.
    ///
    /// # Errors
    /// NotFound.
    pub async fn sync_status(
        &self,
        project: &ProjectId,
        id: GroupId,
    ) -> Result<SyncStatus, Refusal> {
        let document = self
            .store
            .group_document(&Scope::Project(project.clone()), id)
            .await
            .map_err(errors::store)?;
        self.sync_of(&document).await
    }

    pub(crate) async fn sync_of(&self, document: &GroupDocument) -> Result<SyncStatus, Refusal> {
        let ours = stamp(document);
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let look = async {
            self.fabric
                .peer(document.group.other_site(local))
                .await?
                .group_stamp(document.group.id)
                .await
        };
        let theirs = tokio::time::timeout(PEER_PATIENCE, look).await;
        let (status, remote, reason) = match theirs {
            Err(_) => {
                (SyncState::Unreachable, None, Some("the peer did not answer in time".into()))
            }
            Ok(Err(PortError::Absent { .. })) => {
                (SyncState::OutOfSync, None, Some("the peer does not know the group yet".into()))
            }
            Ok(Err(error @ (PortError::Transient { .. } | PortError::Unknown { .. }))) => {
                (SyncState::Unreachable, None, Some(error.to_string()))
            }
            Ok(Err(error)) => (SyncState::Failed, None, Some(error.to_string())),
            Ok(Ok(theirs)) => match compare(&ours, &theirs) {
                Standing::Same => (SyncState::InSync, Some(theirs), None),
                Standing::Newer => {
                    (SyncState::OutOfSync, Some(theirs), Some("the peer's copy is older".into()))
                }
                Standing::Older => {
                    (SyncState::OutOfSync, Some(theirs), Some("the peer's copy is newer".into()))
                }
                Standing::Conflict => {
                    let reason = "both sites hold different documents of the same epoch or version";
                    (SyncState::Conflict, Some(theirs), Some(reason.into()))
                }
            },
        };
        let outbox = self.store.outbox_row(document.group.id).await.map_err(errors::store)?;
        Ok(SyncStatus {
            status,
            local_version: ours.version,
            remote_version: remote.as_ref().map(|s| s.version),
            local_epoch: ours.epoch,
            remote_epoch: remote.as_ref().map(|s| s.epoch),
            last_synced_at: outbox.and_then(|row| row.pushed_at),
            observed_at: self.clock.now(),
            reason,
        })
    }

    /// Every group's document, for those who look after all of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn all_documents(&self) -> Result<Vec<GroupDocument>, Refusal> {
        let mut page = PageRequest { limit: 1000, ..PageRequest::default() };
        let mut all = Vec::new();
        loop {
            let filter = GroupFilter::default();
            let got = self.store.list_groups(&Scope::System, &filter, &page).await;
            let got = got.map_err(errors::store)?;
            page.marker = got.items.last().map(|group| group.id.to_string());
            for group in got.items {
                let document = self.store.group_document(&Scope::System, group.id).await;
                all.push(document.map_err(errors::store)?);
            }
            if !got.more {
                return Ok(all);
            }
        }
    }

    /// Why the peer's copy of a group is not certainly the same as ours; `None`: it is.
    pub async fn copies_differ(&self, document: &GroupDocument) -> Option<String> {
        match self.sync_of(document).await {
            Ok(sync) if sync.status == SyncState::InSync => None,
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
        let name = self.store.local_site().await.map_err(errors::store)?.map(|s| s.name);
        Ok(PeerInfo {
            site_id,
            site_name: name.unwrap_or_default(),
            version: crate::API_VERSION.into(),
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

    /// Takes a group document if it is newer than ours.
    ///
    /// # Errors
    /// OutOfSync when ours is newer or the two conflict.
    pub async fn accept_group(&self, document: GroupDocument) -> Result<GroupStamp, Refusal> {
        let offered = stamp(&document);
        // Two pushes may arrive at once: what is written is what was compared, or it is compared again.
        loop {
            let held = match self
                .store
                .group_document(&Scope::System, document.group.id)
                .await
                .map_err(errors::store)
            {
                Ok(held) => Some(held),
                Err(refusal) if refusal.code == Code::NotFound => None,
                Err(refusal) => return Err(refusal),
            };
            let standing =
                held.as_ref().map_or(Standing::Newer, |held| compare(&offered, &stamp(held)));
            if let Some(refusal) = refused(standing, document.group.id) {
                return Err(refusal);
            }
            let held = held.as_ref().map(|held| &held.group);
            if standing == Standing::Same
                || self.store.replace_document(&document, held).await.map_err(errors::store)?
            {
                return Ok(offered);
            }
        }
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

    /// Takes the record of an operation that the peer drives or drove.
    ///
    /// # Errors
    /// RequestMalformed when it is none.
    pub async fn accept_operation(
        &self,
        project: ProjectId,
        record: serde_json::Value,
    ) -> Result<(), Refusal> {
        let mut row: protector_store::OperationRow =
            serde_json::from_value(record).map_err(|e| {
                Refusal::new(Code::RequestMalformed, format!("not an operation's record: {e}"))
            })?;
        // The same group belongs to the mapped project here.
        row.project_id = project;
        self.store.put_remote_operation(&row).await.map_err(errors::store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(epoch: u64, raised_by: u128, version: u64, digest: &str) -> GroupStamp {
        GroupStamp {
            epoch,
            raised_by: SiteId(uuid::Uuid::from_u128(raised_by)),
            version,
            digest: digest.into(),
        }
    }

    #[test]
    fn the_epoch_decides_before_the_version() {
        assert_eq!(compare(&stamp(2, 1, 3, "x"), &stamp(1, 1, 9, "y")), Standing::Newer);
        assert_eq!(compare(&stamp(1, 1, 9, "x"), &stamp(2, 2, 3, "y")), Standing::Older);
        assert_eq!(compare(&stamp(1, 1, 4, "x"), &stamp(1, 1, 3, "y")), Standing::Newer);
    }

    #[test]
    fn one_epoch_from_two_sites_is_a_conflict_whatever_the_versions() {
        assert_eq!(compare(&stamp(2, 1, 9, "x"), &stamp(2, 2, 3, "y")), Standing::Conflict);
        assert_eq!(compare(&stamp(2, 1, 3, "x"), &stamp(2, 1, 3, "y")), Standing::Conflict);
        assert_eq!(compare(&stamp(2, 1, 3, "x"), &stamp(2, 1, 3, "x")), Standing::Same);
    }
}
