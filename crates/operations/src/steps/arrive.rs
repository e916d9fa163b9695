//! The end of a forced failover: status, failover count and places of the members that came up, in the transaction that
//! commits this step's outcome. Fails if none did: then everything is undone. No external effect; nothing to undo.

use async_trait::async_trait;
use protector_types::{
    DomainEffect, Fence, GroupId, GroupStatus, KeptCopy, MemberId, NewPlacement, ReplicationStatus,
    SiteId,
};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::{
    choose_point,
    swap_primary::{PlannedFence, PlannedMember},
};
use crate::forced::superseded;

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
    /// Servers that the members had at the target before.
    #[serde(default)]
    pub superseded: superseded::All,
    /// Seconds for which their volumes are kept.
    #[serde(default)]
    pub keep_sec: i64,
    /// The target; not in plans of before this.
    #[serde(default)]
    pub target: Option<SiteId>,
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
    /// Counts as a failover: it is complete.
    pub counts: bool,
    /// Members that came up now.
    pub placements: Vec<NewPlacement>,
    /// Members that came up earlier.
    pub earlier: usize,
    /// How the source's servers were.
    pub fences: Vec<Fence>,
    /// Source time of the point.
    pub point_at: Option<chrono::DateTime<chrono::Utc>>,
    /// The target.
    #[serde(default)]
    pub target: Option<SiteId>,
    /// Members that had a server there before and did not come up: what it holds is old, so it does not count as theirs.
    #[serde(default)]
    pub displaced: Vec<MemberId>,
    /// Members that had one and came up beside it.
    #[serde(default)]
    pub superseded: Vec<MemberId>,
    /// Volumes of the servers that are superseded.
    #[serde(default)]
    pub kept: Vec<KeptCopy>,
    /// Seconds for which they are kept.
    #[serde(default)]
    pub keep_sec: i64,
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
        if let Some(site_id) = self.target {
            let members = self.displaced.clone();
            if !members.is_empty() {
                effects.push(DomainEffect::Displaced { group_id, site_id, members });
            }
            let copies = self.kept.clone();
            if !copies.is_empty() {
                effects.push(DomainEffect::Kept { group_id, copies });
            }
            // A fence of what was there before tells nothing of what runs there now.
            let members = self.superseded.clone();
            if !members.is_empty() {
                effects.push(DomainEffect::Unfenced { group_id, site_id, members });
            }
        }
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
        let came = |id: &MemberId| placements.iter().any(|p| p.member_id == *id);
        let (up, down): (Vec<_>, Vec<_>) =
            planned.superseded.into_iter().partition(|(id, _)| came(id));
        let displaced = down.into_iter().map(|(id, _)| id).collect();
        let superseded = up.iter().map(|(id, _)| *id).collect();
        let kept = up.into_iter().flat_map(|(_, it)| it.kept).collect();
        Ok(Input {
            group_id: planned.group_id,
            status: if all { GroupStatus::FailedOver } else { GroupStatus::FailedOverPartial },
            // A partial one is not complete: the retry that completes it counts.
            counts: all,
            placements,
            earlier: planned.earlier,
            fences,
            point_at: point.map(|p| p.point.created),
            target: planned.target,
            displaced,
            superseded,
            kept,
            keep_sec: planned.keep_sec,
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
        let span = chrono::TimeDelta::try_seconds(input.keep_sec).unwrap_or_default();
        let expires_at =
            fenced_at.checked_add_signed(span).unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC);
        let keep = |copy: &KeptCopy| KeptCopy { kept_at: fenced_at, expires_at, ..copy.clone() };
        let kept = input.kept.iter().map(keep).collect();
        let effects = Input { fences, kept, ..input.clone() }.effects();
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
