//! Removes what an earlier operation (a drill) made at a site, kind by kind: found by the marker that everything of it
//! carries, and by the ids that its record names. Repeats until nothing is listed any more. There is no way back.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use protector_ports::{DestroyPermit, PortResult, Volume, VolumeKey};
use protector_types::OperationId;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::{clone_volume::OPERATION_TAG, manage_volume::MARKER_KEY};
use crate::{
    attempt,
    deps::{ArrayPlace, Deps, Place},
    outcome,
};

/// How far the services' lists may be behind.
const BEHIND: Duration = Duration::from_secs(4);

/// Makes the step that removes.
pub struct Sweep(pub Deps);

/// Makes the step that lists what is left.
pub struct ListLeftovers(pub Deps);

/// Makes the step that fails if something is left.
pub struct ExpectNone;

/// Kinds of things, in the order in which they can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Nova.
    Servers,
    /// Neutron, once no server uses them.
    Ports,
    /// Cinder and the array, once no server uses them.
    Volumes,
    /// Neutron, once no port is in them.
    Networks,
    /// Nova, once no server is in them. Only by id: their names are the source's.
    ServerGroups,
    /// Neutron, once no port is in them.
    SecurityGroups,
}

/// What of whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The operation whose things they are.
    pub operation: OperationId,
    /// Where.
    pub place: Place,
    /// The array there.
    pub array: ArrayPlace,
    /// Which kinds.
    pub what: BTreeSet<What>,
    /// Ids that its record names.
    pub known: BTreeSet<String>,
}

/// One thing that is there.
struct Left {
    kind: &'static str,
    id: String,
    name: String,
    how: How,
}

#[derive(PartialEq)]
enum How {
    Server,
    Port,
    Network,
    ServerGroup,
    SecurityGroup,
    Volume,
    ArrayVolume,
    /// Somebody is at it already.
    Wait,
}

impl Left {
    fn new(kind: &'static str, id: &str, name: &str, how: How) -> Self {
        Self { kind, id: id.to_owned(), name: name.to_owned(), how }
    }

    fn words(&self) -> String {
        format!("{} {} ({})", self.kind, self.name, self.id)
    }
}

impl Input {
    fn prefix(&self) -> String {
        format!("ptr-{}-", self.operation.short())
    }

    async fn list(&self, deps: &Deps) -> PortResult<Vec<Left>> {
        let mut left = Vec::new();
        for what in &self.what {
            left.extend(match what {
                What::Servers => self.servers(deps).await?,
                What::Ports => self.ports(deps).await?,
                What::Volumes => self.volumes(deps).await?,
                What::Networks => self.networks(deps).await?,
                What::ServerGroups => self.server_groups(deps).await?,
                What::SecurityGroups => self.security_groups(deps).await?,
            });
        }
        Ok(left)
    }

    async fn servers(&self, deps: &Deps) -> PortResult<Vec<Left>> {
        let (cloud, prefix) = (self.place.cloud(deps).await?, self.prefix());
        let servers = cloud.compute().servers(&Default::default()).await?;
        let mine = servers.into_iter().filter(|s| {
            self.known.contains(&s.id) || s.tags.iter().any(|tag| tag.starts_with(&prefix))
        });
        let how = |task: Option<&str>| match task {
            Some("deleting") => How::Wait,
            _ => How::Server,
        };
        Ok(mine
            .map(|s| Left::new("server", &s.id, &s.name, how(s.task_state.as_deref())))
            .collect())
    }

    async fn ports(&self, deps: &Deps) -> PortResult<Vec<Left>> {
        let (cloud, prefix) = (self.place.cloud(deps).await?, self.prefix());
        let ports = cloud.networking().ports(&Default::default()).await?;
        let mine =
            ports.iter().filter(|p| self.known.contains(&p.id) || p.name.starts_with(&prefix));
        Ok(mine.map(|p| Left::new("port", &p.id, &p.name, How::Port)).collect())
    }

    async fn networks(&self, deps: &Deps) -> PortResult<Vec<Left>> {
        let (cloud, prefix) = (self.place.cloud(deps).await?, self.prefix());
        let networks = cloud.networking().networks().await?;
        let mine =
            networks.iter().filter(|n| self.known.contains(&n.id) || n.name.starts_with(&prefix));
        Ok(mine.map(|n| Left::new("network", &n.id, &n.name, How::Network)).collect())
    }

    async fn server_groups(&self, deps: &Deps) -> PortResult<Vec<Left>> {
        let groups = self.place.cloud(deps).await?.compute().server_groups().await?;
        // One that others use meanwhile is theirs.
        let mine = groups.iter().filter(|g| self.known.contains(&g.id) && g.members.is_empty());
        Ok(mine.map(|g| Left::new("server group", &g.id, &g.name, How::ServerGroup)).collect())
    }

    async fn security_groups(&self, deps: &Deps) -> PortResult<Vec<Left>> {
        let (cloud, prefix) = (self.place.cloud(deps).await?, self.prefix());
        let groups = cloud.networking().security_groups().await?;
        let mine = groups
            .iter()
            .filter(|g| self.known.contains(&g.id) || g.description.starts_with(&prefix));
        Ok(mine.map(|g| Left::new("security group", &g.id, &g.name, How::SecurityGroup)).collect())
    }

    /// Cinder's volumes, and what is on the array without Cinder knowing it.
    async fn volumes(&self, deps: &Deps) -> PortResult<Vec<Left>> {
        let (cloud, prefix) = (self.place.cloud(deps).await?, self.prefix());
        let array = self.array.array(deps).await?;
        let operation = self.operation.to_string();
        let (volumes, tagged) = futures::join!(
            cloud.block_storage().volumes(),
            array.volumes_tagged(OPERATION_TAG, &operation)
        );
        let (volumes, tagged) = (volumes?, tagged?);
        let of_cinder = |name: &str| {
            let name = name.rsplit("::").next().unwrap_or(name);
            name.strip_prefix("volume-")?.strip_suffix("-cinder").map(str::to_owned)
        };
        let renamed: BTreeSet<String> = tagged.iter().filter_map(|v| of_cinder(&v.name)).collect();
        let mine = |v: &&Volume| {
            self.known.contains(&v.id)
                || renamed.contains(&v.id)
                || v.metadata.get(MARKER_KEY).is_some_and(|marker| marker.starts_with(&prefix))
        };
        let busy = ["deleting", "managing", "creating", "detaching"];
        let mut left: Vec<Left> = volumes
            .iter()
            .filter(mine)
            .map(|v| {
                let how = if busy.contains(&v.status.as_str()) { How::Wait } else { How::Volume };
                Left::new("volume", &v.id, &v.name, how)
            })
            .collect();
        // While Cinder has it, it is Cinder's to remove.
        let in_cinder: BTreeSet<String> = volumes.into_iter().map(|v| v.id).collect();
        let bare =
            tagged.iter().filter(|v| of_cinder(&v.name).is_none_or(|id| !in_cinder.contains(&id)));
        left.extend(bare.map(|v| Left::new("array volume", &v.serial, &v.name, How::ArrayVolume)));
        Ok(left)
    }

    async fn remove(&self, deps: &Deps, left: &Left, permit: &DestroyPermit) -> PortResult<()> {
        let cloud = self.place.cloud(deps).await?;
        match left.how {
            How::Server => cloud.compute().delete_server(&left.id, permit).await,
            How::Port => cloud.networking().delete_port(&left.id, permit).await,
            How::Network => cloud.networking().delete_network(&left.id, permit).await,
            How::ServerGroup => cloud.compute().delete_server_group(&left.id, permit).await,
            How::SecurityGroup => cloud.networking().delete_security_group(&left.id, permit).await,
            How::Volume => cloud.block_storage().delete_volume(&left.id, permit).await,
            How::ArrayVolume => {
                let key = VolumeKey::Serial(left.id.clone());
                self.array.array(deps).await?.destroy_volume(&key, permit).await
            }
            How::Wait => Ok(()),
        }
    }
}

#[async_trait]
impl Step for Sweep {
    const KIND: &'static str = "sweep";
    type Planned = Input;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        let left = attempt!(input.list(&self.0).await, outcome::outcome);
        if left.is_empty() {
            return Outcome::done(());
        }
        let permit = DestroyPermit::made_by(cx.evidence());
        let removals = left.iter().map(|left| input.remove(&self.0, left, &permit));
        let words: Vec<String> = futures::future::join_all(removals)
            .await
            .into_iter()
            .zip(&left)
            .map(|(result, left)| match result {
                Ok(()) => left.words(),
                Err(error) => format!("{}: {error}", left.words()),
            })
            .collect();
        Outcome::Pending(format!("being removed: {}", words.join("; ")))
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let left = attempt!(input.list(&self.0).await, outcome::found);
        match left.as_slice() {
            [] => Found::present(()),
            some if some.iter().any(|left| left.how == How::Wait) => Found::Pending(format!(
                "being removed: {}",
                some.iter().map(Left::words).collect::<Vec<_>>().join("; ")
            )),
            _ => Found::Absent,
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(4)
    }
}

#[async_trait]
impl Step for ListLeftovers {
    const KIND: &'static str = "list_leftovers";
    type Planned = Input;
    type Input = Input;
    /// In words.
    type Output = Vec<String>;

    fn resolve(&self, planned: Input, _outputs: &Outputs) -> Result<Input, StepError> {
        Ok(planned)
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<Vec<String>> {
        outcome::run_as_look(self.find(cx, input).await)
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<Vec<String>> {
        let mut left = attempt!(input.list(&self.0).await, outcome::found);
        if !left.is_empty() {
            // A list may be behind: what has just gone is no leftover.
            cx.sleep(BEHIND).await;
            left = attempt!(input.list(&self.0).await, outcome::found);
        }
        Found::present(left.iter().map(Left::words).collect())
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<Vec<String>>) -> Undo {
        Undo::Done(None)
    }
}

/// Which step listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Expected {
    /// Step id.
    pub listed_by: String,
}

#[async_trait]
impl Step for ExpectNone {
    const KIND: &'static str = "expect_none";
    type Planned = Expected;
    type Input = Vec<String>;
    type Output = ();

    fn resolve(&self, planned: Expected, outputs: &Outputs) -> Result<Vec<String>, StepError> {
        outputs.get(&planned.listed_by)
    }

    async fn run(&self, _cx: &StepCx, input: &Vec<String>) -> Outcome<()> {
        if input.is_empty() {
            return Outcome::done(());
        }
        Outcome::Failed(StepError::new(format!(
            "still there: {}; run test_cleanup again, or remove them at the target site",
            input.join("; ")
        )))
    }

    async fn find(&self, _cx: &StepCx, _input: &Vec<String>) -> Found<()> {
        Found::Absent
    }

    async fn undo(&self, _cx: &StepCx, _input: &Vec<String>, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }

    fn settle(&self) -> Duration {
        Duration::ZERO
    }
}
