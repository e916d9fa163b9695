//! Keystone, with our service user's authority.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use http::{HeaderValue, Method, header::DATE};
use protector_http::{Answer, Call, CallKind, Service, UpstreamKind};
use protector_ports::{Identity, PortError, PortResult, Project, TokenInfo};
use protector_types::{ProjectId, Secret};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    error::port_error,
    rest::{Page, page, part},
    session::{AUTH_TOKEN, SUBJECT_TOKEN, Session, TokenAnswer},
    tolerant::{loose_bool, null_default},
};

/// Keystone at one site.
pub struct KeystoneIdentity {
    keystone: Service,
    session: Arc<Session>,
    root: String,
}

impl KeystoneIdentity {
    pub(crate) fn new(keystone: Service, session: Arc<Session>) -> Self {
        let root = session.credentials().identity_url();
        Self { keystone, session, root }
    }

    /// Sends with our token; on 401 once more with a new one.
    async fn send(
        &self,
        method: Method,
        kind: CallKind,
        path: &str,
        subject: Option<&HeaderValue>,
    ) -> PortResult<Answer> {
        let mut token = self.session.token().await?;
        for last in [false, true] {
            let mut call = Call::new(method.clone(), format!("{}{path}", self.root), kind)
                .secret_header(AUTH_TOKEN, token.header.clone());
            if let Some(subject) = subject {
                call = call.secret_header(SUBJECT_TOKEN, subject.clone());
            }
            match self.keystone.send(call).await {
                Err(upstream) if upstream.kind == UpstreamKind::Unauthorized && !last => {
                    token = self.session.renew(Some(&token)).await?;
                }
                other => {
                    return other.map_err(|upstream| port_error(self.keystone.label(), upstream));
                }
            }
        }
        // The second pass of the loop always returns.
        Err(self.absent("no answer"))
    }

    /// Sends with a tenant's token, which we cannot renew.
    async fn send_as(&self, token: &Secret, call: Call) -> PortResult<Answer> {
        let header =
            HeaderValue::from_str(token.expose()).map_err(|_| self.absent("not a token"))?;
        let answer = self.keystone.send(call.secret_header(AUTH_TOKEN, header)).await;
        answer.map_err(|upstream| port_error(self.keystone.label(), upstream))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> PortResult<T> {
        let answer = self.send(Method::GET, CallKind::Read, path, None).await?;
        answer.json().map_err(|upstream| port_error(self.keystone.label(), upstream))
    }

    /// All pages: Keystone gives the next page's URL, and only if an operator has set a limit.
    async fn list<P: Page>(&self, path: &str) -> PortResult<Vec<P::Item>> {
        let mut all: Vec<P::Item> = Vec::new();
        let mut url = path.to_owned();
        loop {
            let (items, more) = self.get::<P>(&url).await?.split();
            let before = all.last().map(|item| P::marker(item).to_owned());
            all.extend(items);
            let last = all.last().map(|item| P::marker(item));
            match last {
                Some(last) if more && before.as_deref() != Some(last) => {
                    url = format!("{path}&marker={}", part(last));
                }
                _ => return Ok(all),
            }
        }
    }

    async fn domain_id(&self, name: &str) -> PortResult<Option<String>> {
        let path = format!("/domains?name={}", part(name));
        match self.list::<DomainPage>(&path).await {
            Ok(domains) => {
                Ok(domains.into_iter().find(|d| d.name.eq_ignore_ascii_case(name)).map(|d| d.id))
            }
            // Domains are for cloud administrators; `default` has the same id everywhere.
            Err(PortError::Denied { .. }) if name.eq_ignore_ascii_case("default") => {
                Ok(Some("default".into()))
            }
            Err(error) => Err(error),
        }
    }

    async fn role_id(&self, name: &str) -> PortResult<String> {
        let roles = self.list::<RolePage>(&format!("/roles?name={}", part(name))).await?;
        let found = roles.into_iter().find(|role| role.name.eq_ignore_ascii_case(name));
        found.map(|role| role.id).ok_or_else(|| {
            self.absent(&format!(
                "there is no role {name:?}; create it, or name another one in the configuration"
            ))
        })
    }

    async fn ask_about(&self, subject: &HeaderValue) -> PortResult<TokenInfo> {
        let answer =
            self.send(Method::GET, CallKind::Read, "/auth/tokens?nocatalog", Some(subject)).await?;
        let body: TokenAnswer =
            answer.json().map_err(|upstream| port_error(self.keystone.label(), upstream))?;
        Ok(body.token.info())
    }

    fn absent(&self, message: &str) -> PortError {
        PortError::Absent { service: self.keystone.label().to_owned(), message: message.to_owned() }
    }
}

page!(DomainPage, Named, "domains", "no_links", |domain| &domain.id);
page!(RolePage, Named, "roles", "no_links", |role| &role.id);

#[derive(Deserialize)]
struct TrustList {
    trusts: Vec<TrustWire>,
}

#[derive(Deserialize)]
struct TrustAnswer {
    trust: TrustWire,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TrustWire {
    #[serde(deserialize_with = "null_default")]
    id: String,
    #[serde(deserialize_with = "null_default")]
    trustee_user_id: String,
    project_id: Option<String>,
    #[serde(deserialize_with = "loose_bool")]
    impersonation: bool,
    expires_at: Option<String>,
    remaining_uses: Option<u64>,
}

#[derive(Deserialize)]
pub(crate) struct Named {
    id: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
}

#[derive(Deserialize)]
struct ProjectPage {
    projects: Vec<ProjectWire>,
    links: Option<PageLinks>,
}

#[derive(Deserialize)]
struct PageLinks {
    next: Option<String>,
}

impl Page for ProjectPage {
    type Item = ProjectWire;

    fn split(self) -> (Vec<ProjectWire>, bool) {
        let more = self.links.is_some_and(|links| links.next.is_some());
        (self.projects, more)
    }

    fn marker(item: &ProjectWire) -> &str {
        &item.id
    }
}

#[derive(Deserialize)]
struct ProjectAnswer {
    project: ProjectWire,
}

#[derive(Deserialize)]
struct ProjectWire {
    id: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
    #[serde(default, deserialize_with = "null_default")]
    domain_id: String,
    #[serde(default, deserialize_with = "loose_bool")]
    enabled: bool,
}

impl ProjectWire {
    fn into_port(self) -> Project {
        Project {
            id: ProjectId(self.id),
            name: self.name,
            domain_id: self.domain_id,
            enabled: self.enabled,
        }
    }
}

/// HTTP's date has no fractions: on average it is half a second old.
fn skew_ms(date: &str, before: DateTime<Utc>, after: DateTime<Utc>) -> Option<i64> {
    let theirs =
        DateTime::parse_from_rfc2822(date).ok()?.with_timezone(&Utc) + Duration::milliseconds(500);
    Some((theirs - middle(before, after)).num_milliseconds())
}

fn middle(before: DateTime<Utc>, after: DateTime<Utc>) -> DateTime<Utc> {
    before + (after - before) / 2
}

#[async_trait]
impl Identity for KeystoneIdentity {
    async fn validate_token(&self, token: &Secret) -> PortResult<TokenInfo> {
        // What HTTP cannot carry is nobody's token.
        let subject =
            HeaderValue::from_str(token.expose()).map_err(|_| self.absent("not a token"))?;
        if subject.is_empty() {
            return Err(self.absent("no token"));
        }
        // Keystone judges the expiry: its clock made it.
        self.ask_about(&subject).await
    }

    async fn whoami(&self) -> PortResult<TokenInfo> {
        let token = self.session.token().await?;
        match self.ask_about(&token.header).await {
            // Our token died early, and the question was asked with its successor.
            Err(PortError::Absent { .. }) => {
                let token = self.session.renew(Some(&token)).await?;
                self.ask_about(&token.header).await
            }
            other => other,
        }
    }

    async fn project(&self, id: &ProjectId) -> PortResult<Project> {
        let answer: ProjectAnswer = self.get(&format!("/projects/{}", part(id.as_str()))).await?;
        Ok(answer.project.into_port())
    }

    async fn find_project(&self, name: &str, domain_name: &str) -> PortResult<Vec<Project>> {
        let Some(domain) = self.domain_id(domain_name).await? else { return Ok(Vec::new()) };
        let path = format!("/projects?name={}&domain_id={}", part(name), part(&domain));
        let projects = self.list::<ProjectPage>(&path).await?;
        Ok(projects
            .into_iter()
            .map(ProjectWire::into_port)
            .filter(|p| p.name.eq_ignore_ascii_case(name))
            .collect())
    }

    async fn grant_own_role(&self, project: &ProjectId, role: &str) -> PortResult<()> {
        let user = self.session.token().await?.info.user_id.clone();
        let role = self.role_id(role).await?;
        let path = format!(
            "/projects/{}/users/{}/roles/{}",
            part(project.as_str()),
            part(&user),
            part(&role)
        );
        self.send(Method::PUT, CallKind::Ensure, &path, None).await.map(drop)
    }

    async fn trusts_to_us(
        &self,
        token: &Secret,
        user_id: &str,
        project: &ProjectId,
    ) -> PortResult<Vec<Secret>> {
        let us = self.session.token().await?.info.user_id.clone();
        let url = format!("{}/OS-TRUST/trusts?trustor_user_id={}", self.root, part(user_id));
        let answer = self.send_as(token, Call::get(url)).await?;
        let list: TrustList =
            answer.json().map_err(|upstream| port_error(self.keystone.label(), upstream))?;
        let fits = |trust: &TrustWire| {
            trust.trustee_user_id == us
                && trust.project_id.as_deref() == Some(project.as_str())
                && trust.impersonation
                && trust.expires_at.is_none()
                && trust.remaining_uses.is_none()
        };
        Ok(list.trusts.into_iter().filter(fits).map(|trust| Secret::new(trust.id)).collect())
    }

    async fn make_trust(
        &self,
        token: &Secret,
        user_id: &str,
        project: &ProjectId,
    ) -> PortResult<Secret> {
        let us = self.session.token().await?.info.user_id.clone();
        self.trust(token, user_id, &us, project, None).await
    }

    async fn drop_trust(&self, trust: &Secret) -> PortResult<()> {
        let path = format!("/OS-TRUST/trusts/{}", part(trust.expose()));
        match self.send(Method::DELETE, CallKind::Ensure, &path, None).await {
            Ok(_) | Err(PortError::Absent { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn endpoint(&self, service_type: &str) -> PortResult<String> {
        let token = self.session.token().await?;
        let credentials = self.session.credentials();
        token
            .catalog
            .url(service_type, &credentials.interface, credentials.region.as_deref())
            .map_err(|e| self.absent(&e.to_string()))
    }

    async fn clock_skew_ms(&self) -> PortResult<i64> {
        let clock = self.keystone.clock().clone();
        let before = clock.now();
        let answer = self.send(Method::GET, CallKind::Read, "", None).await?;
        let after = clock.now();
        if let Some(date) = answer.headers.get(DATE).and_then(|date| date.to_str().ok())
            && let Some(skew) = skew_ms(date, before, after)
        {
            return Ok(skew);
        }
        self.skew_of_a_new_token().await
    }
}

impl KeystoneIdentity {
    /// Makes a trust of role `member`; `until` bounds one that is for us alone.
    async fn trust(
        &self,
        token: &Secret,
        trustor: &str,
        trustee: &str,
        project: &ProjectId,
        until: Option<DateTime<Utc>>,
    ) -> PortResult<Secret> {
        let body = json!({"trust": {
            "trustor_user_id": trustor,
            "trustee_user_id": trustee,
            "project_id": project,
            "impersonation": true,
            "allow_redelegation": false,
            "expires_at": until.map(|end| end.format("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()),
            "roles": [{"name": "member"}],
        }});
        let url = format!("{}/OS-TRUST/trusts", self.root);
        let call = Call::new(Method::POST, url, CallKind::Effect).json(&body);
        let answer = self.send_as(token, call).await?;
        let made: TrustAnswer =
            answer.json().map_err(|upstream| port_error(self.keystone.label(), upstream))?;
        Ok(Secret::new(made.trust.id))
    }

    /// A trust of our own user to itself, of role `member` alone on the project: what a plain member may do can then be
    /// asked of a service without having one at hand. It ends by itself after `life`.
    ///
    /// # Errors
    /// What Keystone answers; Denied where our user holds no role on the project.
    pub async fn trust_to_ourselves(
        &self,
        in_project: &Session,
        project: &ProjectId,
        life: Duration,
    ) -> PortResult<Secret> {
        let token = in_project.token().await?;
        let us = &token.info.user_id;
        let own = Secret::new(token.header.to_str().unwrap_or_default());
        let until = self.keystone.clock().now() + life;
        self.trust(&own, us, us, project, Some(until)).await
    }

    /// A Keystone that uWSGI serves without a web server in front sends no Date header; a token says when it was made.
    async fn skew_of_a_new_token(&self) -> PortResult<i64> {
        let clock = self.keystone.clock().clone();
        let old = self.session.token().await?;
        let before = clock.now();
        let fresh = self.session.renew(Some(&old)).await?;
        let ours = middle(before, clock.now());
        let theirs = fresh.issued_at.ok_or_else(|| PortError::Unknown {
            service: self.keystone.label().to_owned(),
            message: "neither a Date header nor a token's issued_at can be read: the clocks cannot be compared".into(),
        })?;
        Ok((theirs - ours).num_milliseconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skew_is_measured_from_the_middle_of_the_call() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let skew = skew_ms(
            "Mon, 23 Nov 2026 14:00:10 GMT",
            at("2026-11-23T14:00:00Z"),
            at("2026-11-23T14:00:01Z"),
        );
        assert_eq!(skew, Some(10_000));
        assert_eq!(
            skew_ms("yesterday", at("2026-11-23T14:00:00Z"), at("2026-11-23T14:00:00Z")),
            None
        );
    }
}
