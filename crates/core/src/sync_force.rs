//! `sync-force`: a person says that both sites are to hold the same document, and in a conflict whose.

use protector_ports::{PortError, PortResult};
use protector_store::Scope;
use protector_types::{Code, GroupDocument, GroupId, ProjectId, Refusal, SiteId};

use crate::{
    Caller, Core, SyncStatus, errors,
    peer::{PEER_PATIENCE, stamp},
    sync::Coming,
    two_sites::{Direction, direction},
};

impl Core {
    /// Makes both sites hold the same document: the newer one, or after a conflict that of `from`. A quarantine ends with
    /// it, once this site's own copy is safe. May be repeated.
    ///
    /// # Errors
    /// PeerUnreachable; OutOfSync when a choice is needed, when the chosen copy is the older one, or when a copy changed
    /// meanwhile; RequestInvalidValue for a third site. Nothing is changed then.
    pub async fn sync_force(
        &self,
        caller: &Caller,
        project: &ProjectId,
        id: GroupId,
        from: Option<SiteId>,
    ) -> Result<SyncStatus, Refusal> {
        let scope = Scope::Project(project.clone());
        let document = self.store.group_document(&scope, id).await.map_err(errors::store)?;
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let other = document.group.other_site(local);
        if let Some(chosen) = from.filter(|chosen| ![local, other].contains(chosen)) {
            return Err(Refusal::new(
                Code::RequestInvalidValue,
                format!("from: {chosen} is not one of the group's sites, {local} and {other}"),
            ));
        }
        tracing::info!(group = %id, user = %caller.user_id, ?from, "sync-force");
        let ours = stamp(&document);
        let theirs = match self.peer_stamp(other, id).await {
            Ok(theirs) => Some(theirs),
            // It knows no copy: ours is all there is.
            Err(PortError::Absent { .. }) => None,
            Err(error) => {
                tracing::warn!(group = %id, %error, "sync-force: the peer does not answer as it should");
                return Err(Refusal::peer_unreachable());
            }
        };
        let way =
            theirs.as_ref().map_or(Direction::Push, |theirs| direction(local, &ours, theirs, from));
        match way {
            Direction::Choose => return Err(choose(local, other)),
            Direction::ChosenIsOlder => return Err(chosen_is_older(from)),
            Direction::Pull => {
                self.pull(other, id, Coming::Forced(from.map(|_| ours))).await?;
            }
            Direction::Push | Direction::InSync => {
                let given_up = theirs.as_ref().filter(|_| from.is_some());
                heard(self.push_forced(other, &document, given_up).await)?;
            }
        }
        self.settle(other, id, way).await?;
        self.sync_of(&self.group_document(id).await?).await
    }

    async fn pull(&self, other: SiteId, id: GroupId, coming: Coming) -> Result<(), Refusal> {
        let read = async { self.fabric.peer(other).await?.document(id).await };
        let read = tokio::time::timeout(PEER_PATIENCE, read).await;
        let document = heard(read.unwrap_or_else(|_| Err(no_answer())))?;
        self.accept(document, coming).await.map(drop)
    }

    async fn push_forced(
        &self,
        other: SiteId,
        document: &GroupDocument,
        given_up: Option<&protector_ports::GroupStamp>,
    ) -> PortResult<()> {
        let push = async { self.fabric.peer(other).await?.force_group(document, given_up).await };
        tokio::time::timeout(PEER_PATIENCE, push).await.unwrap_or_else(|_| Err(no_answer()))?;
        let group = &document.group;
        self.store
            .outbox_confirmed(group.id, group.version, group.epoch)
            .await
            .map_err(crate::peer::own)
    }

    /// Both hold the same now: the peer may end its quarantine too, and has our fence records.
    async fn settle(&self, other: SiteId, id: GroupId, way: Direction) -> Result<(), Refusal> {
        self.ask_release(id).await?;
        if way == Direction::Pull {
            let document = self.group_document(id).await?;
            if let Err(error) = self.push_forced(other, &document, None).await {
                tracing::warn!(group = %id, %error, "the peer was not told that this site holds its document");
            }
        }
        self.hand_fences_over(id, other).await;
        self.end_quarantine(id).await
    }
}

fn no_answer() -> PortError {
    PortError::Unknown { service: "the peer".into(), message: "no answer in time".into() }
}

/// The peer's answer to a forced document.
fn heard<T>(answer: PortResult<T>) -> Result<T, Refusal> {
    answer.map_err(|error| match error {
        PortError::Conflict { message, .. } => Refusal::new(
            Code::OutOfSync,
            format!("A copy of the group changed meanwhile: {message}; look at sync-status again"),
        ),
        error => {
            tracing::warn!(%error, "sync-force: the peer does not answer as it should");
            Refusal::peer_unreachable()
        }
    })
}

fn choose(local: SiteId, other: SiteId) -> Refusal {
    Refusal::new(
        Code::OutOfSync,
        format!(
            "Both sites hold different documents of the group (CONFLICT): nothing moves until one is chosen with \
             `from`, {local} (this site) or {other}; the other one is then quarantined"
        ),
    )
}

fn chosen_is_older(from: Option<SiteId>) -> Refusal {
    let site = from.map(|site| site.to_string()).unwrap_or_default();
    Refusal::new(
        Code::OutOfSync,
        format!(
            "The copy of site {site} is the older one, and an older document never replaces a newer one; repeat \
             without `from`"
        ),
    )
}
