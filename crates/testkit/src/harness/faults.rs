//! What can go wrong, and where. Tables: the names are those under which points are counted.

use std::{collections::BTreeMap, time::Duration};

/// What happens to a step's run. Those "for good" last until a person lets a parked operation go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RunFault {
    /// Refused for good, without effect.
    FailBefore,
    /// The effect is there, and then it fails (once).
    FailAfter,
    /// The request was lost.
    LostBefore,
    /// The answer was lost.
    LostAfter,
    /// The answer was lost, and the effect comes later: after so many hundredths of the step's settle time.
    LandsLater(u32),
    /// "Retry later", so many times.
    RetryLater(u32),
    /// "Retry later", for good: the deadline ends it.
    RetryForever,
    /// Made, and pending for good: the deadline ends it.
    NeverReady,
    /// Made, and then it ends in a state that never becomes good.
    Broken,
    /// The request was lost, and nobody can look, for good: the deadline passes in doubt.
    DeafBefore,
    /// The answer was lost, and nobody can look, for good.
    DeafAfter,
    /// The step's code panics before the effect.
    PanicBefore,
    /// And after it.
    PanicAfter,
    /// The engine dies before the effect.
    CrashBefore,
    /// Between effect and answer.
    CrashAfter,
    /// While the request is on its way; the effect comes after so many hundredths of the settle time.
    CrashLandsLater(u32),
    /// The engine dies in the first look (made, answer lost).
    CrashInFind,
    /// It is looked for again after it succeeded: the look adopts, and gives what the run gave.
    Twice,
}

/// How a fault has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The operation completes.
    Passes,
    /// The step fails for good.
    Fails,
    /// A person is asked.
    Doubt,
}

/// (fault, name, before or after the effect, how it has to end).
pub type RunRow = (RunFault, &'static str, &'static str, Kind);

/// Every fault of a run.
pub const RUN_FAULTS: [RunRow; 20] = [
    (RunFault::FailBefore, "fail", "before", Kind::Fails),
    (RunFault::FailAfter, "fail", "after", Kind::Fails),
    (RunFault::LostBefore, "lost answer", "before", Kind::Passes),
    (RunFault::LostAfter, "lost answer", "after", Kind::Passes),
    (RunFault::LandsLater(10), "lands soon after", "after", Kind::Passes),
    (RunFault::LandsLater(90), "lands late", "after", Kind::Passes),
    (RunFault::RetryLater(3), "retry later", "before", Kind::Passes),
    (RunFault::RetryForever, "retry later for good", "before", Kind::Fails),
    (RunFault::NeverReady, "pending for good", "after", Kind::Fails),
    (RunFault::Broken, "ends broken", "after", Kind::Fails),
    (RunFault::DeafBefore, "deadline in doubt", "before", Kind::Doubt),
    (RunFault::DeafAfter, "deadline in doubt", "after", Kind::Doubt),
    (RunFault::PanicBefore, "panic", "before", Kind::Doubt),
    (RunFault::PanicAfter, "panic", "after", Kind::Doubt),
    (RunFault::CrashBefore, "crash in run", "before", Kind::Passes),
    (RunFault::CrashAfter, "crash in run", "after", Kind::Passes),
    (RunFault::CrashLandsLater(10), "crash, lands soon after", "after", Kind::Passes),
    (RunFault::CrashLandsLater(90), "crash, lands late", "after", Kind::Passes),
    (RunFault::CrashInFind, "crash in find", "after", Kind::Passes),
    (RunFault::Twice, "run twice", "after", Kind::Passes),
];

/// What happens to a step's undo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UndoFault {
    /// "Try again", so many times.
    Retry(u32),
    /// Done, and said to be under way, so many times.
    Pending(u32),
    /// Fails once for good; the next try would work.
    FailOnce,
    /// "Try again", until a person lets it go on: patience ends it.
    RetryForever,
    /// Done twice over.
    Twice,
    /// The step's code panics.
    Panic,
    /// The engine dies before.
    CrashBefore,
    /// And after.
    CrashAfter,
}

/// (fault, name, before or after the undo, it parks the operation).
pub type UndoRow = (UndoFault, &'static str, &'static str, bool);

/// Every fault of an undo.
pub const UNDO_FAULTS: [UndoRow; 8] = [
    (UndoFault::Retry(3), "undo retries", "before", false),
    (UndoFault::Pending(3), "undo pending", "after", false),
    (UndoFault::FailOnce, "undo fails once", "before", true),
    (UndoFault::RetryForever, "undo retries for good", "before", true),
    (UndoFault::Twice, "undo twice", "after", false),
    (UndoFault::Panic, "undo panics", "before", true),
    (UndoFault::CrashBefore, "crash in undo", "before", false),
    (UndoFault::CrashAfter, "crash in undo", "after", false),
];

/// What happens at one commit of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// The engine dies before it.
    CrashBefore,
    /// And after it.
    CrashAfter,
    /// A person cancels after it.
    CancelAfter,
}

/// Which part of a step makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Making the effect.
    Run,
    /// Looking for it.
    Find,
    /// Taking it back.
    Undo,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// May change something.
    Effect,
    /// Changes nothing.
    Read,
    /// A log-in: makes a token or a session.
    Login,
}

/// One request of a play, by who makes it: the n-th of its class in this phase of this step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Step id.
    pub step: String,
    /// In which part.
    pub phase: Phase,
    /// What for.
    pub class: Class,
    /// From 1.
    pub nth: u32,
}

/// What happens to one request on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WireFault {
    /// Nobody takes the connection.
    Refuse,
    /// Lost on the way there.
    LostBefore,
    /// It has its effect; the answer is lost.
    LostAfter,
    /// Seems lost, and has its effect so much later.
    LandsLater(Duration),
    /// The service answers this, and does nothing.
    Status(u16),
    /// The engine dies before it is sent.
    CrashBefore,
    /// Between its effect and the answer.
    CrashAfter,
    /// The engine dies, and the request has its effect so much later.
    CrashLandsLater(Duration),
}

/// (fault, name, before or after the effect).
pub type WireRow = (WireFault, &'static str, &'static str);

/// Shorter than every settle time.
const LATE: Duration = Duration::from_millis(2_500);

/// Every fault of a request that may change something.
pub const WIRE_FAULTS: [WireRow; 14] = [
    (WireFault::Refuse, "refused", "before"),
    (WireFault::LostBefore, "request lost", "before"),
    (WireFault::LostAfter, "answer lost", "after"),
    (WireFault::LandsLater(LATE), "lands 2.5 s later", "after"),
    (WireFault::Status(401), "401", "before"),
    (WireFault::Status(403), "403", "before"),
    (WireFault::Status(409), "409", "before"),
    (WireFault::Status(429), "429", "before"),
    (WireFault::Status(500), "500", "before"),
    (WireFault::Status(503), "503", "before"),
    (WireFault::Status(504), "504", "before"),
    (WireFault::CrashBefore, "crash before request", "before"),
    (WireFault::CrashAfter, "crash before answer", "after"),
    (WireFault::CrashLandsLater(LATE), "crash, request lands 2.5 s later", "after"),
];

/// Those of a read or a log-in.
pub const READ_FAULTS: [WireRow; 5] = [
    (WireFault::Refuse, "refused", "before"),
    (WireFault::LostAfter, "answer lost", "after"),
    (WireFault::Status(401), "401", "before"),
    (WireFault::Status(500), "500", "before"),
    (WireFault::Status(503), "503", "before"),
];

/// Everything that goes wrong in one play.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// By step id.
    pub run: BTreeMap<String, RunFault>,
    /// By step id.
    pub undo: BTreeMap<String, UndoFault>,
    /// By number of the commit, from 1.
    pub commit: BTreeMap<u64, CommitFault>,
    /// On the wire, once each.
    pub wire: BTreeMap<Spot, WireFault>,
    /// All lists are so many milliseconds old.
    pub stale_ms: Option<u64>,
}

impl Faults {
    /// This run goes wrong.
    pub fn of_run(step: &str, fault: RunFault) -> Self {
        Self::default().and_run(step, fault)
    }

    /// And this run.
    pub fn and_run(mut self, step: &str, fault: RunFault) -> Self {
        self.run.insert(step.to_owned(), fault);
        self
    }

    /// And this undo.
    pub fn and_undo(mut self, step: &str, fault: UndoFault) -> Self {
        self.undo.insert(step.to_owned(), fault);
        self
    }

    /// And this commit.
    pub fn and_commit(mut self, number: u64, fault: CommitFault) -> Self {
        self.commit.insert(number, fault);
        self
    }

    /// And this request.
    pub fn and_wire(mut self, spot: &Spot, fault: WireFault) -> Self {
        self.wire.insert(spot.clone(), fault);
        self
    }
}
