//! The end of a forced failover: status, failover count and places of the members that came up, in the transaction that
//! commits this step's outcome. Fails if none did: then everything is undone. No external effect; nothing to undo.

use async_trait::async_trait;
use protector_types::{DomainEffect, Fence, GroupId, GroupStatus, NewPlacement, ReplicationStatus};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::{
    choose_point,
    swap_primary::{PlannedFence, PlannedMember},
};

/// Makes the step.
pub struct Arrive;

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// The group.
    pub group_id: GroupId,
    /// Members that are brought up.
    pub members: Vec<PlannedMember>,
    /// Members that came up earlier.
    pub earlier: usize,
    /// Members of the group.
    pub total: usize,
    /// Counts as a failover.
    pub counts: bool,
    /// The step that chose the point.
    pub point_from: String,
    /// Servers of the source with the steps that fenced them, if it could be reached.
    pub fences: Vec<(String, PlannedFence)>,
}

/// What has come of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The group.
    pub group_id: GroupId,
    /// The status that it gets.
    pub status: GroupStatus,
    /// Counts as a failover.
    pub counts: bool,
    /// Members that came up now.
    pub placements: Vec<NewPlacement>,
    /// Members that came up earlier.
    pub earlier: usize,
    /// How the source's servers were.
    pub fences: Vec<Fence>,
    /// Source time of the point.
    pub point_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl Input {
    /// What changes in the domain.
    pub fn effects(&self) -> Vec<DomainEffect> {
        let group_id = self.group_id;
        let mut effects = vec![
            DomainEffect::Arrived {
                group_id,
                status: self.status,
                counts: self.counts,
                placements: self.placements.clone(),
            },
            DomainEffect::Replicated {
                group_id,
                point_at: self.point_at,
                status: ReplicationStatus::Paused,
            },
        ];
        if !self.fences.is_empty() {
            effects.push(DomainEffect::Fenced { group_id, fences: self.fences.clone() });
        }
        effects
    }
}

#[async_trait]
impl Step for Arrive {
    const KIND: &'static str = "arrive";
    type Planned = Planned;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let up = planned.members.into_iter().filter(|member| outputs.has(&member.server_from));
        let placements: Vec<_> =
            up.map(|member| member.placement(outputs)).collect::<Result<_, _>>()?;
        let fences = planned
            .fences
            .into_iter()
            .filter(|(done, _)| outputs.has(done))
            .map(|(_, fence)| {
                let volumes = outputs.get(&fence.connections_from)?;
                Ok(Fence { volumes, ..fence.record })
            })
            .collect::<Result<_, StepError>>()?;
        let point: Option<choose_point::Output> = outputs.get(&planned.point_from).ok();
        let all = planned.earlier + placements.len() >= planned.total;
        Ok(Input {
            group_id: planned.group_id,
            status: if all { GroupStatus::FailedOver } else { GroupStatus::FailedOverPartial },
            counts: planned.counts,
            placements,
            earlier: planned.earlier,
            fences,
            point_at: point.map(|p| p.point.created),
        })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        if input.placements.is_empty() && input.earlier == 0 {
            return Outcome::Failed(StepError::new(
                "no server came up at the target; everything is undone, and the source stays the primary",
            ));
        }
        let fenced_at = cx.clock().now();
        let fences = input.fences.iter().map(|f| Fence { fenced_at, ..f.clone() }).collect();
        let effects = Input { fences, ..input.clone() }.effects();
        Outcome::Done(Done { output: (), effects })
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
