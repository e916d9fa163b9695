//! Manages a clone into Cinder at the target. Cinder renames the array volume to `volume-<new id>-cinder`, so a repeat
//! finds its work by the array volume's serial; while it is `managing` (not renamed yet) by our metadata, which the
//! driver's own replaces later. Undo deletes the Cinder volume, and with it the clone, unless that is to be kept.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use protector_ports::{
    ArrayVolume, Cloud, DestroyPermit, ManageVolume as ManageRequest, PortResult, Volume,
    VolumeKey, absent_as_none,
};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps, Place},
    outcome,
    watch::Listing,
};

/// Metadata key of our marker while the volume is `managing`.
pub const MARKER_KEY: &str = "protector";

/// Makes the step.
pub struct ManageVolume(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// Where.
    pub place: Place,
    /// The target's array.
    pub array: ArrayPlace,
    /// The step that made the clone.
    pub clone_from: String,
    /// `host@backend#pool`.
    pub host: String,
    /// Target type.
    pub volume_type: String,
    /// Name in Cinder.
    pub name: String,
    /// Description.
    pub description: String,
    /// Bootable.
    pub bootable: bool,
    /// Undo leaves the clone on the array, for who tries again.
    #[serde(default)]
    pub keeps_clone: bool,
}

/// With the clone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// As planned.
    #[serde(flatten)]
    pub planned: Planned,
    /// The clone.
    pub clone: ArrayVolume,
}

/// Where the volume is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Cinder id.
    pub volume_id: String,
    /// Name on the array now.
    pub array_volume: String,
    /// Id on the array.
    pub array_volume_id: Option<String>,
    /// Serial.
    pub serial: String,
}

#[async_trait]
impl Step for ManageVolume {
    const KIND: &'static str = "manage_volume";
    type Planned = Planned;
    type Input = Input;
    type Output = Output;

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let clone = outputs.get(&planned.clone_from)?;
        Ok(Input { planned, clone })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<Output> {
        let cloud = attempt!(input.planned.place.cloud(&self.0).await, outcome::outcome);
        let request = ManageRequest {
            host: input.planned.host.clone(),
            source_name: input.clone.name.clone(),
            name: input.planned.name.clone(),
            description: input.planned.description.clone(),
            volume_type: input.planned.volume_type.clone(),
            bootable: input.planned.bootable,
            metadata: BTreeMap::from([(MARKER_KEY.to_owned(), cx.marker())]),
        };
        let id = attempt!(cloud.block_storage().manage_volume(&request).await, outcome::outcome);
        self.0.hint(&cx.marker(), &id);
        Outcome::Pending("Cinder is managing the volume".into())
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<Output> {
        let cloud = attempt!(input.planned.place.cloud(&self.0).await, outcome::found);
        if let Some(id) = self.0.hinted(&cx.marker()) {
            let (place, managing) = (&input.planned.place, Listing::Volumes("managing"));
            if self.0.watch.still(cx.clock(), place, &cloud, managing, &id).await {
                return Found::Pending(format!("volume {id} is managing"));
            }
        }
        let Some(volume) = attempt!(self.look(cx, input, cloud.as_ref()).await, outcome::found)
        else {
            return Found::Absent;
        };
        match volume.status.as_str() {
            "available" => {
                self.0.forget_hint(&cx.marker());
                Found::present(self.output(input, &volume))
            }
            // The API shows `managing` as `creating` and `error_managing` as `error`.
            "managing" | "creating" => {
                Found::Pending(format!("volume {} is {}", volume.id, volume.status))
            }
            // A later step has attached it already: a resumed engine looks late.
            "in-use" | "attaching" | "reserved" => Found::present(self.output(input, &volume)),
            other => Found::Broken(StepError::new(format!(
                "Cinder could not manage {} under type {} on {}: volume {} is {other}; see the volume's messages at the \
                 target site (policy volume_extension:volume_manage, backend, volume type)",
                input.clone.name, input.planned.volume_type, input.planned.host, volume.id
            ))),
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, output: Option<Output>) -> Undo {
        let cloud = attempt!(input.planned.place.cloud(&self.0).await, outcome::undo);
        let volume = match output {
            Some(output) => absent_as_none(cloud.block_storage().volume(&output.volume_id).await),
            None => self.look(cx, input, cloud.as_ref()).await,
        };
        let Some(volume) = attempt!(volume, outcome::undo) else {
            self.0.forget_hint(&cx.marker());
            return Undo::Done(None);
        };
        match volume.status.as_str() {
            "deleting" | "managing" | "creating" | "detaching" | "unmanaging" => {
                Undo::Pending(format!("volume {} is {}", volume.id, volume.status))
            }
            "error_deleting" => Undo::Failed(StepError::new(format!(
                "volume {} could not be deleted at the target; delete it there and retry",
                volume.id
            ))),
            _ => {
                let permit = DestroyPermit::made_by(cx.evidence());
                let storage = cloud.block_storage();
                let gone = if input.planned.keeps_clone {
                    storage.unmanage_volume(&volume.id, &permit).await
                } else {
                    storage.delete_volume(&volume.id, &permit).await
                };
                match gone {
                    Ok(()) => Undo::Pending(format!("volume {} is being removed", volume.id)),
                    Err(error) => outcome::undo(error),
                }
            }
        }
    }

    fn poll(&self) -> Duration {
        Duration::from_millis(400)
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(8)
    }
}

impl ManageVolume {
    fn output(&self, input: &Input, volume: &Volume) -> Output {
        Output {
            volume_id: volume.id.clone(),
            // The driver says under which name it has it; older ones do not, then the rule holds.
            array_volume: volume
                .metadata
                .get("array_volume_name")
                .cloned()
                .unwrap_or_else(|| format!("volume-{}-cinder", volume.id)),
            array_volume_id: input.clone.id.clone(),
            serial: input.clone.serial.clone(),
        }
    }

    /// Hint first; then the array's name of our serial; then our metadata.
    async fn look(
        &self,
        cx: &StepCx,
        input: &Input,
        cloud: &dyn Cloud,
    ) -> PortResult<Option<Volume>> {
        if let Some(id) = self.0.hinted(&cx.marker()) {
            return absent_as_none(cloud.block_storage().volume(&id).await);
        }
        if let Some(volume) = self.renamed(input, cloud).await? {
            return Ok(Some(volume));
        }
        let marker = cx.marker();
        let volumes = cloud.block_storage().volumes().await?;
        match volumes.into_iter().find(|v| v.metadata.get(MARKER_KEY) == Some(&marker)) {
            Some(volume) => Ok(Some(volume)),
            // Between the two looks the driver may have replaced our metadata and renamed the clone.
            None => self.renamed(input, cloud).await,
        }
    }

    /// The volume that the array's name of our serial names.
    async fn renamed(&self, input: &Input, cloud: &dyn Cloud) -> PortResult<Option<Volume>> {
        let array = input.planned.array.array(&self.0).await?;
        let on_array =
            absent_as_none(array.volume(&VolumeKey::Serial(input.clone.serial.clone())).await)?;
        let id = on_array.as_ref().and_then(|v| {
            let name = v.name.rsplit("::").next().unwrap_or(&v.name);
            name.strip_prefix("volume-")?.strip_suffix("-cinder").map(str::to_owned)
        });
        match id {
            Some(id) => absent_as_none(cloud.block_storage().volume(&id).await),
            None => Ok(None),
        }
    }
}
