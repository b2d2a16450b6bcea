//! The socket of the admin port; slow and hostile callers use up nothing but their own connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::routes::Admin;
use super::token::Token;
use crate::config::AdminConfig;
use crate::net::resolve::resolve;
use crate::runtime::{DrainSignal, Runtime};

/// Connections at a time; the next one is closed.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request's head at most.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request at most.
const HEADERS_MAX: usize = 64;
/// How long a request's head may take, and how long a connection may be idle.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may last, whatever happens on it.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(60);
/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the name to listen on may take to resolve.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(5);

/// The admin port, bound but not served yet.
#[derive(Debug)]
pub struct Port {
    socket: TcpListener,
    address: SocketAddr,
    token: Option<Arc<Token>>,
}

/// Binds the admin port and reads its token.
pub async fn bind(config: Option<&AdminConfig>) -> anyhow::Result<Option<Port>> {
    let Some(config) = config else { return Ok(None) };
    let token = config.token_file.as_deref().map(Token::read).transpose()?.map(Arc::new);
    let context = || format!("the admin port cannot listen on {}", config.listen);
    let addresses = resolve(&config.listen, RESOLVE_PATIENCE).await.with_context(context)?;
    let socket = TcpListener::bind(addresses.as_slice()).await.with_context(context)?;
    let address = socket.local_addr().with_context(context)?;
    // A name such as localhost is judged by where it led.
    anyhow::ensure!(
        token.is_some() || address.ip().is_loopback(),
        "{} is not a loopback address: a token is needed",
        config.listen
    );
    Ok(Some(Port { socket, address, token }))
}

impl Port {
    /// Returns the bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is dropped; a drain shows in readiness but does not end it.
    pub async fn serve(self, runtime: Arc<Runtime>, drain: DrainSignal) {
        info!(address = %self.address, "admin port up");
        let router = Admin::new(runtime, self.token, drain).router();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                        connections.spawn(answer(stream, router.clone()));
                    }
                    Ok((stream, from)) => {
                        drop(stream);
                        debug!(%from, limit = CONNECTIONS_MAX, "admin connection refused");
                    }
                    Err(error) => {
                        debug!(%error, "admin connection cannot be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(CONNECTION_PATIENCE, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "admin connection broke"),
        Err(_) => debug!("admin connection out of time"),
    }
}
