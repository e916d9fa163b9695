//! Replaces the content of an original volume by the recovery point (array): the volume keeps its name, serial and place in
//! Cinder. Only with a safety snapshot of what it held, only from a complete point, only while nothing is connected to
//! it. Whether it was done cannot be seen on the volume, so a repeat does it again: harmless before anyone writes. Undo
//! puts the content of the safety snapshot back.

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::{DestroyPermit, RecoveryPoint, ReplicationArray};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
};

/// Makes the step.
pub struct RestoreContent(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// The array of the original.
    pub array: ArrayPlace,
    /// The original's array volume.
    pub volume: String,
    /// The step that gives the point.
    pub point_from: String,
    /// The source volume's name inside the point.
    pub source_volume: String,
    /// The step that took the safety snapshot.
    pub safety_from: String,
}

/// With point and safety snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The array of the original.
    pub array: ArrayPlace,
    /// The original's array volume.
    pub volume: String,
    /// Full name of the snapshot in the point: how earlier releases wrote it down.
    #[serde(default)]
    pub content: String,
    /// The point.
    #[serde(default)]
    pub point: String,
    /// The volume inside it.
    #[serde(default)]
    pub source_volume: String,
    /// Full name of the safety snapshot.
    pub safety: String,
}

#[async_trait]
impl Step for RestoreContent {
    const KIND: &'static str = "restore_content";
    type Planned = Planned;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let point: RecoveryPoint = outputs.get(&planned.point_from)?;
        if !point.is_usable_for([&planned.source_volume]) {
            return Err(StepError::new(format!(
                "the recovery point {} is not complete for {}; nothing is overwritten",
                point.name, planned.source_volume
            )));
        }
        Ok(Input {
            array: planned.array,
            volume: planned.volume,
            content: String::new(),
            point: point.name,
            source_volume: planned.source_volume,
            safety: outputs.get(&planned.safety_from)?,
        })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        let array = attempt!(input.array.array(&self.0).await, outcome::outcome);
        if let Err(why) = attempt!(may_replace(array.as_ref(), input).await, outcome::outcome) {
            return Outcome::Failed(StepError::new(format!("{why}; nothing is overwritten")));
        }
        let permit = DestroyPermit::copy_proved(cx.evidence());
        let (volume, point) = (&input.volume, &input.point);
        let replaced = match point.is_empty() {
            true => array.overwrite_volume(volume, &input.content, &permit).await,
            false => array.overwrite_from_point(volume, point, &input.source_volume, &permit).await,
        };
        match replaced {
            Ok(()) => Outcome::done(()),
            Err(error) => outcome::outcome(error),
        }
    }

    /// The content says nothing of where it is from.
    async fn find(&self, _cx: &StepCx, _input: &Input) -> Found<()> {
        Found::Absent
    }

    async fn undo(&self, cx: &StepCx, input: &Input, _output: Option<()>) -> Undo {
        let array = attempt!(input.array.array(&self.0).await, outcome::undo);
        if let Err(why) = attempt!(may_replace(array.as_ref(), input).await, outcome::undo) {
            return Undo::Failed(StepError::new(format!(
                "{why}; the former content is in the snapshot {}",
                input.safety
            )));
        }
        let permit = DestroyPermit::made_by(cx.evidence());
        match array.overwrite_volume(&input.volume, &input.safety, &permit).await {
            Ok(()) => Undo::Done(None),
            // Absent is no success here: without the volume or the snapshot nothing was put back.
            Err(error) if error.is_absent() => {
                Undo::Failed(StepError::new(format!("the former content is not put back: {error}")))
            }
            Err(error) => outcome::undo(error),
        }
    }

    /// An answer that was lost must not land after the server runs again.
    fn settle(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// The safety snapshot is there and nothing is connected; or why not.
async fn may_replace(
    array: &dyn ReplicationArray,
    input: &Input,
) -> protector_ports::PortResult<Result<(), String>> {
    let (secured, connections) = futures::try_join!(
        array.has_volume_snapshot(&input.safety),
        array.connections(&input.volume)
    )?;
    if !secured {
        return Ok(Err(format!("the safety snapshot {} is gone", input.safety)));
    }
    if !connections.is_empty() {
        return Ok(Err(format!("array volume {} is connected to a host", input.volume)));
    }
    Ok(Ok(()))
}
