//! A listener that owns the tasks of its connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Connections beyond this wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1_024;

/// Tells a connection's task that its listener stops.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Waits until the listener stops.
    pub(crate) async fn wait(&mut self) {
        // An error means that the listener is gone: stopped as well.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

/// Accepts connections, runs a task for each, and ends them all when it stops.
#[derive(Debug)]
pub(crate) struct Acceptor {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Acceptor {
    /// Listens on `address` and hands each connection to `serve`.
    pub(crate) async fn bind<S, F>(address: SocketAddr, serve: S) -> io::Result<Self>
    where
        S: Fn(TcpStream, Stopping) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(accept(listener, serve, Stopping(stopping)));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener and waits until every connection's task has ended.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        // A panic in a task is reported by the task itself; there is nothing left to end here.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<S, F>(listener: TcpListener, serve: S, stopping: Stopping)
where
    S: Fn(TcpStream, Stopping) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut stopped = stopping.clone();
    loop {
        tokio::select! {
            () = stopped.wait() => break,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    // Answers are small, and each is waited for.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(serve(stream, stopping.clone()));
                }
                Err(error) => tracing::warn!(%error, "accept failed"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
    // Before the wait: a client that dials again meanwhile is refused at once.
    drop(listener);
    while connections.join_next().await.is_some() {}
}
