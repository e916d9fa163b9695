//! Imports a public key at the target for whoever will own the server (Nova: keypairs belong to users): a tenant's user,
//! or our own. A failure for good is a warning: the server comes up without the key, and its record says so; what may pass is
//! tried again until the deadline. A repeat finds the name. Undo leaves it: it is public, shared by later operations and harmless.

use async_trait::async_trait;
use protector_ports::{Keypair, PortError};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct ImportKeypair(pub Deps);

/// Which key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Whose keypair it is to be; `None`: our service user's.
    #[serde(default)]
    pub owner: Option<String>,
    /// Name.
    pub name: String,
    /// OpenSSH public key.
    pub public_key: String,
}

#[async_trait]
impl Step for ImportKeypair {
    const KIND: &'static str = "import_keypair";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        let cloud =
            attempt!(input.place.cloud_as(&self.0, input.owner.as_deref()).await, outcome::outcome);
        let keypair = Keypair { name: input.name.clone(), public_key: input.public_key.clone() };
        match cloud.compute().import_keypair(&keypair).await {
            Ok(()) => Outcome::done(()),
            // Somebody (another operation of ours) was faster.
            Err(PortError::Conflict { .. }) => outcome::run_as_look(self.find(cx, input).await),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let cloud =
            attempt!(input.place.cloud_as(&self.0, input.owner.as_deref()).await, outcome::found);
        let keypairs = attempt!(cloud.compute().keypairs().await, outcome::found);
        if keypairs.iter().any(|k| k.name == input.name) {
            Found::present(())
        } else {
            Found::Absent
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}
