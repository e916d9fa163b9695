//! `reset_status`: out of `error`, or away from a primary that is lost for good, only to what a fresh look at both clouds
//! proves. Nothing is guessed: what cannot be seen is unknown, and a dead site needs `force`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use protector_ports::{Server, ServerFilter};
use protector_types::{
    Action, Code, Fence, GroupDocument, GroupId, GroupStatus, Member, OperationId, ProjectId,
    ProtectionGroup, Reason, Refusal, ReplicationStatus, SiteId,
};
use protector_workflow::{Journal as _, State};
use serde::Deserialize;

use crate::{ActionAnswer, ActionParams, Caller, Core, admission, errors, health};

/// Patience with one site, in real time: a person waits.
const SITE_PATIENCE: Duration = Duration::from_secs(20);
/// Tags of what operations make begin so.
const MARKER: &str = "ptr-";

/// A member's server at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// None.
    Absent,
    /// SHUTOFF: nobody writes.
    Stopped,
    /// Anything else may write.
    MayWrite,
}

/// What a look at a site saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The site, by name.
    pub site: String,
    /// The member's recorded server, by member name; `Err`: the site could not be looked at, and why.
    pub members: Result<BTreeMap<String, Seen>, String>,
    /// Servers of members that an operation made and nobody recorded, by name, that are not SHUTOFF.
    pub strays: Vec<String>,
}

impl Look {
    /// Members that may write here, strays included.
    fn writers(&self) -> Vec<&str> {
        let recorded = self.members.iter().flatten();
        let writing = recorded.filter(|(_, seen)| **seen == Seen::MayWrite).map(|(name, _)| name);
        let mut all: Vec<_> = writing.chain(&self.strays).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn missing(&self) -> Vec<&str> {
        let recorded = self.members.iter().flatten();
        recorded.filter(|(_, seen)| **seen == Seen::Absent).map(|(name, _)| name.as_str()).collect()
    }

    fn is_empty(&self) -> bool {
        self.members.iter().flatten().all(|(_, seen)| *seen == Seen::Absent)
    }
}

/// What is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The status.
    pub status: GroupStatus,
    /// The group runs at its current primary; else at the other site, which takes it over.
    pub at_current: bool,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// The state that two looks prove. Pure. `home`: the current primary is where the group was created.
///
/// # Errors
/// Everything that speaks against each state.
pub fn prove(home: bool, current: &Look, other: &Look, force: bool) -> Result<Proof, Vec<String>> {
    match (&current.members, &other.members) {
        (Ok(_), _) => prove_at(home, true, current, other, force),
        (Err(why), Ok(_)) if force => {
            let dead = format!(
                "site {} could not be looked at ({why}): what runs there is unknown. It is given up as primary; if it \
                 ever comes back, its servers must be kept from writing",
                current.site
            );
            prove_at(!home, false, other, current, force).map(|mut proof| {
                proof.warnings.insert(0, dead);
                proof
            })
        }
        (Err(why), Ok(_)) => Err(vec![format!(
            "the current primary {} could not be looked at ({why}); if it is lost for good, `force` accepts what is at \
             {}",
            current.site, other.site
        )]),
        (Err(why), Err(also)) => Err(vec![
            format!("site {} could not be looked at: {why}", current.site),
            format!("site {} could not be looked at: {also}", other.site),
        ]),
    }
}

/// The group runs at `here`, and nobody writes at `there`.
fn prove_at(
    home: bool,
    at_current: bool,
    here: &Look,
    there: &Look,
    force: bool,
) -> Result<Proof, Vec<String>> {
    let (mut against, mut warnings) = (Vec::new(), Vec::new());
    if here.is_empty() {
        against.push(format!("no member has a server at {}", here.site));
    }
    let writers = there.writers();
    if !writers.is_empty() {
        against.push(format!(
            "at {}, {} may still write; stop or delete them first",
            there.site,
            writers.join(", ")
        ));
    }
    match &there.members {
        Ok(_) => {}
        Err(_) if force && !at_current => {}
        Err(why) if force => warnings.push(format!(
            "site {} could not be looked at ({why}): what runs there is unknown",
            there.site
        )),
        Err(why) => against.push(format!(
            "site {} could not be looked at ({why}); `force` records it as unknown",
            there.site
        )),
    }
    if !against.is_empty() {
        return Err(against);
    }
    let missing = here.missing();
    if !missing.is_empty() {
        warnings.push(format!("no server at {} of: {}", here.site, missing.join(", ")));
    }
    let status = match (home, missing.is_empty()) {
        (true, _) => GroupStatus::Active,
        (false, true) => GroupStatus::FailedOver,
        (false, false) => GroupStatus::FailedOverPartial,
    };
    Ok(Proof { status, at_current, warnings })
}

impl Core {
    /// Sets a group to the state that a fresh look proves.
    ///
    /// # Errors
    /// GroupWrongState, with every reason when nothing is proven or another status was asked for.
    pub(crate) async fn reset_status(
        &self,
        caller: &Caller,
        project: &ProjectId,
        id: GroupId,
        params: &ActionParams,
    ) -> Result<ActionAnswer, Refusal> {
        let document = self.document_of(project, id).await?;
        let situation = self.situation(&document.group, params.force).await?;
        admission::admit(Action::ResetStatus, params.force, &situation)?;
        let lost = situation.lost;
        if !params.force {
            let local = self.store.own_site_id().await.map_err(errors::store)?;
            self.require_peer(document.group.other_site(local)).await?;
        }
        let (current, other) = self.look_at_both(&document).await?;
        let home = document.group.current_primary_site_id == document.group.primary_site_id;
        let mut proof = prove(home, &current, &other, params.force).map_err(not_proven)?;
        if lost && !proof.at_current {
            return Err(not_proven(vec![format!(
                "the current primary {} does not answer, and the operation that its failure cut off had not begun: \
                 `failover` with force leads out",
                current.site
            )]));
        }
        if document.group.status != GroupStatus::Error && proof.at_current && !lost {
            return Err(not_proven(vec![format!(
                "the current primary {} answers: it is not lost. `failback` or `reprotect` lead out",
                current.site
            )]));
        }
        if let Some(wanted) = params.status.filter(|wanted| *wanted != proof.status) {
            return Err(not_proven(vec![format!(
                "what is proven is {}, not {wanted}; send that status, or none",
                proof.status
            )]));
        }
        let group = self.apply_proof(&document, &mut proof).await?;
        tracing::warn!(group = %id, status = %group.status, user = %caller.user_id, "status was reset");
        if proof.at_current {
            self.push_soon(id).await;
        }
        let detail = Box::new(self.group(project, id).await?);
        Ok(ActionAnswer::Group { detail, warnings: proof.warnings })
    }

    async fn document_of(
        &self,
        project: &ProjectId,
        id: GroupId,
    ) -> Result<GroupDocument, Refusal> {
        let scope = protector_store::Scope::Project(project.clone());
        self.store.group_document(&scope, id).await.map_err(errors::store)
    }

    async fn look_at_both(&self, document: &GroupDocument) -> Result<(Look, Look), Refusal> {
        let group = &document.group;
        let names = health::site_names(&self.store.all_sites().await.map_err(errors::store)?);
        let (here, there) = (group.current_primary_site_id, group.current_secondary_site_id());
        let name = |site: SiteId| names.get(&site).cloned().unwrap_or_else(|| site.to_string());
        Ok(futures::join!(
            self.look(document, here, name(here)),
            self.look(document, there, name(there))
        ))
    }

    async fn look(&self, document: &GroupDocument, site: SiteId, name: String) -> Look {
        let Some(project) = document.group.projects.get(&site) else {
            let members = Err("the group has no project there".into());
            return Look { site: name, members, strays: Vec::new() };
        };
        let list = async {
            let cloud = self.fabric.cloud(site, project).await?;
            cloud.compute().servers(&ServerFilter::default()).await
        };
        let servers = match tokio::time::timeout(SITE_PATIENCE, list).await {
            Ok(Ok(servers)) => servers,
            Ok(Err(error)) => {
                return Look { site: name, members: Err(error.to_string()), strays: Vec::new() };
            }
            Err(_) => {
                let members = Err("it did not answer in time".into());
                return Look { site: name, members, strays: Vec::new() };
            }
        };
        let seen = |member: &Member| {
            let id = member.servers.get(&site);
            let server = servers.iter().find(|server| Some(&server.id) == id);
            (member.spec.name.clone(), server.map_or(Seen::Absent, see))
        };
        let recorded: Vec<&String> =
            document.members.iter().filter_map(|member| member.servers.get(&site)).collect();
        let stray = |server: &&Server| {
            !recorded.contains(&&server.id)
                && see(server) == Seen::MayWrite
                && server.tags.iter().any(|tag| tag.starts_with(MARKER))
                && document.members.iter().any(|member| member.spec.name == server.name)
        };
        Look {
            site: name,
            members: Ok(document.members.iter().map(seen).collect()),
            strays: servers.iter().filter(stray).map(|server| server.name.clone()).collect(),
        }
    }

    /// Writes what is proven. A new primary gets a new epoch, its fences are taken back, and it is no longer read-only
    /// here.
    async fn apply_proof(
        &self,
        document: &GroupDocument,
        proof: &mut Proof,
    ) -> Result<ProtectionGroup, Refusal> {
        let mut group = document.group.clone();
        let primary = match proof.at_current {
            true => group.current_primary_site_id,
            false => group.current_secondary_site_id(),
        };
        if !proof.at_current {
            proof.warnings.push(self.age_of_what_remains(document).await);
            let raised_by = self.store.own_site_id().await.map_err(errors::store)?;
            group.raise_epoch(primary, raised_by, OperationId::generate());
            group.replication_status = ReplicationStatus::Unknown;
        }
        group.status = proof.status;
        if let Some(lost) = group.current_operation_id.take() {
            let why = "Given up by reset_status: its site is silent, and its plan never came here";
            self.store.end_overtaken(lost, why).await.map_err(errors::store)?;
        }
        let stored = self.store.update_group(&group, group.version).await.map_err(errors::store)?;
        if !proof.at_current {
            let lifted = self.store.change_site_facts(group.id, |facts| facts.quarantine = None);
            lifted.await.map_err(errors::store)?;
        }
        let mut fences = self.store.fences(group.id).await.map_err(errors::store)?;
        fences.extend(self.fences_left(document, primary).await?);
        for fence in fences.into_iter().filter(|fence| fence.site_id == primary) {
            if let Err(why) = self.unfence(&group, &fence).await {
                proof.warnings.push(format!(
                    "server {} is still fenced: {why}; `reset_status` may be repeated by `force`, or put its \
                     connections back by hand",
                    fence.server_id
                ));
            }
        }
        Ok(stored)
    }

    /// What the last operation fenced at a site and did not take back: its journal says how it was before.
    async fn fences_left(
        &self,
        document: &GroupDocument,
        site: SiteId,
    ) -> Result<Vec<Fence>, Refusal> {
        let group = &document.group;
        let recent = self.recent_operations(group.id, None, 1).await?;
        let Some(last) = recent.first().filter(|row| !row.remote) else { return Ok(Vec::new()) };
        let Some(state) = self.folded(last.id).await? else { return Ok(Vec::new()) };
        let mut fences: BTreeMap<String, Fence> = BTreeMap::new();
        for (index, step) in state.plan().steps.iter().enumerate() {
            let (Some(input), Some(name)) = (state.input(index), &step.subject) else { continue };
            let member = document.members.iter().find(|member| member.spec.name == *name);
            let server = member.and_then(|member| Some((member.id, member.servers.get(&site)?)));
            let Some((member_id, server_id)) = server.filter(|_| state.may_be_left(index)) else {
                continue;
            };
            let fence = fences.entry(name.clone()).or_insert_with(|| Fence {
                member_id,
                site_id: site,
                epoch: group.epoch.number,
                server_id: server_id.clone(),
                was_active: false,
                was_locked: true,
                volumes: Vec::new(),
                operation_id: Some(last.id),
                fenced_at: last.created_at,
            });
            match step.kind.as_str() {
                "lock_server" if input["server_id"] == *server_id => {
                    fence.was_locked = input["was_locked"] == true;
                }
                "disconnect_volumes" if input["array"]["site"] == site.to_string() => {
                    fence.volumes = Deserialize::deserialize(&input["volumes"]).unwrap_or_default();
                }
                _ => {}
            }
        }
        Ok(fences.into_values().collect())
    }

    /// An operation's state by its plan and journal, if they are here.
    pub(crate) async fn folded(&self, id: OperationId) -> Result<Option<State>, Refusal> {
        let plan = match self.store.load_plan(id).await {
            Ok(plan) => plan,
            Err(protector_store::StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(errors::store(error)),
        };
        let entries = self.store.load(id).await.map_err(|error| {
            Refusal::new(Code::Unavailable, format!("The journal cannot be read: {error}"))
        })?;
        Ok(Some(State::fold(Arc::new(plan), entries.iter().map(|e| (e.seq, &e.kind)))))
    }

    /// Puts back what a fence removed; each call ensures, so a repeat does no harm. The server is not started: that is
    /// its owner's to decide. The record goes last: what is interrupted can be done again.
    async fn unfence(&self, group: &ProtectionGroup, fence: &Fence) -> Result<(), String> {
        let put_back = async {
            let array = self.fabric.array(group.id, fence.site_id).await?;
            for volume in &fence.volumes {
                for connection in &volume.connections {
                    array.connect(&volume.volume, connection).await?;
                }
            }
            Ok::<(), protector_ports::PortError>(())
        };
        put_back.await.map_err(|error| error.to_string())?;
        if !fence.was_locked {
            let cloud = self.service_cloud(fence.site_id).await.map_err(|r| r.to_string())?;
            cloud.compute().unlock_server(&fence.server_id).await.map_err(|e| e.to_string())?;
        }
        let removed = self.store.remove_fences(fence.site_id, &[fence.member_id]).await;
        removed.map_err(|error| error.to_string())
    }

    /// How old the data is that a lost primary leaves.
    async fn age_of_what_remains(&self, document: &GroupDocument) -> String {
        let age = |at: chrono::DateTime<chrono::Utc>| (self.clock.now() - at).num_seconds().max(0);
        let (point, reason) = self.newest_usable(document).await;
        match (point, document.group.last_replication_at) {
            (Some(point), _) => format!(
                "the newest complete point of the lost primary here is {} of {} ({} s old); the volumes of the servers \
                 here are as they were when the group left them",
                point.name,
                point.created,
                age(point.created)
            ),
            (None, Some(at)) => format!(
                "no complete point of the lost primary is here ({}); the last known replication was at {at} ({} s ago)",
                reason.unwrap_or_default(),
                age(at)
            ),
            (None, None) => format!(
                "no complete point of the lost primary is here ({}): the volumes of the servers here are as they were \
                 when the group left them, and how old that is, is unknown",
                reason.unwrap_or_default()
            ),
        }
    }
}

fn see(server: &Server) -> Seen {
    if server.status == "SHUTOFF" { Seen::Stopped } else { Seen::MayWrite }
}

fn not_proven(against: Vec<String>) -> Refusal {
    let reason = |message: String| Reason { code: Code::GroupWrongState, subject: None, message };
    Refusal {
        code: Code::GroupWrongState,
        detail: "The status is reset only to what a fresh look proves".into(),
        reasons: against.into_iter().map(reason).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn look(site: &str, members: &[(&str, Seen)]) -> Look {
        let members = members.iter().map(|(name, seen)| ((*name).to_owned(), *seen)).collect();
        Look { site: site.into(), members: Ok(members), strays: Vec::new() }
    }

    fn dead(site: &str) -> Look {
        Look { site: site.into(), members: Err("refused".into()), strays: Vec::new() }
    }

    use Seen::{Absent, MayWrite, Stopped};

    #[test]
    fn a_group_at_home_is_active_when_nobody_writes_elsewhere() {
        let home = look("site-a", &[("web", MayWrite), ("db", Stopped)]);
        let away = look("site-b", &[("web", Stopped), ("db", Absent)]);
        assert_eq!(prove(true, &home, &away, false).unwrap().status, GroupStatus::Active);
        let writes = look("site-b", &[("web", MayWrite), ("db", Absent)]);
        let against = prove(true, &home, &writes, true).unwrap_err();
        assert!(against[0].contains("site-b") && against[0].contains("web"), "{against:?}");
    }

    #[test]
    fn what_an_operation_made_and_nobody_recorded_counts() {
        let home = look("site-a", &[("web", Stopped)]);
        let stray = Look { strays: vec!["web".into()], ..look("site-b", &[("web", Absent)]) };
        assert!(prove(true, &home, &stray, true).is_err());
    }

    #[test]
    fn away_it_is_whole_or_partial_by_what_is_there() {
        let home = look("site-a", &[("web", Stopped), ("db", Stopped)]);
        let whole = look("site-b", &[("web", MayWrite), ("db", MayWrite)]);
        assert_eq!(prove(false, &whole, &home, false).unwrap().status, GroupStatus::FailedOver);
        let part = look("site-b", &[("web", MayWrite), ("db", Absent)]);
        let proof = prove(false, &part, &home, false).unwrap();
        assert_eq!(proof.status, GroupStatus::FailedOverPartial);
        assert!(proof.warnings[0].contains("db"), "{:?}", proof.warnings);
        let none = look("site-b", &[("web", Absent), ("db", Absent)]);
        assert!(prove(false, &none, &home, true).is_err());
    }

    #[test]
    fn a_dead_site_is_unknown_and_needs_force() {
        let home = look("site-a", &[("web", Stopped)]);
        let here = look("site-b", &[("web", MayWrite)]);
        assert!(prove(false, &here, &dead("site-a"), false).is_err());
        let proof = prove(false, &here, &dead("site-a"), true).unwrap();
        assert!(proof.at_current && proof.warnings[0].contains("unknown"), "{proof:?}");
        // The primary itself is lost: what remains takes over.
        assert!(prove(false, &dead("site-b"), &home, false).is_err());
        let proof = prove(false, &dead("site-b"), &home, true).unwrap();
        assert_eq!((proof.status, proof.at_current), (GroupStatus::Active, false));
        assert!(prove(false, &dead("site-b"), &dead("site-a"), true).is_err());
    }
}
