//! Lays out the graph of steps of a forced failover and of its completion. Pure.

use protector_core::PlanRequest;
use protector_types::Member;
use protector_workflow::{OnFailure, Plan};
use serde_json::json;

use super::{
    NAME, VERSION,
    plan::{LeftOut, Ready},
};
use crate::{
    drill::remains::Gone,
    failover::{layout::REBUILD, stages},
    fencing::{self, Fencing},
    kept,
    rebuild::{Rebuild, ServerSteps, suffix, taken::TakeOver},
    replication,
    sketch::Sketch,
    steps::{self, swap_primary::PlannedFence},
};

/// Patience with a source that answered and may die at any moment.
const STOP_SEC: u64 = 120;
const SOURCE_SEC: u64 = 60;
/// How long the final snapshot may take before an older point is taken.
const FINAL_SEC: u64 = 600;

struct Layout<'a> {
    request: &'a PlanRequest,
    ready: &'a Ready<'a>,
    sketch: Sketch,
}

/// The plan.
pub fn lay_out(request: &PlanRequest, ready: &Ready<'_>) -> Plan {
    let mut layout = Layout { request, ready, sketch: Sketch::default() };
    layout.sketch.barrier("begin", 0, vec![]);
    let drill = match &ready.remains {
        Some(remains) => remains.lay_out(&mut layout.sketch, 0, vec!["begin".into()]),
        None => Gone::default(),
    };
    let fences = layout.fences();
    layout.point(&fences);
    let servers = layout.servers(&drill);
    layout.end(servers, fences);
    layout.recall();
    Plan {
        definition: NAME.into(),
        version: VERSION,
        stages: stages(),
        steps: layout.sketch.into_steps(),
        facts: serde_json::to_value(&ready.facts).unwrap_or_default(),
    }
}

/// The last step of a member's fence, with its record.
type Fenced = (String, PlannedFence);

impl Layout<'_> {
    fn is_retry(&self) -> bool {
        self.ready.facts.retry_of.is_some()
    }

    /// If the source answers, it is fenced as in a planned failover; nothing waits for it for long.
    fn fences(&mut self) -> Vec<Fenced> {
        let ready = self.ready;
        if !ready.source_answers {
            return Vec::new();
        }
        let fencing = Fencing {
            operation: self.request.operation_id,
            place: &ready.places.source,
            array: ready.places.source_array,
            stage: 0,
        };
        let mut fences = Vec::new();
        for (m, member) in &ready.members {
            let after = vec!["begin".to_owned()];
            let done =
                fencing.member(&mut self.sketch, *m, member.member, &member.running(), after);
            let record = fencing::unfinished_record(
                self.request.operation_id,
                self.epoch_after(),
                ready.places.source.site,
                member.member,
                &member.recorded(),
            );
            fences.push((done, PlannedFence { record, connections_from: format!("m{m}.record") }));
        }
        for step in self.sketch.steps_mut() {
            let patience = match step.kind.as_str() {
                "stop_server" => STOP_SEC,
                "lock_server" | "record_connections" | "disconnect_volumes" => SOURCE_SEC,
                _ => continue,
            };
            (step.on_failure, step.deadline_sec) = (OnFailure::Warn, patience);
        }
        fences
    }

    /// The number of the epoch that the group is in once the primary has moved; a retry finds it moved.
    fn epoch_after(&self) -> u64 {
        let group = &self.request.group;
        let moves = group.current_primary_site_id != self.ready.places.target.site;
        group.epoch.number + u64::from(moves)
    }

    fn all_volumes(&self) -> Vec<String> {
        let site = self.ready.places.source.site;
        let left_out = self.ready.left_out.iter();
        // Who is left out because the point lacks it must not be asked of the point.
        let left_out = left_out.filter(|out| out.is_in_point()).map(|out| out.member);
        let members = self.ready.members.iter().map(|(_, member)| member.member);
        members.chain(left_out).flat_map(|member| fencing::array_volumes(member, site)).collect()
    }

    fn point(&mut self, fences: &[Fenced]) {
        if self.is_retry() {
            // Recalled: never a newer one.
            self.sketch.add("point", "recall", 1, vec!["begin".into()], json!(null));
            return;
        }
        let ready = self.ready;
        let array_group = self.request.group.array_group_name();
        let fenced: Vec<String> = fences.iter().map(|(done, _)| done.clone()).collect();
        let mut after = vec!["begin".to_owned()];
        after.extend(fenced.iter().cloned());
        let named = self.request.params.recovery_point.clone();
        let tries_final = (ready.source_answers || ready.mirrored) && named.is_none();
        if tries_final {
            let input = steps::snapshot_group::Input {
                array: replication::taken_at(self.request, ready.places.source.site),
                array_group: array_group.clone(),
                suffix: suffix(self.request.operation_id),
            };
            let step = self.sketch.add("snapshot", "snapshot_group", 1, after.clone(), input);
            (step.on_failure, step.deadline_sec) = (OnFailure::Warn, SOURCE_SEC);
            let input = steps::await_replication::Input {
                array: ready.places.target_array,
                source_array: ready.source_array.clone(),
                array_group: array_group.clone(),
                suffix: suffix(self.request.operation_id),
                volumes: self.all_volumes(),
            };
            let input = steps::await_replication::Planned {
                input,
                volumes_from: Vec::new(),
                taken_by: Some("snapshot".into()),
            };
            let step =
                self.sketch.add("final", "await_replication", 1, vec!["snapshot".into()], input);
            (step.on_failure, step.deadline_sec) = (OnFailure::Warn, FINAL_SEC);
            after.push("final".into());
        }
        let input = steps::choose_point::Planned {
            array: ready.places.target_array,
            source_array: ready.source_array.clone(),
            array_group,
            volumes: self.all_volumes(),
            named,
            final_from: tries_final.then(|| "final".to_owned()),
            fences: fenced,
        };
        self.sketch.add("point", "choose_point", 1, after, input);
        let input = steps::move_primary::Input {
            group_id: self.request.group.id,
            primary: ready.places.target.site,
            raised_by: self.request.local_site,
        };
        self.sketch.add("epoch", "move_primary", 1, vec!["point".into()], input);
    }

    fn servers(&mut self, drill: &Gone) -> Vec<(usize, ServerSteps)> {
        let ready = self.ready;
        let rebuild = Rebuild {
            operation: self.request.operation_id,
            source_site: ready.places.source.site,
            target: &ready.places.target,
            array: ready.places.target_array,
            cinder_host: &ready.cinder_host,
            volume_type: &ready.volume_type,
            point_from: "point",
            stages: REBUILD,
            after: ["begin".to_owned()].into_iter().chain(drill.ports.clone()).collect(),
            name_suffix: "",
            keeps_writes: Some(self.request.policy.retention.span().num_seconds()),
            keeps_clones: true,
        };
        for out in &ready.left_out {
            self.leave_out(out, &rebuild);
        }
        let first_own = self.sketch.steps_mut().count();
        let sketch = &mut self.sketch;
        let shared = rebuild.shared(sketch, ready.members.iter().map(|(_, member)| member));
        let steps: Vec<_> = ready
            .members
            .iter()
            .map(|(m, member)| {
                let ports = rebuild.ports(sketch, *m, member, &shared);
                let before = ready.facts.superseded.get(&member.member.id);
                let take_over = TakeOver {
                    place: &ready.places.target,
                    m: *m,
                    member: member.member,
                    original: before.map(|it| it.server_id.as_str()),
                    after: rebuild.after.clone(),
                    stage: REBUILD.servers,
                };
                for (p, (taken, id)) in
                    ready.taken.get(m).into_iter().flatten().zip(&ports).enumerate()
                {
                    take_over.lay_out(sketch, p, taken, id);
                }
                let volumes = rebuild.volumes(sketch, *m, member);
                (*m, rebuild.server(sketch, *m, member, ports, volumes, &shared))
            })
            .collect();
        self.soften(first_own);
        drill.before_managing(&mut self.sketch);
        let managed = steps.iter().flat_map(|(_, server)| server.volumes.values());
        let copies = &ready.makes_room;
        kept::remove(&mut self.sketch, self.request, copies, REBUILD.clone, "point", managed);
        let before = self.all_cloned();
        for step in self.sketch.steps_mut().filter(|step| step.kind == "create_server") {
            step.after.extend(before.iter().cloned());
            step.no_return = true;
        }
        steps
    }

    /// Its volumes are cloned all the same, so that a retry has the same point.
    fn leave_out(&mut self, out: &LeftOut<'_>, rebuild: &Rebuild<'_>) {
        let (m, name) = (out.m, out.member.spec.name.as_str());
        let after = vec!["begin".to_owned()];
        let refused = format!("m{m}.left_out");
        self.sketch.add_for(name, &refused, "refuse", 0, after, &out.why).on_failure =
            OnFailure::Isolate;
        if out.is_in_point() {
            for id in rebuild.clones(&mut self.sketch, m, out.member).into_values() {
                for step in self.sketch.steps_mut().filter(|step| step.id == id) {
                    step.on_failure = OnFailure::Isolate;
                }
            }
        }
    }

    /// One member's failure is its own.
    fn soften(&mut self, from: usize) {
        for step in self.sketch.steps_mut().skip(from) {
            step.on_failure = match step.kind.as_str() {
                // The server is up already, or can do without.
                "settle_power" | "finish_server" | "import_keypair" | "create_server_group" => {
                    OnFailure::Warn
                }
                _ => OnFailure::Isolate,
            };
        }
    }

    /// What must be done before the first server is made.
    fn all_cloned(&mut self) -> Vec<String> {
        let clones: Vec<String> = self
            .sketch
            .steps_mut()
            .filter(|step| step.kind == "clone_volume")
            .map(|step| step.id.clone())
            .collect();
        self.sketch.barrier("cloned", REBUILD.clone, clones);
        if self.is_retry() {
            return vec!["cloned".into()];
        }
        let input = steps::refuse_source::Input {
            array: self.ready.places.target_array,
            source_array: self.ready.source_array.clone(),
            array_group: self.request.group.array_group_name(),
        };
        let after = vec!["cloned".to_owned()];
        let step = self.sketch.add("close", "refuse_source", REBUILD.clone, after, input);
        (step.on_failure, step.deadline_sec) = (OnFailure::Warn, SOURCE_SEC);
        vec!["close".into(), "epoch".into()]
    }

    fn end(&mut self, servers: Vec<(usize, ServerSteps)>, fences: Vec<Fenced>) {
        let (ready, group) = (self.ready, &self.request.group);
        let mut after: Vec<String> = servers.iter().map(|(_, s)| s.last.clone()).collect();
        after.extend(ready.left_out.iter().map(|out| format!("m{}.left_out", out.m)));
        let lasts: Vec<String> = servers.iter().map(|(_, s)| s.last.clone()).collect();
        let members = servers
            .into_iter()
            .zip(&ready.members)
            .map(|((_, steps), (_, member))| steps::swap_primary::PlannedMember {
                member_id: member.member.id,
                server_from: steps.made_by,
                volumes_from: steps.volumes,
            })
            .collect();
        let input = steps::arrive::Planned {
            group_id: group.id,
            members,
            earlier: ready.earlier,
            total: self.request.members.len(),
            superseded: ready.facts.superseded.clone(),
            keep_sec: self.request.policy.retention.span().num_seconds(),
            target: Some(ready.places.target.site),
            point_from: "point".into(),
            fences,
        };
        self.sketch.add("arrive", "arrive", 5, after, input);
        for ((m, member), last) in ready.members.iter().zip(lasts) {
            self.retire(*m, member.member, last);
        }
        if ready.source_answers {
            let input = steps::stop_schedule::Input {
                array: ready.places.source_array,
                array_group: group.array_group_name(),
                pauses: true,
                was_on: None,
            };
            let after = vec!["arrive".to_owned()];
            let step = self.sketch.add("schedule", "stop_schedule", 5, after, input);
            (step.on_failure, step.deadline_sec) = (OnFailure::Warn, SOURCE_SEC);
        }
    }

    /// The server that the member had here before goes once its successor runs; with a branch that ended it stays.
    fn retire(&mut self, m: usize, member: &Member, last: String) {
        let Some(before) = self.ready.facts.superseded.get(&member.id) else { return };
        let input = steps::retire_server::Input {
            group_id: self.request.group.id,
            member_id: member.id,
            place: self.ready.places.target.clone(),
            server_id: before.server_id.clone(),
            displaces: false,
        };
        let after = vec!["arrive".to_owned(), last];
        let id = format!("m{m}.original");
        self.sketch.add_for(&member.spec.name, &id, "retire_server", 5, after, input).on_failure =
            OnFailure::Warn;
    }

    /// What the earlier attempt has made already is taken as it is.
    fn recall(&mut self) {
        let recalled = &self.ready.recalled.0;
        for step in self.sketch.steps_mut() {
            let Some(output) = recalled.get(&step.id) else { continue };
            let source = step.input.get("source_id").or_else(|| step.input.get("source_port_id"));
            let source_id = source.and_then(|id| id.as_str().map(str::to_owned));
            step.kind = "recall".into();
            let input = steps::recall::Input { output: output.clone(), source_id };
            step.input = serde_json::to_value(input).unwrap_or_default();
        }
    }
}
