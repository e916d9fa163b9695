//! The one way out. Whoever calls a service of the world goes through [`Client`]: deadline, retry of what may
//! be repeated, adaptive concurrency per service and site, request ids, redaction, counters. Below it is a
//! [`Transport`]: sockets, or routers in the same process. Only this crate names an HTTP client library.

pub mod answer;
pub mod call;
pub mod client;
pub mod context;
pub mod limiter;
pub mod metrics;
mod pinned;
pub mod redact;
pub mod router;
pub mod socket;
pub mod transport;
pub mod upstream;

pub use answer::Answer;
pub use call::{Call, CallKind};
pub use client::{Client, ClientOptions, Service, ServiceOptions};
pub use context::{CallContext, NotAfter, current_context, in_context};
pub use limiter::{Limiter, LimiterConfig, Load};
pub use metrics::{CounterSnapshot, Counters, Metrics};
pub use router::RouterTransport;
pub use socket::{SocketTransport, TlsOptions, install_crypto_provider};
pub use transport::{Dropped, MaxBody, Refused, Transport, TransportError};
pub use upstream::{
    Classify, Upstream, UpstreamKind, classify_status, classify_transport, message_of,
};
