//! What a call of the store can end with.

use protector_types::{GroupId, GroupStatus, OperationId, OperationStatus, SiteId};
use sea_orm::{DbErr, RuntimeErr, SqlErr};

use crate::VaultError;

/// Why a call did not do what was asked. Nothing was changed, except where `Unavailable` says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No such row, or not one that the scope may see.
    #[error("{what} {id} does not exist")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// Its id or name.
        id: String,
    },
    /// Another row has this id, name or place.
    #[error("{what} {id} already exists")]
    AlreadyExists {
        /// Kind of thing, with the field that clashes.
        what: &'static str,
        /// The value that clashes.
        id: String,
    },
    /// The row is not as the caller believed, or its state does not allow the change.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The arguments make no sense; a bug of the caller or a value that a user may correct.
    #[error("{what}: {reason}")]
    Invalid {
        /// Argument.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The database did not answer, or refused; the change may or may not be committed.
    #[error("the database is not available: {reason}")]
    Unavailable {
        /// The driver's words.
        reason: String,
        /// The database rolled us back for the sake of another transaction: repeating is safe.
        rolled_back: bool,
    },
    /// A row that no version of this program wrote.
    #[error(
        "table {table}, row {id}: {reason}; restore the database or correct the row, it was not \
         written by this program"
    )]
    Corrupt {
        /// Table.
        table: &'static str,
        /// Row.
        id: String,
        /// What does not parse.
        reason: String,
    },
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Somebody changed the group in between.
    #[error("protection group {group} is at version {actual}, not {expected}: read it again")]
    StaleVersion {
        /// Group.
        group: GroupId,
        /// What the caller had read.
        expected: u64,
        /// What is stored.
        actual: u64,
    },
    /// An operation holds the group.
    #[error("protection group {group} is held by operation {operation}")]
    Busy {
        /// Group.
        group: GroupId,
        /// Who holds it.
        operation: OperationId,
    },
    /// A drill is open.
    #[error("protection group {group} has an open drill, {operation}: run test_cleanup first")]
    DrillOpen {
        /// Group.
        group: GroupId,
        /// The drill.
        operation: OperationId,
    },
    /// The group's status is not among those that the operation starts from.
    #[error("protection group {group} is {status}")]
    WrongState {
        /// Group.
        group: GroupId,
        /// Its status.
        status: GroupStatus,
    },
    /// The state table has no such step.
    #[error("protection group {group} cannot go from {from} to {to}")]
    IllegalTransition {
        /// Group.
        group: GroupId,
        /// Its status.
        from: GroupStatus,
        /// The status asked for.
        to: GroupStatus,
    },
    /// A change of the domain that does not fit what is stored.
    #[error("operation {operation} may not change protection group {group}: {reason}")]
    EffectRefused {
        /// Who wants it.
        operation: OperationId,
        /// Group.
        group: GroupId,
        /// Why not.
        reason: String,
    },
    /// Another engine has the operation.
    #[error("operation {operation} belongs to another engine (fence {fence} is stale)")]
    Fenced {
        /// Operation.
        operation: OperationId,
        /// The caller's fence.
        fence: u64,
    },
    /// Terminal records never change.
    #[error("operation {operation} has ended: {status}")]
    Ended {
        /// Operation.
        operation: OperationId,
        /// How.
        status: OperationStatus,
    },
    /// The other site, or another operation, holds the claim.
    #[error("protection group {group} is claimed by site {holder} for operation {operation}")]
    Claimed {
        /// Group.
        group: GroupId,
        /// For which operation.
        operation: OperationId,
        /// Who holds it.
        holder: SiteId,
    },
    /// The idempotency key was used with another body in the last 24 hours.
    #[error("the idempotency key was used for operation {operation} with another request body")]
    IdempotencyMismatch {
        /// The operation that the key belongs to.
        operation: OperationId,
    },
    /// Another row depends on this one.
    #[error("{what} {id} is in use by {by}")]
    InUse {
        /// Kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
        /// Who uses it.
        by: String,
    },
}

impl StoreError {
    pub(crate) fn not_found(what: &'static str, id: impl ToString) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { what, reason: reason.into() }
    }

    /// True if repeating the whole transaction is safe and may help.
    pub(crate) fn may_repeat(&self) -> bool {
        matches!(self, Self::Unavailable { rolled_back: true, .. })
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        Self::Unavailable { rolled_back: was_rolled_back(&error), reason: error.to_string() }
    }
}

/// A duplicate as [`StoreError::AlreadyExists`], everything else as it is.
pub(crate) fn duplicate(what: &'static str, id: impl ToString) -> impl FnOnce(DbErr) -> StoreError {
    move |error| match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => {
            StoreError::AlreadyExists { what, id: id.to_string() }
        }
        _ => error.into(),
    }
}

/// A duplicate means that another transaction was faster: repeated, this one finds the other's row.
pub(crate) fn raced(error: DbErr) -> StoreError {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(reason)) => {
            StoreError::Unavailable { reason, rolled_back: true }
        }
        _ => error.into(),
    }
}

/// Deadlocks, serialization failures and lock time-outs: PostgreSQL and MySQL roll one of the parties back.
fn was_rolled_back(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) =
        error
    else {
        return false;
    };
    let Some(database) = inner.as_database_error() else { return false };
    // SQLSTATE of both; MySQL's lock time-out (1205) comes as HY000 and is told by its text.
    matches!(database.code().as_deref(), Some("40001" | "40P01"))
        || database.message().contains("Lock wait timeout exceeded")
}
