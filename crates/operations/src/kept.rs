//! Kept copies as room: a copy that law 1 allows to go is counted as free quota, and removed first.

use protector_core::PlanRequest;
use protector_ports::StorageQuota;
use protector_types::{KeptCopy, KeptThing, Member, SiteId};
use protector_workflow::OnFailure;

use crate::{rebuild::suffix, sketch::Sketch, steps};

/// What is needed in Cinder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need {
    /// Volumes.
    pub volumes: u64,
    /// GiB.
    pub gigabytes: u64,
}

impl Need {
    /// What members take.
    pub fn of<'m>(members: impl IntoIterator<Item = &'m Member>) -> Self {
        members.into_iter().flat_map(|member| &member.volumes).fold(Self::default(), |need, v| {
            Self { volumes: need.volumes + 1, gigabytes: need.gigabytes + v.size_gib }
        })
    }
}

/// The kept volumes at a site that have to go so that the need fits, oldest first; as few as possible. Together with the
/// quota as it will be then.
pub fn make_room(
    request: &PlanRequest,
    site: SiteId,
    quota: StorageQuota,
    need: Need,
) -> (Vec<KeptCopy>, StorageQuota) {
    choose(&request.group.kept, site, quota, need)
}

fn choose(
    kept: &[KeptCopy],
    site: SiteId,
    mut quota: StorageQuota,
    need: Need,
) -> (Vec<KeptCopy>, StorageQuota) {
    let mut candidates: Vec<&KeptCopy> = kept.iter().filter(|copy| copy.site_id == site).collect();
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

/// The steps that remove copies once the step `point` has proven what supersedes them complete; what is managed next
/// (`managed`: ids of steps) waits for them. A copy that cannot be removed is a warning: the room may suffice.
pub fn remove<'s>(
    sketch: &mut Sketch,
    request: &PlanRequest,
    copies: &[KeptCopy],
    stage: usize,
    point: &str,
    managed: impl IntoIterator<Item = &'s String>,
) {
    let mut ids = Vec::new();
    for (n, copy) in copies.iter().enumerate() {
        let Some(project) = request.group.projects.get(&copy.site_id) else { continue };
        let id = format!("kept{n}");
        let input = steps::remove_kept::Input {
            group_id: request.group.id,
            project: project.clone(),
            copy: copy.clone(),
        };
        sketch.add(&id, "remove_kept", stage, vec![point.to_owned()], input).on_failure =
            OnFailure::Warn;
        ids.push(id);
    }
    if ids.is_empty() {
        return;
    }
    sketch.barrier("room", stage, ids);
    for step in managed {
        sketch.also_after(step, "room");
    }
}

/// Suffix of safety snapshots.
pub fn safety_suffix(operation: protector_types::OperationId) -> String {
    format!("{}-safe", suffix(operation))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use chrono::DateTime;
    use protector_ports::Quota;
    use protector_types::{MemberId, OperationId};

    use super::*;

    fn copy(site: SiteId, kept_at: i64, size_gib: u64) -> KeptCopy {
        let at = DateTime::from_timestamp(kept_at, 0).unwrap();
        KeptCopy {
            id: KeptCopy::new_id(),
            site_id: site,
            thing: KeptThing::CinderVolume {
                volume_id: kept_at.to_string(),
                serial: String::new(),
                size_gib,
            },
            member_id: MemberId::generate(),
            why: String::new(),
            operation_id: OperationId::generate(),
            kept_at: at,
            expires_at: at,
        }
    }

    fn quota(volumes: (u64, u64), gigabytes: (u64, u64)) -> StorageQuota {
        let of = |(used, limit)| Quota { limit: Some(limit), used };
        StorageQuota { volumes: of(volumes), gigabytes: of(gigabytes) }
    }

    #[test]
    fn as_few_as_possible_go_and_the_oldest_first() {
        let (here, there) = (SiteId::generate(), SiteId::generate());
        let kept =
            vec![copy(here, 3, 10), copy(here, 1, 10), copy(there, 0, 10), copy(here, 2, 10)];
        let need = Need { volumes: 2, gigabytes: 20 };
        let ids = |chosen: &[KeptCopy]| -> Vec<i64> {
            chosen.iter().map(|copy| copy.kept_at.timestamp()).collect()
        };
        let (chosen, after) = choose(&kept, here, quota((8, 10), (0, 1000)), need);
        assert_eq!((ids(&chosen), after.volumes.used), (vec![], 8), "there is room");
        let (chosen, after) = choose(&kept, here, quota((9, 10), (0, 1000)), need);
        assert_eq!((ids(&chosen), after.volumes.used), (vec![1], 8));
        let (chosen, _) = choose(&kept, here, quota((9, 100), (95, 100)), need);
        assert_eq!(ids(&chosen), [1, 2]);
        let (chosen, after) = choose(&kept, here, quota((10, 10), (0, 5)), need);
        assert_eq!(ids(&chosen), [1, 2, 3], "even that is not enough: the quota check says so");
        assert_eq!(after.gigabytes.free(), Some(5));
    }
}
