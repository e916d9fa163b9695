//! The sweep of leftovers: what carries a marker of a dead operation and nothing uses. Found at both sites; removed only
//! with evidence from the journal of the operation that made it (law 1), or on a person's explicit word.
//!
//! Never touched: what a living operation, an open drill, a kept copy or a member's place (the documents of both sites)
//! uses; and nothing at all of a group whose two documents are not the same.

use std::collections::{BTreeMap, BTreeSet};

use protector_core::Core;
use protector_operations::{
    deps::{ArrayPlace, Deps, Place},
    marked::{self, Kind, Marked},
};
use protector_ports::DestroyPermit;
use protector_store::{OperationFilter, OperationRow, Scope, whole_list};
use protector_types::{
    Evidence, GroupDocument, KeptThing, OperationId, OperationStatus, ProjectId, Refusal, SiteId,
};
use protector_workflow::{Entry, EntryKind, Journal as _};
use serde::Serialize;
use serde_json::Value;

/// Something that a dead operation left.
#[derive(Debug, Clone, Serialize)]
pub struct Leftover {
    /// Where.
    pub site_id: SiteId,
    /// In which project; `None`: on the array.
    pub project_id: Option<ProjectId>,
    /// What.
    #[serde(flatten)]
    pub thing: Marked,
    /// The operation that made it, if it is known here.
    pub operation_id: Option<OperationId>,
    /// How that ended.
    pub operation_status: Option<OperationStatus>,
    /// Why it may not be removed now; `None`: it may.
    pub kept_because: Option<String>,
    /// What a removal gave: `removed`, or the service's words.
    pub outcome: Option<String>,
    #[serde(skip)]
    array: Option<ArrayPlace>,
    #[serde(skip)]
    evidence: Option<Evidence>,
}

/// What a sweep found.
#[derive(Debug, Default, Serialize)]
pub struct Sweep {
    /// Thing by thing.
    pub leftovers: Vec<Leftover>,
    /// What could not be looked at, and why.
    pub not_looked: Vec<String>,
}

/// All that is known here, read once.
struct Books {
    operations: Vec<OperationRow>,
    documents: Vec<GroupDocument>,
    /// Groups whose copy at the other site is not the same, with the reason.
    unsure: BTreeMap<protector_types::GroupId, String>,
    /// Ids and serials that something uses.
    used: BTreeMap<String, String>,
}

/// Looks at both sites. `named`: an operation that a person holds to be dead though it is not known here.
///
/// # Errors
/// The database's.
pub async fn find(core: &Core, deps: &Deps, named: Option<OperationId>) -> Result<Sweep, Refusal> {
    let books = Books::read(core).await?;
    let mut sweep = Sweep::default();
    let mut places = BTreeSet::new();
    for document in &books.documents {
        places.extend(document.group.projects.iter().map(|(s, p)| (*s, p.clone())));
    }
    for mapping in core.all_tenant_mappings().await? {
        places.insert((mapping.primary_site_id, mapping.primary_project_id));
        places.insert((mapping.secondary_site_id, mapping.secondary_project_id));
    }
    for (site, project) in places {
        let place = Place { site, project };
        let look = async { marked::in_project(place.cloud(deps).await?.as_ref()).await };
        match look.await {
            Ok(found) => {
                for thing in found {
                    let leftover = books.judge(site, Some(&place.project), None, thing, named);
                    sweep.leftovers.extend(leftover);
                }
            }
            Err(error) => {
                sweep.not_looked.push(format!("project {} at site {site}: {error}", place.project))
            }
        }
    }
    look_at_arrays(deps, &books, named, &mut sweep).await;
    for leftover in &mut sweep.leftovers {
        if leftover.kept_because.is_none() {
            prove(core, leftover, named).await;
        }
    }
    Ok(sweep)
}

async fn look_at_arrays(deps: &Deps, books: &Books, named: Option<OperationId>, sweep: &mut Sweep) {
    for document in books.documents.iter().filter(|d| d.policy.is_some()) {
        let group = &document.group;
        let theirs = books.operations.iter().filter(|o| o.group_id == group.id).map(|o| o.id);
        let operations: Vec<OperationId> = theirs.chain(named).collect();
        for site in [group.primary_site_id, group.secondary_site_id] {
            let place = ArrayPlace { group: group.id, site };
            for &operation in &operations {
                let look =
                    async { marked::on_array(place.array(deps).await?.as_ref(), operation).await };
                match look.await {
                    Ok(found) => {
                        for thing in found {
                            let leftover = books.judge(site, None, Some(place), thing, named);
                            sweep.leftovers.extend(leftover);
                        }
                    }
                    Err(error) => {
                        let what = format!("array of group {} at site {site}: {error}", group.name);
                        if !sweep.not_looked.contains(&what) {
                            sweep.not_looked.push(what);
                        }
                        break;
                    }
                }
            }
        }
    }
}

/// Removes what may be removed: servers first, then what they held.
pub async fn remove(deps: &Deps, sweep: &mut Sweep) {
    sweep.leftovers.sort_by_key(|leftover| leftover.thing.kind);
    for leftover in &mut sweep.leftovers {
        let (None, Some(evidence)) = (&leftover.kept_because, &leftover.evidence) else { continue };
        let permit = DestroyPermit::made_by(evidence.clone());
        let removed = async {
            match (&leftover.array, &leftover.project_id) {
                (Some(place), _) => {
                    let array = place.array(deps).await?;
                    marked::remove_from_array(array.as_ref(), &leftover.thing, &permit).await
                }
                (None, Some(project)) => {
                    let place = Place { site: leftover.site_id, project: project.clone() };
                    let cloud = place.cloud(deps).await?;
                    marked::remove(cloud.as_ref(), &leftover.thing, &permit).await
                }
                (None, None) => Ok(()),
            }
        };
        leftover.outcome = Some(match removed.await {
            Ok(()) => "removed".into(),
            Err(error) => format!("{error}; run it again"),
        });
    }
}

impl Books {
    async fn read(core: &Core) -> Result<Self, Refusal> {
        let operations = whole_list(
            |row: &OperationRow| row.id.to_string(),
            |page| async move {
                let filter = OperationFilter::default();
                core.store().list_operations(&Scope::System, &filter, &page).await
            },
        );
        let operations = operations.await.map_err(unreadable)?;
        let documents = core.all_documents().await?;
        let mut books =
            Self { operations, documents, unsure: BTreeMap::new(), used: BTreeMap::new() };
        for document in &books.documents {
            if let Some(why) = core.copies_differ(document).await {
                books.unsure.insert(document.group.id, why);
            }
        }
        books.count_used();
        Ok(books)
    }

    fn count_used(&mut self) {
        let mut used = BTreeMap::new();
        for document in &self.documents {
            let group = &document.group;
            for member in &document.members {
                let what = format!("member {} of group {}", member.spec.name, group.name);
                for server in member.servers.values() {
                    used.insert(server.clone(), what.clone());
                }
                for placement in member.volumes.iter().flat_map(|v| v.placements.values()) {
                    used.insert(placement.volume_id.clone(), what.clone());
                    used.insert(placement.serial.clone(), what.clone());
                }
            }
            for kept in &group.kept {
                let what = format!("a copy kept for group {}: {}", group.name, kept.why);
                if let KeptThing::CinderVolume { volume_id, serial, .. } = &kept.thing {
                    used.insert(volume_id.clone(), what.clone());
                    used.insert(serial.clone(), what);
                }
            }
        }
        self.used = used;
    }

    /// What may be done with a thing; `None`: it belongs to a living operation or is in a group's own books (a member's
    /// volume, a kept copy), and is no leftover.
    fn judge(
        &self,
        site: SiteId,
        project: Option<&ProjectId>,
        array: Option<ArrayPlace>,
        thing: Marked,
        named: Option<OperationId>,
    ) -> Option<Leftover> {
        let (short, _) = marked::parts(&thing.marker)?;
        let row = self.operations.iter().find(|row| row.id.short() == short);
        if row.is_some_and(|row| !row.status.is_terminal()) || self.used.contains_key(&thing.id) {
            return None;
        }
        let kept_because = self.why_kept(site, project, array, &thing, row, named);
        Some(Leftover {
            site_id: site,
            project_id: project.cloned(),
            operation_id: row.map(|row| row.id).or(named.filter(|id| id.short() == short)),
            operation_status: row.map(|row| row.status),
            kept_because,
            outcome: None,
            array,
            evidence: None,
            thing,
        })
    }

    fn why_kept(
        &self,
        site: SiteId,
        project: Option<&ProjectId>,
        array: Option<ArrayPlace>,
        thing: &Marked,
        row: Option<&OperationRow>,
        named: Option<OperationId>,
    ) -> Option<String> {
        if let Some(user) = thing.used_by.iter().find_map(|id| self.used.get(id)) {
            return Some(format!("used by {user}"));
        }
        let here = |document: &&GroupDocument| match (array, project) {
            (Some(place), _) => document.group.id == place.group,
            (None, Some(project)) => document.group.projects.get(&site) == Some(project),
            (None, None) => false,
        };
        for document in self.documents.iter().filter(here) {
            let group = &document.group;
            if let Some(why) = self.unsure.get(&group.id) {
                return Some(format!(
                    "the two copies of group {} are not the same: {why}",
                    group.name
                ));
            }
            let drill = group.active_test_operation_id;
            if drill.is_some() && row.map(|row| row.id) == drill {
                return Some(format!("made by the open drill of group {}", group.name));
            }
        }
        let made = row.and_then(|row| row.result_data.as_ref()).is_some_and(|data| {
            row.is_some_and(|row| row.status == OperationStatus::Completed)
                && thing.used_by.iter().chain([&thing.id]).any(|id| mentions(data, id))
        });
        if made {
            return Some("a result of a completed operation, not a leftover".into());
        }
        if row.is_none() && !named.is_some_and(|id| thing.marker.contains(&id.short())) {
            return Some(
                "no operation of this marker is known here: look at the other site, or name it with --operation \
                 op-... if you are sure that it is dead"
                    .into(),
            );
        }
        None
    }
}

/// True if the id stands anywhere in a record's `result_data` but among its leaks.
fn mentions(data: &Value, id: &str) -> bool {
    match data {
        Value::String(text) => text == id,
        Value::Array(items) => items.iter().any(|item| mentions(item, id)),
        Value::Object(map) => {
            map.iter().any(|(key, value)| key != "leaked" && (key == id || mentions(value, id)))
        }
        _ => false,
    }
}

/// Evidence from the journal; or a person's word, for an operation that is unknown here.
async fn prove(core: &Core, leftover: &mut Leftover, named: Option<OperationId>) {
    let Some(operation) = leftover.operation_id else {
        leftover.kept_because = Some("its operation is not known".into());
        return;
    };
    if leftover.operation_status.is_none() {
        leftover.evidence = named.map(Evidence::on_request);
        return;
    }
    let entries = match core.store().load(operation).await {
        Ok(entries) => entries,
        Err(error) => {
            leftover.kept_because =
                Some(format!("the journal of {operation} cannot be read: {error}"));
            return;
        }
    };
    match intent_of(&entries, &leftover.thing).and_then(|entry| entry.evidence(operation)) {
        Some(evidence) => leftover.evidence = Some(evidence),
        None => {
            leftover.kept_because = Some(format!(
                "the journal of {operation} here has no entry that made it: run this at the site that drove it"
            ));
        }
    }
}

/// The intent of the step that made the thing: named by its marker; for an array volume the one that planned its name.
fn intent_of<'a>(entries: &'a [Entry], thing: &Marked) -> Option<&'a Entry> {
    let (_, wanted) = marked::parts(&thing.marker)?;
    entries.iter().find(|entry| match &entry.kind {
        EntryKind::Started { step, input, .. } if thing.kind == Kind::ArrayVolume => {
            input.get("name").and_then(Value::as_str) == Some(thing.name.as_str())
                || input.pointer("/clone/serial").and_then(Value::as_str) == Some(thing.id.as_str())
                || step == wanted
        }
        EntryKind::Started { step, .. } => step == wanted,
        _ => false,
    })
}

fn unreadable(error: protector_store::StoreError) -> Refusal {
    Refusal::new(
        protector_types::Code::Unavailable,
        format!("our own books cannot be read: {error}"),
    )
}
