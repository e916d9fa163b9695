//! How members come up at a site: resolving what they need, checking that the target has it, laying out the steps.

pub mod checks;
pub mod layout;
pub mod resolve;
pub mod taken;

use std::collections::BTreeMap;

use protector_types::{Code, Member, SecurityGroupSpec};

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
    /// Target ports, in interface order.
    pub ports: Vec<resolve::ReadyPort>,
    /// Security groups that must be made first.
    pub security_groups: Vec<CopiedGroup>,
    /// In whose name its server is made; `None`: our service user's.
    pub owner: Option<String>,
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
        .map(|spec| resolve::port(member, spec, target, mappings, not_preserved, reasons))
        .collect();
    let owner = target.delegate_for(&member.spec.user_id).map(str::to_owned);
    if owner.is_none() {
        not_preserved.push(format!(
            "{name}: owner (no user of the target project lets Protector act in its name; the server and its keypair \
             belong to Protector's own user there)"
        ));
    }
    let key = keypair(member, owner.as_deref(), target, mappings, not_preserved, reasons);
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
    if server.was_locked {
        not_preserved.push(format!("{name}: lock (the server at the target is not locked)"));
    }
    let ports: Vec<resolve::ReadyPort> = ports.into_iter().collect::<Option<_>>()?;
    let security_groups = copied_groups(member, &ports, target, mappings, not_preserved);
    Some(ReadyMember {
        member,
        source_server_id: server.server_id,
        was_active: server.was_active,
        runs_now: server.was_active,
        was_locked: server.was_locked,
        flavor_id: flavor?.id.clone(),
        ports,
        security_groups,
        owner,
        import_key: key.as_ref().and_then(|k| k.import.clone()),
        key_name: key.map(|k| k.name),
        availability_zone,
        server_group_id,
    })
}

/// A security group that is made at the target.
#[derive(Debug, Clone)]
pub struct CopiedGroup {
    /// The original.
    pub spec: SecurityGroupSpec,
    /// Groups that its rules refer to and that are at the target already: name to id.
    pub remotes: BTreeMap<String, String>,
}

/// The groups that the ports need and those that these refer to, as far as the target lacks them. A reference to a group
/// that is neither there nor known is left out: less is open then, and the record says so.
fn copied_groups(
    member: &Member,
    ports: &[resolve::ReadyPort],
    target: &TargetFacts,
    mappings: &resolve::Mappings,
    not_preserved: &mut Vec<String>,
) -> Vec<CopiedGroup> {
    let mut wanted: Vec<String> = ports.iter().flat_map(|p| p.copied_groups.clone()).collect();
    let mut copied: Vec<CopiedGroup> = Vec::new();
    while let Some(name) = wanted.pop() {
        let known = |name: &str| member.spec.security_groups.iter().find(|g| g.name == name);
        if copied.iter().any(|g| g.spec.name == name) {
            continue;
        }
        let Some(mut spec) = known(&name).cloned() else { continue };
        let mut remotes = BTreeMap::new();
        let mut lost = std::mem::take(&mut spec.not_portable);
        spec.rules.retain(|rule| {
            let Some(remote) = &rule.remote_group else { return true };
            if *remote == name {
                return true;
            }
            if let Some(there) = resolve::remote_group(remote, target, mappings) {
                remotes.insert(remote.clone(), there.id.clone());
            } else if known(remote).is_some() {
                wanted.push(remote.clone());
            } else {
                lost.push(format!("{}: refers to the group {remote}", rule.direction));
                return false;
            }
            true
        });
        for what in lost {
            let line = format!("{}: rule of security group {name}: {what}", member.spec.name);
            not_preserved.push(line);
        }
        copied.push(CopiedGroup { spec, remotes });
    }
    copied
}

/// The member's keypair at the target.
struct Key {
    name: String,
    /// To be imported first.
    import: Option<String>,
}

/// The keypair of whoever will own the server, by name; it is imported where it is not there. `None`: none.
fn keypair(
    member: &Member,
    owner: Option<&str>,
    target: &TargetFacts,
    mappings: &resolve::Mappings,
    not_preserved: &mut Vec<String>,
    reasons: &mut Reasons,
) -> Option<Key> {
    let name = member.spec.key_name.as_deref()?;
    let owner = owner.map(str::to_owned);
    let known = target.keypairs.get(&owner).map_or(&[][..], Vec::as_slice);
    if let Some(mapped) = mappings.keypair.get(name) {
        if known.iter().any(|k| k.name == *mapped) {
            return Some(Key { name: mapped.clone(), import: None });
        }
        let there: Vec<_> = known.iter().map(|k| k.name.as_str()).collect();
        reasons.add(
            Code::MappingInvalid,
            Some(&member.spec.name),
            format!(
                "keypair_mapping: {} has no keypair {mapped:?} at the target (there are: {}); import it there, or leave \
                 it out of the mapping: it is then imported",
                owner.map_or_else(|| "Protector's user".to_owned(), |user| format!("user {user}")),
                there.join(", ")
            ),
        );
        return None;
    }
    let there = known.iter().find(|k| k.name == name);
    let server = &member.spec.name;
    let Some(wanted) = member.spec.public_key.as_deref() else {
        if there.is_none() {
            not_preserved
                .push(format!("{server}: keypair {name} (its public key could not be read)"));
        }
        return there.map(|_| Key { name: name.to_owned(), import: None });
    };
    if there.is_none_or(|k| same_key(&k.public_key, wanted)) {
        let import = there.is_none().then(|| wanted.to_owned());
        return Some(Key { name: name.to_owned(), import });
    }
    // Another key under the same name: never start the server with a stranger's.
    let other = other_key_name(name, wanted);
    not_preserved.push(format!(
        "{server}: keypair name {name} (is {other}: another key has that name at the target)"
    ));
    let there = known.iter().any(|k| k.name == other && same_key(&k.public_key, wanted));
    Some(Key { name: other, import: (!there).then(|| wanted.to_owned()) })
}

/// The same key, whatever the comment behind it.
pub fn same_key(a: &str, b: &str) -> bool {
    let key = |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    key(a) == key(b)
}

/// A name for a key whose own name is taken by another: the same for the same key.
pub fn other_key_name(name: &str, public_key: &str) -> String {
    let blob = public_key.split_whitespace().nth(1).unwrap_or_default();
    let tail: Vec<char> = blob.chars().rev().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("{name}-{}", tail.into_iter().rev().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_blob_not_its_comment() {
        assert!(same_key("ssh-rsa AAAA me@here", " ssh-rsa  AAAA\n"));
        assert!(!same_key("ssh-rsa AAAA me@here", "ssh-rsa AAAB me@here"));
        assert_eq!(other_key_name("k", "ssh-rsa AAAA1234/5678== me"), "k-12345678");
    }
}
