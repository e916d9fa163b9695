//! One service's REST API in one session: token, microversion, 401, pages.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use protector_http::{Answer, Call, CallKind, Service, UpstreamKind};
use protector_ports::{PortError, PortResult};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::port_error,
    session::{AUTH_TOKEN, Session, Token},
};

/// Items that we ask for per page; services give fewer if they like.
pub(crate) const PAGE: usize = 1000;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as one part of a path or a query. Ids and names come from other systems and from tenants.
pub(crate) fn part(text: &str) -> Cow<'_, str> {
    if text == "." || text == ".." {
        return Cow::Owned(text.replace('.', "%2E"));
    }
    utf8_percent_encode(text, UNRESERVED).into()
}

/// Makes a service's base URL of what the catalog says and the project.
pub(crate) type Base = fn(url: &str, project: &str) -> String;

/// A service in a session.
#[derive(Clone)]
pub(crate) struct Api {
    pub service: Service,
    pub session: Arc<Session>,
    pub service_type: &'static str,
    pub base: Base,
}

/// One request, before it has a token. A path that begins with a slash is below the service's base URL, any
/// other is a whole URL.
pub(crate) struct Ask<'a> {
    method: Method,
    path: Cow<'a, str>,
    kind: CallKind,
    body: Option<Bytes>,
    version: Option<(HeaderName, HeaderValue)>,
}

impl<'a> Ask<'a> {
    pub fn new(method: Method, kind: CallKind, path: impl Into<Cow<'a, str>>) -> Self {
        Self { method, path: path.into(), kind, body: None, version: None }
    }

    pub fn get(path: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Method::GET, CallKind::Read, path)
    }

    pub fn post(kind: CallKind, path: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Method::POST, kind, path)
    }

    pub fn delete(path: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Method::DELETE, CallKind::Effect, path)
    }

    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.body = serde_json::to_vec(body).ok().map(Bytes::from);
        self
    }

    pub fn version(mut self, version: Option<(HeaderName, HeaderValue)>) -> Self {
        self.version = version;
        self
    }
}

impl Api {
    /// Sends it; on 401 once more with a new token.
    pub async fn send(&self, ask: Ask<'_>) -> PortResult<Answer> {
        let token = self.session.token().await?;
        let first = self.service.send(self.call(&ask, &token)?).await;
        let outcome = match first {
            Err(upstream) if upstream.kind == UpstreamKind::Unauthorized => {
                let token = self.session.renew(Some(&token)).await?;
                self.service.send(self.call(&ask, &token)?).await
            }
            other => other,
        };
        outcome.map_err(|upstream| port_error(self.service.label(), upstream))
    }

    /// Sends it and reads the answer.
    pub async fn json<T: DeserializeOwned>(&self, ask: Ask<'_>) -> PortResult<T> {
        let answer = self.send(ask).await?;
        answer.json().map_err(|upstream| port_error(self.service.label(), upstream))
    }

    /// The base URL of the service.
    pub fn base(&self, token: &Token) -> PortResult<Arc<str>> {
        token.base(self.service_type, |token| {
            let credentials = self.session.credentials();
            let url = token
                .catalog
                .url(self.service_type, &credentials.interface, credentials.region.as_deref())
                .map_err(|e| self.invalid(e.to_string()))?;
            Ok((self.base)(&url, token.project()))
        })
    }

    fn call(&self, ask: &Ask<'_>, token: &Token) -> PortResult<Call> {
        let url = if ask.path.starts_with('/') {
            let base = self.base(token)?;
            let mut url = String::with_capacity(base.len() + ask.path.len());
            url.push_str(&base);
            url.push_str(&ask.path);
            url
        } else {
            ask.path.clone().into_owned()
        };
        let mut call = Call::new(ask.method.clone(), url, ask.kind)
            .secret_header(AUTH_TOKEN, token.header.clone());
        if let Some((name, value)) = &ask.version {
            call = call.header_value(name.clone(), value.clone());
        }
        if let Some(body) = &ask.body {
            call = call.json_bytes(body.clone());
        }
        Ok(call)
    }

    /// All pages of a list. `path` holds the query so far.
    pub async fn list<P: Page>(
        &self,
        path: &str,
        version: Option<(HeaderName, HeaderValue)>,
    ) -> PortResult<Vec<P::Item>> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{separator}limit={PAGE}");
        let mut all: Vec<P::Item> = Vec::new();
        let mut url = Cow::Borrowed(first.as_str());
        loop {
            let page: P = match self.json(Ask::get(url.as_ref()).version(version.clone())).await {
                Ok(page) => page,
                // The item that marked our place was deleted meanwhile.
                Err(PortError::Invalid { service, message }) if !all.is_empty() => {
                    let message = format!("the list changed while it was read: {message}");
                    return Err(PortError::Transient { service, message, retry_after: None });
                }
                Err(error) => return Err(error),
            };
            let (items, more) = page.split();
            let before = all.last().map(|item| P::marker(item).to_owned());
            let full = items.len() >= PAGE;
            all.extend(items);
            let Some(last) = all.last().map(|item| P::marker(item)) else { return Ok(all) };
            // No new item at the end: a service that ignores markers must not hold us for ever.
            if !(more || full) || before.as_deref() == Some(last) {
                return Ok(all);
            }
            url = Cow::Owned(format!("{first}&marker={}", part(last)));
        }
    }

    /// A request that cannot work, by our own judgement.
    pub fn invalid(&self, message: impl Into<String>) -> PortError {
        PortError::Invalid { service: self.service.label().to_owned(), message: message.into() }
    }
}

/// One page of a list.
pub(crate) trait Page: DeserializeOwned + Send {
    type Item: Send;
    /// The items, and whether there is a next page.
    fn split(self) -> (Vec<Self::Item>, bool);
    /// By what the next page is asked for.
    fn marker(item: &Self::Item) -> &str;
}

/// A link of a page.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Link {
    #[serde(default)]
    pub rel: String,
}

/// Declares the page of a list: its key is required (an answer without it is no answer), its links are not.
macro_rules! page {
    ($name:ident, $item:ty, $list:literal, $links:literal, $marker:expr) => {
        #[derive(serde::Deserialize)]
        pub(crate) struct $name {
            #[serde(rename = $list)]
            items: Vec<$item>,
            #[serde(rename = $links, default, deserialize_with = "crate::tolerant::null_default")]
            links: Vec<crate::rest::Link>,
        }

        impl crate::rest::Page for $name {
            type Item = $item;
            fn split(self) -> (Vec<$item>, bool) {
                let more = self.links.iter().any(|link| link.rel == "next");
                (self.items, more)
            }
            fn marker(item: &$item) -> &str {
                let marker: fn(&$item) -> &str = $marker;
                marker(item)
            }
        }
    };
}
pub(crate) use page;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_path_stays_one() {
        assert_eq!(part("a/b?c#d e%"), "a%2Fb%3Fc%23d%20e%25");
        assert_eq!(part(".."), "%2E%2E");
        assert_eq!(part("0b1e-4_x.y~z"), "0b1e-4_x.y~z");
    }
}
