//! Proof that a thing may be destroyed (law 1).

use std::fmt;

use crate::{GroupId, OperationId};

/// What a committed record says of an effect: a journal entry, or, for the one thing that is made outside operations (the
/// array's protection group of a group), the group's own record.
///
/// Only `workflow` calls [`Evidence::from_journal`], and only after the entry is committed; `cargo xtask tidy` checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence(Source);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Journal { operation: OperationId, step: String, seq: u64 },
    GroupRecord { group: GroupId, version: u64 },
}

impl Evidence {
    /// For `workflow` alone: the entry `seq` of `operation` is the intent of `step`.
    pub fn from_journal(operation: OperationId, step: &str, seq: u64) -> Self {
        Self(Source::Journal { operation, step: step.to_owned(), seq })
    }

    /// The stored record of a group that is being deleted: covers its own array protection group, nothing else.
    pub fn of_group_record(group: GroupId, version: u64) -> Self {
        Self(Source::GroupRecord { group, version })
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Journal { operation, step, seq } => {
                write!(f, "{operation} step {step} entry {seq}")
            }
            Source::GroupRecord { group, version } => {
                write!(f, "record of group {group} version {version}")
            }
        }
    }
}
