//! Resolves what members need to what the target has: flavors, networks, addresses, security groups, keys, zones.
//! Pure: facts in, decisions and reasons out.

use std::collections::BTreeMap;

use protector_core::PlanRequest;
use protector_ports::{Flavor, Network, NewPort, PortAddress, Quota, SecurityGroup};
use protector_types::{
    Candidate, Code, FlavorSpec, Mapping, MappingError, Member, PortSpec, SiteId, resolve_reference,
};

use crate::facts::{Reasons, SourceFacts, TargetFacts};

/// What a mapping says, by source id and by source name.
pub struct ResolvedMapping(BTreeMap<String, Candidate>);

impl ResolvedMapping {
    /// Resolves every entry; unknown or ambiguous ones become reasons that list the candidates. `sources`: `None` when
    /// the source site is dead.
    pub fn new(
        kind: &'static str,
        standing: &Mapping,
        given: &Mapping,
        sources: Option<&[Candidate]>,
        targets: &[Candidate],
        reasons: &mut Reasons,
    ) -> Self {
        let mut resolved = BTreeMap::new();
        // What is given with the request wins over what stands on the group.
        for (key, value) in standing.iter().chain(given) {
            let target = resolve_reference(kind, value, targets);
            let Some(sources) = sources else {
                // Nobody can be asked: the key is compared with what the members remember, id and name alike.
                match target {
                    Ok(target) => {
                        resolved.insert(key.clone(), target.clone());
                    }
                    Err(error) => invalid(kind, "target", &error, reasons),
                }
                continue;
            };
            match (resolve_reference(kind, key, sources), target) {
                (Ok(source), Ok(target)) => {
                    resolved.insert(source.id.clone(), target.clone());
                    resolved.insert(source.name.clone(), target.clone());
                }
                (source, target) => {
                    for (side, error) in [("source", source.err()), ("target", target.err())] {
                        if let Some(error) = error {
                            invalid(kind, side, &error, reasons);
                        }
                    }
                }
            }
        }
        Self(resolved)
    }

    /// The counterpart of a source thing.
    pub fn get(&self, id: &str, name: &str) -> Option<&Candidate> {
        self.0.get(id).or_else(|| self.0.get(name))
    }
}

fn invalid(kind: &str, side: &str, error: &MappingError, reasons: &mut Reasons) {
    reasons.add(
        Code::MappingInvalid,
        Some(&format!("{kind}_mapping")),
        format!("at the {side} site, {error}"),
    );
}

/// Flavors as candidates.
pub fn flavor_candidates(flavors: &[Flavor]) -> Vec<Candidate> {
    flavors.iter().map(|f| Candidate { id: f.id.clone(), name: f.name.clone() }).collect()
}

/// Networks as candidates.
pub fn network_candidates(networks: &[Network]) -> Vec<Candidate> {
    networks.iter().map(|n| Candidate { id: n.id.clone(), name: n.name.clone() }).collect()
}

/// A network that is made for a drill, by the steps that make it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Isolated {
    /// `from:net0`.
    pub network: String,
    /// `from:net0.sub0`, by CIDR.
    pub subnets: BTreeMap<String, String>,
}

/// All mappings of a request.
pub struct Mappings {
    /// Networks.
    pub network: ResolvedMapping,
    /// Flavors.
    pub flavor: ResolvedMapping,
    /// Security groups, by name.
    pub security_group: Mapping,
    /// Networks that are made for a drill, by the source network's id.
    pub isolated: BTreeMap<String, Isolated>,
    /// Addresses and MACs are kept on the target's own networks.
    pub keeps_addresses: bool,
    /// Keypairs, by name.
    pub keypair: Mapping,
}

impl Mappings {
    /// From the group's standing mappings and the request's. The standing ones read primary -> secondary; a group that
    /// comes from its secondary reads them backwards.
    pub fn new(
        request: &PlanRequest,
        source_site: SiteId,
        source: Option<&SourceFacts>,
        target: &TargetFacts,
        reasons: &mut Reasons,
    ) -> Self {
        let forward = source_site == request.group.primary_site_id;
        let direct = |mapping: &Mapping| -> Mapping {
            if forward {
                mapping.clone()
            } else {
                mapping.iter().map(|(k, v)| (v.clone(), k.clone())).collect()
            }
        };
        let standing = &request.group.mappings;
        Self {
            network: ResolvedMapping::new(
                "network",
                &direct(&standing.network),
                &request.params.network_mapping,
                source.map(|s| network_candidates(&s.networks)).as_deref(),
                &network_candidates(&target.networks),
                reasons,
            ),
            flavor: ResolvedMapping::new(
                "flavor",
                &direct(&standing.flavor),
                &request.params.flavor_mapping,
                source.map(|s| flavor_candidates(&s.flavors)).as_deref(),
                &flavor_candidates(&target.flavors),
                reasons,
            ),
            security_group: direct(&standing.security_group),
            isolated: BTreeMap::new(),
            keeps_addresses: true,
            keypair: direct(&standing.keypair),
        }
    }
}

/// The target flavor of a member.
pub fn flavor<'a>(
    member: &str,
    spec: &FlavorSpec,
    source: Option<&SourceFacts>,
    target: &'a TargetFacts,
    mappings: &Mappings,
    reasons: &mut Reasons,
) -> Option<&'a Flavor> {
    // Nova shows no flavor id from 2.47 on: find it by name, to honour a mapping that names the id.
    let source_id = source
        .and_then(|source| source.flavors.iter().find(|f| f.name == spec.name))
        .map_or("", |f| f.id.as_str());
    let mapped = mappings.flavor.get(source_id, &spec.name);
    let found = match mapped {
        Some(candidate) => target.flavors.iter().find(|f| f.id == candidate.id),
        None => target.flavors.iter().find(|f| f.name == spec.name),
    };
    let Some(flavor) = found else {
        reasons.add(
            Code::MappingMissing,
            Some(member),
            format!(
                "flavor {:?} has no counterpart of that name at the target; map it with flavor_mapping (there are: {})",
                spec.name,
                target.flavors.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ")
            ),
        );
        return None;
    };
    Some(flavor)
}

/// A port with everything resolved.
#[derive(Debug, Clone, Default)]
pub struct ReadyPort {
    /// The source port, by id.
    pub source_id: String,
    /// Its name.
    pub name: String,
    /// The target port, without the groups that are copied first.
    pub port: NewPort,
    /// Names of the security groups that are copied first.
    pub copied_groups: Vec<String>,
}

/// The target port of a source port, and what of it cannot be kept.
pub fn port(
    member: &Member,
    spec: &PortSpec,
    target: &TargetFacts,
    mappings: &Mappings,
    not_preserved: &mut Vec<String>,
    reasons: &mut Reasons,
) -> Option<ReadyPort> {
    let name = member.spec.name.as_str();
    if let Some(isolated) = mappings.isolated.get(&spec.network_id) {
        let groups = port_groups(member, spec, target, mappings, reasons);
        return Some(isolated_port(spec, isolated, groups));
    }
    let mapped = mappings.network.get(&spec.network_id, &spec.network_name).map(|c| c.id.clone());
    let network_id = match mapped {
        Some(id) => id,
        None => {
            let candidates = network_candidates(&target.networks);
            match resolve_reference("network", &spec.network_name, &candidates) {
                Ok(candidate) => candidate.id.clone(),
                Err(error) => {
                    reasons.add(
                        Code::MappingMissing,
                        Some(name),
                        format!(
                            "network {:?} is not mapped: {error}; give it in network_mapping",
                            spec.network_name
                        ),
                    );
                    return None;
                }
            }
        }
    };
    let fixed_ips = if mappings.keeps_addresses {
        addresses(name, spec, &network_id, target, not_preserved, reasons)
    } else {
        any_addresses(spec, &network_id, target)
    };
    let mac_taken = target.ports.iter().find(|p| {
        mappings.keeps_addresses
            && p.network_id == network_id
            && p.mac_address.eq_ignore_ascii_case(&spec.mac_address)
    });
    if let Some(taken) = mac_taken {
        reasons.add(
            Code::MemberNotReady,
            Some(name),
            format!(
                "MAC {} is in use at the target by port {}; delete that port",
                spec.mac_address, taken.id
            ),
        );
    }
    let groups = port_groups(member, spec, target, mappings, reasons);
    let mac_address = mappings.keeps_addresses.then(|| spec.mac_address.clone());
    Some(ready_port(spec, network_id, mac_address, fixed_ips, groups))
}

fn ready_port(
    spec: &PortSpec,
    network_id: String,
    mac_address: Option<String>,
    fixed_ips: Vec<PortAddress>,
    (security_groups, copied_groups): Groups,
) -> ReadyPort {
    let port = NewPort {
        name: String::new(),
        network_id,
        mac_address,
        fixed_ips,
        security_groups,
        port_security_enabled: (!spec.port_security_enabled).then_some(false),
        allowed_address_pairs: spec
            .allowed_address_pairs
            .as_array()
            .filter(|pairs| !pairs.is_empty())
            .map(|pairs| serde_json::Value::Array(pairs.clone())),
        vnic_type: spec.vnic_type.clone().filter(|v| v != "normal"),
    };
    ReadyPort { source_id: spec.id.clone(), name: spec.name.clone(), port, copied_groups }
}

/// In a network of its own everything stays as it was.
fn isolated_port(spec: &PortSpec, isolated: &Isolated, groups: Groups) -> ReadyPort {
    let fixed_ips = spec.fixed_ips.iter().filter_map(|address| {
        let subnet_id = isolated.subnets.get(&address.cidr)?.clone();
        Some(PortAddress { subnet_id, ip_address: Some(address.ip_address.clone()) })
    });
    let fixed_ips = fixed_ips.collect();
    let mac_address = Some(spec.mac_address.clone());
    ready_port(spec, isolated.network.clone(), mac_address, fixed_ips, groups)
}

/// Ids of a port's groups that are there, and names of those that are copied first.
type Groups = (Option<Vec<String>>, Vec<String>);

/// Without port security there are none.
fn port_groups(
    member: &Member,
    spec: &PortSpec,
    target: &TargetFacts,
    mappings: &Mappings,
    reasons: &mut Reasons,
) -> Groups {
    if !spec.port_security_enabled {
        return (None, Vec::new());
    }
    let (ids, copied) = security_groups(member, spec, target, mappings, reasons);
    ((!ids.is_empty()).then_some(ids), copied)
}

/// Any free address of each family that the port has.
fn any_addresses(spec: &PortSpec, network_id: &str, target: &TargetFacts) -> Vec<PortAddress> {
    let subnets: Vec<_> = target.subnets.iter().filter(|s| s.network_id == network_id).collect();
    let of = |address: &protector_types::FixedIp| {
        let six = address.ip_address.contains(':');
        let same = subnets.iter().find(|s| s.cidr == address.cidr);
        same.or_else(|| subnets.iter().find(|s| s.cidr.contains(':') == six))
            .map(|s| PortAddress { subnet_id: s.id.clone(), ip_address: None })
    };
    spec.fixed_ips.iter().filter_map(of).collect()
}

fn addresses(
    member: &str,
    spec: &PortSpec,
    network_id: &str,
    target: &TargetFacts,
    not_preserved: &mut Vec<String>,
    reasons: &mut Reasons,
) -> Vec<PortAddress> {
    let subnets: Vec<_> = target.subnets.iter().filter(|s| s.network_id == network_id).collect();
    if subnets.is_empty() && !spec.fixed_ips.is_empty() {
        reasons.add(
            Code::MappingInvalid,
            Some(member),
            format!("target network {network_id} has no subnet, but the member has addresses; map another network"),
        );
    }
    spec.fixed_ips
        .iter()
        .filter_map(|address| {
            if let Some(subnet) = subnets.iter().find(|s| s.cidr == address.cidr) {
                let taken = target.ports.iter().find(|p| {
                    p.network_id == network_id
                        && p.fixed_ips.iter().any(|a| a.ip_address.as_deref() == Some(&address.ip_address))
                });
                if let Some(taken) = taken {
                    reasons.add(
                        Code::MemberNotReady,
                        Some(member),
                        format!(
                            "address {} is in use at the target by port {}; delete that port or map another network",
                            address.ip_address, taken.id
                        ),
                    );
                }
                let ip_address = Some(address.ip_address.clone());
                return Some(PortAddress { subnet_id: subnet.id.clone(), ip_address });
            }
            // Another CIDR: an address of the same family, whichever is free.
            let six = address.ip_address.contains(':');
            let subnet = subnets.iter().find(|s| s.cidr.contains(':') == six)?;
            not_preserved.push(format!(
                "{member}: address {} (the target subnet is {})",
                address.ip_address, subnet.cidr
            ));
            Some(PortAddress { subnet_id: subnet.id.clone(), ip_address: None })
        })
        .collect()
}

/// The port's groups at the target by id, and the names of those that are copied: what is neither mapped nor there under
/// its name, and is known with its rules.
fn security_groups(
    member: &Member,
    spec: &PortSpec,
    target: &TargetFacts,
    mappings: &Mappings,
    reasons: &mut Reasons,
) -> (Vec<String>, Vec<String>) {
    let (mut there, mut copied) = (Vec::new(), Vec::new());
    for name in &spec.security_groups {
        let mapped = mappings.security_group.get(name);
        let wanted = mapped.unwrap_or(name);
        let found = target.security_groups.iter().find(|g| g.id == *wanted || g.name == *wanted);
        let known = member.spec.security_groups.iter().any(|g| g.name == *name);
        match found {
            Some(group) => there.push(group.id.clone()),
            None if mapped.is_none() && known => copied.push(name.clone()),
            None => reasons.add(
                Code::MappingMissing,
                Some(&member.spec.name),
                format!(
                    "security group {wanted:?} is not at the target, and its rules are not known: make it there, map it \
                     with security_group_mapping, or refresh the member"
                ),
            ),
        }
    }
    (there, copied)
}

/// What a group that is copied refers to: a group at the target by name or mapping, or one that is copied too.
pub fn remote_group<'a>(
    name: &str,
    target: &'a TargetFacts,
    mappings: &Mappings,
) -> Option<&'a SecurityGroup> {
    let wanted = mappings.security_group.get(name).map_or(name, String::as_str);
    target.security_groups.iter().find(|g| g.id == wanted || g.name == wanted)
}

/// Checks one limit of the target project.
pub fn quota(what: &str, quota: Quota, need: u64, reasons: &mut Reasons) {
    if let Some(free) = quota.free()
        && free < need
    {
        reasons.add(
            Code::QuotaTooSmall,
            None,
            format!(
                "the target project's quota of {what} does not suffice: {need} needed, {free} free of {}; ask an \
                 administrator to raise it",
                quota.limit.unwrap_or_default()
            ),
        );
    }
}
