//! A Keystone session: one token in one scope, renewed before it dies, and once when a service says 401.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue, Method};
use parking_lot::{Mutex, RwLock};
use protector_http::{Answer, Call, CallKind, Service, Upstream, UpstreamKind};
use protector_ports::{PortError, PortResult, TokenInfo};
use protector_types::ProjectId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    catalog::{Catalog, CatalogEntry},
    config::{AuthMethod, Credentials, Scope},
    error::port_error,
    tolerant::null_default,
};

/// Carries our token.
pub(crate) const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// Carries the token that is asked about, and the one that was made.
pub(crate) const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// Everything that one log-in may take.
const AUTH_BUDGET: Duration = Duration::from_secs(30);
/// After a failed early renewal, the old token is used for this long before the next try.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);
/// Assumed where Keystone tells no useful times.
const SHORT_LIFE: Duration = Duration::from_secs(300);

/// One token.
pub struct Token {
    pub(crate) header: HeaderValue,
    /// Whose it is.
    pub info: TokenInfo,
    /// What it may use.
    pub catalog: Catalog,
    /// When it was made, by Keystone's clock.
    pub(crate) issued_at: Option<DateTime<Utc>>,
    /// Readings of the monotonic clock, in milliseconds: Keystone's clock need not agree with ours.
    renew_at: AtomicU64,
    dies_at: u64,
    bases: Mutex<HashMap<&'static str, Arc<str>>>,
}

impl Token {
    /// For `X-Auth-Token`; marked sensitive.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The base URL of a service, worked out once per token.
    pub(crate) fn base(
        &self,
        key: &'static str,
        make: impl FnOnce(&Self) -> PortResult<String>,
    ) -> PortResult<Arc<str>> {
        if let Some(base) = self.bases.lock().get(key) {
            return Ok(base.clone());
        }
        let base: Arc<str> = make(self)?.into();
        self.bases.lock().insert(key, base.clone());
        Ok(base)
    }

    /// The project of the scope.
    pub(crate) fn project(&self) -> &str {
        self.info.project_id.as_ref().map_or("", ProjectId::as_str)
    }
}

/// One scope's token, shared by all calls in it.
pub struct Session {
    keystone: Service,
    credentials: Arc<Credentials>,
    scope: Scope,
    current: RwLock<Option<Arc<Token>>>,
    /// Held by the one who logs in; keeps the last failure and its number.
    gate: tokio::sync::Mutex<Option<(u64, PortError)>>,
    finished: AtomicU64,
    /// Why the trust of the scope is no longer used.
    trust_ended: RwLock<Option<String>>,
}

impl Session {
    /// A session; nobody is called until the first use.
    pub fn new(keystone: Service, credentials: Arc<Credentials>, scope: Scope) -> Self {
        Self {
            keystone,
            credentials,
            scope,
            current: RwLock::default(),
            gate: tokio::sync::Mutex::default(),
            finished: AtomicU64::new(0),
            trust_ended: RwLock::default(),
        }
    }

    /// How we log in.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A tenant's trust is its scope.
    pub fn is_trust(&self) -> bool {
        matches!(self.scope, Scope::Trust { .. })
    }

    /// Why this session of a trust goes on as our own user, if it does: Keystone's words.
    pub fn trust_ended(&self) -> Option<String> {
        self.trust_ended.read().clone()
    }

    /// A token that lives.
    ///
    /// # Errors
    /// What Keystone answered; Denied when it does not accept us in this scope.
    pub async fn token(&self) -> PortResult<Arc<Token>> {
        let current = self.current.read().clone();
        let now = self.now();
        match current {
            Some(token) if now < token.renew_at.load(Ordering::Relaxed) => Ok(token),
            Some(token) if now < token.dies_at => match self.renew(Some(&token)).await {
                Ok(fresh) => Ok(fresh),
                Err(error) if error.is_passing() => {
                    tracing::warn!(service = self.keystone.label(), %error, "early renewal failed; the token still lives");
                    let pause = u64::try_from(RENEWAL_PAUSE.as_millis()).unwrap_or(u64::MAX);
                    token.renew_at.store(self.now().saturating_add(pause), Ordering::Relaxed);
                    Ok(token)
                }
                Err(error) => Err(error),
            },
            old => self.renew(old.as_ref()).await,
        }
    }

    /// A token other than `old`, which a service did not accept or which is about to die. Of several who ask
    /// at the same time one logs in, and all get its token or its failure.
    ///
    /// # Errors
    /// As [`Session::token`].
    pub async fn renew(&self, old: Option<&Arc<Token>>) -> PortResult<Arc<Token>> {
        let finished = self.finished.load(Ordering::Acquire);
        let mut gate = self.gate.lock().await;
        if let Some(current) = self.current.read().clone()
            && old.is_none_or(|old| !Arc::ptr_eq(old, &current))
        {
            return Ok(current);
        }
        if let Some((number, error)) = &*gate
            && *number > finished
        {
            return Err(error.clone());
        }
        let outcome = match self.log_in().await {
            Err(error @ PortError::Denied { .. }) => {
                // Behind a load balancer one Keystone may be behind the others: a single no ends nobody's operation.
                tracing::warn!(service = self.keystone.label(), %error, "log-in refused; asked once more");
                self.log_in().await
            }
            other => other,
        };
        let number = self.finished.fetch_add(1, Ordering::AcqRel) + 1;
        match outcome {
            Ok(token) => {
                let token = Arc::new(token);
                *self.current.write() = Some(token.clone());
                *gate = None;
                Ok(token)
            }
            Err(error) => {
                *gate = Some((number, error.clone()));
                Err(error)
            }
        }
    }

    /// Logs in; with a trust that Keystone no longer honours as our own user, from then on. A person who leaves must
    /// not stop an operation.
    async fn log_in(&self) -> PortResult<Token> {
        let Scope::Trust { otherwise: Some(project), .. } = &self.scope else {
            return self.log_in_to(&self.scope).await;
        };
        let own = Scope::Project(project.clone());
        if self.trust_ended().is_some() {
            return self.log_in_to(&own).await;
        }
        match self.log_in_to(&self.scope).await {
            Err(error @ (PortError::Denied { .. } | PortError::Absent { .. })) => {
                // Only if we are accepted otherwise is it the trust; else it is our own password.
                let token = self.log_in_to(&own).await.map_err(|_| error.clone())?;
                tracing::warn!(service = self.keystone.label(), %error, "a trust has ended; we go on as our own user");
                *self.trust_ended.write() = Some(error.to_string());
                Ok(token)
            }
            other => other,
        }
    }

    async fn log_in_to(&self, scope: &Scope) -> PortResult<Token> {
        let body = self.auth_body(scope)?;
        let url = format!("{}/auth/tokens", self.credentials.identity_url());
        let call = Call::new(Method::POST, url, CallKind::Ensure).json(&body).budget(AUTH_BUDGET);
        let sent = self.keystone.send(call).await;
        let answer = sent.map_err(|upstream| self.refused(scope, upstream))?;
        let token = self.read_token(&answer).map_err(|u| port_error(self.keystone.label(), u))?;
        self.check_scope(scope, &token)?;
        Ok(token)
    }

    fn auth_body(&self, scope: &Scope) -> PortResult<Value> {
        Ok(match &self.credentials.method {
            AuthMethod::Password { user, user_domain, password, project, project_domain } => {
                let scope = match scope {
                    Scope::Own => {
                        json!({"project": {"name": project, "domain": {"name": project_domain}}})
                    }
                    Scope::Project(id) => json!({"project": {"id": id}}),
                    Scope::Trust { id, .. } => json!({"OS-TRUST:trust": {"id": id}}),
                };
                json!({"auth": {
                    "identity": {
                        "methods": ["password"],
                        "password": {"user": {
                            "name": user,
                            "domain": {"name": user_domain},
                            "password": password.expose(),
                        }},
                    },
                    "scope": scope,
                }})
            }
            AuthMethod::ApplicationCredential { .. } if matches!(scope, Scope::Trust { .. }) => {
                return Err(self.denied("an application credential cannot use a trust; register the site with a user and password"));
            }
            // An application credential carries its scope; naming one is refused.
            AuthMethod::ApplicationCredential { id, secret } => json!({"auth": {"identity": {
                "methods": ["application_credential"],
                "application_credential": {"id": id, "secret": secret.expose()},
            }}}),
        })
    }

    fn read_token(&self, answer: &Answer) -> Result<Token, Upstream> {
        let unusable = |why: &str| Upstream::new(UpstreamKind::Unknown, why);
        let mut header = answer
            .headers
            .get(&SUBJECT_TOKEN)
            .cloned()
            .ok_or_else(|| unusable("the answer to the log-in has no X-Subject-Token"))?;
        header.set_sensitive(true);
        let body: TokenAnswer = answer.json()?;
        let life = body.token.life();
        let now = self.now();
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Ok(Token {
            header,
            catalog: Catalog::new(body.token.catalog.clone()),
            issued_at: body.token.issued_at,
            info: body.token.info(),
            // Services hand the token on to others: it needs some life left.
            renew_at: AtomicU64::new(now.saturating_add(ms(life.mul_f64(0.8)))),
            dies_at: now.saturating_add(ms(life)),
            bases: Mutex::default(),
        })
    }

    /// An application credential may be bound to another project than the one that is meant.
    fn check_scope(&self, scope: &Scope, token: &Token) -> PortResult<()> {
        match scope {
            Scope::Project(wanted) if token.project() != wanted.as_str() => Err(self.denied(&format!(
                "the credential is bound to project {:?} and cannot act in {wanted}; register the site with a user and password",
                token.project()
            ))),
            _ => Ok(()),
        }
    }

    fn refused(&self, scope: &Scope, upstream: Upstream) -> PortError {
        if upstream.kind != UpstreamKind::Unauthorized {
            return port_error(self.keystone.label(), upstream);
        }
        let place = match scope {
            Scope::Own => "in its own project".to_owned(),
            Scope::Project(id) => {
                format!("in project {id}: check the password and that the user holds a role there")
            }
            // Which trust it is, is a secret.
            Scope::Trust { .. } => {
                "with a tenant's trust: it may have been revoked, or its user lost the role".into()
            }
        };
        self.denied(&format!("our service user is not accepted {place} ({})", upstream.message))
    }

    fn denied(&self, message: &str) -> PortError {
        PortError::Denied { service: self.keystone.label().to_owned(), message: message.to_owned() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.keystone.clock().monotonic().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What `GET` and `POST /v3/auth/tokens` answer.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenAnswer {
    pub token: TokenBody,
}

/// A token as Keystone describes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenBody {
    user: Named,
    project: Option<Named>,
    #[serde(deserialize_with = "null_default")]
    roles: Vec<Named>,
    #[serde(deserialize_with = "null_default")]
    methods: Vec<String>,
    application_credential: Option<serde::de::IgnoredAny>,
    issued_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "null_default")]
    catalog: Vec<CatalogEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    #[serde(deserialize_with = "null_default")]
    id: String,
    #[serde(deserialize_with = "null_default")]
    name: String,
    domain: Option<Domain>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Domain {
    #[serde(deserialize_with = "null_default")]
    id: String,
}

impl TokenBody {
    fn life(&self) -> Duration {
        match (self.issued_at, self.expires_at) {
            (Some(issued), Some(expires)) => (expires - issued).to_std().unwrap_or(SHORT_LIFE),
            _ => SHORT_LIFE,
        }
    }

    /// Who it belongs to. A token without an end counts as ended.
    pub(crate) fn info(self) -> TokenInfo {
        let from_application_credential = self.application_credential.is_some()
            || self.methods.iter().any(|method| method == "application_credential");
        let project = self.project.filter(|project| !project.id.is_empty());
        let domain_of = |domain: Option<Domain>| domain.unwrap_or_default().id;
        let (project_id, project_name, project_domain_id) = match project {
            Some(Named { id, name, domain }) => {
                (Some(ProjectId(id)), Some(name), Some(domain_of(domain)))
            }
            None => (None, None, None),
        };
        TokenInfo {
            user_id: self.user.id,
            user_name: self.user.name,
            user_domain_id: domain_of(self.user.domain),
            project_id,
            project_name,
            project_domain_id,
            roles: self.roles.into_iter().map(|role| role.name).collect(),
            expires_at: self.expires_at.unwrap_or_default(),
            from_application_credential,
        }
    }
}
