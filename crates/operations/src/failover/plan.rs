//! Plans a planned failover: gathers facts, checks everything for **all** members, refuses with every reason at once.

use protector_core::PlanRequest;
use protector_ports::Server;
use protector_types::{Code, GroupId, KeptCopy, Member, Refusal, SiteId};
use protector_workflow::Plan;
use serde::{Deserialize, Serialize};

use super::layout;
use crate::{
    deps::Deps,
    drill::remains::Remains,
    facts::{self, Places, Reasons, SourceFacts, TargetFacts},
    fencing::Running,
    kept, preview,
    rebuild::{ReadyMember, checks, ready_member, resolve},
    replication,
};

/// What the plan was decided on; stored with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanFacts {
    /// The group.
    pub group_id: GroupId,
    /// Name of the site that is left.
    pub source_site: String,
    /// Name of the site that is moved to.
    pub target_site: String,
    /// What is known beforehand not to be kept.
    pub not_preserved: Vec<String>,
    /// What a person should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Everything the layout needs.
pub struct Ready<'a> {
    /// Where.
    pub places: Places,
    /// Members in order.
    pub members: Vec<ReadyMember<'a>>,
    /// `host@backend#pool`.
    pub cinder_host: String,
    /// Target type id.
    pub volume_type: String,
    /// The source array's name as the target knows it.
    pub source_array: String,
    /// What is left of an open drill; goes first.
    pub remains: Option<Remains>,
    /// Kept copies that make room.
    pub makes_room: Vec<KeptCopy>,
    /// Stored with the plan.
    pub facts: PlanFacts,
}

/// Plans a failover from the current primary to the other site.
///
/// # Errors
/// A [`Refusal`] with every reason.
pub async fn plan(deps: &Deps, request: &PlanRequest) -> Result<Plan, Refusal> {
    let target_site = request.group.current_secondary_site_id();
    let places = facts::places(request, target_site)?;
    let names =
        |site: SiteId| request.site_names.get(&site).cloned().unwrap_or_else(|| site.to_string());
    let (source_name, target_name) = (names(places.source.site), names(target_site));
    let array_group = request.group.array_group_name();
    let (source, target) =
        futures::join!(facts::source(deps, &places, &array_group), facts::target(deps, &places));
    let source = source.map_err(facts::cannot_look(&source_name))?;
    let mut target = target.map_err(facts::cannot_look(&target_name))?;
    let remains =
        Remains::of(deps, request, &places).await.map_err(facts::cannot_look(&target_name))?;
    let volumes = replication::volumes_at(request, places.source.site);
    let mirror = replication::mirror(deps, request, target_site, &volumes).await;
    let mirror = mirror.map_err(facts::cannot_look(&target_name))?;
    if let Some(remains) = &remains {
        remains.count_as_free(&mut target);
    }
    let need = kept::Need::of(&request.members);
    let (makes_room, quota) = kept::make_room(request, target_site, target.storage_quota, need);
    target.storage_quota = quota;

    let mut reasons = Reasons::default();
    let mut not_preserved = Vec::new();
    let mappings =
        resolve::Mappings::new(request, places.source.site, Some(&source), &target, &mut reasons);
    let mut members: Vec<_> = request
        .members
        .iter()
        .filter_map(|member| {
            let server = source_server(member, &places, &source, &mut reasons);
            ready_member(
                member,
                server.map(running),
                Some(&source),
                &target,
                &mappings,
                &mut not_preserved,
                &mut reasons,
            )
        })
        .collect();
    let mut warnings = Vec::new();
    if let Some(remains) = &remains {
        remains.recall_power(&mut members);
        warnings.push(remains.warning());
    }
    mirror.check(&mut reasons);
    check_replication(request, &source, &target, &mut reasons);
    checks::quota(request, &members, &target, &mut reasons);
    let volume_type = checks::clone_type(request, target_site, &target, &mut reasons);
    let cinder_host = checks::target_pool(request, target_site, volume_type, &target, &mut reasons);
    reasons.into_result()?;

    let ready = Ready {
        members,
        cinder_host: cinder_host.unwrap_or_default(),
        volume_type: volume_type.map(|t| t.id.clone()).unwrap_or_default(),
        source_array: source.array.name.clone(),
        makes_room,
        facts: PlanFacts {
            group_id: request.group.id,
            source_site: source_name,
            target_site: target_name,
            not_preserved,
            warnings,
        },
        remains,
        places,
    };
    let mut plan = layout::lay_out(request, &ready);
    // The final snapshot is taken after every source is stopped and disconnected.
    preview::attach(&mut plan, request, &target, None);
    Ok(plan)
}

pub(crate) fn running(server: &Server) -> Running {
    Running {
        server_id: server.id.clone(),
        was_active: server.status == "ACTIVE",
        was_locked: server.locked,
    }
}

/// The member's server as it is now: there, in a state to start from, with the volumes that the group protects.
pub(crate) fn source_server<'a>(
    member: &Member,
    places: &Places,
    source: &'a SourceFacts,
    reasons: &mut Reasons,
) -> Option<&'a Server> {
    let name = member.spec.name.as_str();
    let mut not_ready = |message: String| reasons.add(Code::MemberNotReady, Some(name), message);
    let Some(server) =
        member.servers.get(&places.source.site).and_then(|id| source.servers.get(id))
    else {
        not_ready("its server no longer exists at the current primary; remove the member".into());
        return None;
    };
    if !matches!(server.status.as_str(), "ACTIVE" | "SHUTOFF") {
        not_ready(format!("its server is {}; bring it to ACTIVE or SHUTOFF first", server.status));
    }
    if let Some(task) = &server.task_state {
        not_ready(format!("its server is busy ({task}); try again when it is done"));
    }
    let recorded: Vec<&str> = member
        .volumes
        .iter()
        .filter_map(|v| v.placements.get(&places.source.site).map(|p| p.volume_id.as_str()))
        .collect();
    let attached: Vec<&str> = server.volumes.iter().map(|v| v.volume_id.as_str()).collect();
    let missing: Vec<_> = recorded.iter().filter(|v| !attached.contains(v)).copied().collect();
    let extra: Vec<_> = attached.iter().filter(|v| !recorded.contains(v)).copied().collect();
    if !missing.is_empty() || !extra.is_empty() {
        not_ready(format!(
            "its volumes have changed (no longer attached: [{}]; not protected: [{}]); refresh the member",
            missing.join(", "),
            extra.join(", ")
        ));
    }
    for volume in recorded.iter().filter_map(|id| source.volumes.get(*id)) {
        let recorded_size = member
            .volumes
            .iter()
            .find(|v| {
                v.placements.get(&places.source.site).is_some_and(|p| p.volume_id == volume.id)
            })
            .map_or(0, |v| v.size_gib);
        if volume.size_gib != recorded_size {
            not_ready(format!(
                "volume {} was resized from {recorded_size} to {} GiB; refresh the member",
                volume.id, volume.size_gib
            ));
        }
    }
    Some(server)
}

fn check_replication(
    request: &PlanRequest,
    source: &SourceFacts,
    target: &TargetFacts,
    reasons: &mut Reasons,
) {
    let mut not_ready = |message: String| reasons.add(Code::ReplicationNotReady, None, message);
    match source.links.iter().find(|l| l.remote == target.array.name) {
        None => not_ready(format!(
            "array {} has no replication link to {}; ask the storage administrator to connect them",
            source.array.name, target.array.name
        )),
        Some(link) if !link.is_usable() => {
            not_ready(format!(
                "the replication link {} -> {} is {}",
                source.array.name, link.remote, link.status
            ));
        }
        Some(_) => {}
    }
    let Some(group) = &source.group else {
        not_ready("the array's protection group is gone; set the replication policy again".into());
        return;
    };
    let allowed = |(name, allowed): &(String, bool)| *name == target.array.name && *allowed;
    // Whether a synchronous one is there, the target has said itself.
    if !request.group.is_synchronous() && !group.targets.iter().any(allowed) {
        not_ready(format!(
            "array {} does not allow the group to replicate to it; set the policy again",
            target.array.name
        ));
    }
    let site = request.group.current_primary_site_id;
    for member in &request.members {
        for volume in member.volumes.iter().filter_map(|v| v.placements.get(&site)) {
            if !group.volumes.contains(&volume.array_volume) {
                reasons.add(
                    Code::ReplicationNotReady,
                    Some(&member.spec.name),
                    format!(
                        "volume {} is not in the array's protection group; refresh the member",
                        volume.array_volume
                    ),
                );
            }
        }
    }
}
