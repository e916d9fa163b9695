//! `/v1/admin/tenant-mappings`.

use chrono::{DateTime, Utc};
use protector_types::{ProjectId, SiteId, TenantMapping, TenantMappingId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Checked, FieldErrors, PageLink, time};

/// Body of `POST /v1/admin/tenant-mappings`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantMappingCreateBody {
    /// The pair.
    pub tenant_mapping: TenantMappingCreate,
}

/// A project on one site and its counterpart on the other; each by id, or by name and domain name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantMappingCreate {
    /// One site.
    #[schema(value_type = String, format = "uuid")]
    pub primary_site_id: SiteId,
    /// Its project.
    pub primary_project_id: Option<String>,
    /// Its project by name.
    pub primary_project_name: Option<String>,
    /// Domain of that name; `Default` if left out.
    pub primary_project_domain_name: Option<String>,
    /// The other site.
    #[schema(value_type = String, format = "uuid")]
    pub secondary_site_id: SiteId,
    /// Its project.
    pub secondary_project_id: Option<String>,
    /// Its project by name.
    pub secondary_project_name: Option<String>,
    /// Domain of that name; `Default` if left out.
    pub secondary_project_domain_name: Option<String>,
}

impl Checked for TenantMappingCreateBody {
    const RESOURCE: (&'static str, Option<&'static str>) =
        ("tenant_mapping", Some("tenant_mapping"));

    fn check(&self, errors: &mut FieldErrors) {
        let it = &self.tenant_mapping;
        if it.primary_site_id == it.secondary_site_id {
            errors.wrong("tenant_mapping.secondary_site_id", "must not be the primary site");
        }
        for (side, id, name, domain) in [
            (
                "primary",
                &it.primary_project_id,
                &it.primary_project_name,
                &it.primary_project_domain_name,
            ),
            (
                "secondary",
                &it.secondary_project_id,
                &it.secondary_project_name,
                &it.secondary_project_domain_name,
            ),
        ] {
            let field = format!("tenant_mapping.{side}_project_id");
            match (id, name) {
                (None, None) => errors.wrong(&field, format!("is needed, or {side}_project_name")),
                (Some(_), Some(_)) => {
                    errors.wrong(
                        &field,
                        format!("must not be given together with {side}_project_name"),
                    );
                }
                (Some(id), None) => {
                    errors.name(&field, id);
                    if domain.is_some() {
                        let field = format!("tenant_mapping.{side}_project_domain_name");
                        errors.wrong(&field, format!("is only for {side}_project_name"));
                    }
                }
                (None, Some(name)) => {
                    errors.name(&format!("tenant_mapping.{side}_project_name"), name);
                    let field = format!("tenant_mapping.{side}_project_domain_name");
                    errors.optional(&field, domain.as_deref(), FieldErrors::name);
                }
            }
        }
    }
}

/// A tenant mapping as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantMappingView {
    /// Id, equal on both sites.
    pub id: TenantMappingId,
    /// One site.
    pub primary_site_id: SiteId,
    /// Its project.
    pub primary_project_id: ProjectId,
    /// The other site.
    pub secondary_site_id: SiteId,
    /// Its project.
    pub secondary_project_id: ProjectId,
    /// When it was made.
    #[serde(with = "time")]
    pub created_at: DateTime<Utc>,
}

impl From<TenantMapping> for TenantMappingView {
    fn from(mapping: TenantMapping) -> Self {
        Self {
            id: mapping.id,
            primary_site_id: mapping.primary_site_id,
            primary_project_id: mapping.primary_project_id,
            secondary_site_id: mapping.secondary_site_id,
            secondary_project_id: mapping.secondary_project_id,
            created_at: mapping.created_at,
        }
    }
}

/// One tenant mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantMappingBody {
    /// The mapping.
    pub tenant_mapping: TenantMappingView,
}

/// A page of tenant mappings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantMappingsBody {
    /// The page.
    pub tenant_mappings: Vec<TenantMappingView>,
    /// `next`, if there is more.
    pub tenant_mappings_links: Vec<PageLink>,
}
