//! Makes the server at the target (Nova) from its managed volumes and its ports, in the name of its owner if he lets us
//! (a trust that has ended meanwhile leaves our own user, never a failure), and waits until it is ACTIVE. A tag is
//! the marker; ports and volumes exist already and can be used only once, so a late second create cannot come up beside
//! the first. Undo deletes the server and waits until it is gone; its volumes and ports are other steps' to undo. What a
//! server that was ACTIVE may have written is kept before ([`super::late_writes`]).

use std::time::Duration;

use async_trait::async_trait;
use protector_ports::{
    Cloud, DestroyPermit, Keypair, NewServer, NewServerVolume, PortError, PortResult, Server,
    ServerFilter, absent_as_none,
};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::{
    create_port,
    late_writes::{Keeps, Late},
    manage_volume,
};
use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
    rebuild::{other_key_name, same_key},
    watch::Listing,
};

/// Makes the step.
pub struct CreateServer(pub Deps);

/// A volume by the step that managed it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedVolume {
    /// Step id.
    pub managed_by: String,
    /// 0 boots.
    pub boot_index: i32,
    /// `/dev/vdb`.
    pub device: Option<String>,
    /// As at the source.
    pub delete_on_termination: bool,
}

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// Where.
    pub place: Place,
    /// In whose name; `None`: our service user's.
    #[serde(default)]
    pub owner: Option<String>,
    /// Of the keypair, should it be needed for another user than the one meant.
    #[serde(default)]
    pub public_key: Option<String>,
    /// Step that imports the keypair, if it has to be: where that failed the server comes up without it.
    #[serde(default)]
    pub key_from: Option<String>,
    /// All but ports, volumes and server group.
    pub server: NewServer,
    /// Steps that make the ports, in interface order.
    pub ports_from: Vec<String>,
    /// Volumes in device order.
    pub volumes: Vec<PlannedVolume>,
    /// Step that makes the server group, if one must be made.
    pub server_group_from: Option<String>,
    /// What it wrote is kept when it is undone.
    #[serde(default)]
    pub keeps: Option<Keeps>,
}

/// Complete.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// In whose name; `None`: our service user's.
    #[serde(default)]
    pub owner: Option<String>,
    /// Of the keypair.
    #[serde(default)]
    pub public_key: Option<String>,
    /// The server.
    pub server: NewServer,
    /// What is kept of it when it is undone.
    #[serde(default)]
    pub late: Option<Late>,
}

#[async_trait]
impl Step for CreateServer {
    const KIND: &'static str = "create_server";
    type Planned = Planned;
    type Input = Input;
    /// Nova id.
    type Output = String;

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let mut server = planned.server;
        for step in &planned.ports_from {
            server.port_ids.push(outputs.get::<create_port::Output>(step)?.port_id);
        }
        if planned.key_from.as_ref().is_some_and(|step| !outputs.has(step)) {
            server.key_name = None;
        }
        let mut managed_volumes = Vec::new();
        for volume in planned.volumes {
            let managed: manage_volume::Output = outputs.get(&volume.managed_by)?;
            managed_volumes.push(managed.clone());
            server.volumes.push(NewServerVolume {
                volume_id: managed.volume_id,
                boot_index: volume.boot_index,
                device: volume.device,
                delete_on_termination: volume.delete_on_termination,
            });
        }
        // Where the group could not be made the plan says whether that is a warning: the server comes up without it.
        if let Some(step) = planned.server_group_from.filter(|step| outputs.has(step)) {
            server.server_group_id = Some(outputs.get(&step)?);
        }
        let Planned { place, owner, public_key, keeps, .. } = planned;
        let late = keeps.map(|keeps| Late { keeps, volumes: managed_volumes });
        Ok(Input { place, owner, public_key, server, late })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<String> {
        let owner = input.owner.as_deref();
        let cloud = attempt!(input.place.cloud_as(&self.0, owner).await, outcome::outcome);
        let meant = attempt!(cloud.actor().await, outcome::outcome).user_id;
        let mut made = create(input, cx.marker(), cloud.as_ref()).await;
        // The trust ended under this very call: the key was chosen for somebody else than who made it.
        if matches!(made, Err(PortError::Invalid { .. }))
            && attempt!(cloud.actor().await, outcome::outcome).user_id != meant
        {
            made = create(input, cx.marker(), cloud.as_ref()).await;
        }
        let id = attempt!(made, outcome::outcome);
        self.0.hint(&cx.marker(), &id);
        Outcome::Pending("the server is being built".into())
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<String> {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        if let Some(id) = self.0.hinted(&cx.marker()) {
            let building = Listing::Servers("BUILD");
            if self.0.watch.still(cx.clock(), &input.place, &cloud, building, &id).await {
                return Found::Pending(format!("server {} is being built", input.server.name));
            }
        }
        let Some(server) =
            attempt!(self.look(cx, cloud.as_ref(), &input.server).await, outcome::found)
        else {
            return Found::Absent;
        };
        match server.status.as_str() {
            // SHUTOFF: a later step, or the tenant, has stopped it already.
            "ACTIVE" | "SHUTOFF" => {
                self.0.forget_hint(&cx.marker());
                Found::present(server.id)
            }
            "BUILD" => Found::Pending(format!("server {} is being built", server.name)),
            other => Found::Broken(StepError::new(format!(
                "server {} is {other} at the target: {}",
                server.name,
                server.fault.unwrap_or_else(|| "Nova gives no reason".into())
            ))),
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, output: Option<String>) -> Undo {
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::undo);
        let ran = output.is_some();
        let server = match output {
            Some(id) => absent_as_none(cloud.compute().server(&id).await),
            None => self.look(cx, cloud.as_ref(), &input.server).await,
        };
        let Some(server) = attempt!(server, outcome::undo) else {
            self.0.forget_hint(&cx.marker());
            return match &input.late {
                Some(late) => late.undone(&self.0, cx.operation(), cx.clock().now()).await,
                None => Undo::Done(None),
            };
        };
        if server.task_state.as_deref() == Some("deleting") {
            return Undo::Pending(format!("server {} is being deleted", server.name));
        }
        // A server that ever was ACTIVE may hold acknowledged writes.
        if let Some(late) = &input.late
            && (ran || !matches!(server.status.as_str(), "BUILD" | "ERROR"))
        {
            if let Some(answer) = self.still(cloud.as_ref(), &server).await {
                return answer;
            }
            let permit = DestroyPermit::made_by(cx.evidence());
            attempt!(late.keep(&self.0, cx.operation(), &permit).await, outcome::undo);
        }
        match cloud
            .compute()
            .delete_server(&server.id, &DestroyPermit::made_by(cx.evidence()))
            .await
        {
            Ok(()) => Undo::Pending(format!("server {} is being deleted", server.name)),
            Err(error) => outcome::undo(error),
        }
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(8)
    }
}

impl CreateServer {
    /// Brings the server to where it writes no more. `None`: it is there.
    async fn still(&self, cloud: &dyn Cloud, server: &Server) -> Option<Undo> {
        if let Some(task) = &server.task_state {
            return Some(Undo::Pending(format!("server {} is {task}", server.name)));
        }
        if server.status != "ACTIVE" {
            return None;
        }
        Some(match cloud.compute().stop_server(&server.id).await {
            Ok(()) => Undo::Pending(format!("server {} is being stopped", server.name)),
            Err(error) => outcome::undo(error),
        })
    }

    async fn look(
        &self,
        cx: &StepCx,
        cloud: &dyn Cloud,
        wanted: &NewServer,
    ) -> PortResult<Option<Server>> {
        if let Some(id) = self.0.hinted(&cx.marker()) {
            return absent_as_none(cloud.compute().server(&id).await);
        }
        let filter = ServerFilter { tag: Some(cx.marker()), ..ServerFilter::default() };
        let found = cloud.compute().servers(&filter).await?;
        // Never two (volumes and ports are exclusive), but one may have failed for that very reason.
        let better = |s: &Server| u8::from(s.status == "ERROR");
        match found.into_iter().min_by_key(better) {
            Some(server) => Ok(Some(server)),
            None => at_its_port(cloud, wanted).await,
        }
    }
}

async fn create(input: &Input, marker: String, cloud: &dyn Cloud) -> PortResult<String> {
    let mut server = input.server.clone();
    server.key_name = usable_key(input, cloud).await?;
    server.tags.push(marker);
    cloud.compute().create_server(&server).await
}

/// The server that has our port. A later step takes the marker from a server that is finished; who took the operation
/// over may not know of that step, since the streamed journal lags.
async fn at_its_port(cloud: &dyn Cloud, wanted: &NewServer) -> PortResult<Option<Server>> {
    let Some(id) = wanted.port_ids.first() else { return Ok(None) };
    let port = absent_as_none(cloud.networking().port(id).await)?;
    let Some(port) = port.filter(|port| !port.device_id.is_empty()) else { return Ok(None) };
    let server = absent_as_none(cloud.compute().server(&port.device_id).await)?;
    Ok(server.filter(|server| server.name == wanted.name))
}

/// The name of the keypair for whoever makes the server now. If that is not whom the plan meant (the trust has ended
/// since), the planned one belongs to somebody else: the same key is brought to our own user, under a name that is free.
async fn usable_key(input: &Input, cloud: &dyn Cloud) -> PortResult<Option<String>> {
    let (Some(name), Some(owner)) = (&input.server.key_name, &input.owner) else {
        return Ok(input.server.key_name.clone());
    };
    if cloud.actor().await?.user_id == *owner {
        return Ok(Some(name.clone()));
    }
    let Some(public_key) = &input.public_key else { return Ok(None) };
    let known = cloud.compute().keypairs().await?;
    for name in [name.clone(), other_key_name(name, public_key)] {
        match known.iter().find(|k| k.name == name) {
            Some(there) if same_key(&there.public_key, public_key) => return Ok(Some(name)),
            Some(_) => {}
            None => {
                let keypair = Keypair { name: name.clone(), public_key: public_key.clone() };
                match cloud.compute().import_keypair(&keypair).await {
                    // Another step of ours was faster.
                    Ok(()) | Err(PortError::Conflict { .. }) => return Ok(Some(name)),
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(None)
}
