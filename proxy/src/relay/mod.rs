//! Moves the bytes of one connection: two pumps, and the order of answers between them.

mod bell;
mod budget;
mod buffer;
mod cluster;
mod clusters;
mod downlink;
mod ending;
mod fifo;
mod home;
mod keep;
mod link;
mod looks;
mod patience;
mod pipes;
mod quiet;
mod report;
mod seat;
mod shared;
mod spares;
mod unwind;
mod uplink;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use self::downlink::Downlink;
use self::ending::{End, Leave};
use self::link::{Link, Sides};
use self::quiet::Quiet;
pub use self::shared::Shared;
use self::uplink::Uplink;
use crate::net::socket;
use crate::runtime::{ConnectionRecord, DrainSignal, Listener, Runtime};
use crate::telemetry::labels::{Outcome, UpstreamError};

/// How long one side may take to follow the other's orderly close, once nothing is left to be said.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(5);

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
    let (link, Sides { from_client, from_broker, broker }) = Link::new(connection, runtime);
    let end = tokio::select! {
        biased;
        end = relay(&link, from_client, from_broker, &broker, &drain) => end,
        () = Quiet::new(drain.expired()) => End::out_of_time(),
    };
    if end.broker.is_lost() {
        link.listener.upstream.lost();
    }
    if end.broker.is_broken() {
        link.runtime.metrics.upstream_errors.inc(UpstreamError::Reset);
    }
    let client = link.take_client();
    // Neither side waits for the other.
    tokio::join!(
        leave(Some(&broker), end.leave_broker, &drain),
        leave(client.as_deref().map(|client| &**client), end.leave_client, &drain)
    );
    Closed { outcome: end.outcome, detail: end.detail, totals: link.totals() }
}

/// Runs both pumps until both are done, in whichever order they end.
async fn relay(
    link: &Link,
    from_client: OwnedReadHalf,
    from_broker: OwnedReadHalf,
    broker: &TcpStream,
    drain: &DrainSignal,
) -> End {
    let (expected, due) = fifo::queue(link.runtime.config.limits.in_flight_max);
    // As a rule one of them has called, and the other would have nothing to say.
    let mut up = Quiet::new(Uplink::new(link, from_client, broker, expected, drain).run());
    let mut down = Quiet::new(Downlink::new(link, from_broker, due).run());
    tokio::select! {
        biased;
        end = &mut up => ending::after_uplink(link, broker, end, down, drain).await,
        end = &mut down => ending::after_downlink(end),
    }
}

async fn leave(stream: Option<&TcpStream>, how: Leave, drain: &DrainSignal) {
    let Some(stream) = stream else { return };
    match how {
        Leave::Close => {
            let hurry = async {
                tokio::select! {
                    () = tokio::time::sleep(GOODBYE_PATIENCE) => {}
                    () = drain.started() => {}
                }
            };
            socket::close(stream, hurry).await;
        }
        Leave::Reset => socket::reset_on_drop(stream),
    }
}

#[cfg(test)]
mod ticket_tests;
