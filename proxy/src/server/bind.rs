//! Binds all listeners before any accepts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::config::{Config, HostPort};
use crate::net::resolve::resolve;
use crate::runtime::{Listener, Upstream};

/// How long a name to listen on may take to resolve.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(5);

/// Binds every listener of `config`; those of one broker share its state.
pub(super) async fn all(config: &Config) -> anyhow::Result<Vec<(Arc<Listener>, TcpListener)>> {
    let mut bound: Vec<(Arc<Listener>, TcpListener)> = Vec::with_capacity(config.listeners.len());
    for wanted in &config.listeners {
        let context = || format!("listener {:?} cannot listen on {}", wanted.name, wanted.listen);
        let socket = bind(&wanted.listen).await.with_context(context)?;
        let address = socket.local_addr().with_context(context)?;
        let known = bound.iter().map(|(listener, _)| &listener.upstream).find(|known| known.address == wanted.upstream);
        let upstream = known.cloned().unwrap_or_else(|| Arc::new(Upstream::new(wanted.upstream.clone())));
        bound.push((Arc::new(Listener::new(wanted, address, upstream)), socket));
    }
    Ok(bound)
}

/// Binds the first address of `listen` that can be bound.
pub(crate) async fn bind(listen: &HostPort) -> io::Result<TcpListener> {
    let addresses = resolve(listen, RESOLVE_PATIENCE).await?;
    TcpListener::bind(addresses.as_slice()).await
}
