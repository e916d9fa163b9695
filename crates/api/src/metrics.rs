//! `GET /metrics`: what this API did, and how many operations there are.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use async_trait::async_trait;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use protector_types::{OperationStatus, OperationType, Refusal};

/// Counts the operations of all projects; `server` gives one to [`crate::AppStateBuilder`].
#[async_trait]
pub trait OperationCounts: Send + Sync {
    /// Number of operations by type and status.
    ///
    /// # Errors
    /// When the database does not answer.
    async fn count_operations(
        &self,
    ) -> Result<BTreeMap<(OperationType, OperationStatus), u64>, Refusal>;
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation_type: String,
    status: String,
}

/// The counters of one API.
pub struct HttpMetrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    in_flight: Gauge,
}

fn buckets() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("protector");
        let requests = Family::<RequestLabels, Counter>::default();
        let durations = Family::<RouteLabels, Histogram>::new_with_constructor(buckets);
        let in_flight = Gauge::default();
        registry.register("http_requests", "Answered requests", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time from request to answer (not counting streamed events)",
            durations.clone(),
        );
        registry.register("http_requests_in_flight", "Requests being answered", in_flight.clone());
        Self { registry, requests, durations, in_flight }
    }
}

/// Counts a request as being answered until it is dropped.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl HttpMetrics {
    pub(crate) fn start(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Notes an answer. `route` is the pattern, never the path: ids must not become labels.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        let labels = RequestLabels { method: method.clone(), route: route.clone(), status };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&RouteLabels { method, route }).observe(took.as_secs_f64());
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// Never in practice: writing into a text.
    pub async fn render(
        &self,
        counts: Option<&Arc<dyn OperationCounts>>,
    ) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        if let Some(counts) = counts {
            encode(&mut text, &operations(counts.as_ref()).await)?;
            // Only the last part may say that the text ends.
            text.truncate(text.trim_end().trim_end_matches("# EOF").len());
        }
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

async fn operations(counts: &dyn OperationCounts) -> Registry {
    let mut registry = Registry::with_prefix("protector");
    let up = Gauge::<i64>::default();
    registry.register("database_up", "1 if the database answered this scrape", up.clone());
    match counts.count_operations().await {
        Ok(counts) => {
            up.set(1);
            let family = Family::<OperationLabels, Gauge<u64, AtomicU64>>::default();
            for ((kind, status), count) in counts {
                let labels = OperationLabels {
                    operation_type: kind.to_string(),
                    status: status.to_string(),
                };
                family.get_or_create(&labels).set(count);
            }
            registry.register("operations", "Operations by type and status", family);
        }
        Err(refusal) => tracing::warn!(%refusal, "operations could not be counted for /metrics"),
    }
    registry
}
