//! Sets replication of the group up at the array that it runs on (arrays at both sites): the protection group with its
//! target and retention, exactly these volumes in it, allowed at the target. Our group only; the schedule is left as it
//! is. A repeat compares. Undo leaves it: it is the group's own, holds copies, and the next transfer goes on from there.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use protector_ports::{ArrayGroupSpec, PortResult};
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::manage_volume;
use crate::{
    attempt,
    deps::{ArrayPlace, Deps},
    outcome,
};

/// Makes the step.
pub struct EnsureGroup(pub Deps);

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// As known when the plan was made.
    #[serde(flatten)]
    pub input: Input,
    /// Steps that manage volumes which belong to it too.
    #[serde(default)]
    pub volumes_from: Vec<String>,
}

/// Which group, from where to where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The array that the group runs on.
    pub source: ArrayPlace,
    /// Its name as the target knows it.
    pub source_array: String,
    /// The array that it replicates to.
    pub target: ArrayPlace,
    /// Name, target, interval, retention.
    pub spec: ArrayGroupSpec,
    /// Array volumes that must be in it; others leave it.
    pub volumes: Vec<String>,
}

#[async_trait]
impl Step for EnsureGroup {
    const KIND: &'static str = "ensure_group";
    type Planned = Planned;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let mut input = planned.input;
        for step in &planned.volumes_from {
            input.volumes.push(outputs.get::<manage_volume::Output>(step)?.array_volume);
        }
        Ok(input)
    }

    async fn run(&self, _cx: &StepCx, input: &Input) -> Outcome<()> {
        attempt!(self.set_up(input).await, outcome::outcome);
        Outcome::Pending("the arrays are agreeing on the group".into())
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let array = attempt!(input.source.array(&self.0).await, outcome::found);
        let group = attempt!(array.group(&input.spec.name).await, outcome::found);
        let wanted: BTreeSet<&String> = input.volumes.iter().collect();
        if group.volumes.iter().collect::<BTreeSet<_>>() != wanted {
            return Found::Absent;
        }
        match group.targets.iter().find(|(name, _)| name.eq_ignore_ascii_case(&input.spec.target)) {
            Some((_, true)) => Found::present(()),
            _ => Found::Absent,
        }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }

    fn settle(&self) -> Duration {
        Duration::from_secs(2)
    }
}

impl EnsureGroup {
    async fn set_up(&self, input: &Input) -> PortResult<()> {
        let (source, target) =
            (input.source.array(&self.0).await?, input.target.array(&self.0).await?);
        let name = &input.spec.name;
        source.ensure_group(&input.spec).await?;
        let there = source.group(name).await?;
        let stale: Vec<String> =
            there.volumes.iter().filter(|v| !input.volumes.contains(v)).cloned().collect();
        source.remove_from_group(name, &stale).await?;
        source.add_to_group(name, &input.volumes).await?;
        match target.allow_group(&input.source_array, name, true).await {
            // The target learns of a new group after a while: the look says so, and this is called again.
            Err(error) if error.is_absent() => Ok(()),
            other => other,
        }
    }
}
