//! Protection groups: creation on both sites, change, deletion.

use std::collections::BTreeMap;

use protector_ports::VolumeType;
use protector_store::{GroupFilter, Page, PageRequest, Scope};
use protector_types::{
    Candidate, Code, Epoch, GroupId, GroupStatus, ProjectId, ProtectionGroup, Refusal,
    ReplicationStatus, ReplicationType, SiteId, TenantMapping, VolumeTypeRef, resolve_reference,
};

use crate::{Caller, Core, GroupChange, GroupDetail, NewGroup, errors};

/// True for a type that replicates: the extra specs of the founding document, compared as Cinder's driver does.
pub fn is_replicated(volume_type: &VolumeType) -> bool {
    volume_type.extra_specs.get("replication_enabled").is_some_and(|v| v == "<is> True")
}

/// The replication type of a volume type. Enabled without a type means async.
pub fn replication_of(volume_type: &VolumeType) -> Option<ReplicationType> {
    if !is_replicated(volume_type) {
        return None;
    }
    match volume_type.extra_specs.get("replication_type").map(String::as_str) {
        None | Some("<in> async") => Some(ReplicationType::Async),
        Some("<in> sync") => Some(ReplicationType::Sync),
        Some(_) => None,
    }
}

/// Chooses the volume type: by id or name, or the only one that fits.
///
/// # Errors
/// With the candidates.
pub fn choose_volume_type(
    site: &str,
    field: &str,
    wanted: Option<&str>,
    replication: ReplicationType,
    types: &[VolumeType],
) -> Result<VolumeTypeRef, Refusal> {
    let fitting: Vec<&VolumeType> =
        types.iter().filter(|t| replication_of(t) == Some(replication)).collect();
    let names =
        || fitting.iter().map(|t| format!("{} ({})", t.name, t.id)).collect::<Vec<_>>().join(", ");
    let invalid =
        |message: String| Refusal::new(Code::RequestInvalidValue, format!("{field}: {message}"));
    let chosen = match wanted {
        Some(wanted) => {
            let candidates: Vec<_> = types
                .iter()
                .map(|t| Candidate { id: t.id.clone(), name: t.name.clone() })
                .collect();
            let found = resolve_reference("volume type", wanted, &candidates)
                .map_err(|error| invalid(format!("at site {site}, {error}")))?;
            fitting.iter().find(|t| t.id == found.id).copied().ok_or_else(|| {
                invalid(format!(
                    "volume type {wanted:?} at site {site} is not replicated {replication}; those that are: {}",
                    names()
                ))
            })?
        }
        None => match fitting.as_slice() {
            [only] => only,
            [] => {
                return Err(invalid(format!(
                    "site {site} has no volume type with replication_enabled='<is> True' and \
                     replication_type='<in> {replication}'"
                )));
            }
            _ => {
                return Err(invalid(format!(
                    "several volume types of site {site} fit; choose one of: {}",
                    names()
                )));
            }
        },
    };
    Ok(VolumeTypeRef { id: chosen.id.clone(), name: chosen.name.clone() })
}

impl Core {
    /// Creates a group at both sites.
    ///
    /// # Errors
    /// TenantMappingMissing, RequestInvalidValue with candidates, AlreadyExists, PeerUnreachable.
    pub async fn create_group(
        &self,
        _caller: &Caller,
        project: &ProjectId,
        new: NewGroup,
    ) -> Result<GroupDetail, Refusal> {
        if new.name.trim().is_empty() {
            return Err(Refusal::new(Code::RequestInvalidValue, "name: must not be empty"));
        }
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let mapping =
            self.mapping_of(local, project, new.secondary_site_id.or(new.primary_site_id)).await?;
        let other = if mapping.primary_site_id == local {
            mapping.secondary_site_id
        } else {
            mapping.primary_site_id
        };
        let primary = new.primary_site_id.unwrap_or(local);
        let secondary =
            new.secondary_site_id.unwrap_or(if primary == local { other } else { local });
        if ![(local, other), (other, local)].contains(&(primary, secondary)) {
            return Err(Refusal::new(
                Code::RequestInvalidValue,
                "primary_site_id, secondary_site_id: the project is not mapped between these sites",
            ));
        }
        let projects: BTreeMap<SiteId, ProjectId> = [primary, secondary]
            .into_iter()
            .filter_map(|site| mapping.project_at(site).map(|p| (site, p.clone())))
            .collect();
        let volume_types = self.volume_types(&new, primary, secondary).await?;
        self.require_peer(other).await?;
        let now = self.clock.now();
        let group = ProtectionGroup {
            id: GroupId::generate(),
            name: new.name,
            description: new.description,
            replication_type: new.replication_type,
            primary_site_id: primary,
            secondary_site_id: secondary,
            projects,
            volume_types,
            test_volume_types: BTreeMap::new(),
            mappings: new.mappings,
            status: GroupStatus::Active,
            current_primary_site_id: primary,
            replication_status: ReplicationStatus::NotConfigured,
            failover_count: 0,
            last_replication_at: None,
            version: 1,
            epoch: Epoch { number: 1, raised_by: local, raised_in: None },
            epochs_before: Vec::new(),
            current_operation_id: None,
            active_test_operation_id: None,
            quarantine: None,
            kept: Vec::new(),
            created_at: now,
            updated_at: now,
            array_group: None,
        };
        self.store.insert_group(&group).await.map_err(errors::store)?;
        self.push_soon(group.id).await;
        self.group(project, group.id).await
    }

    /// The mapping of a local project, to one other site if it is mapped to several.
    pub(crate) async fn mapping_of(
        &self,
        local: SiteId,
        project: &ProjectId,
        other: Option<SiteId>,
    ) -> Result<TenantMapping, Refusal> {
        let mappings =
            self.store.tenant_mappings_of(local, project).await.map_err(errors::store)?;
        let other = other.filter(|site| *site != local);
        let mut fitting: Vec<_> = mappings
            .into_iter()
            .filter(|m| other.is_none_or(|site| m.project_at(site).is_some()))
            .collect();
        match fitting.len() {
            1 => Ok(fitting.remove(0)),
            0 => Err(Refusal::new(
                Code::TenantMappingMissing,
                "This project is not mapped to a project at the other site; ask an administrator for a tenant mapping",
            )),
            _ => Err(Refusal::new(
                Code::RequestInvalidValue,
                "secondary_site_id: the project is mapped to several sites; choose one",
            )),
        }
    }

    async fn volume_types(
        &self,
        new: &NewGroup,
        primary: SiteId,
        secondary: SiteId,
    ) -> Result<BTreeMap<SiteId, VolumeTypeRef>, Refusal> {
        let mut chosen = BTreeMap::new();
        for (site, wanted, field) in [
            (primary, &new.primary_volume_type, "primary_volume_type"),
            (secondary, &new.secondary_volume_type, "secondary_volume_type"),
        ] {
            let name = self.site(site).await?.name;
            let cloud = self.service_cloud(site).await?;
            let types = cloud.block_storage().volume_types().await;
            let types =
                types.map_err(errors::site("Cinder cannot be asked for its volume types"))?;
            chosen.insert(
                site,
                choose_volume_type(&name, field, wanted.as_deref(), new.replication_type, &types)?,
            );
        }
        Ok(chosen)
    }

    /// A project's groups.
    ///
    /// # Errors
    /// RequestInvalidValue for an unknown marker or sort key.
    pub async fn list_groups(
        &self,
        project: &ProjectId,
        name: Option<String>,
        status: Option<GroupStatus>,
        page: PageRequest,
    ) -> Result<Page<GroupDetail>, Refusal> {
        let scope = Scope::Project(project.clone());
        let filter = GroupFilter { name, status };
        let groups = self.store.list_groups(&scope, &filter, &page).await.map_err(errors::store)?;
        let ids: Vec<GroupId> = groups.items.iter().map(|g| g.id).collect();
        let members = self.store.members_of(&scope, &ids).await.map_err(errors::store)?;
        let policies: BTreeMap<_, _> = self
            .store
            .policies_of(&scope, &ids)
            .await
            .map_err(errors::store)?
            .into_iter()
            .collect();
        let items = groups
            .items
            .into_iter()
            .map(|group| GroupDetail {
                members: members.iter().filter(|m| m.group_id == group.id).cloned().collect(),
                policy: policies.get(&group.id).cloned(),
                group,
            })
            .collect();
        Ok(Page { items, more: groups.more })
    }

    async fn detail(&self, group: ProtectionGroup) -> Result<GroupDetail, Refusal> {
        let members = self.store.members(&Scope::System, group.id).await.map_err(errors::store)?;
        let policy = self.store.policy(&Scope::System, group.id).await.map_err(errors::store)?;
        Ok(GroupDetail { group, members, policy })
    }

    /// One group with members and policy.
    ///
    /// # Errors
    /// NotFound, also for another project's.
    pub async fn group(&self, project: &ProjectId, id: GroupId) -> Result<GroupDetail, Refusal> {
        let group =
            self.store.group(&Scope::Project(project.clone()), id).await.map_err(errors::store)?;
        self.detail(group).await
    }

    /// Changes name, description or mappings.
    ///
    /// # Errors
    /// VersionMismatch, GroupBusy, Quarantined, PeerUnreachable.
    pub async fn update_group(
        &self,
        project: &ProjectId,
        id: GroupId,
        change: GroupChange,
        if_match: Option<u64>,
    ) -> Result<GroupDetail, Refusal> {
        let change_under_way = self.begin_change(project, id, if_match).await?;
        let changed = self.write_group(change_under_way.group.clone(), change).await;
        self.end_change(change_under_way, changed.is_ok()).await;
        changed?;
        self.group(project, id).await
    }

    async fn write_group(
        &self,
        mut group: ProtectionGroup,
        change: GroupChange,
    ) -> Result<(), Refusal> {
        let version = group.version;
        if let Some(name) = change.name {
            if name.trim().is_empty() {
                return Err(Refusal::new(Code::RequestInvalidValue, "name: must not be empty"));
            }
            group.name = name;
        }
        if let Some(description) = change.description {
            group.description = description;
        }
        let mappings = &mut group.mappings;
        for (field, new) in [
            (&mut mappings.network, change.network_mapping),
            (&mut mappings.flavor, change.flavor_mapping),
            (&mut mappings.image, change.image_mapping),
            (&mut mappings.security_group, change.security_group_mapping),
            (&mut mappings.keypair, change.keypair_mapping),
        ] {
            if let Some(new) = new {
                *field = new;
            }
        }
        self.store.update_group(&group, version).await.map_err(errors::store).map(drop)
    }

    /// A group that may be changed now: not busy, not quarantined, version as the caller knows it.
    pub(crate) async fn changeable(
        &self,
        project: &ProjectId,
        id: GroupId,
        if_match: Option<u64>,
    ) -> Result<ProtectionGroup, Refusal> {
        let group =
            self.store.group(&Scope::Project(project.clone()), id).await.map_err(errors::store)?;
        if let Some(version) = if_match
            && version != group.version
        {
            return Err(Refusal::new(
                Code::VersionMismatch,
                format!("The group is at version {}, not {version}; read it again", group.version),
            ));
        }
        // First: the old copy of a quarantined group may name an operation that the group has gone on without.
        if let Some(reason) = &group.quarantine {
            return Err(Refusal::new(
                Code::Quarantined,
                format!("The group is read-only at this site: {reason}"),
            ));
        }
        if let Some(operation) = group.current_operation_id {
            return Err(Refusal::new(
                Code::GroupBusy,
                format!("Operation {operation} holds the group; wait until it has ended"),
            ));
        }
        Ok(group)
    }

    /// Deletes a group at both sites and its array protection group; never a volume.
    ///
    /// # Errors
    /// GroupWrongState unless `active`; GroupBusy; InUse with an open drill; PeerUnreachable.
    pub async fn delete_group(
        &self,
        project: &ProjectId,
        id: GroupId,
        if_match: Option<u64>,
    ) -> Result<(), Refusal> {
        let change = self.begin_change(project, id, if_match).await?;
        let deleted = self.delete_claimed(&change.group).await;
        // Both claims went with the group; after a refusal they are given back.
        self.end_change(change, false).await;
        deleted
    }

    async fn delete_claimed(&self, group: &ProtectionGroup) -> Result<(), Refusal> {
        if group.status != GroupStatus::Active {
            return Err(Refusal::new(
                Code::GroupWrongState,
                format!(
                    "The group is {}; it can be deleted only when it is active; allowed in {}: {}",
                    group.status,
                    group.status,
                    crate::admission::allowed(&crate::admission::Situation::of(group, None))
                ),
            ));
        }
        if let Some(drill) = group.active_test_operation_id {
            return Err(Refusal::new(
                Code::InUse,
                format!("Drill {drill} is open; run test_cleanup first"),
            ));
        }
        self.release_snapshots(group).await;
        self.release_array_group(group).await?;
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let peer = self
            .fabric
            .peer(group.other_site(local))
            .await
            .map_err(|_| Refusal::peer_unreachable())?;
        peer.delete_group(group.id).await.map_err(|_| Refusal::peer_unreachable())?;
        self.store.delete_group(group.id, Some(group.version)).await.map_err(errors::store)
    }

    /// Deletes a group of which the other site is lost for good, at this site alone, whatever its status: nobody is asked
    /// there, and a copy that comes back with it has to be deleted there the same way. Never a volume, never a server,
    /// and no replicated snapshot: they may be the last copy.
    ///
    /// # Errors
    /// GroupBusy while an operation of this site drives it.
    pub async fn detach_group(
        &self,
        caller: &Caller,
        project: &ProjectId,
        id: GroupId,
        if_match: Option<u64>,
    ) -> Result<(), Refusal> {
        let group =
            self.store.group(&Scope::Project(project.clone()), id).await.map_err(errors::store)?;
        if let Some(version) = if_match.filter(|version| *version != group.version) {
            let detail =
                format!("The group is at version {}, not {version}; read it again", group.version);
            return Err(Refusal::new(Code::VersionMismatch, detail));
        }
        if let Some(holder) = group.current_operation_id {
            let row = self.store.operation(&Scope::System, holder).await;
            let driven_here = row.is_ok_and(|row| !row.remote && !row.status.is_terminal());
            if driven_here {
                return Err(Refusal::new(
                    Code::GroupBusy,
                    format!(
                        "Operation {holder} of this site holds the group (status {}): `cancel` it, or `abandon` it if \
                         it waits for a person",
                        group.status
                    ),
                ));
            }
        }
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        if group.current_primary_site_id == local
            && let Err(refusal) = self.release_array_group(&group).await
        {
            tracing::warn!(group = %id, %refusal, "the array's protection group stays");
        }
        tracing::warn!(group = %id, name = %group.name, user = %caller.user_id, "group deleted without its peer");
        self.store.delete_group(id, None).await.map_err(errors::store)
    }

    pub(crate) async fn groups_between(
        &self,
        project: &ProjectId,
        mapping: &TenantMapping,
    ) -> Result<usize, Refusal> {
        let page = PageRequest { limit: 1000, ..PageRequest::default() };
        let scope = Scope::Project(project.clone());
        let groups = self
            .store
            .list_groups(&scope, &GroupFilter::default(), &page)
            .await
            .map_err(errors::store)?;
        let both = |g: &&ProtectionGroup| {
            mapping.project_at(g.primary_site_id).is_some()
                && mapping.project_at(g.secondary_site_id).is_some()
        };
        Ok(groups.items.iter().filter(both).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume_type(name: &str, replication: Option<&str>) -> VolumeType {
        let mut extra_specs = BTreeMap::new();
        if let Some(replication) = replication {
            extra_specs.insert("replication_enabled".into(), "<is> True".into());
            extra_specs.insert("replication_type".into(), replication.into());
        }
        VolumeType { id: format!("id-{name}"), name: name.into(), extra_specs, encrypted: false }
    }

    #[test]
    fn the_only_fitting_type_is_chosen_and_a_wrong_one_refused_with_candidates() {
        let types = [
            volume_type("plain", None),
            volume_type("gold", Some("<in> async")),
            volume_type("s", Some("<in> sync")),
        ];
        let choose = |wanted| {
            choose_volume_type(
                "site-a",
                "primary_volume_type",
                wanted,
                ReplicationType::Async,
                &types,
            )
        };
        assert_eq!(choose(None).map(|t| t.name), Ok("gold".into()));
        assert_eq!(choose(Some("id-gold")).map(|t| t.name), Ok("gold".into()));
        let refused = choose(Some("plain")).unwrap_err();
        assert_eq!(refused.code, Code::RequestInvalidValue);
        assert!(refused.detail.contains("gold (id-gold)"), "{refused}");
        assert!(choose(Some("nope")).unwrap_err().detail.contains("does not exist"));
    }

    #[test]
    fn an_ambiguous_type_must_be_chosen() {
        let types =
            [volume_type("gold", Some("<in> async")), volume_type("silver", Some("<in> async"))];
        let refused =
            choose_volume_type("site-a", "f", None, ReplicationType::Async, &types).unwrap_err();
        assert!(refused.detail.contains("gold") && refused.detail.contains("silver"), "{refused}");
    }
}
