//! Plain counters of what went out, per service and site.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;
use parking_lot::Mutex;

/// The counters of all services; share one among all clients of a process.
#[derive(Debug, Default)]
pub struct Metrics {
    services: Mutex<BTreeMap<(String, String), Arc<Counters>>>,
}

impl Metrics {
    /// The counters of a service at a site, made at the first call.
    pub fn counters(&self, service: &str, site: &str) -> Arc<Counters> {
        self.services.lock().entry((service.to_owned(), site.to_owned())).or_default().clone()
    }

    /// All counters as they stand, in order of service and site.
    pub fn snapshot(&self) -> Vec<CounterSnapshot> {
        self.services
            .lock()
            .iter()
            .map(|((service, site), counters)| counters.snapshot(service, site))
            .collect()
    }
}

/// Counters of one service at one site. Each attempt counts.
#[derive(Debug, Default)]
pub struct Counters {
    success: AtomicU64,
    redirect: AtomicU64,
    client_error: AtomicU64,
    throttled: AtomicU64,
    server_error: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    retries: AtomicU64,
    in_flight: AtomicU64,
    micros: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CounterSnapshot {
    /// "nova".
    pub service: String,
    /// "site-a".
    pub site: String,
    /// 1xx and 2xx.
    pub success: u64,
    /// 3xx.
    pub redirect: u64,
    /// 4xx but 429.
    pub client_error: u64,
    /// 429 and 503.
    pub throttled: u64,
    /// 5xx but 503.
    pub server_error: u64,
    /// No connection, TLS failure, bad address.
    pub refused: u64,
    /// Answer lost, late or too large.
    pub lost: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Under way now.
    pub in_flight: u64,
    /// Microseconds spent waiting for answers, all attempts together.
    pub micros: u64,
}

impl Counters {
    pub(crate) fn started(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn status(&self, status: StatusCode, took: Duration) {
        let counter = match status.as_u16() {
            429 | 503 => &self.throttled,
            ..300 => &self.success,
            300..400 => &self.redirect,
            400..500 => &self.client_error,
            500.. => &self.server_error,
        };
        counter.fetch_add(1, Relaxed);
        self.spent(took);
    }

    pub(crate) fn failed(&self, connected: bool, took: Duration) {
        let counter = if connected { &self.lost } else { &self.refused };
        counter.fetch_add(1, Relaxed);
        self.spent(took);
    }

    fn spent(&self, took: Duration) {
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    fn snapshot(&self, service: &str, site: &str) -> CounterSnapshot {
        CounterSnapshot {
            service: service.to_owned(),
            site: site.to_owned(),
            success: self.success.load(Relaxed),
            redirect: self.redirect.load(Relaxed),
            client_error: self.client_error.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            server_error: self.server_error.load(Relaxed),
            refused: self.refused.load(Relaxed),
            lost: self.lost.load(Relaxed),
            retries: self.retries.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            micros: self.micros.load(Relaxed),
        }
    }
}
