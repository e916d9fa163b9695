//! Plans a failback: gathers facts, decides per member whether its original is used again, checks everything for **all**
//! members, refuses with every reason at once.

use std::collections::BTreeMap;

use protector_core::PlanRequest;
use protector_types::{
    Code, Fence, GroupId, KeptCopy, Member, MemberId, OperationId, OperationType, Refusal, SiteId,
};
use protector_workflow::Plan;
use serde::{Deserialize, Serialize};

use super::{
    layout,
    originals::{self, Leftovers, Original},
};
use crate::{
    deps::Deps,
    drill::remains::Remains,
    facts::{self, Places, Reasons, SourceFacts, TargetFacts},
    failover::plan::{running, source_server},
    fencing::Running,
    kept::{self, Need},
    preview,
    rebuild::{
        ReadyMember, checks, ready_member, resolve,
        taken::{Taken, own_ports, taken},
    },
    replication::{self, Direction, Mirror},
    sync_volumes::plan::well_formed,
    unfencing::Fenced,
};

/// What the plan was decided on; stored with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanFacts {
    /// The operation.
    pub operation_id: OperationId,
    /// The group.
    pub group_id: GroupId,
    /// Name of the site that is left.
    pub source_site: String,
    /// Name of the site that is moved to.
    pub target_site: String,
    /// What is known beforehand not to be kept.
    pub not_preserved: Vec<String>,
    /// Members by name.
    pub members: BTreeMap<String, MemberId>,
    /// Members whose originals take their content back.
    pub reused: Vec<String>,
    /// Members that are rebuilt, and why their originals cannot be used.
    pub rebuilt: BTreeMap<String, String>,
    /// Members that never ran at the current primary, and what happens to their originals.
    pub not_overwritten: BTreeMap<String, String>,
    /// Old -> new of the servers whose originals are used again.
    pub servers: BTreeMap<String, String>,
    /// The same of their volumes.
    pub volumes: BTreeMap<String, String>,
    /// Replicate again afterwards.
    pub reverse_replication: bool,
    /// Seconds for which superseded copies are kept.
    pub keep_sec: i64,
    /// What a person should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// How a member comes back.
pub enum Back<'a> {
    /// Its original takes its content back.
    Reused(Original),
    /// It is rebuilt.
    Rebuilt {
        /// Resolved for the site.
        ready: Box<ReadyMember<'a>>,
        /// Its ports, in interface order.
        ports: Vec<Taken>,
        /// Its original, which goes afterwards.
        original: Option<String>,
    },
}

/// A member that runs at the current primary.
pub struct Leaving<'a> {
    /// The member.
    pub member: &'a Member,
    /// Its server at the current primary.
    pub running: Running,
    /// The same as it is recorded: what an open drill has stopped counts as running.
    pub recorded: Running,
    /// The ports that it has there.
    pub ports: Vec<String>,
    /// How it comes back.
    pub back: Back<'a>,
}

/// Everything the layout needs.
pub struct Ready<'a> {
    /// Where: from the current primary to where members come back to.
    pub places: Places,
    /// Members that move, in order.
    pub leaving: Vec<Leaving<'a>>,
    /// Members that never ran at the current primary, with their fence.
    pub stayed: Vec<(&'a Member, Fenced)>,
    /// Replication towards the site that is moved to.
    pub back: Direction,
    /// Replication afterwards, without the volumes of rebuilt members.
    pub forth: Direction,
    /// `host@backend#pool`.
    pub cinder_host: String,
    /// Target type id.
    pub volume_type: String,
    /// What is kept.
    pub kept: Vec<KeptCopy>,
    /// What is left behind is deleted (failback); else it stays, fenced (failover).
    pub retires: bool,
    /// Kept copies that make room.
    pub makes_room: Vec<KeptCopy>,
    /// What is left of an open drill at the target; goes first.
    pub remains: Option<Remains>,
    /// Stored with the plan.
    pub facts: PlanFacts,
}

/// Whether a failover finds originals at its target: members that were there before the roles were swapped. They come
/// back as in a failback.
pub fn returns(request: &PlanRequest) -> bool {
    let target = request.group.current_secondary_site_id();
    request.members.iter().any(|member| member.servers.contains_key(&target))
}

/// Plans a failback to the site where the group was created, or a failover to a site that has originals.
///
/// # Errors
/// A [`Refusal`] with every reason.
pub async fn plan(deps: &Deps, request: &PlanRequest) -> Result<Plan, Refusal> {
    let retires = request.operation == OperationType::Failback;
    let target_site = match retires {
        true => request.group.primary_site_id,
        false => request.group.current_secondary_site_id(),
    };
    let places = facts::places(request, target_site)?;
    let name =
        |site: SiteId| request.site_names.get(&site).cloned().unwrap_or_else(|| site.to_string());
    let names = (name(places.source.site), name(target_site));
    let array_group = request.group.array_group_name();
    let (source, target, left, forth) = futures::join!(
        facts::source(deps, &places, &array_group),
        facts::target(deps, &places),
        originals::look(deps, &places, &request.members),
        replication::schedule_of(deps, places.target_array, &array_group)
    );
    let source = source.map_err(facts::cannot_look(&names.0))?;
    let mut target = target.map_err(facts::cannot_look(&names.1))?;
    let volumes = replication::volumes_at(request, places.source.site);
    let mirror = replication::mirror(deps, request, target_site, &volumes).await;
    let mirror = mirror.map_err(facts::cannot_look(&names.1))?;
    let left = left.map_err(facts::cannot_look(&names.1))?;
    let schedules = [
        source.group.as_ref().map(|group| group.schedule_enabled),
        forth.map_err(facts::cannot_look(&names.1))?,
    ];
    // A drill that is open while the group comes back was made where it runs now: its cleanup is its end.
    let remains = match retires {
        true => None,
        false => {
            let remains = Remains::of(deps, request, &places).await;
            remains.map_err(facts::cannot_look(&names.1))?
        }
    };
    if let Some(remains) = &remains {
        remains.count_as_free(&mut target);
    }
    let looked = Looked {
        request,
        retires,
        places,
        names,
        source,
        target,
        left,
        mirror,
        schedules,
        remains,
    };
    let target = looked.target.clone();
    let ready = looked.decide()?;
    let mut plan = layout::lay_out(request, &ready);
    preview::attach(&mut plan, request, &target, None);
    well_formed(plan)
}

struct Looked<'a> {
    request: &'a PlanRequest,
    retires: bool,
    places: Places,
    names: (String, String),
    source: SourceFacts,
    target: TargetFacts,
    left: Leftovers,
    mirror: Mirror,
    /// Of the way back and of the way forth.
    schedules: [Option<bool>; 2],
    remains: Option<Remains>,
}

impl<'a> Looked<'a> {
    fn fence(&self, member: &Member) -> Option<&'a Fence> {
        let site = self.places.target.site;
        self.request.fences.iter().find(|f| f.member_id == member.id && f.site_id == site)
    }

    fn decide(self) -> Result<Ready<'a>, Refusal> {
        let mut reasons = Reasons::default();
        let mut facts = self.facts();
        let here = self.places.source.site;
        replication::check_link(
            &self.source.array,
            &self.source.links,
            &self.target.array,
            &mut reasons,
        );
        if let Mirror::Unusable(why) = &self.mirror {
            reasons.add(
                Code::ReplicationNotReady,
                None,
                format!(
                    "{why}; the volumes at {} reach the other array once they have the group's synchronous type again, \
                     which sync_volumes or reprotect gives them",
                    self.names.0
                ),
            );
        }
        let (ran, never): (Vec<&Member>, Vec<&Member>) =
            self.request.members.iter().partition(|m| m.servers.contains_key(&here));
        if ran.is_empty() {
            reasons.add(
                Code::NoMembers,
                None,
                format!("no member runs at {}; there is nothing to bring back", self.names.0),
            );
        }
        let leaving = self.leaving(&ran, &mut facts, &mut reasons);
        let stayed: Vec<_> =
            never.iter().filter_map(|member| self.stayed(member, &mut facts)).collect();
        let (makes_room, cinder_host, volume_type) = self.room(&leaving, &mut reasons);
        reasons.into_result()?;
        let volumes = replication::volumes_at(self.request, here);
        let back =
            Direction::new(self.request, here, &self.source.array, &self.target.array, volumes);
        let forth = Direction::new(
            self.request,
            self.places.target.site,
            &self.target.array,
            &self.source.array,
            self.staying_volumes(&leaving),
        );
        let kept = self.kept(&leaving);
        let [on_way_back, on_way_forth] = self.schedules;
        Ok(Ready {
            leaving,
            stayed,
            back: back.scheduled(on_way_back),
            forth: forth.scheduled(on_way_forth),
            cinder_host,
            volume_type,
            kept,
            retires: self.retires,
            makes_room,
            remains: self.remains,
            facts,
            places: self.places,
        })
    }

    fn facts(&self) -> PlanFacts {
        let request = self.request;
        PlanFacts {
            operation_id: request.operation_id,
            group_id: request.group.id,
            source_site: self.names.0.clone(),
            target_site: self.names.1.clone(),
            not_preserved: Vec::new(),
            members: request.members.iter().map(|m| (m.spec.name.clone(), m.id)).collect(),
            reused: Vec::new(),
            rebuilt: BTreeMap::new(),
            not_overwritten: BTreeMap::new(),
            servers: BTreeMap::new(),
            volumes: BTreeMap::new(),
            reverse_replication: request.params.reverse_replication,
            keep_sec: request.policy.retention.span().num_seconds(),
            warnings: self.remains.iter().map(Remains::warning).collect(),
        }
    }

    fn leaving(
        &self,
        ran: &[&'a Member],
        facts: &mut PlanFacts,
        reasons: &mut Reasons,
    ) -> Vec<Leaving<'a>> {
        let mappings = resolve::Mappings::new(
            self.request,
            self.places.source.site,
            Some(&self.source),
            &self.target,
            reasons,
        );
        let mut leaving = Vec::with_capacity(ran.len());
        for &member in ran {
            let Some(server) = source_server(member, &self.places, &self.source, reasons) else {
                continue;
            };
            let running = running(server);
            // What the drill has stopped ran, and is to run again.
            let drilled = self.remains.as_ref().is_some_and(|r| r.has_stopped(&server.id));
            let recorded = Running { was_active: running.was_active || drilled, ..running.clone() };
            let ports = self.left.source_ports.iter().filter(|p| p.device_id == server.id);
            let ports = ports.map(|p| p.id.clone()).collect();
            let site = self.places.target.site;
            let fence = self.fence(member);
            let original = self.left.original(member, site, fence, recorded.was_active);
            let back = match original {
                Ok(original) => {
                    self.note_reused(member, &original, facts);
                    Back::Reused(original)
                }
                Err(why) => {
                    facts.rebuilt.insert(member.spec.name.clone(), why);
                    let Some(back) = self.rebuilt(member, &recorded, &mappings, facts, reasons)
                    else {
                        continue;
                    };
                    back
                }
            };
            leaving.push(Leaving { member, running, recorded, ports, back });
        }
        leaving
    }

    fn note_reused(&self, member: &Member, original: &Original, facts: &mut PlanFacts) {
        let (here, there) = (self.places.source.site, self.places.target.site);
        facts.reused.push(member.spec.name.clone());
        if let Some(old) = member.servers.get(&here) {
            facts.servers.insert(old.clone(), original.fenced.server_id.clone());
        }
        for volume in &member.volumes {
            if let (Some(old), Some(new)) =
                (volume.placements.get(&here), volume.placements.get(&there))
            {
                facts.volumes.insert(old.volume_id.clone(), new.volume_id.clone());
            }
        }
    }

    fn rebuilt(
        &self,
        member: &'a Member,
        running: &Running,
        mappings: &resolve::Mappings,
        facts: &mut PlanFacts,
        reasons: &mut Reasons,
    ) -> Option<Back<'a>> {
        let original = self.left.server(member, self.places.target.site);
        if let Some(original) = original
            && original.status != "SHUTOFF"
        {
            reasons.add(
                Code::MemberNotReady,
                Some(&member.spec.name),
                format!(
                    "its original {} is {} and cannot be used again; stop or delete it first",
                    original.id, original.status
                ),
            );
        }
        let original = original.map(|server| server.id.clone());
        let (own, others) = own_ports(member, original.as_deref(), &self.target.ports);
        let target = TargetFacts { ports: others, ..self.target.clone() };
        let ready = ready_member(
            member,
            Some(running.clone()),
            Some(&self.source),
            &target,
            mappings,
            &mut facts.not_preserved,
            reasons,
        )?;
        let ports = taken(&ready, &own);
        Some(Back::Rebuilt { ready: Box::new(ready), ports, original })
    }

    /// A member that never ran at the current primary: its newest data is at the original site.
    fn stayed(&self, member: &'a Member, facts: &mut PlanFacts) -> Option<(&'a Member, Fenced)> {
        let name = member.spec.name.clone();
        let site = self.places.target.site;
        let server = self.left.server(member, site);
        let (what, fenced) = match (server, self.fence(member)) {
            (None, _) => ("its original no longer exists".to_owned(), None),
            (Some(server), Some(fence)) if fence.server_id == server.id => {
                let what = if fence.was_active { "and started" } else { "and left off, as it was" };
                (format!("original {} unfenced {what}", server.id), Some(Fenced::from(fence)))
            }
            (Some(server), _) => {
                (format!("original {} was not fenced and is left as it is", server.id), None)
            }
        };
        facts.not_overwritten.insert(
            name,
            format!(
                "never ran at {}; its newest data is at {}: {what}",
                self.names.0, self.names.1
            ),
        );
        fenced.map(|fenced| (member, fenced))
    }

    /// Quota, type and pool for what is rebuilt.
    fn room(
        &self,
        leaving: &[Leaving<'a>],
        reasons: &mut Reasons,
    ) -> (Vec<KeptCopy>, String, String) {
        let rebuilt: Vec<&Leaving<'a>> =
            leaving.iter().filter(|l| matches!(l.back, Back::Rebuilt { .. })).collect();
        if rebuilt.is_empty() {
            return (Vec::new(), String::new(), String::new());
        }
        let site = self.places.target.site;
        let need = Need::of(rebuilt.iter().map(|l| l.member));
        let (makes_room, quota) =
            kept::make_room(self.request, site, self.target.storage_quota, need);
        let target = TargetFacts { storage_quota: quota, ..self.target.clone() };
        let request = PlanRequest {
            members: rebuilt.iter().map(|l| l.member.clone()).collect(),
            ..self.request.clone()
        };
        let ready: Vec<ReadyMember<'_>> = rebuilt
            .iter()
            .filter_map(|l| match &l.back {
                Back::Rebuilt { ready, .. } => Some(ready.as_ref().clone()),
                Back::Reused(_) => None,
            })
            .collect();
        checks::quota(&request, &ready, &target, reasons);
        let volume_type = checks::clone_type(&request, site, &target, reasons);
        let host = checks::target_pool(&request, site, volume_type, &target, reasons);
        let volume_type = volume_type.map(|t| t.id.clone()).unwrap_or_default();
        (makes_room, host.unwrap_or_default(), volume_type)
    }

    /// Array volumes at the site that is moved to, of members that are not rebuilt.
    fn staying_volumes(&self, leaving: &[Leaving<'_>]) -> Vec<String> {
        let rebuilt = |member: &Member| {
            leaving
                .iter()
                .any(|l| l.member.id == member.id && matches!(l.back, Back::Rebuilt { .. }))
        };
        let site = self.places.target.site;
        self.request
            .members
            .iter()
            .filter(|member| !rebuilt(member) && self.left.server(member, site).is_some())
            .flat_map(|member| crate::fencing::array_volumes(member, site))
            .collect()
    }

    /// Volumes that are left behind, at both sites, and what originals held.
    fn kept(&self, leaving: &[Leaving<'_>]) -> Vec<KeptCopy> {
        let mut kept = Vec::new();
        let (here, there) = (self.places.source.site, self.places.target.site);
        for it in leaving {
            let copies = layout::Copies { request: self.request, member: it.member };
            for volume in &it.member.volumes {
                if let Some(place) = volume.placements.get(&here).filter(|_| self.retires) {
                    kept.push(copies.volume(here, volume, place, "left behind by the failback"));
                }
            }
            match &it.back {
                Back::Reused(_) => {
                    let names = crate::fencing::array_volumes(it.member, there);
                    kept.extend(names.iter().map(|name| copies.safety(there, name)));
                }
                Back::Rebuilt { .. } => {
                    for (volume, place) in self.left.abandoned(it.member, there) {
                        let why = "of the original, which was rebuilt by the failback";
                        kept.push(copies.volume(there, volume, place, why));
                    }
                }
            }
        }
        kept
    }
}
