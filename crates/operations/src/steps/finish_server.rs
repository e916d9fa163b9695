//! Makes a rebuilt server (Nova and Neutron, target) look as its tenant left it: our marker goes from its tags, its ports
//! get back the names of their originals. What a drill makes keeps both: whoever removes it finds it at any moment. From then on the journal knows them by their ids. Says what the server lost. A
//! repeat sees that nothing of it is left to do. Undo has nothing to do: server and ports themselves go.

use async_trait::async_trait;
use protector_ports::{Cloud, PortResult, Server};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo, marker};
use serde::{Deserialize, Serialize};

use super::create_port;
use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct FinishServer(pub Deps);

/// A port and the name that it is to have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedPort {
    /// The step that made it (planned), or its Neutron id (resolved).
    pub port: String,
    /// The original's name.
    pub name: String,
}

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// Where.
    pub place: Place,
    /// The step that made the server: its marker is the tag that goes.
    pub server_from: String,
    /// Ports by their steps.
    pub ports: Vec<NamedPort>,
    /// In whose name the server was to be made.
    pub owner: Option<String>,
    /// With which keypair.
    pub key_name: Option<String>,
    /// Marker and ports' names stay: it is a drill's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_marker: bool,
}

/// With ids.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// As planned, ports by their ids.
    #[serde(flatten)]
    pub planned: Planned,
    /// Nova id.
    pub server_id: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// What was asked for and is not so.
    pub not_preserved: Vec<String>,
}

#[async_trait]
impl Step for FinishServer {
    const KIND: &'static str = "finish_server";
    type Planned = Planned;
    type Input = Input;
    type Output = Output;

    fn resolve(&self, mut planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        for port in &mut planned.ports {
            port.port = outputs.get::<create_port::Output>(&port.port)?.port_id;
        }
        Ok(Input { server_id: outputs.get(&planned.server_from)?, planned })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<Output> {
        let cloud = attempt!(input.planned.place.cloud(&self.0).await, outcome::outcome);
        let tag = marker(cx.operation(), &input.planned.server_from);
        let renames = input.planned.ports.iter().map(|port| {
            let neutron = cloud.networking();
            async move { neutron.rename_port(&port.port, &port.name).await }
        });
        if !input.planned.keeps_marker {
            let (untagged, renamed) = futures::join!(
                cloud.compute().remove_tag(&input.server_id, &tag),
                futures::future::try_join_all(renames)
            );
            attempt!(untagged, outcome::outcome);
            attempt!(renamed, outcome::outcome);
        }
        let server = attempt!(cloud.compute().server(&input.server_id).await, outcome::outcome);
        Outcome::done(output(&input.planned, &server))
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<Output> {
        let cloud = attempt!(input.planned.place.cloud(&self.0).await, outcome::found);
        let server = attempt!(cloud.compute().server(&input.server_id).await, outcome::found);
        if input.planned.keeps_marker {
            return Found::present(output(&input.planned, &server));
        }
        let tag = marker(cx.operation(), &input.planned.server_from);
        let named = attempt!(are_named(cloud.as_ref(), &input.planned.ports).await, outcome::found);
        if named && !server.tags.contains(&tag) {
            Found::present(output(&input.planned, &server))
        } else {
            Found::Absent
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<Output>) -> Undo {
        Undo::Done(None)
    }
}

async fn are_named(cloud: &dyn Cloud, ports: &[NamedPort]) -> PortResult<bool> {
    for port in ports {
        if cloud.networking().port(&port.port).await?.name != port.name {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the plan promised and the server has not. What the plan knew beforehand stands in its facts.
fn output(planned: &Planned, server: &Server) -> Output {
    let mut not_preserved = Vec::new();
    if let Some(owner) = &planned.owner
        && server.user_id != *owner
    {
        not_preserved.push(format!(
            "owner (is {}: the trust of user {owner} ended before the server was made)",
            server.user_id
        ));
    }
    if planned.key_name != server.key_name {
        not_preserved.push(format!(
            "keypair {} (is {})",
            planned.key_name.as_deref().unwrap_or("none"),
            server.key_name.as_deref().unwrap_or("none")
        ));
    }
    Output { not_preserved }
}
