//! Lays out the graph of steps of a failback. Pure.

use protector_core::PlanRequest;
use protector_types::{
    GroupStatus, KeptCopy, KeptThing, Member, MemberVolume, SiteId, VolumePlacement,
};
use protector_workflow::{OnFailure, Plan};

use super::{
    NAME, VERSION,
    originals::Original,
    plan::{Back, Leaving, Ready},
};
use crate::{
    drill::remains::Gone,
    failover,
    fencing::{self, Fencing},
    kept,
    rebuild::{Rebuild, ServerSteps, Shared, suffix, taken::TakeOver},
    replication::{self, Ship},
    sketch::Sketch,
    steps,
    unfencing::{Fenced, Recorded, Unfencing},
};

/// Stage of restores; the rebuilding ones are the failover's.
const CONTENT: usize = 2;
const SERVERS: usize = 4;
const FINAL: usize = 5;

/// Books copies of a member.
pub struct Copies<'a> {
    /// Who keeps them.
    pub request: &'a PlanRequest,
    /// Whose they are.
    pub member: &'a Member,
}

impl Copies<'_> {
    fn copy(&self, site_id: SiteId, thing: KeptThing, why: &str) -> KeptCopy {
        KeptCopy {
            id: KeptCopy::new_id(),
            site_id,
            thing,
            member_id: self.member.id,
            why: format!("{}: {why}", self.member.spec.name),
            operation_id: self.request.operation_id,
            kept_at: chrono::DateTime::UNIX_EPOCH,
            expires_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    /// A volume that no server uses any more.
    pub fn volume(
        &self,
        site: SiteId,
        volume: &MemberVolume,
        place: &VolumePlacement,
        why: &str,
    ) -> KeptCopy {
        let thing = KeptThing::CinderVolume {
            volume_id: place.volume_id.clone(),
            serial: place.serial.clone(),
            size_gib: volume.size_gib,
        };
        self.copy(site, thing, why)
    }

    /// What an original held.
    pub fn safety(&self, site: SiteId, array_volume: &str) -> KeptCopy {
        let name = format!("{array_volume}.{}", kept::safety_suffix(self.request.operation_id));
        self.copy(
            site,
            KeptThing::ArraySnapshot { name },
            "what the original held before the failback",
        )
    }
}

struct Layout<'a> {
    request: &'a PlanRequest,
    ready: &'a Ready<'a>,
    sketch: Sketch,
}

/// The plan.
pub fn lay_out(request: &PlanRequest, ready: &Ready<'_>) -> Plan {
    let mut layout = Layout { request, ready, sketch: Sketch::default() };
    layout.first_transfer();
    let drill = match &ready.remains {
        Some(remains) => remains.lay_out(&mut layout.sketch, 0, vec!["group".into()]),
        None => Gone::default(),
    };
    let secured = layout.originals();
    let fences = layout.fences(&secured);
    layout.final_transfer(fences);
    let up = layout.come_back(&secured, &drill);
    layout.finalization(up);
    Plan {
        definition: NAME.into(),
        version: VERSION,
        stages: failover::stages(),
        steps: layout.sketch.into_steps(),
        facts: serde_json::to_value(&ready.facts).unwrap_or_default(),
    }
}

/// The steps that prepared an original.
struct Secured {
    /// Verified, and secured, volume by volume: (array volume, volume inside the point, step).
    volumes: Vec<(String, String, String)>,
    /// With what its fence is taken back.
    fenced: Fenced,
}

/// Where the members are afterwards.
struct Up<'a> {
    last: Vec<String>,
    rebuilt: Vec<(&'a Leaving<'a>, ServerSteps)>,
}

impl<'a> Layout<'a> {
    /// The bulk moves while everything still runs.
    fn first_transfer(&mut self) {
        let back = &self.ready.back;
        back.set_up(&mut self.sketch, "group", 0, vec![], OnFailure::Rollback);
        let suffix = replication::suffix(self.request.operation_id, "pre");
        let ship = Ship {
            snapshot: "pre-snapshot",
            point: "pre-point",
            suffix: &suffix,
            taken_in: 0,
            awaited_in: 0,
            patience_sec: replication::BASELINE_SEC,
            on_failure: OnFailure::Rollback,
        };
        back.ship(&mut self.sketch, ship, vec!["group".into()]);
    }

    /// Originals are proven off and disconnected, and what they hold is secured, before anything is stopped.
    fn originals(&mut self) -> Vec<Option<Secured>> {
        let ready = self.ready;
        let mut secured = Vec::with_capacity(ready.leaving.len());
        for (m, leaving) in ready.leaving.iter().enumerate() {
            secured.push(match &leaving.back {
                Back::Reused(original) => Some(self.original(m, leaving.member, original)),
                Back::Rebuilt { .. } => None,
            });
        }
        secured
    }

    fn original(&mut self, m: usize, member: &Member, original: &Original) -> Secured {
        let (ready, name) = (self.ready, member.spec.name.as_str());
        let (here, there) = (ready.places.source.site, ready.places.target.site);
        let mut fenced = original.fenced.clone();
        let mut after = vec!["group".to_owned()];
        if let Some(running) = &original.fence_first {
            let fencing = Fencing {
                operation: self.request.operation_id,
                place: &ready.places.target,
                array: ready.places.target_array,
                stage: 0,
            };
            let prefix = format!("r{m}");
            after = vec![fencing.server(&mut self.sketch, &prefix, member, running, after)];
            if fenced.connections == Recorded::By(String::new()) {
                fenced.connections = Recorded::By(format!("{prefix}.record"));
            }
        }
        let verify = format!("r{m}.verify");
        let input = steps::verify_source::Input {
            place: ready.places.target.clone(),
            server_id: fenced.server_id.clone(),
            array: ready.places.target_array,
            volumes: fenced.volumes.clone(),
        };
        let step = self.sketch.add_for(name, &verify, "verify_source", 0, after, input);
        step.deadline_sec = 300;
        let mut volumes = Vec::new();
        for volume in &member.volumes {
            let (Some(from), Some(to)) =
                (volume.placements.get(&here), volume.placements.get(&there))
            else {
                continue;
            };
            let id = format!("r{m}.secure{}", volume.position);
            let input = steps::secure_volume::Input {
                array: ready.places.target_array,
                volume: to.array_volume.clone(),
                suffix: kept::safety_suffix(self.request.operation_id),
            };
            self.sketch.add_for(name, &id, "secure_volume", 0, vec![verify.clone()], input);
            volumes.push((to.array_volume.clone(), from.array_volume.clone(), id));
        }
        Secured { volumes, fenced }
    }

    /// Gives the last step of each member's fence. Nothing stops before the bulk is there and all originals are secured.
    fn fences(&mut self, secured: &[Option<Secured>]) -> Vec<String> {
        let ready = self.ready;
        let mut before = vec!["pre-point".to_owned()];
        before.extend(secured.iter().flatten().flat_map(|s| &s.volumes).map(|v| v.2.clone()));
        self.sketch.barrier("secured", 0, before);
        let fencing = Fencing {
            operation: self.request.operation_id,
            place: &ready.places.source,
            array: ready.places.source_array,
            stage: 0,
        };
        let sketch = &mut self.sketch;
        let members = ready.leaving.iter().enumerate();
        members
            .map(|(m, it)| {
                fencing.member(sketch, m, it.member, &it.running, vec!["secured".into()])
            })
            .collect()
    }

    fn final_transfer(&mut self, fences: Vec<String>) {
        let ship = Ship {
            snapshot: "snapshot",
            point: "point",
            suffix: &suffix(self.request.operation_id),
            taken_in: 1,
            awaited_in: 1,
            patience_sec: replication::DELTA_SEC,
            on_failure: OnFailure::Rollback,
        };
        self.ready.back.ship(&mut self.sketch, ship, fences);
    }

    fn come_back(&mut self, secured: &[Option<Secured>], drill: &Gone) -> Up<'a> {
        let ready = self.ready;
        let (mut last, mut rebuilt, mut restored) = (Vec::new(), Vec::new(), Vec::new());
        for (m, (leaving, secured)) in ready.leaving.iter().zip(secured).enumerate() {
            let Some(secured) = secured else { continue };
            let contents = self.contents(m, leaving.member, secured);
            restored.extend(contents.iter().cloned());
            let prefix = format!("r{m}");
            last.push(self.unfence(&prefix, leaving.member, &secured.fenced, contents));
        }
        if !restored.is_empty() {
            // Originals are in Cinder already: the stage has nothing else to do for them.
            self.sketch.barrier("managed", 3, restored);
        }
        let made = self.rebuild(drill);
        for (leaving, steps) in made {
            last.push(steps.last.clone());
            rebuilt.push((leaving, steps));
        }
        for (n, (member, fenced)) in ready.stayed.iter().enumerate() {
            let after = vec!["point".to_owned()];
            last.push(self.unfence(&format!("s{n}"), member, fenced, after));
        }
        Up { last, rebuilt }
    }

    fn unfence(
        &mut self,
        prefix: &str,
        member: &Member,
        fenced: &Fenced,
        after: Vec<String>,
    ) -> String {
        let unfencing = Unfencing {
            operation: self.request.operation_id,
            place: &self.ready.places.target,
            array: self.ready.places.target_array,
            stage: SERVERS,
            keep_sec: self.ready.facts.keep_sec,
        };
        unfencing.server(&mut self.sketch, prefix, member, fenced, after)
    }

    fn contents(&mut self, m: usize, member: &Member, secured: &Secured) -> Vec<String> {
        let mut ids = Vec::new();
        for (n, (volume, source_volume, safety)) in secured.volumes.iter().enumerate() {
            let id = format!("r{m}.content{n}");
            let input = steps::restore_content::Planned {
                array: self.ready.places.target_array,
                volume: volume.clone(),
                point_from: "point".into(),
                source_volume: source_volume.clone(),
                safety_from: safety.clone(),
            };
            let after = vec!["point".to_owned(), safety.clone()];
            let name = &member.spec.name;
            self.sketch.add_for(name, &id, "restore_content", CONTENT, after, input);
            ids.push(id);
        }
        ids
    }

    fn rebuild(&mut self, drill: &Gone) -> Vec<(&'a Leaving<'a>, ServerSteps)> {
        let ready = self.ready;
        let rebuild = Rebuild {
            operation: self.request.operation_id,
            source_site: ready.places.source.site,
            target: &ready.places.target,
            array: ready.places.target_array,
            cinder_host: &ready.cinder_host,
            volume_type: &ready.volume_type,
            point_from: "point",
            stages: failover::layout::REBUILD,
            after: ["secured".to_owned()].into_iter().chain(drill.ports.clone()).collect(),
            name_suffix: "",
            keeps_writes: Some(self.request.policy.retention.span().num_seconds()),
            keeps_clones: false,
        };
        let members: Vec<_> = ready
            .leaving
            .iter()
            .filter_map(|l| match &l.back {
                Back::Rebuilt { ready, .. } => Some(ready.as_ref().clone()),
                Back::Reused(_) => None,
            })
            .collect();
        let shared = rebuild.shared(&mut self.sketch, &members);
        let mut made = Vec::new();
        for (m, leaving) in ready.leaving.iter().enumerate() {
            if let Some(steps) = self.rebuild_one(&rebuild, &shared, m, leaving) {
                made.push((leaving, steps));
            }
        }
        let managed = made.iter().flat_map(|(_, steps)| steps.volumes.values());
        let copies = &ready.makes_room;
        kept::remove(&mut self.sketch, self.request, copies, CONTENT, "point", managed);
        drill.before_managing(&mut self.sketch);
        made
    }

    fn rebuild_one(
        &mut self,
        rebuild: &Rebuild<'_>,
        shared: &Shared,
        m: usize,
        leaving: &Leaving<'_>,
    ) -> Option<ServerSteps> {
        let Back::Rebuilt { ready, ports, original } = &leaving.back else { return None };
        let ids = rebuild.ports(&mut self.sketch, m, ready, shared);
        let take_over = TakeOver {
            place: &self.ready.places.target,
            m,
            member: leaving.member,
            original: original.as_deref(),
            after: vec!["secured".to_owned()],
            stage: SERVERS,
        };
        for (p, (taken, id)) in ports.iter().zip(&ids).enumerate() {
            take_over.lay_out(&mut self.sketch, p, taken, id);
        }
        let volumes = rebuild.volumes(&mut self.sketch, m, ready);
        Some(rebuild.server(&mut self.sketch, m, ready, ids, volumes, shared))
    }

    fn finalization(&mut self, up: Up<'_>) {
        let ready = self.ready;
        self.sketch.barrier("up", SERVERS, up.last.clone());
        let mut verified = Vec::new();
        for (m, leaving) in ready.leaving.iter().enumerate() {
            let id = format!("m{m}.verify");
            let input = steps::verify_source::Input {
                place: ready.places.source.clone(),
                server_id: leaving.running.server_id.clone(),
                array: ready.places.source_array,
                volumes: fencing::array_volumes(leaving.member, ready.places.source.site),
            };
            let (name, after) = (&leaving.member.spec.name, vec!["up".to_owned()]);
            let step = self.sketch.add_for(name, &id, "verify_source", FINAL, after, input);
            step.deadline_sec = 300;
            verified.push(id);
        }
        let input = self.swap(&up);
        self.sketch.add("swap", "swap_back", FINAL, verified, input).no_return = true;
        let input = steps::push_group::Input { group_id: self.request.group.id };
        let step = self.sketch.add("push", "push_group", FINAL, vec!["swap".into()], input);
        (step.on_failure, step.deadline_sec) = (OnFailure::Warn, 60);
        for (m, leaving) in ready.leaving.iter().enumerate() {
            self.retire(m, leaving);
        }
        self.replicate_again(&up);
    }

    fn swap(&self, up: &Up<'_>) -> steps::swap_back::Planned {
        let (ready, group) = (self.ready, &self.request.group);
        let fence = |(m, leaving): (usize, &Leaving<'_>)| steps::swap_primary::PlannedFence {
            record: fencing::unfinished_record(
                self.request.operation_id,
                group.epoch.number,
                ready.places.source.site,
                leaving.member,
                &leaving.recorded,
            ),
            connections_from: format!("m{m}.record"),
        };
        let rebuilt =
            up.rebuilt.iter().map(|(leaving, steps)| steps::swap_primary::PlannedMember {
                member_id: leaving.member.id,
                server_from: steps.made_by.clone(),
                volumes_from: steps.volumes.clone(),
            });
        steps::swap_back::Planned {
            group_id: group.id,
            new_primary: ready.places.target.site,
            raised_by: self.request.local_site,
            status: if ready.retires { GroupStatus::Active } else { GroupStatus::FailedOver },
            rebuilt: rebuilt.collect(),
            fences: ready.leaving.iter().enumerate().map(fence).collect(),
            unfenced: self.request.members.iter().map(|m| m.id).collect(),
            kept: ready.kept.clone(),
            keep_sec: ready.facts.keep_sec,
        }
    }

    /// What is left behind goes, once its successor is up: the server, then its ports. Its volumes are kept.
    fn retire(&mut self, m: usize, leaving: &Leaving<'_>) {
        let (ready, name) = (self.ready, leaving.member.spec.name.as_str());
        let input = |place, server_id: &str, displaces| steps::retire_server::Input {
            group_id: self.request.group.id,
            member_id: leaving.member.id,
            place,
            server_id: server_id.to_owned(),
            displaces,
        };
        let source = input(ready.places.source.clone(), &leaving.running.server_id, true);
        let old = match &leaving.back {
            Back::Rebuilt { original: Some(old), .. } => {
                Some(input(ready.places.target.clone(), old, false))
            }
            _ => None,
        };
        let after = || vec!["swap".to_owned()];
        if let Some(old) = old {
            let id = format!("m{m}.original");
            self.sketch.add_for(name, &id, "retire_server", FINAL, after(), old).on_failure =
                OnFailure::Warn;
        }
        if !ready.retires {
            return;
        }
        let retire = format!("m{m}.retire");
        self.sketch.add_for(name, &retire, "retire_server", FINAL, after(), source).on_failure =
            OnFailure::Warn;
        for (p, port_id) in leaving.ports.iter().enumerate() {
            let id = format!("m{m}.unplug{p}");
            let input = steps::delete_port::Input {
                place: ready.places.source.clone(),
                port_id: port_id.clone(),
            };
            let after = vec![retire.clone()];
            self.sketch.add_for(name, &id, "delete_port", FINAL, after, input).on_failure =
                OnFailure::Warn;
        }
    }

    /// The old direction off; the new one ready, and with `reverse_replication` running.
    fn replicate_again(&mut self, up: &Up<'_>) {
        let ready = self.ready;
        let mut forth = ready.forth.clone();
        forth.volumes_from =
            up.rebuilt.iter().flat_map(|(_, steps)| steps.volumes.values().cloned()).collect();
        let sketch = &mut self.sketch;
        ready.back.stop(sketch, "old", FINAL, vec!["swap".into()], true);
        if !ready.retires {
            return;
        }
        forth.set_up(sketch, "forth", FINAL, vec!["old".into()], OnFailure::Warn);
        if !ready.facts.reverse_replication {
            return;
        }
        let suffix = replication::suffix(self.request.operation_id, "first");
        let ship = Ship {
            snapshot: "first-snapshot",
            point: "first-point",
            suffix: &suffix,
            taken_in: FINAL,
            awaited_in: FINAL,
            patience_sec: replication::BASELINE_SEC,
            on_failure: OnFailure::Warn,
        };
        forth.ship(sketch, ship, vec!["forth".into()]);
        forth.start(sketch, "first-start", FINAL, vec!["first-point".into()], OnFailure::Warn);
    }
}
