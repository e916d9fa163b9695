//! Plans a drill: the checks of a failover, on a point that is there already, for networks and a volume type of its own.

use std::collections::BTreeMap;

use protector_core::PlanRequest;
use protector_ports::{Server, VolumeType};
use protector_types::{Code, GroupId, Member, Refusal, SiteId};
use protector_workflow::Plan;
use serde::{Deserialize, Serialize};

use super::{layout, record::PrimaryThen};
use crate::{
    deps::Deps,
    facts::{self, Places, Reasons, SourceFacts, TargetFacts},
    fencing::Running,
    points, preview,
    rebuild::{
        ReadyMember, checks, ready_member,
        resolve::{Isolated, Mappings},
    },
    replication,
    steps::create_port::FROM,
};

/// What the plan was decided on; stored with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    /// The group.
    pub group_id: GroupId,
    /// Name of the site where the group runs.
    pub source_site: String,
    /// Name of the site of the drill.
    pub target_site: String,
    /// What is known beforehand not to be kept.
    pub not_preserved: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The primary as it is now.
    pub primary: PrimaryThen,
}

/// A network to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNetwork {
    /// Step id.
    pub id: String,
    /// Name of the source network.
    pub stands_for: String,
    /// Step id and CIDR of each subnet.
    pub subnets: Vec<(String, String)>,
}

/// Everything the layout needs.
pub struct Ready<'a> {
    /// Where.
    pub places: Places,
    /// Members in order.
    pub members: Vec<ReadyMember<'a>>,
    /// `host@backend#pool`.
    pub cinder_host: String,
    /// Type id of the clones.
    pub volume_type: String,
    /// The source array's name as the target knows it.
    pub source_array: String,
    /// Networks to be made.
    pub networks: Vec<NewNetwork>,
    /// Stored with the plan.
    pub facts: Facts,
}

/// Plans a drill at the site where the group does not run.
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
    let target = target.map_err(facts::cannot_look(&target_name))?;
    let volumes = replication::volumes_at(request, places.source.site);
    let mirror = replication::mirror(deps, request, target_site, &volumes).await;
    let mirror = mirror.map_err(facts::cannot_look(&target_name))?;
    let points = async {
        let array = places.target_array.array(deps).await?;
        array.recovery_points(&source.array.name, &array_group).await
    };
    let points = points.await.map_err(facts::cannot_look(&target_name))?;

    let mut reasons = Reasons::default();
    let (mut not_preserved, mut warnings) = (Vec::new(), Vec::new());
    mirror.check(&mut reasons);
    let point = match takes_point(request) {
        true => None,
        false => points::choose(&points, &volumes, request.params.recovery_point.as_deref())
            .map_err(|why| reasons.add(Code::ReplicationNotReady, None, why))
            .ok(),
    };
    let (mappings, networks) = mappings(request, &places, &source, &target, &mut reasons);
    let members: Vec<_> = request
        .members
        .iter()
        .filter_map(|member| {
            let server = server_of(member, &places, &source, request, &mut reasons);
            ready_member(
                member,
                Some(server),
                Some(&source),
                &target,
                &mappings,
                &mut not_preserved,
                &mut reasons,
            )
        })
        .collect();
    checks::quota(request, &members, &target, &mut reasons);
    let volume_type = drill_type(request, target_site, &target, &mut warnings, &mut reasons);
    let cinder_host = checks::target_pool(request, target_site, volume_type, &target, &mut reasons);
    reasons.into_result()?;

    let stopped = stopped(request, &members);
    warnings.extend(stops_primary(&stopped));
    let primary =
        PrimaryThen { site_id: places.source.site, epoch: request.group.epoch.number, stopped };
    let facts = Facts {
        group_id: request.group.id,
        source_site: source_name,
        target_site: target_name,
        not_preserved,
        warnings,
        primary,
    };
    let ready = Ready {
        members,
        cinder_host: cinder_host.unwrap_or_default(),
        volume_type: volume_type.map(|t| t.id.clone()).unwrap_or_default(),
        source_array: source.array.name.clone(),
        networks,
        facts,
        places,
    };
    let mut plan = layout::lay_out(request, &ready);
    preview::attach(&mut plan, request, &target, point);
    Ok(plan)
}

/// A synchronous group's drill takes its own point: there is one at any moment.
pub fn takes_point(request: &PlanRequest) -> bool {
    request.group.is_synchronous() && request.params.recovery_point.is_none()
}

fn stops_primary(stopped: &[String]) -> Option<String> {
    (!stopped.is_empty()).then(|| {
        format!(
            "retain_primary is false: {} servers of the primary are stopped for the duration of the drill; \
             test_cleanup starts them again",
            stopped.len()
        )
    })
}

fn stopped(request: &PlanRequest, members: &[ReadyMember<'_>]) -> Vec<String> {
    if request.params.retain_primary {
        return Vec::new();
    }
    members.iter().filter(|m| m.runs_now).map(|m| m.source_server_id.clone()).collect()
}

/// The networks that the request maps are used; each other one is made anew, with the source's CIDRs, connected to
/// nothing. The group's standing network mapping is for the real thing.
fn mappings(
    request: &PlanRequest,
    places: &Places,
    source: &SourceFacts,
    target: &TargetFacts,
    reasons: &mut Reasons,
) -> (Mappings, Vec<NewNetwork>) {
    let mut asked = request.clone();
    asked.group.mappings.network.clear();
    let mut mappings = Mappings::new(&asked, places.source.site, Some(source), target, reasons);
    mappings.keeps_addresses = request.params.preserve_addresses;
    let mut networks: Vec<NewNetwork> = Vec::new();
    for port in request.members.iter().flat_map(|member| &member.spec.ports) {
        if mappings.network.get(&port.network_id, &port.network_name).is_some() {
            continue;
        }
        let isolated = mappings.isolated.entry(port.network_id.clone()).or_insert_with(|| {
            let id = format!("net{}", networks.len());
            let network = format!("{FROM}{id}");
            let stands_for = port.network_name.clone();
            networks.push(NewNetwork { id, stands_for, subnets: Vec::new() });
            Isolated { network, subnets: BTreeMap::new() }
        });
        let id = isolated.network.trim_start_matches(FROM).to_owned();
        let Some(network) = networks.iter_mut().find(|n| n.id == id) else { continue };
        for address in &port.fixed_ips {
            if isolated.subnets.contains_key(&address.cidr) {
                continue;
            }
            let step = format!("{id}.sub{}", network.subnets.len());
            network.subnets.push((step.clone(), address.cidr.clone()));
            isolated.subnets.insert(address.cidr.clone(), format!("{FROM}{step}"));
        }
    }
    (mappings, networks)
}

/// The member's server at the primary. Only a drill that stops it asks how it is.
fn server_of(
    member: &Member,
    places: &Places,
    source: &SourceFacts,
    request: &PlanRequest,
    reasons: &mut Reasons,
) -> Running {
    let name = member.spec.name.as_str();
    let id = member.servers.get(&places.source.site).cloned().unwrap_or_default();
    let server = source.servers.get(&id);
    let steady =
        |s: &Server| matches!(s.status.as_str(), "ACTIVE" | "SHUTOFF") && s.task_state.is_none();
    if !request.params.retain_primary && !server.is_some_and(steady) {
        let how = server.map_or("no longer there".to_owned(), |s| s.status.clone());
        reasons.add(
            Code::MemberNotReady,
            Some(name),
            format!("its server at the primary is {how} and cannot be stopped; retain the primary, or see to it first"),
        );
    }
    Running {
        was_active: server.map_or(!member.spec.was_off, |s| s.status != "SHUTOFF"),
        was_locked: server.is_some_and(|s| s.locked),
        server_id: id,
    }
}

/// The type of the clones: the group's own for drills; one of the same backend that is not replicated; the replicated
/// one, with a warning.
fn drill_type<'a>(
    request: &PlanRequest,
    site: SiteId,
    target: &'a TargetFacts,
    warnings: &mut Vec<String>,
    reasons: &mut Reasons,
) -> Option<&'a VolumeType> {
    if let Some(wanted) = request.group.test_volume_types.get(&site) {
        let found = target.volume_types.iter().find(|t| t.id == wanted.id);
        if found.is_none() {
            reasons.add(
                Code::MappingMissing,
                None,
                format!(
                    "the group's volume type for drills, {}, is no longer at the target",
                    wanted.name
                ),
            );
        }
        return found;
    }
    let replicated = checks::target_type(request, site, target, reasons)?;
    if request.group.is_synchronous() {
        return checks::clone_type(request, site, target, reasons);
    }
    let plain = checks::unreplicated(replicated, target);
    if plain.is_none() {
        warnings.push(format!(
            "the target has no volume type of the same backend that is not replicated: the drill's volumes have the type \
             {}, and the array replicates them until the cleanup; set the group's volume type for drills",
            replicated.name
        ));
    }
    Some(plain.unwrap_or(replicated))
}
