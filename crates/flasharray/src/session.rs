//! A session of the array: made with the API token, dead at any time, made anew on 401.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::{HeaderName, HeaderValue, Method};
use parking_lot::RwLock;
use protector_http::{Call, CallKind, Service, Upstream, UpstreamKind};
use protector_ports::{PortError, PortResult};
use protector_types::Secret;

use crate::{
    error::port_error,
    version::{TESTED, Version, choose},
    wire::Versions,
};

/// Carries the session's token.
pub(crate) const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const API_TOKEN: HeaderName = HeaderName::from_static("api-token");

/// What a log-in gives.
pub(crate) struct Session {
    pub token: HeaderValue,
    pub version: Version,
    /// `https://fa-a/api/2.26`.
    pub base: String,
}

/// The session of one token at one array.
pub(crate) struct Sessions {
    service: Service,
    root: String,
    api_token: Secret,
    current: RwLock<Option<Arc<Session>>>,
    /// Held by the one who logs in; keeps the last failure and its number.
    gate: tokio::sync::Mutex<Option<(u64, PortError)>>,
    finished: AtomicU64,
}

impl Sessions {
    pub fn new(service: Service, root: String, api_token: Secret) -> Self {
        Self {
            service,
            root,
            api_token,
            current: RwLock::default(),
            gate: tokio::sync::Mutex::default(),
            finished: AtomicU64::new(0),
        }
    }

    /// The session, made at the first use.
    pub async fn current(&self) -> PortResult<Arc<Session>> {
        if let Some(session) = self.current.read().clone() {
            return Ok(session);
        }
        self.renew(None).await
    }

    /// A session other than `old`. Of several who ask at the same time one logs in, and all get its session or
    /// its failure.
    pub async fn renew(&self, old: Option<&Arc<Session>>) -> PortResult<Arc<Session>> {
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
                // A controller that has just taken over may be behind: a single no ends nobody's
                // operation.
                tracing::warn!(array = self.service.label(), %error, "log-in refused; asked once more");
                self.log_in().await
            }
            other => other,
        };
        let number = self.finished.fetch_add(1, Ordering::AcqRel) + 1;
        match outcome {
            Ok(session) => {
                let session = Arc::new(session);
                *self.current.write() = Some(session.clone());
                *gate = None;
                Ok(session)
            }
            Err(error) => {
                *gate = Some((number, error.clone()));
                Err(error)
            }
        }
    }

    async fn log_in(&self) -> PortResult<Session> {
        // Asked again at each log-in: the array may have been upgraded meanwhile.
        let version = self.negotiate().await?;
        let base = format!("{}/api/{version}", self.root);
        let mut api_token = HeaderValue::from_str(self.api_token.expose())
            .map_err(|_| self.denied("the API token holds characters that no token has"))?;
        api_token.set_sensitive(true);
        let call = Call::new(Method::POST, format!("{base}/login"), CallKind::Ensure)
            .secret_header(API_TOKEN, api_token);
        let answer = self.service.send(call).await.map_err(|upstream| match upstream.kind {
            UpstreamKind::Unauthorized
            | UpstreamKind::Invalid
            | UpstreamKind::Absent
            | UpstreamKind::Denied => {
                self.denied(&format!("the API token is not accepted: {}", upstream.message))
            }
            _ => port_error(self.service.label(), upstream),
        })?;
        let mut token = answer.headers.get(&SESSION_TOKEN).cloned().ok_or_else(|| {
            let what = "the answer to the log-in has no x-auth-token";
            port_error(self.service.label(), Upstream::new(UpstreamKind::Unknown, what))
        })?;
        token.set_sensitive(true);
        Ok(Session { token, version, base })
    }

    async fn negotiate(&self) -> PortResult<Version> {
        let fail = |upstream| port_error(self.service.label(), upstream);
        let call = Call::get(format!("{}/api/api_version", self.root));
        let listed: Versions = self.service.send(call).await.map_err(fail)?.json().map_err(fail)?;
        choose(&listed.version).ok_or_else(|| {
            let known: Vec<_> = TESTED.iter().map(Version::to_string).collect();
            fail(Upstream::new(
                UpstreamKind::Invalid,
                format!(
                    "no common REST version: the array has {}, Protector knows {}; Purity 6.1 or newer is needed",
                    listed.version.join(", "),
                    known.join(", ")
                ),
            ))
        })
    }

    fn denied(&self, message: &str) -> PortError {
        PortError::Denied { service: self.service.label().to_owned(), message: message.to_owned() }
    }
}
