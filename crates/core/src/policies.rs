//! Replication policies: both arrays are logged in to and their link is checked before anything is stored; the array's
//! protection group is made when the policy is first set.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use protector_ports::{ArrayGroupSpec, ArrayInfo, PortError, ReplicationArray};
use protector_store::Scope;
use protector_types::{
    Code, Evidence, GroupId, ProjectId, ProtectionGroup, Refusal, ReplicationPolicy,
    ReplicationStatus, Secret, SiteId,
};

use crate::{Core, NewPolicy, errors, members};

/// The array's floor for protection-group replication (reference notes, section 5).
const INTERVAL_FLOOR_SEC: u64 = 300;
/// How long the target may take to list a new group of the source.
const PROPAGATION: Duration = Duration::from_secs(180);

/// One array of a policy, logged in to.
struct Side {
    site: SiteId,
    url: String,
    token: Secret,
    array: Arc<dyn ReplicationArray>,
    info: ArrayInfo,
}

impl Core {
    /// Creates or replaces the policy.
    ///
    /// # Errors
    /// RequestInvalidValue; ArrayError naming the array; ReplicationNotReady without a usable link; PeerUnreachable.
    pub async fn set_policy(
        &self,
        project: &ProjectId,
        id: GroupId,
        new: NewPolicy,
    ) -> Result<ReplicationPolicy, Refusal> {
        let change = self.begin_change(project, id, None).await?;
        let done = self.set_policy_claimed(project, &change.group, new).await;
        // It was pushed already: the peer keeps tokens only of groups that it knows.
        self.end_change(change, false).await;
        done
    }

    async fn set_policy_claimed(
        &self,
        project: &ProjectId,
        group: &ProtectionGroup,
        new: NewPolicy,
    ) -> Result<ReplicationPolicy, Refusal> {
        let id = group.id;
        check(&new)?;
        let (source, target) = self.sides(group, &new).await?;
        check_link(group, &source, &target).await?;
        let fresh = self.reobserve_all(group, &source.array).await?;
        let volumes: Vec<String> =
            fresh.iter().flat_map(|m| members::array_volumes(m, source.site)).collect();
        let group = &place(group, &source, &target, &volumes).await?;
        self.prepare_array_group(group, &new, &source, &target, &volumes).await?;
        let policy = ReplicationPolicy {
            array_urls: BTreeMap::from([
                (source.site, source.url.clone()),
                (target.site, target.url.clone()),
            ]),
            array_names: BTreeMap::from([
                (source.site, source.info.name.clone()),
                (target.site, target.info.name.clone()),
            ]),
            replication_interval: new.replication_interval,
            rpo_minutes: new.rpo_minutes,
            retention: new.retention,
            updated_at: self.clock.now(),
        };
        for side in [&source, &target] {
            self.store.set_array_token(id, side.site, &side.token).await.map_err(errors::store)?;
        }
        let mut version =
            self.store.set_policy(id, &policy, group.version).await.map_err(errors::store)?;
        for member in &fresh {
            version = self.store.update_member(member, version).await.map_err(errors::store)?;
        }
        self.mark_replicating(project, group).await?;
        // The document first: the peer keeps tokens only of groups that it knows.
        self.push_soon(id).await;
        self.hand_tokens_over(group, [&source, &target]).await;
        Ok(policy)
    }

    async fn sides(
        &self,
        group: &ProtectionGroup,
        new: &NewPolicy,
    ) -> Result<(Side, Side), Refusal> {
        let (primary, secondary) = futures::try_join!(
            self.side(
                group,
                group.primary_site_id,
                &new.primary_fa_url,
                new.primary_fa_api_token.as_ref(),
                "primary"
            ),
            self.side(
                group,
                group.secondary_site_id,
                &new.secondary_fa_url,
                new.secondary_fa_api_token.as_ref(),
                "secondary"
            ),
        )?;
        let at_primary = group.current_primary_site_id == group.primary_site_id;
        Ok(if at_primary { (primary, secondary) } else { (secondary, primary) })
    }

    async fn side(
        &self,
        group: &ProtectionGroup,
        site: SiteId,
        url: &str,
        token: Option<&Secret>,
        role: &str,
    ) -> Result<Side, Refusal> {
        let token = match token {
            Some(token) => token.clone(),
            None => {
                self.store.array_token(group.id, site).await.map_err(errors::store)?.ok_or_else(
                    || {
                        Refusal::new(
                            Code::RequestInvalidValue,
                            format!("{role}_fa_api_token: needed, none is stored yet"),
                        )
                    },
                )?
            }
        };
        let failed = |error: PortError| {
            Refusal::new(
                Code::ArrayError,
                format!(
                    "The {role} array at {url} cannot be used: {error}; check its address and API token"
                ),
            )
        };
        let array = self.fabric.array_at(url, &token).await.map_err(failed)?;
        let info = array.identify().await.map_err(failed)?;
        Ok(Side { site, url: url.to_owned(), token, array, info })
    }

    async fn prepare_array_group(
        &self,
        group: &ProtectionGroup,
        new: &NewPolicy,
        source: &Side,
        target: &Side,
        volumes: &[String],
    ) -> Result<(), Refusal> {
        let name = group.array_group_name();
        let failed = |error: PortError| {
            Refusal::new(
                Code::ArrayError,
                format!("The array's protection group {name} could not be set up: {error}"),
            )
        };
        let spec = ArrayGroupSpec {
            name: name.clone(),
            target: target.info.name.clone(),
            interval_sec: new.replication_interval,
            retention: new.retention,
        };
        source.array.ensure_group(&spec).await.map_err(failed)?;
        let give_up = self.clock.monotonic() + PROPAGATION;
        loop {
            match target.array.allow_group(&source.info.name, &name, true).await {
                Ok(()) => break,
                // The target learns of a new group after a while.
                Err(error) if error.is_absent() && self.clock.monotonic() < give_up => {
                    self.clock.sleep(Duration::from_millis(500)).await;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        if !volumes.is_empty() {
            source.array.add_to_group(&name, volumes).await.map_err(failed)?;
        }
        source.array.set_group_schedule(&name, true).await.map_err(failed)
    }

    /// The schedule runs from here on.
    async fn mark_replicating(
        &self,
        project: &ProjectId,
        placed: &ProtectionGroup,
    ) -> Result<(), Refusal> {
        let scope = Scope::Project(project.clone());
        let mut group = self.store.group(&scope, placed.id).await.map_err(errors::store)?;
        group.array_group.clone_from(&placed.array_group);
        group.replication_status = ReplicationStatus::Replicating;
        let version = group.version;
        self.store.update_group(&group, version).await.map_err(errors::store)?;
        Ok(())
    }

    /// Tokens are secrets of a site, outside the document: handed over once, over the authenticated peer call. A peer
    /// that misses them says so in its health, and the policy can be set there again.
    async fn hand_tokens_over(&self, group: &ProtectionGroup, sides: [&Side; 2]) {
        let Ok(local) = self.store.own_site_id().await else { return };
        for side in sides {
            let told = async {
                let peer = self.fabric.peer(group.other_site(local)).await?;
                peer.put_array_token(group.id, side.site, &side.token).await
            };
            if let Err(error) = told.await {
                tracing::warn!(group = %group.id, %error, "the peer did not take an array token");
            }
        }
    }

    /// The policy, without tokens.
    ///
    /// # Errors
    /// NotFound when none is set.
    pub async fn policy(
        &self,
        project: &ProjectId,
        id: GroupId,
    ) -> Result<ReplicationPolicy, Refusal> {
        self.store
            .policy(&Scope::Project(project.clone()), id)
            .await
            .map_err(errors::store)?
            .ok_or_else(|| {
                Refusal::new(
                    Code::NotFound,
                    format!("Protection group {id} has no replication policy; set one with POST"),
                )
            })
    }

    /// Removes the array's protection group of a group that is being deleted; never a volume.
    pub(crate) async fn release_array_group(&self, group: &ProtectionGroup) -> Result<(), Refusal> {
        if self.store.policy(&Scope::System, group.id).await.map_err(errors::store)?.is_none() {
            return Ok(());
        }
        // The other array has one too, once the group has been replicated back.
        for site in [group.current_primary_site_id, group.current_secondary_site_id()] {
            let removed = async {
                let array = self.fabric.array(group.id, site).await?;
                array.set_group_schedule(&group.array_group_name(), false).await?;
                let evidence = Evidence::of_group_record(group.id, group.version);
                let permit = protector_ports::DestroyPermit::made_by(evidence);
                array.destroy_group(&group.array_group_name(), &permit).await
            };
            match removed.await {
                Ok(()) => {}
                Err(error) if error.is_absent() => {}
                Err(error) => {
                    return Err(Refusal::new(
                        Code::ArrayError,
                        format!("The array's protection group could not be removed: {error}"),
                    ));
                }
            }
        }
        Ok(())
    }
}

fn check(new: &NewPolicy) -> Result<(), Refusal> {
    let bad = |message: String| Err(Refusal::new(Code::RequestInvalidValue, message));
    if new.replication_interval < INTERVAL_FLOOR_SEC {
        return bad(format!(
            "replication_interval: must be at least {INTERVAL_FLOOR_SEC} seconds, the array's floor"
        ));
    }
    if new.rpo_minutes == Some(0) {
        return bad("rpo_minutes: must be at least 1".into());
    }
    if new.primary_fa_url == new.secondary_fa_url {
        return bad("secondary_fa_url: must be another array than primary_fa_url".into());
    }
    Ok(())
}

/// The group with the name that the arrays know its protection group by: a synchronous one is beside its volumes.
async fn place(
    group: &ProtectionGroup,
    source: &Side,
    target: &Side,
    volumes: &[String],
) -> Result<ProtectionGroup, Refusal> {
    let mut group = group.clone();
    if group.is_synchronous() {
        let own = group.own_array_group_name();
        let found = source.array.sync_group(&own, &target.info.name, volumes).await;
        let found = found.map_err(|error| {
            Refusal::new(
                Code::ReplicationNotReady,
                format!(
                    "The group replicates synchronously, and array {} has no place for that: {error}",
                    source.info.name
                ),
            )
        })?;
        if found.copies.iter().all(|copy| copy.array != target.info.name) {
            return Err(Refusal::new(
                Code::ReplicationNotReady,
                format!("{} is not at array {}", found.container, target.info.name),
            ));
        }
        group.array_group = Some(found.name);
    }
    Ok(group)
}

async fn check_link(group: &ProtectionGroup, source: &Side, target: &Side) -> Result<(), Refusal> {
    let links =
        source.array.links().await.map_err(|e| {
            Refusal::new(Code::ArrayError, format!("array {}: {e}", source.info.name))
        })?;
    match links.iter().find(|l| l.remote == target.info.name) {
        Some(link) if link.is_usable() && group.is_synchronous() && !link.sync_replication => {
            Err(Refusal::new(
                Code::ReplicationNotReady,
                format!(
                    "The replication link {} -> {} carries asynchronous replication only; the group wants sync",
                    source.info.name, target.info.name
                ),
            ))
        }
        Some(link) if link.is_usable() => Ok(()),
        Some(link) => Err(Refusal::new(
            Code::ReplicationNotReady,
            format!(
                "The replication link {} -> {} is {}",
                source.info.name, target.info.name, link.status
            ),
        )),
        None => Err(Refusal::new(
            Code::ReplicationNotReady,
            format!(
                "Array {} has no replication link to {}; ask the storage administrator to connect them",
                source.info.name, target.info.name
            ),
        )),
    }
}
