//! One API, one user.

use std::{fmt::Display, sync::Arc};

use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use protector_api_types::{
    Microversion, PageLink, ServiceHealthBody, ServiceHealthView, VersionEntry, VersionsBody,
};
use protector_http::{Answer, Call, CallKind, Client, Service, ServiceOptions, UpstreamKind};
use protector_types::Secret;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{ClientError, classify},
    token::TokenSource,
};

const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const VERSION: HeaderName = HeaderName::from_static("openstack-api-version");

/// What stays as it is in a path segment or query value (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Items asked for at a time when a whole list is wanted.
const PAGE: usize = 500;

/// The result of a call.
pub type ClientResult<T> = Result<T, ClientError>;

/// Calls one Protector's API as one user, in the newest microversion. Cheap to clone.
#[derive(Clone)]
pub struct ProtectorClient {
    service: Service,
    base: String,
    tokens: Arc<dyn TokenSource>,
}

impl ProtectorClient {
    /// The API at `url` (`http://host:8788`, with or without `/v1`) of the site named `site`.
    pub fn connect(http: &Client, site: &str, url: &str, tokens: Arc<dyn TokenSource>) -> Self {
        let options = || ServiceOptions { classify, ..ServiceOptions::default() };
        Self::new(http.service_with("protector", site, options), url, tokens)
    }

    /// The same over a service that exists. Unless it was made with [`classify`], errors have the API's sentences
    /// but not its codes.
    pub fn new(service: Service, url: &str, tokens: Arc<dyn TokenSource>) -> Self {
        Self { service, base: base(url).to_owned(), tokens }
    }

    /// "protector at site-b".
    pub fn label(&self) -> &str {
        self.service.label()
    }

    /// The versions that it speaks; needs no token.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn versions(&self) -> ClientResult<Vec<VersionEntry>> {
        let answer = self.service.send(Call::get(format!("{}/", self.base))).await;
        let body: VersionsBody = self.read(&answer.map_err(|e| self.failed(e))?)?;
        Ok(body.versions)
    }

    /// True if it answers requests (`/healthz`); needs no token.
    ///
    /// # Errors
    /// When it does not answer at all.
    pub async fn is_alive(&self) -> ClientResult<bool> {
        match self.service.send(Call::get(format!("{}/healthz", self.base))).await {
            Ok(_) => Ok(true),
            Err(upstream) if upstream.status.is_some() => Ok(false),
            Err(upstream) => Err(self.failed(upstream)),
        }
    }

    /// The health of its parts.
    ///
    /// # Errors
    /// The API's.
    pub async fn health(&self) -> ClientResult<ServiceHealthView> {
        let body: ServiceHealthBody = self.get("/v1/health").await?;
        Ok(body.health)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> ClientResult<T> {
        self.read(&self.send(Method::GET, path, CallKind::Read, None::<&()>, &[]).await?)
    }

    /// POST: not repeated after it may have had an effect.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> ClientResult<T> {
        self.read(&self.send(Method::POST, path, CallKind::Effect, body, &[]).await?)
    }

    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> ClientResult<T> {
        self.read(&self.send(Method::PATCH, path, CallKind::Ensure, Some(body), &[]).await?)
    }

    pub(crate) async fn put(&self, path: &str, body: &impl Serialize) -> ClientResult<Answer> {
        self.send(Method::PUT, path, CallKind::Ensure, Some(body), &[]).await
    }

    pub(crate) async fn delete(&self, path: &str) -> ClientResult<()> {
        self.send(Method::DELETE, path, CallKind::Ensure, None::<&()>, &[]).await.map(drop)
    }

    /// All pages of a list. `read` takes a page apart; `id` is an item's marker.
    pub(crate) async fn all<B: DeserializeOwned, T, I: Display>(
        &self,
        path: &str,
        filters: &[(&str, String)],
        read: impl Fn(B) -> (Vec<T>, Vec<PageLink>),
        id: impl Fn(&T) -> I,
    ) -> ClientResult<Vec<T>> {
        let mut items: Vec<T> = Vec::new();
        loop {
            let mut query = format!("limit={PAGE}");
            for (name, value) in filters {
                query.push_str(&format!("&{name}={}", segment(value)));
            }
            let marker = items.last().map(|last| id(last).to_string());
            if let Some(marker) = &marker {
                query.push_str(&format!("&marker={}", segment(marker)));
            }
            let (page, links) = read(self.get(&format!("{path}?{query}")).await?);
            let is_last = links.is_empty() || page.is_empty();
            let last = page.last().map(|last| id(last).to_string());
            items.extend(page);
            if is_last {
                return Ok(items);
            }
            if last == marker {
                // The server does not go on: better a clear end than a loop without one.
                let what = format!("{path} answers the same page again");
                return Err(self.failed(protector_http::Upstream::new(UpstreamKind::Unknown, what)));
            }
        }
    }

    /// Sends with a token, and once more with a new one after 401: a refused token had no effect.
    pub(crate) async fn send<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        kind: CallKind,
        body: Option<&B>,
        headers: &[(HeaderName, &str)],
    ) -> ClientResult<Answer> {
        let mut call = Call::new(method, format!("{}{path}", self.base), kind)
            .header(VERSION, &format!("protector {}", Microversion::MAX));
        for (name, value) in headers {
            call = call.header(name.clone(), value);
        }
        if let Some(body) = body {
            call = call.json(body);
        }
        let no_token = |e| ClientError::from_port(self.label(), &e);
        let token = self.tokens.token().await.map_err(no_token)?;
        match self.service.send(self.with_token(call.clone(), &token)?).await {
            Err(upstream) if upstream.kind == UpstreamKind::Unauthorized => {
                let token = self.tokens.refused(&token).await.map_err(no_token)?;
                let answer = self.service.send(self.with_token(call, &token)?).await;
                answer.map_err(|e| self.failed(e))
            }
            answer => answer.map_err(|e| self.failed(e)),
        }
    }

    fn with_token(&self, call: Call, token: &Secret) -> ClientResult<Call> {
        let value = HeaderValue::from_str(token.expose()).map_err(|_| ClientError {
            service: self.label().to_owned(),
            kind: UpstreamKind::Invalid,
            status: None,
            errors: Vec::new(),
            message: "the token cannot be sent in a header".into(),
            retry_after: None,
        })?;
        Ok(call.secret_header(TOKEN, value))
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, answer: &Answer) -> ClientResult<T> {
        answer.json().map_err(|e| self.failed(e))
    }

    fn failed(&self, upstream: protector_http::Upstream) -> ClientError {
        ClientError::new(self.label(), upstream)
    }
}

/// The root of the API: catalogs also name `/v1` and `/v1/<project>`.
fn base(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    match (url.strip_suffix("/v1"), url.rfind("/v1/")) {
        (Some(base), _) => base,
        (None, Some(at)) => &url[..at],
        (None, None) => url,
    }
}

/// A value as one segment of a path, or as a query value.
pub(crate) fn segment(value: impl Display) -> String {
    utf8_percent_encode(&value.to_string(), SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_in_what_catalogs_name() {
        for url in [
            "http://h:8788",
            "http://h:8788/",
            "http://h:8788/v1",
            "http://h:8788/v1/",
            "http://h:8788/v1/abc",
        ] {
            assert_eq!(base(url), "http://h:8788", "{url}");
        }
        assert_eq!(base("https://h/dr/v1"), "https://h/dr");
    }

    #[test]
    fn segments_cannot_leave_their_place() {
        assert_eq!(segment("../a b?c#d/é"), "..%2Fa%20b%3Fc%23d%2F%C3%A9");
    }
}
