//! Chooses the recovery point on the target array: the final snapshot if one arrived, else the named or the newest one
//! that is complete with every volume. Its age is the loss. Changes nothing; undo has nothing to do.

use async_trait::async_trait;
use protector_ports::RecoveryPoint;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome, points,
};

/// Makes the step.
pub struct ChoosePoint(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// The target's array.
    pub array: ArrayPlace,
    /// The source array's name as the target knows it.
    pub source_array: String,
    /// Name of the array's protection group at the source.
    pub array_group: String,
    /// Array volumes that it must hold.
    pub volumes: Vec<String>,
    /// The one that a person chose.
    pub named: Option<String>,
    /// The step that waits for a final snapshot, if one is tried.
    pub final_from: Option<String>,
    /// Steps that keep the source from writing: with all of them done a final snapshot loses nothing.
    pub fences: Vec<String>,
}

/// With what came of the final snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The target's array.
    pub array: ArrayPlace,
    /// The source array's name as the target knows it.
    pub source_array: String,
    /// Name of the array's protection group at the source.
    pub array_group: String,
    /// Array volumes that it must hold.
    pub volumes: Vec<String>,
    /// The one that a person chose.
    pub named: Option<String>,
    /// The final snapshot, if it arrived.
    pub last: Option<RecoveryPoint>,
    /// The source could not write any more when it was taken.
    pub fenced: bool,
}

/// The point and its age.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// The point.
    #[serde(flatten)]
    pub point: RecoveryPoint,
    /// Seconds between the point and its choice, by source time; 0 for a final snapshot of a source that could not
    /// write any more.
    pub age_seconds: u64,
}

#[async_trait]
impl Step for ChoosePoint {
    const KIND: &'static str = "choose_point";
    type Planned = Planned;
    type Input = Input;
    type Output = Output;

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let last = planned.final_from.as_ref().and_then(|step| outputs.get(step).ok());
        Ok(Input {
            array: planned.array,
            source_array: planned.source_array,
            array_group: planned.array_group,
            volumes: planned.volumes,
            named: planned.named,
            last,
            fenced: planned.fences.iter().all(|step| outputs.has(step)),
        })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<Output> {
        outcome::run_as_look(self.find(cx, input).await)
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<Output> {
        if let (Some(point), true) = (&input.last, input.fenced) {
            return Found::present(Output { point: point.clone(), age_seconds: 0 });
        }
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        let all = array.recovery_points(&input.source_array, &input.array_group).await;
        let all = attempt!(all, outcome::found);
        match points::choose(&all, &input.volumes, input.named.as_deref()) {
            Ok(point) => {
                let age = cx.clock().now() - point.created;
                Found::present(Output {
                    point: point.clone(),
                    age_seconds: u64::try_from(age.num_seconds()).unwrap_or(0),
                })
            }
            Err(why) => Found::Broken(StepError::new(why)),
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<Output>) -> Undo {
        Undo::Done(None)
    }
}
