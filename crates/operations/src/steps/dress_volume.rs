//! Gives a managed volume the tenant's metadata and image metadata (UEFI, machine type, bus), before any server is made
//! from it: manage has none. A repeat compares. Undo leaves it: the volume itself goes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::manage_volume;
use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct DressVolume(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// Where.
    pub place: Place,
    /// The step that managed it.
    pub managed_by: String,
    /// The tenant's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Image metadata.
    pub image_metadata: BTreeMap<String, String>,
}

/// With the volume.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// As planned.
    #[serde(flatten)]
    pub planned: Planned,
    /// Cinder id.
    pub volume_id: String,
}

#[async_trait]
impl Step for DressVolume {
    const KIND: &'static str = "dress_volume";
    type Planned = Planned;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let managed: manage_volume::Output = outputs.get(&planned.managed_by)?;
        Ok(Input { planned, volume_id: managed.volume_id })
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        let cloud = attempt!(input.planned.place.cloud(&self.0).await, outcome::outcome);
        let storage = cloud.block_storage();
        if !input.planned.metadata.is_empty() {
            attempt!(
                storage.set_metadata(&input.volume_id, &input.planned.metadata).await,
                outcome::outcome
            );
        }
        if !input.planned.image_metadata.is_empty() {
            attempt!(
                storage.set_image_metadata(&input.volume_id, &input.planned.image_metadata).await,
                outcome::outcome
            );
        }
        Outcome::done(())
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let cloud = attempt!(input.planned.place.cloud(&self.0).await, outcome::found);
        let volume = attempt!(cloud.block_storage().volume(&input.volume_id).await, outcome::found);
        let holds = |have: &BTreeMap<String, String>, want: &BTreeMap<String, String>| {
            want.iter().all(|(key, value)| have.get(key) == Some(value))
        };
        if holds(&volume.metadata, &input.planned.metadata)
            && holds(&volume.image_metadata, &input.planned.image_metadata)
        {
            Found::present(())
        } else {
            Found::Absent
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}
