//! What a call inherits from the work it is part of, without passing it through every signature.

use std::{future::Future, sync::Arc, time::Duration};

use protector_types::RequestId;

tokio::task_local! {
    static CONTEXT: CallContext;
}

/// Tells the end of a lease, by the client's monotonic clock.
pub type NotAfter = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The surroundings of the calls made inside [`in_context`]. Not inherited by spawned tasks.
#[derive(Clone, Default)]
pub struct CallContext {
    /// Sent along, so that one request can be followed through all services' logs.
    pub request_id: Option<RequestId>,
    /// No call may still be under way after this reading of the client's monotonic clock: the end of a
    /// lease, asked anew for each call because leases are renewed. A call that would end later gets a shorter
    /// deadline, or is not sent.
    pub not_after: Option<NotAfter>,
}

/// Runs `work` with `context` around its calls.
pub async fn in_context<F: Future>(context: CallContext, work: F) -> F::Output {
    CONTEXT.scope(context, work).await
}

/// The context of the running task; empty outside of any.
pub fn current_context() -> CallContext {
    CONTEXT.try_with(Clone::clone).unwrap_or_default()
}
