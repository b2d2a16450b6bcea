//! One listener's accept loop, which owns the connections that came in through it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument, debug, debug_span, error, info, warn};

use super::connection::{Accepted, Open};
use super::workers::{Seat, Workers};
use crate::net::socket;
use crate::runtime::{DrainSignal, Listener, Runtime};
use crate::telemetry::labels::Outcome;

/// Pause after the first accept that failed for want of something; doubled with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause between accepts.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Nobody is left who could serve a connection.
#[derive(Debug, thiserror::Error)]
#[error("no thread is left that could serve connections")]
pub(super) struct NoThreads;

/// Accepts the connections of one listener.
#[derive(Debug)]
pub(super) struct Accept {
    listener: Arc<Listener>,
    runtime: Arc<Runtime>,
    workers: Arc<Workers>,
    permits: Arc<Semaphore>,
    drain: DrainSignal,
    connections: JoinSet<()>,
    pause: Duration,
}

impl Accept {
    pub(super) fn new(
        listener: Arc<Listener>,
        runtime: Arc<Runtime>,
        workers: Arc<Workers>,
        permits: Arc<Semaphore>,
        drain: DrainSignal,
    ) -> Self {
        Self { listener, runtime, workers, permits, drain, connections: JoinSet::new(), pause: PAUSE_MIN }
    }

    /// Accepts until the drain starts, then waits for the connections; whatever fails, the listener stays as long as
    /// there are threads.
    pub(super) async fn run(mut self, socket: TcpListener) -> Result<(), NoThreads> {
        let (name, address) = (self.listener.name.clone(), self.listener.address);
        info!(listener = name, %address, upstream = %self.listener.upstream.address, "listener up");
        let drain = self.drain.clone();
        loop {
            tokio::select! {
                () = drain.started() => break,
                Some(ended) = self.connections.join_next() => self.reap(ended),
                accepted = socket.accept() => self.settle(accepted, &drain).await?,
            }
        }
        drop(socket);
        while let Some(ended) = self.connections.join_next().await {
            self.reap(ended);
        }
        info!(listener = name, "listener down");
        Ok(())
    }

    async fn settle(
        &mut self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
        drain: &DrainSignal,
    ) -> Result<(), NoThreads> {
        match accepted {
            Ok((client, client_addr)) => {
                self.pause = PAUSE_MIN;
                self.admit(client, client_addr)?;
            }
            Err(error) if is_of_one_connection(&error) => debug!(%error, "a client left before it was accepted"),
            Err(error) => self.rest(&error, drain).await,
        }
        Ok(())
    }

    fn admit(&mut self, client: TcpStream, client_addr: SocketAddr) -> Result<(), NoThreads> {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            self.refuse(client, client_addr);
            return Ok(());
        };
        let Some(Seat { handle, drain, lease }) = self.workers.place() else {
            socket::reset(client);
            return Err(NoThreads);
        };
        let record = self.runtime.connections.open(Arc::clone(&self.listener), client_addr);
        let span = debug_span!("connection", id = record.id, client.addr = %client_addr, listener = self.listener.name);
        let open = Open::new(Arc::clone(&self.runtime), record, permit, lease);
        let accepted = Accepted { client: client.into_std(), open, drain };
        self.connections.spawn_on(accepted.serve().instrument(span), handle);
        Ok(())
    }

    fn refuse(&self, client: TcpStream, client_addr: SocketAddr) {
        socket::reset(client);
        self.runtime.metrics.connections_closed.inc(Outcome::Limit);
        if let Some(suppressed) = self.listener.warnings.admit(Instant::now()) {
            let limit = self.runtime.config.limits.connections_max;
            let listener = &self.listener.name;
            warn!(listener, client.addr = %client_addr, limit, suppressed, "connection refused: limits.connections_max");
        }
    }

    /// Waits before the next accept: what is missing (descriptors, memory) does not come back at once.
    async fn rest(&mut self, error: &io::Error, drain: &DrainSignal) {
        if let Some(suppressed) = self.listener.warnings.admit(Instant::now()) {
            warn!(listener = self.listener.name, %error, suppressed, "a connection cannot be accepted");
        }
        tokio::select! {
            () = tokio::time::sleep(self.pause) => {}
            () = drain.started() => {}
        }
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Notes a task that broke: the proxy goes on without it.
    fn reap(&self, ended: Result<(), JoinError>) {
        let Err(broken) = ended else { return };
        // What it knew of requests on their way is gone with it.
        self.listener.upstream.lost();
        error!(listener = self.listener.name, error = %broken, "a connection's task broke");
    }
}

/// Says whether an accept failed for a reason that is over with that connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    [Kind::ConnectionAborted, Kind::ConnectionReset, Kind::ConnectionRefused, Kind::Interrupted].contains(&error.kind())
}
