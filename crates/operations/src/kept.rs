//! Kept copies as room: a copy that law 1 allows to go is counted as free quota, and removed first.

use protector_core::PlanRequest;
use protector_ports::StorageQuota;
use protector_types::{KeptCopy, KeptThing, SiteId};

use crate::{rebuild::suffix, sketch::Sketch, steps};

/// What is needed in Cinder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need {
    /// Volumes.
    pub volumes: u64,
    /// GiB.
    pub gigabytes: u64,
}

/// The kept volumes at a site that have to go so that the need fits, oldest first; as few as possible. Together with the
/// quota as it will be then.
pub fn make_room(
    request: &PlanRequest,
    site: SiteId,
    quota: StorageQuota,
    need: Need,
) -> (Vec<KeptCopy>, StorageQuota) {
    let mut quota = quota;
    let mut candidates: Vec<&KeptCopy> =
        request.group.kept.iter().filter(|copy| copy.site_id == site).collect();
    candidates.sort_by_key(|copy| copy.kept_at);
    let mut chosen = Vec::new();
    for copy in candidates {
        let short = quota.volumes.free().is_some_and(|free| free < need.volumes)
            || quota.gigabytes.free().is_some_and(|free| free < need.gigabytes);
        if !short {
            break;
        }
        if let KeptThing::CinderVolume { size_gib, .. } = &copy.thing {
            quota.volumes.used = quota.volumes.used.saturating_sub(1);
            quota.gigabytes.used = quota.gigabytes.used.saturating_sub(*size_gib);
            chosen.push(copy.clone());
        }
    }
    (chosen, quota)
}

/// The steps that remove copies once the step `after` has proven the newer point complete; gives the last one's id of
/// each. What is managed next waits for them.
pub fn remove(
    sketch: &mut Sketch,
    request: &PlanRequest,
    copies: &[KeptCopy],
    stage: usize,
    after: &str,
) -> Vec<String> {
    let mut ids = Vec::new();
    for (n, copy) in copies.iter().enumerate() {
        let Some(project) = request.group.projects.get(&copy.site_id) else { continue };
        let id = format!("kept{n}");
        let input = steps::remove_kept::Input {
            group_id: request.group.id,
            project: project.clone(),
            copy: copy.clone(),
        };
        sketch.add(&id, "remove_kept", stage, vec![after.to_owned()], input);
        ids.push(id);
    }
    ids
}

/// Suffix of safety snapshots.
pub fn safety_suffix(operation: protector_types::OperationId) -> String {
    format!("{}-safe", suffix(operation))
}
