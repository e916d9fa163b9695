//! One site's services, shared by all projects.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use protector_http::{Client, LimiterConfig, Service, ServiceOptions};

use crate::{
    cloud::OpenStackCloud,
    config::{Credentials, Scope},
    error::classify,
    identity::KeystoneIdentity,
    session::Session,
    version::Negotiation,
};

/// Calls at a time in the beginning: a failover of many servers begins with one call each, and a service that cannot
/// keep up says so.
const CALLS_AT_FIRST: usize = 32;

/// The entrance to a site: its sessions, its services' concurrency limits and versions.
pub struct Site {
    client: Client,
    name: String,
    credentials: Arc<Credentials>,
    sessions: Mutex<HashMap<Scope, Arc<Session>>>,
    pub(crate) compute_version: Arc<Negotiation>,
    pub(crate) volume_version: Arc<Negotiation>,
}

impl Site {
    /// A site; nobody is called. `name` is for messages and counters.
    pub fn new(client: Client, name: &str, credentials: Credentials) -> Self {
        Self {
            client,
            name: name.to_owned(),
            credentials: Arc::new(credentials),
            sessions: Mutex::default(),
            compute_version: Arc::new(Negotiation::compute()),
            volume_version: Arc::new(Negotiation::volume()),
        }
    }

    /// The services in a scope. The session is shared among all who ask for the same scope.
    pub fn cloud(&self, scope: Scope) -> Arc<OpenStackCloud> {
        Arc::new(OpenStackCloud::new(self, self.session(scope)))
    }

    /// Keystone, as our service user in its own project.
    pub fn identity(&self) -> Arc<KeystoneIdentity> {
        Arc::new(KeystoneIdentity::new(self.service("keystone"), self.session(Scope::Own)))
    }

    /// The session of a scope.
    pub fn session(&self, scope: Scope) -> Arc<Session> {
        self.sessions
            .lock()
            .entry(scope)
            .or_insert_with_key(|scope| {
                Arc::new(Session::new(
                    self.service("keystone"),
                    self.credentials.clone(),
                    scope.clone(),
                ))
            })
            .clone()
    }

    /// Drops the session of a scope: for trusts that have died.
    pub fn forget(&self, scope: &Scope) {
        self.sessions.lock().remove(scope);
    }

    pub(crate) fn service(&self, name: &str) -> Service {
        self.client.service_with(name, &self.name, || ServiceOptions {
            classify,
            limiter: LimiterConfig { start: CALLS_AT_FIRST, ..LimiterConfig::default() },
            ..ServiceOptions::default()
        })
    }
}
