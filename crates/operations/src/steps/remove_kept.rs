//! Removes a kept copy before its time, to make room for the group itself (Cinder or array at its home): only after the
//! point that supersedes it is proven complete. A repeat sees it gone. Undo has nothing to do: an older copy is not missed.

use async_trait::async_trait;
use protector_core::kept::{self, Removal};
use protector_ports::{DestroyPermit, PortResult};
use protector_types::{DomainEffect, GroupId, KeptCopy, ProjectId};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{attempt, deps::Deps, outcome};

/// Makes the step.
pub struct RemoveKept(pub Deps);

/// Which copy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The group.
    pub group_id: GroupId,
    /// Its project at the copy's home.
    pub project: ProjectId,
    /// The copy.
    pub copy: KeptCopy,
}

#[async_trait]
impl Step for RemoveKept {
    const KIND: &'static str = "remove_kept";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        let permit = DestroyPermit::copy_proved(cx.evidence());
        let (group, fabric) = (input.group_id, self.0.fabric.as_ref());
        let removal = kept::remove(fabric, group, &input.project, &input.copy, &permit).await;
        match attempt!(removal, outcome::outcome) {
            Removal::Gone => Outcome::Done(done(input)),
            Removal::UnderWay(why) => Outcome::Pending(why),
            Removal::InUse(why) => Outcome::Failed(StepError::new(format!("{why}; it stays"))),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        match attempt!(self.look(input).await, outcome::found) {
            None => Found::Absent,
            Some(Removal::Gone) => Found::Present(done(input)),
            Some(Removal::UnderWay(why)) => Found::Pending(why),
            Some(Removal::InUse(why)) => Found::Broken(StepError::new(format!("{why}; it stays"))),
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}

impl RemoveKept {
    async fn look(&self, input: &Input) -> PortResult<Option<Removal>> {
        kept::look(self.0.fabric.as_ref(), input.group_id, &input.project, &input.copy).await
    }
}

fn done(input: &Input) -> Done<()> {
    let released = DomainEffect::Released { group_id: input.group_id, copies: vec![input.copy.id] };
    Done { output: (), effects: vec![released] }
}
