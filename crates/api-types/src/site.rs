//! `/v1/admin/sites`.

use chrono::{DateTime, Utc};
use protector_types::{Secret, Site, SiteId, SiteStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Checked, FieldErrors, Microversion, PageLink,
    body::{optional_secret, secret},
    check::MAX_SECRET,
    since::shown,
    time,
};

/// Body of `POST /v1/admin/sites`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteCreateBody {
    /// The new site.
    pub site: SiteCreate,
}

/// A site to be registered.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteCreate {
    /// Unique.
    #[schema(example = "site-b")]
    pub name: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Keystone v3.
    #[schema(example = "http://site-b-controller:5000/v3")]
    pub auth_url: String,
    /// Region of the catalog to use.
    pub region_name: Option<String>,
    /// Protector's API there; left out: from the catalog.
    pub protector_url: Option<String>,
    /// Service user; not with an application credential.
    pub username: Option<String>,
    /// Its password. Write-only. Exactly one of `password` and `application_credential_secret`.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, write_only)]
    pub password: Option<Secret>,
    /// Id of an application credential instead of a user.
    pub application_credential_id: Option<String>,
    /// Its secret. Write-only.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, write_only)]
    pub application_credential_secret: Option<Secret>,
    /// Project of the service user.
    pub project_name: Option<String>,
    /// Domain of the user.
    #[serde(default = "default_domain")]
    pub user_domain_name: String,
    /// Domain of the project.
    #[serde(default = "default_domain")]
    pub project_domain_name: String,
    /// PEM certificates to trust; left out: the system's.
    pub ca_cert: Option<String>,
    /// Do not check certificates. For laboratories.
    #[serde(default)]
    pub insecure: bool,
    /// The site that this Protector runs in.
    #[serde(default)]
    pub is_local: bool,
    /// `host@backend#pool` of the replicated backend, if it must not be looked up (1.3).
    pub cinder_host: Option<String>,
}

impl Default for SiteCreate {
    /// Nothing but the default domain.
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            auth_url: String::new(),
            region_name: None,
            protector_url: None,
            username: None,
            password: None,
            application_credential_id: None,
            application_credential_secret: None,
            project_name: None,
            user_domain_name: default_domain(),
            project_domain_name: default_domain(),
            ca_cert: None,
            insecure: false,
            is_local: false,
            cinder_host: None,
        }
    }
}

fn default_domain() -> String {
    "Default".into()
}

impl Checked for SiteCreateBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("site", Some("site"));

    fn check(&self, errors: &mut FieldErrors) {
        let site = &self.site;
        errors.name("site.name", &site.name);
        errors.text("site.description", &site.description);
        errors.url("site.auth_url", &site.auth_url);
        errors.name("site.user_domain_name", &site.user_domain_name);
        errors.name("site.project_domain_name", &site.project_domain_name);
        check_shared(
            errors,
            [
                ("site.region_name", &site.region_name),
                ("site.username", &site.username),
                ("site.project_name", &site.project_name),
                ("site.application_credential_id", &site.application_credential_id),
                ("site.cinder_host", &site.cinder_host),
            ],
            &site.protector_url,
            &site.ca_cert,
        );
        errors.optional("site.password", site.password.as_ref(), FieldErrors::secret);
        let app_secret = site.application_credential_secret.as_ref();
        errors.optional("site.application_credential_secret", app_secret, FieldErrors::secret);
        check_credentials(site, errors);
    }
}

/// Exactly one complete way to authenticate.
fn check_credentials(site: &SiteCreate, errors: &mut FieldErrors) {
    if site.application_credential_id.is_some() {
        if site.application_credential_secret.is_none() {
            let why = "is needed together with application_credential_id";
            errors.wrong("site.application_credential_secret", why);
        }
        if site.username.is_some() || site.password.is_some() {
            errors.wrong(
                "site.username",
                "must not be given together with an application credential",
            );
        }
        return;
    }
    if site.application_credential_secret.is_some() {
        let why = "is needed together with application_credential_secret";
        errors.wrong("site.application_credential_id", why);
    }
    for (field, missing) in [
        ("site.username", site.username.is_none()),
        ("site.password", site.password.is_none()),
        ("site.project_name", site.project_name.is_none()),
    ] {
        if missing {
            errors.wrong(
                field,
                "is needed, or give application_credential_id and application_credential_secret",
            );
        }
    }
}

fn check_shared<const N: usize>(
    errors: &mut FieldErrors,
    names: [(&str, &Option<String>); N],
    protector_url: &Option<String>,
    ca_cert: &Option<String>,
) {
    for (field, value) in names {
        errors.optional(field, value.as_deref(), FieldErrors::name);
    }
    errors.optional("site.protector_url", protector_url.as_deref(), FieldErrors::url);
    if let Some(pem) = ca_cert {
        if pem.len() > MAX_SECRET {
            errors.wrong("site.ca_cert", format!("must not be longer than {MAX_SECRET} bytes"));
        } else if !pem.contains("-----BEGIN CERTIFICATE-----") {
            errors.wrong("site.ca_cert", "must hold at least one PEM certificate");
        }
    }
}

/// Body of `PATCH /v1/admin/sites/{id}`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteUpdateBody {
    /// What changes.
    pub site: SiteUpdate,
}

/// What is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteUpdate {
    /// New name.
    pub name: Option<String>,
    /// New text.
    pub description: Option<String>,
    /// New Keystone URL.
    pub auth_url: Option<String>,
    /// New region.
    pub region_name: Option<String>,
    /// New API URL.
    pub protector_url: Option<String>,
    /// New user.
    pub username: Option<String>,
    /// New password, or secret of the application credential. Write-only.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, write_only)]
    pub password: Option<Secret>,
    /// New project.
    pub project_name: Option<String>,
    /// New domain of the user.
    pub user_domain_name: Option<String>,
    /// New domain of the project.
    pub project_domain_name: Option<String>,
    /// New certificates.
    pub ca_cert: Option<String>,
    /// Check certificates or not.
    pub insecure: Option<bool>,
    /// New `host@backend#pool` (1.3).
    pub cinder_host: Option<String>,
}

impl Checked for SiteUpdateBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("site", Some("site"));

    fn check(&self, errors: &mut FieldErrors) {
        let site = &self.site;
        errors.optional("site.description", site.description.as_deref(), FieldErrors::text);
        errors.optional("site.auth_url", site.auth_url.as_deref(), FieldErrors::url);
        errors.optional("site.password", site.password.as_ref(), FieldErrors::secret);
        check_shared(
            errors,
            [
                ("site.name", &site.name),
                ("site.region_name", &site.region_name),
                ("site.username", &site.username),
                ("site.project_name", &site.project_name),
                ("site.user_domain_name", &site.user_domain_name),
                ("site.project_domain_name", &site.project_domain_name),
                ("site.cinder_host", &site.cinder_host),
            ],
            &site.protector_url,
            &site.ca_cert,
        );
    }
}

/// A site as shown; its password never is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SiteView {
    /// Id, equal on both sites.
    pub id: SiteId,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Keystone.
    pub auth_url: String,
    /// Region.
    pub region_name: Option<String>,
    /// Protector's API there.
    pub protector_url: Option<String>,
    /// Service user.
    pub username: Option<String>,
    /// Application credential.
    pub application_credential_id: Option<String>,
    /// Project of the service user.
    pub project_name: Option<String>,
    /// Domain of the user.
    pub user_domain_name: String,
    /// Domain of the project.
    pub project_domain_name: String,
    /// PEM certificates.
    pub ca_cert: Option<String>,
    /// Certificates are not checked.
    pub insecure: bool,
    /// This Protector's own site.
    pub is_local: bool,
    /// As last observed.
    pub status: SiteStatus,
    /// When that was.
    #[serde(with = "time::optional")]
    pub status_observed_at: Option<DateTime<Utc>>,
    /// When it was registered.
    #[serde(with = "time")]
    pub created_at: DateTime<Utc>,
    /// Why it is not `active` (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// `host@backend#pool` (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cinder_host: Option<String>,
}

impl SiteView {
    /// The record as this version shows it.
    pub fn new(site: Site, version: Microversion) -> Self {
        Self {
            id: site.id,
            name: site.name,
            description: site.description,
            auth_url: site.auth_url,
            region_name: site.region_name,
            protector_url: site.protector_url,
            username: site.username,
            application_credential_id: site.application_credential_id,
            project_name: site.project_name,
            user_domain_name: site.user_domain_name,
            project_domain_name: site.project_domain_name,
            ca_cert: site.ca_cert,
            insecure: site.insecure,
            is_local: site.is_local,
            status: site.status,
            status_observed_at: site.status_observed_at,
            created_at: site.created_at,
            status_reason: shown(version, "site", "status_reason", site.status_reason).flatten(),
            cinder_host: shown(version, "site", "cinder_host", site.cinder_host).flatten(),
        }
    }
}

/// One site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SiteBody {
    /// The site.
    pub site: SiteView,
}

/// A page of sites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SitesBody {
    /// The page.
    pub sites: Vec<SiteView>,
    /// `next`, if there is more.
    pub sites_links: Vec<PageLink>,
}

/// One line of a validation report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidationCheck {
    /// `keystone`, `cinder.manage_policy` ...
    pub name: String,
    /// Passed.
    pub ok: bool,
    /// What was seen.
    pub reason: String,
    /// What to do, if not ok.
    pub fix: Option<String>,
    /// It works, but is unwise.
    pub warning: bool,
}

/// Connectivity and capability of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidationView {
    /// Which site.
    pub site_id: SiteId,
    /// All checks passed.
    pub ok: bool,
    /// When.
    #[serde(with = "time")]
    pub observed_at: DateTime<Utc>,
    /// One by one.
    pub checks: Vec<ValidationCheck>,
}

/// Answer of `POST /v1/admin/sites/{id}/validate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidationBody {
    /// The report.
    pub validation: ValidationView,
}

/// A replication-enabled volume type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeTypeView {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Extra specs.
    pub extra_specs: std::collections::BTreeMap<String, String>,
}

/// Answer of `GET /v1/admin/sites/{id}/volume-types`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeTypesBody {
    /// All of them.
    pub volume_types: Vec<VolumeTypeView>,
    /// Always empty: the list is whole.
    pub volume_types_links: Vec<PageLink>,
}

/// Body of `PUT /v1/peer/sites/{id}`: a site's record with its secret.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerSiteBody {
    /// The record.
    #[schema(value_type = Object)]
    pub site: Site,
    /// Password of the service user, or secret of the application credential.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, write_only)]
    pub password: Secret,
}

impl Checked for PeerSiteBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("peer", None);

    fn check(&self, errors: &mut FieldErrors) {
        errors.name("site.name", &self.site.name);
        errors.url("site.auth_url", &self.site.auth_url);
    }
}
