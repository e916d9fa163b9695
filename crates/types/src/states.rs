//! States of groups and operations, with the legal transitions and the table of actions as data
//! (3-workflows.md section 1; the founding document's "Operation types and valid states").

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(UnknownWord { kind: stringify!($name), text: text.to_owned() }),
                }
            }
        }
    };
}

/// A word that names no value of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}")]
pub struct UnknownWord {
    kind: &'static str,
    text: String,
}

words!(
    /// Status of a protection group.
    GroupStatus {
        /// Being created on both sites.
        Creating = "creating",
        /// Protected and running at its original primary.
        Active = "active",
        /// A failover runs.
        FailingOver = "failing_over",
        /// Runs at its secondary.
        FailedOver = "failed_over",
        /// Runs at its secondary, but some members could not be rebuilt there.
        FailedOverPartial = "failed_over_partial",
        /// A failback runs.
        FailingBack = "failing_back",
        /// An operation could be neither finished nor undone; left by `reset_status`.
        Error = "error",
        /// Being deleted.
        Deleting = "deleting",
    }
);

words!(
    /// Status of an operation.
    OperationStatus {
        /// Accepted; no engine has taken it yet.
        Pending = "pending",
        /// An engine drives it.
        Running = "running",
        /// A step failed for good or a user cancelled: what was made is being undone.
        RollingBack = "rolling_back",
        /// Done, and verified.
        Completed = "completed",
        /// Ended without reaching its goal.
        Failed = "failed",
        /// A user asked to stop; running steps are being waited for (1.3).
        Cancelling = "cancelling",
        /// Ended by a user's request (1.3).
        Cancelled = "cancelled",
        /// Waits for a person: `retry`, `skip` or `abandon` (1.3).
        NeedsAttention = "needs_attention",
    }
);

words!(
    /// What an operation does.
    OperationType {
        /// Move the group to its other site.
        Failover = "failover",
        /// Move it back.
        Failback = "failback",
        /// A drill.
        TestFailover = "test_failover",
        /// Remove what a drill made.
        TestCleanup = "test_cleanup",
        /// Take and ship a group snapshot.
        SyncVolumes = "sync_volumes",
        /// Accept the current site as primary (1.3).
        Reprotect = "reprotect",
    }
);

words!(
    /// How a group's volumes are replicated; immutable.
    ReplicationType {
        /// Periodic protection-group snapshots.
        Async = "async",
        /// ActiveCluster.
        Sync = "sync",
    }
);

words!(
    /// What the group's replication is doing.
    ReplicationStatus {
        /// No policy yet.
        NotConfigured = "not_configured",
        /// Snapshots are shipped on schedule.
        Replicating = "replicating",
        /// Deliberately not shipping.
        Paused = "paused",
        /// Broken; health says why.
        Error = "error",
        /// Not observed.
        Unknown = "unknown",
    }
);

words!(
    /// Reachability of a site as last observed.
    SiteStatus {
        /// Answers.
        Active = "active",
        /// Does not answer.
        Unreachable = "unreachable",
        /// Answers, but cannot be used (credentials, version).
        Error = "error",
        /// Not looked at yet.
        Registering = "registering",
    }
);

words!(
    /// Do both sites hold the same document of a group?
    SyncState {
        /// Same epoch and version.
        InSync = "IN SYNC",
        /// They differ.
        OutOfSync = "OUT OF SYNC",
        /// The peer does not answer.
        Unreachable = "UNREACHABLE",
        /// The peer answered with an error.
        Failed = "FAILED",
        /// Both sites claim the same epoch.
        Conflict = "CONFLICT",
    }
);

words!(
    /// The key of an action's body.
    Action {
        /// Planned or (force) unplanned failover.
        Failover = "failover",
        /// Failback.
        Failback = "failback",
        /// Drill.
        TestFailover = "test_failover",
        /// End of a drill.
        TestCleanup = "test_cleanup",
        /// Group snapshot, shipped.
        SyncVolumes = "sync_volumes",
        /// Stop the running operation and undo (1.3).
        Cancel = "cancel",
        /// Try again what failed (1.3).
        Retry = "retry",
        /// Go on without one step (1.3).
        Skip = "skip",
        /// Give up the rest (1.3).
        Abandon = "abandon",
        /// Accept the current site as primary (1.3).
        Reprotect = "reprotect",
        /// Drive on what a dead site was driving (1.3).
        Takeover = "takeover",
        /// End a quarantine (1.3).
        ReleaseQuarantine = "release_quarantine",
        /// Leave `error` (1.3, admin).
        ResetStatus = "reset_status",
    }
);

impl GroupStatus {
    /// The legal next states.
    pub const fn next(self) -> &'static [GroupStatus] {
        use GroupStatus::*;
        match self {
            Creating => &[Active, Error, Deleting],
            Active => &[FailingOver, Deleting],
            FailingOver => &[FailedOver, FailedOverPartial, Active, Error],
            FailedOver => &[FailingBack, Active, Deleting],
            FailedOverPartial => &[FailingBack, FailingOver, Active, Deleting],
            FailingBack => &[Active, FailedOver, FailedOverPartial, Error],
            Error => &[Active, FailedOver, FailedOverPartial, Deleting],
            Deleting => &[],
        }
    }

    /// An operation moves it from one site to the other.
    pub const fn is_moving(self) -> bool {
        matches!(self, Self::FailingOver | Self::FailingBack)
    }

    /// True if the table allows the step from here to `to`. Staying is always allowed.
    pub fn may_become(self, to: GroupStatus) -> bool {
        self == to || self.next().contains(&to)
    }
}

impl OperationStatus {
    /// Terminal records never change.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The legal next states.
    pub const fn next(self) -> &'static [OperationStatus] {
        use OperationStatus::*;
        match self {
            Pending => &[Running, Failed, Cancelled],
            Running => &[RollingBack, Completed, Failed, Cancelling, NeedsAttention],
            RollingBack => &[Failed, Cancelled, NeedsAttention],
            Cancelling => &[RollingBack, Cancelled, Failed, NeedsAttention, Completed],
            NeedsAttention => &[Running, RollingBack, Cancelling, Failed, Cancelled],
            Completed | Failed | Cancelled => &[],
        }
    }

    /// True if the table allows the step from here to `to`. Staying is always allowed.
    pub fn may_become(self, to: OperationStatus) -> bool {
        self == to || self.next().contains(&to)
    }

    /// What clients of microversion 1.2 and below see.
    pub const fn before_1_3(self) -> OperationStatus {
        match self {
            Self::Cancelling | Self::NeedsAttention => Self::Running,
            Self::Cancelled => Self::Failed,
            other => other,
        }
    }
}

/// Where an action may start, as data: one row of the founding document's table.
#[derive(Debug, Clone, Copy)]
pub struct ActionRule {
    /// The action after resolution (`failover` with `retain_primary` is a drill).
    pub operation: OperationType,
    /// Group states in which it is accepted.
    pub allowed_in: &'static [GroupStatus],
    /// The state while it runs, if it changes.
    pub running: Option<GroupStatus>,
    /// The state after success, if it changes.
    pub result: Option<GroupStatus>,
}

/// One row per operation type.
pub const ACTION_RULES: &[ActionRule] = &[
    ActionRule {
        operation: OperationType::Failover,
        allowed_in: &[GroupStatus::Active],
        running: Some(GroupStatus::FailingOver),
        result: Some(GroupStatus::FailedOver),
    },
    ActionRule {
        operation: OperationType::Failback,
        allowed_in: &[GroupStatus::FailedOver, GroupStatus::FailedOverPartial],
        running: Some(GroupStatus::FailingBack),
        result: Some(GroupStatus::Active),
    },
    ActionRule {
        operation: OperationType::TestFailover,
        allowed_in: &[GroupStatus::Active],
        running: None,
        result: None,
    },
    ActionRule {
        operation: OperationType::TestCleanup,
        allowed_in: &[GroupStatus::Active, GroupStatus::FailedOver, GroupStatus::FailedOverPartial],
        running: None,
        result: None,
    },
    ActionRule {
        operation: OperationType::SyncVolumes,
        allowed_in: &[GroupStatus::Active, GroupStatus::FailedOver, GroupStatus::FailedOverPartial],
        running: None,
        result: None,
    },
    ActionRule {
        operation: OperationType::Reprotect,
        allowed_in: &[GroupStatus::FailedOver, GroupStatus::FailedOverPartial],
        running: None,
        result: Some(GroupStatus::Active),
    },
];

/// The row of an operation type.
pub fn action_rule(operation: OperationType) -> &'static ActionRule {
    match ACTION_RULES.iter().find(|rule| rule.operation == operation) {
        Some(rule) => rule,
        None => unreachable!("every operation type has a row; a test walks them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_type_has_a_rule_whose_states_are_connected() {
        for &operation in OperationType::ALL {
            let rule = action_rule(operation);
            for &from in rule.allowed_in {
                let running = rule.running.unwrap_or(from);
                assert!(from.may_become(running), "{operation}: {from} -> {running}");
                let result = rule.result.unwrap_or(running);
                assert!(running.may_become(result), "{operation}: {running} -> {result}");
            }
        }
    }

    #[test]
    fn terminal_operations_never_change() {
        for &status in OperationStatus::ALL {
            assert_eq!(status.is_terminal(), status.next().is_empty(), "{status}");
        }
    }

    #[test]
    fn every_running_operation_state_can_reach_an_end() {
        for &start in OperationStatus::ALL {
            let mut seen = vec![start];
            let mut queue = vec![start];
            while let Some(state) = queue.pop() {
                for &next in state.next() {
                    if !seen.contains(&next) {
                        seen.push(next);
                        queue.push(next);
                    }
                }
            }
            assert!(seen.iter().any(|s| s.is_terminal()), "{start} is a dead end");
        }
    }

    #[test]
    fn words_round_trip() {
        for &status in GroupStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("no such".parse::<GroupStatus>().is_err());
    }
}
