//! Quarantine (3-workflows.md section 6): a site that learns of a newer epoch naming another primary makes its own copy
//! safe first. What ran here is stopped and locked, its disks are disconnected, the old schedule is off. How it was before
//! is recorded before anything is touched, so that exactly that can be put back. Everything here may be repeated.

use std::time::Duration;

use protector_ports::{DestroyPermit, GroupStamp, PortError, PortResult, Server};
use protector_store::Scope;
use protector_types::{
    Action, Code, Evidence, Fence, FencedVolume, GroupDocument, GroupId, ProjectId,
    ProtectionGroup, Quarantine, QuarantinedServer, Refusal, SiteId, SyncState,
};

use crate::{
    Core, GroupDetail,
    admission::{self, Situation},
    errors,
    two_sites::may_release,
};

/// How long a server may take to stop or to start.
const SERVER_PATIENCE: Duration = Duration::from_secs(300);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// Why something could not be made safe, for a person.
type Safe<T> = Result<T, String>;

fn words(what: impl std::fmt::Display) -> impl Fn(PortError) -> String {
    move |error| format!("{what}: {error}")
}

impl Core {
    /// What a quarantine of this group begins with: its cause, and what runs here as this site knows it.
    pub(crate) async fn new_quarantine(
        &self,
        held: &GroupDocument,
        newer: &GroupStamp,
    ) -> Result<Quarantine, Refusal> {
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let sites = self.store.all_sites().await.map_err(errors::store)?;
        let name = sites.iter().find(|site| site.id == newer.primary).map(|site| site.name.clone());
        let servers = held.members.iter().filter_map(|member| {
            Some(QuarantinedServer {
                member_id: member.id,
                name: member.spec.name.clone(),
                server_id: member.servers.get(&local)?.clone(),
                volumes: member
                    .volumes
                    .iter()
                    .filter_map(|volume| volume.placements.get(&local))
                    .map(|placement| placement.array_volume.clone())
                    .collect(),
            })
        });
        Ok(Quarantine {
            epoch: newer.epoch,
            primary: newer.primary,
            primary_name: name.unwrap_or_else(|| newer.primary.to_string()),
            since: self.clock.now(),
            servers: servers.collect(),
            is_safe: false,
            failure: None,
            release_asked: false,
            is_lifting: false,
        })
    }

    /// The group is read-only here from now on. Gives the words for whoever offered the newer document.
    pub(crate) async fn quarantine(
        &self,
        held: &GroupDocument,
        newer: &GroupStamp,
    ) -> Result<Refusal, Refusal> {
        let id = held.group.id;
        let fresh = self.new_quarantine(held, newer).await?;
        let is_new = self
            .store
            .change_site_facts(id, |facts| match &mut facts.quarantine {
                // Known already, perhaps by an earlier epoch of the same primary.
                Some(known) => {
                    known.epoch = newer.epoch;
                    false
                }
                none => {
                    *none = Some(fresh.clone());
                    true
                }
            })
            .await
            .map_err(errors::store)?;
        if is_new {
            tracing::warn!(group = %id, epoch = newer.epoch.number, primary = %newer.primary, "quarantined: another site is the primary under a newer epoch");
        }
        for operation in self.store.driven_here(id).await.map_err(errors::store)? {
            if newer.epoch.raised_in == Some(operation) {
                // Taken over: it goes on there, and its record comes from there.
                self.store.yield_operation(operation).await.map_err(errors::store)?;
                continue;
            }
            let by = newer
                .epoch
                .raised_in
                .map_or_else(String::new, |op| format!(": superseded by {op}"));
            let why =
                format!("The other site is the primary under epoch {}{by}", newer.epoch.number);
            self.store.end_overtaken(operation, &why).await.map_err(errors::store)?;
        }
        Ok(Refusal::new(
            Code::Quarantined,
            format!(
                "Group {id} is quarantined at this site now; the document waits for sync-force"
            ),
        ))
    }

    /// One round of all quarantines: makes safe, takes back, releases. For the engine, periodically.
    ///
    /// # Errors
    /// The database's.
    pub async fn tend_quarantines(&self) -> Result<(), Refusal> {
        for (id, quarantine) in self.store.quarantined().await.map_err(errors::store)? {
            let group = self.store.group(&Scope::System, id).await.map_err(errors::store)?;
            if quarantine.is_lifting {
                self.lift(&group, &quarantine).await?;
            } else {
                if !quarantine.is_safe {
                    self.make_safe(&group, &quarantine).await?;
                }
                self.end_quarantine(id).await?;
            }
        }
        Ok(())
    }

    async fn make_safe(
        &self,
        group: &ProtectionGroup,
        quarantine: &Quarantine,
    ) -> Result<(), Refusal> {
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let made = async {
            let works = quarantine
                .servers
                .iter()
                .map(|server| self.secure(group, quarantine, local, server));
            let failures: Vec<String> = futures::future::join_all(works)
                .await
                .into_iter()
                .filter_map(Result::err)
                .collect();
            if !failures.is_empty() {
                return Err(failures.join("; "));
            }
            self.stop_schedule(group, local).await
        };
        let failure = made.await.err();
        if let Some(failure) = &failure {
            tracing::warn!(group = %group.id, failure, "what ran here is not safe yet; tried again");
        }
        let is_safe = failure.is_none();
        self.store
            .change_site_facts(group.id, |facts| {
                if let Some(known) = &mut facts.quarantine {
                    (known.is_safe, known.failure) = (is_safe, failure.clone());
                }
            })
            .await
            .map_err(errors::store)?;
        if is_safe {
            tracing::warn!(group = %group.id, "quarantine: what ran here is stopped, locked and disconnected");
            self.hand_fences_over(group.id, group.other_site(local)).await;
        }
        Ok(())
    }

    /// Stop, lock, disconnect; recorded first.
    async fn secure(
        &self,
        group: &ProtectionGroup,
        quarantine: &Quarantine,
        local: SiteId,
        target: &QuarantinedServer,
    ) -> Safe<()> {
        let name = &target.name;
        let cloud = self.service_cloud(local).await.map_err(|refusal| refusal.to_string())?;
        let compute = cloud.compute();
        let server = match compute.server(&target.server_id).await {
            Ok(server) => Some(server),
            Err(error) if error.is_absent() => None,
            Err(error) => return Err(words(format!("server {name} cannot be looked at"))(error)),
        };
        let fence = self.record_fence(group, quarantine, local, target, server.as_ref()).await?;
        if let Some(server) = server {
            if server.status != "SHUTOFF" {
                compute
                    .stop_server(&server.id)
                    .await
                    .or_else(ignore_conflict)
                    .map_err(words(format!("server {name} cannot be stopped")))?;
                self.await_status(local, &server.id, "SHUTOFF")
                    .await
                    .map_err(|why| format!("server {name}: {why}"))?;
            }
            if !server.locked {
                let why = format!(
                    "quarantined by Protector: epoch {} is elsewhere",
                    quarantine.epoch.number
                );
                compute
                    .lock_server(&server.id, &why)
                    .await
                    .map_err(words(format!("server {name} cannot be locked")))?;
            }
        }
        self.disconnect(group, local, &fence).await.map_err(words(format!("disks of {name}")))
    }

    /// How the server was before it is touched; what was recorded before stays.
    async fn record_fence(
        &self,
        group: &ProtectionGroup,
        quarantine: &Quarantine,
        local: SiteId,
        target: &QuarantinedServer,
        server: Option<&Server>,
    ) -> Safe<Fence> {
        let array =
            self.fabric.array(group.id, local).await.map_err(words("the array cannot be used"))?;
        let mut volumes = Vec::new();
        for volume in &target.volumes {
            let connections = match array.connections(volume).await {
                Ok(connections) => connections,
                Err(error) if error.is_absent() => Vec::new(),
                Err(error) => {
                    return Err(words(format!("connections of {volume} cannot be read"))(error));
                }
            };
            volumes.push(FencedVolume { volume: volume.clone(), connections });
        }
        let fence = Fence {
            member_id: target.member_id,
            site_id: local,
            epoch: quarantine.epoch.number,
            server_id: target.server_id.clone(),
            was_active: server.is_some_and(|server| server.status == "ACTIVE"),
            was_locked: server.is_some_and(|server| server.locked),
            volumes,
            operation_id: None,
            fenced_at: self.clock.now(),
        };
        self.store.add_fence(group.id, &fence).await.map_err(|error| error.to_string())
    }

    async fn disconnect(
        &self,
        group: &ProtectionGroup,
        local: SiteId,
        fence: &Fence,
    ) -> PortResult<()> {
        let array = self.fabric.array(group.id, local).await?;
        let permit = DestroyPermit::fence(Evidence::of_fence_record(fence));
        for volume in &fence.volumes {
            for connection in &volume.connections {
                match array.disconnect(&volume.volume, connection, &permit).await {
                    Err(error) if !error.is_absent() => return Err(error),
                    _ => {}
                }
            }
            // Looked at again: whoever connected it meanwhile shows.
            match array.connections(&volume.volume).await {
                Ok(left) if left.is_empty() => {}
                Err(error) if error.is_absent() => {}
                Ok(_) => {
                    return Err(PortError::Conflict {
                        service: "the array".into(),
                        message: format!("volume {} is still connected", volume.volume),
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn stop_schedule(&self, group: &ProtectionGroup, local: SiteId) -> Safe<()> {
        let stopped = async {
            let array = self.fabric.array(group.id, local).await?;
            array.set_group_schedule(&group.array_group_name(), false).await
        };
        match stopped.await {
            Err(error) if !error.is_absent() => {
                Err(words("the old replication schedule could not be stopped")(error))
            }
            _ => Ok(()),
        }
    }

    async fn await_status(&self, site: SiteId, server: &str, wanted: &str) -> Safe<()> {
        let cloud = self.service_cloud(site).await.map_err(|refusal| refusal.to_string())?;
        let give_up = self.clock.monotonic() + SERVER_PATIENCE;
        loop {
            let last = match cloud.compute().server(server).await {
                Ok(server) if server.status == wanted => return Ok(()),
                Ok(server) => format!("it is {}, not {wanted}", server.status),
                Err(error) if error.is_absent() && wanted == "SHUTOFF" => return Ok(()),
                Err(error) => error.to_string(),
            };
            if self.clock.monotonic() >= give_up {
                return Err(last);
            }
            self.clock.sleep(LOOK).await;
        }
    }

    /// Takes a quarantine back exactly: recorded connections, then unlocked, then started what ran.
    async fn lift(&self, group: &ProtectionGroup, quarantine: &Quarantine) -> Result<(), Refusal> {
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let fences = self.store.fences(group.id).await.map_err(errors::store)?;
        // Only what this quarantine made: a fence of an operation is that operation's to take back.
        let ours =
            fences.iter().filter(|fence| fence.site_id == local && fence.operation_id.is_none());
        let works = ours.map(|fence| self.put_back(group, local, fence));
        let mut failures: Vec<String> =
            futures::future::join_all(works).await.into_iter().filter_map(Result::err).collect();
        if failures.is_empty()
            && let Err(failure) = self.start_schedule(group, local).await
        {
            failures.push(failure);
        }
        let failure = Some(failures.join("; ")).filter(|failure| !failure.is_empty());
        self.store
            .change_site_facts(group.id, |facts| match (&failure, &mut facts.quarantine) {
                (None, quarantine) => *quarantine = None,
                (Some(_), Some(known)) => known.failure.clone_from(&failure),
                (Some(_), None) => {}
            })
            .await
            .map_err(errors::store)?;
        match &failure {
            None => {
                tracing::warn!(group = %group.id, epoch = quarantine.epoch.number, "the quarantine was taken back: this site is the primary again")
            }
            Some(failure) => {
                tracing::warn!(group = %group.id, failure, "the quarantine is not taken back yet; tried again")
            }
        }
        Ok(())
    }

    async fn put_back(&self, group: &ProtectionGroup, local: SiteId, fence: &Fence) -> Safe<()> {
        let array =
            self.fabric.array(group.id, local).await.map_err(words("the array cannot be used"))?;
        for volume in &fence.volumes {
            for connection in &volume.connections {
                array
                    .connect(&volume.volume, connection)
                    .await
                    .map_err(words(format!("volume {} cannot be connected", volume.volume)))?;
            }
        }
        let id = &fence.server_id;
        let cloud = self.service_cloud(local).await.map_err(|refusal| refusal.to_string())?;
        if !fence.was_locked {
            cloud
                .compute()
                .unlock_server(id)
                .await
                .map_err(words(format!("server {id} cannot be unlocked")))?;
        }
        if fence.was_active {
            cloud
                .compute()
                .start_server(id)
                .await
                .or_else(ignore_conflict)
                .map_err(words(format!("server {id} cannot be started")))?;
            self.await_status(local, id, "ACTIVE").await?;
        }
        self.store.remove_fences(local, &[fence.member_id]).await.map_err(|error| error.to_string())
    }

    async fn start_schedule(&self, group: &ProtectionGroup, local: SiteId) -> Safe<()> {
        let started = async {
            let array = self.fabric.array(group.id, local).await?;
            array.set_group_schedule(&group.array_group_name(), true).await
        };
        match started.await {
            Err(error) if !error.is_absent() => {
                Err(words("the replication schedule could not be started again")(error))
            }
            _ => Ok(()),
        }
    }

    /// Hands this site's fence records to the peer, so that a failback can put everything back.
    pub(crate) async fn hand_fences_over(&self, id: GroupId, other: SiteId) {
        let handed = async {
            let fences = self.store.fences(id).await.map_err(crate::peer::own)?;
            if fences.is_empty() {
                return Ok(());
            }
            self.fabric.peer(other).await?.put_fences(id, &fences).await
        };
        if let Err(error) = handed.await {
            tracing::info!(group = %id, %error, "the peer did not take the fence records; they go with the next document");
        }
    }

    /// A person has synchronised: the quarantine may end.
    pub(crate) async fn ask_release(&self, id: GroupId) -> Result<(), Refusal> {
        let asked = self.store.change_site_facts(id, |facts| {
            if let Some(quarantine) = &mut facts.quarantine {
                quarantine.release_asked = true;
            }
        });
        asked.await.map_err(errors::store)
    }

    /// Ends the quarantine if it may end: asked for, both copies the same, this site's own safe. The fence stays.
    pub(crate) async fn end_quarantine(&self, id: GroupId) -> Result<(), Refusal> {
        let facts = self.store.site_facts(id).await.map_err(errors::store)?;
        let Some(quarantine) = facts.quarantine.filter(|q| q.release_asked && !q.is_lifting) else {
            return Ok(());
        };
        let document = self.group_document(id).await?;
        let in_sync = self.sync_of(&document).await?.status == SyncState::InSync;
        if may_release(quarantine.release_asked, in_sync, quarantine.is_safe) {
            self.store
                .change_site_facts(id, |facts| facts.quarantine = None)
                .await
                .map_err(errors::store)?;
            tracing::warn!(group = %id, "the quarantine is released; the fence stays");
        }
        Ok(())
    }

    /// Ends a quarantine by a person's word, where making this site's copy safe had failed.
    ///
    /// # Errors
    /// NotFound; GroupWrongState when the group is not quarantined; OutOfSync, PeerUnreachable unless IN SYNC.
    pub async fn release_quarantine(
        &self,
        project: &ProjectId,
        id: GroupId,
    ) -> Result<GroupDetail, Refusal> {
        let scope = Scope::Project(project.clone());
        let document = self.store.group_document(&scope, id).await.map_err(errors::store)?;
        let holder = self.holder_status(&document.group).await?;
        let situation = Situation::of(&document.group, holder);
        admission::admit(Action::ReleaseQuarantine, false, &situation)?;
        let facts = self.store.site_facts(id).await.map_err(errors::store)?;
        let Some(quarantine) = facts.quarantine else {
            return Err(Refusal::new(
                Code::GroupWrongState,
                "The quarantine has just ended; nothing is to be released",
            ));
        };
        let sync = self.sync_of(&document).await?;
        match sync.status {
            SyncState::InSync => {}
            SyncState::Unreachable => return Err(Refusal::peer_unreachable()),
            other => {
                return Err(Refusal::new(
                    Code::OutOfSync,
                    format!(
                        "The group's metadata is {other}: run sync-force first, which also ends a quarantine whose copy is safe"
                    ),
                ));
            }
        }
        if may_release(true, true, quarantine.is_safe || quarantine.failure.is_some()) {
            self.store
                .change_site_facts(id, |facts| facts.quarantine = None)
                .await
                .map_err(errors::store)?;
            tracing::warn!(group = %id, failure = ?quarantine.failure, "the quarantine is released by a person");
            return self.group(project, id).await;
        }
        Err(Refusal::new(
            Code::Quarantined,
            "What ran here is still being stopped, locked and disconnected; try again when that has ended or failed",
        ))
    }
}

/// The state was that already, or changes by itself: the look afterwards tells.
fn ignore_conflict(error: PortError) -> PortResult<()> {
    match error {
        PortError::Conflict { .. } => Ok(()),
        error => Err(error),
    }
}
