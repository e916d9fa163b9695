//! What can go wrong, and where.

use std::{collections::BTreeMap, time::Duration};

/// What happens to a step's run. Those that say "for good" last until a person resumes the operation.
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
    /// The answer was lost, and the effect comes later.
    LandsLater(Duration),
    /// "Retry later", so many times.
    RetryLater(u32),
    /// "Retry later", for good: the deadline ends it.
    RetryForever,
    /// Slow, then good.
    Slow(Duration),
    /// Made, but the looks say "pending" so many times more.
    Pending(u32),
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
    /// While the request is on its way; the effect comes later.
    CrashLandsLater(Duration),
    /// The engine dies in the first look (made, answer lost).
    CrashInFind,
    /// A second engine repeats it: the look must give what the run gave.
    Twice,
}

impl RunFault {
    /// Every fault, with the names under which points are counted.
    pub fn all() -> Vec<(RunFault, &'static str, &'static str)> {
        use RunFault::*;
        let ms = Duration::from_millis;
        vec![
            (FailBefore, "fail", "before"),
            (FailAfter, "fail", "after"),
            (LostBefore, "lost answer", "before"),
            (LostAfter, "lost answer", "after"),
            (LandsLater(ms(100)), "lands 0.1 s later", "after"),
            (LandsLater(ms(4_500)), "lands 4.5 s later", "after"),
            (RetryLater(3), "retry later", "before"),
            (RetryForever, "retry later for good", "before"),
            (Slow(ms(40_000)), "slow", "before"),
            (Slow(ms(90_000)), "slower than the deadline", "before"),
            (Pending(4), "pending", "after"),
            (NeverReady, "pending for good", "after"),
            (Broken, "ends broken", "after"),
            (DeafBefore, "deadline in doubt", "before"),
            (DeafAfter, "deadline in doubt", "after"),
            (PanicBefore, "panic", "before"),
            (PanicAfter, "panic", "after"),
            (CrashBefore, "crash in run", "before"),
            (CrashAfter, "crash in run", "after"),
            (CrashLandsLater(ms(100)), "crash, lands 0.1 s later", "after"),
            (CrashLandsLater(ms(4_500)), "crash, lands 4.5 s later", "after"),
            (CrashInFind, "crash in find", "after"),
            (Twice, "run twice", "after"),
        ]
    }

    /// The step fails for good: rollback, warning or parking.
    pub fn is_failure(self) -> bool {
        use RunFault::*;
        matches!(self, FailBefore | FailAfter | RetryForever | NeverReady | Broken)
    }

    /// A person is needed.
    pub fn is_doubt(self) -> bool {
        use RunFault::*;
        matches!(self, DeafBefore | DeafAfter | PanicBefore | PanicAfter)
    }
}

/// What happens to a step's undo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UndoFault {
    /// "Try again", so many times.
    Retry(u32),
    /// Under way, so many times.
    Pending(u32),
    /// Fails once for good; the next try would work.
    FailOnce,
    /// Fails until a person resumes the operation.
    FailForGood,
    /// "Try again", until a person resumes: patience ends it.
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

impl UndoFault {
    /// Every fault, with the names under which points are counted.
    pub fn all() -> Vec<(UndoFault, &'static str, &'static str)> {
        use UndoFault::*;
        vec![
            (Retry(3), "undo retries", "before"),
            (Pending(3), "undo pending", "after"),
            (FailOnce, "undo fails once", "before"),
            (FailForGood, "undo fails for good", "before"),
            (RetryForever, "undo retries for good", "before"),
            (Twice, "undo twice", "after"),
            (Panic, "undo panics", "before"),
            (CrashBefore, "crash in undo", "before"),
            (CrashAfter, "crash in undo", "after"),
        ]
    }

    /// It parks the operation.
    pub fn parks(self) -> bool {
        use UndoFault::*;
        matches!(self, FailOnce | FailForGood | RetryForever | Panic)
    }
}

/// What happens at one commit of the journal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CommitFault {
    /// The engine dies before it.
    CrashBefore,
    /// And after it.
    CrashAfter,
    /// The database is away for so many writes and looks; the first write may have landed.
    Down {
        /// Writes that fail.
        writes: u32,
        /// Loads that fail.
        loads: u32,
        /// The first of the writes is there all the same.
        landed: bool,
    },
    /// The write landed, its answer did not come, and then another engine took over.
    LandedThenStolen,
    /// Another engine takes over before it.
    StolenBefore,
    /// And after it.
    StolenAfter,
    /// A person cancels before it.
    CancelBefore,
    /// And after it.
    CancelAfter,
    /// The engine is asked to let go.
    Release,
    /// A domain change is refused.
    Rejected,
}

impl CommitFault {
    /// Every fault, with the names under which points are counted.
    pub fn all() -> Vec<(CommitFault, &'static str, &'static str)> {
        use CommitFault::*;
        let down = |writes, loads, landed| Down { writes, loads, landed };
        vec![
            (CrashBefore, "crash at commit", "before"),
            (CrashAfter, "crash at commit", "after"),
            (down(1, 0, false), "journal away", "before"),
            (down(1, 0, true), "journal away", "after"),
            (down(3, 2, false), "journal away, looks too", "before"),
            (down(3, 2, true), "journal away, looks too", "after"),
            (down(100, 100, false), "journal away longer than the lease", "before"),
            (down(100, 100, true), "journal away longer than the lease", "after"),
            (LandedThenStolen, "fence lost in doubt", "after"),
            (StolenBefore, "fence lost", "before"),
            (StolenAfter, "fence lost", "after"),
            (CancelBefore, "cancel", "before"),
            (CancelAfter, "cancel", "after"),
            (Release, "release", "before"),
            (Rejected, "domain change refused", "before"),
        ]
    }
}

/// Everything that goes wrong in one scenario.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// By step id.
    pub run: BTreeMap<String, RunFault>,
    /// By step id.
    pub undo: BTreeMap<String, UndoFault>,
    /// By number of the commit, from 1.
    pub commit: BTreeMap<u64, CommitFault>,
}
