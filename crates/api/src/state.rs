//! What all handlers share.

use std::sync::Arc;

use protector_policy::PolicyFile;
use protector_types::Clock;

use crate::{
    auth::TokenCache,
    core_api::CoreApi,
    metrics::{HttpMetrics, OperationCounts},
};

/// Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<dyn CoreApi>,
    policy: Arc<PolicyFile>,
    clock: Arc<dyn Clock>,
    tokens: TokenCache,
    metrics: HttpMetrics,
    counts: Option<Arc<dyn OperationCounts>>,
    www_authenticate: String,
    public_endpoint: Option<String>,
}

/// Makes an [`AppState`].
pub struct AppStateBuilder {
    core: Arc<dyn CoreApi>,
    policy: Arc<PolicyFile>,
    clock: Arc<dyn Clock>,
    counts: Option<Arc<dyn OperationCounts>>,
    www_authenticate: String,
    public_endpoint: Option<String>,
}

impl AppStateBuilder {
    /// Keystone's public URL, for `WWW-Authenticate` of a 401.
    #[must_use]
    pub fn keystone_uri(mut self, uri: &str) -> Self {
        self.www_authenticate = format!("Keystone uri=\"{}\"", uri.replace(['"', '\r', '\n'], ""));
        self
    }

    /// Our own public URL (`https://host:8788`), for links. Without it: as the request's `Host` and
    /// `X-Forwarded-Proto` have it.
    #[must_use]
    pub fn public_endpoint(mut self, url: &str) -> Self {
        self.public_endpoint = Some(url.trim_end_matches('/').to_owned());
        self
    }

    /// Where `/metrics` gets the number of operations by type and status from.
    #[must_use]
    pub fn operation_counts(mut self, counts: Arc<dyn OperationCounts>) -> Self {
        self.counts = Some(counts);
        self
    }

    /// The state.
    pub fn build(self) -> AppState {
        AppState {
            inner: Arc::new(Inner {
                core: self.core,
                policy: self.policy,
                clock: self.clock,
                tokens: TokenCache::default(),
                metrics: HttpMetrics::default(),
                counts: self.counts,
                www_authenticate: self.www_authenticate,
                public_endpoint: self.public_endpoint,
            }),
        }
    }
}

impl AppState {
    /// Needs a core, the rules and a clock; the rest has defaults.
    pub fn builder(
        core: Arc<dyn CoreApi>,
        policy: Arc<PolicyFile>,
        clock: Arc<dyn Clock>,
    ) -> AppStateBuilder {
        AppStateBuilder {
            core,
            policy,
            clock,
            counts: None,
            www_authenticate: "Keystone".into(),
            public_endpoint: None,
        }
    }

    /// The core.
    pub fn core(&self) -> &Arc<dyn CoreApi> {
        &self.inner.core
    }

    /// The rules.
    pub fn policy(&self) -> &PolicyFile {
        &self.inner.policy
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The tokens that are known.
    pub fn tokens(&self) -> &TokenCache {
        &self.inner.tokens
    }

    /// The counters of this API.
    pub fn metrics(&self) -> &HttpMetrics {
        &self.inner.metrics
    }

    /// Where the counts of operations come from.
    pub fn counts(&self) -> Option<&Arc<dyn OperationCounts>> {
        self.inner.counts.as_ref()
    }

    /// The `WWW-Authenticate` header of a 401.
    pub fn www_authenticate(&self) -> &str {
        &self.inner.www_authenticate
    }

    /// Our own public URL, if it is configured.
    pub fn public_endpoint(&self) -> Option<&str> {
        self.inner.public_endpoint.as_deref()
    }
}
