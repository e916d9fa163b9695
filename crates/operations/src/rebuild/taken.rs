//! The ports that a member has at a site already, from a server that is rebuilt there: they are taken over. Pure.

use protector_ports::NetworkPort;
use protector_types::Member;

use super::{ReadyMember, resolve::ReadyPort};
use crate::{deps::Place, sketch::Sketch, steps};

/// A port of a rebuilt server.
#[derive(Debug, Clone)]
pub enum Taken {
    /// Made anew.
    New,
    /// The original has left it.
    Free(String),
    /// The original still has it.
    Plugged(Box<NetworkPort>),
}

/// The member's own ports among those of the project, and the others: a MAC of the member, and no server, or the original
/// (Nova id), has it.
pub fn own_ports(
    member: &Member,
    original: Option<&str>,
    ports: &[NetworkPort],
) -> (Vec<NetworkPort>, Vec<NetworkPort>) {
    let macs: Vec<&str> = member.spec.ports.iter().map(|p| p.mac_address.as_str()).collect();
    let ours = |port: &NetworkPort| {
        macs.iter().any(|mac| mac.eq_ignore_ascii_case(&port.mac_address))
            && (port.device_id.is_empty() || original == Some(port.device_id.as_str()))
    };
    ports.iter().cloned().partition(ours)
}

/// For each port of the member the one that it has already, in interface order.
pub fn taken(member: &ReadyMember<'_>, own: &[NetworkPort]) -> Vec<Taken> {
    let taken = |ReadyPort { port, .. }: &ReadyPort| {
        let mac = port.mac_address.as_deref().unwrap_or_default();
        let same = own.iter().find(|own| {
            own.network_id == port.network_id && own.mac_address.eq_ignore_ascii_case(mac)
        });
        match same {
            None => Taken::New,
            Some(own) if own.device_id.is_empty() => Taken::Free(own.id.clone()),
            Some(own) => Taken::Plugged(Box::new(own.clone())),
        }
    };
    member.ports.iter().map(taken).collect()
}

/// Whose port is taken over.
pub struct TakeOver<'a> {
    /// Where.
    pub place: &'a Place,
    /// Position of the member in the group.
    pub m: usize,
    /// The member.
    pub member: &'a Member,
    /// Nova id of the original, if it is there.
    pub original: Option<&'a str>,
    /// What must be done before the original loses a port.
    pub after: Vec<String>,
    /// Stage of the steps.
    pub stage: usize,
}

impl TakeOver<'_> {
    /// The step `id`, which makes the port at position `p`, becomes one that takes the original's over.
    pub fn lay_out(&self, sketch: &mut Sketch, p: usize, taken: &Taken, id: &str) {
        let (port_id, freed) = match taken {
            Taken::New => return,
            Taken::Free(port_id) => (port_id.clone(), None),
            Taken::Plugged(port) => {
                let free = format!("m{}.free{p}", self.m);
                let input = steps::free_port::Input {
                    place: self.place.clone(),
                    server_id: self.original.unwrap_or_default().to_owned(),
                    port: (**port).clone(),
                };
                // Before all others, so that the order of steps stays the order of work.
                let (name, after) = (&self.member.spec.name, self.after.clone());
                sketch.add_for(name, &free, "free_port", self.stage, after, input);
                (port.id.clone(), Some(free))
            }
        };
        sketch.change(id, |step| {
            step.kind = "take_port".into();
            step.input["port_id"] = port_id.into();
            step.after.extend(freed);
        });
    }
}
