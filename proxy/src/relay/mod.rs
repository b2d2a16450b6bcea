//! Moves the bytes of one connection; nothing is decided here yet.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use crate::config::Config;
use crate::net::socket;
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
    let Connection { mut client, mut upstream, listener, .. } = connection;
    // True from bytes of the client to bytes of the broker: something may be in flight.
    let (busy, mut idle) = watch::channel(false);
    let mut totals = Totals::default();
    let ended = {
        let (client_in, client_out) = client.split();
        let (upstream_in, upstream_out) = upstream.split();
        let count = |direction, n| runtime.metrics.bytes.add(direction, n);
        let up = pump(client_in, upstream_out, &mut totals.bytes_to_broker, |n| {
            count(Direction::ToBroker, n);
            busy.send_replace(true);
        });
        let down = pump(upstream_in, client_out, &mut totals.bytes_to_client, |n| {
            count(Direction::ToClient, n);
            busy.send_replace(false);
        });
        let drained = async {
            drain.started().await;
            idle.wait_for(|busy| !busy).await.ok();
        };
        tokio::select! {
            ended = both(up, down) => ended,
            () = drained => Ok(Outcome::Drain),
        }
    };
    if matches!(ended, Ok(Outcome::Broker) | Err(_)) {
        listener.upstream.lost();
    }
    match ended {
        Ok(outcome) => Closed { outcome, detail: None, totals },
        Err(error) => {
            socket::reset(client);
            socket::reset(upstream);
            Closed { outcome: Outcome::Error, detail: Some(error.to_string()), totals }
        }
    }
}

/// Waits for both directions, and names the side that ended its own first.
async fn both(
    up: impl Future<Output = io::Result<()>>,
    down: impl Future<Output = io::Result<()>>,
) -> io::Result<Outcome> {
    tokio::pin!(up, down);
    tokio::select! {
        client = &mut up => {
            client?;
            down.await?;
            Ok(Outcome::Client)
        }
        broker = &mut down => {
            broker?;
            up.await?;
            Ok(Outcome::Broker)
        }
    }
}

/// Copies one direction, then passes the end of it on.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, total: &mut u64, moved: impl Fn(u64)) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return to.shutdown().await;
        }
        moved(n as u64);
        to.write_all(&buffer[..n]).await?;
        *total += n as u64;
    }
}
