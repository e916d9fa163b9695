//! Plans a reprotect: a sync of a group whose members all run at the current primary.

use protector_core::PlanRequest;
use protector_types::{Code, Refusal};
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
    for member in request.members.iter().filter(|m| !m.servers.contains_key(&here)) {
        reasons.add(
            Code::MemberNotReady,
            Some(&member.spec.name),
            "it does not run at the current primary; retry the failover, or remove the member",
        );
    }
    let ready = sync_volumes::plan::ready(deps, request, &mut reasons).await?;
    sync_volumes::plan::well_formed(layout::lay_out(request, &ready))
}
