//! Deletes a fenced server whose member runs elsewhere now (Nova, service role: it is locked). Its volumes outlive it,
//! whatever it said at its creation. A repeat sees it gone. Past the point of no return: nothing is undone.

use async_trait::async_trait;
use protector_ports::DestroyPermit;
use protector_types::{DomainEffect, GroupId, MemberId};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct RetireServer(pub Deps);

/// Which server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The group.
    pub group_id: GroupId,
    /// The member.
    pub member_id: MemberId,
    /// Where.
    pub place: Place,
    /// Nova id.
    pub server_id: String,
    /// The member has nothing there any more; false: it was rebuilt there beside this one.
    pub displaces: bool,
}

#[async_trait]
impl Step for RetireServer {
    const KIND: &'static str = "retire_server";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        let cloud = attempt!(self.0.fabric.service_cloud(input.place.site).await, outcome::outcome);
        let nova = cloud.compute();
        let server = match nova.server(&input.server_id).await {
            Ok(server) => server,
            Err(error) if error.is_absent() => return Outcome::Done(done(input)),
            Err(error) => return outcome::outcome(error),
        };
        if server.status == "ACTIVE" {
            return Outcome::Failed(StepError::new(format!(
                "server {} runs although it is fenced; it is not deleted. Look at what it wrote, then delete it by hand",
                server.name
            )));
        }
        for volume in server.volumes.iter().filter(|v| v.delete_on_termination) {
            let kept = nova.keep_volume(&input.server_id, &volume.volume_id).await;
            attempt!(kept, outcome::outcome);
        }
        let permit = DestroyPermit::copy_proved(cx.evidence());
        match nova.delete_server(&input.server_id, &permit).await {
            Ok(()) => Outcome::Pending(format!("server {} is being deleted", server.name)),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let cloud = attempt!(self.0.fabric.service_cloud(input.place.site).await, outcome::found);
        match cloud.compute().server(&input.server_id).await {
            Ok(server) if server.task_state.as_deref() == Some("deleting") => {
                Found::Pending(format!("server {} is being deleted", server.name))
            }
            Ok(_) => Found::Absent,
            Err(error) if error.is_absent() => Found::Present(done(input)),
            Err(error) => outcome::found(error),
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}

fn done(input: &Input) -> Done<()> {
    let (group_id, site_id, members) = (input.group_id, input.place.site, vec![input.member_id]);
    let effects = if input.displaces {
        vec![
            DomainEffect::Displaced { group_id, site_id, members: members.clone() },
            DomainEffect::Unfenced { group_id, site_id, members },
        ]
    } else {
        Vec::new()
    };
    Done { output: (), effects }
}
