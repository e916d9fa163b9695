//! Lays out the graph of steps of a drill. Pure.

use protector_core::PlanRequest;
use protector_workflow::Plan;
use serde_json::Value;

use super::{
    NAME, SUFFIX, VERSION,
    plan::{Ready, takes_point},
};
use crate::{
    failover::{layout::REBUILD, stages},
    fencing,
    rebuild::{Rebuild, suffix},
    replication,
    sketch::Sketch,
    steps::{self, create_port::FROM},
};

/// The plan.
pub fn lay_out(request: &PlanRequest, ready: &Ready<'_>) -> Plan {
    let mut sketch = Sketch::default();
    recheck(&mut sketch, request, ready);
    let stops = stops(&mut sketch, request, ready);
    choose_point(&mut sketch, request, ready, stops);
    networks(&mut sketch, ready);
    let last = servers(&mut sketch, request, ready);
    // The group does not change: the stage is passed when all servers are up.
    sketch.barrier("drilled", 5, last);
    Plan {
        definition: NAME.into(),
        version: VERSION,
        stages: stages(),
        steps: sketch.into_steps(),
        facts: serde_json::to_value(&ready.facts).unwrap_or_default(),
    }
}

fn source_volumes(ready: &Ready<'_>) -> Vec<String> {
    let site = ready.places.source.site;
    ready.members.iter().flat_map(|m| fencing::array_volumes(m.member, site)).collect()
}

fn recheck(sketch: &mut Sketch, request: &PlanRequest, ready: &Ready<'_>) {
    let input = steps::recheck::Input {
        source: ready.places.source_array,
        target: ready.places.target_array,
        array_group: request.group.array_group_name(),
        volumes: source_volumes(ready),
    };
    sketch.add("recheck", "recheck", 0, vec![], input);
}

/// The primary's servers are stopped only, so that their tenant can start them again.
fn stops(sketch: &mut Sketch, request: &PlanRequest, ready: &Ready<'_>) -> Vec<String> {
    if request.params.retain_primary {
        return Vec::new();
    }
    let mut ids = Vec::new();
    for (m, member) in ready.members.iter().enumerate().filter(|(_, member)| member.runs_now) {
        let id = format!("m{m}.stop");
        let input = steps::stop_server::Input {
            place: ready.places.source.clone(),
            server_id: member.source_server_id.clone(),
            was_active: true,
        };
        let (name, after) = (&member.member.spec.name, vec!["recheck".to_owned()]);
        sketch.add_for(name, &id, "stop_server", 0, after, input);
        ids.push(id);
    }
    ids
}

fn choose_point(
    sketch: &mut Sketch,
    request: &PlanRequest,
    ready: &Ready<'_>,
    mut after: Vec<String>,
) {
    after.push("recheck".into());
    let array_group = request.group.array_group_name();
    let takes = takes_point(request);
    if takes {
        let input = steps::snapshot_group::Input {
            array: replication::taken_at(request, ready.places.source.site),
            array_group: array_group.clone(),
            suffix: suffix(request.operation_id),
        };
        sketch.add("snapshot", "snapshot_group", 1, after, input);
        let input = steps::await_replication::Input {
            array: ready.places.target_array,
            source_array: ready.source_array.clone(),
            array_group: array_group.clone(),
            suffix: suffix(request.operation_id),
            volumes: source_volumes(ready),
        };
        let step = sketch.add("final", "await_replication", 1, vec!["snapshot".into()], input);
        step.deadline_sec = 600;
        after = vec!["final".into()];
    }
    let input = steps::choose_point::Planned {
        array: ready.places.target_array,
        source_array: ready.source_array.clone(),
        array_group,
        volumes: source_volumes(ready),
        named: request.params.recovery_point.clone(),
        final_from: takes.then(|| "final".to_owned()),
        fences: Vec::new(),
    };
    sketch.add("point", "choose_point", 1, after, input);
}

fn networks(sketch: &mut Sketch, ready: &Ready<'_>) {
    let place = &ready.places.target;
    for network in &ready.networks {
        let input = steps::create_network::Input {
            place: place.clone(),
            stands_for: network.stands_for.clone(),
        };
        let after = vec!["recheck".to_owned()];
        sketch.add(&network.id, "create_network", REBUILD.servers, after, input);
        for (id, cidr) in &network.subnets {
            let input = steps::create_subnet::Planned {
                place: place.clone(),
                network_from: network.id.clone(),
                cidr: cidr.clone(),
            };
            let after = vec![network.id.clone()];
            sketch.add(id, "create_subnet", REBUILD.servers, after, input);
        }
    }
}

/// Gives the last step of each member.
fn servers(sketch: &mut Sketch, request: &PlanRequest, ready: &Ready<'_>) -> Vec<String> {
    let rebuild = Rebuild {
        operation: request.operation_id,
        source_site: ready.places.source.site,
        target: &ready.places.target,
        array: ready.places.target_array,
        cinder_host: &ready.cinder_host,
        volume_type: &ready.volume_type,
        point_from: "point",
        stages: REBUILD,
        after: vec!["recheck".into()],
        name_suffix: SUFFIX,
        keeps_writes: None,
        keeps_clones: false,
    };
    let shared = rebuild.shared(sketch, &ready.members);
    let mut last = Vec::new();
    for (m, member) in ready.members.iter().enumerate() {
        let ports = rebuild.ports(sketch, m, member, &shared);
        let volumes = rebuild.volumes(sketch, m, member);
        last.push(rebuild.server(sketch, m, member, ports, volumes, &shared).last);
    }
    for step in sketch.steps_mut().filter(|step| step.kind == "create_port") {
        let made = made_by_steps(&step.input["port"]);
        step.after.extend(made);
    }
    last
}

/// The steps that make a port's network and subnets.
fn made_by_steps(port: &Value) -> Vec<String> {
    let addresses = port["fixed_ips"].as_array().into_iter().flatten();
    let ids = addresses.map(|address| &address["subnet_id"]).chain([&port["network_id"]]);
    ids.filter_map(|id| id.as_str()?.strip_prefix(FROM).map(str::to_owned)).collect()
}
