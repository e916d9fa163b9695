//! The other site's leave: an unforced operation is driven only under the claims of both sites. This keeps them renewed,
//! closes the gate to the other site's cloud while the peer's renewal is missing, and gives up what the group has gone on
//! without.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use protector_core::two_sites::{CLAIM_LASTS, PeerWord, Resume, resume};
use protector_store::Scope;
use protector_types::{Clock, GroupId, OperationId, SiteId};
use protector_workflow::{Lease, PlannedStep, StepGate};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::Engine;

/// How often claims are renewed: several times within their life.
const RENEW_EVERY: Duration = Duration::from_secs(6);
/// How often a peer that is away is asked again before an operation may go on.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// What an operation may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// Nothing: the peer has not confirmed epoch and owner since this engine took the operation.
    None,
    /// Everything up to this moment of our monotonic clock; after it, nothing at the peer's site.
    Until(Duration),
    /// Everything: a forced operation needs nobody.
    Free,
}

/// The gate of one operation.
pub(crate) struct PeerGate {
    leave: Mutex<Leave>,
    peer: SiteId,
    clock: Arc<dyn Clock>,
}

impl PeerGate {
    /// Closed, or free for good.
    pub fn new(free: bool, peer: SiteId, clock: Arc<dyn Clock>) -> Self {
        let leave = if free { Leave::Free } else { Leave::None };
        Self { leave: Mutex::new(leave), peer, clock }
    }

    fn renewed(&self, begun: Duration) {
        *self.leave.lock() = Leave::Until(begun + CLAIM_LASTS);
    }

    pub fn is_free(&self) -> bool {
        *self.leave.lock() == Leave::Free
    }

    fn has_leave(&self) -> bool {
        *self.leave.lock() != Leave::None
    }
}

impl StepGate for PeerGate {
    fn admits(&self, step: &PlannedStep) -> bool {
        match *self.leave.lock() {
            Leave::Free => true,
            Leave::None => false,
            Leave::Until(end) => self.clock.monotonic() < end || !names(&step.input, self.peer),
        }
    }
}

/// True if a step's planned input names a site: its places, and whatever else it touches there.
fn names(input: &Value, site: SiteId) -> bool {
    match input {
        Value::String(text) => text.parse() == Ok(site),
        Value::Array(items) => items.iter().any(|item| names(item, site)),
        Value::Object(fields) => fields.values().any(|field| names(field, site)),
        _ => false,
    }
}

/// Renews until `stop`.
pub(crate) async fn renew(
    engine: Arc<Engine>,
    (operation, group): (OperationId, GroupId),
    gate: Arc<PeerGate>,
    lease: Lease,
    stop: CancellationToken,
) {
    loop {
        let begun = engine.clock().monotonic();
        if gate.is_free() {
            engine.core.renew_own_claim(group, operation).await;
        } else if !ask(&engine, (operation, group), &gate, begun).await {
            // The executor sees it at once, and writes nothing any more.
            lease.revoke();
            return;
        }
        let pause = if gate.has_leave() { RENEW_EVERY } else { ASK_AGAIN };
        tokio::select! {
            () = engine.clock().sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// One renewal; false when the operation is not ours to drive any more.
async fn ask(
    engine: &Engine,
    (operation, group): (OperationId, GroupId),
    gate: &PeerGate,
    begun: Duration,
) -> bool {
    let (word, holder) = match engine.core.renew_claims(group, operation).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::info!(%operation, %error, "no renewal from the peer; nothing begins there meanwhile");
            return true;
        }
    };
    let store = engine.core.store();
    if matches!(word, PeerWord::HeldBy(by, _) if by == operation) && holder == Some(gate.peer) {
        tracing::warn!(%operation, "the other site has taken this operation over");
        if let Err(error) = store.yield_operation(operation).await {
            tracing::warn!(%operation, %error, "the record could not be given up; tried again");
        }
        return false;
    }
    match resume(false, Some(word)) {
        Resume::Go => {
            gate.renewed(begun);
            true
        }
        Resume::Wait => {
            tracing::warn!(%operation, ?word, "the peer does not confirm epoch and owner; waiting");
            true
        }
        Resume::GiveUp => {
            // The peer's document says who went on; what it does not end is ended without a name.
            engine.core.obey_peer(group).await;
            let row = store.operation(&Scope::System, operation).await;
            if row.is_ok_and(|row| row.remote) {
                return false;
            }
            let why = "The other site has gone on without this operation: the group has a newer epoch or version there";
            if let Err(error) = store.end_overtaken(operation, why).await {
                tracing::warn!(%operation, %error, "the record could not be ended; tried again");
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use chrono::DateTime;
    use protector_types::ManualClock;
    use protector_workflow::OnFailure;
    use serde_json::json;

    use super::*;

    fn step(site: SiteId) -> PlannedStep {
        PlannedStep {
            id: "s".into(),
            kind: "k".into(),
            stage: 0,
            after: vec![],
            input: json!({"place": {"site": site, "project": "p"}}),
            subject: None,
            deadline_sec: 1,
            no_return: false,
            on_failure: OnFailure::Rollback,
        }
    }

    #[test]
    fn without_renewal_nothing_begins_at_the_peer_and_before_the_first_nothing_at_all() {
        let (here, there) = (SiteId::generate(), SiteId::generate());
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let gate = PeerGate::new(false, there, Arc::new(clock.clone()));
        assert!(!gate.admits(&step(here)) && !gate.admits(&step(there)));
        gate.renewed(clock.monotonic());
        assert!(gate.admits(&step(here)) && gate.admits(&step(there)));
        clock.advance(CLAIM_LASTS);
        assert!(gate.admits(&step(here)) && !gate.admits(&step(there)));
        gate.renewed(clock.monotonic());
        assert!(gate.admits(&step(there)));
        assert!(PeerGate::new(true, there, Arc::new(clock)).admits(&step(there)));
    }
}
