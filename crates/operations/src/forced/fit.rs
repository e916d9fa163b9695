//! Which members fit into what is free at the target: shortage goes on with those that do. Pure.

use protector_ports::{Flavor, Quota};

use crate::{facts::TargetFacts, rebuild::ReadyMember};

/// What is free of one thing.
struct Left {
    what: &'static str,
    free: Option<u64>,
    limit: u64,
}

impl Left {
    fn new(what: &'static str, quota: Quota) -> Self {
        Self { what, free: quota.free(), limit: quota.limit.unwrap_or_default() }
    }
}

/// Members with their positions in the group.
type Positioned<'a> = Vec<(usize, ReadyMember<'a>)>;

/// Takes members in order as long as they fit; of the others, why not.
pub fn split<'a>(
    members: Positioned<'a>,
    target: &TargetFacts,
) -> (Positioned<'a>, Vec<(usize, String)>) {
    let mut left = [
        Left::new("instances", target.compute_quota.instances),
        Left::new("cores", target.compute_quota.cores),
        Left::new("ram (MiB)", target.compute_quota.ram_mib),
        Left::new("volumes", target.storage_quota.volumes),
        Left::new("gigabytes", target.storage_quota.gigabytes),
        Left::new("ports", target.network_quota.ports),
    ];
    let (mut fitting, mut others) = (Vec::new(), Vec::new());
    for (m, member) in members {
        let flavor = target.flavors.iter().find(|f| f.id == member.flavor_id);
        let needs = needs(&member, flavor);
        let short =
            left.iter().zip(needs).find(|(left, need)| left.free.is_some_and(|f| f < *need));
        if let Some((left, need)) = short {
            others.push((
                m,
                format!(
                    "the target project's quota of {} does not suffice: {need} needed, {} free of {}; ask an \
                     administrator to raise it, and retry",
                    left.what,
                    left.free.unwrap_or_default(),
                    left.limit
                ),
            ));
            continue;
        }
        for (left, need) in left.iter_mut().zip(needs) {
            left.free = left.free.map(|free| free.saturating_sub(need));
        }
        fitting.push((m, member));
    }
    (fitting, others)
}

fn needs(member: &ReadyMember<'_>, flavor: Option<&Flavor>) -> [u64; 6] {
    let volumes = &member.member.volumes;
    [
        1,
        flavor.map_or(0, |f| u64::from(f.vcpus)),
        flavor.map_or(0, |f| f.ram_mib),
        volumes.len() as u64,
        volumes.iter().map(|v| v.size_gib).sum(),
        member.ports.len() as u64,
    ]
}
