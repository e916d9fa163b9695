//! Waits until the final snapshot is complete on the target array, with every volume of the group: the newest *listed*
//! snapshot may still be in flight. Changes nothing; undo has nothing to do.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::RecoveryPoint;
use protector_types::{DomainEffect, ReplicationStatus};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::manage_volume;
use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
};

/// Makes the step.
pub struct AwaitReplication(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// As known when the plan was made.
    #[serde(flatten)]
    pub input: Input,
    /// Steps that manage volumes which it must hold too.
    #[serde(default)]
    pub volumes_from: Vec<String>,
    /// The step that takes the snapshot, where its failure is only a warning: without it nothing will come.
    #[serde(default)]
    pub taken_by: Option<String>,
}

/// Which point.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The target's array.
    pub array: ArrayPlace,
    /// The source array's name as the target knows it.
    pub source_array: String,
    /// Name of the array's protection group at the source.
    pub array_group: String,
    /// Of the snapshot.
    pub suffix: String,
    /// Array volumes that it must hold.
    pub volumes: Vec<String>,
}

#[async_trait]
impl Step for AwaitReplication {
    const KIND: &'static str = "await_replication";
    type Planned = Planned;
    type Input = Input;
    type Output = RecoveryPoint;

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        if let Some(step) = planned.taken_by.filter(|step| !outputs.has(step)) {
            return Err(StepError::new(format!("the snapshot of step {step} was not taken")));
        }
        let mut input = planned.input;
        for step in &planned.volumes_from {
            input.volumes.push(outputs.get::<manage_volume::Output>(step)?.array_volume);
        }
        Ok(input)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<RecoveryPoint> {
        outcome::run_as_look(self.find(cx, input).await)
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<RecoveryPoint> {
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        let point = attempt!(
            array.recovery_point(&input.source_array, &input.array_group, &input.suffix).await,
            outcome::found
        );
        match point {
            Some(point) if point.is_usable_for(&input.volumes) => Found::Present(Done {
                effects: vec![DomainEffect::Replicated {
                    group_id: input.array.group,
                    point_at: Some(point.created),
                    status: ReplicationStatus::Replicating,
                }],
                output: point,
            }),
            Some(point) if point.completed.is_some() => Found::Broken(StepError::new(format!(
                "the replicated snapshot {} lacks volumes of the group; refresh the members and sync",
                point.name
            ))),
            Some(point) => Found::Pending(format!(
                "{} is {}.{}% sent",
                point.name,
                point.progress_milli / 10,
                point.progress_milli % 10
            )),
            None => Found::Pending("the final snapshot is not listed at the target yet".into()),
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<RecoveryPoint>) -> Undo {
        Undo::Done(None)
    }

    fn poll(&self) -> Duration {
        Duration::from_millis(250)
    }
}
