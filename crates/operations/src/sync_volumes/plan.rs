//! Plans a sync: both arrays answer, are connected, and the members' volumes are known.

use protector_core::PlanRequest;
use protector_ports::{ArrayInfo, PortResult, absent_as_none};
use protector_types::{Code, GroupId, Refusal, SiteId};
use protector_workflow::Plan;
use serde::{Deserialize, Serialize};

use super::layout;
use crate::{
    deps::{ArrayPlace, Deps, Place},
    facts::{self, Reasons},
    replication::{self, Direction},
    steps,
};

/// What the plan was decided on; stored with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanFacts {
    /// The group.
    pub group_id: GroupId,
    /// Name of the site that it runs at.
    pub source_site: String,
    /// Name of the other site.
    pub target_site: String,
}

/// Everything the layout needs.
pub struct Ready {
    /// From the current primary to the other site.
    pub direction: Direction,
    /// Volumes that are on one array only, and get the group's synchronous type first.
    pub retypes: Vec<Retype>,
    /// The other way round, if the other array has a group of its own.
    pub old: Option<Direction>,
    /// Stored with the plan.
    pub facts: PlanFacts,
}

/// A volume that is not mirrored.
pub struct Retype {
    /// Step id.
    pub id: String,
    /// Whose.
    pub subject: String,
    /// What.
    pub input: steps::retype_volume::Input,
}

/// Plans a sync.
///
/// # Errors
/// A [`Refusal`] with every reason.
pub async fn plan(deps: &Deps, request: &PlanRequest) -> Result<Plan, Refusal> {
    let ready = ready(deps, request, &mut Reasons::default()).await?;
    well_formed(layout::lay_out(request, &ready))
}

/// Gathers and checks; reasons that the caller has already are reported together with ours.
///
/// # Errors
/// A [`Refusal`] with every reason.
pub async fn ready(
    deps: &Deps,
    request: &PlanRequest,
    reasons: &mut Reasons,
) -> Result<Ready, Refusal> {
    let group = &request.group;
    let site = group.current_primary_site_id;
    let name =
        |site: SiteId| request.site_names.get(&site).cloned().unwrap_or_else(|| site.to_string());
    let (source_site, target_site) = (name(site), name(group.other_site(site)));
    let here = ArrayPlace { group: group.id, site };
    let there = ArrayPlace { group: group.id, site: group.other_site(site) };
    let array_group = group.array_group_name();
    let (source, target) = futures::join!(
        async {
            let array = here.array(deps).await?;
            futures::try_join!(
                array.identify(),
                array.links(),
                replication::schedule_of(deps, here, &array_group)
            )
        },
        other(deps, there, &array_group),
    );
    let (from, links, on_here) = source.map_err(facts::cannot_look(&source_site))?;
    let (to, on_there) = target.map_err(facts::cannot_look(&target_site))?;
    replication::check_link(&from, &links, &to, reasons);
    let (volumes, retypes) =
        split(deps, request, site, reasons).await.map_err(facts::cannot_look(&source_site))?;
    if request.group.is_synchronous() {
        whole(deps, here, &array_group, [&from, &to], reasons)
            .await
            .map_err(facts::cannot_look(&source_site))?;
    }
    if volumes.is_empty() && retypes.is_empty() {
        reasons.add(
            Code::NoMembers,
            None,
            format!("no member has volumes at {source_site}; refresh the members"),
        );
    }
    std::mem::take(reasons).into_result()?;
    let old = Direction::new(request, group.other_site(site), &to, &from, Vec::new());
    let mut direction = Direction::new(request, site, &from, &to, volumes);
    direction.volumes_from = retypes.iter().map(|retype| retype.id.clone()).collect();
    Ok(Ready {
        direction: direction.scheduled(on_here),
        retypes,
        // A synchronous group is the same at both arrays: there is no other direction.
        old: (on_there.is_some() && !group.is_synchronous()).then(|| old.scheduled(on_there)),
        facts: PlanFacts { group_id: group.id, source_site, target_site },
    })
}

/// The members' array volumes at the current primary; those of a synchronous group that do not have its type are apart.
async fn split(
    deps: &Deps,
    request: &PlanRequest,
    site: SiteId,
    reasons: &mut Reasons,
) -> PortResult<(Vec<String>, Vec<Retype>)> {
    let group = &request.group;
    let (Some(wanted), Some(project)) = (group.volume_types.get(&site), group.projects.get(&site))
    else {
        return Ok((replication::volumes_at(request, site), Vec::new()));
    };
    if !group.is_synchronous() {
        return Ok((replication::volumes_at(request, site), Vec::new()));
    }
    let place = Place { site, project: project.clone() };
    let cloud = place.cloud(deps).await?;
    let known = cloud.block_storage().volumes().await?;
    let (mut mirrored, mut retypes) = (Vec::new(), Vec::new());
    for (m, member) in request.members.iter().enumerate() {
        for volume in &member.volumes {
            let Some(placement) = volume.placements.get(&site) else { continue };
            let Some(found) = known.iter().find(|v| v.id == placement.volume_id) else {
                reasons.add(
                    Code::MemberNotReady,
                    Some(&member.spec.name),
                    format!("its volume {} is gone; refresh the member", placement.volume_id),
                );
                continue;
            };
            let its_type = found.volume_type.as_deref().unwrap_or_default();
            if its_type == wanted.name || its_type == wanted.id {
                mirrored.push(placement.array_volume.clone());
                continue;
            }
            retypes.push(Retype {
                id: format!("m{m}.retype{}", volume.position),
                subject: member.spec.name.clone(),
                input: steps::retype_volume::Input {
                    group_id: group.id,
                    member_id: member.id,
                    position: volume.position,
                    place: place.clone(),
                    array: ArrayPlace { group: group.id, site },
                    volume_id: placement.volume_id.clone(),
                    volume_type: wanted.clone(),
                },
            });
        }
    }
    Ok((mirrored, retypes))
}

/// Volumes come into a mirror only while both arrays are online in it.
async fn whole(
    deps: &Deps,
    here: ArrayPlace,
    group: &str,
    arrays: [&ArrayInfo; 2],
    reasons: &mut Reasons,
) -> PortResult<()> {
    let found = absent_as_none(here.array(deps).await?.group(group).await)?;
    let Some(found) = found else {
        reasons.add(
            Code::ReplicationNotReady,
            None,
            "the array's protection group is gone; set the replication policy again",
        );
        return Ok(());
    };
    for array in arrays {
        let online = |(name, online): &(String, bool)| *name == array.name && *online;
        if !found.targets.iter().any(online) {
            reasons.add(
                Code::ReplicationNotReady,
                None,
                format!(
                    "the mirror of the group ({group}) is not online at array {}: volumes are brought under synchronous \
                     replication, and points taken, only while both arrays are",
                    array.name
                ),
            );
        }
    }
    Ok(())
}

async fn other(
    deps: &Deps,
    there: ArrayPlace,
    group: &str,
) -> PortResult<(ArrayInfo, Option<bool>)> {
    let array = there.array(deps).await?;
    futures::try_join!(array.identify(), replication::schedule_of(deps, there, group))
}

/// A plan, unless the planner made a mistake.
///
/// # Errors
/// Internal: the steps do not fit together.
pub fn well_formed(plan: Plan) -> Result<Plan, Refusal> {
    plan.validate().map_err(|error| {
        Refusal::new(Code::Internal, format!("the plan is not well formed: {error}"))
    })?;
    Ok(plan)
}
