//! Tenant mappings: project on one site <-> project on the other; equal on both sites.

use protector_ports::PortError;
use protector_store::{Page, PageRequest, whole_list};
use protector_types::{Code, ProjectId, Refusal, SiteId, TenantMapping, TenantMappingId};

use crate::{Core, NewTenantMapping, ProjectRef, errors};

/// Roles that our service user holds on every mapped project (1-product.md section 4).
const MAPPED_ROLES: [&str; 2] = ["member", "protector"];

impl Core {
    /// Maps two projects, grants our service users their roles there and tells the peer.
    ///
    /// # Errors
    /// Unknown project or site; AlreadyExists; PeerUnreachable: nothing is stored then.
    pub async fn create_tenant_mapping(
        &self,
        new: NewTenantMapping,
    ) -> Result<TenantMapping, Refusal> {
        if new.primary_site_id == new.secondary_site_id {
            return Err(Refusal::new(
                Code::RequestInvalidValue,
                "secondary_site_id: must be another site",
            ));
        }
        let (primary, secondary) = futures::try_join!(
            self.resolve_project(new.primary_site_id, &new.primary_project),
            self.resolve_project(new.secondary_site_id, &new.secondary_project),
        )?;
        let mapping = TenantMapping {
            id: TenantMappingId::generate(),
            primary_site_id: new.primary_site_id,
            primary_project_id: primary,
            secondary_site_id: new.secondary_site_id,
            secondary_project_id: secondary,
            created_at: self.clock.now(),
        };
        for site in [mapping.primary_site_id, mapping.secondary_site_id] {
            self.grant(site, mapping.project_at(site)).await?;
        }
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        self.store.insert_tenant_mapping(&mapping).await.map_err(errors::store)?;
        for site in [mapping.primary_site_id, mapping.secondary_site_id] {
            if site == local {
                continue;
            }
            let told =
                async { self.fabric.peer(site).await?.put_tenant_mapping(&mapping).await }.await;
            if let Err(error) = told {
                tracing::warn!(%error, "the peer did not take the tenant mapping");
                self.store.delete_tenant_mapping(mapping.id).await.map_err(errors::store)?;
                return Err(Refusal::peer_unreachable());
            }
        }
        Ok(mapping)
    }

    async fn resolve_project(
        &self,
        site: SiteId,
        project: &ProjectRef,
    ) -> Result<ProjectId, Refusal> {
        let record = self.site(site).await?;
        let failed = |error: PortError| {
            Refusal::new(
                Code::SiteError,
                format!("Keystone of site {} cannot be asked: {error}", record.name),
            )
        };
        let identity = self.fabric.identity(site).await.map_err(failed)?;
        match project {
            ProjectRef::Id(id) => match identity.project(id).await {
                Ok(found) => Ok(found.id),
                Err(PortError::Absent { .. }) => Err(Refusal::new(
                    Code::RequestInvalidValue,
                    format!("project {id} does not exist at site {}", record.name),
                )),
                Err(error) => Err(failed(error)),
            },
            ProjectRef::Name { name, domain } => {
                let found = identity.find_project(name, domain).await.map_err(failed)?;
                match found.as_slice() {
                    [only] => Ok(only.id.clone()),
                    [] => Err(Refusal::new(
                        Code::RequestInvalidValue,
                        format!(
                            "project {name:?} of domain {domain:?} does not exist at site {}",
                            record.name
                        ),
                    )),
                    _ => Err(Refusal::new(
                        Code::RequestInvalidValue,
                        format!(
                            "project name {name:?} is ambiguous at site {}; use its id",
                            record.name
                        ),
                    )),
                }
            }
        }
    }

    async fn grant(&self, site: SiteId, project: Option<&ProjectId>) -> Result<(), Refusal> {
        let Some(project) = project else { return Ok(()) };
        let name = self.site(site).await?.name;
        for role in MAPPED_ROLES {
            let granted =
                async { self.fabric.identity(site).await?.grant_own_role(project, role).await }
                    .await;
            match granted {
                Ok(()) => {}
                // The dedicated role is an offer: clouds that follow the founding document's policy have none.
                Err(PortError::Absent { .. }) if role == "protector" => {
                    tracing::warn!(site = %name, "role protector does not exist; Cinder's policy must allow role member");
                }
                Err(error) => {
                    return Err(Refusal::new(
                        Code::SiteError,
                        format!(
                            "role {role} on project {project} at site {name} could not be granted: {error}"
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// All mappings.
    ///
    /// # Errors
    /// RequestInvalidValue for an unknown marker or sort key.
    pub async fn list_tenant_mappings(
        &self,
        page: PageRequest,
    ) -> Result<Page<TenantMapping>, Refusal> {
        self.store.list_tenant_mappings(&page).await.map_err(errors::store)
    }

    /// Every mapping, for those who look after all of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn all_tenant_mappings(&self) -> Result<Vec<TenantMapping>, Refusal> {
        whole_list(|m: &TenantMapping| m.id.to_string(), |page| self.list_tenant_mappings(page))
            .await
    }

    /// One mapping.
    ///
    /// # Errors
    /// NotFound.
    pub async fn tenant_mapping(&self, id: TenantMappingId) -> Result<TenantMapping, Refusal> {
        self.store.tenant_mapping(id).await.map_err(errors::store)
    }

    /// Removes a mapping at both sites. Role grants stay: other things may rest on them.
    ///
    /// # Errors
    /// InUse while groups of these projects exist; PeerUnreachable.
    pub async fn delete_tenant_mapping(&self, id: TenantMappingId) -> Result<(), Refusal> {
        let mapping = self.tenant_mapping(id).await?;
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        if let Some(project) = mapping.project_at(local) {
            let groups = self.groups_between(project, &mapping).await?;
            if groups > 0 {
                return Err(Refusal::new(
                    Code::InUse,
                    format!(
                        "The mapping is in use by {groups} protection groups; delete them first"
                    ),
                ));
            }
        }
        for site in [mapping.primary_site_id, mapping.secondary_site_id] {
            if site != local {
                let told =
                    async { self.fabric.peer(site).await?.delete_tenant_mapping(&mapping).await }
                        .await;
                told.map_err(|_| Refusal::peer_unreachable())?;
            }
        }
        self.store.delete_tenant_mapping(id).await.map_err(errors::store)?;
        self.unmapped(&mapping).await
    }

    /// A mapping is gone: trusts of a project that no other mapping names are given back.
    pub(crate) async fn unmapped(&self, mapping: &TenantMapping) -> Result<(), Refusal> {
        let local = self.store.own_site_id().await.map_err(errors::store)?;
        let Some(project) = mapping.project_at(local) else { return Ok(()) };
        let left = self.store.tenant_mappings_of(local, project).await.map_err(errors::store)?;
        if left.is_empty() { self.release_delegations(project).await } else { Ok(()) }
    }
}
