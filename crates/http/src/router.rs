//! Services in the same process, behind the same interface as those on the network.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use parking_lot::RwLock;
use protector_types::Clock;
use tower::ServiceExt;

use crate::transport::{Dropped, Refused, Transport, TransportError, max_body};

/// Authority (`nova.site-a`, `127.0.0.1:8774` ...) -> router. An authority that is not there is refused, as a
/// host that is down.
pub struct RouterTransport {
    routers: RwLock<HashMap<String, Router>>,
    clock: Arc<dyn Clock>,
}

impl RouterTransport {
    /// Without any router. Deadlines are counted by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { routers: RwLock::default(), clock }
    }

    /// Adds or replaces what answers at `authority` (`host` or `host:port`, as in the URLs).
    pub fn route(&self, authority: impl Into<String>, router: Router) {
        self.routers.write().insert(authority.into(), router);
    }

    /// From now on `authority` refuses connections.
    pub fn unroute(&self, authority: &str) {
        self.routers.write().remove(authority);
    }
}

#[async_trait]
impl Transport for RouterTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let authority = request
            .uri()
            .authority()
            .ok_or_else(|| TransportError::BadUrl(format!("{} has no host", request.uri())))?;
        let router = self.routers.read().get(authority.as_str()).cloned();
        let Some(router) = router else {
            return Err(TransportError::Refused(format!("nobody listens at {authority}")));
        };
        // A task of its own: a server goes on with a request whose client has given up or died.
        let served = tokio::spawn(serve(router, request));
        tokio::select! {
            biased;
            served = served => served.map_err(|e| TransportError::Lost(format!("the service broke down: {e}")))?,
            () = self.clock.sleep(deadline) => {
                Err(TransportError::Lost(format!("timed out after {} ms", deadline.as_millis())))
            }
        }
    }
}

async fn serve(router: Router, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
    let limit = max_body(&request);
    let response = match router.oneshot(request.map(Body::from)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if response.extensions().get::<Refused>().is_some() {
        return Err(TransportError::Refused("connection refused".into()));
    }
    if response.extensions().get::<Dropped>().is_some() {
        return Err(TransportError::Lost("connection closed before the answer".into()));
    }
    let (parts, body) = response.into_parts();
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(Response::from_parts(parts, body.to_bytes())),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => {
            Err(TransportError::TooLarge { limit })
        }
        Err(e) => Err(TransportError::Lost(format!("the answer broke off: {e}"))),
    }
}
