//! The point of no return: status, current primary, failover count, epoch, version and the members' new places change in
//! the transaction that commits this step's outcome. No external effect; there is no undo past it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use protector_types::{
    DomainEffect, Fence, GroupId, GroupStatus, MemberId, NewPlacement, SiteId, VolumePlacement,
};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::manage_volume;

/// Makes the step.
pub struct SwapPrimary;

/// One member by the steps that made its parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedMember {
    /// The member.
    pub member_id: MemberId,
    /// Step that made its server.
    pub server_from: String,
    /// Steps that managed its volumes, by position.
    pub volumes_from: BTreeMap<u32, String>,
}

/// The fence of a server that stays behind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedFence {
    /// All but the connections.
    pub record: Fence,
    /// The step that recorded them.
    pub connections_from: String,
}

impl PlannedMember {
    /// Where the member is, from the outputs of the steps that made it.
    ///
    /// # Errors
    /// When a step has no output.
    pub fn placement(self, outputs: &Outputs) -> Result<NewPlacement, StepError> {
        let mut volumes = BTreeMap::new();
        for (position, step) in self.volumes_from {
            let managed: manage_volume::Output = outputs.get(&step)?;
            volumes.insert(
                position,
                VolumePlacement {
                    volume_id: managed.volume_id,
                    array_volume: managed.array_volume,
                    array_volume_id: managed.array_volume_id,
                    serial: managed.serial,
                },
            );
        }
        let server_id = outputs.get(&self.server_from)?;
        Ok(NewPlacement { member_id: self.member_id, server_id, volumes })
    }
}

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// The group.
    pub group_id: GroupId,
    /// Where it runs from now on.
    pub new_primary: SiteId,
    /// Who raises the epoch.
    pub raised_by: SiteId,
    /// Status afterwards.
    pub status: GroupStatus,
    /// Its members.
    pub members: Vec<PlannedMember>,
    /// How the servers that stay behind were.
    pub fences: Vec<PlannedFence>,
}

/// The effects themselves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Applied with the outcome.
    pub effect: DomainEffect,
    /// How the servers that stay behind were; recorded with it.
    pub fences: Vec<Fence>,
}

#[async_trait]
impl Step for SwapPrimary {
    const KIND: &'static str = "swap_primary";
    type Planned = Planned;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let group_id = planned.group_id;
        let placements = planned
            .members
            .into_iter()
            .map(|member| member.placement(outputs))
            .collect::<Result<_, _>>()?;
        let fences = planned
            .fences
            .into_iter()
            .map(|fence| {
                let volumes = outputs.get(&fence.connections_from)?;
                Ok(Fence { volumes, ..fence.record })
            })
            .collect::<Result<_, StepError>>()?;
        let effect = DomainEffect::SwapPrimary {
            group_id,
            new_primary: planned.new_primary,
            raised_by: planned.raised_by,
            status: planned.status,
            placements,
        };
        Ok(Input { effect, fences })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        let fenced_at = cx.clock().now();
        let fences = input.fences.iter().map(|f| Fence { fenced_at, ..f.clone() }).collect();
        let fenced = DomainEffect::Fenced { group_id: input.effect.group_id(), fences };
        Outcome::Done(Done { output: (), effects: vec![input.effect.clone(), fenced] })
    }

    /// Effect and outcome are one transaction: started without outcome means that nothing was applied.
    async fn find(&self, _cx: &StepCx, _input: &Input) -> Found<()> {
        Found::Absent
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }

    fn settle(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}
