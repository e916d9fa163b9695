//! Stops the old direction's replication schedule on the source array, so that it does not ship stale snapshots over
//! what is now the primary. A repeat sees it off. Undo turns it on again, unless it was off when the plan
//! was made.

use async_trait::async_trait;
use protector_types::{DomainEffect, ReplicationStatus};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
};

/// Makes the step.
pub struct StopSchedule(pub Deps);

/// Which group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Which array.
    pub array: ArrayPlace,
    /// Name of the array's protection group.
    pub array_group: String,
    /// With it the group's replication is paused.
    #[serde(default)]
    pub pauses: bool,
    /// It was on when the plan was made: undo goes back to that. `None`: not looked at, or there was no group.
    #[serde(default)]
    pub was_on: Option<bool>,
}

fn done(input: &Input) -> Done<()> {
    let paused = DomainEffect::Replicated {
        group_id: input.array.group,
        point_at: None,
        status: ReplicationStatus::Paused,
    };
    Done { output: (), effects: input.pauses.then_some(paused).into_iter().collect() }
}

#[async_trait]
impl Step for StopSchedule {
    const KIND: &'static str = "stop_schedule";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::outcome);
        match array.set_group_schedule(&input.array_group, false).await {
            Ok(()) => Outcome::Done(done(input)),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        let group = attempt!(array.group(&input.array_group).await, outcome::found);
        if group.schedule_enabled { Found::Absent } else { Found::Present(done(input)) }
    }

    async fn undo(&self, _cx: &StepCx, input: &Input, _output: Option<()>) -> Undo {
        if input.was_on == Some(false) {
            return Undo::Done(None);
        }
        let array = attempt!(input.array.array(&self.0).await, outcome::undo);
        match array.set_group_schedule(&input.array_group, true).await {
            Ok(()) => Undo::Done(None),
            Err(error) => outcome::undo(error),
        }
    }
}
