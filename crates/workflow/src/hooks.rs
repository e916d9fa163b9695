//! Where tests and the wiring reach into the executor.

use protector_types::BoxFuture;

use crate::Lease;

/// Called at each named point; a test's hook stops the process or the engine there.
pub trait FaultHook: Send + Sync {
    /// `journal.before_commit`, `journal.after_commit`, `step.before_run`, `step.after_run`, ...
    fn reached(&self, point: &'static str, subject: &str);
}

/// Does nothing.
pub struct NoHook;

impl FaultHook for NoHook {
    fn reached(&self, _point: &'static str, _subject: &str) {}
}

/// Wraps each call of a step into the world, so that the way out (which this crate does not know) can check the
/// lease before each request.
pub trait CallScope: Send + Sync {
    /// Runs `work` such that every request in it is refused unless its deadline ends inside `lease`.
    fn enter<'a>(&self, lease: Lease, work: BoxFuture<'a, ()>) -> BoxFuture<'a, ()>;
}

/// Checks nothing.
pub struct NoScope;

impl CallScope for NoScope {
    fn enter<'a>(&self, _lease: Lease, work: BoxFuture<'a, ()>) -> BoxFuture<'a, ()> {
        work
    }
}
