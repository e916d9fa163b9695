//! How members come up at a site: resolving what they need, checking that the target has it, laying out the steps.

pub mod checks;
pub mod layout;
pub mod resolve;

use protector_types::Member;

pub use layout::{Rebuild, ServerSteps, Shared, Stages, VolumeSteps, suffix};

use crate::{
    facts::{Reasons, SourceFacts, TargetFacts},
    fencing::Running,
};

/// A member with everything resolved.
#[derive(Debug, Clone)]
pub struct ReadyMember<'a> {
    /// The member.
    pub member: &'a Member,
    /// Its server at the source, by Nova's id.
    pub source_server_id: String,
    /// Its server ran there.
    pub was_active: bool,
    /// Its server was locked there by somebody else.
    pub was_locked: bool,
    /// Its server runs there at this moment; a drill may have stopped one that ran.
    pub runs_now: bool,
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

impl ReadyMember<'_> {
    /// Its server at the source, to be fenced.
    pub fn running(&self) -> Running {
        Running {
            server_id: self.source_server_id.clone(),
            was_active: self.runs_now,
            was_locked: self.was_locked,
        }
    }

    /// How its server is put on record: as it was before a drill stopped it.
    pub fn recorded(&self) -> Running {
        Running { was_active: self.was_active, ..self.running() }
    }
}

/// Resolves a member for the target. `None`: the reasons say why not. `server`: its server at the source, if it can be
/// used as it is.
pub fn ready_member<'a>(
    member: &'a Member,
    server: Option<Running>,
    source: Option<&SourceFacts>,
    target: &TargetFacts,
    mappings: &resolve::Mappings,
    not_preserved: &mut Vec<String>,
    reasons: &mut Reasons,
) -> Option<ReadyMember<'a>> {
    let name = member.spec.name.as_str();
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
    let server = server?;
    Some(ReadyMember {
        member,
        source_server_id: server.server_id,
        was_active: server.was_active,
        runs_now: server.was_active,
        was_locked: server.was_locked,
        flavor_id: flavor?.id.clone(),
        ports: ports.into_iter().collect::<Option<_>>()?,
        key_name,
        import_key,
        availability_zone,
        server_group_id,
    })
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
