//! The table of states: every action in every status, with and without quarantine, open drill and an operation that runs
//! or waits, asked over HTTP. What is expected is written here once more, as the documentation has it.

// The future that brings everything up holds all others.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use protector_core::Core;
use protector_demo::Rest;
use protector_store::{Accepted, GroupGate, NewOperation, Scope};
use protector_types::{
    Action, Epoch, GroupId, GroupStatus, OperationId, OperationStatus, OperationType,
    ProtectionGroup, Quarantine, SiteFacts,
};
use protector_workflow::{
    EntryKind, Journal as _, NewEntry, OnFailure, Plan, PlannedStep, Stage, State,
};
use serde_json::{Value, json};
use support::Theatre;

/// Who holds the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Nobody,
    Running,
    Parked,
}

/// One cell.
#[derive(Debug, Clone, Copy)]
struct Cell {
    status: GroupStatus,
    holder: Holder,
    quarantine: bool,
    drill: bool,
}

/// Statuses by action, as the documentation's table has them.
fn statuses(action: Action) -> &'static [&'static str] {
    const ALL: &[&str] = &[
        "creating",
        "active",
        "failing_over",
        "failed_over",
        "failed_over_partial",
        "failing_back",
        "error",
        "deleting",
    ];
    match action {
        Action::Failover | Action::TestFailover => &["active"],
        Action::Failback | Action::Reprotect => &["failed_over", "failed_over_partial"],
        Action::TestCleanup | Action::SyncVolumes => {
            &["active", "failed_over", "failed_over_partial"]
        }
        Action::Takeover => &["failing_over", "failing_back"],
        Action::ResetStatus => &["error"],
        Action::Cancel
        | Action::Retry
        | Action::Skip
        | Action::Abandon
        | Action::ReleaseQuarantine => ALL,
    }
}

/// Whether the documentation lets the action pass.
fn passes(action: Action, cell: Cell) -> bool {
    let held = match action {
        Action::Cancel | Action::Takeover => cell.holder != Holder::Nobody,
        Action::ReleaseQuarantine => true,
        Action::Skip => cell.holder == Holder::Parked,
        // Nothing has ended yet that could be retried or given up.
        Action::Retry | Action::Abandon => cell.holder == Holder::Parked,
        _ => cell.holder == Holder::Nobody,
    };
    let drill = match action {
        Action::TestFailover => !cell.drill,
        Action::TestCleanup => cell.drill,
        _ => true,
    };
    let ways_out = [Action::Cancel, Action::Skip, Action::Abandon, Action::ResetStatus];
    let quarantine = match action {
        Action::ReleaseQuarantine => cell.quarantine,
        _ => !cell.quarantine || ways_out.contains(&action),
    };
    held && drill && quarantine && statuses(action).contains(&cell.status.as_str())
}

/// A body that starts nothing even where it passes: the plan with this hash is not there.
fn body(action: Action) -> Value {
    let hash = format!("sha256:{}", "0".repeat(64));
    match action {
        Action::Skip => json!({"skip": {"step": "s1", "reason": "a look"}}),
        Action::Abandon => json!({"abandon": {"reason": "enough"}}),
        Action::Cancel | Action::Retry | Action::ResetStatus | Action::ReleaseQuarantine => {
            json!({ action.as_str(): {} })
        }
        // Whoever drives it is this very site: refused, but not by the table.
        Action::Takeover => json!({"takeover": {"force": true}}),
        _ => json!({ action.as_str(): {"plan_hash": hash} }),
    }
}

fn plan() -> Plan {
    let step = PlannedStep {
        id: "s1".into(),
        kind: "recheck".into(),
        stage: 0,
        after: vec![],
        input: json!({}),
        subject: None,
        deadline_sec: 60,
        no_return: false,
        on_failure: OnFailure::Rollback,
    };
    let stages = vec![Stage { name: "validate_target_site".into(), from: 0, to: 100 }];
    Plan { definition: "failover".into(), version: 1, stages, steps: vec![step], facts: json!({}) }
}

/// Writes the group as the cell has it, in the table of groups alone.
async fn set(core: &Core, base: &ProtectionGroup, cell: Cell, holder: Option<OperationId>) {
    let scope = Scope::System;
    let mut document = core.store().group_document(&scope, base.id).await.unwrap();
    let group = &mut document.group;
    group.status = cell.status;
    group.current_operation_id = holder;
    group.active_test_operation_id = cell.drill.then(OperationId::generate);
    group.version += 1;
    let held = core.store().group(&scope, base.id).await.unwrap();
    // A fact of this site alone, beside the document.
    let quarantine = cell.quarantine.then(|| Quarantine {
        epoch: Epoch { number: base.epoch.number + 1, ..base.epoch },
        primary: base.secondary_site_id,
        primary_name: "site-b".into(),
        since: base.created_at,
        servers: Vec::new(),
        is_safe: true,
        failure: None,
        is_lifting: false,
        release_asked: false,
    });
    let facts = |facts: &mut SiteFacts| facts.quarantine.clone_from(&quarantine);
    assert!(core.store().replace_document(&document, Some(&held), Some(&facts)).await.unwrap());
}

/// An operation that holds the group, running or parked, in the hands of an engine that is not there.
async fn holder(core: &Core, group: &ProtectionGroup, parked: bool) -> OperationId {
    let store = core.store();
    let group = store.group(&Scope::System, group.id).await.unwrap();
    let new = NewOperation {
        id: OperationId::generate(),
        project_id: group.projects[&group.primary_site_id].clone(),
        group_id: group.id,
        operation_type: OperationType::SyncVolumes,
        source_site_id: group.primary_site_id,
        target_site_id: group.secondary_site_id,
        params: json!({}),
        plan: Some(plan()),
        user_id: "user".into(),
        request_id: "req".into(),
        retry_of: None,
        idempotency: None,
    };
    let gate = GroupGate {
        expected_version: group.version,
        allowed_in: vec![GroupStatus::Active],
        running: None,
        supersedes: Vec::new(),
        holder_result: None,
    };
    let accepted = store.insert_and_claim_group(&new, &gate).await.unwrap();
    assert!(matches!(accepted, Accepted::New { .. }));
    let fence = store.claim(new.id, "nobody", None, 0).await.unwrap().unwrap();
    let mut kinds = vec![EntryKind::Claimed { engine: "nobody".into(), fence }];
    if parked {
        let started = EntryKind::Started {
            step: "s1".into(),
            attempt: 1,
            input: json!({}),
            deadline_at: core.clock().now(),
        };
        kinds.extend([started, EntryKind::Parked { reason: "a test".into(), step: None }]);
    }
    let mut state = State::new(std::sync::Arc::new(plan()));
    for kind in &kinds {
        state.apply(state.last_seq() + 1, kind);
    }
    let at = core.clock().now();
    let entries: Vec<_> = kinds.into_iter().map(|kind| NewEntry { at, kind }).collect();
    let definition = core.planner().definition("failover", 1).unwrap();
    let summary = state.summary(at, definition.as_ref());
    store.append(new.id, fence, &entries, &[], &summary).await.unwrap();
    new.id
}

/// The answer's refusal by the table, if it is one.
async fn refusal(who: &Rest, url: &str, action: Action) -> (u16, Option<String>) {
    let headers = [("OpenStack-API-Version", "protector 1.3")];
    let body = Some(body(action).to_string().into_bytes());
    let reply = who.call_with("POST", url, &headers, body).await.unwrap();
    let error = &reply.body["errors"][0];
    let code = error["code"].as_str().unwrap_or_default();
    let of_table =
        ["protection_group.wrong_state", "protection_group.busy", "protection_group.quarantined"];
    let detail = error["detail"].as_str().unwrap_or_default();
    let told = of_table.contains(&code) && detail.to_lowercase().contains("allowed ");
    (reply.status.as_u16(), told.then(|| detail.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cell_answers_as_documented() {
    let mut t = Theatre::open().await;
    t.stop(0).await;
    t.start_api(0).await;
    let core = t.core(0);
    let id: GroupId = t.protected.group_id.parse().unwrap();
    let base = core.store().group(&Scope::System, id).await.unwrap();
    let admin = t.stage.admin(0).await.unwrap();
    let url = format!("{}/action", t.group_url(0));
    let (mut cells, mut passed, mut wrong) = (0, 0, Vec::new());
    for who in [Holder::Nobody, Holder::Running, Holder::Parked] {
        let calm =
            Cell { status: GroupStatus::Active, holder: who, quarantine: false, drill: false };
        set(&core, &base, calm, None).await;
        let operation = match who {
            Holder::Nobody => None,
            _ => Some(holder(&core, &base, who == Holder::Parked).await),
        };
        for &status in GroupStatus::ALL {
            for (quarantine, drill) in [(false, false), (true, false), (false, true), (true, true)]
            {
                let cell = Cell { status, holder: who, quarantine, drill };
                set(&core, &base, cell, operation).await;
                for &action in Action::ALL {
                    let (http, refused) = refusal(&admin, &url, action).await;
                    let pass = passes(action, cell);
                    cells += 1;
                    passed += usize::from(pass);
                    let named = refused.as_ref().is_none_or(|d| d.contains(status.as_str()));
                    if refused.is_none() != pass || (!pass && http != 409) || !named {
                        wrong.push(format!("{action} {cell:?}: {http} {refused:?}"));
                    }
                }
            }
        }
        if let Some(operation) = operation {
            let row = core.store().operation(&Scope::System, operation).await.unwrap();
            let is = if who == Holder::Parked {
                OperationStatus::NeedsAttention
            } else {
                OperationStatus::Running
            };
            assert_eq!(row.status, is, "nothing moved");
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cells} wrong: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    );
    assert_eq!(cells, 3 * 8 * 4 * 13);
    assert!(passed > 100, "{passed}");
    t.close().await;
}
