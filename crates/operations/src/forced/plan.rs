//! Plans a forced failover: what the target and its array say decides; the source is asked for a moment only.

use std::{collections::BTreeMap, time::Duration};

use protector_core::PlanRequest;
use protector_ports::{RecoveryPoint, Server};
use protector_types::{Code, GroupId, KeptCopy, Member, OperationId, Reason, Refusal, SiteId};
use protector_workflow::Plan;
use serde::{Deserialize, Serialize};

use super::{fit, layout, retry::Recalled, superseded};
use crate::{
    deps::Deps,
    drill::remains::Remains,
    facts::{self, Places, Reasons, SourceFacts, TargetFacts},
    fencing::{self, Running},
    kept, points, preview,
    rebuild::{
        ReadyMember, checks, ready_member, resolve,
        taken::{Taken, taken},
    },
    replication::{self, Mirror},
};

/// How long the source is asked, in real time whatever the injected clock does: a person waits for the answer.
const SOURCE_PATIENCE: Duration = Duration::from_secs(3);

/// What the plan was decided on; stored with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    /// The group.
    pub group_id: GroupId,
    /// Name of the site that is lost.
    pub source_site: String,
    /// Its id.
    pub source_site_id: SiteId,
    /// Name of the site that is moved to.
    pub target_site: String,
    /// The site that drives it, and raises the epochs.
    pub driven_by: SiteId,
    /// What is known beforehand not to be kept.
    pub not_preserved: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The partial failover that this one completes.
    pub retry_of: Option<OperationId>,
    /// Servers that the members had at the target before.
    #[serde(default)]
    pub superseded: superseded::All,
}

/// A member that is not brought up, and why.
pub struct LeftOut<'a> {
    /// Position in the group.
    pub m: usize,
    /// The member.
    pub member: &'a Member,
    /// The recovery point holds its volumes.
    pub in_point: bool,
    /// For a person.
    pub why: String,
}

impl LeftOut<'_> {
    /// Its volumes can be cloned for a retry.
    pub fn is_in_point(&self) -> bool {
        self.in_point
    }
}

/// Everything the layout needs.
pub struct Ready<'a> {
    /// Where.
    pub places: Places,
    /// Members that are brought up, with their position in the group.
    pub members: Vec<(usize, ReadyMember<'a>)>,
    /// Those that are not.
    pub left_out: Vec<LeftOut<'a>>,
    /// Members that came up earlier.
    pub earlier: usize,
    /// `host@backend#pool`.
    pub cinder_host: String,
    /// Target type id.
    pub volume_type: String,
    /// The source array's name as the target knows it.
    pub source_array: String,
    /// The source answers: it is fenced first.
    pub source_answers: bool,
    /// The target holds every write at any moment: its point is taken there.
    pub mirrored: bool,
    /// What is left of an open drill; goes first.
    pub remains: Option<Remains>,
    /// Kept copies that make room.
    pub makes_room: Vec<KeptCopy>,
    /// Ports that members have at the target already, by position in the group.
    pub taken: BTreeMap<usize, Vec<Taken>>,
    /// What an earlier attempt made.
    pub recalled: Recalled,
    /// Stored with the plan.
    pub facts: Facts,
}

/// What decides about members.
pub struct Look<'a> {
    /// Where.
    pub places: Places,
    /// What the source says, if it answers.
    pub source: Option<SourceFacts>,
    /// What the target says.
    pub target: TargetFacts,
    /// What is left of an open drill.
    pub remains: Option<Remains>,
    /// Kept copies that make room.
    pub makes_room: Vec<KeptCopy>,
    /// Servers that members had at the target before.
    pub superseded: superseded::All,
    /// The project's servers at the target, if any is superseded.
    pub servers: BTreeMap<String, Server>,
    /// Ports that members have at the target already.
    pub taken: BTreeMap<usize, Vec<Taken>>,
    /// The copy of a synchronous group at the target.
    pub mirror: Mirror,
    /// Points on the target array.
    pub points: Vec<RecoveryPoint>,
    /// The source array's name as the target knows it.
    pub source_array: String,
    /// Names of both sites: source, target.
    pub names: (String, String),
    /// The request.
    pub request: &'a PlanRequest,
}

/// Plans a forced failover to the site that survives.
///
/// # Errors
/// A [`Refusal`] with every reason.
pub async fn plan(deps: &Deps, request: &PlanRequest) -> Result<Plan, Refusal> {
    let target_site = request.group.current_secondary_site_id();
    let members: Vec<(usize, &Member)> = request.members.iter().enumerate().collect();
    let mut look = look(deps, request, &members, target_site, true).await?;
    let mut warnings = warnings(&look);
    let mut reasons = Reasons::default();
    let left_out = without_point(&look, &members, &mut reasons);
    let (ready, more, not_preserved) = members_of(&mut look, &members, &mut reasons);
    let (fitting, short) = fit::split(ready, &look.target);
    let out = |in_point: bool| {
        move |(m, why): (usize, String)| LeftOut { m, member: &request.members[m], in_point, why }
    };
    let mut left_out: Vec<_> = left_out.into_iter().map(out(false)).collect();
    for other in more.into_iter().chain(short).map(out(true)) {
        if left_out.iter().all(|known| known.m != other.m) {
            left_out.push(other);
        }
    }
    finish(&mut look, fitting, left_out, &mut warnings, reasons).map(|mut ready| {
        ready.facts.not_preserved = not_preserved;
        let mut plan = layout::lay_out(request, &ready);
        show(&mut plan, request, &look);
        plan
    })
}

/// What a preview shows: the point as it would be chosen now; one that a reachable source takes first is not there yet.
pub fn show(plan: &mut Plan, request: &PlanRequest, look: &Look<'_>) {
    let source = look.places.source.site;
    let volumes: Vec<String> =
        request.members.iter().flat_map(|m| fencing::array_volumes(m, source)).collect();
    let named = request.params.recovery_point.as_deref();
    let point = points::choose(&look.points, &volumes, named).ok();
    let point = point.or_else(|| points::newest_complete(&look.points));
    preview::attach(plan, request, &look.target, point);
}

/// Reads what there is to read. The source is asked only if `ask_source`, and briefly.
///
/// # Errors
/// When the target does not answer.
pub async fn look<'a>(
    deps: &Deps,
    request: &'a PlanRequest,
    members: &[(usize, &Member)],
    target_site: SiteId,
    ask_source: bool,
) -> Result<Look<'a>, Refusal> {
    let places = facts::places(request, target_site)?;
    let name =
        |site: SiteId| request.site_names.get(&site).cloned().unwrap_or_else(|| site.to_string());
    let names = (name(places.source.site), name(target_site));
    let array_group = request.group.array_group_name();
    let source_array = request.policy.array_names.get(&places.source.site).cloned();
    let source_array = source_array.ok_or_else(|| {
        Refusal::new(
            Code::ReplicationNotReady,
            format!(
                "the name of the array of {} is not known here; set the replication policy again",
                names.0
            ),
        )
    })?;
    let ask = async {
        let asked =
            tokio::time::timeout(SOURCE_PATIENCE, facts::source(deps, &places, &array_group));
        if ask_source { asked.await.ok().and_then(Result::ok) } else { None }
    };
    let points = async {
        places.target_array.array(deps).await?.recovery_points(&source_array, &array_group).await
    };
    let volumes = replication::volumes_at(request, places.source.site);
    let (source, target, points, mirror, remains) = futures::join!(
        ask,
        facts::target(deps, &places),
        points,
        replication::mirror(deps, request, target_site, &volumes),
        Remains::of(deps, request, &places)
    );
    let target_name = names.1.clone();
    let cannot_look = facts::cannot_look(&target_name);
    let mut target = target.map_err(&cannot_look)?;
    let points = points.map_err(&cannot_look)?;
    let mirror = mirror.map_err(&cannot_look)?;
    let remains = remains.map_err(&cannot_look)?;
    if let Some(remains) = &remains {
        remains.count_as_free(&mut target);
    }
    let need = kept::Need::of(members.iter().map(|(_, member)| *member));
    let (makes_room, quota) = kept::make_room(request, target_site, target.storage_quota, need);
    target.storage_quota = quota;
    let was_there = members.iter().any(|(_, m)| superseded::was_there(m, target_site));
    let (servers, superseded) = match was_there {
        true => superseded::look(deps, request, members, &places).await.map_err(&cannot_look)?,
        false => Default::default(),
    };
    Ok(Look {
        places,
        source,
        target,
        remains,
        makes_room,
        superseded,
        servers,
        taken: BTreeMap::new(),
        mirror,
        points,
        source_array,
        names,
        request,
    })
}

fn warnings(look: &Look<'_>) -> Vec<String> {
    let (source, _) = &look.names;
    let mut warnings = vec![match look.source {
        Some(_) => format!(
            "{source} answers although the failover is forced: its servers are stopped, locked and disconnected first, \
             and a final snapshot is tried"
        ),
        None => format!(
            "{source} does not answer: its metadata is not updated; run sync-force once it is back. Its servers come up \
             as they were when they were last read, {}",
            off_words(look.request)
        ),
    }];
    warnings.extend(look.remains.as_ref().map(Remains::warning));
    warnings
}

/// Who stays off, and since when that is known: a tenant who has started one meanwhile has to start it again.
fn off_words(request: &PlanRequest) -> String {
    let off = request.members.iter().filter(|member| member.spec.was_off);
    let off: Vec<_> = off
        .map(|member| {
            let read = member.observed_at.format("%Y-%m-%dT%H:%M:%SZ");
            format!("{} (read {read})", member.spec.name)
        })
        .collect();
    match off.as_slice() {
        [] => "all of them on".to_owned(),
        off => format!("all of them on but {}", off.join(", ")),
    }
}

/// Members of which no complete point holds everything, if the others can do without them; else a reason.
fn without_point(
    look: &Look<'_>,
    members: &[(usize, &Member)],
    reasons: &mut Reasons,
) -> Vec<(usize, String)> {
    let site = look.places.source.site;
    let volumes = |member: &Member| fencing::array_volumes(member, site);
    let all: Vec<String> = members.iter().flat_map(|(_, member)| volumes(member)).collect();
    let params = &look.request.params;
    look.mirror.check(reasons);
    if look.mirror == Mirror::Online && params.recovery_point.is_none() {
        // Its point is taken when it is needed, with every volume.
        return Vec::new();
    }
    let Err(why) = points::choose(&look.points, &all, params.recovery_point.as_deref()) else {
        return Vec::new();
    };
    let newest = points::newest_complete(&look.points)
        .filter(|_| params.allow_partial && params.recovery_point.is_none());
    let Some(point) = newest else {
        reasons.add(Code::ReplicationNotReady, None, why);
        return Vec::new();
    };
    let lacking = members.iter().filter(|(_, member)| {
        let volumes = volumes(member);
        !points::missing(point, &volumes).is_empty()
    });
    lacking
        .map(|(m, _)| (*m, format!("recovery point {} does not hold all its volumes", point.name)))
        .collect()
}

type Resolved<'a> = (Vec<(usize, ReadyMember<'a>)>, Vec<(usize, String)>, Vec<String>);

/// Resolves each member by itself. What does not resolve is a reason, or left out if that was allowed.
pub fn members_of<'a>(
    look: &mut Look<'_>,
    members: &[(usize, &'a Member)],
    reasons: &mut Reasons,
) -> Resolved<'a> {
    let request = look.request;
    let mappings = resolve::Mappings::new(
        request,
        look.places.source.site,
        look.source.as_ref(),
        &look.target,
        reasons,
    );
    let (mut ready, mut left_out, mut not_preserved) = (Vec::new(), Vec::new(), Vec::new());
    for &(m, member) in members {
        let mut own = Reasons::default();
        let before = look.superseded.get(&member.id);
        let there = before.is_some() || superseded::was_there(member, look.places.target.site);
        let (own_ports, without) = match there {
            true => {
                let (ports, without) =
                    superseded::own(member, before, &look.servers, &look.target, &mut own);
                (ports, Some(without))
            }
            false => (Vec::new(), None),
        };
        let resolved = ready_member(
            member,
            Some(server_of(member, look)),
            look.source.as_ref(),
            without.as_ref().unwrap_or(&look.target),
            &mappings,
            &mut not_preserved,
            &mut own,
        );
        match (resolved, own.into_result()) {
            (Some(resolved), Ok(())) => {
                if there {
                    look.taken.insert(m, taken(&resolved, &own_ports));
                }
                ready.push((m, resolved));
            }
            (_, Err(refusal)) if request.params.allow_partial => {
                left_out.push((m, words(&refusal.reasons)));
            }
            (_, Err(refusal)) => reasons.extend(refusal.reasons),
            (None, Ok(())) => {}
        }
    }
    (ready, left_out, not_preserved)
}

fn words(reasons: &[Reason]) -> String {
    reasons.iter().map(|r| r.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// As the source says; a server that nobody can ask about is as it was when it was last read.
fn server_of(member: &Member, look: &Look<'_>) -> Running {
    let id = member.servers.get(&look.places.source.site).cloned().unwrap_or_default();
    let server = look.source.as_ref().and_then(|source| source.servers.get(&id));
    Running {
        was_active: server.map_or(!member.spec.was_off, |s| s.status != "SHUTOFF"),
        was_locked: server.is_some_and(|s| s.locked),
        server_id: id,
    }
}

/// The checks that are about the target as a whole; refuses with all reasons at once.
pub fn finish<'a>(
    look: &mut Look<'_>,
    members: Vec<(usize, ReadyMember<'a>)>,
    left_out: Vec<LeftOut<'a>>,
    warnings: &mut Vec<String>,
    mut reasons: Reasons,
) -> Result<Ready<'a>, Refusal> {
    let request = look.request;
    let site = look.places.target.site;
    // Who is left out for two reasons stands there once.
    let mut members = members;
    members.retain(|(m, _)| left_out.iter().all(|out| out.m != *m));
    if members.is_empty() {
        for out in &left_out {
            reasons.add(Code::PlanRefused, Some(&out.member.spec.name), &*out.why);
        }
    }
    let volume_type = checks::clone_type(request, site, &look.target, &mut reasons);
    let cinder_host = checks::target_pool(request, site, volume_type, &look.target, &mut reasons);
    let volume_type = volume_type.map(|t| t.id.clone());
    reasons.into_result()?;
    if let Some(remains) = &look.remains {
        members.iter_mut().for_each(|(_, member)| {
            remains.recall_power(std::slice::from_mut(member));
        });
    }
    let places = look.places.clone();
    Ok(Ready {
        members,
        left_out,
        earlier: 0,
        cinder_host: cinder_host.unwrap_or_default(),
        volume_type: volume_type.unwrap_or_default(),
        source_array: look.source_array.clone(),
        source_answers: look.source.is_some(),
        mirrored: look.mirror == Mirror::Online,
        remains: look.remains.take(),
        makes_room: std::mem::take(&mut look.makes_room),
        taken: std::mem::take(&mut look.taken),
        recalled: Recalled::default(),
        facts: Facts {
            group_id: request.group.id,
            source_site: look.names.0.clone(),
            source_site_id: places.source.site,
            target_site: look.names.1.clone(),
            driven_by: request.local_site,
            not_preserved: Vec::new(),
            warnings: std::mem::take(warnings),
            retry_of: None,
            superseded: std::mem::take(&mut look.superseded),
        },
        places,
    })
}
