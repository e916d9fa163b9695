//! Takeover: going on with what a dead site was driving. From then on the rules of a forced operation hold.

use protector_store::{Scope, StoreError};
use protector_types::{Action, Code, GroupId, OperationId, ProjectId, ProtectionGroup, Refusal};

use crate::{
    Caller, Core, OperationRecord,
    admission::{self, Situation},
    errors,
    operations::record,
    two_sites::TAKEOVER_AFTER,
};

/// The mark of an adopted operation in its parameters.
const TAKEN_OVER: &str = "taken_over";

/// True for an operation that was taken over from another site: its journal may lag behind what was done.
pub fn was_taken_over(params: &serde_json::Value) -> bool {
    params.get(TAKEN_OVER).and_then(serde_json::Value::as_bool).unwrap_or_default()
}

impl Core {
    /// Adopts the operation that holds a group and that the other site was driving: its streamed plan and journal are
    /// this site's from now on, under a new fence. The engine that claims it looks for every planned step first, since the
    /// streamed journal may lag behind what was done.
    ///
    /// # Errors
    /// RequestInvalidValue without `force`; GroupWrongState unless the group is failing over or back and the other site
    /// drives it; GroupBusy while that site still renews its claim, or may; NotFound when its plan never came here.
    pub async fn take_over(
        &self,
        caller: &Caller,
        project: &ProjectId,
        id: GroupId,
        force: bool,
    ) -> Result<OperationRecord, Refusal> {
        if !force {
            return Err(Refusal::new(
                Code::RequestInvalidValue,
                "force: takeover needs it; the other site must be dead, or two engines would drive one operation",
            ));
        }
        let scope = Scope::Project(project.clone());
        let group = self.store.group(&scope, id).await.map_err(errors::store)?;
        let holder = self.holder_status(&group).await?;
        admission::admit(Action::Takeover, force, &Situation::of(&group, holder))?;
        let Some(operation) = group.current_operation_id else {
            return Err(Refusal::new(Code::GroupWrongState, "No operation holds the group"));
        };
        let row = match self.store.operation(&Scope::System, operation).await {
            Ok(row) => row,
            Err(StoreError::NotFound { .. }) => return Err(never_came(operation)),
            Err(error) => return Err(errors::store(error)),
        };
        if !row.remote {
            return Err(Refusal::new(
                Code::GroupWrongState,
                format!("This site drives operation {operation} already; use retry or cancel"),
            ));
        }
        self.must_be_silent(id, operation).await?;
        let mut params = row.params.clone();
        if let Some(params) = params.as_object_mut() {
            params.insert("force".into(), true.into());
            params.insert(TAKEN_OVER.into(), true.into());
        }
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        match self.store.adopt_operation(operation, &params).await {
            Ok(_) => {}
            Err(StoreError::NotFound { .. }) => return Err(never_came(operation)),
            Err(error) => return Err(errors::store(error)),
        }
        self.store.force_group_claim(id, operation, local).await.map_err(errors::store)?;
        tracing::warn!(%operation, group = %id, user = %caller.user_id, "taken over from the other site");
        self.operation(project, operation).await.or_else(|_| Ok(record(row)))
    }

    /// The group as admission sees it. What has `force` may end an operation that is lost: driven by the other site, which
    /// has been silent for long enough, and whose plan never came here. An operation that needs the peer's leave begins only
    /// after its plan was handed over.
    ///
    /// # Errors
    /// GroupBusy while the other site may still be alive.
    pub(crate) async fn situation<'a>(
        &self,
        group: &'a ProtectionGroup,
        force: bool,
    ) -> Result<Situation<'a>, Refusal> {
        let mut situation = Situation::of(group, self.holder_status(group).await?);
        let Some(operation) = group.current_operation_id.filter(|_| force) else {
            return Ok(situation);
        };
        let remote = match self.store.operation(&Scope::System, operation).await {
            Ok(row) => row.remote,
            Err(StoreError::NotFound { .. }) => true,
            Err(error) => return Err(errors::store(error)),
        };
        if remote && group.status.is_moving() && !self.has_plan(operation).await? {
            self.must_be_silent(group.id, operation).await?;
            situation.lost = true;
        }
        Ok(situation)
    }

    async fn has_plan(&self, operation: OperationId) -> Result<bool, Refusal> {
        match self.store.load_plan(operation).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(errors::store(error)),
        }
    }

    /// Renewals must have been missing for twice their life by this process's own clock.
    async fn must_be_silent(&self, id: GroupId, operation: OperationId) -> Result<(), Refusal> {
        let Some(claim) = self.store.group_claim(id).await.map_err(errors::store)? else {
            // It died long ago, by the engine's own watch.
            return Ok(());
        };
        let silent = self.claims.silence(&claim, self.clock.monotonic());
        if claim.operation_id != operation || silent >= TAKEOVER_AFTER {
            return Ok(());
        }
        Err(Refusal::new(
            Code::GroupBusy,
            format!(
                "Operation {operation} is still driven by the other site, as far as this one can tell: its claim was \
                 renewed within the last {} s of watching. Repeat when it has been silent for {} s",
                silent.as_secs(),
                TAKEOVER_AFTER.as_secs()
            ),
        ))
    }
}

fn never_came(operation: OperationId) -> Refusal {
    Refusal::new(
        Code::NotFound,
        format!(
            "The plan of operation {operation} never reached this site, so it cannot be finished here, and it had not \
             begun. `failover` with force leads out of failing_over, `reset_status` with force out of failing_back"
        ),
    )
}
