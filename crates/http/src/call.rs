//! One call to a service: what is sent, and whether it may be repeated.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE},
};

/// Whether a repeat is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// Has no effect: repeated on every passing failure.
    Read,
    /// A repeat is harmless: repeated as a read.
    Ensure,
    /// A repeat makes or breaks a second thing: repeated only when the first certainly had no effect.
    Effect,
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) kind: CallKind,
    pub(crate) budget: Option<Duration>,
    pub(crate) max_body: Option<usize>,
}

impl Call {
    /// A call of this kind to an absolute URL.
    pub fn new(method: Method, url: impl Into<String>, kind: CallKind) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Self {
            method,
            url: url.into(),
            headers,
            body: Bytes::new(),
            kind,
            budget: None,
            max_body: None,
        }
    }

    /// A read.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url, CallKind::Read)
    }

    /// Adds a header. A value that HTTP cannot carry is left out, and the service will say what it misses.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds a header.
    pub fn header_value(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Adds a header that must not be shown.
    pub fn secret_header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self
    }

    /// Sends this as JSON. Our bodies are plain structs and JSON values, which always serialise; should one
    /// not, the call goes out without a body and the service refuses it.
    pub fn json<T: serde::Serialize + ?Sized>(self, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.json_bytes(bytes.into()),
            Err(_) => self,
        }
    }

    /// Sends these bytes, which are JSON.
    pub fn json_bytes(mut self, body: Bytes) -> Self {
        self.body = body;
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// Bounds everything: waiting for a free place, all attempts and the pauses between them.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The largest answer that is read, in bytes.
    pub fn max_body(mut self, limit: usize) -> Self {
        self.max_body = Some(limit);
        self
    }

    /// The path without the query: for log lines.
    pub(crate) fn path(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        path.split('?').next().unwrap_or(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logged_path_has_neither_host_nor_query() {
        assert_eq!(Call::get("https://h:1/a/b?secret=1").path(), "/a/b");
        assert_eq!(Call::get("https://h").path(), "/");
    }
}
