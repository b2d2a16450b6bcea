//! Moves the bytes of one connection; nothing is decided here yet.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::config::Config;
use crate::runtime::{ConnectionRecord, DrainSignal, Listener, ProducerQuery, ProducerRow, Runtime};
use crate::telemetry::labels::{Direction, Outcome};

/// Holds what connections share: nothing yet.
#[derive(Debug)]
pub struct Shared;

impl Shared {
    /// Prepares what connections share.
    pub fn new(_config: &Config) -> Self {
        Self
    }

    /// Returns the tracked producers that `query` selects, at most `query.limit`.
    pub fn producers(&self, _query: &ProducerQuery) -> Vec<ProducerRow> {
        Vec::new()
    }
}

/// One client connection and the broker connection made for it.
#[derive(Debug)]
pub struct Connection {
    /// Number of the connection in logs and in the journal.
    pub id: u64,
    /// The client's side.
    pub client: TcpStream,
    /// Who the client is.
    pub client_addr: SocketAddr,
    /// The broker's side.
    pub upstream: TcpStream,
    /// Where the client came in; its upstream is the broker.
    pub listener: Arc<Listener>,
    /// What the admin port shows of this connection.
    pub record: Arc<ConnectionRecord>,
}

/// Says how a connection ended, and what went through it.
#[derive(Debug)]
pub struct Closed {
    /// Who ended it.
    pub outcome: Outcome,
    /// What the log should add.
    pub detail: Option<String>,
    /// What went through.
    pub totals: Totals,
}

/// Counts what went through one connection.
#[derive(Debug, Default, Clone, Copy)]
pub struct Totals {
    /// Bytes written to the broker.
    pub bytes_to_broker: u64,
    /// Bytes written to the client.
    pub bytes_to_client: u64,
    /// Requests read.
    pub requests: u64,
    /// Responses written.
    pub responses: u64,
}

/// Serves one connection to its end; owns both sockets and never panics.
pub async fn run(connection: Connection, runtime: Arc<Runtime>, drain: DrainSignal) -> Closed {
    let Connection { mut client, mut upstream, .. } = connection;
    let copied = tokio::select! {
        copied = tokio::io::copy_bidirectional(&mut client, &mut upstream) => copied,
        _ = drain.started() => return Closed::new(Outcome::Drain, None),
    };
    let (up, down) = match copied {
        Ok(totals) => totals,
        Err(error) => return Closed::new(Outcome::Error, Some(error.to_string())),
    };
    runtime.metrics.bytes.add(Direction::ToBroker, up);
    runtime.metrics.bytes.add(Direction::ToClient, down);
    Closed {
        outcome: Outcome::Client,
        detail: None,
        totals: Totals { bytes_to_broker: up, bytes_to_client: down, ..Totals::default() },
    }
}

impl Closed {
    fn new(outcome: Outcome, detail: Option<String>) -> Self {
        Self { outcome, detail, totals: Totals::default() }
    }
}
