//! From the broker to the client, in the order of the requests.

mod back;
mod doubt;
mod learn;
mod settle;

use std::io;
use std::sync::Arc;

use seqgate_protocol::wire::frame::{FrameError, Piece, ResponseSplitter};
use seqgate_protocol::wire::head::ApiKey;
use seqgate_protocol::wire::learn::Learner;
use tokio::net::tcp::OwnedReadHalf;
use tokio::task::yield_now;

use self::back::Back;
use self::doubt::Doubt;
use super::budget::Purpose;
use super::buffer::{Buffer, Read};
use super::fifo::{Closed, Expected, Owed, Own, Receiver};
use super::link::Link;
use super::pipes::{SPLICE_BYTES_MIN, Taken};
use super::uplink;
use crate::net::foreign;
use crate::telemetry::api::Api;
use crate::telemetry::labels::Direction;

/// Why nothing more comes down.
#[derive(Debug)]
pub(super) enum DownEnd {
    /// Every answer that was expected has come, and no further request will.
    Done,
    /// The broker has closed the connection in order.
    BrokerEnd,
    /// The broker's side broke.
    BrokerLost(io::Error),
    /// What the broker sent answers nothing.
    Confused(String),
    /// The broker has closed the connection in order, after less than an answer that was not Kafka's.
    Foreign(String),
}

/// The answer at the front.
#[derive(Debug)]
enum Current<'a> {
    /// To be compared with the broker's next frame.
    Waiting(Expected<'a>),
    /// Passing, and read on the way.
    Passing { api: Option<ApiKey>, learner: Option<Box<Learner>>, version: i16, prefix_left: usize },
    /// Held until it is whole.
    Gathering(Owed<'a>),
    /// To a request of our own: read, and not passed on.
    Own(Box<Own<'a>>, usize),
    /// The same, read to its end: what it has shown is taken in.
    Told(Box<Own<'a>>),
}

/// The pump from the broker to the client.
pub(super) struct Downlink<'a> {
    link: &'a Link,
    broker: OwnedReadHalf,
    expected: Receiver<'a>,
    splitter: ResponseSplitter,
    buffer: Buffer,
    current: Option<Current<'a>>,
    /// What is due after the answer at the front, where that answers a request that may have none.
    aside: Option<Expected<'a>>,
    /// The requests before all that is due which may have no answer.
    doubt: Doubt,
    back: Back<'a>,
    raw: bool,
    /// Whether no answer of the broker has begun yet.
    first: bool,
}

type Step = Result<(), DownEnd>;

impl<'a> Downlink<'a> {
    pub(super) fn new(link: &'a Link, broker: OwnedReadHalf, expected: Receiver<'a>) -> Self {
        let frame_bytes_max = u32::try_from(link.runtime.config.limits.frame_bytes_max).unwrap_or(u32::MAX);
        Self {
            link,
            broker,
            expected,
            // Brokers answer a fetch with more than they take as a request, if one batch is as large.
            splitter: ResponseSplitter::new(frame_bytes_max.saturating_mul(RESPONSE_FACTOR)),
            buffer: Buffer::new(Arc::clone(&link.runtime), Purpose::Answer),
            current: None,
            aside: None,
            doubt: Doubt::default(),
            back: Back::default(),
            raw: false,
            first: true,
        }
    }

    /// Pumps until the broker's side ends or nothing more is expected.
    pub(super) async fn run(mut self) -> DownEnd {
        loop {
            let step = if self.keeps_back() { self.step_kept_back().await } else { self.step().await };
            if let Err(end) = step {
                self.give_up_back().await;
                // What came before the end belongs to the client.
                self.flush().await;
                return end;
            }
        }
    }

    async fn step(&mut self) -> Step {
        if self.raw {
            return self.pass_raw().await;
        }
        if self.current.is_none() {
            self.next_expected().await?;
        }
        match &self.current {
            None => Ok(()),
            Some(Current::Waiting(Expected::Local(_))) => {
                self.take_ours().await;
                Ok(())
            }
            Some(Current::Told(_)) => {
                self.take_in_own().await;
                Ok(())
            }
            Some(_) => self.take_piece().await,
        }
    }

    /// An answer made here is due.
    async fn take_ours(&mut self) {
        let Some(Current::Waiting(Expected::Local(ours))) = self.current.take() else { return };
        if self.keeps_back() {
            self.keep_back_ours(ours);
        } else {
            self.deliver_local(&ours.local).await;
        }
    }

    /// Takes the next expectation; while there is none, the broker has nothing to say but goodbye, and what could be
    /// to a request that may have no answer.
    async fn next_expected(&mut self) -> Step {
        if let Some(expected) = self.aside.take() {
            self.current = Some(Current::Waiting(expected));
            return Ok(());
        }
        match self.expected.try_recv() {
            Ok(Some(expected)) => {
                self.current = self.tell_apart(expected).map(Current::Waiting);
                return Ok(());
            }
            Err(Closed) if !self.doubt.is_open() => return Err(DownEnd::Done),
            Ok(None) | Err(Closed) => self.flush().await,
        }
        if !self.buffer.is_empty() {
            return if self.doubt.is_open() { self.take_piece().await } else { Err(self.unasked()) };
        }
        tokio::select! {
            biased;
            () = self.expected.news() => Ok(()),
            read = self.buffer.fill(&mut self.broker, 1) => match read {
                Ok(Read::Some) => Ok(()),
                Ok(Read::End) => Err(DownEnd::BrokerEnd),
                Err(error) => Err(DownEnd::BrokerLost(error)),
            },
        }
    }

    /// What may have no answer is not waited for: it would keep what comes after it from being sent. What comes after
    /// it, and bears a number that its answer could bear, cannot be told from it: its answer is passed on, but taken
    /// for nobody's.
    fn tell_apart(&mut self, expected: Expected<'a>) -> Option<Expected<'a>> {
        let Some(correlation_id) = expected.correlation_id() else {
            debug_assert!(!self.doubt.is_open(), "no answer is made here behind a request that may have none");
            return Some(expected);
        };
        if !matches!(expected, Expected::Perhaps { .. }) && !self.doubt.covers(correlation_id) {
            return Some(expected);
        }
        if let Expected::Settle(owed) = expected {
            self.overlook(owed);
        }
        self.doubt.note(correlation_id);
        None
    }

    async fn take_piece(&mut self) -> Step {
        let piece = match self.splitter.next(self.buffer.unread()) {
            Ok(piece) => piece,
            Err(error) => return Err(self.confused(unframed(&error))),
        };
        match piece {
            Piece::More(wanted) => self.read(wanted).await,
            Piece::Begin { size, head } => {
                self.begin(size, i32::from_be_bytes(head))?;
                if std::mem::take(&mut self.first) {
                    self.link.listener.upstream.note_answer();
                }
                Ok(())
            }
            Piece::Run(count) => {
                if matches!(self.current, Some(Current::Own(..))) {
                    self.read_own(count).await;
                } else {
                    self.pass(count).await;
                }
                Ok(())
            }
            Piece::Frame(count) => self.settle(count).await,
        }
    }

    async fn read(&mut self, wanted: usize) -> Step {
        self.flush().await;
        if let Some(stepped) = self.pass_by().await {
            return stepped;
        }
        let read = tokio::select! {
            biased;
            // The answer to a request of our own was for the uplink, which has ended.
            () = self.expected.over(), if self.is_own_next() => return Err(DownEnd::Done),
            read = self.buffer.fill(&mut self.broker, wanted) => read,
        };
        match read {
            Ok(Read::Some) => Ok(()),
            Ok(Read::End) => {
                let end = self.foreign().map_or(DownEnd::BrokerEnd, DownEnd::Foreign);
                // A cut answer is cut for the client as well.
                let rest = self.buffer.unread().len();
                self.buffer.release(rest);
                Err(end)
            }
            Err(error) => Err(self.foreign().map_or(DownEnd::BrokerLost(error), DownEnd::Confused)),
        }
    }

    /// Passes on what comes next without reading it, if that is worth it. `None`: it is to be read.
    async fn pass_by(&mut self) -> Option<Step> {
        let is_unseen = matches!(self.current, Some(Current::Passing { learner: None, .. })) && !self.keeps_back();
        // The end of a frame is read: something is done there.
        let count = if is_unseen { self.splitter.left().saturating_sub(1) } else { 0 };
        if count < SPLICE_BYTES_MIN || !self.buffer.is_empty() || self.link.is_client_gone() {
            return None;
        }
        let mut lent = match self.buffer.pass_by(&self.broker, count, &self.link.runtime.shared.pipes).await {
            Ok(Taken::Some(lent)) => lent,
            Ok(Taken::Nothing | Taken::Unavailable) => return None,
            Ok(Taken::End) => return Some(Err(DownEnd::BrokerEnd)),
            Err(error) => return Some(Err(DownEnd::BrokerLost(error))),
        };
        let count = lent.held();
        if let Some(client) = self.link.client() {
            match lent.try_pour(&client) {
                Ok(true) => self.link.note_delivered(count),
                Ok(false) | Err(_) => self.link.deliver(lent.pour(&client), count).await,
            }
            if lent.held() == 0 {
                self.link.note_spliced(Direction::ToClient, count);
            }
        }
        // What is left in the pipe has nobody to go to.
        self.splitter.skip(count as u64);
        Some(Ok(()))
    }

    /// Whether what comes next is the answer to a request of our own.
    const fn is_own_next(&self) -> bool {
        matches!(self.current, Some(Current::Waiting(Expected::Own(_)) | Current::Own(..)))
    }

    /// An answer begins: it must be the one that is due.
    fn begin(&mut self, size: u32, correlation_id: i32) -> Step {
        let due = self.current.take();
        if self.doubt.take_answer(correlation_id) {
            self.begin_doubtful(due);
            return Ok(());
        }
        let Some(Current::Waiting(expected)) = due else { return Err(self.unasked()) };
        if expected.correlation_id() != Some(correlation_id) {
            let due = expected.correlation_id().map_or("none".to_owned(), |due| due.to_string());
            self.current = Some(Current::Waiting(expected));
            return Err(self.confused(format!("the broker answered {correlation_id} where {due} was due")));
        }
        // Those before it had no answer, or have had it.
        self.doubt.end();
        self.current = Some(match expected {
            Expected::Settle(owed) => self.begin_settle(size, owed),
            Expected::Learn { api, version, .. } => {
                self.splitter.pass();
                let learner = Learner::new(api, version).map(Box::new);
                Current::Passing { api: Some(api), learner, version, prefix_left: LENGTH_BYTES }
            }
            Expected::Pass { api, .. } => {
                self.splitter.pass();
                Current::Passing { api: Some(api), learner: None, version: 0, prefix_left: LENGTH_BYTES }
            }
            Expected::Own(own) => {
                self.splitter.pass();
                Current::Own(own, LENGTH_BYTES)
            }
            Expected::Perhaps { .. } | Expected::Local(_) => return Err(self.unasked()),
        });
        Ok(())
    }

    /// The next bytes of an answer to a request of our own.
    async fn read_own(&mut self, count: usize) {
        // What stands before it is the client's.
        self.flush().await;
        let Some(Current::Own(own, prefix_left)) = &mut self.current else { return };
        let bytes = &self.buffer.unread()[..count];
        let skipped = (*prefix_left).min(bytes.len());
        *prefix_left -= skipped;
        if let Some(look) = own.look_mut() {
            match look.learner() {
                Some((learner, version)) => learn::learn(self.link, learner, version, &bytes[skipped..]),
                None => look.feed(&bytes[skipped..]),
            }
        }
        own.note_fed();
        self.buffer.discard(count);
        if !self.splitter.mid_frame()
            && let Some(Current::Own(own, _)) = self.current.take()
        {
            own.note_read();
            self.current = Some(Current::Told(own));
        }
    }

    /// Takes in some of what such an answer has shown. While answers are kept back the step may be dropped here: it stays
    /// what comes next, and nothing of it is lost.
    async fn take_in_own(&mut self) {
        let Some(Current::Told(own)) = &mut self.current else { return };
        if own.take_in() {
            return yield_now().await;
        }
        if let Some(Current::Told(own)) = self.current.take() {
            own.give_back();
            self.link.place.note_served(self.link.session().auth());
        }
    }

    /// An answer to a request of which nothing is known. What is due comes after it.
    fn begin_doubtful(&mut self, due: Option<Current<'a>>) {
        if let Some(Current::Waiting(expected)) = due {
            self.aside = Some(expected);
        }
        self.splitter.pass();
        self.current = Some(Current::Passing { api: None, learner: None, version: 0, prefix_left: LENGTH_BYTES });
    }

    async fn pass(&mut self, count: usize) {
        if let Some(Current::Passing { learner: Some(learner), version, prefix_left, .. }) = &mut self.current {
            let bytes = &self.buffer.unread()[..count];
            let skipped = (*prefix_left).min(bytes.len());
            *prefix_left -= skipped;
            learn::learn(self.link, learner, *version, &bytes[skipped..]);
        }
        self.release(count).await;
        if !self.splitter.mid_frame() {
            let done = self.current.take();
            self.note_passed(done);
        }
    }

    /// The next bytes are the client's. While answers are kept back they follow these, as long as there is room.
    pub(super) async fn release(&mut self, count: usize) {
        if self.keeps_back() {
            // Not here: a step may be dropped wherever it waits.
            self.back.must_end |= count > self.link.keep_bytes_left();
            let bytes = self.buffer.unread()[..count].to_vec();
            self.keep_back_bytes(bytes);
            self.buffer.discard(count);
        } else {
            self.buffer.release(count);
        }
    }

    /// A whole answer was passed on.
    fn note_passed(&mut self, done: Option<Current<'a>>) {
        let Some(Current::Passing { api: Some(api), version, .. }) = done else { return };
        self.note_response(api);
        let is_raw = self.link.session().auth().is_raw();
        if is_raw && !self.raw {
            self.raw = true;
            uplink::note_raw(self.link);
        }
        if api == ApiKey::SASL_HANDSHAKE && version == 0 {
            self.link.note_answered();
        }
    }

    fn note_response(&self, api: ApiKey) {
        self.link.note_response();
        self.link.runtime.metrics.responses.inc(Api::from_key(api.0));
    }

    /// Writes what may be written; without a client, drops it.
    async fn flush(&mut self) {
        let count = self.buffer.ready();
        if count == 0 {
            return;
        }
        if let Some(client) = self.link.client() {
            // Before a wait is made for it: sockets hardly ever lack room.
            match self.buffer.try_flush(&client) {
                Ok(true) => self.link.note_delivered(count),
                Ok(false) | Err(_) => self.link.deliver(self.buffer.flush(&client), count).await,
            }
        }
        // What is left has nobody to go to.
        self.buffer.drop_ready();
    }

    fn unasked(&self) -> DownEnd {
        self.confused("the broker sent what nobody asked for".to_owned())
    }

    /// What comes next answers nothing: `why`, unless it can be named.
    fn confused(&self, why: String) -> DownEnd {
        DownEnd::Confused(self.foreign().unwrap_or(why))
    }

    /// Says what the broker's first bytes look like if they are not Kafka's.
    fn foreign(&self) -> Option<String> {
        if self.first { foreign::from_broker(self.buffer.unread()) } else { None }
    }

    /// Raw tokens, and everything behind them.
    async fn pass_raw(&mut self) -> Step {
        if self.keeps_back() {
            self.back.must_end = true;
            return Ok(());
        }
        let count = self.buffer.unread().len();
        self.buffer.release(count);
        self.read(1).await
    }
}

/// Why what the broker sent cannot be split any further.
fn unframed(error: &FrameError) -> String {
    match error {
        FrameError::TooLarge { .. } => {
            format!("the broker sent more than {RESPONSE_FACTOR} times limits.frame_bytes_max: {error}")
        }
        FrameError::Negative { .. } | FrameError::TooShort { .. } => {
            format!("what the broker sent is not Kafka's protocol: {error}")
        }
    }
}

/// The length in front of every frame.
const LENGTH_BYTES: usize = 4;

/// Answers may be this many times as large as requests.
const RESPONSE_FACTOR: u32 = 8;
