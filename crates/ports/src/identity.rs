//! Keystone, as far as we need it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use protector_types::{ProjectId, Secret};
use serde::{Deserialize, Serialize};

use crate::PortResult;

/// Who a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// User id.
    pub user_id: String,
    /// User name.
    pub user_name: String,
    /// Project of the scope, if it is a project's.
    pub project_id: Option<ProjectId>,
    /// Its name.
    pub project_name: Option<String>,
    /// Role names.
    pub roles: Vec<String>,
    /// Domain of the user.
    pub user_domain_id: String,
    /// Domain of the project.
    pub project_domain_id: Option<String>,
    /// End of validity.
    pub expires_at: DateTime<Utc>,
    /// Made by an application credential: cannot make trusts.
    pub from_application_credential: bool,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Id.
    pub id: ProjectId,
    /// Name.
    pub name: String,
    /// Domain.
    pub domain_id: String,
    /// Enabled.
    pub enabled: bool,
}

/// Keystone at one site, with our service user's authority.
#[async_trait]
pub trait Identity: Send + Sync {
    /// Read; Absent for a token that is unknown, revoked or expired.
    async fn validate_token(&self, token: &Secret) -> PortResult<TokenInfo>;
    /// Read; who we are at this site.
    async fn whoami(&self) -> PortResult<TokenInfo>;
    /// Read; by id.
    async fn project(&self, id: &ProjectId) -> PortResult<Project>;
    /// Read; by name and domain name.
    async fn find_project(&self, name: &str, domain_name: &str) -> PortResult<Vec<Project>>;
    /// Ensure; our service user holds `role` on the project.
    async fn grant_own_role(&self, project: &ProjectId, role: &str) -> PortResult<()>;
    /// Read; ids of the user's trusts to our service user in the project: impersonating, without an end. With the user's
    /// own token.
    async fn trusts_to_us(
        &self,
        token: &Secret,
        user_id: &str,
        project: &ProjectId,
    ) -> PortResult<Vec<Secret>>;
    /// Create, with the user's own token; look with [`Identity::trusts_to_us`] first. An impersonating trust of role
    /// `member` to our service user; answers with its id. Denied for tokens that may not make trusts (of an application
    /// credential, of another trust), Absent if the user lacks the role.
    async fn make_trust(
        &self,
        token: &Secret,
        user_id: &str,
        project: &ProjectId,
    ) -> PortResult<Secret>;
    /// Ensure; the trust is gone. As an administrator.
    async fn drop_trust(&self, trust: &Secret) -> PortResult<()>;
    /// Read; service type -> URL of the interface and region in use.
    async fn endpoint(&self, service_type: &str) -> PortResult<String>;
    /// Read; Keystone's clock minus ours, in milliseconds, from the answer's `Date`.
    async fn clock_skew_ms(&self) -> PortResult<i64>;
}
