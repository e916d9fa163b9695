//! Calls to one array: session, 401, pages.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, Method};
use protector_http::{
    Answer, Call, CallKind, Client, LimiterConfig, Service, ServiceOptions, UpstreamKind,
};
use protector_ports::{PortError, PortResult};
use protector_types::Secret;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    encode::{Query, base_url, quoted},
    error::{classify, port_error},
    session::{SESSION_TOKEN, Session, Sessions},
    wire::Items,
};

/// More calls at a time than this only queue inside the array.
const MAX_AT_A_TIME: usize = 32;

/// The array's REST API. Clones share the session.
#[derive(Clone)]
pub struct Rest {
    service: Service,
    sessions: Arc<Sessions>,
}

impl Rest {
    pub(crate) fn new(client: &Client, site: &str, url: &str, token: Secret) -> Self {
        let root = base_url(url);
        let host = root.split_once("://").map_or(root.as_str(), |(_, rest)| rest);
        let service = client.service_with(&format!("array {host}"), site, || ServiceOptions {
            limiter: LimiterConfig { start: 16, max: MAX_AT_A_TIME, ..LimiterConfig::default() },
            request_id_header: HeaderName::from_static("x-request-id"),
            classify,
            ..ServiceOptions::default()
        });
        Self { sessions: Arc::new(Sessions::new(service.clone(), root, token)), service }
    }

    pub(crate) async fn session(&self) -> PortResult<Arc<Session>> {
        self.sessions.current().await
    }

    /// "array fa-a at site-a": for messages.
    pub(crate) fn label(&self) -> &str {
        self.service.label()
    }

    /// Sends it; on 401 once more in a new session.
    pub(crate) async fn send(
        &self,
        method: Method,
        kind: CallKind,
        path: &str,
        query: &Query,
        body: Option<Bytes>,
    ) -> PortResult<Answer> {
        let mut session = self.session().await?;
        let mut renewed = false;
        loop {
            let url = format!("{}{path}{}", session.base, query.as_str());
            let mut call = Call::new(method.clone(), url, kind)
                .secret_header(SESSION_TOKEN, session.token.clone());
            if let Some(body) = &body {
                call = call.json_bytes(body.clone());
            }
            match self.service.send(call).await {
                Err(upstream) if upstream.kind == UpstreamKind::Unauthorized && !renewed => {
                    session = self.sessions.renew(Some(&session)).await?;
                    renewed = true;
                }
                other => return other.map_err(|upstream| port_error(self.label(), upstream)),
            }
        }
    }

    /// A change with a JSON body.
    pub(crate) async fn change<T: Serialize + ?Sized>(
        &self,
        method: Method,
        kind: CallKind,
        path: &str,
        query: &Query,
        body: &T,
    ) -> PortResult<Answer> {
        let body = serde_json::to_vec(body).map_err(|e| self.invalid(e.to_string()))?;
        self.send(method, kind, path, query, Some(body.into())).await
    }

    /// All pages of a list.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query,
    ) -> PortResult<Vec<T>> {
        let mut all: Vec<T> = Vec::new();
        let mut next = query.clone();
        loop {
            let answer = self.send(Method::GET, CallKind::Read, path, &next, None).await?;
            let page: Items<T> = self.read(&answer)?;
            let empty = page.items.is_empty();
            all.extend(page.items);
            if empty || !page.more_items_remaining.unwrap_or(false) {
                return Ok(all);
            }
            // Sorted lists have no token: those go on by position.
            next = match page.continuation_token.filter(|token| !token.is_empty()) {
                Some(token) => query.clone().with("continuation_token", &token),
                None => query.clone().with("offset", &all.len().to_string()),
            };
        }
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, answer: &Answer) -> PortResult<T> {
        answer.json().map_err(|upstream| port_error(self.label(), upstream))
    }

    /// A text for a filter.
    pub(crate) fn quoted(&self, text: &str) -> PortResult<String> {
        quoted(text).ok_or_else(|| {
            self.invalid(format!("{text:?} cannot be searched for: it mixes quotes"))
        })
    }

    pub(crate) fn absent(&self, message: impl Into<String>) -> PortError {
        PortError::Absent { service: self.label().to_owned(), message: message.into() }
    }

    pub(crate) fn conflict(&self, message: impl Into<String>) -> PortError {
        PortError::Conflict { service: self.label().to_owned(), message: message.into() }
    }

    pub(crate) fn invalid(&self, message: impl Into<String>) -> PortError {
        PortError::Invalid { service: self.label().to_owned(), message: message.into() }
    }

    pub(crate) fn unknown(&self, message: impl Into<String>) -> PortError {
        PortError::Unknown { service: self.label().to_owned(), message: message.into() }
    }
}

/// Absent is success.
pub(crate) fn gone<T>(result: PortResult<T>) -> PortResult<()> {
    match result {
        Ok(_) | Err(PortError::Absent { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
