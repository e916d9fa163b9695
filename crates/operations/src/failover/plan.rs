//! Plans a planned failover: gathers facts, checks everything for **all** members, refuses with every reason at once.

use std::collections::BTreeMap;

use protector_core::PlanRequest;
use protector_ports::{BackendPool, Server, VolumeType};
use protector_types::{Code, GroupId, Member, Refusal, SiteId};
use protector_workflow::Plan;
use serde::{Deserialize, Serialize};

use super::{layout, resolve};
use crate::{
    deps::Deps,
    facts::{self, Places, Reasons, SourceFacts, TargetFacts},
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
}

/// A member with everything resolved.
pub struct ReadyMember<'a> {
    /// The member.
    pub member: &'a Member,
    /// Its server at the source.
    pub server: &'a Server,
    /// Target flavor id.
    pub flavor_id: String,
    /// Target ports with the source port's id, in interface order.
    pub ports: Vec<(String, protector_ports::NewPort)>,
    /// Keypair name to use at the target.
    pub key_name: Option<String>,
    /// Public key to import first.
    pub import_key: Option<String>,
    /// Availability zone, if the target has it.
    pub availability_zone: Option<String>,
    /// Existing server group at the target.
    pub server_group_id: Option<String>,
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
    let target = target.map_err(facts::cannot_look(&target_name))?;

    let mut reasons = Reasons::default();
    let mut not_preserved = Vec::new();
    let mappings = resolve::Mappings::new(request, &source, &target, &mut reasons);
    let members: Vec<_> = request
        .members
        .iter()
        .filter_map(|member| {
            ready_member(
                member,
                &places,
                &source,
                &target,
                &mappings,
                &mut not_preserved,
                &mut reasons,
            )
        })
        .collect();
    check_replication(request, &source, &target, &mut reasons);
    check_quota(request, &members, &target, &mut reasons);
    let volume_type = target_type(request, target_site, &target, &mut reasons);
    let cinder_host = target_pool(request, target_site, volume_type, &target, &mut reasons);
    reasons.into_result()?;

    let ready = Ready {
        members,
        cinder_host: cinder_host.unwrap_or_default(),
        volume_type: volume_type.map(|t| t.id.clone()).unwrap_or_default(),
        source_array: source.array.name.clone(),
        facts: PlanFacts {
            group_id: request.group.id,
            source_site: source_name,
            target_site: target_name,
            not_preserved,
        },
        places,
    };
    let plan = layout::lay_out(request, &ready);
    plan.validate().map_err(|error| {
        Refusal::new(Code::Internal, format!("the plan is not well formed: {error}"))
    })?;
    Ok(plan)
}

fn ready_member<'a>(
    member: &'a Member,
    places: &Places,
    source: &'a SourceFacts,
    target: &TargetFacts,
    mappings: &resolve::Mappings,
    not_preserved: &mut Vec<String>,
    reasons: &mut Reasons,
) -> Option<ReadyMember<'a>> {
    let name = member.spec.name.as_str();
    let server = source_server(member, places, source, reasons);
    let flavor = resolve::flavor(name, &member.spec.flavor, source, target, mappings, reasons);
    let ports: Vec<_> = member
        .spec
        .ports
        .iter()
        .map(|spec| {
            resolve::port(member, spec, target, mappings, not_preserved, reasons)
                .map(|port| (spec.id.clone(), port))
        })
        .collect();
    let (key_name, import_key) = keypair(member, target, not_preserved);
    let availability_zone =
        member.spec.availability_zone.clone().filter(|az| target.availability_zones.contains(az));
    if availability_zone.is_none() && member.spec.availability_zone.is_some() {
        let zone = member.spec.availability_zone.as_deref().unwrap_or_default();
        not_preserved
            .push(format!("{name}: availability zone {zone} (the target has no such zone)"));
    }
    let server_group_id = member.spec.server_group.as_ref().and_then(|wanted| {
        let same =
            |g: &&protector_ports::ServerGroup| g.name == wanted.name && g.policy == wanted.policy;
        target.server_groups.iter().find(same).map(|g| g.id.clone())
    });
    Some(ReadyMember {
        member,
        server: server?,
        flavor_id: flavor?.id.clone(),
        ports: ports.into_iter().collect::<Option<_>>()?,
        key_name,
        import_key,
        availability_zone,
        server_group_id,
    })
}

/// The member's server as it is now: there, in a state to start from, with the volumes that the group protects.
fn source_server<'a>(
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

/// The keypair at the target, or the public key to import, or neither.
fn keypair(
    member: &Member,
    target: &TargetFacts,
    not_preserved: &mut Vec<String>,
) -> (Option<String>, Option<String>) {
    let Some(name) = &member.spec.key_name else { return (None, None) };
    match (&member.spec.public_key, target.keypairs.iter().find(|k| k.name == *name)) {
        (Some(wanted), Some(there)) if wanted.trim() != there.public_key.trim() => {
            // Another key under the same name: never start the server with a stranger's key.
            not_preserved.push(format!(
                "{}: keypair {name} (another key has that name at the target)",
                member.spec.name
            ));
            (None, None)
        }
        (_, Some(_)) => (Some(name.clone()), None),
        (Some(wanted), None) => (Some(name.clone()), Some(wanted.clone())),
        (None, None) => {
            not_preserved.push(format!(
                "{}: keypair {name} (its public key could not be read)",
                member.spec.name
            ));
            (None, None)
        }
    }
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
    if !group.targets.iter().any(|(name, allowed)| *name == target.array.name && *allowed) {
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

/// Counts all members, also those that something else keeps from moving: who has removed that must not meet the quota
/// next. Only a flavor that did not resolve cannot be counted.
fn check_quota(
    request: &PlanRequest,
    ready: &[ReadyMember<'_>],
    target: &TargetFacts,
    reasons: &mut Reasons,
) {
    let members = &request.members;
    let flavors: BTreeMap<&str, _> = target.flavors.iter().map(|f| (f.id.as_str(), f)).collect();
    let of = |what: fn(&protector_ports::Flavor) -> u64| -> u64 {
        ready.iter().filter_map(|m| flavors.get(m.flavor_id.as_str())).map(|f| what(f)).sum()
    };
    let volumes: Vec<_> = members.iter().flat_map(|m| &m.volumes).collect();
    resolve::quota("instances", target.compute_quota.instances, members.len() as u64, reasons);
    resolve::quota("cores", target.compute_quota.cores, of(|f| u64::from(f.vcpus)), reasons);
    resolve::quota("ram (MiB)", target.compute_quota.ram_mib, of(|f| f.ram_mib), reasons);
    resolve::quota("volumes", target.storage_quota.volumes, volumes.len() as u64, reasons);
    let gigabytes = volumes.iter().map(|v| v.size_gib).sum();
    resolve::quota("gigabytes", target.storage_quota.gigabytes, gigabytes, reasons);
    let ports = members.iter().map(|m| m.spec.ports.len() as u64).sum();
    resolve::quota("ports", target.network_quota.ports, ports, reasons);
}

fn target_type<'a>(
    request: &PlanRequest,
    site: SiteId,
    target: &'a TargetFacts,
    reasons: &mut Reasons,
) -> Option<&'a VolumeType> {
    let wanted = request.group.volume_types.get(&site)?;
    let found = target.volume_types.iter().find(|t| t.id == wanted.id);
    if found.is_none() {
        reasons.add(
            Code::MappingMissing,
            None,
            format!("volume type {} ({}) no longer exists at the target", wanted.name, wanted.id),
        );
    }
    found
}

/// `host@backend#pool`: set by the operator, or the one pool of the type's `volume_backend_name`.
fn target_pool(
    request: &PlanRequest,
    site: SiteId,
    volume_type: Option<&VolumeType>,
    target: &TargetFacts,
    reasons: &mut Reasons,
) -> Option<String> {
    if let Some(host) = request.cinder_hosts.get(&site) {
        return Some(host.clone());
    }
    let wanted = volume_type.and_then(|t| t.extra_specs.get("volume_backend_name"));
    let fits = |pool: &&BackendPool| match (wanted, &pool.backend_name) {
        (Some(wanted), Some(has)) => wanted == has,
        (Some(wanted), None) => {
            pool.name.split('@').nth(1).is_some_and(|b| b.split('#').next() == Some(wanted))
        }
        (None, _) => true,
    };
    let pools: Vec<_> = target.pools.iter().filter(fits).collect();
    match pools.as_slice() {
        [only] => Some(only.name.clone()),
        [] => {
            reasons.add(
                Code::SiteError,
                None,
                "no Cinder backend at the target fits the volume type; set the site's cinder_host"
                    .to_owned(),
            );
            None
        }
        many => {
            let names: Vec<_> = many.iter().map(|p| p.name.as_str()).collect();
            reasons.add(
                Code::SiteError,
                None,
                format!(
                    "several Cinder backends at the target fit ({}); set the site's cinder_host",
                    names.join(", ")
                ),
            );
            None
        }
    }
}
