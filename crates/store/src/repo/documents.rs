//! Group documents as a whole: what is pushed to the peer and taken from it.

use protector_types::{GroupDocument, GroupId, ProtectionGroup, SiteFacts};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::{
    Scope, Store, StoreError,
    db::transact,
    entity::{member, policy},
    repo::{groups, identity::count_write, members, outbox, policies, site_facts},
};

/// A change of what this site knows for itself, made together with the document.
pub type FactsChange<'a> = &'a (dyn Fn(&mut SiteFacts) + Send + Sync);

impl Store {
    /// A group with its members and policy, all of the same moment.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn group_document(
        &self,
        scope: &Scope,
        id: GroupId,
    ) -> Result<GroupDocument, StoreError> {
        // Dropped, and so rolled back, in the end: it only reads.
        let tx = self.snapshot().await?;
        let group = groups::find(&tx, scope, id).await?;
        let members = members::of_groups(&tx, &[id]).await?;
        let policy = policies::find(&tx, id).await?;
        tx.rollback().await?;
        Ok(GroupDocument { group, members, policy })
    }

    /// Takes the peer's document in place of ours, whatever ours says, and counts it as pushed. Whether it is
    /// newer is the caller's to decide; array tokens stay.
    ///
    /// # Errors
    /// `AlreadyExists` if another group of the project has the name, or another group one of the servers;
    /// `Invalid` without a project at this site.
    pub async fn put_document(&self, document: &GroupDocument) -> Result<(), StoreError> {
        self.write_document(document, |_| true, None).await.map(|_| ())
    }

    /// The same, but only while ours is still the one that the caller compared it with (`None`: we had none). False:
    /// another document came in between and nothing was changed; compare again. `facts`: what this site knows for itself
    /// changes in the same transaction.
    ///
    /// # Errors
    /// As [`Store::put_document`].
    pub async fn replace_document(
        &self,
        document: &GroupDocument,
        held: Option<&ProtectionGroup>,
        facts: Option<FactsChange<'_>>,
    ) -> Result<bool, StoreError> {
        let mark = |g: &ProtectionGroup| (g.epoch, g.version);
        self.write_document(document, |old| old.map(mark) == held.map(mark), facts).await
    }

    async fn write_document(
        &self,
        document: &GroupDocument,
        allowed: impl Fn(Option<&ProtectionGroup>) -> bool,
        facts_change: Option<FactsChange<'_>>,
    ) -> Result<bool, StoreError> {
        let row = groups::write(&document.group, self.own_site_id().await?)?;
        let id = document.group.id;
        if let Some(stray) = document.members.iter().find(|member| member.group_id != id) {
            let reason = format!("member {} belongs to group {}", stray.id, stray.group_id);
            return Err(StoreError::invalid("group document", reason));
        }
        transact!(self, tx => {
            let old = groups::lock(tx, id).await?;
            if !allowed(old.as_ref()) {
                return Ok(false);
            }
            match old {
                Some(old) => self.overwrite_group(tx, &document.group, old.version).await?,
                None => self.add_group(tx, &document.group, &row).await?,
            }
            member::Entity::delete_many()
                .filter(member::Column::GroupId.eq(id.to_string()))
                .exec(tx)
                .await?;
            for member in &document.members {
                members::add(tx, member).await?;
            }
            policy::Entity::delete_by_id(id.to_string()).exec(tx).await?;
            if let Some(policy) = &document.policy {
                policies::add(tx, id, policy).await?;
            }
            outbox::in_step(tx, &document.group, self.now()).await?;
            let mut facts = site_facts::find(tx, id).await?;
            facts.agreed_epoch = Some(document.group.epoch);
            if let Some(change) = facts_change {
                change(&mut facts);
            }
            // Also writes the quarantine into the group's row, which was just replaced.
            site_facts::put(tx, id, &facts).await?;
            count_write(tx).await?;
            Ok(true)
        })
    }
}
