//! Sites and tenant mappings: an administrator's calls.

use protector_api_types::{
    SiteBody, SiteCreate, SiteView, SitesBody, TenantMappingBody, TenantMappingCreate,
    TenantMappingCreateBody, TenantMappingView, TenantMappingsBody, ValidationBody, ValidationView,
    VolumeTypeView, VolumeTypesBody,
};
use protector_types::{Secret, SiteId, TenantMappingId};
use serde_json::{Value, json};

use crate::client::{ClientResult, ProtectorClient};

impl ProtectorClient {
    /// Registers a site.
    ///
    /// # Errors
    /// The API's.
    pub async fn create_site(&self, site: &SiteCreate) -> ClientResult<SiteView> {
        let body: SiteBody = self.post("/v1/admin/sites", Some(&site_body(site))).await?;
        Ok(body.site)
    }

    /// All sites.
    ///
    /// # Errors
    /// The API's.
    pub async fn list_sites(&self) -> ClientResult<Vec<SiteView>> {
        let read = |body: SitesBody| (body.sites, body.sites_links);
        self.all("/v1/admin/sites", &[], read, |site| site.id).await
    }

    /// One site.
    ///
    /// # Errors
    /// The API's.
    pub async fn site(&self, id: SiteId) -> ClientResult<SiteView> {
        let body: SiteBody = self.get(&format!("/v1/admin/sites/{id}")).await?;
        Ok(body.site)
    }

    /// Removes a site.
    ///
    /// # Errors
    /// The API's.
    pub async fn delete_site(&self, id: SiteId) -> ClientResult<()> {
        self.delete(&format!("/v1/admin/sites/{id}")).await
    }

    /// Proves that a site can be used.
    ///
    /// # Errors
    /// The API's.
    pub async fn validate_site(&self, id: SiteId) -> ClientResult<ValidationView> {
        let path = format!("/v1/admin/sites/{id}/validate");
        let body: ValidationBody = self.post(&path, None::<&()>).await?;
        Ok(body.validation)
    }

    /// Replication-enabled volume types of a site.
    ///
    /// # Errors
    /// The API's.
    pub async fn site_volume_types(&self, id: SiteId) -> ClientResult<Vec<VolumeTypeView>> {
        let body: VolumeTypesBody = self.get(&format!("/v1/admin/sites/{id}/volume-types")).await?;
        Ok(body.volume_types)
    }

    /// Pairs two projects.
    ///
    /// # Errors
    /// The API's.
    pub async fn create_tenant_mapping(
        &self,
        mapping: TenantMappingCreate,
    ) -> ClientResult<TenantMappingView> {
        let request = TenantMappingCreateBody { tenant_mapping: mapping };
        let body: TenantMappingBody =
            self.post("/v1/admin/tenant-mappings", Some(&request)).await?;
        Ok(body.tenant_mapping)
    }

    /// All tenant mappings.
    ///
    /// # Errors
    /// The API's.
    pub async fn list_tenant_mappings(&self) -> ClientResult<Vec<TenantMappingView>> {
        let read = |body: TenantMappingsBody| (body.tenant_mappings, body.tenant_mappings_links);
        self.all("/v1/admin/tenant-mappings", &[], read, |mapping| mapping.id).await
    }

    /// Removes a tenant mapping.
    ///
    /// # Errors
    /// The API's.
    pub async fn delete_tenant_mapping(&self, id: TenantMappingId) -> ClientResult<()> {
        self.delete(&format!("/v1/admin/tenant-mappings/{id}")).await
    }
}

/// The body with its secrets, which the request's type refuses to serialise by itself.
fn site_body(site: &SiteCreate) -> Value {
    let secret = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
    json!({"site": {
        "name": site.name,
        "description": site.description,
        "auth_url": site.auth_url,
        "region_name": site.region_name,
        "protector_url": site.protector_url,
        "username": site.username,
        "password": secret(&site.password),
        "application_credential_id": site.application_credential_id,
        "application_credential_secret": secret(&site.application_credential_secret),
        "project_name": site.project_name,
        "user_domain_name": site.user_domain_name,
        "project_domain_name": site.project_domain_name,
        "ca_cert": site.ca_cert,
        "insecure": site.insecure,
        "is_local": site.is_local,
        "cinder_host": site.cinder_host,
    }})
}
