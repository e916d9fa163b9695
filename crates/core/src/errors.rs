//! From what rooms below say to what a client is told.

use protector_ports::PortError;
use protector_store::{Conflict, StoreError};
use protector_types::{Code, Refusal};

/// A database error as a refusal. Internal details go to the log, not to the client.
pub(crate) fn store(error: StoreError) -> Refusal {
    match error {
        StoreError::NotFound { .. } => Refusal::new(Code::NotFound, error.to_string()),
        StoreError::AlreadyExists { .. } => Refusal::new(Code::AlreadyExists, error.to_string()),
        StoreError::Conflict(conflict) => self::conflict(&conflict),
        StoreError::Invalid { .. } => Refusal::new(Code::RequestInvalidValue, error.to_string()),
        StoreError::Unavailable { reason, .. } => {
            tracing::error!(%reason, "the database is not available");
            Refusal::new(Code::Unavailable, "The database is not available; try again")
        }
        StoreError::Corrupt { .. } | StoreError::Vault(_) => {
            tracing::error!(%error, "stored data cannot be read");
            Refusal::new(
                Code::Internal,
                "Stored data cannot be read; an operator finds the reason in the log",
            )
        }
    }
}

fn conflict(conflict: &Conflict) -> Refusal {
    let code = match conflict {
        Conflict::StaleVersion { .. } => Code::VersionMismatch,
        Conflict::Busy { .. }
        | Conflict::DrillOpen { .. }
        | Conflict::Claimed { .. }
        | Conflict::Fenced { .. } => Code::GroupBusy,
        Conflict::WrongState { .. } | Conflict::Ended { .. } => Code::GroupWrongState,
        Conflict::IllegalTransition { .. } | Conflict::EffectRefused { .. } => Code::Internal,
        Conflict::IdempotencyMismatch { .. } => Code::IdempotencyMismatch,
        Conflict::InUse { .. } => Code::InUse,
    };
    Refusal::new(code, capitalised(&conflict.to_string()))
}

/// Errors begin with a capital letter in responses.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A failed look at a site.
pub(crate) fn site(what: &str) -> impl Fn(PortError) -> Refusal + '_ {
    move |error| Refusal::new(Code::SiteError, format!("{what}: {error}"))
}
