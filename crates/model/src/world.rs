//! The world: two sites, the network between them, what may still happen, and what must never have happened.

use std::hash::{DefaultHasher, Hash, Hasher};

use protector_core::two_sites::Standing;
use protector_ports::GroupStamp;
use stateright::{Model, Property};

use crate::{Doc, Kind, Rules, Site, Step, site::site_id};

/// A message under way. All may be lost, duplicated (within the budget) and overtaken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// May I have your claim?
    AskClaim {
        /// Receiver.
        to: usize,
        /// For which operation.
        operation: u8,
    },
    /// The answer, with the answering site's copy.
    Claim {
        /// Receiver.
        to: usize,
        /// For which operation.
        operation: u8,
        /// Granted, or who has it.
        granted: Option<u8>,
        /// The answering site's copy.
        doc: Doc,
    },
    /// I need your claim no more.
    Release {
        /// Receiver.
        to: usize,
        /// Of which operation.
        operation: u8,
    },
    /// A document, pushed or shown.
    Show {
        /// Receiver.
        to: usize,
        /// The document.
        doc: Doc,
    },
    /// I have it.
    Confirm {
        /// Receiver.
        to: usize,
        /// Which.
        stamp: GroupStamp,
    },
    /// What do you have?
    Look {
        /// Receiver.
        to: usize,
        /// Asked by `sync-force`, with the site that the person chose.
        force: Option<Option<usize>>,
    },
    /// The answer to a look by `sync-force`.
    Shown {
        /// Receiver.
        to: usize,
        /// The answering site's copy.
        doc: Doc,
        /// The site that the person chose.
        from: Option<usize>,
    },
    /// `sync-force`: take this.
    Force {
        /// Receiver.
        to: usize,
        /// The document.
        doc: Doc,
        /// The copy that the person gave up.
        instead_of: Option<GroupStamp>,
    },
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// The n-th message arrives.
    Deliver(usize),
    /// It is lost.
    Lose(usize),
    /// It arrives, and will arrive again.
    Duplicate(usize),
    /// An operator starts an unforced operation.
    Start(usize, Kind),
    /// The peer's answer does not come: the request is refused.
    GiveUp(usize),
    /// An engine asks for its renewal, at the start or in between.
    Renew(usize),
    /// The operation goes on to its end.
    Finish(usize),
    /// An operator forces.
    Force(usize),
    /// A forced failover brought nothing up: a further epoch names the old primary.
    Undo(usize),
    /// A document that was not confirmed is pushed again.
    Push(usize),
    /// A periodic look at the peer.
    Look(usize),
    /// The quarantined site's own copy is safe now.
    MakeSafe(usize),
    /// An operator synchronises, choosing a side or not.
    Synchronise(usize, Option<usize>),
    /// A claim whose holder does not renew is dead.
    Expire(usize),
    /// All processes of the site die and start again.
    Crash(usize),
    /// Its database is copied.
    Copy(usize),
    /// Its database is restored from the copy.
    Restore(usize),
}

impl Act {
    /// A fault, or an operator who begins something new: not needed to come to rest.
    pub fn is_disturbance(&self) -> bool {
        matches!(
            self,
            Self::Lose(_)
                | Self::Duplicate(_)
                | Self::Start(..)
                | Self::Force(_)
                | Self::Crash(_)
                | Self::Copy(_)
                | Self::Restore(_)
        )
    }
}

/// What may still go wrong, and how much operators may still begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Unforced operations.
    pub starts: u8,
    /// Forced ones, per site.
    pub forces: [u8; 2],
    /// Undone forced ones.
    pub undos: u8,
    /// Duplicated messages.
    pub duplicates: u8,
    /// Crashes.
    pub crashes: u8,
    /// Databases restored.
    pub restores: u8,
    /// Messages in the network at a time.
    pub network: usize,
    /// Sites look at each other, and persons synchronise, also while nothing differs.
    pub idle_looks: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// Site 0 and 1.
    pub sites: [Site; 2],
    /// Under way, sorted.
    pub network: Vec<Message>,
    /// A copy of one database, taken some time.
    pub copy: Option<(usize, Box<Site>)>,
    /// What is left.
    pub budget: Budget,
    /// Number of the next operation.
    pub next_operation: u8,
    /// Number of the next change.
    pub next_change: u8,
    /// What happened and never may.
    pub broken: Option<&'static str>,
    /// What happened and should be possible.
    pub seen: Seen,
}

/// Proof that the model gets to the interesting places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seen {
    /// A quarantine was released.
    pub released: bool,
    /// A quarantine was taken back by a further epoch.
    pub lifted: bool,
    /// A person decided a conflict.
    pub chosen: bool,
    /// A restarted engine gave up what the peer had taken over.
    pub gave_up: bool,
}

/// The model.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// Whose decisions.
    pub rules: Rules,
    /// How much may happen.
    pub budget: Budget,
}

impl World {
    /// Both sites hold the same, nothing is under way and nobody is kept from working.
    pub fn is_quiet_and_in_sync(&self) -> bool {
        let [a, b] = &self.sites;
        a.doc.stamp == b.doc.stamp
            && self.network.is_empty()
            && self
                .sites
                .iter()
                .all(|s| s.quarantine.is_none() && s.row.is_none() && s.work.is_none())
    }

    fn works_as_primary(&self, at: usize) -> bool {
        let site = &self.sites[at];
        site.doc.stamp.primary == site_id(at) && site.quarantine.is_none()
    }

    fn has_two_primaries(&self) -> bool {
        let [a, b] = &self.sites;
        self.works_as_primary(0)
            && self.works_as_primary(1)
            && a.doc.stamp.epoch.number == b.doc.stamp.epoch.number
            && !(a.doc.by_force && b.doc.by_force)
    }

    fn has_two_at_work(&self) -> bool {
        let at_work = |site: &Site| {
            site.work.is_some_and(|work| work.kind != Kind::Force && work.step == Step::Running)
        };
        let [a, b] = &self.sites;
        at_work(a) && at_work(b) && a.doc.stamp.epoch == b.doc.stamp.epoch
    }
}

/// An order of messages that does not depend on when they were sent: the network has none.
fn fingerprint(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}

impl Model for Protocol {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            sites: [Site::new(), Site::new()],
            network: Vec::new(),
            copy: None,
            budget: self.budget,
            next_operation: 1,
            next_change: 1,
            broken: None,
            seen: Seen::default(),
        }]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        if world.broken.is_none() {
            self.possible(world, acts);
        }
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut next = world.clone();
        self.act(&mut next, act);
        next.network.sort_by_cached_key(fingerprint);
        (next != *world && next.network.len() <= self.budget.network).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never two un-quarantined primaries in one epoch", |_, w: &World| {
                !w.has_two_primaries()
            }),
            Property::always("never two unforced operations at once", |_, w: &World| {
                !w.has_two_at_work()
            }),
            Property::always("never an older document over a newer one", |_, w: &World| {
                w.broken.is_none()
            }),
            Property::sometimes("both sites forced: CONFLICT", |m: &Self, w: &World| {
                m.rules.compare(&w.sites[0].doc.stamp, &w.sites[1].doc.stamp) == Standing::Conflict
            }),
            Property::sometimes("a quarantine is released", |_, w: &World| w.seen.released),
            Property::sometimes("a quarantine is taken back exactly", |_, w: &World| w.seen.lifted),
            Property::sometimes("a person decides a conflict", |_, w: &World| w.seen.chosen),
        ]
    }
}
