//! Kept copies whose time has passed: found and struck from the books.

use protector_types::{GroupId, ProtectionGroup};
use uuid::Uuid;

use crate::{Store, StoreError, db::transact, repo::groups};

impl Store {
    /// Strikes copies that are gone from a group's books. Nothing happens while an operation holds the group: it strikes
    /// its own, and the rest has time. Gives the group as it is now.
    ///
    /// # Errors
    /// `NotFound` for the group.
    pub async fn release_kept(
        &self,
        id: GroupId,
        copies: &[Uuid],
    ) -> Result<ProtectionGroup, StoreError> {
        transact!(self, tx => {
            let mut group = groups::lock(tx, id)
                .await?
                .ok_or_else(|| StoreError::not_found("protection group", id))?;
            let before = group.kept.len();
            if group.current_operation_id.is_none() {
                group.kept.retain(|copy| !copies.contains(&copy.id));
            }
            if group.kept.len() != before {
                self.save_group(tx, &mut group).await?;
            }
            Ok(group)
        })
    }
}
