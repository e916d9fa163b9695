//! One direction of a group's replication: checking that it can work, and laying out its steps. Syncs, failback and
//! reprotect use it alike.

use protector_core::PlanRequest;
use protector_ports::{
    ArrayGroupSpec, ArrayInfo, ArrayLink, PortError, PortResult, absent_as_none,
};
use protector_types::{Code, OperationId, SiteId};
use protector_workflow::OnFailure;

use crate::{
    deps::{ArrayPlace, Deps},
    facts::Reasons,
    fencing,
    sketch::Sketch,
    steps,
};

/// Patience for a delta: over a slow link it may take hours; it is the tenant who cancels.
pub const DELTA_SEC: u64 = 6 * 3600;
/// Patience for a transfer that may be the first of its direction, with everything that the volumes hold.
pub const BASELINE_SEC: u64 = 7 * 24 * 3600;

/// From one array to the other.
#[derive(Debug, Clone)]
pub struct Direction {
    /// The array that the group runs on.
    pub source: ArrayPlace,
    /// Its name as the target knows it.
    pub source_array: String,
    /// The other array.
    pub target: ArrayPlace,
    /// Where its points are taken: at the source, or, where both hold the same at any moment, at the target.
    pub taken_at: ArrayPlace,
    /// The array's protection group, with its target.
    pub spec: ArrayGroupSpec,
    /// Array volumes at the source.
    pub volumes: Vec<String>,
    /// Steps that manage volumes which belong to it too.
    pub volumes_from: Vec<String>,
    /// Its schedule ran when the plan was made; `None`: it had no group on the array.
    pub was_scheduled: Option<bool>,
}

/// Where the steps of a transfer belong.
#[derive(Debug, Clone, Copy)]
pub struct Ship<'a> {
    /// Step id of the snapshot.
    pub snapshot: &'a str,
    /// Step id of the wait.
    pub point: &'a str,
    /// Suffix of the snapshot.
    pub suffix: &'a str,
    /// Stage of the snapshot.
    pub taken_in: usize,
    /// Stage of the wait.
    pub awaited_in: usize,
    /// Patience for the wait, in seconds.
    pub patience_sec: u64,
    /// A failure of either.
    pub on_failure: OnFailure,
}

impl Direction {
    /// From a site to the other one; `from` and `to` are their arrays.
    pub fn new(
        request: &PlanRequest,
        site: SiteId,
        from: &ArrayInfo,
        to: &ArrayInfo,
        volumes: Vec<String>,
    ) -> Self {
        let group = &request.group;
        Self {
            source: ArrayPlace { group: group.id, site },
            source_array: from.name.clone(),
            taken_at: taken_at(request, site),
            target: ArrayPlace { group: group.id, site: group.other_site(site) },
            spec: ArrayGroupSpec {
                name: group.array_group_name(),
                target: to.name.clone(),
                interval_sec: request.policy.replication_interval,
                retention: request.policy.retention,
            },
            volumes,
            volumes_from: Vec::new(),
            was_scheduled: None,
        }
    }

    /// How its schedule was: undo goes back to that.
    #[must_use]
    pub fn scheduled(mut self, was_scheduled: Option<bool>) -> Self {
        self.was_scheduled = was_scheduled;
        self
    }

    /// The group with target and volumes.
    pub fn set_up(
        &self,
        sketch: &mut Sketch,
        id: &str,
        stage: usize,
        after: Vec<String>,
        on_failure: OnFailure,
    ) {
        let input = steps::ensure_group::Input {
            source: self.source,
            source_array: self.source_array.clone(),
            target: self.target,
            spec: self.spec.clone(),
            volumes: self.volumes.clone(),
        };
        let volumes_from = self.volumes_from.clone();
        let input = steps::ensure_group::Planned { input, volumes_from };
        let step = sketch.add(id, "ensure_group", stage, after, input);
        (step.on_failure, step.deadline_sec) = (on_failure, 300);
    }

    /// A group snapshot, sent at once and waited for.
    pub fn ship(&self, sketch: &mut Sketch, ship: Ship<'_>, after: Vec<String>) {
        let input = steps::snapshot_group::Input {
            array: self.taken_at,
            array_group: self.spec.name.clone(),
            suffix: ship.suffix.to_owned(),
        };
        sketch.add(ship.snapshot, "snapshot_group", ship.taken_in, after, input).on_failure =
            ship.on_failure;
        let input = steps::await_replication::Input {
            array: self.target,
            source_array: self.source_array.clone(),
            array_group: self.spec.name.clone(),
            suffix: ship.suffix.to_owned(),
            volumes: self.volumes.clone(),
        };
        let input = steps::await_replication::Planned {
            input,
            volumes_from: self.volumes_from.clone(),
            taken_by: Some(ship.snapshot.to_owned()),
        };
        let after = vec![ship.snapshot.to_owned()];
        let step = sketch.add(ship.point, "await_replication", ship.awaited_in, after, input);
        (step.on_failure, step.deadline_sec) = (ship.on_failure, ship.patience_sec);
    }

    /// The schedule on.
    pub fn start(
        &self,
        sketch: &mut Sketch,
        id: &str,
        stage: usize,
        after: Vec<String>,
        on_failure: OnFailure,
    ) {
        let input = self.schedule(false);
        let step = sketch.add(id, "start_schedule", stage, after, input);
        (step.on_failure, step.deadline_sec) = (on_failure, 120);
    }

    /// The schedule off; failing is a warning. `pauses`: with it the group's replication is paused.
    pub fn stop(
        &self,
        sketch: &mut Sketch,
        id: &str,
        stage: usize,
        after: Vec<String>,
        pauses: bool,
    ) {
        let input = self.schedule(pauses);
        let step = sketch.add(id, "stop_schedule", stage, after, input);
        (step.on_failure, step.deadline_sec) = (OnFailure::Warn, 120);
    }

    fn schedule(&self, pauses: bool) -> steps::stop_schedule::Input {
        steps::stop_schedule::Input {
            array: self.source,
            array_group: self.spec.name.clone(),
            pauses,
            was_on: self.was_scheduled,
        }
    }
}

/// Whether a group's schedule runs on an array; `None`: there is no such group there.
///
/// # Errors
/// The array's.
pub async fn schedule_of(deps: &Deps, at: ArrayPlace, group: &str) -> PortResult<Option<bool>> {
    let array = at.array(deps).await?;
    Ok(absent_as_none(array.group(group).await)?.map(|group| group.schedule_enabled))
}

/// The two arrays must be connected, in the direction that is needed.
pub fn check_link(from: &ArrayInfo, links: &[ArrayLink], to: &ArrayInfo, reasons: &mut Reasons) {
    let mut not_ready = |message: String| reasons.add(Code::ReplicationNotReady, None, message);
    match links.iter().find(|link| link.remote == to.name) {
        None => not_ready(format!(
            "array {} has no replication link to {}; ask the storage administrator to connect them",
            from.name, to.name
        )),
        Some(link) if !link.is_usable() => not_ready(format!(
            "the replication link {} -> {} is {}; ask the storage administrator",
            from.name, link.remote, link.status
        )),
        Some(_) => {}
    }
}

/// The array where a point of a group that runs at `site` is taken: that of the site, or, if the group replicates
/// synchronously, the other one, where the point is needed.
pub fn taken_at(request: &PlanRequest, site: SiteId) -> ArrayPlace {
    let group = &request.group;
    let at = if group.is_synchronous() { group.other_site(site) } else { site };
    ArrayPlace { group: group.id, site: at }
}

/// How the copy of a synchronous group at the array that is moved to is. By that array's own account: the one that is left
/// may know nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mirror {
    /// The group replicates asynchronously.
    None,
    /// It has every write.
    Online,
    /// It cannot be used, in words.
    Unusable(String),
}

/// Asks the array at `to` for its copy of the volumes, which the partner array holds too.
///
/// # Errors
/// When it does not answer.
pub async fn mirror(
    deps: &Deps,
    request: &PlanRequest,
    to: SiteId,
    volumes: &[String],
) -> PortResult<Mirror> {
    let group = &request.group;
    if !group.is_synchronous() {
        return Ok(Mirror::None);
    }
    let array = ArrayPlace { group: group.id, site: to }.array(deps).await?;
    let partner = request.policy.array_names.get(&group.other_site(to));
    let partner = partner.map(String::as_str).unwrap_or_default();
    let own = array.identify().await?.name;
    match array.sync_group(&group.own_array_group_name(), partner, volumes).await {
        Ok(found) => Ok(match found.why_unusable(&own) {
            None if group.array_group.as_ref().is_some_and(|name| *name != found.name) => {
                Mirror::Unusable(format!(
                    "the volumes are in {}, the group's protection group is {}; set the policy again",
                    found.container,
                    group.array_group_name()
                ))
            }
            None => Mirror::Online,
            Some(why) => Mirror::Unusable(format!(
                "{} {why}: its copy there cannot be used; see to the arrays' connection and the mediator, and try again \
                 when it is online",
                found.container
            )),
        }),
        Err(error @ (PortError::Invalid { .. } | PortError::Absent { .. })) => {
            Ok(Mirror::Unusable(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

impl Mirror {
    /// A reason against a plan, unless the copy can be used.
    pub fn check(&self, reasons: &mut Reasons) {
        if let Self::Unusable(why) = self {
            reasons.add(Code::ReplicationNotReady, None, why);
        }
    }
}

/// All array volumes that the group's members have at a site.
pub fn volumes_at(request: &PlanRequest, site: SiteId) -> Vec<String> {
    request.members.iter().flat_map(|member| fencing::array_volumes(member, site)).collect()
}

/// A suffix of this operation's snapshots.
pub fn suffix(operation: OperationId, what: &str) -> String {
    format!("ptr-{}-{what}", operation.short())
}
