//! What a group allows, as one table: statuses by actions, with quarantine, open drill and whoever holds the group. Pure;
//! admission, its refusals and the tests read the same rows.

use protector_types::{
    Action, Code, GroupStatus, OperationId, OperationStatus, OperationType, ProtectionGroup,
    Refusal,
};

use GroupStatus::{Active, Error, FailedOver, FailedOverPartial, FailingBack, FailingOver};

/// Who must, or may, hold the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nobody.
    Free,
    /// Nobody, or (forced) a drill, a cleanup or a sync, which it ends, or what is lost.
    FreeOrSuperseded,
    /// Nobody, or (forced) what is lost.
    FreeOrLost,
    /// An operation that waits for a person, or nobody: then it is about one that has ended.
    ParkedOrFree,
    /// An operation that waits for a person.
    Parked,
    /// An operation, running or waiting.
    Held,
    /// Whoever.
    Any,
}

/// What it means for an open drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drill {
    /// Nothing.
    Any,
    /// None may be open.
    Closed,
    /// One must be open.
    Open,
}

/// One action.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The action after resolution: a `failover` with `retain_primary` is a `test_failover`.
    pub action: Action,
    /// Statuses in which it is accepted.
    pub allowed_in: &'static [GroupStatus],
    /// Further statuses with `force`.
    pub forced_in: &'static [GroupStatus],
    /// Who must hold the group.
    pub hold: Hold,
    /// About the drill.
    pub drill: Drill,
    /// Accepted where the group is read-only.
    pub in_quarantine: bool,
}

/// Where something runs or ran.
const SETTLED: &[GroupStatus] = &[Active, FailedOver, FailedOverPartial];
/// On the way.
const MOVING: &[GroupStatus] = &[FailingOver, FailingBack];
const AWAY: &[GroupStatus] = &[FailedOver, FailedOverPartial];

const fn row(action: Action, allowed_in: &'static [GroupStatus], hold: Hold) -> Row {
    Row { action, allowed_in, forced_in: &[], hold, drill: Drill::Any, in_quarantine: false }
}

/// The ways out work in a quarantine, too: they change nothing but what is left of an operation of this site.
const fn way_out(action: Action, hold: Hold) -> Row {
    Row { in_quarantine: true, ..row(action, GroupStatus::ALL, hold) }
}

/// One row per action.
pub const TABLE: &[Row] = &[
    row(Action::Failover, &[Active], Hold::FreeOrSuperseded),
    row(Action::Failback, AWAY, Hold::Free),
    Row { drill: Drill::Closed, ..row(Action::TestFailover, &[Active], Hold::Free) },
    Row { drill: Drill::Open, ..row(Action::TestCleanup, SETTLED, Hold::Free) },
    row(Action::SyncVolumes, SETTLED, Hold::Free),
    way_out(Action::Cancel, Hold::Held),
    row(Action::Retry, GroupStatus::ALL, Hold::ParkedOrFree),
    way_out(Action::Skip, Hold::Parked),
    way_out(Action::Abandon, Hold::ParkedOrFree),
    row(Action::Reprotect, AWAY, Hold::Free),
    row(Action::Takeover, MOVING, Hold::Held),
    Row { in_quarantine: true, ..row(Action::ReleaseQuarantine, GroupStatus::ALL, Hold::Any) },
    Row {
        forced_in: AWAY,
        in_quarantine: true,
        ..row(Action::ResetStatus, &[Error], Hold::FreeOrLost)
    },
];

/// A group as admission sees it.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Its status.
    pub status: GroupStatus,
    /// Why it is read-only here.
    pub quarantine: Option<&'a str>,
    /// The open drill.
    pub drill: Option<OperationId>,
    /// Who holds it, and how that one is as far as it is known here.
    pub holder: Option<(OperationId, Option<OperationStatus>)>,
    /// The site that drives the holder is silent, and the holder's plan never came here: nobody can go on with it, and it
    /// has done nothing yet.
    pub lost: bool,
}

impl<'a> Situation<'a> {
    /// Of a group; `holder`: the status of the operation that holds it, if this site knows.
    pub fn of(group: &'a ProtectionGroup, holder: Option<OperationStatus>) -> Self {
        Self {
            status: group.status,
            quarantine: group.quarantine.as_deref(),
            drill: group.active_test_operation_id,
            holder: group.current_operation_id.map(|id| (id, holder)),
            lost: false,
        }
    }

    /// The statuses in which an action that ends a lost operation is accepted besides: those that only it stood for.
    fn lost_in(&self, action: Action) -> &'static [GroupStatus] {
        match action {
            Action::Failover if self.lost => &[FailingOver],
            Action::ResetStatus if self.lost => MOVING,
            _ => &[],
        }
    }

    fn is_parked(&self) -> bool {
        matches!(self.holder, Some((_, Some(OperationStatus::NeedsAttention))))
    }
}

/// The action that an operation type is asked for by.
pub const fn action_of(operation: OperationType) -> Action {
    match operation {
        OperationType::Failover => Action::Failover,
        OperationType::Failback => Action::Failback,
        OperationType::TestFailover => Action::TestFailover,
        OperationType::TestCleanup => Action::TestCleanup,
        OperationType::SyncVolumes => Action::SyncVolumes,
        OperationType::Reprotect => Action::Reprotect,
    }
}

/// The row of an action.
pub fn rule(action: Action) -> &'static Row {
    match TABLE.iter().find(|row| row.action == action) {
        Some(row) => row,
        None => unreachable!("every action has a row; a test walks them"),
    }
}

/// Whether the group accepts the action now.
///
/// # Errors
/// A 409 that names the status and what is allowed in it.
pub fn admit(action: Action, force: bool, at: &Situation<'_>) -> Result<(), Refusal> {
    let row = rule(action);
    check_hold(row, force, at)?;
    let forced =
        force && (row.forced_in.contains(&at.status) || at.lost_in(action).contains(&at.status));
    if !row.allowed_in.contains(&at.status) && !forced {
        return Err(wrong_state(row, at));
    }
    check_drill(row, at)?;
    match at.quarantine {
        Some(reason) if !row.in_quarantine => Err(Refusal::new(
            Code::Quarantined,
            format!(
                "The group is read-only at this site: {reason}; allowed in {} here: {}",
                at.status,
                allowed(at)
            ),
        )),
        None if action == Action::ReleaseQuarantine => Err(Refusal::new(
            Code::GroupWrongState,
            format!(
                "The group is not quarantined: it is {0}; allowed in {0}: {1}",
                at.status,
                allowed(at)
            ),
        )),
        _ => Ok(()),
    }
}

/// What the group accepts now without force, for a person.
pub fn allowed(at: &Situation<'_>) -> String {
    // Of an operation that has ended, a retry is offered where something is left to be done.
    let offered = |row: &&Row| {
        row.hold != Hold::ParkedOrFree || at.holder.is_some() || at.status == FailedOverPartial
    };
    let rows = TABLE.iter().filter(|row| admits(row, at)).filter(offered);
    let words: Vec<_> = rows.map(|row| row.action.as_str()).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// The same answer as [`admit`], without words.
fn admits(row: &Row, at: &Situation<'_>) -> bool {
    check_hold_bare(row, false, at)
        && row.allowed_in.contains(&at.status)
        && check_drill_bare(row, at)
        && (at.quarantine.is_none() || row.in_quarantine)
        && (at.quarantine.is_some() || row.action != Action::ReleaseQuarantine)
}

fn check_hold_bare(row: &Row, force: bool, at: &Situation<'_>) -> bool {
    let held = at.holder.is_some();
    match row.hold {
        Hold::Free => !held,
        // In `active` only what a forced failover supersedes can hold the group.
        Hold::FreeOrSuperseded => !held || (force && (at.status == Active || at.lost)),
        Hold::FreeOrLost => !held || (force && at.lost),
        Hold::ParkedOrFree => !held || at.is_parked(),
        Hold::Parked => at.is_parked(),
        Hold::Held => held,
        Hold::Any => true,
    }
}

fn check_hold(row: &Row, force: bool, at: &Situation<'_>) -> Result<(), Refusal> {
    if check_hold_bare(row, force, at) {
        return Ok(());
    }
    let (action, status) = (row.action, at.status);
    let Some((holder, its)) = at.holder else {
        return Err(Refusal::new(
            Code::GroupWrongState,
            format!(
                "No operation of the group runs or waits for a person, so there is nothing to {action}: the group is \
                 {status}; allowed in {status}: {}",
                allowed(at)
            ),
        ));
    };
    let its = its.map(|status| format!(" ({status})")).unwrap_or_default();
    let why = match row.hold {
        Hold::Parked | Hold::ParkedOrFree => {
            format!("{action} is for an operation that waits for a person (needs_attention)")
        }
        _ => "wait until it has ended".to_owned(),
    };
    Err(Refusal::new(
        Code::GroupBusy,
        format!(
            "Operation {holder}{its} holds the group (status {status}): {why}; allowed meanwhile: {}",
            allowed(at)
        ),
    ))
}

fn check_drill_bare(row: &Row, at: &Situation<'_>) -> bool {
    match row.drill {
        Drill::Any => true,
        Drill::Closed => at.drill.is_none(),
        Drill::Open => at.drill.is_some(),
    }
}

fn check_drill(row: &Row, at: &Situation<'_>) -> Result<(), Refusal> {
    if check_drill_bare(row, at) {
        return Ok(());
    }
    let status = at.status;
    let (code, why) = match at.drill {
        Some(drill) => (
            Code::GroupBusy,
            format!("The drill {drill} is still open; remove what it made with test_cleanup first"),
        ),
        None => (
            Code::GroupWrongState,
            "No drill of the group is open: there is nothing to clean up".to_owned(),
        ),
    };
    Err(Refusal::new(code, format!("{why}. Allowed in {status}: {}", allowed(at))))
}

/// The founding document's sentence, with what would be allowed.
fn wrong_state(row: &Row, at: &Situation<'_>) -> Refusal {
    let needed = match row.action {
        // The sentence is quoted in the documentation; `failed_over_partial` is accepted as well.
        Action::Failback => "failed_over".to_owned(),
        _ => row.allowed_in.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" or "),
    };
    let status = at.status;
    Refusal::new(
        Code::GroupWrongState,
        format!(
            "Protection Group is not in {needed} state: it is {status}; allowed in {status}: {}",
            allowed(at)
        ),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protector_types::action_rule;

    use super::*;

    fn at(status: GroupStatus) -> Situation<'static> {
        Situation { status, quarantine: None, drill: None, holder: None, lost: false }
    }

    #[test]
    fn every_action_has_one_row_and_operations_agree_with_the_table_of_types() {
        for &action in Action::ALL {
            assert_eq!(TABLE.iter().filter(|row| row.action == action).count(), 1, "{action}");
        }
        for &operation in OperationType::ALL {
            assert_eq!(
                rule(action_of(operation)).allowed_in,
                action_rule(operation).allowed_in,
                "{operation}"
            );
        }
    }

    #[test]
    fn every_cell_says_no_in_words_or_lets_pass() {
        let id = OperationId::generate();
        let holders = [
            None,
            Some((id, None)),
            Some((id, Some(OperationStatus::Running))),
            Some((id, Some(OperationStatus::NeedsAttention))),
        ];
        let mut cells = 0;
        for &action in Action::ALL {
            for &status in GroupStatus::ALL {
                for holder in holders {
                    for quarantine in [None, Some("a newer epoch names site-b")] {
                        for drill in [None, Some(id)] {
                            let at = Situation { status, quarantine, drill, holder, lost: false };
                            cells += 1;
                            let admitted = admit(action, false, &at);
                            assert_eq!(
                                admitted.is_ok(),
                                admits(rule(action), &at),
                                "{action} {at:?}"
                            );
                            if let Err(refusal) = admitted {
                                let told = refusal.detail.contains(status.as_str())
                                    || refusal.code == Code::Quarantined;
                                assert!(told, "{refusal}");
                                assert!(
                                    refusal.detail.to_lowercase().contains("allowed"),
                                    "{refusal}"
                                );
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(cells, 13 * 8 * 4 * 2 * 2);
    }

    #[test]
    fn what_is_lost_is_in_nobodys_way_by_force() {
        let holder = Some((OperationId::generate(), None));
        let begun = |status| Situation { holder, ..at(status) };
        let lost = |status| Situation { lost: true, ..begun(status) };
        for (action, status) in [
            (Action::Failover, FailingOver),
            (Action::ResetStatus, FailingOver),
            (Action::ResetStatus, FailingBack),
        ] {
            assert!(admit(action, true, &lost(status)).is_ok(), "{action} in {status}");
            assert!(admit(action, false, &lost(status)).is_err(), "{action} in {status}");
            assert!(admit(action, true, &begun(status)).is_err(), "{action} in {status}");
        }
        assert!(admit(Action::Failover, true, &lost(FailingBack)).is_err(), "it runs here");
    }

    #[test]
    fn the_founding_sentence_stands_verbatim() {
        let refusal = admit(Action::Failback, false, &at(Active)).unwrap_err();
        assert!(
            refusal.detail.starts_with("Protection Group is not in failed_over state"),
            "{refusal}"
        );
    }

    #[test]
    fn reset_status_leaves_a_failed_over_group_only_with_force() {
        assert!(admit(Action::ResetStatus, false, &at(Error)).is_ok());
        for &status in AWAY {
            assert!(admit(Action::ResetStatus, false, &at(status)).is_err());
            assert!(admit(Action::ResetStatus, true, &at(status)).is_ok());
        }
        assert!(admit(Action::ResetStatus, true, &at(Active)).is_err());
    }
}
