//! Plain JSON over HTTP: what a user's curl does. The demo speaks to clouds and to Protector through it, so that it
//! shows the real wire and nothing of our own types.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use protector_http::{SocketTransport, TlsOptions, Transport};
use serde_json::{Value, json};

/// One call's patience, in real time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A caller without a token, or with one.
#[derive(Clone)]
pub struct Rest {
    transport: Arc<SocketTransport>,
    token: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: http::HeaderMap,
    /// Body; `Null` if it is empty or not JSON.
    pub body: Value,
}

impl Reply {
    /// The body, if the call succeeded.
    ///
    /// # Errors
    /// With status and body.
    pub fn ok(self) -> anyhow::Result<Value> {
        if self.status.is_success() {
            Ok(self.body)
        } else {
            bail!("HTTP {}: {}", self.status, self.body)
        }
    }
}

impl Rest {
    /// Without a token. `ca_pem`: whom to trust for https.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn new(ca_pem: Option<&str>) -> anyhow::Result<Self> {
        let tls = TlsOptions { ca_pem: ca_pem.map(str::to_owned), insecure: false };
        let transport = SocketTransport::new(&tls).map_err(|e| anyhow::anyhow!("{e}"))?;
        Ok(Self { transport: Arc::new(transport), token: None })
    }

    /// The same connections with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { transport: self.transport.clone(), token: Some(token.to_owned()) }
    }

    /// The token in use.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// One call with these headers, whatever its answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call_with(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<Reply> {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes())?)
            .uri(url)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("X-Auth-Token", token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.unwrap_or_default()))?;
        let answer = self
            .transport
            .send(request, PATIENCE)
            .await
            .map_err(|e| anyhow::anyhow!("{e}"))
            .with_context(|| format!("{method} {url}"))?;
        let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        Ok(Reply { status: answer.status(), headers: answer.headers().clone(), body })
    }

    /// One call; the newest versions of all services.
    ///
    /// # Errors
    /// When there is no answer or it is not a success.
    pub async fn call(
        &self,
        method: &str,
        url: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let headers = [(
            "OpenStack-API-Version",
            if url.contains("/compute/") { "compute 2.96" } else { "protector 1.3" },
        )];
        let body = body.map(serde_json::to_vec).transpose()?;
        self.call_with(method, url, &headers, body)
            .await?
            .ok()
            .with_context(|| format!("{method} {url}"))
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Rest::call`].
    pub async fn get(&self, url: &str) -> anyhow::Result<Value> {
        self.call("GET", url, None).await
    }

    /// POST.
    ///
    /// # Errors
    /// As [`Rest::call`].
    pub async fn post(&self, url: &str, body: &Value) -> anyhow::Result<Value> {
        self.call("POST", url, Some(body)).await
    }

    /// Logs in with a password: a project-scoped token and the project's id.
    ///
    /// # Errors
    /// When Keystone refuses.
    pub async fn login(
        &self,
        auth_url: &str,
        user: &str,
        password: &str,
        project: &str,
    ) -> anyhow::Result<(Self, String)> {
        let domain = json!({"name": "Default"});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"name": user, "domain": domain, "password": password}}},
            "scope": {"project": {"name": project, "domain": domain}},
        }});
        let url = format!("{auth_url}/auth/tokens");
        let reply = self.call_with("POST", &url, &[], Some(serde_json::to_vec(&body)?)).await?;
        let token =
            reply.headers.get("X-Subject-Token").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let body = reply.ok().with_context(|| format!("login of {user} at {auth_url}"))?;
        let token = token.context("Keystone gave no X-Subject-Token")?;
        let project = text(&body, "/token/project/id")?;
        Ok((self.with_token(&token), project))
    }
}

/// The text at a JSON pointer.
///
/// # Errors
/// When there is none.
pub fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("no text at {pointer} in {value}"))
}
