//! From the client to the broker.

mod look;
mod produce;
mod raw;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use seqgate_protocol::session::Pending;
use seqgate_protocol::wire::frame::{FrameError, Piece, RequestSplitter};
use seqgate_protocol::wire::head::{ApiKey, RequestHead, RequestPrefix};
use seqgate_protocol::wire::learn::Learner;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use self::produce::Tracked;
pub(super) use self::raw::note_raw;
use super::budget::Purpose;
use super::buffer::{Buffer, Read};
use super::fifo::{Closed, Expected, Owed, Sender};
use super::link::Link;
use super::patience::Row;
use super::pipes::{SPLICE_BYTES_MIN, Taken};
use super::quiet::Quiet;
use super::unwind;
use crate::net::{foreign, socket};
use crate::runtime::DrainSignal;
use crate::telemetry::api::Api;
use crate::telemetry::labels::{Direction, Outcome};

/// Why nothing more goes up.
#[derive(Debug)]
pub(super) enum UpEnd {
    /// The client will send no more.
    ClientEnd,
    /// The client's side broke.
    ClientLost(io::Error),
    /// The broker's side broke.
    BrokerLost(io::Error),
    /// What the client sent is not Kafka's protocol, or beyond a limit.
    Refused { outcome: Outcome, why: String },
    /// The client must start over.
    Reset(Outcome, &'static str),
    /// The proxy is stopping.
    Drained,
    /// The client was found to be gone, or given up, elsewhere.
    Alone,
}

/// What has been decided about the frame at the front.
enum Frame<'a> {
    /// Passed through, unread.
    Passing { then_wait: bool },
    /// A produce request that is tracked while it passes. `None`: it turned out not to be readable.
    Streaming(Option<Tracked<'a>>, RequestPrefix),
    /// A produce request that is held whole.
    Gathering,
}

/// The pump from the client to the broker.
pub(super) struct Uplink<'a> {
    link: &'a Link,
    client: OwnedReadHalf,
    broker: &'a TcpStream,
    expected: Sender<'a>,
    draining: Quiet<'a>,
    splitter: RequestSplitter,
    buffer: Buffer,
    frame: Option<Frame<'a>>,
    /// When the bytes in the buffer were read.
    read_at: Instant,
    /// Whether a produce request is among the bytes to be written.
    carries_batches: bool,
    /// What looks have taken from the requests that wait.
    row: Row,
    first: bool,
}

type Step = Result<(), UpEnd>;

impl<'a> Uplink<'a> {
    pub(super) fn new(
        link: &'a Link,
        client: OwnedReadHalf,
        broker: &'a TcpStream,
        expected: Sender<'a>,
        drain: &'a DrainSignal,
    ) -> Self {
        let frame_bytes_max = u32::try_from(link.runtime.config.limits.frame_bytes_max).unwrap_or(u32::MAX);
        Self {
            link,
            client,
            broker,
            expected,
            draining: Quiet::new(drain.started()),
            splitter: RequestSplitter::new(frame_bytes_max),
            buffer: Buffer::new(Arc::clone(&link.runtime), Purpose::Request),
            frame: None,
            read_at: Instant::now(),
            carries_batches: false,
            row: Row::default(),
            first: true,
        }
    }

    /// Pumps until something ends it. With it go the client's handle and the queue: no more answers will be due.
    pub(super) async fn run(mut self) -> UpEnd {
        let link = self.link;
        let pump = async {
            loop {
                if let Err(end) = self.step().await {
                    return end;
                }
            }
        };
        // Wherever the pump waits: nothing is worth it without a client.
        tokio::select! {
            biased;
            () = Quiet::new(link.client_gone()) => UpEnd::Alone,
            end = pump => end,
        }
    }

    async fn step(&mut self) -> Step {
        if self.link.session().auth().is_raw() {
            return self.pass_raw().await;
        }
        if self.link.has_wish() && self.is_between_requests() {
            self.grant_wish().await?;
        }
        let piece = match self.splitter.next(self.buffer.unread()) {
            Ok(piece) => piece,
            Err(error) => return Err(self.refuse(&error).await),
        };
        match piece {
            Piece::More(wanted) => self.read(wanted).await,
            Piece::Begin { size, head } => self.begin(size, RequestPrefix::new(head)).await,
            Piece::Run(count) => self.pass(count).await,
            Piece::Frame(count) => self.admit(count).await,
        }
    }

    /// Writes what is decided, then waits for more.
    async fn read(&mut self, wanted: usize) -> Step {
        self.flush().await?;
        // A request of which the broker has nothing yet is one that its client can send again elsewhere.
        let may_stop = matches!(self.frame, None | Some(Frame::Gathering));
        let read = match self.pass_by().await? {
            Some(read) => read,
            None => self.fill(wanted, may_stop).await?,
        };
        match read {
            Read::Some => Ok(()),
            Read::End => {
                // What is left of a frame can do no harm: a broker executes only whole ones.
                let rest = self.buffer.unread().len();
                self.buffer.release(rest);
                self.flush().await?;
                Err(UpEnd::ClientEnd)
            }
        }
    }

    /// Passes on what comes next without reading it, if that is worth it. `None`: it is to be read.
    async fn pass_by(&mut self) -> Result<Option<Read>, UpEnd> {
        let unseen = match &self.frame {
            Some(Frame::Passing { .. } | Frame::Streaming(None, _)) => u64::MAX,
            Some(Frame::Streaming(Some(tracked), _)) => tracked.unseen(),
            Some(Frame::Gathering) | None => 0,
        };
        // The end of a frame is read: something is done there.
        let count = unseen.min(self.splitter.left().saturating_sub(1));
        if count < SPLICE_BYTES_MIN || !self.buffer.is_empty() {
            return Ok(None);
        }
        let taken = self.buffer.pass_by(&self.client, count, &self.link.runtime.shared.pipes).await;
        self.read_at = Instant::now();
        let mut lent = match taken.map_err(UpEnd::ClientLost)? {
            Taken::Some(lent) => lent,
            Taken::End => return Ok(Some(Read::End)),
            Taken::Nothing | Taken::Unavailable => return Ok(None),
        };
        let count = lent.held();
        if !lent.try_pour(self.broker).map_err(UpEnd::BrokerLost)? {
            wanted(&self.client, lent.pour(self.broker)).await?.map_err(UpEnd::BrokerLost)?;
        }
        self.link.note_spliced(Direction::ToBroker, count);
        self.link.note_sent(count);
        self.splitter.skip(count as u64);
        if let Some(Frame::Streaming(Some(tracked), _)) = &mut self.frame {
            tracked.pass_over(count);
        }
        Ok(Some(Read::Some))
    }

    async fn fill(&mut self, wanted: usize, may_stop: bool) -> Result<Read, UpEnd> {
        let has_all = self.frame.is_none() && self.buffer.is_empty();
        let read = tokio::select! {
            biased;
            () = &mut self.draining, if may_stop => return Err(UpEnd::Drained),
            read = self.buffer.fill(&mut self.client, wanted) => read,
            // Behind the read, which has found nothing: who comes now has waited for none of those before.
            never = end(&mut self.row), if has_all && self.row.is_begun() => match never {},
            () = self.link.wished(), if may_stop => return Ok(Read::Some),
        };
        self.read_at = Instant::now();
        read.map_err(UpEnd::ClientLost)
    }

    async fn flush(&mut self) -> Step {
        let count = self.buffer.ready();
        if count == 0 {
            return Ok(());
        }
        // Before a wait is made for it: sockets hardly ever lack room.
        if !self.buffer.try_flush(self.broker).map_err(UpEnd::BrokerLost)? {
            let written = wanted(&self.client, self.buffer.flush(self.broker)).await?;
            written.map_err(UpEnd::BrokerLost)?;
        }
        self.link.note_sent(count);
        if std::mem::take(&mut self.carries_batches) {
            self.link.note_added(self.read_at);
        }
        Ok(())
    }

    /// A frame begins: what it is decides how it goes.
    async fn begin(&mut self, size: u32, prefix: RequestPrefix) -> Step {
        self.first = false;
        self.link.note_request();
        let api = Api::from_key(prefix.api_key.0);
        self.link.runtime.metrics.requests.inc(api);
        self.link.record.note_request(api);
        self.note_client_id();
        if prefix.api_key == ApiKey::PRODUCE {
            return self.begin_produce(size, prefix).await;
        }
        let then_wait = self.begin_other(prefix).await?;
        self.splitter.pass();
        self.frame = Some(Frame::Passing { then_wait });
        Ok(())
    }

    /// A request of another api: notes what its answer will be. True when nothing can be read behind it before
    /// its answer is known.
    async fn begin_other(&mut self, prefix: RequestPrefix) -> Result<bool, UpEnd> {
        let RequestPrefix { api_key: api, api_version: version, correlation_id } = prefix;
        let is_sasl = api == ApiKey::SASL_HANDSHAKE || api == ApiKey::SASL_AUTHENTICATE;
        if is_sasl {
            self.link.session().auth_mut().exchange_begins();
        }
        let expected = if Learner::new(api, version).is_some() {
            Expected::Learn { correlation_id, api, version }
        } else {
            Expected::Pass { correlation_id, api }
        };
        self.expect(expected).await?;
        Ok(api == ApiKey::SASL_HANDSHAKE && version == 0)
    }

    /// Keeps the first client id for people to know the connection by.
    fn note_client_id(&self) {
        if self.link.record.client_id().is_none()
            && let Ok(RequestHead { client_id: Some(id), .. }) = RequestHead::parse(&self.buffer.unread()[4..])
        {
            self.link.record.note_client_id(&id.escape_ascii().to_string());
        }
    }

    /// Bytes of a frame that is not held.
    async fn pass(&mut self, count: usize) -> Step {
        let ends = !self.splitter.mid_frame();
        let mut frame = self.frame.take();
        if let Some(Frame::Streaming(Some(tracked), _)) = &mut frame {
            self.track(tracked, count).await?;
        }
        if !ends {
            self.buffer.release(count);
            self.frame = frame;
            return Ok(());
        }
        if let Some(Frame::Streaming(tracked, prefix)) = frame {
            self.end_streamed(tracked, prefix.correlation_id).await?;
        } else if let Some(Frame::Passing { then_wait: true }) = frame {
            self.buffer.release(count);
            self.flush().await?;
            return self.wait_for_answer().await;
        }
        self.buffer.release(count);
        Ok(())
    }

    async fn expect_settlement(&mut self, pending: Pending) -> Step {
        self.expect(Expected::Settle(Owed::new(self.link, pending, self.read_at))).await
    }

    /// Before the write: an answer must not overtake its own bookkeeping. A full queue is the backpressure.
    async fn expect(&mut self, expected: Expected<'a>) -> Step {
        if self.link.is_short_of_memory() {
            self.flush().await?;
            // As if the queue had room for one: those before it give their memory back.
            wanted(&self.client, self.expected.until_empty()).await?.map_err(|Closed| UpEnd::Alone)?;
        }
        let Some(expected) = self.expected.try_send(expected).map_err(|Closed| UpEnd::Alone)? else { return Ok(()) };
        // The answers that make room are those to requests that may still be in the buffer.
        self.flush().await?;
        wanted(&self.client, self.expected.send(expected)).await?.map_err(|Closed| UpEnd::Alone)
    }

    /// What cannot be split any further. What stands before it goes.
    async fn refuse(&mut self, error: &FrameError) -> UpEnd {
        if let Err(end) = self.flush().await {
            return end;
        }
        let looks_like = if self.first { foreign::from_client(self.buffer.unread()) } else { None };
        let (outcome, why) = match (looks_like, error) {
            (Some(what), _) => (Outcome::Protocol, what),
            (None, FrameError::TooLarge { .. }) => {
                (Outcome::Limit, format!("the client sent more than limits.frame_bytes_max allows: {error}"))
            }
            (None, FrameError::Negative { .. } | FrameError::TooShort { .. }) => {
                (Outcome::Protocol, format!("what the client sent is not Kafka's protocol: {error}"))
            }
        };
        UpEnd::Refused { outcome, why }
    }
}

impl Drop for Uplink<'_> {
    fn drop(&mut self) {
        self.link.note_sends_no_more();
        unwind::settle(|| self.link.session().end_waiting(true, self.link.runtime.shared.now()));
    }
}

/// Ends the row when it is asked for, and is never done.
fn end(row: &mut Row) -> impl Future<Output = Infallible> {
    poll_fn(|_| {
        row.end();
        Poll::Pending
    })
}

/// Waits for `what` for as long as there is a client. Its bytes are not read meanwhile: that it has gone shows only
/// in the state of its socket.
async fn wanted<T>(client: &OwnedReadHalf, what: impl Future<Output = T>) -> Result<T, UpEnd> {
    tokio::select! {
        biased;
        done = what => Ok(done),
        error = socket::broken(client.as_ref()) => Err(UpEnd::ClientLost(error)),
    }
}
