//! What each act does to the world. Decisions are [`Rules`]'.

use protector_core::two_sites::{
    Answer, Direction, Grant, Held, Offer, PeerWord, Resume, Standing, Want,
};
use protector_ports::GroupStamp;

use crate::{
    Act, Doc, Kind, Message, Protocol, Row, Site, Step, Work, World,
    site::{operation_id, site_id},
};

const OLDER: &str = "an older document replaced a newer one";
const LOST: &str = "an unforced change was made beside another one";
const WENT_ON: &str = "an engine went on with what the peer had taken over";
const STILL_PRIMARY: &str =
    "a site stopped being the primary without its copy having been made safe";

impl Protocol {
    pub(crate) fn possible(&self, world: &World, acts: &mut Vec<Act>) {
        let budget = &world.budget;
        for n in 0..world.network.len() {
            acts.extend([Act::Deliver(n), Act::Lose(n)]);
            if budget.duplicates > 0 {
                acts.push(Act::Duplicate(n));
            }
        }
        for at in 0..2 {
            self.of_site(world, at, acts);
            if budget.crashes > 0 {
                acts.push(Act::Crash(at));
            }
            if budget.restores > 0 {
                match &world.copy {
                    None => acts.push(Act::Copy(at)),
                    Some((whose, _)) if *whose == at => acts.push(Act::Restore(at)),
                    Some(_) => {}
                }
            }
        }
    }

    fn of_site(&self, world: &World, at: usize, acts: &mut Vec<Act>) {
        let (site, budget) = (&world.sites[at], &world.budget);
        let free = site.quarantine.is_none() && site.work.is_none();
        if free && site.row.is_none() && budget.starts > 0 {
            acts.extend([Act::Start(at, Kind::Change), Act::Start(at, Kind::Move)]);
        }
        if free && budget.forces[at] > 0 {
            acts.push(Act::Force(at));
        }
        match site.work {
            Some(Work { step: Step::Asked, .. }) => acts.push(Act::GiveUp(at)),
            Some(Work { step: Step::Waiting, .. }) => acts.push(Act::Renew(at)),
            Some(Work { kind: Kind::Force, .. }) => {
                acts.push(Act::Finish(at));
                if budget.undos > 0 {
                    acts.push(Act::Undo(at));
                }
            }
            Some(_) => acts.push(Act::Finish(at)),
            None => {}
        }
        if !site.confirmed && !site.hold {
            acts.push(Act::Push(at));
        }
        if site.quarantine == Some(false) {
            acts.push(Act::MakeSafe(at));
        }
        if site.row.is_some_and(|row| may_expire(world, at, row)) {
            acts.push(Act::Expire(at));
        }
        let differ = world.sites[0].doc.stamp != world.sites[1].doc.stamp
            || world.sites.iter().any(|site| site.quarantine.is_some());
        if world.network.is_empty() && (differ || budget.idle_looks) {
            acts.push(Act::Look(at));
            acts.extend([None, Some(0), Some(1)].map(|from| Act::Synchronise(at, from)));
        }
    }

    pub(crate) fn act(&self, world: &mut World, act: Act) {
        match act {
            Act::Deliver(n) => {
                let message = world.network.remove(n);
                self.receive(world, message);
            }
            Act::Lose(n) => drop(world.network.remove(n)),
            Act::Duplicate(n) => {
                world.budget.duplicates -= 1;
                let message = world.network[n].clone();
                self.receive(world, message);
            }
            Act::Start(at, kind) => start(world, at, kind),
            Act::GiveUp(at) => world.sites[at].drop_work(),
            Act::Renew(at) => self.renew(world, at),
            Act::Finish(at) => finish(world, at),
            Act::Force(at) => force(world, at),
            Act::Undo(at) => undo(world, at),
            Act::Push(at) => {
                let doc = world.sites[at].doc.clone();
                world.network.push(Message::Show { to: 1 - at, doc });
            }
            Act::Look(at) => world.network.push(Message::Look { to: 1 - at, force: None }),
            Act::MakeSafe(at) => {
                world.sites[at].quarantine = Some(true);
                self.release(world, at);
            }
            Act::Synchronise(at, from) => {
                world.network.push(Message::Look { to: 1 - at, force: Some(from) });
            }
            Act::Expire(at) => world.sites[at].row = None,
            Act::Crash(at) => {
                world.budget.crashes -= 1;
                world.sites[at].crash();
            }
            Act::Copy(at) => world.copy = Some((at, Box::new(world.sites[at].clone()))),
            Act::Restore(at) => {
                world.budget.restores -= 1;
                if let Some((_, copy)) = world.copy.take() {
                    world.sites[at] = *copy;
                    world.sites[at].crash();
                }
            }
        }
    }

    fn receive(&self, world: &mut World, message: Message) {
        match message {
            Message::AskClaim { to, operation } => self.asked_for_claim(world, to, operation),
            Message::Claim { to, operation, granted, doc } => {
                self.claim_answered(world, to, operation, granted, doc);
            }
            Message::Release { to, operation } => {
                let row = &mut world.sites[to].row;
                if row.is_some_and(|row| row.operation == operation) {
                    *row = None;
                }
            }
            Message::Show { to, doc } => {
                let stamp = doc.stamp.clone();
                if self.offered(world, to, doc, None) {
                    world.network.push(Message::Confirm { to: 1 - to, stamp });
                }
            }
            Message::Confirm { to, stamp } => confirmed(&mut world.sites[to], &stamp),
            Message::Look { to, force } => {
                let doc = world.sites[to].doc.clone();
                world.network.push(match force {
                    None => Message::Show { to: 1 - to, doc },
                    Some(from) => Message::Shown { to: 1 - to, doc, from },
                });
            }
            Message::Shown { to, doc, from } => self.synchronise(world, to, doc, from),
            Message::Force { to, doc, instead_of } => {
                let stamp = doc.stamp.clone();
                if self.offered(world, to, doc, Some(instead_of)) {
                    world.sites[to].asked = true;
                    self.release(world, to);
                    world.network.push(Message::Confirm { to: 1 - to, stamp });
                }
            }
        }
    }

    fn asked_for_claim(&self, world: &mut World, at: usize, operation: u8) {
        let site = &mut world.sites[at];
        let held = site.row.map(|row| Held {
            operation: operation_id(row.operation),
            holder: site_id(row.holder),
            is_dead: false,
        });
        let want =
            Want { operation: operation_id(operation), holder: site_id(1 - at), forced: false };
        let busy = match self.rules.grant(held.as_ref(), &want) {
            Grant::Busy(_) => true,
            _ if site.quarantine.is_some() => true,
            Grant::Taken | Grant::Renewed | Grant::TakenOver => {
                site.row = Some(Row { operation, holder: 1 - at });
                false
            }
        };
        let granted = if busy { site.row.map(|row| row.operation) } else { Some(operation) };
        let doc = site.doc.clone();
        world.network.push(Message::Claim { to: 1 - at, operation, granted, doc });
    }

    fn claim_answered(
        &self,
        world: &mut World,
        at: usize,
        operation: u8,
        granted: Option<u8>,
        doc: Doc,
    ) {
        let Some(work) = world.sites[at].work.filter(|work| work.operation == operation) else {
            if granted == Some(operation) {
                world.network.push(Message::Release { to: 1 - at, operation });
            }
            return;
        };
        let standing = self.rules.compare(&doc.stamp, &world.sites[at].doc.stamp);
        match work.step {
            Step::Asked => self.accepted(world, at, work, granted == Some(operation), standing),
            Step::Waiting => {
                let word = match granted {
                    Some(by) if by == operation => PeerWord::Granted(standing),
                    by => PeerWord::HeldBy(operation_id(by.unwrap_or_default()), standing),
                };
                self.resumed(world, at, Some(word));
            }
            Step::Running | Step::Done => {}
        }
        if standing == Standing::Newer {
            self.offered(world, at, doc, None);
        }
    }

    /// The peer's claim is ours: the change is committed, if our own is too and both copies are the same.
    fn accepted(
        &self,
        world: &mut World,
        at: usize,
        work: Work,
        granted: bool,
        standing: Standing,
    ) {
        let own = Row { operation: work.operation, holder: at };
        let site = &mut world.sites[at];
        let has_own = match (site.row, self.rules.0) {
            (None, _) | (Some(_), Some(crate::Planted::GrantsAlways)) => true,
            (Some(row), _) => row == own,
        };
        if !granted || !has_own || standing != Standing::Same || site.quarantine.is_some() {
            site.drop_work();
            if granted {
                world.network.push(Message::Release { to: 1 - at, operation: work.operation });
            }
            return;
        }
        site.row = Some(own);
        site.work = Some(Work { step: Step::Running, ..work });
        commit(world, at);
        if work.kind == Kind::Change {
            world.sites[at].work = Some(Work { step: Step::Done, ..work });
        }
    }

    fn renew(&self, world: &mut World, at: usize) {
        let Some(work) = world.sites[at].work else { return };
        let forced = work.kind == Kind::Force;
        if self.rules.resume(forced, None) == Resume::Go {
            self.resumed(world, at, None);
        } else {
            world.network.push(Message::AskClaim { to: 1 - at, operation: work.operation });
        }
    }

    fn resumed(&self, world: &mut World, at: usize, word: Option<PeerWord>) {
        let Some(work) = world.sites[at].work else { return };
        let forced = work.kind == Kind::Force;
        match self.rules.resume(forced, word) {
            Resume::Go => {
                let went_on = world.sites[1 - at].doc.stamp.epoch.number
                    > world.sites[at].doc.stamp.epoch.number;
                if word.is_none() && !forced && went_on {
                    world.broken = Some(WENT_ON);
                }
                world.sites[at].work = Some(Work { step: Step::Running, ..work });
            }
            Resume::Wait => {}
            Resume::GiveUp => {
                world.seen.gave_up = true;
                world.sites[at].drop_work();
            }
        }
    }

    /// A document comes to a site. True if the site holds it now.
    fn offered(
        &self,
        world: &mut World,
        at: usize,
        doc: Doc,
        forced: Option<Option<GroupStamp>>,
    ) -> bool {
        let site = &mut world.sites[at];
        let raised_in = doc.stamp.epoch.raised_in;
        let agreed = site
            .row
            .is_some_and(|row| row.holder != at && Some(operation_id(row.operation)) == raised_in);
        let offer = match &forced {
            None => Offer::Ordinary { agreed },
            Some(instead_of) => Offer::Forced { instead_of: instead_of.as_ref() },
        };
        let chosen = matches!(&forced, Some(Some(given_up)) if *given_up == site.doc.stamp);
        let was_primary = site.doc.stamp.primary == site_id(at) && site.quarantine.is_none();
        match self.rules.answer(site_id(at), &site.doc.stamp, &doc.stamp, offer) {
            Answer::Keep => true,
            Answer::Take { lifts } => {
                if was_primary && doc.stamp.primary != site_id(at) && !agreed {
                    world.broken = Some(STILL_PRIMARY);
                }
                if lifts && site.quarantine.take().is_some() {
                    world.seen.lifted = true;
                }
                take(world, at, doc, chosen);
                true
            }
            Answer::TakeAndQuarantine => {
                site.quarantine.get_or_insert(false);
                take(world, at, doc, chosen);
                true
            }
            Answer::Quarantine => {
                if site.quarantine.is_none() {
                    (site.quarantine, site.asked) = (Some(false), false);
                }
                site.drop_work();
                false
            }
            Answer::Refuse(_) => false,
        }
    }

    fn synchronise(&self, world: &mut World, at: usize, theirs: Doc, from: Option<usize>) {
        let ours = world.sites[at].doc.clone();
        let chosen = |given_up: &Doc| from.map(|_| given_up.stamp.clone());
        match self.rules.direction(site_id(at), &ours.stamp, &theirs.stamp, from.map(site_id)) {
            Direction::Choose | Direction::ChosenIsOlder => {}
            Direction::Pull => {
                let stamp = theirs.stamp.clone();
                if self.offered(world, at, theirs, Some(chosen(&ours))) {
                    world.sites[at].asked = true;
                    self.release(world, at);
                    world.network.push(Message::Confirm { to: 1 - at, stamp });
                }
            }
            Direction::Push | Direction::InSync => {
                world.sites[at].asked = true;
                let instead_of = chosen(&theirs);
                world.network.push(Message::Force { to: 1 - at, doc: ours, instead_of });
            }
        }
    }

    /// The quarantine ends when it may.
    fn release(&self, world: &mut World, at: usize) {
        let site = &mut world.sites[at];
        // What a site knows of being in sync is what it was told last; a wrong belief ends with the next look.
        let in_sync = site.confirmed;
        if let Some(is_safe) = site.quarantine
            && self.rules.may_release(site.asked, in_sync, is_safe)
        {
            (site.quarantine, site.asked) = (None, false);
            world.seen.released = true;
        }
    }
}

/// Whether a claim may be seen as dead. The one assumption about time: an asked site's answer is used within the asker's
/// patience of 2.5 s or not at all, so a claim that lasts 30 s does not die before that. What is renewed locally does
/// not die either; what the peer should renew may: it is cut off, or only slow.
fn may_expire(world: &World, at: usize, row: Row) -> bool {
    let driven = |site: usize, asked: bool| {
        world.sites[site].work.is_some_and(|work| {
            work.operation == row.operation && (!asked || work.step == Step::Asked)
        })
    };
    !driven(at, false) && !driven(1 - at, true)
}

fn start(world: &mut World, at: usize, kind: Kind) {
    world.budget.starts -= 1;
    let operation = world.next_operation;
    world.next_operation += 1;
    let site = &mut world.sites[at];
    if site.doc.stamp.primary == site_id(at) {
        site.row = Some(Row { operation, holder: at });
    }
    site.work = Some(Work { operation, kind, step: Step::Asked });
    world.network.push(Message::AskClaim { to: 1 - at, operation });
}

/// An unforced change goes into the database.
fn commit(world: &mut World, at: usize) {
    let theirs = world.sites[1 - at].doc.clone();
    let change = world.next_change;
    world.next_change += 1;
    let site = &mut world.sites[at];
    // What a forced epoch did beside us is decided by epochs; within one epoch nothing may be lost.
    if theirs.stamp.epoch == site.doc.stamp.epoch && !site.doc.contains(&theirs) {
        world.broken = Some(LOST);
    }
    site.doc.change(change);
    site.confirmed = false;
    let doc = site.doc.clone();
    world.network.push(Message::Show { to: 1 - at, doc });
}

fn finish(world: &mut World, at: usize) {
    let Some(work) = world.sites[at].work else { return };
    match (work.kind, work.step) {
        (Kind::Move, Step::Running) => {
            let site = &mut world.sites[at];
            let to = usize::from(site.doc.stamp.primary == site_id(0));
            site.doc.raise(to, at, work.operation, false);
            site.work = Some(Work { step: Step::Done, ..work });
            commit(world, at);
        }
        (Kind::Force, _) => world.sites[at].drop_work(),
        _ => {
            world.sites[at].drop_work();
            world.network.push(Message::Release { to: 1 - at, operation: work.operation });
        }
    }
}

fn force(world: &mut World, at: usize) {
    world.budget.forces[at] -= 1;
    let operation = world.next_operation;
    world.next_operation += 1;
    let change = world.next_change;
    world.next_change += 1;
    let site = &mut world.sites[at];
    site.row = Some(Row { operation, holder: at });
    site.doc.raise(at, at, operation, true);
    site.doc.change(change);
    (site.hold, site.confirmed) = (true, false);
    site.work = Some(Work { operation, kind: Kind::Force, step: Step::Running });
}

/// Nothing came up: a further epoch with the old primary is published.
fn undo(world: &mut World, at: usize) {
    world.budget.undos -= 1;
    let change = world.next_change;
    world.next_change += 1;
    let site = &mut world.sites[at];
    let Some(work) = site.work else { return };
    site.doc.raise(1 - at, at, work.operation, true);
    site.doc.change(change);
    (site.hold, site.confirmed) = (false, false);
    site.drop_work();
}

fn confirmed(site: &mut Site, stamp: &GroupStamp) {
    if site.doc.stamp == *stamp {
        (site.confirmed, site.hold) = (true, false);
    }
}

/// A document replaces the site's own.
fn take(world: &mut World, at: usize, doc: Doc, chosen: bool) {
    let site = &mut world.sites[at];
    let newer_epoch = doc.stamp.epoch.number > site.doc.stamp.epoch.number
        && doc.went_through_epoch_of(&site.doc);
    if chosen {
        world.seen.chosen = true;
    } else if !newer_epoch && !doc.contains(&site.doc) {
        world.broken = Some(OLDER);
    }
    site.doc = doc;
    (site.confirmed, site.hold) = (true, false);
    // What this site was driving is not in the document that it holds now.
    site.drop_work();
}
