//! Serves a router on a port: graceful stop, hard kill, start again on the same port.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::Request, response::Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::faults::{Dropped, Gate, Refused};

/// Stands for a response that is not sent; hyper closes the connection on it.
#[derive(Debug, thiserror::Error)]
#[error("the simulated connection was dropped")]
struct Drop;

/// How long a graceful stop waits for calls under way.
const GRACE: Duration = Duration::from_secs(5);

/// One router on one port. It can be stopped and started again; the port stays the same.
pub struct Server {
    addr: SocketAddr,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    gate: Option<Gate>,
    running: Mutex<Option<Running>>,
}

struct Running {
    graceful: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Binds (port 0: any free one) and serves at once. `gate`: whose calls under way a kill ends.
    pub async fn start(
        router: Router,
        addr: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        gate: Option<Gate>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let server =
            Self { addr: listener.local_addr()?, router, tls, gate, running: Mutex::new(None) };
        *server.running.lock().await = Some(server.spawn(listener));
        Ok(server)
    }

    /// Where it listens, also while it is down.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://...` or `https://...`.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let host = if self.addr.ip().is_unspecified() {
            "127.0.0.1".to_owned()
        } else {
            self.addr.ip().to_string()
        };
        let host = if self.addr.is_ipv6() { format!("[{host}]") } else { host };
        format!("{scheme}://{host}:{}", self.addr.port())
    }

    /// Starts again after a stop or a kill; nothing if it runs.
    pub async fn restart(&self) -> io::Result<()> {
        let mut running = self.running.lock().await;
        if running.is_none() {
            let listener = bind_again(self.addr).await?;
            *running = Some(self.spawn(listener));
        }
        Ok(())
    }

    /// Takes no new connections, waits for calls under way (at most five seconds), closes.
    pub async fn stop(&self) {
        if let Some(mut running) = self.running.lock().await.take() {
            running.graceful.cancel();
            if tokio::time::timeout(GRACE, &mut running.task).await.is_err() {
                running.task.abort();
            }
        }
    }

    /// Closes everything at once; calls under way have no effect any more.
    pub async fn kill(&self) {
        if let Some(running) = self.running.lock().await.take() {
            if let Some(gate) = &self.gate {
                gate.cut_power();
            }
            running.task.abort();
            // Wait until the listener is gone, so that a caller finds the port closed.
            let _aborted = running.task.await;
        }
    }

    fn spawn(&self, listener: TcpListener) -> Running {
        let graceful = CancellationToken::new();
        let acceptor = self.tls.clone().map(TlsAcceptor::from);
        let task = tokio::spawn(accept(listener, self.router.clone(), acceptor, graceful.clone()));
        Running { graceful, task }
    }
}

/// The kernel may need a moment to free the port.
async fn bind_again(addr: SocketAddr) -> io::Result<TcpListener> {
    let mut last = None;
    for _ in 0..50 {
        match TcpListener::bind(addr).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrInUse)))
}

async fn accept(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    graceful: CancellationToken,
) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = graceful.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve_one(stream, router.clone(), tls.clone(), graceful.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_one(
    stream: TcpStream,
    router: Router,
    tls: Option<TlsAcceptor>,
    graceful: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    match tls {
        None => http(stream, router, graceful).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => http(stream, router, graceful).await,
            Err(error) => tracing::debug!(%error, "TLS handshake failed"),
        },
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    graceful: CancellationToken,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let response: Response = match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let marks = response.extensions();
            let closed = marks.get::<Dropped>().is_some() || marks.get::<Refused>().is_some();
            if closed { Err(Drop) } else { Ok(response) }
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = graceful.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::trace!(%error, "connection ended");
    }
}
