//! Deletes a port that a retired server has left behind (Neutron). A repeat sees it gone. A port that somebody else uses by
//! then stays. Past the point of no return: nothing is undone.

use async_trait::async_trait;
use protector_ports::DestroyPermit;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct DeletePort(pub Deps);

/// Which port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Neutron id.
    pub port_id: String,
}

#[async_trait]
impl Step for DeletePort {
    const KIND: &'static str = "delete_port";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        match cloud.networking().port(&input.port_id).await {
            Ok(port) if !port.device_id.is_empty() => return Outcome::done(()),
            Ok(_) => {}
            Err(error) if error.is_absent() => return Outcome::done(()),
            Err(error) => return outcome::outcome(error),
        }
        let permit = DestroyPermit::copy_proved(cx.evidence());
        match cloud.networking().delete_port(&input.port_id, &permit).await {
            Ok(()) => Outcome::done(()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        match cloud.networking().port(&input.port_id).await {
            Ok(_) => Found::Absent,
            Err(error) if error.is_absent() => Found::present(()),
            Err(error) => outcome::found(error),
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}
