//! One site: what its database holds, and what its processes have in hand.

use protector_ports::GroupStamp;
use protector_types::{Epoch, OperationId, SiteId};
use uuid::Uuid;

/// The id of site 0 or 1.
pub fn site_id(at: usize) -> SiteId {
    SiteId(Uuid::from_u128(at as u128 + 1))
}

/// The id of an operation.
pub fn operation_id(n: u8) -> OperationId {
    OperationId(Uuid::from_u128(u128::from(n) + 100))
}

/// A document. All but the stamp is what only an observer of the whole world knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Doc {
    /// What the sites know of it.
    pub stamp: GroupStamp,
    /// Every change that went into it.
    pub history: Vec<u8>,
    /// Its epoch was raised by force.
    pub by_force: bool,
}

impl Doc {
    /// A new group, its servers at site 0.
    pub fn born() -> Self {
        let epoch = Epoch { number: 1, raised_by: site_id(0), raised_in: None };
        let stamp = GroupStamp {
            epoch,
            epochs_before: Vec::new(),
            version: 1,
            primary: site_id(0),
            digest: "0".into(),
        };
        Self { stamp, history: vec![0], by_force: false }
    }

    /// One more change.
    pub fn change(&mut self, change: u8) {
        self.stamp.version += 1;
        self.stamp.digest = change.to_string();
        self.history.push(change);
    }

    /// A new epoch.
    pub fn raise(&mut self, primary: usize, by: usize, operation: u8, by_force: bool) {
        self.stamp.epochs_before.push(self.stamp.epoch);
        self.stamp.epoch = Epoch {
            number: self.stamp.epoch.number + 1,
            raised_by: site_id(by),
            raised_in: Some(operation_id(operation)),
        };
        self.stamp.primary = site_id(primary);
        self.by_force = by_force;
    }

    /// True if everything that made the other one is in this one.
    pub fn contains(&self, other: &Self) -> bool {
        other.history.iter().all(|change| self.history.contains(change))
    }

    /// True if this one went through the other one's epoch.
    pub fn went_through_epoch_of(&self, other: &Self) -> bool {
        self.stamp.epoch == other.stamp.epoch
            || self.stamp.epochs_before.contains(&other.stamp.epoch)
    }
}

/// A claim's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// For which operation.
    pub operation: u8,
    /// Who drives it.
    pub holder: usize,
}

/// What an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A change of the group that moves nothing.
    Change,
    /// A planned failover or failback: two changes, the second one raises the epoch.
    Move,
    /// A forced failover, or a takeover: raises the epoch at once.
    Force,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The peer was asked for its claim. Only in memory.
    Asked,
    /// Accepted: in the database.
    Running,
    /// In the database, and no engine has gone on with it since the start.
    Waiting,
    /// Its last change is made; only the peer has to learn of it.
    Done,
}

/// An operation that this site drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Work {
    /// Number.
    pub operation: u8,
    /// What it is.
    pub kind: Kind,
    /// How far.
    pub step: Step,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Site {
    /// Its copy.
    pub doc: Doc,
    /// Quarantined; true once its own copy is safe.
    pub quarantine: Option<bool>,
    /// A person has synchronised since it was quarantined.
    pub asked: bool,
    /// Forced: the document waits for `sync-force`.
    pub hold: bool,
    /// The peer has this document, as far as the site knows.
    pub confirmed: bool,
    /// The claim.
    pub row: Option<Row>,
    /// What it drives.
    pub work: Option<Work>,
}

impl Site {
    /// With a new group.
    pub fn new() -> Self {
        Self {
            doc: Doc::born(),
            quarantine: None,
            asked: false,
            hold: false,
            confirmed: true,
            row: None,
            work: None,
        }
    }

    /// What is left after a crash.
    pub fn crash(&mut self) {
        match &mut self.work {
            Some(work) if work.step == Step::Asked => self.work = None,
            Some(work) if work.step == Step::Running => work.step = Step::Waiting,
            _ => {}
        }
    }

    /// Gives its own claim and work up.
    pub fn drop_work(&mut self) {
        if let Some(work) = self.work.take()
            && self.row.is_some_and(|row| row.operation == work.operation)
        {
            self.row = None;
        }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}
