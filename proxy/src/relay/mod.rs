//! Moves the bytes of one connection: two pumps, and the order of answers between them.

mod budget;
mod buffer;
mod cluster;
mod downlink;
mod fifo;
mod link;
mod report;
mod shared;
mod uplink;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use self::downlink::{DownEnd, Downlink};
use self::link::Link;
pub use self::shared::Shared;
use self::uplink::{UpEnd, Uplink};
use crate::net::socket;
use crate::runtime::{ConnectionRecord, DrainSignal, Listener, Runtime};
use crate::telemetry::labels::Outcome;

/// How long one side may take to follow the other's orderly close, once nothing is left to be said.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a client that has closed its side may still be owed answers that no deadline of its own bounds.
const HALF_CLOSED_MAX: Duration = Duration::from_secs(600);

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

/// How each side is to be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// In order.
    Close,
    /// With a reset.
    Reset,
}

/// How it ended, before the sockets are left.
#[derive(Debug)]
struct End {
    outcome: Outcome,
    detail: Option<String>,
    client: Leave,
    broker: Leave,
    /// The broker's side ended in a way the proxy did not cause: it may have been restarted.
    broker_lost: bool,
}

/// Serves one connection to its end; owns both sockets and never panics.
pub async fn run(mut connection: Connection, runtime: Arc<Runtime>, drain: DrainSignal) -> Closed {
    let link = Link::new(&connection, Arc::clone(&runtime));
    let end = relay(&mut connection, &link, drain).await;
    let Connection { client, upstream, listener, .. } = connection;
    if end.broker_lost {
        listener.upstream.lost();
    }
    leave(upstream, end.broker).await;
    leave(client, end.client).await;
    Closed { outcome: end.outcome, detail: end.detail, totals: link.totals() }
}

async fn leave(stream: TcpStream, how: Leave) {
    match how {
        Leave::Close => close(stream).await,
        Leave::Reset => socket::reset(stream),
    }
}

/// Closes in order. Bytes that arrive afterwards are read away: unread, they would turn the close into a reset, and
/// what was written last could be lost on the way.
async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut away = [0; 1024];
    let drained = async { while matches!(stream.read(&mut away).await, Ok(1..)) {} };
    timeout(GOODBYE_PATIENCE, drained).await.ok();
}

/// Runs both pumps until both are done, in whichever order they end.
async fn relay(connection: &mut Connection, link: &Link, drain: DrainSignal) -> End {
    let (client_read, client_write) = connection.client.split();
    let (broker_read, broker_write) = connection.upstream.split();
    let (expected, due) = mpsc::channel(link.runtime.config.limits.in_flight_max);
    let up = Uplink::new(link, client_read, broker_write, expected, drain.clone()).run();
    let down = Downlink::new(link, broker_read, client_write, due).run();
    tokio::pin!(up, down);
    tokio::select! {
        (end, broker) = &mut up => after_uplink(link, end, broker, down, &drain).await,
        end = &mut down => after_downlink(end),
    }
}

/// The uplink has ended; the answers that are due may still come.
async fn after_uplink(
    link: &Link,
    end: UpEnd,
    broker: WriteHalf<'_>,
    down: std::pin::Pin<&mut impl Future<Output = DownEnd>>,
    drain: &DrainSignal,
) -> End {
    match end {
        UpEnd::ClientEnd => finish_in_order(link, broker, down).await,
        UpEnd::Drained => {
            let deadline = drain.deadline().unwrap_or_else(Instant::now);
            let done = timeout_at(deadline, down).await.is_ok();
            let client = if done { Leave::Close } else { Leave::Reset };
            End { outcome: Outcome::Drain, detail: None, client, broker: client, broker_lost: false }
        }
        UpEnd::ClientLost(error) => orphan(link, down, Outcome::Client, Some(error.to_string())).await,
        UpEnd::Refused(why) => orphan(link, down, Outcome::Protocol, Some(why)).await,
        UpEnd::Reset(why) => orphan(link, down, Outcome::Protocol, Some(why.to_owned())).await,
        UpEnd::Alone => orphan(link, down, Outcome::Client, None).await,
        UpEnd::BrokerLost(error) => {
            // What it said before it went is still on its way.
            let ended = timeout(GOODBYE_PATIENCE, down).await;
            let client = match ended {
                Ok(DownEnd::BrokerEnd | DownEnd::Done) => Leave::Close,
                Ok(DownEnd::BrokerLost(_) | DownEnd::Confused(_)) | Err(_) => Leave::Reset,
            };
            let detail = Some(error.to_string());
            End { outcome: Outcome::Broker, detail, client, broker: Leave::Reset, broker_lost: true }
        }
    }
}

/// The client has closed its side. Its close goes on once the batches at the broker are settled: a broker that sees
/// it may drop the answers that tell what became of them.
async fn finish_in_order(
    link: &Link,
    mut broker: WriteHalf<'_>,
    mut down: std::pin::Pin<&mut impl Future<Output = DownEnd>>,
) -> End {
    let settled = timeout(link.orphan_patience(), link.until_settled());
    let early = tokio::select! {
        _ = settled => None,
        end = &mut down => Some(end),
    };
    broker.shutdown().await.ok();
    let end = match early {
        Some(end) => Ok(end),
        None => timeout(HALF_CLOSED_MAX, down).await,
    };
    let (client, detail, broker_lost) = match end {
        Ok(DownEnd::Done | DownEnd::BrokerEnd) => (Leave::Close, None, false),
        Ok(DownEnd::BrokerLost(error)) => (Leave::Reset, Some(error.to_string()), true),
        Ok(DownEnd::Confused(why)) => (Leave::Reset, Some(why), true),
        Err(_) => (Leave::Reset, Some("answers did not come after the client's close".to_owned()), true),
    };
    End { outcome: Outcome::Client, detail, client, broker: Leave::Close, broker_lost }
}

/// The client is gone, or is to go. Answers to its batches are read all the same (T2): they are proofs for its
/// retries, or tell that there is none.
async fn orphan(
    link: &Link,
    mut down: std::pin::Pin<&mut impl Future<Output = DownEnd>>,
    outcome: Outcome,
    detail: Option<String>,
) -> End {
    link.lose_client("the client is gone");
    let detail = detail.or_else(|| link.why_gone().map(str::to_owned));
    let settled = timeout(link.orphan_patience(), link.until_settled());
    let broker_lost = tokio::select! {
        settled = settled => settled.is_err(),
        end = &mut down => matches!(end, DownEnd::BrokerLost(_) | DownEnd::BrokerEnd),
    };
    End { outcome, detail, client: Leave::Reset, broker: Leave::Reset, broker_lost }
}

/// The broker's side has ended: what that was is passed on.
fn after_downlink(end: DownEnd) -> End {
    match end {
        DownEnd::BrokerEnd | DownEnd::Done => End {
            outcome: Outcome::Broker,
            detail: None,
            client: Leave::Close,
            broker: Leave::Close,
            broker_lost: true,
        },
        DownEnd::BrokerLost(error) => {
            let detail = Some(error.to_string());
            End { outcome: Outcome::Broker, detail, client: Leave::Reset, broker: Leave::Reset, broker_lost: true }
        }
        DownEnd::Confused(why) => End {
            outcome: Outcome::Protocol,
            detail: Some(why),
            client: Leave::Reset,
            broker: Leave::Reset,
            broker_lost: true,
        },
    }
}
