//! A service's answer.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::upstream::{Upstream, UpstreamKind};

/// A successful (2xx) answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 2xx.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// Reads the body as JSON, straight from its bytes.
    ///
    /// # Errors
    /// `Unknown` when it cannot be read: the effect, if the call had one, has landed.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Upstream> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let what = format!("the answer ({} bytes) cannot be read: {e}", self.body.len());
            Upstream { status: Some(self.status), ..Upstream::new(UpstreamKind::Unknown, what) }
        })
    }
}
