//! Copies that are kept on purpose (law 1), and their end when the retention has passed.

use protector_ports::{DestroyPermit, Fabric, PortResult, VolumeKey, absent_as_none};
use protector_store::{GroupFilter, PageRequest, Scope};
use protector_types::{Evidence, GroupId, KeptCopy, KeptThing, ProjectId, ProtectionGroup};

use crate::Core;

/// Groups looked at in one go.
const PAGE: u64 = 200;

/// How far the removal of a kept copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Nothing of it is left.
    Gone,
    /// Under way: look again.
    UnderWay(String),
    /// Somebody uses it: it is no copy any more, and stays.
    InUse(String),
}

/// Looks where a kept copy stands; removes nothing.
///
/// # Errors
/// As any look.
pub async fn look(
    fabric: &dyn Fabric,
    group: GroupId,
    project: &ProjectId,
    copy: &KeptCopy,
) -> PortResult<Option<Removal>> {
    match &copy.thing {
        KeptThing::CinderVolume { volume_id, .. } => {
            let cloud = fabric.cloud(copy.site_id, project).await?;
            let volume = absent_as_none(cloud.block_storage().volume(volume_id).await)?;
            Ok(match volume {
                None => Some(Removal::Gone),
                Some(volume) if volume.status == "deleting" => {
                    Some(Removal::UnderWay(format!("volume {volume_id} is being deleted")))
                }
                Some(volume) if !volume.attachments.is_empty() || volume.status == "in-use" => {
                    Some(Removal::InUse(format!("volume {volume_id} is in use")))
                }
                Some(_) => None,
            })
        }
        KeptThing::ArrayVolume { serial, .. } => {
            let array = fabric.array(group, copy.site_id).await?;
            let volume = array.volume(&VolumeKey::Serial(serial.clone())).await;
            Ok(absent_as_none(volume)?.is_none().then_some(Removal::Gone))
        }
        KeptThing::ArraySnapshot { name } => {
            let array = fabric.array(group, copy.site_id).await?;
            Ok((!array.has_volume_snapshot(name).await?).then_some(Removal::Gone))
        }
    }
}

/// Removes a kept copy at its home; absent is success. Array snapshots are destroyed, never eradicated.
///
/// # Errors
/// As any destroying call; nothing is lost by trying again.
pub async fn remove(
    fabric: &dyn Fabric,
    group: GroupId,
    project: &ProjectId,
    copy: &KeptCopy,
    permit: &DestroyPermit,
) -> PortResult<Removal> {
    if let Some(found) = look(fabric, group, project, copy).await? {
        return Ok(found);
    }
    match &copy.thing {
        KeptThing::CinderVolume { volume_id, .. } => {
            let cloud = fabric.cloud(copy.site_id, project).await?;
            cloud.block_storage().delete_volume(volume_id, permit).await?;
            Ok(Removal::UnderWay(format!("volume {volume_id} is being deleted")))
        }
        KeptThing::ArrayVolume { serial, .. } => {
            let array = fabric.array(group, copy.site_id).await?;
            array.destroy_volume(&VolumeKey::Serial(serial.clone()), permit).await?;
            Ok(Removal::Gone)
        }
        KeptThing::ArraySnapshot { name } => {
            let array = fabric.array(group, copy.site_id).await?;
            array.destroy_volume_snapshot(name, permit).await?;
            Ok(Removal::Gone)
        }
    }
}

impl Core {
    /// A group that is being deleted takes what it kept on arrays along: nobody else knows these snapshots. Volumes in
    /// Cinder are the tenant's to see and to delete. What cannot be reached is said, and stays.
    pub(crate) async fn release_snapshots(&self, group: &ProtectionGroup) {
        let on_array = |copy: &&KeptCopy| matches!(copy.thing, KeptThing::ArraySnapshot { .. });
        for copy in group.kept.iter().filter(on_array) {
            let Some(project) = group.projects.get(&copy.site_id) else { continue };
            let permit = DestroyPermit::copy_proved(Evidence::of_kept_copy(copy));
            let removed = remove(self.fabric.as_ref(), group.id, project, copy, &permit).await;
            if let Err(error) = removed {
                tracing::warn!(group = %group.id, thing = ?copy.thing, %error, "a kept snapshot stays on the array");
            }
        }
    }

    /// Removes kept copies whose time has passed, at both sites, and strikes what is gone from the books. Only for groups
    /// whose current primary is here: one writer per group. What cannot be reached has time until the next call.
    pub async fn expire_kept(&self) {
        let Ok(local) = self.store.own_site_id().await else { return };
        let mut page = PageRequest { limit: PAGE, ..PageRequest::default() };
        loop {
            let groups =
                self.store.list_groups(&Scope::System, &GroupFilter::default(), &page).await;
            let groups = match groups {
                Ok(groups) => groups,
                Err(error) => {
                    tracing::warn!(%error, "kept copies cannot be looked up");
                    return;
                }
            };
            for group in &groups.items {
                let ours = group.current_primary_site_id == local
                    && group.current_operation_id.is_none()
                    && group.quarantine.is_none();
                if ours {
                    self.expire_kept_of(group).await;
                }
            }
            match groups.items.last().filter(|_| groups.more) {
                Some(last) => page.marker = Some(last.id.to_string()),
                None => return,
            }
        }
    }

    async fn expire_kept_of(&self, group: &ProtectionGroup) {
        let now = self.clock.now();
        let mut gone = Vec::new();
        for copy in group.kept.iter().filter(|copy| copy.expires_at <= now) {
            let Some(project) = group.projects.get(&copy.site_id) else { continue };
            let permit = DestroyPermit::copy_proved(Evidence::of_kept_copy(copy));
            match remove(self.fabric.as_ref(), group.id, project, copy, &permit).await {
                Ok(Removal::Gone) => gone.push(copy.id),
                Ok(Removal::UnderWay(_)) => {}
                Ok(Removal::InUse(what)) => {
                    tracing::info!(group = %group.id, what, "no longer counted as a kept copy");
                    gone.push(copy.id);
                }
                Err(error) => {
                    tracing::info!(group = %group.id, copy = %copy.id, %error, "a kept copy stays for now");
                }
            }
        }
        if gone.is_empty() {
            return;
        }
        match self.store.release_kept(group.id, &gone).await {
            Ok(_) => self.push_soon(group.id).await,
            Err(error) => {
                tracing::warn!(group = %group.id, %error, "removed copies are still in the books");
            }
        }
    }
}
