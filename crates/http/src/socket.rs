//! Real connections.

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};

use crate::transport::{Transport, TransportError, max_body};

/// Time for a connection to come up; after it the request was certainly not sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the keep-alive of the usual servers and load balancers (60 s and more).
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
const IDLE_PER_HOST: usize = 64;

/// Makes ring the process's TLS provider. Call it once at start-up; a repeat does no harm.
pub fn install_crypto_provider() {
    // Err means that one is installed already, by an earlier call.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// PEM certificates to trust in place of the system's, authorities or the servers' own self-signed ones; `None`:
    /// the system's.
    pub ca_pem: Option<String>,
    /// Do not check certificates. For laboratories.
    pub insecure: bool,
}

/// HTTP/1.1 over TCP and TLS, one pool of kept connections per host. Make one per [`TlsOptions`] and share it.
pub struct SocketTransport {
    client: reqwest::Client,
}

impl SocketTransport {
    /// A transport with these TLS options.
    ///
    /// # Errors
    /// [`TransportError::Tls`] when `ca_pem` holds no readable certificate.
    pub fn new(tls: &TlsOptions) -> Result<Self, TransportError> {
        install_crypto_provider();
        let bad = |e: reqwest::Error| TransportError::Tls(format!("TLS options: {}", chain(&e)));
        let builder = base().tls_danger_accept_invalid_certs(tls.insecure);
        if let Some(pem) = &tls.ca_pem {
            let config = crate::pinned::client_config(pem)
                .map_err(|reason| TransportError::Tls(format!("TLS options: {reason}")))?;
            let builder =
                if tls.insecure { builder } else { builder.tls_backend_preconfigured(config) };
            return Ok(Self { client: builder.build().map_err(bad)? });
        }
        match builder.build() {
            Ok(client) => Ok(Self { client }),
            Err(error) => {
                // A machine without a trust store can still speak plain HTTP; each TLS handshake will fail.
                tracing::warn!(error = %chain(&error), "no system trust store: https will be refused");
                let client = base().tls_certs_only([]).build().map_err(bad)?;
                Ok(Self { client })
            }
        }
    }
}

fn base() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .redirect(reqwest::redirect::Policy::none())
        // Retries are decided above, where it is known whether a repeat is safe.
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
}

#[async_trait]
impl Transport for SocketTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let limit = max_body(&request);
        let mut request: reqwest::Request =
            request.try_into().map_err(|e: reqwest::Error| TransportError::BadUrl(chain(&e)))?;
        *request.timeout_mut() = Some(deadline);
        let mut response = self.client.execute(request).await.map_err(|e| translate(&e))?;

        let mut answer = Response::new(());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        let body = read(&mut response, limit).await?;
        Ok(answer.map(|()| body))
    }
}

async fn read(response: &mut reqwest::Response, limit: usize) -> Result<Bytes, TransportError> {
    let first = response.chunk().await.map_err(|e| translate(&e))?.unwrap_or_default();
    if first.len() > limit {
        return Err(TransportError::TooLarge { limit });
    }
    let Some(second) = response.chunk().await.map_err(|e| translate(&e))? else {
        return Ok(first);
    };
    let mut body = BytesMut::with_capacity((first.len() + second.len()) * 2);
    body.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        if body.len() + chunk.len() > limit {
            return Err(TransportError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
        next = response.chunk().await.map_err(|e| translate(&e))?;
    }
    Ok(body.freeze())
}

fn translate(error: &reqwest::Error) -> TransportError {
    let text = chain(error);
    if error.is_builder() {
        TransportError::BadUrl(text)
    } else if is_tls(error) {
        TransportError::Tls(text)
    } else if error.is_connect() {
        TransportError::Refused(text)
    } else {
        TransportError::Lost(text)
    }
}

/// A handshake that failed by our or the peer's decision. Alerts after the handshake are not meant: those come
/// with a request already sent.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut source = error.source().filter(|_| error.is_connect());
    while let Some(cause) = source {
        if cause.is::<rustls::Error>() {
            return true;
        }
        // An io::Error skips what it wraps in `source`, and may wrap another one.
        source = match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => cause.source(),
        };
    }
    false
}

/// The error with its causes, without the URL.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        if !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        source = cause.source();
    }
    if text.is_empty() {
        // Without a cause: only the kind, since the display form may hold the URL.
        text = if error.is_timeout() { "timed out".into() } else { "request failed".into() };
    }
    text
}
