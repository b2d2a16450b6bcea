//! How a connection comes to its end: what one side did is passed on to the other as what it was.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::GOODBYE_PATIENCE;
use super::downlink::DownEnd;
use super::link::Link;
use super::quiet::Quiet;
use super::uplink::UpEnd;
use crate::net::socket;
use crate::runtime::DrainSignal;
use crate::telemetry::labels::Outcome;

/// How long a client that has closed its side may still be owed answers that no deadline of its own bounds.
const HALF_CLOSED_MAX: Duration = Duration::from_secs(600);

/// How a side is to be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// In order.
    Close,
    /// With a reset.
    Reset,
}

/// What became of the broker's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broker {
    /// It is the proxy or the client that ended it.
    Kept,
    /// It ended in a way the proxy did not cause, or does not answer: it may have been restarted.
    Lost,
    /// It was reset.
    Broken,
}

impl Broker {
    pub(super) const fn is_lost(self) -> bool {
        matches!(self, Self::Lost | Self::Broken)
    }

    pub(super) const fn is_broken(self) -> bool {
        matches!(self, Self::Broken)
    }
}

/// How it ended, before the sockets are left.
#[derive(Debug)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) detail: Option<String>,
    pub(super) leave_client: Leave,
    pub(super) leave_broker: Leave,
    pub(super) broker: Broker,
}

impl End {
    fn new(outcome: Outcome, leave: Leave, broker: Broker) -> Self {
        Self { outcome, detail: None, leave_client: leave, leave_broker: leave, broker }
    }

    fn because(self, detail: impl ToString) -> Self {
        Self { detail: Some(detail.to_string()), ..self }
    }

    /// The deadline of a drain has passed.
    pub(super) fn out_of_time() -> Self {
        Self::new(Outcome::Drain, Leave::Reset, Broker::Kept).because("the drain deadline passed")
    }
}

/// The uplink has ended; the answers that are due may still come.
pub(super) async fn after_uplink(
    link: &Link,
    upstream: &TcpStream,
    end: UpEnd,
    down: Quiet<'_, DownEnd>,
    drain: &DrainSignal,
) -> End {
    match end {
        UpEnd::ClientEnd => finish_in_order(link, upstream, down).await,
        UpEnd::Drained => drained(link, upstream, down).await,
        UpEnd::Refused { outcome, why } => refused(link, down, outcome).await.because(why),
        UpEnd::ClientLost(error) => {
            link.lose_client(Outcome::Client, "the client is gone");
            orphan(link, down, drain).await.because(error)
        }
        UpEnd::Reset(outcome, why) => {
            link.lose_client(outcome, why);
            orphan(link, down, drain).await
        }
        UpEnd::Alone => orphan(link, down, drain).await,
        UpEnd::BrokerLost(error) => broker_lost(down, &error).await,
    }
}

/// The broker's side has ended: what that was is passed on.
pub(super) fn after_downlink(end: DownEnd) -> End {
    match end {
        DownEnd::BrokerEnd | DownEnd::Done => End::new(Outcome::Broker, Leave::Close, Broker::Lost),
        DownEnd::BrokerLost(error) => End::new(Outcome::Broker, Leave::Reset, Broker::Broken).because(error),
        DownEnd::Confused(why) => End::new(Outcome::Protocol, Leave::Reset, Broker::Lost).because(why),
        DownEnd::Foreign(why) => End::new(Outcome::Protocol, Leave::Close, Broker::Lost).because(why),
    }
}

/// The client has closed its side. Its close goes on once the batches at the broker are settled: a broker that sees
/// it may drop the answers that tell what became of them.
async fn finish_in_order(link: &Link, upstream: &TcpStream, mut down: Quiet<'_, DownEnd>) -> End {
    let settled = timeout(link.orphan_patience(), link.until_settled());
    let early = tokio::select! {
        biased;
        end = &mut down => Some(end),
        _ = settled => None,
    };
    socket::half_close(upstream).ok();
    // What the broker does before it can have seen the client's close, it does of its own accord.
    let (end, broker) = match early {
        Some(end) => (Ok(end), Broker::Lost),
        None => tokio::select! {
            end = timeout(HALF_CLOSED_MAX, down) => (end, Broker::Kept),
            () = client_lost(link) => (Ok(DownEnd::Done), Broker::Kept),
        },
    };
    match end {
        Ok(DownEnd::Done) => End::new(Outcome::Client, Leave::Close, Broker::Kept),
        Ok(DownEnd::BrokerEnd) => End::new(Outcome::Client, Leave::Close, broker),
        Ok(end @ (DownEnd::BrokerLost(_) | DownEnd::Confused(_) | DownEnd::Foreign(_))) => after_downlink(end),
        Err(_) => End::new(Outcome::Timeout, Leave::Reset, Broker::Lost)
            .because("answers did not come after the client's close"),
    }
}

/// The proxy stops, and the client asks for nothing more.
async fn drained(link: &Link, upstream: &TcpStream, down: Quiet<'_, DownEnd>) -> End {
    let unsure = link.session().is_unsure();
    let abandoned = async {
        if unsure {
            // Whether an answer is due cannot be seen; a broker answers what it was asked, then follows.
            timeout(link.orphan_patience(), link.until_settled()).await.ok();
            socket::half_close(upstream).ok();
        }
        client_lost(link).await;
    };
    let end = tokio::select! {
        end = down => end,
        // Its answers would be of use to nobody.
        () = abandoned => return End::new(Outcome::Client, Leave::Reset, Broker::Kept),
    };
    match end {
        DownEnd::Done | DownEnd::BrokerEnd => End::new(Outcome::Drain, Leave::Close, Broker::Kept),
        end @ (DownEnd::BrokerLost(_) | DownEnd::Confused(_) | DownEnd::Foreign(_)) => after_downlink(end),
    }
}

/// Waits for the client, of which nothing is read any more, to be gone.
async fn client_lost(link: &Link) {
    let Some(client) = link.client() else { return };
    tokio::select! {
        () = link.client_gone() => {}
        _ = socket::broken(&client) => link.lose_client(Outcome::Client, "the client is gone"),
    }
}

/// What came cannot be passed on. What was asked for before it is answered first, as by a broker.
async fn refused(link: &Link, down: Quiet<'_, DownEnd>, outcome: Outcome) -> End {
    match timeout(link.orphan_patience(), down).await {
        Ok(DownEnd::Done) => End::new(outcome, Leave::Close, Broker::Kept),
        Ok(DownEnd::BrokerEnd | DownEnd::Foreign(_)) => End::new(outcome, Leave::Close, Broker::Lost),
        Ok(DownEnd::BrokerLost(_) | DownEnd::Confused(_)) | Err(_) => End::new(outcome, Leave::Reset, Broker::Lost),
    }
}

/// The client is gone. Answers to its batches are read all the same (T2): they are proofs for its retries, or tell
/// that there is none. A proxy that stops will not see the retries.
async fn orphan(link: &Link, mut down: Quiet<'_, DownEnd>, drain: &DrainSignal) -> End {
    let broker = tokio::select! {
        settled = timeout(link.orphan_patience(), link.until_settled()) => match settled {
            Ok(()) => Broker::Kept,
            Err(_) => Broker::Lost,
        },
        end = &mut down => match end {
            DownEnd::Done => Broker::Kept,
            DownEnd::BrokerEnd | DownEnd::Confused(_) | DownEnd::Foreign(_) => Broker::Lost,
            DownEnd::BrokerLost(_) => Broker::Broken,
        },
        () = drain.started() => Broker::Kept,
    };
    match link.why_gone() {
        Some((outcome, why)) => End::new(outcome, Leave::Reset, broker).because(why),
        // The downlink has ended by itself.
        None => End::new(Outcome::Broker, Leave::Reset, broker),
    }
}

/// The broker does not take requests any more. What it said before it went is still on its way.
async fn broker_lost(down: Quiet<'_, DownEnd>, error: &io::Error) -> End {
    let end = match timeout(GOODBYE_PATIENCE, down).await {
        Ok(end @ (DownEnd::Confused(_) | DownEnd::Foreign(_))) => after_downlink(end),
        Ok(DownEnd::BrokerEnd | DownEnd::Done) => End::new(Outcome::Broker, Leave::Close, Broker::Lost).because(error),
        Ok(DownEnd::BrokerLost(_)) | Err(_) => End::new(Outcome::Broker, Leave::Reset, Broker::Lost).because(error),
    };
    End { leave_broker: Leave::Reset, broker: Broker::Broken, ..end }
}
