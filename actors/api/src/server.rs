//! Connections: accepted, bounded in time and size, served.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use seawall_runtime::{Address, Lease, TellError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::OwnedSemaphorePermit;

use crate::actor::{Listeners, Message, Services};
use crate::events::{self, Door};
use crate::routes::{self, MetricsProblem, PeerUid};
use crate::scrape;

/// How long a caller may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may last, its answer included: a reload is given 25 s.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(40);

/// The largest head.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Wait after a failure to accept: out of descriptors, say.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// A new connection.
pub enum Accepted {
    /// From the command.
    Command(UnixStream),
    /// From Prometheus.
    Metrics(TcpStream),
}

/// Serves connections.
pub(crate) struct Server {
    command: Router,
    metrics: Router,
}

/// Starts the accept loops; they end with the incarnation.
pub(crate) fn accept(
    command: std::os::unix::net::UnixListener,
    metrics: Option<std::net::TcpListener>,
    lease: &Arc<Lease<Listeners>>,
    address: &Address<Message>,
) -> io::Result<()> {
    command.set_nonblocking(true)?;
    let command = UnixListener::from_std(command)?;
    let (own, to) = (Arc::clone(lease), address.clone());
    tokio::spawn(async move {
        while own.with(|_| ()).is_ok() {
            let accepted = command.accept().await.map(|(stream, _)| Accepted::Command(stream));
            hand_over(accepted, Door::Command, &to).await;
        }
    });
    if let Some(metrics) = metrics {
        metrics.set_nonblocking(true)?;
        let metrics = TcpListener::from_std(metrics)?;
        let (own, to) = (Arc::clone(lease), address.clone());
        tokio::spawn(async move {
            while own.with(|_| ()).is_ok() {
                let accepted = metrics.accept().await.map(|(stream, _)| Accepted::Metrics(stream));
                hand_over(accepted, Door::Metrics, &to).await;
            }
        });
    }
    Ok(())
}

async fn hand_over(accepted: io::Result<Accepted>, door: Door, to: &Address<Message>) {
    match accepted {
        Ok(accepted) => match to.tell(Message::Accepted(accepted)) {
            Ok(()) => {}
            // Dropped, and so closed.
            Err(TellError::Overloaded(_) | TellError::Unavailable(_)) => events::refused(door),
        },
        Err(error) => {
            events::accept_failed(door, &error);
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
}

impl Server {
    pub(crate) fn new(services: Services, metrics_problem: Option<String>) -> Self {
        let metrics = scrape::router(services.clone());
        let command = routes::router(services).layer(Extension(MetricsProblem(metrics_problem)));
        Self { command, metrics }
    }

    /// Serves one connection in a task of its own.
    pub(crate) fn serve(&self, accepted: Accepted, permit: OwnedSemaphorePermit) {
        match accepted {
            Accepted::Command(stream) => {
                let Ok(peer) = stream.peer_cred() else { return };
                let router = self.command.clone().layer(Extension(PeerUid(peer.uid())));
                tokio::spawn(converse(stream, router, permit));
            }
            Accepted::Metrics(stream) => {
                tokio::spawn(converse(stream, self.metrics.clone(), permit));
            }
        }
    }
}

async fn converse<S>(stream: S, router: Router, _permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(CONNECTION_TIMEOUT, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "A connection to the API broke"),
        Err(_) => tracing::debug!("A connection to the API took too long"),
    }
}
