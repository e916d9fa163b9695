//! What only a preview shows of a plan: what becomes of each member, and what it takes of the target's quota. Read off
//! the steps, so that it is right for every operation; kept under a key of the plan's facts that is not stored.

use std::collections::BTreeMap;

use protector_core::{PlanRequest, preview::PREVIEW};
use protector_ports::{Quota, RecoveryPoint};
use protector_workflow::Plan;
use serde_json::{Value, json};

use crate::facts::TargetFacts;

/// Adds it to the plan. `point`: the one that would be used now; `None`: it is made after every writer has stopped, and
/// nothing is lost.
pub fn attach(
    plan: &mut Plan,
    request: &PlanRequest,
    target: &TargetFacts,
    point: Option<&RecoveryPoint>,
) {
    let preview = json!({
        "members": members(plan, request, target),
        "quota": quota(plan, request, target),
        "recovery_point": point.map(|p| json!({"name": p.name, "created_at": p.created})),
        "data_loss_seconds": point.is_none().then_some(0),
    });
    if let Value::Object(facts) = &mut plan.facts {
        facts.insert(PREVIEW.to_owned(), preview);
    }
}

fn text<'a>(input: &'a Value, pointer: &str) -> Option<&'a str> {
    input.pointer(pointer).and_then(Value::as_str)
}

/// Per member, by name: flavor and networks at the target.
fn members(plan: &Plan, request: &PlanRequest, target: &TargetFacts) -> Vec<Value> {
    let flavors: BTreeMap<&str, &str> =
        target.flavors.iter().map(|f| (f.id.as_str(), f.name.as_str())).collect();
    let networks: BTreeMap<&str, &str> =
        target.networks.iter().map(|n| (n.id.as_str(), n.name.as_str())).collect();
    let here = request.group.current_primary_site_id;
    request
        .members
        .iter()
        .map(|member| {
            let name = member.spec.name.as_str();
            let own = || plan.steps.iter().filter(|step| step.subject.as_deref() == Some(name));
            let flavor = own()
                .filter(|step| step.kind == "create_server")
                .find_map(|step| text(&step.input, "/server/flavor_id"));
            let nets: Vec<&str> = own()
                .filter(|step| step.kind == "create_port")
                .filter_map(|step| text(&step.input, "/port/network_id"))
                .map(|id| networks.get(id).copied().unwrap_or(id))
                .collect();
            let managed = own().filter(|step| step.kind == "manage_volume").count();
            json!({
                "name": name,
                "server_id": member.servers.get(&here),
                "flavor": flavor.map(|id| flavors.get(id).copied().unwrap_or(id)),
                "networks": nets,
                "volumes": if managed > 0 { managed } else { member.volumes.len() },
            })
        })
        .collect()
}

/// What the steps make, against what is free.
fn quota(plan: &Plan, request: &PlanRequest, target: &TargetFacts) -> Vec<Value> {
    let count = |kind: &str| plan.steps.iter().filter(|step| step.kind == kind).count() as u64;
    let flavors: BTreeMap<&str, _> = target.flavors.iter().map(|f| (f.id.as_str(), f)).collect();
    let made: Vec<_> = plan
        .steps
        .iter()
        .filter(|step| step.kind == "create_server")
        .filter_map(|step| flavors.get(text(&step.input, "/server/flavor_id")?))
        .collect();
    let sizes: BTreeMap<&str, u64> = request
        .members
        .iter()
        .flat_map(|member| &member.volumes)
        .flat_map(|v| v.placements.values().map(|p| (p.volume_id.as_str(), v.size_gib)))
        .collect();
    let gigabytes = plan
        .steps
        .iter()
        .filter(|step| step.kind == "manage_volume")
        .filter_map(|step| sizes.get(text(&step.input, "/source_id")?))
        .sum();
    let limit = |resource: &str, needed: u64, quota: Quota| json!({"resource": resource, "needed": needed, "free": quota.free()});
    vec![
        limit("instances", count("create_server"), target.compute_quota.instances),
        limit("cores", made.iter().map(|f| u64::from(f.vcpus)).sum(), target.compute_quota.cores),
        limit("ram_mib", made.iter().map(|f| f.ram_mib).sum(), target.compute_quota.ram_mib),
        limit("volumes", count("manage_volume"), target.storage_quota.volumes),
        limit("gigabytes", gigabytes, target.storage_quota.gigabytes),
        limit("ports", count("create_port"), target.network_quota.ports),
    ]
}
