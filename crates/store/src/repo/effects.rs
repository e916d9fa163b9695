//! Domain effects: changes of a group and its members that commit with a journal entry.

use std::collections::BTreeMap;

use protector_types::{
    DomainEffect, GroupId, GroupStatus, Member, MemberId, OperationId, OperationStatus,
    OperationType, ProtectionGroup, SiteId, VolumePlacement, domain_effect::NewPlacement,
};
use protector_workflow::Summary;
use sea_orm::DatabaseTransaction;
use serde_json::Value;

use crate::{
    Conflict, Store, StoreError,
    repo::{fences, groups, journal::Head, members},
};

impl Store {
    /// Applies effects and, with a terminal summary, lets the group go. The group's version rises once per
    /// transaction in which anything changed.
    pub(crate) async fn apply_effects(
        &self,
        tx: &DatabaseTransaction,
        head: &Head,
        effects: &[DomainEffect],
        summary: &Summary,
    ) -> Result<(), StoreError> {
        let ends = summary.view.status.is_terminal();
        if effects.is_empty() && !ends {
            return Ok(());
        }
        let refused = |reason: String| Conflict::EffectRefused {
            operation: head.operation,
            group: head.group,
            reason,
        };
        let held = groups::lock(tx, head.group).await?;
        let held = held.filter(|group| group.current_operation_id == Some(head.operation));
        let Some(mut group) = held else {
            // Ending is always possible; a change of a group that is not ours never is.
            return match effects {
                [] => Ok(()),
                _ => Err(refused("it does not hold the group".into()).into()),
            };
        };
        let (before, mut moved) = (group.clone(), false);
        // Who drives an operation raises its epochs, also one that another site planned and this one took over.
        let here = self.site_in(tx).await?;
        for effect in effects {
            if effect.group_id() != head.group {
                return Err(refused(format!("the effect is about {}", effect.group_id())).into());
            }
            moved |= apply(tx, &mut group, (here, head.operation), effect, &refused).await?;
        }
        if ends {
            group.current_operation_id = None;
            close_drill(&mut group, head, summary);
            end_in_error(&mut group)?;
        }
        // Its members are in its document, too: whatever changes them raises its version.
        if group != before || moved {
            self.save_group(tx, &mut group).await?;
        }
        Ok(())
    }
}

/// One effect on the group's row and what hangs on it; true if it changed members, which the row does not show.
async fn apply(
    tx: &DatabaseTransaction,
    group: &mut ProtectionGroup,
    (here, operation): (SiteId, OperationId),
    effect: &DomainEffect,
    refused: &(impl Fn(String) -> Conflict + Sync),
) -> Result<bool, StoreError> {
    match effect {
        DomainEffect::SwapPrimary { new_primary, status, placements, .. } => {
            set_status(group, *status)?;
            move_primary(group, *new_primary, here, operation).map_err(refused)?;
            group.failover_count += 1;
            return place(tx, group.id, *new_primary, placements, refused).await;
        }
        // Given back without having been taken: nothing to tell.
        DomainEffect::MovePrimary { primary, .. } if *primary == group.current_primary_site_id => {}
        DomainEffect::MovePrimary { primary, .. } => {
            move_primary(group, *primary, here, operation).map_err(refused)?;
        }
        DomainEffect::Arrived { status, counts, placements, .. } => {
            set_status(group, *status)?;
            group.failover_count += u64::from(*counts);
            let primary = group.current_primary_site_id;
            return place(tx, group.id, primary, placements, refused).await;
        }
        DomainEffect::Replaced { site_id, member_id, position, placement, .. } => {
            return replace_volume(tx, group.id, *site_id, (*member_id, *position), placement)
                .await;
        }
        DomainEffect::Displaced { site_id, members, .. } => {
            return displace(tx, group.id, *site_id, members).await;
        }
        DomainEffect::Fenced { fences, .. } => fences::put(tx, group.id, fences).await?,
        DomainEffect::Unfenced { site_id, members, .. } => {
            fences::remove(tx, *site_id, members).await?;
        }
        DomainEffect::Kept { copies, .. } => {
            group.kept.retain(|known| copies.iter().all(|copy| copy.id != known.id));
            group.kept.extend(copies.iter().cloned());
        }
        DomainEffect::Released { copies, .. } => {
            group.kept.retain(|known| !copies.contains(&known.id));
        }
        DomainEffect::RolesSwapped { .. } => {
            if group.current_primary_site_id == group.primary_site_id {
                return Err(refused("the group runs at its primary".into()).into());
            }
            set_status(group, GroupStatus::Active)?;
            group.swap_roles();
        }
        DomainEffect::Reverted { .. } => {
            let members = members::of_groups(tx, &[group.id]).await?;
            set_status(group, at_rest(group, &members))?;
        }
        DomainEffect::SetStatus { status, .. } => set_status(group, *status)?,
        DomainEffect::Replicated { point_at, status, .. } => {
            // A point that is older than the one known is no news.
            group.last_replication_at = group.last_replication_at.max(*point_at);
            group.replication_status = *status;
        }
    }
    Ok(false)
}

/// The status of a group that no operation moves.
fn at_rest(group: &ProtectionGroup, members: &[Member]) -> GroupStatus {
    let here = group.current_primary_site_id;
    if here == group.primary_site_id {
        GroupStatus::Active
    } else if members.iter().all(|member| member.servers.contains_key(&here)) {
        GroupStatus::FailedOver
    } else {
        GroupStatus::FailedOverPartial
    }
}

fn set_status(group: &mut ProtectionGroup, to: GroupStatus) -> Result<(), Conflict> {
    let from = group.status;
    if !from.may_become(to) {
        return Err(Conflict::IllegalTransition { group: group.id, from, to });
    }
    group.status = to;
    Ok(())
}

fn move_primary(
    group: &mut ProtectionGroup,
    primary: SiteId,
    raised_by: SiteId,
    raised_in: OperationId,
) -> Result<(), String> {
    if primary != group.primary_site_id && primary != group.secondary_site_id {
        return Err(format!("site {primary} is not one of its two"));
    }
    group.raise_epoch(primary, raised_by, raised_in);
    Ok(())
}

/// Members' servers and volumes at the new primary; true if there are any.
async fn place(
    tx: &DatabaseTransaction,
    group: GroupId,
    site: SiteId,
    placements: &[NewPlacement],
    refused: &(impl Fn(String) -> Conflict + Sync),
) -> Result<bool, StoreError> {
    if placements.is_empty() {
        return Ok(false);
    }
    let members = members::of_groups(tx, &[group]).await?;
    let mut members: BTreeMap<MemberId, Member> = members.into_iter().map(|m| (m.id, m)).collect();
    for placement in placements {
        let id = placement.member_id;
        let member = members.get_mut(&id).ok_or_else(|| refused(format!("no member {id}")))?;
        member.servers.insert(site, placement.server_id.clone());
        for (position, volume) in &placement.volumes {
            let known = member.volumes.iter_mut().find(|v| v.position == *position);
            let known =
                known.ok_or_else(|| refused(format!("member {id} has no volume {position}")))?;
            known.placements.insert(site, volume.clone());
        }
        members::replace(tx, member).await?;
    }
    Ok(true)
}

/// A volume's new place; false if the member or its volume is gone meanwhile.
async fn replace_volume(
    tx: &DatabaseTransaction,
    group: GroupId,
    site: SiteId,
    (member, position): (MemberId, u32),
    placement: &VolumePlacement,
) -> Result<bool, StoreError> {
    let members = members::of_groups(tx, &[group]).await?;
    let Some(mut member) = members.into_iter().find(|m| m.id == member) else { return Ok(false) };
    let Some(volume) = member.volumes.iter_mut().find(|v| v.position == position) else {
        return Ok(false);
    };
    volume.placements.insert(site, placement.clone());
    members::replace(tx, &member).await?;
    Ok(true)
}

/// Members have nothing at a site any more; true if there are any.
async fn displace(
    tx: &DatabaseTransaction,
    group: GroupId,
    site: SiteId,
    displaced: &[MemberId],
) -> Result<bool, StoreError> {
    let mut members = members::of_groups(tx, &[group]).await?;
    for member in members.iter_mut().filter(|member| displaced.contains(&member.id)) {
        member.servers.remove(&site);
        for volume in &mut member.volumes {
            volume.placements.remove(&site);
        }
        members::replace(tx, member).await?;
    }
    Ok(!displaced.is_empty())
}

/// Nothing moves a group that no operation holds: one that was left on its way, because its operation was abandoned and
/// nothing proves where it runs, is in `error`, and `reset_status` leads out.
fn end_in_error(group: &mut ProtectionGroup) -> Result<(), Conflict> {
    match group.status {
        GroupStatus::FailingOver | GroupStatus::FailingBack => {
            set_status(group, GroupStatus::Error)
        }
        _ => Ok(()),
    }
}

/// A drill is open from its acceptance until nothing of it is left: undone without a rest, or cleaned up
/// (`leaked` of `result_data` names the rest).
fn close_drill(group: &mut ProtectionGroup, head: &Head, summary: &Summary) {
    let lists = |key: &str| {
        let list = summary.result_data.as_ref().and_then(|data| data.get(key));
        list.and_then(Value::as_array).is_some_and(|list| !list.is_empty())
    };
    // What could not be removed, and what a person left.
    let rest = lists("leaked") || lists("left");
    let completed = summary.view.status == OperationStatus::Completed;
    let gone = match head.kind {
        OperationType::TestFailover => {
            group.active_test_operation_id == Some(head.operation) && !completed && !rest
        }
        OperationType::TestCleanup => completed && !rest,
        _ => false,
    };
    if gone {
        group.active_test_operation_id = None;
    }
}
