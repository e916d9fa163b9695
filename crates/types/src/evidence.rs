//! Proof that a thing may be destroyed (law 1).

use std::fmt;

use uuid::Uuid;

use crate::{Fence, GroupId, KeptCopy, MemberId, OperationId};

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
    KeptRecord { operation: OperationId, copy: Uuid },
    FenceRecord { member: MemberId, epoch: u64 },
    Request { operation: OperationId },
}

impl Evidence {
    /// For `workflow` alone: the entry `seq` of `operation` is the intent of `step`.
    pub fn from_journal(operation: OperationId, step: &str, seq: u64) -> Self {
        Self(Source::Journal { operation, step: step.to_owned(), seq })
    }

    /// The stored record of a fence: covers the connections that are in it, nothing else. Only for a record that is
    /// committed.
    pub fn of_fence_record(fence: &Fence) -> Self {
        Self(Source::FenceRecord { member: fence.member_id, epoch: fence.epoch })
    }

    /// An operator named the operation on the command line and holds it to be dead, though its journal is not here: covers
    /// what carries the marker of that operation and nothing uses.
    pub fn on_request(operation: OperationId) -> Self {
        Self(Source::Request { operation })
    }

    /// The stored record of a group that is being deleted: covers its own array protection group, nothing else.
    pub fn of_group_record(group: GroupId, version: u64) -> Self {
        Self(Source::GroupRecord { group, version })
    }

    /// The stored record of a copy that was kept for a time which has passed: covers that copy, nothing else. It was
    /// committed with the journal entry of the operation that kept it, as superseded by a complete and newer copy.
    pub fn of_kept_copy(copy: &KeptCopy) -> Self {
        Self(Source::KeptRecord { operation: copy.operation_id, copy: copy.id })
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Journal { operation, step, seq } => {
                write!(f, "{operation} step {step} entry {seq}")
            }
            Source::Request { operation } => write!(f, "an operator's word on {operation}"),
            Source::GroupRecord { group, version } => {
                write!(f, "record of group {group} version {version}")
            }
            Source::KeptRecord { operation, copy } => {
                write!(f, "{operation}, which kept copy {copy}")
            }
            Source::FenceRecord { member, epoch } => {
                write!(f, "fence record of member {member} in epoch {epoch}")
            }
        }
    }
}
