//! Plans the completion of a partial failover: only what is missing, from the clones that the earlier attempt made.

use std::collections::{BTreeMap, BTreeSet};

use protector_core::{EarlierOperation, PlanRequest};
use protector_ports::{ArrayVolume, VolumeKey, absent_as_none};
use protector_types::{Code, Member, MemberId, Refusal};
use protector_workflow::Plan;
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    fit, layout,
    plan::{self, Facts, LeftOut, Look},
};
use crate::{
    deps::Deps,
    facts::{self, Reasons},
    points,
    rebuild::ReadyMember,
    steps::{choose_point, create_port, manage_volume},
};

/// Outputs of an earlier operation's steps that are still true, by step id.
#[derive(Debug, Clone, Default)]
pub struct Recalled(pub BTreeMap<String, Value>);

/// Plans the completion.
///
/// # Errors
/// A [`Refusal`] with every reason.
pub async fn plan(
    deps: &Deps,
    request: &PlanRequest,
    earlier: &EarlierOperation,
) -> Result<Plan, Refusal> {
    // Mappings of the first attempt hold, unless they are given anew.
    let mut request = request.clone();
    for (given, before) in [
        (&mut request.params.network_mapping, &earlier.params.network_mapping),
        (&mut request.params.flavor_mapping, &earlier.params.flavor_mapping),
    ] {
        for (key, value) in before {
            given.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    let request = &request;
    let target_site = request.group.current_primary_site_id;
    let missing: Vec<(usize, &Member)> = request
        .members
        .iter()
        .enumerate()
        .filter(|(_, member)| !member.servers.contains_key(&target_site))
        .filter(|(_, member)| member.abandoned.is_none())
        .collect();
    if missing.is_empty() {
        return Err(Refusal::new(
            Code::GroupWrongState,
            "Every member runs at the current primary: nothing is left to retry",
        ));
    }
    let mut look = plan::look(deps, request, &missing, target_site, false).await?;
    let recalled = recall(deps, &mut look, earlier, &missing).await?;
    // The members' own records forgot them when the first attempt ended; what they still have is not in the way.
    let before = earlier.plan.as_ref().and_then(|plan| Facts::deserialize(&plan.facts).ok());
    let is_missing = |id: &MemberId| missing.iter().any(|(_, member)| member.id == *id);
    look.superseded = before.map(|facts| facts.superseded).unwrap_or_default();
    look.superseded.retain(|id, _| is_missing(id));
    let mut reasons = Reasons::default();
    check_point(&look, &recalled, &missing, &mut reasons);
    let (mut ready, more, not_preserved) = plan::members_of(&mut look, &missing, &mut reasons);
    ready.iter_mut().for_each(|(m, member)| recall_power(earlier, *m, member));
    let (fitting, short) = fit::split(ready, &look.target);
    let left_out = more
        .into_iter()
        .chain(short)
        .map(|(m, why)| LeftOut { m, member: &request.members[m], in_point: true, why })
        .collect();
    let mut warnings = Vec::new();
    let mut ready = plan::finish(&mut look, fitting, left_out, &mut warnings, reasons)?;
    ready.earlier = request.members.len() - missing.len();
    ready.recalled = recalled;
    ready.facts.not_preserved = not_preserved;
    ready.facts.retry_of = Some(earlier.id);
    let mut laid_out = layout::lay_out(request, &ready);
    plan::show(&mut laid_out, request, &look);
    Ok(laid_out)
}

/// What the earlier attempt made for the missing members and is still there.
async fn recall(
    deps: &Deps,
    look: &mut Look<'_>,
    earlier: &EarlierOperation,
    missing: &[(usize, &Member)],
) -> Result<Recalled, Refusal> {
    let cannot_look = facts::cannot_look(&look.names.1);
    let Some(plan) = &earlier.plan else {
        return Err(Refusal::new(
            Code::PlanRefused,
            format!(
                "The journal of {} is not known at this site, and without it nobody knows its clones; retry at the site \
                 that drove it",
                earlier.id
            ),
        ));
    };
    let names: BTreeSet<&str> =
        missing.iter().map(|(_, member)| member.spec.name.as_str()).collect();
    let array = look.places.target_array.array(deps).await.map_err(&cannot_look)?;
    let cloud = look.places.target.cloud(deps).await.map_err(&cannot_look)?;
    let volumes = cloud.block_storage().volumes().await.map_err(&cannot_look)?;
    let free: BTreeSet<&str> =
        volumes.iter().filter(|v| v.status == "available").map(|v| v.id.as_str()).collect();
    let mut recalled = BTreeMap::new();
    let mut own_ports = BTreeSet::new();
    for step in &plan.steps {
        let Some(output) = earlier.outputs.get(&step.id) else { continue };
        if step.id == "point" {
            recalled.insert(step.id.clone(), output.clone());
        }
        if !step.subject.as_deref().is_some_and(|member| names.contains(member)) {
            continue;
        }
        if let Ok(port) = serde_json::from_value::<create_port::Output>(output.clone()) {
            let is_free =
                look.target.ports.iter().any(|p| p.id == port.port_id && p.device_id.is_empty());
            if is_free {
                recalled.insert(step.id.clone(), output.clone());
            }
            own_ports.insert(port.port_id);
        } else if let Ok(volume) = serde_json::from_value::<manage_volume::Output>(output.clone()) {
            if free.contains(volume.volume_id.as_str()) {
                recalled.insert(step.id.clone(), output.clone());
            }
        } else if let Ok(clone) = serde_json::from_value::<ArrayVolume>(output.clone()) {
            // Its name may have changed since: the serial never does.
            let there = array.volume(&VolumeKey::Serial(clone.serial)).await;
            if let Some(there) = absent_as_none(there).map_err(&cannot_look)? {
                let now = serde_json::to_value(there).unwrap_or_default();
                recalled.insert(step.id.clone(), now);
            }
        }
    }
    look.target.ports.retain(|port| !own_ports.contains(&port.id));
    Ok(Recalled(recalled))
}

/// The first attempt may have asked the source how a server was; a retry does not ask.
fn recall_power(earlier: &EarlierOperation, m: usize, member: &mut ReadyMember<'_>) {
    let steps = earlier.plan.iter().flat_map(|plan| &plan.steps);
    let ids: BTreeSet<&str> = steps.map(|step| step.id.as_str()).collect();
    if ids.contains(format!("m{m}.create").as_str()) {
        member.was_active = !ids.contains(format!("m{m}.power").as_str());
    }
}

/// A clone that is gone can be made again as long as its point is there; never from a newer one.
fn check_point(
    look: &Look<'_>,
    recalled: &Recalled,
    missing: &[(usize, &Member)],
    reasons: &mut Reasons,
) {
    let point: Option<choose_point::Output> =
        recalled.0.get("point").and_then(|p| serde_json::from_value(p.clone()).ok());
    let Some(point) = point else {
        reasons.add(
            Code::ReplicationNotReady,
            None,
            "the recovery point of the first attempt is not on record; fail back, or accept the site with reprotect",
        );
        return;
    };
    let there = points::choose(&look.points, &[], Some(&point.point.name)).is_ok();
    for (m, member) in missing {
        let has = |v: u32| recalled.0.contains_key(&format!("m{m}.clone{v}"));
        if !there && member.volumes.iter().any(|volume| !has(volume.position)) {
            reasons.add(
                Code::ReplicationNotReady,
                Some(&member.spec.name),
                format!(
                    "a clone of its volumes is gone, and so is the recovery point {} that it came from",
                    point.point.name
                ),
            );
        }
    }
}
