//! Gives a volume the group's synchronous type (Cinder, where the group runs): it is on both arrays from then on. Cinder may
//! copy it to a new array volume for that, under a running server. A repeat sees the type. Undo leaves it: a volume that is
//! mirrored is no worse than it was, and the way back would copy it once more.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::VolumeKey;
use protector_types::{DomainEffect, GroupId, MemberId, VolumePlacement, VolumeTypeRef};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::manage_volume::Output;
use crate::{
    attempt,
    deps::{ArrayPlace, Deps, Place},
    outcome,
};

/// Cinder's metadata key for the name on the array, written by the driver.
const ARRAY_NAME_KEY: &str = "array_volume_name";

/// Makes the step.
pub struct RetypeVolume(pub Deps);

/// Which volume.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The group.
    pub group_id: GroupId,
    /// The member.
    pub member_id: MemberId,
    /// Which of its volumes.
    pub position: u32,
    /// Where.
    pub place: Place,
    /// The array there.
    pub array: ArrayPlace,
    /// Cinder id.
    pub volume_id: String,
    /// The type that it gets.
    pub volume_type: VolumeTypeRef,
}

#[async_trait]
impl Step for RetypeVolume {
    const KIND: &'static str = "retype_volume";
    type Planned = Input;
    type Input = Input;
    type Output = Output;

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<Output> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        let storage = cloud.block_storage();
        let asked = storage.retype_volume(&input.volume_id, &input.volume_type.id).await;
        if let Err(error) = asked {
            // A volume that is retyping already is refused.
            return match self.find(cx, input).await {
                Found::Absent | Found::Unknown(_) => outcome::outcome(error),
                found => outcome::run_as_look(found),
            };
        }
        Outcome::Pending(format!("Cinder retypes volume {}", input.volume_id))
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<Output> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        let volume = match cloud.block_storage().volume(&input.volume_id).await {
            Err(error) if error.is_absent() => {
                return Found::Broken(StepError::new(format!(
                    "volume {} is gone; refresh the member",
                    input.volume_id
                )));
            }
            other => attempt!(other, outcome::found),
        };
        if volume.status == "retyping" {
            return Found::Pending(format!("volume {} is retyping", volume.id));
        }
        let its_type = volume.volume_type.as_deref().unwrap_or_default();
        if its_type != input.volume_type.name && its_type != input.volume_type.id {
            return Found::Absent;
        }
        let Some(name) = volume.metadata.get(ARRAY_NAME_KEY).cloned() else {
            return Found::Broken(StepError::new(format!(
                "volume {} does not say what the array calls it ({ARRAY_NAME_KEY} in its metadata)",
                volume.id
            )));
        };
        let array = attempt!(input.array.array(&self.0).await, outcome::found);
        let found = attempt!(array.volume(&VolumeKey::Name(name)).await, outcome::found);
        let output = Output {
            volume_id: volume.id,
            array_volume: found.name,
            array_volume_id: found.id,
            serial: found.serial,
        };
        let placement = VolumePlacement {
            volume_id: output.volume_id.clone(),
            array_volume: output.array_volume.clone(),
            array_volume_id: output.array_volume_id.clone(),
            serial: output.serial.clone(),
        };
        let effect = DomainEffect::Replaced {
            group_id: input.group_id,
            site_id: input.place.site,
            member_id: input.member_id,
            position: input.position,
            placement,
        };
        Found::Present(Done { output, effects: vec![effect] })
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<Output>) -> Undo {
        Undo::Done(None)
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(5)
    }
}
