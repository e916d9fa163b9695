//! In whose name we act in a tenant's project (1-product.md section 4): a user's trust where there is one, our service
//! user otherwise. `docs/adr/0011-delegation-by-trusts.md` says why it is so.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use protector_ports::{DelegationHandover, Identity, PortError, PortResult};
use protector_types::{
    Delegation, DelegationState, GroupDocument, ProjectId, ProtectionGroup, Refusal, Secret,
    SiteId, choose_delegate,
};

use crate::{ActingHealth, Caller, Core, errors};

/// How long a tenant's call waits for the trust that it lets us make; the next call tries again.
const TRUST_PATIENCE: Duration = Duration::from_secs(5);
/// How long a plan or a report waits for what the peer, or Keystone, says.
const LOOK_PATIENCE: Duration = Duration::from_millis(2_500);

/// Why there is no trust, before anybody gave us the chance to make one.
const NOBODY_YET: &str =
    "no user of the project has called this site's Protector with a token that can make a trust";

impl Core {
    /// A user who may change things in a project has called: on the first such call a trust is made with the user's own
    /// token. Whatever happens, the call goes on: without a trust our service user acts.
    ///
    /// # Errors
    /// None; what went wrong is in the log and in the delegation's record.
    pub async fn note_caller(
        &self,
        caller: &Caller,
        project: &ProjectId,
        token: &Secret,
        from_application_credential: bool,
    ) -> Result<(), Refusal> {
        let noted = self.note(caller, project, token, from_application_credential);
        match tokio::time::timeout(TRUST_PATIENCE, noted).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(user = %caller.user_id, %project, %error, "no trust yet; our service user acts");
            }
            Err(_) => {
                tracing::warn!(user = %caller.user_id, %project, "Keystone is slow; no trust yet, our service user acts");
            }
        }
        Ok(())
    }

    async fn note(
        &self,
        caller: &Caller,
        project: &ProjectId,
        token: &Secret,
        from_application_credential: bool,
    ) -> Result<(), Refusal> {
        let site = self.store.own_site_id().await.map_err(errors::store)?;
        let known = self.store.delegations(site, project).await.map_err(errors::store)?;
        let mine = known.iter().position(|(d, _)| d.user_id == caller.user_id);
        if let Some(at) = mine
            && known[at].0.state == DelegationState::InForce
        {
            // Who called last is who is asked first.
            if at > 0 {
                let used = self.store.delegation_used(site, project, &caller.user_id).await;
                used.map_err(errors::store)?;
            }
            return Ok(());
        }
        if from_application_credential
            && mine.is_some_and(|at| known[at].0.state == DelegationState::Refused)
        {
            return Ok(());
        }
        let mapped = self.store.tenant_mappings_of(site, project).await.map_err(errors::store)?;
        if mapped.is_empty() {
            return Ok(());
        }
        // Two calls of one user must not make two trusts.
        let _one = self.delegating.lock().await;
        let now = self.clock.now();
        let mut record = Delegation {
            site_id: site,
            project_id: project.clone(),
            user_id: caller.user_id.clone(),
            user_name: caller.user_name.clone(),
            state: DelegationState::Refused,
            reason: None,
            used_at: now,
            observed_at: now,
        };
        let trust = if from_application_credential {
            Err("tokens of application credentials cannot make trusts".to_owned())
        } else {
            match self.obtain_trust(site, caller, project, token).await {
                Ok(trust) => Ok(trust),
                // Nothing was decided: the next call tries again.
                Err(error) if error.is_passing() => return Err(errors::site("No trust")(error)),
                Err(error) => Err(error.to_string()),
            }
        };
        let stored = match &trust {
            Ok(trust) => {
                record.state = DelegationState::InForce;
                tracing::info!(user = %caller.user_id, %project, "a trust is in force");
                self.store.put_delegation(&record, Some(trust)).await
            }
            Err(reason) => {
                record.reason = Some(reason.clone());
                self.store.put_delegation(&record, None).await
            }
        };
        stored.map_err(errors::store)
    }

    /// A trust that works: one that is there (made when our books were lost, or before its user lost the role and got it
    /// back), or a new one.
    async fn obtain_trust(
        &self,
        site: SiteId,
        caller: &Caller,
        project: &ProjectId,
        token: &Secret,
    ) -> PortResult<Secret> {
        let known = self.store.delegation(site, project, &caller.user_id).await;
        if let Ok(Some((record, Some(trust)))) = known
            && record.state == DelegationState::InForce
        {
            return Ok(trust);
        }
        let identity = self.fabric.identity(site).await?;
        for trust in identity.trusts_to_us(token, &caller.user_id, project).await? {
            match self.fabric.prove_trust(site, &trust).await {
                Ok(()) => return Ok(trust),
                Err(error) if error.is_passing() => return Err(error),
                Err(_) => drop_quietly(identity.as_ref(), &trust).await,
            }
        }
        let trust = identity.make_trust(token, &caller.user_id, project).await?;
        if let Err(error) = self.fabric.prove_trust(site, &trust).await {
            drop_quietly(identity.as_ref(), &trust).await;
            return Err(error);
        }
        Ok(trust)
    }

    /// What the peer asks for: the delegations of a project that are in force at our own site, with their trusts. The
    /// caller acts as our site's service user already, the only one who can use them.
    ///
    /// # Errors
    /// The database's.
    pub async fn delegations_for_peer(
        &self,
        project: ProjectId,
    ) -> Result<Vec<DelegationHandover>, Refusal> {
        let site = self.store.own_site_id().await.map_err(errors::store)?;
        let known = self.store.delegations(site, &project).await.map_err(errors::store)?;
        let in_force = known.into_iter().filter(|(d, _)| d.state == DelegationState::InForce);
        Ok(in_force
            .filter_map(|(delegation, trust)| {
                Some(DelegationHandover { delegation, trust: trust? })
            })
            .collect())
    }

    /// The delegations of a group at both sites, as far as they are known; what the peer knows of its own site is asked
    /// first, unless `ask_peer` is false (a forced operation must not wait for a dead site).
    pub(crate) async fn delegates(
        &self,
        group: &ProtectionGroup,
        ask_peer: bool,
    ) -> Result<BTreeMap<SiteId, Vec<Delegation>>, Refusal> {
        let own = self.store.own_site_id().await.map_err(errors::store)?;
        let mut delegates = BTreeMap::new();
        for (&site, project) in &group.projects {
            if site != own && ask_peer {
                self.fetch_delegations(site, project).await;
            }
            let known = self.store.delegations(site, project).await.map_err(errors::store)?;
            delegates.insert(site, known.into_iter().map(|(d, _)| d).collect());
        }
        Ok(delegates)
    }

    /// Takes what the peer knows of its own site and stores it under our own key. A peer that does not answer leaves what
    /// we have.
    async fn fetch_delegations(&self, site: SiteId, project: &ProjectId) {
        let ask = async { self.fabric.peer(site).await?.delegations(project).await };
        let handed = match tokio::time::timeout(LOOK_PATIENCE, ask).await {
            Ok(Ok(handed)) => handed,
            Ok(Err(error)) => {
                tracing::info!(%site, %error, "the peer did not say who delegated to it");
                return;
            }
            Err(_) => return,
        };
        if let Err(error) = self.take_delegations(site, project, handed).await {
            tracing::warn!(%site, %error, "the peer's delegations could not be stored");
        }
    }

    async fn take_delegations(
        &self,
        site: SiteId,
        project: &ProjectId,
        handed: Vec<DelegationHandover>,
    ) -> Result<(), Refusal> {
        let known = self.store.delegations(site, project).await.map_err(errors::store)?;
        for (old, _) in &known {
            if !handed.iter().any(|h| h.delegation.user_id == old.user_id) {
                let gone = self.store.remove_delegation(site, project, &old.user_id).await;
                gone.map_err(errors::store)?;
            }
        }
        // Only of the site and the project that were asked for.
        let fits = |h: &DelegationHandover| {
            h.delegation.site_id == site
                && h.delegation.project_id == *project
                && h.delegation.state == DelegationState::InForce
        };
        for DelegationHandover { delegation, trust } in handed.into_iter().filter(fits) {
            let same = known.iter().any(|(old, held)| {
                *old == delegation && held.as_ref().map(Secret::expose) == Some(trust.expose())
            });
            if !same {
                let put = self.store.put_delegation(&delegation, Some(&trust)).await;
                put.map_err(errors::store)?;
            }
        }
        Ok(())
    }

    /// In whose name we act at both sites of a group; partial when a site is down.
    pub(crate) async fn acting(&self, document: &GroupDocument) -> Vec<ActingHealth> {
        let Ok(delegates) = self.delegates(&document.group, true).await else { return Vec::new() };
        let owner = document.members.first().map_or("", |m| m.spec.user_id.as_str());
        let mut acting = Vec::new();
        for (&site, project) in &document.group.projects {
            let here = delegates.get(&site).map_or(&[][..], Vec::as_slice);
            let there = delegates.get(&document.group.other_site(site));
            let there = there.map_or(&[][..], Vec::as_slice);
            acting.push(self.acting_at(site, project, owner, here, there).await);
        }
        acting
    }

    async fn acting_at(
        &self,
        site: SiteId,
        project: &ProjectId,
        owner: &str,
        here: &[Delegation],
        there: &[Delegation],
    ) -> ActingHealth {
        let mut health = ActingHealth {
            site_id: site,
            acts_as: "service_user".into(),
            user_name: None,
            reason: None,
            observed_at: self.clock.now(),
        };
        let Some(chosen) = choose_delegate(owner, here, there) else {
            let last = here.first().and_then(|d| {
                d.reason.as_ref().map(|reason| format!("user {}: {reason}", d.user_name))
            });
            health.reason = Some(last.unwrap_or_else(|| NOBODY_YET.to_owned()));
            return health;
        };
        let look =
            async { self.fabric.cloud_as(site, project, &chosen.user_id).await?.actor().await };
        match tokio::time::timeout(LOOK_PATIENCE, look).await {
            Ok(Ok(actor)) if actor.delegated => {
                health.acts_as = "trust".into();
                health.user_name = Some(actor.user_name);
            }
            Ok(Ok(actor)) => {
                let why = actor.reason.unwrap_or_else(|| "its trust has ended".into());
                health.reason = Some(format!("user {}: {why}", chosen.user_name));
            }
            Ok(Err(error)) => {
                health.acts_as = "unknown".into();
                health.reason = Some(error.to_string());
            }
            Err(_) => {
                health.acts_as = "unknown".into();
                health.reason = Some("Keystone did not answer in time".into());
            }
        }
        health
    }

    /// How many projects are mapped at a site, and in how many of them a trust is in force, as far as is known here.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn delegation_counts(&self, site: SiteId) -> Result<(usize, usize), Refusal> {
        let mappings = self.all_tenant_mappings().await?;
        let projects: BTreeSet<ProjectId> = mappings
            .iter()
            .filter(|m| [m.primary_site_id, m.secondary_site_id].contains(&site))
            .filter_map(|m| m.project_at(site).cloned())
            .collect();
        let mut trusted = 0;
        for project in &projects {
            let known = self.store.delegations(site, project).await.map_err(errors::store)?;
            trusted += usize::from(known.iter().any(|(d, _)| d.state == DelegationState::InForce));
        }
        Ok((projects.len(), trusted))
    }

    /// Gives all trusts of a project at our own site back: it is no longer mapped.
    pub(crate) async fn release_delegations(&self, project: &ProjectId) -> Result<(), Refusal> {
        let site = self.store.own_site_id().await.map_err(errors::store)?;
        for (record, trust) in self.store.delegations(site, project).await.map_err(errors::store)? {
            if let Some(trust) = trust {
                let dropped =
                    async { self.fabric.identity(site).await?.drop_trust(&trust).await }.await;
                if let Err(error) = dropped {
                    tracing::warn!(user = record.user_id, %error, "a trust stays in Keystone");
                }
            }
            let removed = self.store.remove_delegation(site, project, &record.user_id).await;
            removed.map_err(errors::store)?;
        }
        Ok(())
    }
}

async fn drop_quietly(identity: &dyn Identity, trust: &Secret) {
    if let Err(error @ PortError::Denied { .. }) = identity.drop_trust(trust).await {
        tracing::warn!(%error, "a trust that does not work stays in Keystone");
    }
}
