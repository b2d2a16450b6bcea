//! From the client to the broker.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seqgate_protocol::event::{Event, Unread};
use seqgate_protocol::session::{Admission, Pending, Streamed};
use seqgate_protocol::wire::frame::{self, FrameError, Piece, RequestSplitter};
use seqgate_protocol::wire::head::{ApiKey, RequestHead, RequestPrefix};
use seqgate_protocol::wire::learn::Learner;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

use super::buffer::{Buffer, Read};
use super::fifo::{Expected, Owed, Sender};
use super::link::Link;
use crate::runtime::DrainSignal;
use crate::telemetry::api::Api;

/// How long a batch may wait for another one to be settled (T27) before its client is reset.
const HOLD_PATIENCE: Duration = Duration::from_secs(30);

/// The front of a frame in which its header must end: a client id and tags are far shorter in any honest one.
const HEADER_BYTES_MAX: usize = 4 * 1024;

/// Why nothing more goes up.
#[derive(Debug)]
pub(super) enum UpEnd {
    /// The client will send no more.
    ClientEnd,
    /// The client's side broke.
    ClientLost(io::Error),
    /// The broker's side broke.
    BrokerLost(io::Error),
    /// What came is not Kafka's protocol, or beyond the limits.
    Refused(String),
    /// The client must start over.
    Reset(&'static str),
    /// The proxy is stopping.
    Drained,
    /// The downlink has ended.
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

/// A request that has begun to pass. Dropped before its end, it was cut off.
struct Tracked<'a> {
    link: &'a Link,
    streamed: Option<Streamed>,
}

impl Drop for Tracked<'_> {
    fn drop(&mut self) {
        if let Some(streamed) = self.streamed.take() {
            self.link.session().cut_stream(streamed, &self.link.present());
        }
    }
}

/// The pump from the client to the broker.
pub(super) struct Uplink<'a> {
    link: &'a Link,
    client: ReadHalf<'a>,
    broker: WriteHalf<'a>,
    expected: Sender<'a>,
    drain: DrainSignal,
    splitter: RequestSplitter,
    buffer: Buffer,
    frame: Option<Frame<'a>>,
    /// When the bytes in the buffer were read.
    read_at: Instant,
    /// Whether a produce request is among the bytes to be written.
    carries_batches: bool,
    first: bool,
}

type Step = Result<(), UpEnd>;

impl<'a> Uplink<'a> {
    pub(super) fn new(
        link: &'a Link,
        client: ReadHalf<'a>,
        broker: WriteHalf<'a>,
        expected: Sender<'a>,
        drain: DrainSignal,
    ) -> Self {
        let frame_bytes_max = u32::try_from(link.runtime.config.limits.frame_bytes_max).unwrap_or(u32::MAX);
        Self {
            link,
            client,
            broker,
            expected,
            drain,
            splitter: RequestSplitter::new(frame_bytes_max),
            buffer: Buffer::new(Arc::clone(&link.runtime)),
            frame: None,
            read_at: Instant::now(),
            carries_batches: false,
            first: true,
        }
    }

    /// Pumps until something ends it; hands the broker's half back, so that it can be closed in its own time.
    pub(super) async fn run(mut self) -> (UpEnd, WriteHalf<'a>) {
        loop {
            if let Err(end) = self.step().await {
                return (end, self.broker);
            }
        }
    }

    async fn step(&mut self) -> Step {
        if self.link.session().auth().is_raw() {
            return self.pass_raw().await;
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
        let between_frames = self.frame.is_none() && self.buffer.is_empty();
        let link = self.link;
        let read = tokio::select! {
            biased;
            _ = self.drain.started(), if between_frames => return Err(UpEnd::Drained),
            () = link.client_gone() => return Err(UpEnd::Alone),
            read = self.buffer.fill(&mut self.client, wanted) => read,
        };
        self.read_at = Instant::now();
        match read {
            Ok(Read::Some) => Ok(()),
            Ok(Read::End) => {
                if self.buffer.is_empty() && self.frame.is_none() {
                    return Err(UpEnd::ClientEnd);
                }
                // What is left of a frame can do no harm: a broker executes only whole ones.
                let rest = self.buffer.unread().len();
                self.buffer.release(rest);
                self.flush().await?;
                Err(UpEnd::ClientEnd)
            }
            Err(error) => Err(UpEnd::ClientLost(error)),
        }
    }

    async fn flush(&mut self) -> Step {
        let written = tokio::select! {
            biased;
            written = self.buffer.flush(&mut self.broker) => written,
            () = self.link.client_gone() => return Err(UpEnd::Alone),
        };
        match written {
            Ok(0) => Ok(()),
            Ok(count) => {
                self.link.note_sent(count);
                if std::mem::take(&mut self.carries_batches) {
                    self.link.note_added(self.read_at);
                }
                Ok(())
            }
            Err(error) => Err(UpEnd::BrokerLost(error)),
        }
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

    async fn begin_produce(&mut self, size: u32, prefix: RequestPrefix) -> Step {
        let whole = size as usize + 4;
        if whole <= self.link.runtime.config.limits.hold_bytes_max && self.buffer.try_hold(whole) {
            self.splitter.gather();
            self.frame = Some(Frame::Gathering);
            return Ok(());
        }
        self.wait_for_header(whole).await?;
        let mut reporter = self.link.reporter();
        let session = self.link.session();
        let streamed = session.begin_stream(self.buffer.unread(), size, &mut |event| reporter.take(event));
        drop(session);
        self.splitter.pass();
        let tracked = streamed.map(|streamed| Tracked { link: self.link, streamed: Some(streamed) });
        self.frame = Some(Frame::Streaming(tracked, prefix));
        Ok(())
    }

    /// The header decides whether a large frame can be read at all: it is waited for, within bounds.
    async fn wait_for_header(&mut self, whole: usize) -> Step {
        loop {
            let held = self.buffer.unread().len();
            if held >= HEADER_BYTES_MAX.min(whole) || RequestHead::parse(&self.buffer.unread()[4..]).is_ok() {
                return Ok(());
            }
            self.read(held + 1).await?;
        }
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
        if let Some(Frame::Streaming(Some(Tracked { streamed: Some(streamed), .. }), _)) = &mut frame {
            let bytes = &self.buffer.unread()[..count];
            let mut reporter = self.link.reporter();
            let session = self.link.session();
            let go_on = session.stream(streamed, bytes, &self.link.present(), &mut |event| reporter.take(event));
            reporter.finish(session.ledger());
            drop(session);
            if !go_on {
                return Err(UpEnd::Reset("a large request cannot wait for the batch before it"));
            }
        }
        if !ends {
            self.buffer.release(count);
            self.frame = frame;
            return Ok(());
        }
        match frame {
            Some(Frame::Streaming(streamed, prefix)) => self.end_streamed(streamed, prefix).await?,
            Some(Frame::Passing { then_wait: true }) => {
                self.buffer.release(count);
                self.flush().await?;
                return self.wait_for_answer().await;
            }
            Some(Frame::Passing { then_wait: false } | Frame::Gathering) | None => {}
        }
        self.buffer.release(count);
        Ok(())
    }

    /// The answer is expected before the last bytes of the request go: until then there is none.
    async fn end_streamed(&mut self, tracked: Option<Tracked<'_>>, prefix: RequestPrefix) -> Step {
        let Some(streamed) = tracked.and_then(|mut tracked| tracked.streamed.take()) else {
            return self.expect(Expected::Perhaps { correlation_id: prefix.correlation_id }).await;
        };
        let pending = self.link.session().end_stream(streamed);
        match pending {
            Some(pending) => self.expect_settlement(pending).await,
            None => Ok(()),
        }
    }

    /// A whole produce request.
    async fn admit(&mut self, count: usize) -> Step {
        self.frame = None;
        match self.decide(count, false) {
            Admission::Hold => {
                // What stands before it must be on its way, or it would wait for itself.
                self.flush().await?;
                let admission = self.wait_for_turn(count).await?;
                self.act(admission, count).await
            }
            admission => self.act(admission, count).await,
        }
    }

    async fn act(&mut self, admission: Admission, count: usize) -> Step {
        match admission {
            Admission::Forward(pending) => {
                if let Some(pending) = pending {
                    self.expect_settlement(pending).await?;
                }
                self.carries_batches = true;
                self.buffer.release(count);
                Ok(())
            }
            Admission::Unread => {
                let correlation_id = correlation_id_of(&self.buffer.unread()[..count]);
                self.expect(Expected::Perhaps { correlation_id }).await?;
                self.buffer.release(count);
                Ok(())
            }
            Admission::Strip { frame, pending } => {
                self.expect_settlement(pending).await?;
                self.flush().await?;
                self.buffer.discard(count);
                self.broker.write_all(&frame).await.map_err(UpEnd::BrokerLost)?;
                self.link.note_sent(frame.len());
                self.link.note_added(self.read_at);
                Ok(())
            }
            Admission::Answer(local) => {
                self.flush().await?;
                self.buffer.discard(count);
                self.expect(Expected::Local(Box::new(local))).await
            }
            Admission::Hold => Err(UpEnd::Reset("a batch waited too long for the one before it")),
            Admission::Reset => Err(UpEnd::Reset("a batch failed that had to be acknowledged first")),
        }
    }

    fn decide(&self, count: usize, held: bool) -> Admission {
        let frame = &self.buffer.unread()[..count];
        let mut reporter = self.link.reporter();
        let present = self.link.present();
        let mut session = self.link.session();
        let admission = session.admit(frame, held, &present, &mut |event| reporter.take(event));
        reporter.finish(session.ledger());
        admission
    }

    /// T27: waits until the batch in flight is settled.
    async fn wait_for_turn(&mut self, count: usize) -> Result<Admission, UpEnd> {
        let cluster = self.link.cluster();
        let turn = cluster.until(|| match self.decide(count, true) {
            Admission::Hold => None,
            admission => Some(admission),
        });
        tokio::select! {
            turn = timeout(HOLD_PATIENCE, turn) => Ok(turn.unwrap_or(Admission::Hold)),
            () = self.link.client_gone() => Err(UpEnd::Alone),
        }
    }

    async fn expect_settlement(&mut self, pending: Pending) -> Step {
        self.expect(Expected::Settle(Owed::new(self.link, pending, self.read_at))).await
    }

    /// Before the write: an answer must not overtake its own bookkeeping. A full queue is the backpressure.
    async fn expect(&mut self, expected: Expected<'a>) -> Step {
        let expected = match self.expected.try_send(expected) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(expected)) => expected,
            Err(TrySendError::Closed(_)) => return Err(UpEnd::Alone),
        };
        // The answers that make room are those to requests that may still be in the buffer.
        self.flush().await?;
        self.expected.send(expected).await.map_err(|_| UpEnd::Alone)
    }

    /// After a SaslHandshake v0, what follows may not be frames at all.
    async fn wait_for_answer(&mut self) -> Step {
        tokio::select! {
            () = self.link.answered() => Ok(()),
            () = self.link.client_gone() => Err(UpEnd::Alone),
        }
    }

    /// Raw tokens, and everything behind them.
    async fn pass_raw(&mut self) -> Step {
        let count = self.buffer.unread().len();
        self.buffer.release(count);
        self.flush().await?;
        let link = self.link;
        let read = tokio::select! {
            biased;
            _ = self.drain.started() => return Err(UpEnd::Drained),
            () = link.client_gone() => return Err(UpEnd::Alone),
            read = self.buffer.fill(&mut self.client, 1) => read,
        };
        match read {
            Ok(Read::Some) => Ok(()),
            Ok(Read::End) => Err(UpEnd::ClientEnd),
            Err(error) => Err(UpEnd::ClientLost(error)),
        }
    }

    async fn refuse(&mut self, error: &FrameError) -> UpEnd {
        if let Err(end) = self.flush().await {
            return end;
        }
        let looks_like = if self.first { frame::recognise(self.buffer.unread()) } else { None };
        match looks_like {
            Some(what) => UpEnd::Refused(format!("the client sent {what}, not Kafka's protocol")),
            None => UpEnd::Refused(error.to_string()),
        }
    }
}

/// A frame that could not be read has a prefix all the same: it was gathered by it.
fn correlation_id_of(frame: &[u8]) -> i32 {
    frame.get(4..).and_then(<[u8]>::first_chunk).map_or(0, |head| RequestPrefix::new(*head).correlation_id)
}

/// Raw tokens were agreed on: from here on the connection cannot be read.
pub(super) fn note_raw(link: &Link) {
    use seqgate_protocol::session::Ledger;
    let session = link.session();
    session.ledger().taint();
    drop(session);
    link.reporter().take(Event::Unread(Unread::SaslRaw));
}
