//! Clones one volume of the recovery point on the target array: a fresh name without dots that carries the operation
//! and the step, never an overwrite, no default protection. A repeat finds it by that name; once Cinder has renamed it,
//! by our tag, which it has before Cinder knows of it. Undo destroys it (recoverable; never eradicates).

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::{
    ArrayVolume, DestroyPermit, PortError, RecoveryPoint, VolumeKey, absent_as_none,
};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
};

/// Key of our tag on array volumes; its value is the operation.
pub const OPERATION_TAG: &str = "operation";

/// Key of our tag on a clone; its value is the name that the clone was made under.
pub const CLONE_TAG: &str = "clone";

/// Makes the step.
pub struct CloneVolume(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// The target's array.
    pub array: ArrayPlace,
    /// The step that chose the point.
    pub point_from: String,
    /// The source volume's name inside the point.
    pub source_volume: String,
    /// The clone's name.
    pub name: String,
}

/// With the point.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The target's array.
    pub array: ArrayPlace,
    /// The point's name on the target.
    pub point: String,
    /// The source volume's name inside the point.
    pub source_volume: String,
    /// The clone's name.
    pub name: String,
}

#[async_trait]
impl Step for CloneVolume {
    const KIND: &'static str = "clone_volume";
    type Planned = Planned;
    type Input = Input;
    type Output = ArrayVolume;

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let point: RecoveryPoint = outputs.get(&planned.point_from)?;
        Ok(Input {
            array: planned.array,
            point: point.name,
            source_volume: planned.source_volume,
            name: planned.name,
        })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<ArrayVolume> {
        let array = attempt!(input.array.array(&self.0).await, outcome::outcome);
        let clone = array.clone_from_point(&input.point, &input.source_volume, &input.name).await;
        let volume = attempt!(clone, outcome::outcome);
        match array.tag_volume(&volume.name, &tags(cx, input)).await {
            Ok(()) => Outcome::done(volume),
            // The clone is there: let the look finish the tag.
            Err(error) => Outcome::Unknown(error.to_string()),
        }
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<ArrayVolume> {
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        let named = array.volume(&VolumeKey::Name(input.name.clone())).await;
        let Some(volume) = attempt!(absent_as_none(named), outcome::found) else {
            // A taken-over journal may lag behind the manage that renamed it.
            let tagged =
                attempt!(array.volumes_tagged(CLONE_TAG, &input.name).await, outcome::found);
            return tagged.into_iter().next().map_or(Found::Absent, Found::present);
        };
        attempt!(array.tag_volume(&volume.name, &tags(cx, input)).await, outcome::found);
        Found::present(volume)
    }

    async fn undo(&self, cx: &StepCx, input: &Input, output: Option<ArrayVolume>) -> Undo {
        let array = attempt!(input.array.array(&self.0).await, outcome::undo);
        let key = output
            .map_or_else(|| VolumeKey::Name(input.name.clone()), |v| VolumeKey::Serial(v.serial));
        match array.destroy_volume(&key, &DestroyPermit::made_by(cx.evidence())).await {
            Ok(()) | Err(PortError::Absent { .. }) => Undo::Done(None),
            Err(error) => outcome::undo(error),
        }
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(3)
    }
}

fn tags(cx: &StepCx, input: &Input) -> [(String, String); 2] {
    [
        (OPERATION_TAG.to_owned(), cx.operation().to_string()),
        (CLONE_TAG.to_owned(), input.name.clone()),
    ]
}
