//! Who calls: what `keystonemiddleware` does in front of each real service.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};

use super::{ApiError, Cloud, Service, http::original_path};

/// The caller of one request, proven by a valid `X-Auth-Token`.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token itself.
    pub token: String,
    /// User id.
    pub user_id: String,
    /// User name.
    pub user_name: String,
    /// Domain of the user.
    pub user_domain_id: String,
    /// Project of the scope; empty for a token without one.
    pub project_id: String,
    /// Its name.
    pub project_name: String,
    /// Domain of the project.
    pub project_domain_id: String,
    /// Domain of the scope, if it is a domain's.
    pub domain_id: Option<String>,
    /// Role names, implied ones included.
    pub roles: Vec<String>,
    /// A valid `X-Service-Token` with role `service` came along.
    pub service_token: bool,
    /// The token was made by an application credential.
    pub from_application_credential: bool,
    /// The token was made by a trust.
    pub trust_id: Option<String>,
}

impl Caller {
    /// Has the role `admin`.
    pub fn is_admin(&self) -> bool {
        self.has_role("admin")
    }

    /// Has a role, by name.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }

    /// Admin, or the object's project is the caller's.
    pub fn may_see(&self, project_id: &str) -> bool {
        self.is_admin() || (!self.project_id.is_empty() && self.project_id == project_id)
    }

    /// The service's usual policy sentence unless the caller is admin.
    pub fn require_admin(&self, service: Service, rule: &str) -> Result<(), ApiError> {
        if self.is_admin() { Ok(()) } else { Err(service.policy_denied(rule)) }
    }

    /// Evaluates one of the few policy expressions that operators use: alternatives joined by ` or `,
    /// of `rule:admin_api`, `rule:admin_required`, `rule:admin_or_owner`, `role:NAME`, `@` (anybody),
    /// `!` (nobody) and `service_token` (a valid service token came along). `owner`: the target's
    /// project, or `None` where the service checks without a target, and then `admin_or_owner` is true
    /// for everybody, as with the real ones.
    pub fn allows(&self, expression: &str, owner: Option<&str>) -> bool {
        expression.split(" or ").map(str::trim).any(|check| match check {
            "@" | "" => true,
            "rule:admin_api" | "rule:admin_required" | "role:admin" => self.is_admin(),
            "rule:admin_or_owner" => owner.is_none_or(|o| self.may_see(o)),
            "service_token" => self.service_token,
            other => other.strip_prefix("role:").is_some_and(|r| self.has_role(r)),
        })
    }

    fn of(cloud: &Cloud, headers: &HeaderMap, service: Service) -> Result<Self, ApiError> {
        let token = header(headers, "x-auth-token").ok_or_else(|| service.unauthorized())?;
        let now = cloud.0.clock.now();
        let state = cloud.0.state.lock();
        let keystone = &state.keystone;
        let service_token = header(headers, "x-service-token")
            .and_then(|t| keystone.validate(t, now, false).ok())
            .is_some_and(|view| view.has_role("service"));
        // As the middleware: an expired token is accepted if a service vouches for it.
        let view =
            keystone.validate(token, now, service_token).map_err(|_| service.unauthorized())?;
        Ok(Self {
            token: token.to_owned(),
            user_id: view.user.id.clone(),
            user_name: view.user.name.clone(),
            user_domain_id: view.user.domain_id.clone(),
            project_id: view.project.as_ref().map(|p| p.id.clone()).unwrap_or_default(),
            project_name: view.project.as_ref().map(|p| p.name.clone()).unwrap_or_default(),
            project_domain_id: view
                .project
                .as_ref()
                .map(|p| p.domain_id.clone())
                .unwrap_or_default(),
            domain_id: view.domain.as_ref().map(|d| d.id.clone()),
            roles: view.roles.iter().map(|r| r.name.clone()).collect(),
            service_token,
            from_application_credential: view.token.app_credential_id.is_some(),
            trust_id: view.token.trust_id.clone(),
        })
    }
}

/// A header's text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok()).filter(|v| !v.is_empty())
}

impl FromRequestParts<Cloud> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, cloud: &Cloud) -> Result<Self, ApiError> {
        let service = Service::of_path(&original_path(parts));
        let caller = Self::of(cloud, &parts.headers, service)?;
        // Every service but Keystone refuses tokens without a scope.
        let scoped = !caller.project_id.is_empty() || caller.domain_id.is_some();
        if service != Service::Keystone && !scoped {
            return Err(service.unauthorized());
        }
        Ok(caller)
    }
}
