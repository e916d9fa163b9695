//! Lays out the fence of a member: stop -> lock -> record -> disconnect (3-workflows.md section 4).

use protector_types::{Fence, Member, OperationId, SiteId};

use crate::{
    deps::{ArrayPlace, Place},
    sketch::Sketch,
    steps,
};

/// What is fenced where.
pub struct Fencing<'a> {
    /// For the lock's reason.
    pub operation: OperationId,
    /// The site whose servers stop.
    pub place: &'a Place,
    /// Its array.
    pub array: ArrayPlace,
    /// Stage of the steps.
    pub stage: usize,
}

/// The server to be fenced, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Nova id.
    pub server_id: String,
    /// It is ACTIVE.
    pub was_active: bool,
    /// It is locked already.
    pub was_locked: bool,
}

impl Fencing<'_> {
    /// The steps of one member (prefix `m<m>`); gives the last one's id.
    pub fn member(
        &self,
        sketch: &mut Sketch,
        m: usize,
        member: &Member,
        server: &Running,
        after: Vec<String>,
    ) -> String {
        self.server(sketch, &format!("m{m}"), member, server, after)
    }

    /// The same under another prefix.
    pub fn server(
        &self,
        sketch: &mut Sketch,
        prefix: &str,
        member: &Member,
        server: &Running,
        after: Vec<String>,
    ) -> String {
        let name = member.spec.name.as_str();
        let (stop, lock) = (format!("{prefix}.stop"), format!("{prefix}.lock"));
        let (record, fence) = (format!("{prefix}.record"), format!("{prefix}.fence"));
        let input = steps::stop_server::Input {
            place: self.place.clone(),
            server_id: server.server_id.clone(),
            was_active: server.was_active,
        };
        sketch.add_for(name, &stop, "stop_server", self.stage, after, input);
        let input = steps::lock_server::Input {
            place: self.place.clone(),
            server_id: server.server_id.clone(),
            was_locked: server.was_locked,
            reason: format!("fenced by Protector operation {}", self.operation),
        };
        sketch.add_for(name, &lock, "lock_server", self.stage, vec![stop], input);
        let input = steps::record_connections::Input {
            array: self.array,
            volumes: array_volumes(member, self.place.site),
        };
        sketch.add_for(name, &record, "record_connections", self.stage, vec![lock], input);
        let input =
            steps::disconnect_volumes::Planned { array: self.array, recorded_by: record.clone() };
        sketch.add_for(name, &fence, "disconnect_volumes", self.stage, vec![record], input);
        fence
    }
}

/// The record of a member's fence before its connections are known: [`steps::swap_primary`] completes it from the step
/// `m<m>.record`.
pub fn unfinished_record(
    operation: OperationId,
    epoch: u64,
    site: SiteId,
    member: &Member,
    server: &Running,
) -> Fence {
    Fence {
        member_id: member.id,
        site_id: site,
        epoch,
        server_id: server.server_id.clone(),
        was_active: server.was_active,
        was_locked: server.was_locked,
        volumes: Vec::new(),
        operation_id: Some(operation),
        fenced_at: chrono::DateTime::UNIX_EPOCH,
    }
}

/// The member's array volumes at a site, in device order.
pub fn array_volumes(member: &Member, site: SiteId) -> Vec<String> {
    member
        .volumes
        .iter()
        .filter_map(|v| v.placements.get(&site))
        .map(|p| p.array_volume.clone())
        .collect()
}
