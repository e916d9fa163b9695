//! Keystone's objects, and the only place that decides whether a token still holds.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value};

/// A domain.
#[derive(Debug, Clone)]
pub struct Domain {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Enabled.
    pub enabled: bool,
}

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Id.
    pub id: String,
    /// Name; unique in its domain.
    pub name: String,
    /// Domain.
    pub domain_id: String,
    /// Free text.
    pub description: String,
    /// Enabled.
    pub enabled: bool,
    /// Tags.
    pub tags: Vec<String>,
}

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// Id.
    pub id: String,
    /// Name; unique in its domain.
    pub name: String,
    /// Domain.
    pub domain_id: String,
    /// In the clear: a simulated password protects nothing. Never in a dump.
    pub password: String,
    /// Enabled.
    pub enabled: bool,
    /// Where to scope by default.
    pub default_project_id: Option<String>,
    /// `description`, `email` and other free keys.
    pub extra: Map<String, Value>,
}

/// A role.
#[derive(Debug, Clone)]
pub struct Role {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
}

/// What a role is held on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A project.
    Project(String),
    /// A domain.
    Domain(String),
}

/// User holds role on target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    /// Role id.
    pub role_id: String,
    /// User id.
    pub user_id: String,
    /// On what.
    pub target: Target,
}

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Nothing but Keystone.
    Unscoped,
    /// A project, by id.
    Project(String),
    /// A domain, by id.
    Domain(String),
}

/// An issued token. Roles are not in it: they are looked up at each validation, as with Fernet.
#[derive(Debug, Clone)]
pub struct Token {
    /// The secret itself.
    pub id: String,
    /// Whose; with an impersonating trust the trustor.
    pub user_id: String,
    /// Scope.
    pub scope: Scope,
    /// `password`, `token`, `application_credential`.
    pub methods: Vec<String>,
    /// Issue time.
    pub issued_at: DateTime<Utc>,
    /// End.
    pub expires_at: DateTime<Utc>,
    /// Revoked by `DELETE /v3/auth/tokens`, by a new password or because the user was disabled.
    pub revoked: bool,
    /// Made by a trust.
    pub trust_id: Option<String>,
    /// Made by an application credential.
    pub app_credential_id: Option<String>,
    /// Audit ids: own, and that of the token it was made from.
    pub audit_ids: Vec<String>,
}

/// Trustor lets trustee act in a project.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Id.
    pub id: String,
    /// Gives.
    pub trustor_user_id: String,
    /// Takes.
    pub trustee_user_id: String,
    /// Where.
    pub project_id: String,
    /// Which roles, by id.
    pub role_ids: Vec<String>,
    /// Tokens bear the trustor's name.
    pub impersonation: bool,
    /// End.
    pub expires_at: Option<DateTime<Utc>>,
    /// Tokens that may still be made; `None`: any number.
    pub remaining_uses: Option<u32>,
    /// Deleted (Keystone keeps the row).
    pub deleted_at: Option<DateTime<Utc>>,
}

/// A user's application credential.
#[derive(Debug, Clone)]
pub struct AppCredential {
    /// Id.
    pub id: String,
    /// Name; unique per user.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Owner.
    pub user_id: String,
    /// Project.
    pub project_id: String,
    /// Roles, by id.
    pub role_ids: Vec<String>,
    /// SHA-256 of the secret, in hex.
    pub secret_hash: String,
    /// End.
    pub expires_at: Option<DateTime<Utc>>,
    /// May make further credentials and trusts.
    pub unrestricted: bool,
}

/// A service of the catalog.
#[derive(Debug, Clone)]
pub struct CatalogService {
    /// Id.
    pub id: String,
    /// `compute`, for example.
    pub kind: String,
    /// `nova`, for example.
    pub name: String,
    /// Free text.
    pub description: String,
    /// In the catalog.
    pub enabled: bool,
}

/// An endpoint of the catalog.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Id.
    pub id: String,
    /// Its service.
    pub service_id: String,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// Region.
    pub region_id: String,
    /// May hold `$(project_id)s`. A leading `/` means below the cloud's own base URL.
    pub url: String,
    /// In the catalog.
    pub enabled: bool,
}

/// Why a token does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Void {
    /// Nobody issued it.
    Unknown,
    /// Its time is over.
    Expired,
    /// Revoked, or something it stood on is gone: user, project, roles, trust, credential.
    Revoked,
}

/// A valid token with all it means today.
#[derive(Debug, Clone)]
pub struct TokenView {
    /// The token.
    pub token: Token,
    /// Whose.
    pub user: User,
    /// Project of the scope.
    pub project: Option<Project>,
    /// Domain of the scope.
    pub domain: Option<Domain>,
    /// Roles, implied ones included.
    pub roles: Vec<Role>,
}

impl TokenView {
    /// By role name.
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.iter().any(|r| r.name == name)
    }
}

/// Users, projects, roles, tokens, trusts, catalog of one cloud.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// By id.
    pub domains: BTreeMap<String, Domain>,
    /// By id.
    pub projects: BTreeMap<String, Project>,
    /// By id.
    pub users: BTreeMap<String, User>,
    /// By id.
    pub roles: BTreeMap<String, Role>,
    /// All of them.
    pub assignments: BTreeSet<Assignment>,
    /// By secret.
    pub tokens: BTreeMap<String, Token>,
    /// By id, deleted ones too.
    pub trusts: BTreeMap<String, Trust>,
    /// By id.
    pub app_credentials: BTreeMap<String, AppCredential>,
    /// By id.
    pub services: BTreeMap<String, CatalogService>,
    /// By id.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Region ids.
    pub regions: BTreeSet<String>,
    /// Life of a token; zero means one hour.
    pub token_life: Option<Duration>,
}

/// How long after its end a token still validates with `allow_expired`.
pub const ALLOW_EXPIRED_WINDOW: Duration = Duration::hours(48);

impl State {
    /// Life of a new token.
    pub fn token_life(&self) -> Duration {
        self.token_life.unwrap_or_else(|| Duration::hours(1))
    }

    /// A domain by name.
    pub fn domain_named(&self, name: &str) -> Option<&Domain> {
        self.domains.values().find(|d| d.name.eq_ignore_ascii_case(name))
    }

    /// A project by name and domain id.
    pub fn project_named(&self, name: &str, domain_id: &str) -> Option<&Project> {
        self.projects.values().find(|p| p.domain_id == domain_id && p.name == name)
    }

    /// A user by name and domain id.
    pub fn user_named(&self, name: &str, domain_id: &str) -> Option<&User> {
        self.users.values().find(|u| u.domain_id == domain_id && u.name == name)
    }

    /// A role by name.
    pub fn role_named(&self, name: &str) -> Option<&Role> {
        self.roles.values().find(|r| r.name == name)
    }

    /// The roles that a role brings along, itself first: admin > manager > member > reader.
    pub fn with_implied(&self, role_ids: &[String]) -> Vec<Role> {
        const CHAIN: [&str; 4] = ["admin", "manager", "member", "reader"];
        let mut names: Vec<String> = Vec::new();
        for role in role_ids.iter().filter_map(|id| self.roles.get(id)) {
            let at = CHAIN.iter().position(|n| *n == role.name);
            let implied = at.map_or(&CHAIN[CHAIN.len()..], |at| &CHAIN[at..]);
            for name in std::iter::once(role.name.as_str()).chain(implied.iter().copied()) {
                if !names.iter().any(|n| n == name) {
                    names.push(name.to_owned());
                }
            }
        }
        names.iter().filter_map(|n| self.role_named(n)).cloned().collect()
    }

    /// Ids of the roles that a user holds on a target, without implied ones.
    pub fn roles_on(&self, user_id: &str, target: &Target) -> Vec<String> {
        self.assignments
            .iter()
            .filter(|a| a.user_id == user_id && a.target == *target)
            .map(|a| a.role_id.clone())
            .collect()
    }

    /// Whether a trust can be used: not deleted, not over, both users there and enabled, and the
    /// trustor still holds every delegated role on the project.
    pub fn trust_holds(&self, trust: &Trust, now: DateTime<Utc>) -> bool {
        let enabled = |id: &String| self.users.get(id).is_some_and(|u| u.enabled);
        let held =
            self.roles_on(&trust.trustor_user_id, &Target::Project(trust.project_id.clone()));
        let held: Vec<String> = self.with_implied(&held).into_iter().map(|r| r.id).collect();
        trust.deleted_at.is_none()
            && trust.expires_at.is_none_or(|end| end > now)
            && enabled(&trust.trustor_user_id)
            && enabled(&trust.trustee_user_id)
            && self.projects.get(&trust.project_id).is_some_and(|p| p.enabled)
            && trust.role_ids.iter().all(|r| held.contains(r))
    }

    /// Revokes all tokens that bear a user's name: password changed, user disabled.
    pub fn revoke_tokens_of(&mut self, user_id: &str) {
        for token in self.tokens.values_mut().filter(|t| t.user_id == user_id) {
            token.revoked = true;
        }
    }

    /// What a token means now, or why it means nothing. `allow_expired`: up to 48 hours after its end.
    pub fn validate(
        &self,
        id: &str,
        now: DateTime<Utc>,
        allow_expired: bool,
    ) -> Result<TokenView, Void> {
        let token = self.tokens.get(id).ok_or(Void::Unknown)?;
        let grace = if allow_expired { ALLOW_EXPIRED_WINDOW } else { Duration::zero() };
        if token.expires_at + grace <= now {
            return Err(Void::Expired);
        }
        if token.revoked {
            return Err(Void::Revoked);
        }
        let user = self.users.get(&token.user_id).filter(|u| u.enabled).ok_or(Void::Revoked)?;
        let domain_lives = self.domains.get(&user.domain_id).is_some_and(|d| d.enabled);
        if !domain_lives {
            return Err(Void::Revoked);
        }
        let role_ids = self.token_roles(token, now)?;
        let (project, domain) = self.token_scope(token)?;
        Ok(TokenView {
            token: token.clone(),
            user: user.clone(),
            project,
            domain,
            roles: self.with_implied(&role_ids),
        })
    }

    fn token_scope(&self, token: &Token) -> Result<(Option<Project>, Option<Domain>), Void> {
        match &token.scope {
            Scope::Unscoped => Ok((None, None)),
            Scope::Project(id) => {
                let project = self.projects.get(id).filter(|p| p.enabled).ok_or(Void::Revoked)?;
                let domain = self.domains.get(&project.domain_id);
                domain.filter(|d| d.enabled).ok_or(Void::Revoked)?;
                Ok((Some(project.clone()), None))
            }
            Scope::Domain(id) => {
                let domain = self.domains.get(id).filter(|d| d.enabled).ok_or(Void::Revoked)?;
                Ok((None, Some(domain.clone())))
            }
        }
    }

    fn token_roles(&self, token: &Token, now: DateTime<Utc>) -> Result<Vec<String>, Void> {
        let target = match &token.scope {
            Scope::Unscoped => return Ok(Vec::new()),
            Scope::Project(id) => Target::Project(id.clone()),
            Scope::Domain(id) => Target::Domain(id.clone()),
        };
        let roles = if let Some(trust_id) = &token.trust_id {
            let trust = self.trusts.get(trust_id).ok_or(Void::Revoked)?;
            if !self.trust_holds(trust, now) {
                return Err(Void::Revoked);
            }
            trust.role_ids.clone()
        } else if let Some(credential_id) = &token.app_credential_id {
            self.app_credential_roles(credential_id, now).ok_or(Void::Revoked)?
        } else {
            self.roles_on(&token.user_id, &target)
        };
        if roles.is_empty() { Err(Void::Revoked) } else { Ok(roles) }
    }

    /// The roles that an application credential still gives; `None` if it is gone or over.
    pub fn app_credential_roles(&self, id: &str, now: DateTime<Utc>) -> Option<Vec<String>> {
        let credential = self.app_credentials.get(id)?;
        if credential.expires_at.is_some_and(|end| end <= now) {
            return None;
        }
        let held =
            self.roles_on(&credential.user_id, &Target::Project(credential.project_id.clone()));
        let held: Vec<String> = self.with_implied(&held).into_iter().map(|r| r.id).collect();
        let left: Vec<String> =
            credential.role_ids.iter().filter(|r| held.contains(r)).cloned().collect();
        (!left.is_empty()).then_some(left)
    }
}
