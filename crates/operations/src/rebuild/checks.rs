//! What must be true of the target before anything is touched, for all members at once.

use std::collections::BTreeMap;

use protector_core::{
    PlanRequest,
    groups::{is_replicated, replication_of},
};
use protector_ports::{BackendPool, VolumeType};
use protector_types::{Code, ReplicationType, SiteId};

use super::{ReadyMember, resolve};
use crate::facts::{Reasons, TargetFacts};

/// Counts all members, also those that something else keeps from moving: who has removed that must not meet the quota
/// next. Only a flavor that did not resolve cannot be counted.
pub fn quota(
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

/// The group's volume type at a site, as it is there now.
pub fn target_type<'a>(
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

/// The type that clones are managed under: the group's at that site. A synchronous group's clones get a type that is not
/// synchronous (managing under one with the partner array dead never ends in the driver): the group's own for drills, one
/// of the same backend that is not replicated, or one that replicates asynchronously.
pub fn clone_type<'a>(
    request: &PlanRequest,
    site: SiteId,
    target: &'a TargetFacts,
    reasons: &mut Reasons,
) -> Option<&'a VolumeType> {
    let usual = target_type(request, site, target, reasons)?;
    if !request.group.is_synchronous() {
        return Some(usual);
    }
    if let Some(wanted) = request.group.test_volume_types.get(&site)
        && let Some(found) = target.volume_types.iter().find(|t| t.id == wanted.id)
        && replication_of(found) != Some(ReplicationType::Sync)
    {
        return Some(found);
    }
    let plain = unreplicated(usual, target);
    let fits = |t: &&VolumeType| {
        same_backend(t, usual) && !t.encrypted && replication_of(t) == Some(ReplicationType::Async)
    };
    let found = plain.or_else(|| target.volume_types.iter().find(fits));
    if found.is_none() {
        reasons.add(
            Code::MappingMissing,
            None,
            format!(
                "the target has no volume type of the backend of {} that is not synchronous, and the copies are managed \
                 under one: create a type with the same volume_backend_name and without replication",
                usual.name
            ),
        );
    }
    found
}

/// A type of the same backend that is not replicated.
pub fn unreplicated<'a>(like: &VolumeType, target: &'a TargetFacts) -> Option<&'a VolumeType> {
    let fits = |t: &&VolumeType| same_backend(t, like) && !is_replicated(t) && !t.encrypted;
    target.volume_types.iter().filter(fits).min_by(|a, b| a.name.cmp(&b.name))
}

fn same_backend(one: &VolumeType, other: &VolumeType) -> bool {
    let backend = |t: &VolumeType| t.extra_specs.get("volume_backend_name").cloned();
    backend(one).is_some() && backend(one) == backend(other)
}

/// `host@backend#pool`: set by the operator, or the one pool of the type's `volume_backend_name`.
pub fn target_pool(
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
