//! The point of no return of a failback: as `swap_primary`, and in the same transaction the fences that were taken back
//! are struck and the copies that stay until the retention passes are booked. No external effect.

use async_trait::async_trait;
use protector_types::{DomainEffect, Fence, GroupId, GroupStatus, KeptCopy, MemberId, SiteId};
use protector_workflow::{Done, Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};

use super::swap_primary::{PlannedFence, PlannedMember};

/// Makes the step.
pub struct SwapBack;

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
    /// Members that were rebuilt there; the others are where the group knows them to be.
    pub rebuilt: Vec<PlannedMember>,
    /// How the servers at the other site were.
    pub fences: Vec<PlannedFence>,
    /// Members whose fence at the new primary is no more.
    pub unfenced: Vec<MemberId>,
    /// What is kept; times are set when it is booked.
    pub kept: Vec<KeptCopy>,
    /// Seconds for which it is kept.
    pub keep_sec: i64,
}

/// The effects themselves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Applied with the outcome.
    pub effects: Vec<DomainEffect>,
    /// Seconds for which copies are kept.
    pub keep_sec: i64,
}

#[async_trait]
impl Step for SwapBack {
    const KIND: &'static str = "swap_back";
    type Planned = Planned;
    type Input = Input;
    type Output = Vec<KeptCopy>;

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let group_id = planned.group_id;
        let placements = planned
            .rebuilt
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
        let (new_primary, raised_by) = (planned.new_primary, planned.raised_by);
        let effects = vec![
            DomainEffect::SwapPrimary {
                group_id,
                new_primary,
                raised_by,
                status: planned.status,
                placements,
            },
            DomainEffect::Unfenced { group_id, site_id: new_primary, members: planned.unfenced },
            DomainEffect::Fenced { group_id, fences },
            DomainEffect::Kept { group_id, copies: planned.kept },
        ];
        Ok(Input { effects, keep_sec: planned.keep_sec })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<Vec<KeptCopy>> {
        let now = cx.clock().now();
        let span = chrono::TimeDelta::try_seconds(input.keep_sec).unwrap_or_default();
        let expires_at =
            now.checked_add_signed(span).unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC);
        let (mut effects, mut booked) = (input.effects.clone(), Vec::new());
        for effect in &mut effects {
            match effect {
                DomainEffect::Fenced { fences, .. } => {
                    fences.iter_mut().for_each(|fence| fence.fenced_at = now);
                }
                DomainEffect::Kept { copies, .. } => {
                    for copy in copies.iter_mut() {
                        (copy.kept_at, copy.expires_at) = (now, expires_at);
                    }
                    booked.clone_from(copies);
                }
                _ => {}
            }
        }
        Outcome::Done(Done { output: booked, effects })
    }

    /// Effects and outcome are one transaction: started without outcome means that nothing was applied.
    async fn find(&self, _cx: &StepCx, _input: &Input) -> Found<Vec<KeptCopy>> {
        Found::Absent
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<Vec<KeptCopy>>) -> Undo {
        Undo::Done(None)
    }

    fn settle(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}
