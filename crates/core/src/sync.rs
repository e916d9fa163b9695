//! Documents on their way: pushing ours, taking the peer's, saying how the copies stand to each other.

use protector_ports::{GroupStamp, PortError, PortResult};
use protector_store::{FactsChange, Scope, StoreError};
use protector_types::{
    Code, GroupDocument, GroupId, OperationType, ProjectId, ProtectionGroup, Refusal, SiteFacts,
    SiteId, SyncState,
};

use crate::{
    Core, SyncStatus, errors,
    peer::{PEER_PATIENCE, own, stamp},
    two_sites::{Answer, Offer, Standing, answer, compare, was_restored},
};

/// How a document comes here.
pub(crate) enum Coming {
    /// Pushed by the peer, or seen there by a look of ours.
    Ordinary,
    /// By `sync-force`; in a conflict, instead of the copy that the person saw here.
    Forced(Option<GroupStamp>),
}

fn refused(standing: Standing, id: GroupId) -> Refusal {
    let why = match standing {
        Standing::Conflict => {
            format!(
                "Both sites hold different documents of group {id} (CONFLICT); choose one with sync-force and `from`"
            )
        }
        _ => format!("This site holds a newer document of group {id} than the one offered"),
    };
    Refusal::new(Code::OutOfSync, why)
}

impl Core {
    /// Pushes a group's document and has it confirmed.
    ///
    /// # Errors
    /// What the peer call gave; Conflict while the document of a forced operation waits for `sync-force`; Unknown for our
    /// own database.
    pub async fn push_group(&self, id: GroupId) -> PortResult<()> {
        let document = self.store.group_document(&Scope::System, id).await.map_err(own)?;
        let pushed = if self.is_held_back(&document.group).await.map_err(own)? {
            Err(PortError::Conflict {
                service: "protector".into(),
                message: "the document of a forced operation waits for sync-force".into(),
            })
        } else {
            self.push_document(&document).await
        };
        match pushed {
            Ok(()) => {
                let (version, epoch) = (document.group.version, document.group.epoch);
                self.store.outbox_confirmed(id, version, epoch).await.map_err(own)
            }
            Err(error) => {
                self.store.outbox_failed(id, &error.to_string()).await.map_err(own)?;
                Err(error)
            }
        }
    }

    async fn push_document(&self, document: &GroupDocument) -> PortResult<()> {
        let id = document.group.id;
        let local = self.store.own_site_id().await.map_err(own)?;
        let fences = self.store.fences(id).await.map_err(own)?;
        let peer = self.fabric.peer(document.group.other_site(local)).await?;
        peer.put_group(document).await?;
        if fences.is_empty() { Ok(()) } else { peer.put_fences(id, &fences).await }
    }

    /// True while the peer does not know the epoch that a forced operation raised here, naming this site: the document
    /// waits for `sync-force`. The returning site learns epoch and primary by itself.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_held_back(&self, group: &ProtectionGroup) -> Result<bool, StoreError> {
        let local = self.store.own_site_id().await?;
        let epoch = group.epoch;
        let Some(operation) = epoch.raised_in.filter(|_| epoch.raised_by == local) else {
            return Ok(false);
        };
        if group.current_primary_site_id != local
            || self.store.site_facts(group.id).await?.agreed_epoch == Some(epoch)
        {
            return Ok(false);
        }
        match self.store.operation(&Scope::System, operation).await {
            Ok(row) => Ok(is_forced(row.operation_type, &row.params)),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
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

    /// The peer's stamp of a group.
    pub(crate) async fn peer_stamp(&self, other: SiteId, id: GroupId) -> PortResult<GroupStamp> {
        let look = async { self.fabric.peer(other).await?.group_stamp(id).await };
        tokio::time::timeout(PEER_PATIENCE, look).await.unwrap_or_else(|_| {
            Err(PortError::Transient {
                service: "the peer".into(),
                message: "it did not answer in time".into(),
                retry_after: None,
            })
        })
    }

    pub(crate) async fn sync_of(&self, document: &GroupDocument) -> Result<SyncStatus, Refusal> {
        let ours = stamp(document);
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let other = document.group.other_site(local);
        let held_back = self.is_held_back(&document.group).await.map_err(errors::store)?;
        let (status, remote, reason) = match self.peer_stamp(other, document.group.id).await {
            Err(PortError::Absent { .. }) => (
                SyncState::OutOfSync,
                None,
                Some("the other site does not know the group yet".into()),
            ),
            Err(error) => {
                let (state, words) = crate::reach::in_words(&error);
                (state, None, Some(words))
            }
            Ok(theirs) => {
                let (state, reason) = self.verdict(local, &ours, &theirs, held_back);
                let reason = match (state, reason) {
                    (SyncState::InSync, _) => None,
                    (_, words) => self.with_way_back(other, local, words).await,
                };
                (state, Some(theirs), reason)
            }
        };
        let outbox = self.store.outbox_row(document.group.id).await.map_err(errors::store)?;
        Ok(SyncStatus {
            status,
            local_version: ours.version,
            remote_version: remote.as_ref().map(|s| s.version),
            local_epoch: ours.epoch.number,
            remote_epoch: remote.as_ref().map(|s| s.epoch.number),
            last_synced_at: outbox.and_then(|row| row.pushed_at),
            observed_at: self.clock.now(),
            reason,
        })
    }

    fn verdict(
        &self,
        local: SiteId,
        ours: &GroupStamp,
        theirs: &GroupStamp,
        held_back: bool,
    ) -> (SyncState, Option<String>) {
        let (state, words) = match compare(theirs, ours) {
            Standing::Same => return (SyncState::InSync, None),
            Standing::Older if held_back => (
                SyncState::OutOfSync,
                "this site was forced to be the primary; its document waits for sync-force",
            ),
            Standing::Older => {
                (SyncState::OutOfSync, "the other site's copy is older; it is pushed again")
            }
            Standing::Newer if was_restored(local, ours, theirs) => (
                SyncState::OutOfSync,
                "the other site's copy is newer and names epochs that this site raised and no longer knows: this \
                 database was restored from an old copy",
            ),
            Standing::Newer => (SyncState::OutOfSync, "the other site's copy is newer"),
            Standing::Conflict => (
                SyncState::Conflict,
                "both sites hold different documents of the same epoch or version; choose one with sync-force and `from`",
            ),
        };
        (state, Some(words.into()))
    }

    /// Takes a group document that the peer pushes, if it is newer.
    ///
    /// # Errors
    /// OutOfSync when ours is newer or the two conflict; Quarantined when it names another primary: then the group is
    /// read-only here, and the document waits for `sync-force`.
    pub async fn accept_group(&self, document: GroupDocument) -> Result<GroupStamp, Refusal> {
        self.accept(document, Coming::Ordinary).await
    }

    /// Takes a group document because a person says so.
    ///
    /// # Errors
    /// OutOfSync when ours is newer, or is not the copy that the person gave up.
    pub async fn accept_forced_group(
        &self,
        document: GroupDocument,
        instead_of: Option<GroupStamp>,
    ) -> Result<GroupStamp, Refusal> {
        let id = document.group.id;
        let taken = self.accept(document, Coming::Forced(instead_of)).await?;
        self.ask_release(id).await?;
        Ok(taken)
    }

    pub(crate) async fn accept(
        &self,
        document: GroupDocument,
        coming: Coming,
    ) -> Result<GroupStamp, Refusal> {
        let offered = stamp(&document);
        let id = document.group.id;
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        // Two may arrive at once: what is written is what was compared, or it is compared again.
        loop {
            let held = match self.store.group_document(&Scope::System, id).await {
                Ok(held) => Some(held),
                Err(StoreError::NotFound { .. }) => None,
                Err(error) => return Err(errors::store(error)),
            };
            let offer = match &coming {
                Coming::Ordinary => {
                    Offer::Ordinary { agreed: self.has_agreed(&offered, id, local).await? }
                }
                Coming::Forced(instead_of) => Offer::Forced { instead_of: instead_of.as_ref() },
            };
            let copy = held.as_ref().map(stamp);
            let verdict = answer(local, copy.as_ref(), &offered, offer);
            let fresh = match (verdict, &held) {
                (Answer::Keep, _) => {
                    // The peer offers the very document: it has it, whoever handed it to whom.
                    let (version, epoch) = (offered.version, offered.epoch);
                    let confirmed = self.store.outbox_confirmed(id, version, epoch).await;
                    return confirmed.map_err(errors::store).map(|()| offered);
                }
                (Answer::Refuse(standing), _) => return Err(refused(standing, id)),
                (Answer::Quarantine, Some(held)) => {
                    return Err(self.quarantine(held, &offered).await?);
                }
                (Answer::TakeAndQuarantine, Some(held)) => {
                    Some(self.new_quarantine(held, &offered).await?)
                }
                _ => None,
            };
            let change = move |facts: &mut SiteFacts| {
                if let (None, Some(fresh)) = (&facts.quarantine, &fresh) {
                    facts.quarantine = Some(fresh.clone());
                }
                if let (Answer::Take { lifts: true }, Some(quarantine)) =
                    (verdict, &mut facts.quarantine)
                {
                    quarantine.is_lifting = true;
                    quarantine.failure = None;
                }
            };
            let change: FactsChange<'_> = &change;
            let group = held.as_ref().map(|held| &held.group);
            if self
                .store
                .replace_document(&document, group, Some(change))
                .await
                .map_err(errors::store)?
            {
                tracing::info!(group = %id, version = offered.version, epoch = offered.epoch.number, ?verdict, "the peer's document was taken");
                self.end_what_is_gone(&document.group).await?;
                return Ok(offered);
            }
        }
    }

    /// This site granted its claim to the very operation that raised the offered epoch.
    async fn has_agreed(
        &self,
        offered: &GroupStamp,
        id: GroupId,
        local: SiteId,
    ) -> Result<bool, Refusal> {
        let claim = self.store.group_claim(id).await.map_err(errors::store)?;
        Ok(claim.is_some_and(|claim| {
            claim.holder_site_id != local && Some(claim.operation_id) == offered.epoch.raised_in
        }))
    }

    /// Operations that this site drives and that the document it holds now does not name end here.
    pub(crate) async fn end_what_is_gone(&self, group: &ProtectionGroup) -> Result<(), Refusal> {
        for operation in self.store.driven_here(group.id).await.map_err(errors::store)? {
            if group.current_operation_id == Some(operation) {
                continue;
            }
            if group.epoch.raised_in == Some(operation) {
                self.store.yield_operation(operation).await.map_err(errors::store)?;
                continue;
            }
            let why = match group.epoch.raised_in {
                Some(successor)
                    if group.epoch.raised_by
                        != self.store.own_site_id().await.map_err(errors::store)? =>
                {
                    format!(
                        "The group went on at the other site without this operation: superseded by {successor}"
                    )
                }
                _ => "The group went on at the other site without this operation".to_owned(),
            };
            if self.store.end_overtaken(operation, &why).await.map_err(errors::store)? {
                tracing::warn!(%operation, group = %group.id, "{why}");
            }
        }
        Ok(())
    }

    /// Looks at the peer's copy of one group and does what it asks for: takes it, or makes this site's own safe.
    pub(crate) async fn look_again(&self, id: GroupId, group: ProtectionGroup) {
        let look = async {
            let local = self.store.own_site_id().await.map_err(own)?;
            self.fabric.peer(group.other_site(local)).await?.document(id).await
        };
        match tokio::time::timeout(PEER_PATIENCE, look).await {
            Ok(Ok(document)) => {
                if let Err(refusal) = self.accept(document, Coming::Ordinary).await {
                    tracing::info!(group = %id, %refusal, "the peer's document was not taken");
                }
            }
            Ok(Err(error)) => {
                tracing::info!(group = %id, %error, "the peer's document could not be read")
            }
            Err(_) => tracing::info!(group = %id, "the peer did not show its document in time"),
        }
    }

    /// Looks at the peer's copy of one group and does what it asks for. For the engine, when an operation is not wanted
    /// any more.
    pub async fn obey_peer(&self, id: GroupId) {
        match self.store.group(&Scope::System, id).await {
            Ok(group) => self.look_again(id, group).await,
            Err(error) => tracing::warn!(group = %id, %error, "our own copy cannot be read"),
        }
    }

    /// Looks at all groups that are shared with a peer: newer copies are taken or obeyed, groups that one side has lost
    /// are handed over. For the engine, at its start and periodically.
    ///
    /// # Errors
    /// When the peer cannot be asked; our own database.
    pub async fn look_at_peer(&self, other: SiteId) -> PortResult<()> {
        let local = self.store.own_site_id().await.map_err(own)?;
        let theirs = self.fabric.peer(other).await?.group_stamps(local).await?;
        let ours = self.store.all_groups().await.map_err(own)?;
        for (id, stamp) in &theirs {
            let held = ours.iter().find(|group| group.id == *id);
            if held.is_some_and(|held| (held.epoch, held.version) == (stamp.epoch, stamp.version)) {
                continue;
            }
            let newer = held.is_none_or(|held| {
                (stamp.epoch.number, stamp.version) > (held.epoch.number, held.version)
            });
            if newer {
                let document = self.fabric.peer(other).await?.document(*id).await?;
                if let Err(refusal) = self.accept(document, Coming::Ordinary).await {
                    tracing::debug!(group = %id, %refusal, "the peer's document was not taken");
                }
            }
        }
        let shared = ours.iter().filter(|group| group.other_site(local) == other);
        for group in shared.filter(|group| theirs.iter().all(|(id, _)| *id != group.id)) {
            // It knew the group once: its database was lost or restored.
            self.store.hand_over_again(group.id).await.map_err(own)?;
        }
        Ok(())
    }

    // What the peer asks of us.

    /// Our copy's stamps of the groups that we share with a site. Digests are left out: they are compared one by one.
    ///
    /// # Errors
    /// The database's.
    pub async fn group_stamps(&self, with: SiteId) -> Result<Vec<(GroupId, GroupStamp)>, Refusal> {
        let groups = self.store.all_groups().await.map_err(errors::store)?;
        let shared = groups
            .into_iter()
            .filter(|group| [group.primary_site_id, group.secondary_site_id].contains(&with));
        Ok(shared
            .map(|group| {
                let stamp = GroupStamp {
                    epoch: group.epoch,
                    epochs_before: group.epochs_before,
                    version: group.version,
                    primary: group.current_primary_site_id,
                    digest: String::new(),
                };
                (group.id, stamp)
            })
            .collect())
    }

    /// Our whole copy of a group, for the peer. It asks because its own is behind: its database may have been restored,
    /// and how servers were before they were fenced, and what has happened since, is outside the document. It gets that, too.
    ///
    /// # Errors
    /// NotFound.
    pub async fn show_document(&self, id: GroupId) -> Result<GroupDocument, Refusal> {
        let document = self.group_document(id).await?;
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let (core, other) = (self.clone(), document.group.other_site(local));
        self.store.hand_history_over_again(id).await.map_err(errors::store)?;
        tokio::spawn(async move { core.hand_fences_over(id, other).await });
        Ok(document)
    }

    /// Our whole copy of a group.
    ///
    /// # Errors
    /// NotFound.
    pub async fn group_document(&self, id: GroupId) -> Result<GroupDocument, Refusal> {
        self.store.group_document(&Scope::System, id).await.map_err(errors::store)
    }
}

/// True for an operation that needs nobody's leave: a forced failover, or one that was taken over.
pub fn is_forced(operation: OperationType, params: &serde_json::Value) -> bool {
    let forced = params.get("force").and_then(serde_json::Value::as_bool).unwrap_or_default();
    let may_be = matches!(operation, OperationType::Failover | OperationType::Failback);
    forced && may_be
}
