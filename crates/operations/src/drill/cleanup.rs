//! The end of a drill: removes exactly what it made, and proves that nothing is left.
//!
//! | stage | steps |
//! |---|---|
//! | `delete_test_instances` 0-40 | sweep servers -> sweep ports -> sweep networks; sweep server groups; restart_server (m), once the servers are gone |
//! | `delete_test_volumes` 40-80 | sweep volumes, once the servers are gone |
//! | `verify_no_leftovers` 80-100 | list_leftovers -> expect_none |
//!
//! A failure ends its own branch only: the rest goes, and the operation ends as failed. It may be repeated until nothing
//! is left.

use std::{collections::BTreeSet, sync::Arc};

use protector_core::PlanRequest;
use protector_types::{Code, DomainEffect, GroupId, OperationId, OperationStatus, Refusal, SiteId};
use protector_workflow::{Definition, DynStep, IfLeft, OnFailure, Plan, Stage, State, StepState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::record::DrillRecord;
use crate::{
    deps::{ArrayPlace, Deps, Place},
    registry,
    sketch::Sketch,
    steps::{
        restart_server,
        sweep::{self, What},
    },
};

/// The definition's name in stored plans.
pub const NAME: &str = "test_cleanup";
/// Raised whenever a stored plan of the old kind would run differently.
pub const VERSION: u32 = 1;

/// Stage names with their progress ranges.
pub const STAGES: [(&str, u8, u8); 3] = [
    ("delete_test_instances", 0, 40),
    ("delete_test_volumes", 40, 80),
    ("verify_no_leftovers", 80, 100),
];

/// The stages as a plan holds them.
pub fn stages() -> Vec<Stage> {
    STAGES.iter().map(|&(name, from, to)| Stage { name: name.into(), from, to }).collect()
}

/// What the plan was decided on; stored with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    /// The group.
    pub group_id: GroupId,
    /// The drill.
    pub drill: OperationId,
    /// Name of the site where the group runs.
    pub primary_site: String,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Runs plans of this version.
pub struct Cleanup(pub Deps);

impl Definition for Cleanup {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn step(&self, kind: &str) -> Option<Arc<dyn DynStep>> {
        registry::step(&self.0, kind)
    }

    fn if_left(&self, kind: &str) -> IfLeft {
        registry::if_left(kind)
    }

    fn on_end(&self, _plan: &Plan, _status: OperationStatus, _unwound: bool) -> Vec<DomainEffect> {
        Vec::new()
    }

    fn result_data(&self, state: &State) -> Value {
        let facts: Option<Facts> = serde_json::from_value(state.plan().facts.clone()).ok();
        let steps = state.plan().steps.iter().enumerate();
        let restarted: Vec<_> = steps
            .filter(|(i, s)| s.kind == "restart_server" && *state.step(*i) == StepState::Done)
            .map(|(_, s)| s.input["server_id"].clone())
            .collect();
        json!({
            "current_primary_site": facts.as_ref().map(|f| f.primary_site.clone()),
            "test_failover_id": facts.map(|f| f.drill),
            "restarted": restarted,
            "leaked": state.outputs().get::<Vec<String>>("left").ok(),
        })
    }
}

/// Plans the removal of what the open drill made. Looks at nothing: each step does.
///
/// # Errors
/// A [`Refusal`] when no drill is open.
pub fn plan(request: &PlanRequest) -> Result<Plan, Refusal> {
    let Some(drill) = &request.drill else {
        return Err(Refusal::new(Code::GroupWrongState, "No drill of the group is open"));
    };
    let record = DrillRecord::of(drill);
    let site = site_of(request, &record);
    let project = request.group.projects.get(&site).cloned().ok_or_else(|| {
        Refusal::new(Code::TenantMappingMissing, format!("the group has no project at site {site}"))
    })?;
    let place = Place { site, project };
    let mut sketch = Sketch::default();
    sweeps(&mut sketch, request, &record, &place);
    let warnings = restarts(&mut sketch, request, &record);
    for step in sketch.steps_mut() {
        step.on_failure = OnFailure::Isolate;
    }
    let primary = request.group.current_primary_site_id;
    let facts = Facts {
        group_id: request.group.id,
        drill: record.id,
        primary_site: request.site_names.get(&primary).cloned().unwrap_or_default(),
        warnings,
    };
    Ok(Plan {
        definition: NAME.into(),
        version: VERSION,
        stages: stages(),
        steps: sketch.into_steps(),
        facts: serde_json::to_value(facts).unwrap_or_default(),
    })
}

/// Where the drill ran: not where the group ran then.
fn site_of(request: &PlanRequest, record: &DrillRecord) -> SiteId {
    let group = &request.group;
    match &record.primary {
        Some(then) => group.other_site(then.site_id),
        // Drills begin in `active` only; a group that has failed over since runs where its drill did.
        None if group.status == protector_types::GroupStatus::Active => {
            group.current_secondary_site_id()
        }
        None => group.current_primary_site_id,
    }
}

fn sweeps(sketch: &mut Sketch, request: &PlanRequest, record: &DrillRecord, place: &Place) {
    let array = ArrayPlace { group: request.group.id, site: place.site };
    let input = |what: &[What]| sweep::Input {
        operation: record.id,
        place: place.clone(),
        array,
        what: what.iter().copied().collect::<BTreeSet<_>>(),
        known: record.known.clone(),
    };
    let mut sweep = |id: &str, stage: usize, what: What, after: &[&str]| {
        let after = after.iter().map(|a| (*a).to_owned()).collect();
        sketch.add(id, "sweep", stage, after, input(&[what]));
    };
    sweep("servers", 0, What::Servers, &[]);
    sweep("ports", 0, What::Ports, &["servers"]);
    sweep("networks", 0, What::Networks, &["ports"]);
    sweep("groups", 0, What::ServerGroups, &["servers"]);
    sweep("security", 0, What::SecurityGroups, &["ports"]);
    sweep("volumes", 1, What::Volumes, &["servers"]);
    let all = [
        What::Servers,
        What::Ports,
        What::Volumes,
        What::Networks,
        What::ServerGroups,
        What::SecurityGroups,
    ];
    let after = ["networks", "groups", "security", "volumes"].map(str::to_owned).to_vec();
    sketch.add("left", "list_leftovers", 2, after, input(&all)).deadline_sec = 120;
    let input = sweep::Expected { listed_by: "left".into() };
    sketch.add("none", "expect_none", 2, vec!["left".into()], input);
}

/// What the drill had stopped runs again, unless the primary is another one by now. Gives warnings.
fn restarts(sketch: &mut Sketch, request: &PlanRequest, record: &DrillRecord) -> Vec<String> {
    let Some(then) = record.primary.as_ref().filter(|then| !then.stopped.is_empty()) else {
        return Vec::new();
    };
    let group = &request.group;
    let same = then.epoch == group.epoch.number && then.site_id == group.current_primary_site_id;
    let project = group.projects.get(&then.site_id).filter(|_| same);
    let Some(project) = project else {
        return vec![format!(
            "the primary has changed since the drill: the {} servers that it had stopped are not started",
            then.stopped.len()
        )];
    };
    let place = Place { site: then.site_id, project: project.clone() };
    for (n, server_id) in then.stopped.iter().enumerate() {
        let id = format!("restart{n}");
        let member = request
            .members
            .iter()
            .find(|m| m.servers.get(&then.site_id) == Some(server_id))
            .map_or(server_id.as_str(), |m| m.spec.name.as_str());
        let input = restart_server::Input { place: place.clone(), server_id: server_id.clone() };
        let after = vec!["servers".to_owned()];
        sketch.add_for(member, &id, "restart_server", 0, after, input);
    }
    Vec::new()
}
