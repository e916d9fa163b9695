//! Sites and tenant mappings.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ProjectId, SiteId, SiteStatus, TenantMappingId};

/// One registered OpenStack cloud and the Protector that runs there. Its password is kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Made by the site's own Protector.
    pub id: SiteId,
    /// `site-a`, for example; unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Keystone v3.
    pub auth_url: String,
    /// The region of the catalog to use.
    pub region_name: Option<String>,
    /// Our API there; `None`: from the catalog.
    pub protector_url: Option<String>,
    /// The service user; `None` with an application credential.
    pub username: Option<String>,
    /// The service user's project.
    pub project_name: Option<String>,
    /// Domain of the user.
    pub user_domain_name: String,
    /// Domain of the project.
    pub project_domain_name: String,
    /// Id of an application credential instead of a user.
    pub application_credential_id: Option<String>,
    /// PEM certificates to trust, or `None` for the system's.
    pub ca_cert: Option<String>,
    /// Do not check certificates. For laboratories.
    pub insecure: bool,
    /// True for the site that this Protector runs in.
    pub is_local: bool,
    /// `host@backend#pool` of the replicated backend, if it must not be looked up.
    pub cinder_host: Option<String>,
    /// As last observed.
    pub status: SiteStatus,
    /// Why it is not `active`, for a person.
    pub status_reason: Option<String>,
    /// When that was.
    pub status_observed_at: Option<DateTime<Utc>>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}

/// Project on one site <-> project on the other. Symmetric: primary is a role per group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantMapping {
    /// The same on both sites.
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
    pub created_at: DateTime<Utc>,
}

impl TenantMapping {
    /// The project at a site, if the mapping has that site.
    pub fn project_at(&self, site: SiteId) -> Option<&ProjectId> {
        if site == self.primary_site_id {
            Some(&self.primary_project_id)
        } else if site == self.secondary_site_id {
            Some(&self.secondary_project_id)
        } else {
            None
        }
    }
}
