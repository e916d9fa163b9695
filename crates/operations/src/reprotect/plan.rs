//! Plans a reprotect: a sync of a group whose members all run at the current primary.

use protector_core::PlanRequest;
use protector_types::{Code, Member, Refusal};
use protector_workflow::Plan;

use super::layout;
use crate::{deps::Deps, facts::Reasons, sync_volumes};

/// Plans a reprotect.
///
/// # Errors
/// A [`Refusal`] with every reason.
pub async fn plan(deps: &Deps, request: &PlanRequest) -> Result<Plan, Refusal> {
    let mut reasons = Reasons::default();
    let here = request.group.current_primary_site_id;
    let waited_for = |m: &&Member| !m.servers.contains_key(&here) && m.abandoned.is_none();
    for member in request.members.iter().filter(waited_for) {
        reasons.add(
            Code::MemberNotReady,
            Some(&member.spec.name),
            "it does not run at the current primary; retry the failover, abandon it, or remove the member",
        );
    }
    let ready = sync_volumes::plan::ready(deps, request, &mut reasons).await?;
    sync_volumes::plan::well_formed(layout::lay_out(request, &ready))
}
