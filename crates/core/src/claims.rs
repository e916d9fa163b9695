//! Claims at both sites: whoever changes a group without force holds the claim of its current primary and that of the
//! other site. Claims are leases: they are renewed, and die by the observer's own monotonic clock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use protector_ports::{ClaimAnswer, ClaimRequest, PeerSite, PortError, PortResult};
use protector_store::{GroupClaim, Scope, StoreError};
use protector_types::{
    Code, GroupDocument, GroupId, OperationId, ProjectId, ProtectionGroup, Refusal, SiteId,
};
use tokio::task::AbortHandle;

use crate::{
    Core, errors,
    peer::{PEER_PATIENCE, own, stamp},
    two_sites::{
        CLAIM_LASTS, Expiry, Grant, Held, PeerWord, Standing, TAKEOVER_AFTER, Want, claim_order,
        compare, grant,
    },
};

/// How often a change that takes its time renews its claims.
const RENEW_EVERY: Duration = Duration::from_secs(8);

/// How long a claim that is only passing is waited for, in real time: a person waits.
const CLAIM_PATIENCE: Duration = Duration::from_millis(2_500);
/// Between two attempts.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// What this process has seen of claims' renewals.
#[derive(Debug, Default)]
pub struct ClaimWatch(Mutex<HashMap<GroupId, Expiry>>);

impl ClaimWatch {
    fn is_dead(&self, claim: &GroupClaim, now: Duration) -> bool {
        let mut seen = self.0.lock();
        let (operation, renewals) = (claim.operation_id, claim.renewals);
        let expiry =
            seen.entry(claim.group_id).or_insert_with(|| Expiry::new(operation, renewals, now));
        expiry.look(operation, renewals, now) >= CLAIM_LASTS
    }

    /// For how long nobody has renewed the claim of an operation, as far as this process has watched.
    pub fn silence(&self, claim: &GroupClaim, now: Duration) -> Duration {
        let mut seen = self.0.lock();
        let (operation, renewals) = (claim.operation_id, claim.renewals);
        let expiry =
            seen.entry(claim.group_id).or_insert_with(|| Expiry::new(operation, renewals, now));
        expiry.look(operation, renewals, now)
    }

    fn forget_all_but(&self, claims: &[GroupClaim]) {
        self.0.lock().retain(|group, _| claims.iter().any(|claim| claim.group_id == *group));
    }
}

/// A change of a group under way, with the claims of both sites. Dropped without [`Core::end_change`], its claims die.
pub(crate) struct Change {
    /// The group as it is under the claims.
    pub group: ProtectionGroup,
    operation: OperationId,
    renewing: AbortHandle,
}

impl Drop for Change {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

pub(crate) fn busy(operation: OperationId) -> Refusal {
    Refusal::new(
        Code::GroupBusy,
        format!("Operation {operation} holds the group; wait until it has ended"),
    )
}

impl Core {
    /// Begins a change of a group: not busy, not quarantined, at the version that the caller knows, both sites' claims
    /// taken, both copies the same.
    ///
    /// # Errors
    /// NotFound, VersionMismatch, GroupBusy naming the winner, Quarantined, PeerUnreachable, OutOfSync. Nothing is
    /// changed then.
    pub(crate) async fn begin_change(
        &self,
        project: &ProjectId,
        id: GroupId,
        if_match: Option<u64>,
    ) -> Result<Change, Refusal> {
        self.changeable(project, id, if_match).await?;
        let scope = Scope::Project(project.clone());
        let document = self.store.group_document(&scope, id).await.map_err(errors::store)?;
        let operation = OperationId::generate();
        self.claim_both(&document, operation).await?;
        // What was read before the claims were ours may have been changed meanwhile.
        let group = match self.changeable(project, id, if_match).await {
            Ok(group) => group,
            Err(refusal) => {
                self.release_later(&document.group, operation).await;
                return Err(refusal);
            }
        };
        let core = self.clone();
        let renewing = tokio::spawn(async move {
            loop {
                core.clock.sleep(RENEW_EVERY).await;
                // A claim that is lost meanwhile shows at the commit: the version has moved.
                let _ = core.renew_claims(id, operation).await;
            }
        })
        .abort_handle();
        Ok(Change { group, operation, renewing })
    }

    /// Ends a change: what was committed is pushed, then the claims go.
    pub(crate) async fn end_change(&self, change: Change, committed: bool) {
        if committed {
            self.push_soon(change.group.id).await;
        }
        self.release_both(&change.group, change.operation).await;
    }

    /// Claims a group for an operation: both sites' claims, or with force this site's own, from whoever has it.
    ///
    /// # Errors
    /// As [`Core::begin_change`]; no claim is kept then.
    pub(crate) async fn claim_for(
        &self,
        document: &GroupDocument,
        operation: OperationId,
        needs_peer: bool,
    ) -> Result<(), Refusal> {
        if needs_peer {
            return self.claim_both(document, operation).await;
        }
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let forced = self.store.force_group_claim(document.group.id, operation, local).await;
        forced.map_err(errors::store).map(drop)
    }

    /// Takes the claims of both sites, the current primary's first, and makes sure that both hold the same document. A
    /// claim of somebody whom the document does not name as the holder is passing: of a small change, of an operation
    /// that has just ended, or of one whose acceptance will show in a moment. It is waited for, not refused.
    ///
    /// # Errors
    /// As [`Core::begin_change`]; no claim is kept then.
    pub(crate) async fn claim_both(
        &self,
        document: &GroupDocument,
        operation: OperationId,
    ) -> Result<(), Refusal> {
        let id = document.group.id;
        let mut current = document.clone();
        let mut met = None;
        let claimed = async {
            loop {
                match self.try_claims(&current, operation).await? {
                    None => return Ok(()),
                    Some(holder) if current.group.current_operation_id == Some(holder) => {
                        return Err(busy(holder));
                    }
                    Some(holder) => met = Some(holder),
                }
                tokio::time::sleep(LOOK_AGAIN).await;
                current =
                    self.store.group_document(&Scope::System, id).await.map_err(errors::store)?;
            }
        };
        if let Ok(claimed) = tokio::time::timeout(CLAIM_PATIENCE, claimed).await {
            return claimed;
        }
        // An attempt may have been cut in its middle.
        self.release_later(&document.group, operation).await;
        Err(met.map_or_else(Refusal::peer_unreachable, busy))
    }

    /// One attempt; the holder that was met, with no claim kept.
    async fn try_claims(
        &self,
        document: &GroupDocument,
        operation: OperationId,
    ) -> Result<Option<OperationId>, Refusal> {
        let group = &document.group;
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let primary = group.current_primary_site_id;
        let mut theirs = None;
        for site in claim_order(primary, group.other_site(primary)) {
            let answer = if site == local {
                self.claim_here(group.id, operation, local).await
            } else {
                self.claim_there(site, group.id, operation, local).await
            };
            match answer {
                Ok(answer) if answer.granted && site != local => theirs = Some(answer.stamp),
                Ok(answer) if answer.granted => {}
                Ok(answer) => {
                    self.release_later(group, operation).await;
                    return answer.operation_id.map(Some).ok_or_else(|| not_granted(&answer));
                }
                Err(refusal) => {
                    self.release_later(group, operation).await;
                    return Err(refusal);
                }
            }
        }
        match self.same_document(document, theirs.flatten()).await {
            Ok(()) => Ok(None),
            Err(refusal) => {
                self.release_later(group, operation).await;
                Err(refusal)
            }
        }
    }

    async fn claim_there(
        &self,
        site: SiteId,
        group: GroupId,
        operation: OperationId,
        local: SiteId,
    ) -> Result<ClaimAnswer, Refusal> {
        let request = ClaimRequest { operation_id: operation, holder_site_id: local };
        let ask = async { self.fabric.peer(site).await?.claim(group, &request).await };
        match tokio::time::timeout(PEER_PATIENCE, ask).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::warn!(%site, %error, "the peer does not answer as it should");
                Err(Refusal::peer_unreachable())
            }
            Err(_) => Err(Refusal::peer_unreachable()),
        }
    }

    async fn same_document(
        &self,
        document: &GroupDocument,
        theirs: Option<protector_ports::GroupStamp>,
    ) -> Result<(), Refusal> {
        let id = document.group.id;
        let standing = theirs.map_or(Standing::Older, |theirs| compare(&theirs, &stamp(document)));
        let out_of_sync = |what: &str| Refusal::new(Code::OutOfSync, what.to_owned());
        match standing {
            Standing::Same => Ok(()),
            Standing::Older => {
                let pushed = tokio::time::timeout(PEER_PATIENCE, self.push_group(id)).await;
                match pushed {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(out_of_sync(&format!(
                        "The other site holds an older document of the group and does not take ours: {error}"
                    ))),
                    Err(_) => Err(Refusal::peer_unreachable()),
                }
            }
            Standing::Newer => {
                self.look_again(id, document.group.clone()).await;
                Err(out_of_sync(
                    "The other site held a newer document of the group; read the group again and repeat the request",
                ))
            }
            Standing::Conflict => Err(out_of_sync(
                "Both sites hold different documents of the group (CONFLICT); choose one with sync-force and `from`",
            )),
        }
    }

    /// Refuses while somebody else's change or operation is under way: a difference of the copies is his doing, and it is
    /// he who has to be named.
    ///
    /// # Errors
    /// GroupBusy naming the holder.
    pub(crate) async fn must_be_free(&self, group: GroupId) -> Result<(), Refusal> {
        match self.store.group_claim(group).await.map_err(errors::store)? {
            Some(claim) if !self.claims.is_dead(&claim, self.clock.monotonic()) => {
                Err(busy(claim.operation_id))
            }
            _ => Ok(()),
        }
    }

    /// Takes or renews this site's own claim for somebody.
    pub(crate) async fn claim_here(
        &self,
        group: GroupId,
        operation: OperationId,
        holder: SiteId,
    ) -> Result<ClaimAnswer, Refusal> {
        let want = Want { operation, holder, forced: false };
        // The row may change between the look and the write: then it is looked at again.
        for _ in 0..8 {
            let seen = self.store.group_claim(group).await.map_err(errors::store)?;
            let held = seen.as_ref().map(|claim| Held {
                operation: claim.operation_id,
                holder: claim.holder_site_id,
                is_dead: self.claims.is_dead(claim, self.clock.monotonic()),
            });
            let written = match (grant(held.as_ref(), &want), &seen) {
                (Grant::Busy(winner), Some(seen)) => return Ok(lost(winner, seen.holder_site_id)),
                (Grant::Renewed, _) => {
                    let renewed = self.store.renew_group_claim(group, operation).await;
                    if renewed.map_err(errors::store)? { Ok(()) } else { continue }
                }
                (Grant::TakenOver, Some(seen)) => {
                    self.store.take_over_group_claim(seen, operation, holder).await.map(drop)
                }
                _ => self.store.take_group_claim(group, operation, holder).await.map(drop),
            };
            match written {
                Ok(()) => {
                    return Ok(ClaimAnswer {
                        granted: true,
                        operation_id: Some(operation),
                        holder_site_id: Some(holder),
                        reason: None,
                        stamp: None,
                    });
                }
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(errors::store(error)),
            }
        }
        Err(Refusal::new(
            Code::GroupBusy,
            "The group's claim changes hands all the time; try again",
        ))
    }

    /// After a refusal: gives our claim back, and tells the peer while the caller has his answer already.
    pub(crate) async fn release_later(&self, group: &ProtectionGroup, operation: OperationId) {
        if let Err(error) = self.store.release_group_claim(group.id, operation).await {
            tracing::warn!(group = %group.id, %error, "a claim could not be given back; it will die");
        }
        let (core, group) = (self.clone(), group.clone());
        tokio::spawn(async move { core.release_both(&group, operation).await });
    }

    /// Gives both claims back. A peer that does not hear it lets its claim die.
    pub async fn release_both(&self, group: &ProtectionGroup, operation: OperationId) {
        if let Err(error) = self.store.release_group_claim(group.id, operation).await {
            tracing::warn!(group = %group.id, %error, "a claim could not be given back; it will die");
        }
        let Ok(local) = self.store.own_site_id().await else { return };
        let tell = async {
            let peer = self.fabric.peer(group.other_site(local)).await?;
            peer.release_claim(group.id, operation).await
        };
        if !matches!(tokio::time::timeout(PEER_PATIENCE, tell).await, Ok(Ok(()))) {
            tracing::info!(group = %group.id, %operation, "the peer was not told that its claim is free; it will die");
        }
    }

    /// Renews the claims of both sites; gives the peer's word.
    ///
    /// # Errors
    /// When the peer does not answer, or our own database.
    pub async fn renew_claims(
        &self,
        group: GroupId,
        operation: OperationId,
    ) -> PortResult<(PeerWord, Option<SiteId>)> {
        let local = self.store.own_site_id().await.map_err(own)?;
        let other = self.store.group(&Scope::System, group).await.map_err(own)?.other_site(local);
        let here = self.claim_here(group, operation, local).await;
        if let Ok(ClaimAnswer { granted: false, operation_id, .. }) = &here {
            tracing::warn!(%group, %operation, holder = ?operation_id, "our own claim is somebody else's");
        }
        let request = ClaimRequest { operation_id: operation, holder_site_id: local };
        let peer: Arc<dyn PeerSite> = self.fabric.peer(other).await?;
        let answer = match tokio::time::timeout(PEER_PATIENCE, peer.claim(group, &request)).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(PortError::Unknown {
                    service: "the peer".into(),
                    message: "no answer in time".into(),
                });
            }
        };
        // Ours is read after theirs: what our own push brought there meanwhile is not somebody else's going on.
        let document = self.store.group_document(&Scope::System, group).await.map_err(own)?;
        let standing =
            answer.stamp.map_or(Standing::Older, |theirs| compare(&theirs, &stamp(&document)));
        let word = match answer.operation_id {
            Some(holder) if !answer.granted => PeerWord::HeldBy(holder, standing),
            None if !answer.granted => PeerWord::HeldBy(operation, standing),
            _ => PeerWord::Granted(standing),
        };
        Ok((word, answer.holder_site_id))
    }

    /// Renews this site's own claim of a forced operation, which has no other.
    pub async fn renew_own_claim(&self, group: GroupId, operation: OperationId) {
        if let Err(error) = self.store.renew_group_claim(group, operation).await {
            tracing::warn!(%group, %operation, %error, "our own claim could not be renewed");
        }
    }

    /// Claims that nobody has renewed for so long that what they hold may be taken over are removed; until then the row
    /// is what a takeover is measured by. For the engine, periodically.
    ///
    /// # Errors
    /// The database's.
    pub async fn drop_dead_claims(&self) -> Result<(), StoreError> {
        let claims = self.store.group_claims().await?;
        self.claims.forget_all_but(&claims);
        let now = self.clock.monotonic();
        for claim in claims.iter().filter(|c| self.claims.silence(c, now) >= TAKEOVER_AFTER) {
            if self.store.drop_dead_claim(claim).await? {
                tracing::warn!(group = %claim.group_id, operation = %claim.operation_id, "a claim that nobody renewed is gone");
            }
        }
        Ok(())
    }

    // What the peer asks of us.

    /// The peer asks for our claim, or renews it.
    ///
    /// # Errors
    /// RequestInvalidValue for a claim in our own name; the database's.
    pub async fn grant_claim(
        &self,
        group: GroupId,
        request: ClaimRequest,
    ) -> Result<ClaimAnswer, Refusal> {
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        if request.holder_site_id == local {
            let what = format!("holder_site_id: {local} is the site that is asked");
            return Err(Refusal::new(Code::RequestInvalidValue, what));
        }
        let document = match self.store.group_document(&Scope::System, group).await {
            Ok(document) => Some(document),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(errors::store(error)),
        };
        let copy = document.as_ref().map(stamp);
        let held = document.as_ref().map(|document| &document.group);
        if let Some(reason) = held.and_then(|group| group.quarantine.clone()) {
            return Ok(ClaimAnswer {
                granted: false,
                operation_id: None,
                holder_site_id: None,
                reason: Some(format!("the group is quarantined there: {reason}")),
                stamp: copy,
            });
        }
        let answer = self.claim_here(group, request.operation_id, request.holder_site_id).await?;
        Ok(ClaimAnswer { stamp: copy, ..answer })
    }

    /// The peer gives our claim back.
    ///
    /// # Errors
    /// The database's.
    pub async fn free_claim(&self, group: GroupId, operation: OperationId) -> Result<(), Refusal> {
        self.store.release_group_claim(group, operation).await.map_err(errors::store)
    }
}

fn lost(winner: OperationId, holder: SiteId) -> ClaimAnswer {
    ClaimAnswer {
        granted: false,
        operation_id: Some(winner),
        holder_site_id: Some(holder),
        reason: None,
        stamp: None,
    }
}

fn not_granted(answer: &ClaimAnswer) -> Refusal {
    let reason = answer.reason.as_deref().unwrap_or("it gives no reason");
    Refusal::new(Code::OutOfSync, format!("The other site does not grant its claim: {reason}"))
}
