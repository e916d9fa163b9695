//! Starts a server whose fence was taken back (Nova). A repeat sees ACTIVE. Undo stops it; what it wrote since is kept in
//! snapshots of its volumes (array), named by the operation, because a server that ran may have acknowledged writes.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use protector_ports::{Cloud, PortError, PortResult};
use protector_types::{DomainEffect, KeptCopy, KeptThing, MemberId};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use crate::{
    attempt,
    deps::{ArrayPlace, Deps, Place},
    outcome,
};

/// Makes the step.
pub struct StartServer(pub Deps);

/// Which server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// Nova id.
    pub server_id: String,
    /// It stays locked, as it was before the fence: started as an administrator.
    pub locked: bool,
    /// Its array.
    pub array: ArrayPlace,
    /// Its array volumes: their late writes are kept if it is stopped again.
    pub volumes: Vec<String>,
    /// Suffix of these snapshots.
    pub late_suffix: String,
    /// Whose they are.
    pub member_id: MemberId,
    /// Seconds for which they are kept.
    pub keep_sec: i64,
}

#[async_trait]
impl Step for StartServer {
    const KIND: &'static str = "start_server";
    type Planned = Input;
    type Input = Input;
    /// Nova id.
    type Output = String;

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<String> {
        let cloud = attempt!(self.cloud(input).await, outcome::outcome);
        match cloud.compute().start_server(&input.server_id).await {
            Ok(()) => Outcome::Pending("the server is being started".into()),
            Err(error) => outcome::outcome(error),
        }
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<String> {
        let cloud = attempt!(self.cloud(input).await, outcome::found);
        let server = match cloud.compute().server(&input.server_id).await {
            Ok(server) => server,
            Err(error) if error.is_absent() => {
                return Found::Broken(StepError::new(format!(
                    "server {} no longer exists",
                    input.server_id
                )));
            }
            Err(error) => return outcome::found(error),
        };
        match server.status.as_str() {
            _ if server.task_state.is_some() => {
                Found::Pending(format!("server {} is being started", server.name))
            }
            "ACTIVE" => Found::present(server.id),
            "SHUTOFF" => Found::Absent,
            other => Found::Broken(StepError::new(format!(
                "server {} is {other}: {}",
                server.name,
                server.fault.unwrap_or_else(|| "Nova gives no reason".into())
            ))),
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, _output: Option<String>) -> Undo {
        let cloud = attempt!(self.cloud(input).await, outcome::undo);
        let server = match cloud.compute().server(&input.server_id).await {
            Ok(server) => server,
            Err(PortError::Absent { .. }) => return Undo::Done(None),
            Err(error) => return outcome::undo(error),
        };
        if let Some(task) = server.task_state {
            return Undo::Pending(format!("server {} is {task}", server.name));
        }
        match server.status.as_str() {
            "SHUTOFF" => {
                attempt!(self.keep_late_writes(input).await, outcome::undo);
                Undo::Kept {
                    note: format!(
                        "what {} wrote while it ran is kept in the snapshots {} of its volumes",
                        server.name, input.late_suffix
                    ),
                    effects: vec![booked(cx, input)],
                }
            }
            "ACTIVE" => match cloud.compute().stop_server(&input.server_id).await {
                Ok(()) => Undo::Pending(format!("server {} is being stopped", server.name)),
                Err(error) => outcome::undo(error),
            },
            other => Undo::Failed(StepError::new(format!(
                "server {} is {other} and cannot be stopped; bring it to ACTIVE or SHUTOFF",
                server.name
            ))),
        }
    }
}

fn booked(cx: &StepCx, input: &Input) -> DomainEffect {
    let now = cx.clock().now();
    let span = TimeDelta::try_seconds(input.keep_sec).unwrap_or_default();
    let copy = |volume: &String| KeptCopy {
        id: KeptCopy::new_id(),
        site_id: input.place.site,
        thing: KeptThing::ArraySnapshot { name: format!("{volume}.{}", input.late_suffix) },
        member_id: input.member_id,
        why:
            "written by a server that was started and, when the operation was undone, stopped again"
                .into(),
        operation_id: cx.operation(),
        kept_at: now,
        expires_at: now.checked_add_signed(span).unwrap_or(DateTime::<Utc>::MAX_UTC),
    };
    let copies = input.volumes.iter().map(copy).collect();
    DomainEffect::Kept { group_id: input.array.group, copies }
}

impl StartServer {
    async fn cloud(&self, input: &Input) -> PortResult<std::sync::Arc<dyn Cloud>> {
        if input.locked {
            self.0.fabric.service_cloud(input.place.site).await
        } else {
            input.place.cloud(&self.0).await
        }
    }

    async fn keep_late_writes(&self, input: &Input) -> PortResult<()> {
        let array = input.array.array(&self.0).await?;
        for volume in &input.volumes {
            if !array.has_volume_snapshot(&format!("{volume}.{}", input.late_suffix)).await? {
                array.snapshot_volume(volume, &input.late_suffix).await?;
            }
        }
        Ok(())
    }
}
