//! Plans a sync: both arrays answer, are connected, and the members' volumes are known.

use protector_core::PlanRequest;
use protector_ports::{ArrayInfo, PortResult};
use protector_types::{Code, GroupId, Refusal, SiteId};
use protector_workflow::Plan;
use serde::{Deserialize, Serialize};

use super::layout;
use crate::{
    deps::{ArrayPlace, Deps},
    facts::{self, Reasons},
    replication::{self, Direction},
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
    /// The other way round, if the other array has a group of its own.
    pub old: Option<Direction>,
    /// Stored with the plan.
    pub facts: PlanFacts,
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
    let volumes = replication::volumes_at(request, site);
    if volumes.is_empty() {
        reasons.add(
            Code::NoMembers,
            None,
            format!("no member has volumes at {source_site}; refresh the members"),
        );
    }
    std::mem::take(reasons).into_result()?;
    let old = Direction::new(request, group.other_site(site), &to, &from, Vec::new());
    let direction = Direction::new(request, site, &from, &to, volumes);
    Ok(Ready {
        direction: direction.scheduled(on_here),
        old: on_there.is_some().then(|| old.scheduled(on_there)),
        facts: PlanFacts { group_id: group.id, source_site, target_site },
    })
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
