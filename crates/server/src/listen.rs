//! Serves the API on a socket until told to stop.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A bound listener, so that the port is known before anything is served.
pub struct Listening {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Listening {
    /// Binds.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub async fn bind(address: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("[api] bind: cannot listen on {address}; is another process on that port?")
        })?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Serves until `shutdown`; requests under way are finished.
    ///
    /// # Errors
    /// The listener's.
    pub async fn serve(self, router: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
        tracing::info!(address = %self.address, "protector-api listens");
        axum::serve(self.listener, router)
            .with_graceful_shutdown(async move { shutdown.cancelled().await })
            .await
            .context("protector-api stopped")
    }
}
