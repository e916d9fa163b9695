//! What a handler knows of the request besides path and body.

use std::{fmt::Display, str::FromStr, sync::Arc};

use axum::extract::FromRequestParts;
use http::{HeaderMap, Method, Uri, header::HOST, request::Parts};
use protector_api_types::{Microversion, Negotiated, PageLink};
use protector_policy::{Rule, Target};
use protector_types::{Code, ProjectId, Secret};

use crate::{
    auth::Identity,
    core_api::CoreApi,
    error::{ApiError, ApiResult},
    layers::current_request_id,
    model::Caller,
    query::Query,
    state::AppState,
};

/// One authenticated request.
pub struct Call {
    /// Shared state.
    pub state: AppState,
    /// Who asks.
    pub identity: Arc<Identity>,
    /// Version in force.
    pub version: Microversion,
    /// Headers.
    pub headers: HeaderMap,
    method: Method,
    uri: Uri,
}

impl FromRequestParts<AppState> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> ApiResult<Self> {
        let identity = parts.extensions.get::<Arc<Identity>>().cloned();
        let negotiated = parts.extensions.get::<Negotiated>().copied();
        match (identity, negotiated) {
            (Some(identity), Some(negotiated)) => Ok(Self {
                state: state.clone(),
                identity,
                version: negotiated.version,
                headers: parts.headers.clone(),
                method: parts.method.clone(),
                uri: parts.uri.clone(),
            }),
            _ => Err(ApiError::new(Code::Internal, "a layer is missing in front of this handler")),
        }
    }
}

impl Call {
    /// The core.
    pub fn core(&self) -> &dyn CoreApi {
        self.state.core().as_ref()
    }

    /// The caller, for the core.
    pub fn caller(&self) -> Caller {
        self.identity.caller(current_request_id())
    }

    /// Asks the policy.
    ///
    /// # Errors
    /// `auth.forbidden`, naming the rule.
    pub fn enforce(&self, rule: Rule, target: &Target) -> ApiResult<()> {
        Ok(self.state.policy().current().enforce(rule, &self.identity.credentials, target)?)
    }

    /// A user who has just been allowed to change something lets us act in the user's name from now on. Only in the
    /// token's own project: an administrator who acts in another's has no say there.
    pub async fn note_caller(&self, project: &ProjectId) -> ApiResult<()> {
        let is_change = !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let info = &self.identity.token;
        if !is_change || info.project_id.as_ref() != Some(project) {
            return Ok(());
        }
        let token = Secret::new(self.header("X-Auth-Token")?.unwrap_or_default().trim());
        let is_credential = info.from_application_credential;
        Ok(self.core().note_caller(&self.caller(), project, &token, is_credential).await?)
    }

    /// Asks the policy about something that belongs to no project.
    ///
    /// # Errors
    /// `auth.forbidden`, naming the rule.
    pub fn enforce_admin(&self, rule: Rule) -> ApiResult<()> {
        self.enforce(rule, &Target::default())
    }

    /// The project of the path: the token's own, or any for an administrator.
    ///
    /// # Errors
    /// 404 for somebody else's: whether it exists is not the caller's to know.
    pub fn tenant(&self, tenant_id: &str) -> ApiResult<ProjectId> {
        let project = ProjectId::from(tenant_id);
        let is_own = self.identity.token.project_id.as_ref() == Some(&project);
        let target = Target::project(&project);
        let is_admin = || {
            let policy = self.state.policy().current();
            policy.allows_named("context_is_admin", &self.identity.credentials, &target)
        };
        if is_own || is_admin() {
            Ok(project)
        } else {
            Err(ApiError::not_found("Project", tenant_id))
        }
    }

    /// The query parameters, to be taken one by one.
    pub fn query(&self) -> Query {
        Query::new(self.uri.query())
    }

    /// For calls without query parameters.
    ///
    /// # Errors
    /// There are some.
    pub fn no_query(&self) -> ApiResult<()> {
        Ok(self.query().finish()?)
    }

    /// A header's text; `None` if it is missing.
    ///
    /// # Errors
    /// It is not ASCII.
    pub fn header(&self, name: &str) -> ApiResult<Option<&str>> {
        match self.headers.get(name).map(|value| value.to_str()) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(ApiError::new(
                Code::RequestInvalidValue,
                format!("The header {name} must be ASCII text"),
            )),
        }
    }

    /// The link to the page after the one that ended with `last`, if there is more.
    pub fn next_link(&self, more: bool, last: Option<impl Display>) -> Vec<PageLink> {
        let (true, Some(last)) = (more, last) else { return Vec::new() };
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in
            url::form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes())
        {
            if name != "marker" {
                query.append_pair(&name, &value);
            }
        }
        query.append_pair("marker", &last.to_string());
        let base = base_url(&self.state, &self.headers, &self.uri);
        vec![PageLink::next(format!("{base}{}?{}", self.uri.path(), query.finish()))]
    }

    /// The absolute URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", base_url(&self.state, &self.headers, &self.uri))
    }
}

/// Where the client reaches us, without a slash at the end.
pub fn base_url(state: &AppState, headers: &HeaderMap, uri: &Uri) -> String {
    if let Some(endpoint) = state.public_endpoint() {
        return endpoint.to_owned();
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => uri.scheme_str().filter(|s| *s == "https").unwrap_or("http"),
    };
    let authority = text(HOST.as_str()).or_else(|| uri.authority().map(|a| a.as_str()));
    let authority = authority.filter(|a| a.parse::<http::uri::Authority>().is_ok());
    format!("{scheme}://{}", authority.unwrap_or("localhost:8788"))
}

/// An id of the path. One that is none names nothing: 404.
///
/// # Errors
/// `resource.not_found`.
pub fn id<T: FromStr>(kind: &str, text: &str) -> ApiResult<T> {
    text.parse().map_err(|_| ApiError::not_found(kind, format!("{text:?}")))
}
