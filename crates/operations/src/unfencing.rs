//! Lays out the exact reversal of a fence: recorded connections -> unlock -> start, and only what had run
//! (3-workflows.md section 5). Nova's start does not export again, so the order matters.

use protector_types::{Fence, FencedVolume, Member, OperationId};

use crate::{
    deps::{ArrayPlace, Place},
    sketch::Sketch,
    steps,
};

/// Where fences are taken back.
pub struct Unfencing<'a> {
    /// Part of the names of what is kept if it is undone.
    pub operation: OperationId,
    /// The site of the servers.
    pub place: &'a Place,
    /// Its array.
    pub array: ArrayPlace,
    /// Stage of the steps.
    pub stage: usize,
    /// Seconds for which is kept what a server wrote that is stopped again.
    pub keep_sec: i64,
}

/// What was disconnected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// A fence's record says it.
    Here(Vec<FencedVolume>),
    /// A step of this operation records it.
    By(String),
}

/// A fenced server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fenced {
    /// Nova id.
    pub server_id: String,
    /// It was locked before the fence: it stays so.
    pub was_locked: bool,
    /// It is started.
    pub start: bool,
    /// Its connections.
    pub connections: Recorded,
    /// Its array volumes.
    pub volumes: Vec<String>,
}

impl From<&Fence> for Fenced {
    fn from(fence: &Fence) -> Self {
        Self {
            server_id: fence.server_id.clone(),
            was_locked: fence.was_locked,
            start: fence.was_active,
            connections: Recorded::Here(fence.volumes.clone()),
            volumes: fence.volumes.iter().map(|v| v.volume.clone()).collect(),
        }
    }
}

impl Unfencing<'_> {
    /// The steps of one server; gives the last one's id.
    pub fn server(
        &self,
        sketch: &mut Sketch,
        prefix: &str,
        member: &Member,
        fenced: &Fenced,
        after: Vec<String>,
    ) -> String {
        let name = member.spec.name.as_str();
        let (connect, unlock) = (format!("{prefix}.connect"), format!("{prefix}.unlock"));
        let (volumes, recorded_by) = match &fenced.connections {
            Recorded::Here(volumes) => (volumes.clone(), None),
            Recorded::By(step) => (Vec::new(), Some(step.clone())),
        };
        let input = steps::restore_connections::Planned { array: self.array, volumes, recorded_by };
        sketch.add_for(name, &connect, "restore_connections", self.stage, after, input);
        let input = steps::lock_server::Input {
            place: self.place.clone(),
            server_id: fenced.server_id.clone(),
            was_locked: fenced.was_locked,
            reason: format!("fenced again: Protector operation {} was undone", self.operation),
        };
        sketch.add_for(name, &unlock, "unlock_server", self.stage, vec![connect], input);
        if !fenced.start {
            return unlock;
        }
        let start = format!("{prefix}.start");
        let input = steps::start_server::Input {
            place: self.place.clone(),
            server_id: fenced.server_id.clone(),
            locked: fenced.was_locked,
            array: self.array,
            volumes: fenced.volumes.clone(),
            late_suffix: late_suffix(self.operation),
            member_id: member.id,
            keep_sec: self.keep_sec,
        };
        sketch.add_for(name, &start, "start_server", self.stage, vec![unlock], input);
        start
    }
}

/// Suffix of the snapshots that keep what an undone server wrote.
pub fn late_suffix(operation: OperationId) -> String {
    format!("ptr-{}-late", operation.short())
}
