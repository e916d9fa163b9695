//! Lays out the graph of steps of a planned failover. Pure.

use protector_core::PlanRequest;
use protector_types::GroupStatus;
use protector_workflow::{OnFailure, Plan};

use super::{NAME, VERSION, plan::Ready, stages};
use crate::{
    drill::remains::Gone,
    fencing::{self, Fencing},
    kept,
    rebuild::{Rebuild, ServerSteps, Stages, suffix},
    replication,
    sketch::Sketch,
    steps,
};

/// Stages of the steps that rebuild members.
pub const REBUILD: Stages = Stages { clone: 2, manage: 3, servers: 4 };

struct Layout<'a> {
    request: &'a PlanRequest,
    ready: &'a Ready<'a>,
    sketch: Sketch,
}

/// The plan.
pub fn lay_out(request: &PlanRequest, ready: &Ready<'_>) -> Plan {
    let mut layout = Layout { request, ready, sketch: Sketch::default() };
    layout.recheck();
    let fences = layout.fences();
    layout.snapshot(fences);
    let drill = layout.drill();
    let servers = layout.servers(&drill);
    layout.finalization(servers);
    Plan {
        definition: NAME.into(),
        version: VERSION,
        stages: stages(),
        steps: layout.sketch.into_steps(),
        facts: serde_json::to_value(&ready.facts).unwrap_or_default(),
    }
}

impl Layout<'_> {
    fn all_source_volumes(&self) -> Vec<String> {
        let site = self.ready.places.source.site;
        self.ready.members.iter().flat_map(|m| fencing::array_volumes(m.member, site)).collect()
    }

    fn recheck(&mut self) {
        let input = steps::recheck::Input {
            source: self.ready.places.source_array,
            target: self.ready.places.target_array,
            array_group: self.request.group.array_group_name(),
            volumes: self.all_source_volumes(),
        };
        self.sketch.add("recheck", "recheck", 0, vec![], input);
    }

    /// Gives the last step of each member's fence.
    fn fences(&mut self) -> Vec<String> {
        let fencing = Fencing {
            operation: self.request.operation_id,
            place: &self.ready.places.source,
            array: self.ready.places.source_array,
            stage: 0,
        };
        let sketch = &mut self.sketch;
        let members = self.ready.members.iter().enumerate();
        members
            .map(|(m, it)| {
                fencing.member(sketch, m, it.member, &it.running(), vec!["recheck".into()])
            })
            .collect()
    }

    fn snapshot(&mut self, fences: Vec<String>) {
        let array_group = self.request.group.array_group_name();
        let input = steps::snapshot_group::Input {
            array: replication::taken_at(self.request, self.ready.places.source.site),
            array_group: array_group.clone(),
            suffix: suffix(self.request.operation_id),
        };
        self.sketch.add("snapshot", "snapshot_group", 1, fences, input);
        let input = steps::await_replication::Input {
            array: self.ready.places.target_array,
            source_array: self.ready.source_array.clone(),
            array_group,
            suffix: suffix(self.request.operation_id),
            volumes: self.all_source_volumes(),
        };
        let after = vec!["snapshot".to_owned()];
        let step = self.sketch.add("point", "await_replication", 1, after, input);
        // A final delta over a slow link may take hours; it is the tenant who cancels.
        step.deadline_sec = 6 * 3600;
    }

    /// An open drill goes first: it holds quota, and addresses if they were kept.
    fn drill(&mut self) -> Gone {
        match &self.ready.remains {
            Some(remains) => remains.lay_out(&mut self.sketch, 0, vec!["recheck".into()]),
            None => Gone::default(),
        }
    }

    fn servers(&mut self, drill: &Gone) -> Vec<ServerSteps> {
        let (ready, sketch) = (self.ready, &mut self.sketch);
        let rebuild = Rebuild {
            operation: self.request.operation_id,
            source_site: ready.places.source.site,
            target: &ready.places.target,
            array: ready.places.target_array,
            cinder_host: &ready.cinder_host,
            volume_type: &ready.volume_type,
            point_from: "point",
            stages: REBUILD,
            after: ["recheck".to_owned()].into_iter().chain(drill.ports.clone()).collect(),
            name_suffix: "",
            keeps_writes: Some(self.request.policy.retention.span().num_seconds()),
            keeps_clones: false,
        };
        let shared = rebuild.shared(sketch, &ready.members);
        // Ports need nothing of the source: they are made while the source is being fenced.
        let members = ready.members.iter().enumerate();
        let ports: Vec<_> = members.map(|(m, it)| rebuild.ports(sketch, m, it, &shared)).collect();
        let members = ready.members.iter().zip(ports).enumerate();
        let servers: Vec<ServerSteps> = members
            .map(|(m, (member, ports))| {
                let volumes = rebuild.volumes(sketch, m, member);
                rebuild.server(sketch, m, member, ports, volumes, &shared)
            })
            .collect();
        let managed = servers.iter().flat_map(|server| server.volumes.values());
        kept::remove(sketch, self.request, &ready.makes_room, 2, "point", managed);
        drill.before_managing(sketch);
        servers
    }

    fn finalization(&mut self, servers: Vec<ServerSteps>) {
        let (ready, group) = (self.ready, &self.request.group);
        self.sketch.barrier("up", 4, servers.iter().map(|s| s.last.clone()).collect());
        let mut verified = Vec::new();
        for (m, member) in ready.members.iter().enumerate() {
            let id = format!("m{m}.verify");
            let input = steps::verify_source::Input {
                place: ready.places.source.clone(),
                server_id: member.source_server_id.clone(),
                array: ready.places.source_array,
                volumes: fencing::array_volumes(member.member, ready.places.source.site),
            };
            let name = &member.member.spec.name;
            let after = vec!["up".to_owned()];
            let step = self.sketch.add_for(name, &id, "verify_source", 5, after, input);
            step.deadline_sec = 300;
            verified.push(id);
        }
        let input = self.swap(servers);
        self.sketch.add("swap", "swap_primary", 5, verified, input).no_return = true;
        let after_swap = || vec!["swap".to_owned()];
        let input = steps::stop_schedule::Input {
            array: ready.places.source_array,
            array_group: group.array_group_name(),
            pauses: true,
            was_on: None,
        };
        let step = self.sketch.add("schedule", "stop_schedule", 5, after_swap(), input);
        (step.on_failure, step.deadline_sec) = (OnFailure::Warn, 120);
        let input = steps::push_group::Input { group_id: group.id };
        let step = self.sketch.add("push", "push_group", 5, after_swap(), input);
        (step.on_failure, step.deadline_sec) = (OnFailure::Warn, 60);
    }

    fn swap(&self, servers: Vec<ServerSteps>) -> steps::swap_primary::Planned {
        let (ready, group) = (self.ready, &self.request.group);
        let source = ready.places.source.site;
        let fence = |(m, member): (usize, &crate::rebuild::ReadyMember<'_>)| {
            steps::swap_primary::PlannedFence {
                record: fencing::unfinished_record(
                    self.request.operation_id,
                    group.epoch.number,
                    source,
                    member.member,
                    &member.recorded(),
                ),
                connections_from: format!("m{m}.record"),
            }
        };
        steps::swap_primary::Planned {
            group_id: group.id,
            new_primary: ready.places.target.site,
            raised_by: self.request.local_site,
            status: GroupStatus::FailedOver,
            members: ready
                .members
                .iter()
                .zip(servers)
                .map(|(member, steps)| steps::swap_primary::PlannedMember {
                    member_id: member.member.id,
                    server_from: steps.made_by,
                    volumes_from: steps.volumes,
                })
                .collect(),
            fences: ready.members.iter().enumerate().map(fence).collect(),
        }
    }
}
