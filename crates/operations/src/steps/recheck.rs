//! Reads again, before the first effect, what the plan was built on: both arrays answer, the source's group still
//! holds every volume and is allowed at the target. Changes nothing; undo has nothing to do.

use async_trait::async_trait;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
};

/// Makes the step.
pub struct Recheck(pub Deps);

/// What must still hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The array that is left.
    pub source: ArrayPlace,
    /// The array that is moved to.
    pub target: ArrayPlace,
    /// Name of the array's protection group.
    pub array_group: String,
    /// Array volumes that must be in it.
    pub volumes: Vec<String>,
}

#[async_trait]
impl Step for Recheck {
    const KIND: &'static str = "recheck";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        outcome::run_as_look(self.look(input).await)
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        self.look(input).await
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}

impl Recheck {
    async fn look(&self, input: &Input) -> Found<()> {
        let source = attempt!(input.source.array(&self.0).await, outcome::found);
        let target = attempt!(input.target.array(&self.0).await, outcome::found);
        let (group, target_info) =
            futures::join!(source.group(&input.array_group), target.identify());
        let group = match group {
            Ok(group) => group,
            Err(error) if error.is_absent() => {
                return Found::Broken(StepError::new(format!(
                    "the array's protection group {} is gone; set the policy again",
                    input.array_group
                )));
            }
            Err(error) => return outcome::found(error),
        };
        attempt!(target_info, outcome::found);
        let missing: Vec<_> =
            input.volumes.iter().filter(|v| !group.volumes.contains(*v)).cloned().collect();
        if !missing.is_empty() {
            return Found::Broken(StepError::new(format!(
                "volumes {} are no longer in the array's protection group {}; refresh the members",
                missing.join(", "),
                input.array_group
            )));
        }
        Found::present(())
    }
}
