//! Operations: the record, its acceptance together with the claim on the group, and its plan.

use chrono::{DateTime, Utc};
use protector_types::{
    GroupId, GroupStatus, OperationId, OperationStatus, OperationType, ProjectId, SiteId,
};
use protector_workflow::{Plan, StageView, View};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    IntoActiveModel, QueryFilter, QuerySelect, Set, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Conflict, Store, StoreError,
    convert::{Row, clean, json_text, number, time_text, word},
    db::transact,
    entity::{operation, operation_plan},
    error::{duplicate, raced},
    repo::groups,
};

/// Words of the states that never change, for queries.
pub(crate) const TERMINAL: [&str; 3] = [
    OperationStatus::Completed.as_str(),
    OperationStatus::Failed.as_str(),
    OperationStatus::Cancelled.as_str(),
];

/// An operation that was accepted and is to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOperation {
    /// Its id; part of every marker.
    pub id: OperationId,
    /// Project at this site.
    pub project_id: ProjectId,
    /// Group.
    pub group_id: GroupId,
    /// What it does.
    pub operation_type: OperationType,
    /// From.
    pub source_site_id: SiteId,
    /// To.
    pub target_site_id: SiteId,
    /// With what.
    pub params: Value,
    /// The exact steps; `None`: the engine plans ([`Store::set_plan`]).
    pub plan: Option<Plan>,
    /// Who asked.
    pub user_id: String,
    /// The call that asked.
    pub request_id: String,
    /// The ended operation that this one repeats.
    pub retry_of: Option<OperationId>,
    /// `Idempotency-Key` with the digest of the request's body; remembered for 24 hours.
    pub idempotency: Option<(String, String)>,
}

/// In which condition a group may be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupGate {
    /// The version that the decision was based on.
    pub expected_version: u64,
    /// Group states from which the operation may start.
    pub allowed_in: Vec<GroupStatus>,
    /// The state while it runs, if it changes.
    pub running: Option<GroupStatus>,
    /// Types of operations that it may end while they hold the group.
    pub supersedes: Vec<OperationType>,
    /// What the holder had done by then: its `result_data` once it is superseded.
    pub holder_result: Option<Value>,
}

/// What became of [`Store::insert_and_claim_group`].
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// Stored; the group is held by it.
    New {
        /// The record.
        operation: OperationRow,
        /// The group's version, raised by the claim.
        group_version: u64,
    },
    /// The same request was accepted before: nothing was done.
    Replayed(OperationRow),
}

/// An operation's record. Serializable, so that the driving site can push it to the peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationRow {
    /// Id.
    pub id: OperationId,
    /// Project at this site.
    pub project_id: ProjectId,
    /// Group; it may be gone by now.
    pub group_id: GroupId,
    /// What it does.
    pub operation_type: OperationType,
    /// Status.
    pub status: OperationStatus,
    /// 0-100.
    pub progress: u8,
    /// From.
    pub source_site_id: SiteId,
    /// To.
    pub target_site_id: SiteId,
    /// With what.
    pub params: Value,
    /// Who asked.
    pub user_id: String,
    /// The call that asked.
    pub request_id: String,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When an engine first wrote to its journal.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// For a person.
    pub error_message: Option<String>,
    /// Stages, failures, warnings.
    pub view: View,
    /// What came of it.
    pub result_data: Option<Value>,
    /// Number of the last journal entry.
    pub journal_seq: u64,
    /// Grows with each claim by an engine.
    pub fence: u64,
    /// The engine that drives it.
    pub owner: Option<String>,
    /// Grows while its engine lives.
    pub heartbeat: u64,
    /// A person's request that no engine has taken yet.
    pub control: Option<Value>,
    /// The operation that this one repeats.
    pub retry_of: Option<OperationId>,
    /// The group's status when it was accepted: where an end that changed nothing leads back to.
    #[serde(default)]
    pub from_status: Option<GroupStatus>,
    /// True for the copy of an operation that the peer drives: no engine here may touch it.
    pub remote: bool,
}

/// Filters of the list of operations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// Of this group.
    pub group_id: Option<GroupId>,
    /// Of this type.
    pub operation_type: Option<OperationType>,
    /// In this status.
    pub status: Option<OperationStatus>,
    /// Accepted at or after.
    pub since: Option<DateTime<Utc>>,
}

/// What a pending operation looks like.
fn first_view(plan: Option<&Plan>) -> View {
    let stages = plan.map(|plan| {
        let stage = |(index, stage): (usize, &protector_workflow::Stage)| StageView {
            name: stage.name.clone(),
            done: 0,
            total: plan.steps.iter().filter(|step| step.stage == index).count(),
            running: 0,
        };
        plan.stages.iter().enumerate().map(stage).collect()
    });
    View {
        status: OperationStatus::Pending,
        progress: 0,
        steps_completed: vec![],
        steps_failed: vec![],
        warnings: plan.map(Plan::warnings).unwrap_or_default(),
        error_message: None,
        stages: stages.unwrap_or_default(),
    }
}

impl NewOperation {
    fn accepted(&self, now: DateTime<Utc>) -> OperationRow {
        OperationRow {
            id: self.id,
            project_id: self.project_id.clone(),
            group_id: self.group_id,
            operation_type: self.operation_type,
            status: OperationStatus::Pending,
            progress: 0,
            source_site_id: self.source_site_id,
            target_site_id: self.target_site_id,
            params: self.params.clone(),
            user_id: self.user_id.clone(),
            request_id: self.request_id.clone(),
            created_at: now,
            started_at: None,
            completed_at: None,
            error_message: None,
            view: first_view(self.plan.as_ref()),
            result_data: None,
            journal_seq: 0,
            fence: 0,
            owner: None,
            heartbeat: 0,
            control: None,
            retry_of: self.retry_of,
            from_status: None,
            remote: false,
        }
    }
}

pub(crate) fn write(row: &OperationRow) -> Result<operation::Model, StoreError> {
    let json = |what, value: &Option<Value>| value.as_ref().map(|v| json_text(what, v)).transpose();
    Ok(operation::Model {
        id: row.id.to_string(),
        project_id: word("project id", row.project_id.as_str())?,
        group_id: row.group_id.to_string(),
        operation_type: row.operation_type.to_string(),
        status: row.status.to_string(),
        progress: i32::from(row.progress),
        source_site_id: row.source_site_id.to_string(),
        target_site_id: row.target_site_id.to_string(),
        params: json_text("params", &row.params)?,
        user_id: word("user id", &row.user_id)?,
        request_id: word("request id", &row.request_id)?,
        created_at: time_text(row.created_at),
        started_at: row.started_at.map(time_text),
        completed_at: row.completed_at.map(time_text),
        error_message: row.error_message.as_deref().map(clean),
        view_json: json_text("view", &row.view)?,
        result_data: json("result_data", &row.result_data)?,
        journal_seq: number("journal_seq", row.journal_seq)?,
        fence: number("fence", row.fence)?,
        owner: row.owner.clone(),
        heartbeat: number("heartbeat", row.heartbeat)?,
        control: json("control", &row.control)?,
        retry_of: row.retry_of.map(|id| id.to_string()),
        from_status: row.from_status.map(|status| status.to_string()),
        remote: row.remote,
    })
}

pub(crate) fn read(row: operation::Model) -> Result<OperationRow, StoreError> {
    let at = Row { table: "operations", id: &row.id };
    Ok(OperationRow {
        id: at.parse("id", &row.id)?,
        group_id: at.parse("group_id", &row.group_id)?,
        operation_type: at.parse("operation_type", &row.operation_type)?,
        status: at.parse("status", &row.status)?,
        progress: u8::try_from(row.progress).map_err(|error| at.corrupt("progress", error))?,
        source_site_id: at.parse("source_site_id", &row.source_site_id)?,
        target_site_id: at.parse("target_site_id", &row.target_site_id)?,
        params: at.json("params", &row.params)?,
        created_at: at.time("created_at", &row.created_at)?,
        started_at: at.time_some("started_at", row.started_at.as_deref())?,
        completed_at: at.time_some("completed_at", row.completed_at.as_deref())?,
        view: at.json("view_json", &row.view_json)?,
        result_data: at.json_some("result_data", row.result_data.as_deref())?,
        journal_seq: at.count("journal_seq", row.journal_seq)?,
        fence: at.count("fence", row.fence)?,
        heartbeat: at.count("heartbeat", row.heartbeat)?,
        control: at.json_some("control", row.control.as_deref())?,
        retry_of: at.parse_some("retry_of", row.retry_of.as_deref())?,
        from_status: at.parse_some("from_status", row.from_status.as_deref())?,
        project_id: row.project_id.into(),
        user_id: row.user_id,
        request_id: row.request_id,
        error_message: row.error_message,
        owner: row.owner,
        remote: row.remote,
    })
}

async fn put_plan<C: ConnectionTrait>(
    tx: &C,
    id: OperationId,
    plan: &Plan,
) -> Result<(), StoreError> {
    operation_plan::Entity::delete_by_id(id.to_string()).exec(tx).await?;
    let row = operation_plan::ActiveModel {
        operation_id: Set(id.to_string()),
        plan: Set(json_text("plan", plan)?),
    };
    operation_plan::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

impl Store {
    /// Accepts an operation: in one transaction its group is claimed (version, status and holder are checked,
    /// the version rises, the running status is set, a `test_failover` becomes the open drill), the operation
    /// with its plan is stored and the outbox row is written. Of several callers exactly one wins.
    ///
    /// # Errors
    /// `NotFound` for the group; `Conflict`: `Busy` naming the holder, `StaleVersion`, `WrongState`,
    /// `DrillOpen`, `IdempotencyMismatch`.
    pub async fn insert_and_claim_group(
        &self,
        new: &NewOperation,
        gate: &GroupGate,
    ) -> Result<Accepted, StoreError> {
        let row = new.accepted(self.now());
        transact!(self, tx => {
            // The group first: callers of one group queue at its lock, and then see each other's keys.
            let group = groups::lock(tx, new.group_id).await?;
            if let Some(known) = self.replay(tx, new).await? {
                return Ok(Accepted::Replayed(known));
            }
            let mut group =
                group.ok_or_else(|| StoreError::not_found("protection group", new.group_id))?;
            self.supersede(tx, &mut group, new, gate).await?;
            admit(&group, new.operation_type, gate)?;
            let row = OperationRow { from_status: Some(group.status), ..row.clone() };
            group.status = gate.running.unwrap_or(group.status);
            group.current_operation_id = Some(new.id);
            if new.operation_type == OperationType::TestFailover {
                group.active_test_operation_id = Some(new.id);
            }
            operation::Entity::insert(write(&row)?.into_active_model())
                .exec_without_returning(tx)
                .await
                .map_err(duplicate("operation", new.id))?;
            if let Some(plan) = &new.plan {
                put_plan(tx, new.id, plan).await?;
            }
            self.remember_key(tx, &new.project_id, new.idempotency.as_ref(), new.id).await?;
            self.save_group(tx, &mut group).await?;
            Ok(Accepted::New { operation: row, group_version: group.version })
        })
    }

    /// The stored plan.
    ///
    /// # Errors
    /// `NotFound` if the operation has none (yet); `Corrupt`.
    pub async fn load_plan(&self, id: OperationId) -> Result<Plan, StoreError> {
        let row = operation_plan::Entity::find_by_id(id.to_string()).one(self.reader()).await?;
        let row = row.ok_or_else(|| StoreError::not_found("plan of operation", id))?;
        Row { table: "operation_plans", id: &row.operation_id }.json("plan", &row.plan)
    }

    /// Stores the plan that the engine made of an operation accepted without one.
    ///
    /// # Errors
    /// `Conflict::Fenced` if another engine has it.
    pub async fn set_plan(
        &self,
        id: OperationId,
        fence: u64,
        plan: &Plan,
    ) -> Result<(), StoreError> {
        let view = json_text("view", &first_view(Some(plan)))?;
        transact!(self, tx => {
            let updated = operation::Entity::update_many()
                .col_expr(operation::Column::ViewJson, Expr::value(view.clone()))
                .filter(operation::Column::Id.eq(id.to_string()))
                .filter(operation::Column::Fence.eq(number("fence", fence)?))
                .filter(operation::Column::JournalSeq.eq(0))
                .exec(tx)
                .await?;
            if updated.rows_affected == 0 {
                return Err(Conflict::Fenced { operation: id, fence }.into());
            }
            put_plan(tx, id, plan).await
        })
    }

    /// Takes the peer's record of an operation that it drives. Older copies and copies of an ended record
    /// change nothing.
    ///
    /// # Errors
    /// `AlreadyExists` if the operation is driven here.
    pub async fn put_remote_operation(&self, record: &OperationRow) -> Result<(), StoreError> {
        let copy = OperationRow { owner: None, control: None, remote: true, ..record.clone() };
        let model = write(&copy)?;
        transact!(self, tx => {
            let stored =
                operation::Entity::find_by_id(model.id.clone()).lock_exclusive().one(tx).await?;
            let Some(stored) = stored else {
                operation::Entity::insert(model.clone().into_active_model())
                    .exec_without_returning(tx)
                    .await
                    .map_err(raced)?;
                return Ok(());
            };
            if !stored.remote {
                return Err(StoreError::AlreadyExists { what: "local operation", id: stored.id });
            }
            let ended = TERMINAL.contains(&stored.status.as_str());
            if ended || stored.journal_seq > model.journal_seq {
                return Ok(());
            }
            operation::Entity::update_many()
                .set(model.clone().into_active_model().reset_all())
                .filter(operation::Column::Id.eq(model.id.as_str()))
                .exec(tx)
                .await?;
            Ok(())
        })
    }

    /// Ends the operation that holds the group, if the new one may: its record fails naming its successor, and its
    /// fence rises, so that its engine writes no more. One that the peer drives may not be known here.
    async fn supersede(
        &self,
        tx: &DatabaseTransaction,
        group: &mut protector_types::ProtectionGroup,
        new: &NewOperation,
        gate: &GroupGate,
    ) -> Result<(), StoreError> {
        let Some(holder) = group.current_operation_id else { return Ok(()) };
        if gate.supersedes.is_empty() || !gate.allowed_in.contains(&group.status) {
            return Ok(());
        }
        let row =
            operation::Entity::find_by_id(holder.to_string()).lock_exclusive().one(tx).await?;
        let row = row.map(read).transpose()?;
        let before = row.as_ref().and_then(|row| row.from_status).unwrap_or(GroupStatus::Active);
        if let Some(row) = row {
            if !gate.supersedes.contains(&row.operation_type) {
                return Ok(());
            }
            if !row.status.is_terminal() {
                self.end_superseded(tx, row, new.id, gate.holder_result.clone()).await?;
            }
        }
        // A drill stays open: what it made is still there. What was lost before it began moved nothing.
        group.current_operation_id = None;
        if group.status.is_moving() {
            group.status = before;
        }
        Ok(())
    }

    async fn end_superseded(
        &self,
        tx: &DatabaseTransaction,
        mut row: OperationRow,
        successor: OperationId,
        result: Option<Value>,
    ) -> Result<(), StoreError> {
        let why = format!("Superseded by the forced failover {successor}");
        row.status = OperationStatus::Failed;
        row.view.status = OperationStatus::Failed;
        row.view.error_message = Some(why.clone());
        row.error_message = Some(why);
        row.completed_at = Some(self.now());
        row.result_data = result.or(row.result_data);
        row.fence += 1;
        (row.owner, row.control) = (None, None);
        operation::Entity::update_many()
            .set(write(&row)?.into_active_model().reset_all())
            .filter(operation::Column::Id.eq(row.id.to_string()))
            .exec(tx)
            .await?;
        Ok(())
    }

    /// The operation that this very request made before.
    async fn replay(
        &self,
        tx: &DatabaseTransaction,
        new: &NewOperation,
    ) -> Result<Option<OperationRow>, StoreError> {
        self.known_by_key(tx, &new.project_id, new.idempotency.as_ref()).await
    }
}

fn admit(
    group: &protector_types::ProtectionGroup,
    operation: OperationType,
    gate: &GroupGate,
) -> Result<(), Conflict> {
    // The holder before the version: its claim is why the version is another one.
    if let Some(operation) = group.current_operation_id {
        return Err(Conflict::Busy { group: group.id, operation });
    }
    if group.version != gate.expected_version {
        let (expected, actual) = (gate.expected_version, group.version);
        return Err(Conflict::StaleVersion { group: group.id, expected, actual });
    }
    if !gate.allowed_in.contains(&group.status) {
        return Err(Conflict::WrongState { group: group.id, status: group.status });
    }
    if let (OperationType::TestFailover, Some(operation)) =
        (operation, group.active_test_operation_id)
    {
        return Err(Conflict::DrillOpen { group: group.id, operation });
    }
    match gate.running {
        Some(to) if !group.status.may_become(to) => {
            Err(Conflict::IllegalTransition { group: group.id, from: group.status, to })
        }
        _ => Ok(()),
    }
}
