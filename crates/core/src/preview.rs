//! A plan as a person sees it before it runs, and its hash: what must not have changed when it is run by that hash.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use protector_store::{OperationFilter, PageRequest, Scope};
use protector_types::{
    Code, GroupDocument, OperationId, OperationStatus, OperationType, Reason, Refusal, SiteId,
};
use protector_workflow::Plan;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Core,
    actions::Start,
    errors, health,
    operations::{PRIMARY_STOPS, RETAIN_PRIMARY},
};

/// Key of a plan's facts under which the planner tells what only a preview shows; it is not stored with the plan.
pub const PREVIEW: &str = "preview";
/// Completed operations that a forecast is made from.
const HISTORY: u64 = 5;
/// Previews of which the parts are remembered, to say what has changed.
const REMEMBERED: usize = 64;

/// `POST .../{pg_id}/plan`: what an action would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanPreview {
    /// Resolved type.
    pub operation_type: OperationType,
    /// Name of the site that is left.
    pub source_site: String,
    /// Name of the site that is moved to.
    pub target_site: String,
    /// The point that would be used, if one is known beforehand.
    pub recovery_point: Option<PreviewPoint>,
    /// What would be lost; `None`: not known.
    pub data_loss_seconds: Option<u64>,
    /// What becomes of each member.
    pub members: Vec<PreviewMember>,
    /// Steps per stage.
    pub stages: Vec<PreviewStage>,
    /// All steps.
    pub steps: Vec<PreviewStep>,
    /// What the target project's quota has to give.
    pub quota: Vec<PreviewQuota>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// What cannot be kept.
    pub not_preserved: Vec<String>,
    /// How long it will take, from earlier ones; `None`: there are none.
    pub forecast_seconds: Option<u64>,
    /// `sha256:...`: runs exactly this, or is refused.
    pub hash: String,
}

/// A recovery point of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewPoint {
    /// On the target array.
    pub name: String,
    /// Source time.
    pub created_at: DateTime<Utc>,
    /// Its age now.
    pub age_seconds: u64,
}

/// A member of a preview.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PreviewMember {
    /// Server name.
    pub name: String,
    /// Its server at the current primary.
    pub server_id: Option<String>,
    /// Flavor at the target, by name.
    pub flavor: Option<String>,
    /// Networks at the target, by name.
    pub networks: Vec<String>,
    /// Volumes that move.
    pub volumes: usize,
}

/// A stage of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewStage {
    /// Public name.
    pub name: String,
    /// Number of steps.
    pub steps: usize,
}

/// A step of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewStep {
    /// Its id.
    pub id: String,
    /// What it does.
    pub kind: String,
    /// Public stage name.
    pub stage: String,
    /// Member by name.
    pub member: Option<String>,
    /// What must be done first.
    pub after: Vec<String>,
}

/// A limit of the target project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewQuota {
    /// `instances`, `cores` ...
    pub resource: String,
    /// What the plan needs.
    pub needed: u64,
    /// What is free; `None`: unlimited.
    pub free: Option<u64>,
}

/// What a planner may tell beside the steps.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    members: Vec<PreviewMember>,
    quota: Vec<PreviewQuota>,
    recovery_point: Option<Point>,
    data_loss_seconds: Option<u64>,
}

/// The point that a plan works from, as its facts name it.
#[derive(Debug, Deserialize)]
struct Point {
    name: String,
    #[serde(alias = "created")]
    created_at: DateTime<Utc>,
}

/// The parts of a plan that its hash covers, each with its own digest.
pub(crate) type Parts = BTreeMap<String, String>;

/// The last previews of this process.
#[derive(Default)]
pub(crate) struct Remembered(std::collections::VecDeque<(String, Parts)>);

impl Remembered {
    fn put(&mut self, hash: &str, parts: Parts) {
        self.0.retain(|(known, _)| known != hash);
        self.0.push_back((hash.to_owned(), parts));
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    fn get(&self, hash: &str) -> Option<&Parts> {
        self.0.iter().find(|(known, _)| known == hash).map(|(_, parts)| parts)
    }
}

/// The plan as it is stored.
pub(crate) fn without_preview(mut plan: Plan) -> Plan {
    if let Value::Object(facts) = &mut plan.facts {
        facts.remove(PREVIEW);
    }
    plan
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn point_of(plan: &Plan) -> Option<Point> {
    plan.facts.get("recovery_point").and_then(|point| Point::deserialize(point).ok())
}

/// What the hash covers: definition, group (epoch, version), members, steps with all that was resolved for them, and a
/// **named** point. Never the operation's id (it is part of markers), ages, forecasts, quota, or which point is newest.
pub(crate) fn parts(
    document: &GroupDocument,
    named_point: Option<&str>,
    operation: OperationId,
    plan: &Plan,
) -> Parts {
    let group = &document.group;
    let canonical = Canonical::new(operation, named_point, plan);
    let mut parts = Parts::new();
    let mut put = |name: String, value: &Value| {
        parts.insert(name, hex(value.to_string().as_bytes()));
    };
    put("the definition".into(), &json!([plan.definition, plan.version]));
    let epoch = json!([group.id, group.epoch.number, group.epoch.raised_by, group.version]);
    put("the group (its epoch or version)".into(), &epoch);
    put("the recovery point".into(), &json!(named_point));
    for member in &document.members {
        let servers = json!([member.id, member.servers]);
        put(format!("member {}", member.spec.name), &servers);
    }
    for step in &plan.steps {
        let subject = step.subject.as_ref().map(|s| format!(" of {s}")).unwrap_or_default();
        let text = serde_json::to_string(step).unwrap_or_default();
        let value = Value::String(canonical.text(&text));
        put(format!("step {}{subject}", step.id), &value);
    }
    // Their order is the order in which they start.
    put(
        "the order of the steps".into(),
        &json!(plan.steps.iter().map(|s| &s.id).collect::<Vec<_>>()),
    );
    parts
}

/// Writes texts of a plan without what differs from one planning to the next.
struct Canonical(Vec<(String, &'static str)>);

impl Canonical {
    fn new(operation: OperationId, named_point: Option<&str>, plan: &Plan) -> Self {
        let mut words = vec![
            (operation.to_string(), "<operation>"),
            (operation.0.to_string(), "<operation>"),
            (operation.0.simple().to_string(), "<operation>"),
            (operation.short(), "<operation>"),
        ];
        if let (None, Some(point)) = (named_point, point_of(plan)) {
            words.push((point.name.clone(), "<newest>"));
            // `group.point` or `group.point.volume`: the point alone is part of snapshot names.
            if let Some((_, suffix)) = point.name.rsplit_once('.') {
                words.push((format!(".{suffix}"), ".<newest>"));
            }
            if let Some(Value::String(created)) = plan.facts["recovery_point"].get("created_at") {
                words.push((created.clone(), "<newest>"));
            }
        }
        Self(words)
    }

    fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (word, sign)| text.replace(word, sign))
    }
}

/// `sha256:...` over all parts.
pub(crate) fn hash(parts: &Parts) -> String {
    format!("sha256:{}", hex(json!(parts).to_string().as_bytes()))
}

/// What differs between two plans, for a person; at most a few of many.
fn difference(before: &Parts, now: &Parts) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let told = |name: &&String| match (before.get(*name), now.get(*name)) {
        (Some(a), Some(b)) if a == b => None,
        (Some(_), Some(_)) => Some(format!("{name} has changed")),
        (Some(_), None) => Some(format!("{name} is gone")),
        (None, _) => Some(format!("{name} is new")),
    };
    names.iter().filter_map(told).take(20).collect()
}

impl Core {
    /// Refuses a plan that is not the one that was looked at.
    ///
    /// # Errors
    /// PlanChanged, with what differs where this process made the preview.
    pub(crate) fn require_same_plan(
        &self,
        wanted: &str,
        start: &Start,
        document: &GroupDocument,
        operation: OperationId,
        plan: &Plan,
    ) -> Result<(), Refusal> {
        let now = parts(document, start.params.recovery_point.as_deref(), operation, plan);
        if hash(&now) == wanted {
            return Ok(());
        }
        let differs = self.previews.lock().get(wanted).map(|before| difference(before, &now));
        let detail = "The plan is not the one that was looked at: the world has changed since, or the parameters are \
                      others. Nothing was touched; POST .../plan shows the plan as it would be now";
        let reasons = differs.unwrap_or_default().into_iter().map(|message| Reason {
            code: Code::PlanChanged,
            subject: None,
            message,
        });
        Err(Refusal { code: Code::PlanChanged, detail: detail.into(), reasons: reasons.collect() })
    }

    /// The plan for a person.
    pub(crate) async fn describe_plan(
        &self,
        start: &Start,
        document: &GroupDocument,
        operation: OperationId,
        plan: &Plan,
        (source, target): (SiteId, SiteId),
    ) -> Result<PlanPreview, Refusal> {
        let named = start.params.recovery_point.as_deref();
        let parts = parts(document, named, operation, plan);
        let hash = hash(&parts);
        self.previews.lock().put(&hash, parts);
        let told = plan.facts.get(PREVIEW).map(Told::deserialize);
        let told = told.and_then(Result::ok).unwrap_or_default();
        let now = self.clock.now();
        let age = |at: DateTime<Utc>| u64::try_from((now - at).num_seconds()).unwrap_or(0);
        let point = told.recovery_point.or_else(|| point_of(plan));
        let names = health::site_names(&self.store.all_sites().await.map_err(errors::store)?);
        let name = |site: SiteId| names.get(&site).cloned().unwrap_or_else(|| site.to_string());
        let texts = |key: &str| -> Vec<String> {
            let list = plan.facts.get(key).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut warnings = texts("warnings");
        let stops = start.operation == OperationType::TestFailover && !start.params.retain_primary;
        if stops && warnings.iter().all(|warning| !warning.starts_with(RETAIN_PRIMARY)) {
            warnings.insert(0, PRIMARY_STOPS.to_owned());
        }
        Ok(PlanPreview {
            operation_type: start.operation,
            source_site: name(source),
            target_site: name(target),
            data_loss_seconds: told.data_loss_seconds.or(point.as_ref().map(|p| age(p.created_at))),
            recovery_point: point.map(|p| PreviewPoint {
                age_seconds: age(p.created_at),
                created_at: p.created_at,
                name: p.name,
            }),
            members: if told.members.is_empty() { members(document) } else { told.members },
            stages: stages(plan),
            steps: steps(plan),
            quota: told.quota,
            warnings,
            not_preserved: texts("not_preserved"),
            forecast_seconds: self.forecast(document, start.operation, plan.steps.len()).await?,
            hash,
        })
    }

    /// From the last completed operations of this type in the project, by the number of their steps.
    async fn forecast(
        &self,
        document: &GroupDocument,
        operation: OperationType,
        steps: usize,
    ) -> Result<Option<u64>, Refusal> {
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let Some(project) = document.group.projects.get(&local) else { return Ok(None) };
        let filter = OperationFilter {
            operation_type: Some(operation),
            status: Some(OperationStatus::Completed),
            ..OperationFilter::default()
        };
        let page = PageRequest { limit: HISTORY, descending: true, ..PageRequest::default() };
        let scope = Scope::Project(project.clone());
        let rows =
            self.store.list_operations(&scope, &filter, &page).await.map_err(errors::store)?;
        let mut paces: Vec<f64> = rows
            .items
            .iter()
            .filter_map(|row| {
                let took = row.completed_at? - row.started_at?;
                let steps: usize = row.view.stages.iter().map(|stage| stage.total).sum();
                (steps > 0).then(|| took.num_milliseconds() as f64 / 1000.0 / steps as f64)
            })
            .collect();
        paces.sort_by(f64::total_cmp);
        Ok(paces.get(paces.len() / 2).map(|pace| (pace * steps as f64).ceil() as u64))
    }
}

/// What the group itself says of its members.
fn members(document: &GroupDocument) -> Vec<PreviewMember> {
    let here = document.group.current_primary_site_id;
    document
        .members
        .iter()
        .map(|member| PreviewMember {
            name: member.spec.name.clone(),
            server_id: member.servers.get(&here).cloned(),
            volumes: member.volumes.len(),
            ..PreviewMember::default()
        })
        .collect()
}

fn stages(plan: &Plan) -> Vec<PreviewStage> {
    let count = |index: usize| plan.steps.iter().filter(|step| step.stage == index).count();
    let stage = |(index, stage): (usize, &protector_workflow::Stage)| PreviewStage {
        name: stage.name.clone(),
        steps: count(index),
    };
    plan.stages.iter().enumerate().map(stage).collect()
}

fn steps(plan: &Plan) -> Vec<PreviewStep> {
    plan.steps
        .iter()
        .map(|step| PreviewStep {
            id: step.id.clone(),
            kind: step.kind.clone(),
            stage: plan.stages[step.stage].name.clone(),
            member: step.subject.clone(),
            after: step.after.clone(),
        })
        .collect()
}
