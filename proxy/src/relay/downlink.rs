//! From the broker to the client, in the order of the requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use seqgate_protocol::session::{Learnt, Local, Settled};
use seqgate_protocol::wire::frame::{Piece, ResponseSplitter};
use seqgate_protocol::wire::head::ApiKey;
use seqgate_protocol::wire::learn::{Fact, Learner};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::error::TryRecvError;

use super::buffer::{Buffer, Read};
use super::cluster::ClusterRef;
use super::fifo::{Expected, Owed, Receiver};
use super::link::Link;
use super::uplink;
use crate::telemetry::api::Api;

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
}

/// The pump from the broker to the client.
pub(super) struct Downlink<'a> {
    link: &'a Link,
    broker: ReadHalf<'a>,
    client: WriteHalf<'a>,
    expected: Receiver<'a>,
    splitter: ResponseSplitter,
    buffer: Buffer,
    current: Option<Current<'a>>,
    raw: bool,
}

type Step = Result<(), DownEnd>;

impl<'a> Downlink<'a> {
    pub(super) fn new(link: &'a Link, broker: ReadHalf<'a>, client: WriteHalf<'a>, expected: Receiver<'a>) -> Self {
        let frame_bytes_max = u32::try_from(link.runtime.config.limits.frame_bytes_max).unwrap_or(u32::MAX);
        Self {
            link,
            broker,
            client,
            expected,
            // Brokers answer a fetch with more than they take as a request, if one batch is as large.
            splitter: ResponseSplitter::new(frame_bytes_max.saturating_mul(RESPONSE_FACTOR)),
            buffer: Buffer::new(Arc::clone(&link.runtime)),
            current: None,
            raw: false,
        }
    }

    /// Pumps until the broker's side ends or nothing more is expected.
    pub(super) async fn run(mut self) -> DownEnd {
        loop {
            if let Err(end) = self.step().await {
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
        match self.current.take() {
            None => Ok(()),
            Some(Current::Waiting(Expected::Local(local))) => {
                self.deliver_local(&local).await;
                Ok(())
            }
            current => {
                self.current = current;
                self.take_piece().await
            }
        }
    }

    /// Takes the next expectation; while there is none, the broker has nothing to say but goodbye.
    async fn next_expected(&mut self) -> Step {
        let expected = match self.expected.try_recv() {
            Ok(expected) => expected,
            Err(TryRecvError::Disconnected) => return Err(DownEnd::Done),
            Err(TryRecvError::Empty) => {
                self.flush().await;
                if !self.buffer.is_empty() {
                    return Err(DownEnd::Confused("the broker sent what nobody asked for".to_owned()));
                }
                tokio::select! {
                    biased;
                    expected = self.expected.recv() => expected.ok_or(DownEnd::Done)?,
                    read = self.buffer.fill(&mut self.broker, 1) => return match read {
                        Ok(Read::End) => Err(DownEnd::BrokerEnd),
                        // It may answer what was asked for in the same moment.
                        Ok(Read::Some) => match self.expected.try_recv() {
                            Ok(expected) => {
                                self.current = Some(Current::Waiting(expected));
                                Ok(())
                            }
                            Err(_) => Err(DownEnd::Confused("the broker sent what nobody asked for".to_owned())),
                        },
                        Err(error) => Err(DownEnd::BrokerLost(error)),
                    },
                }
            }
        };
        self.current = Some(Current::Waiting(expected));
        Ok(())
    }

    async fn take_piece(&mut self) -> Step {
        let piece = self.splitter.next(self.buffer.unread()).map_err(|error| DownEnd::Confused(error.to_string()))?;
        match piece {
            Piece::More(wanted) => self.read(wanted).await,
            Piece::Begin { size, head } => self.begin(size, i32::from_be_bytes(head)),
            Piece::Run(count) => {
                self.pass(count);
                Ok(())
            }
            Piece::Frame(count) => self.settle(count).await,
        }
    }

    async fn read(&mut self, wanted: usize) -> Step {
        self.flush().await;
        match self.buffer.fill(&mut self.broker, wanted).await {
            Ok(Read::Some) => Ok(()),
            Ok(Read::End) => {
                // A cut answer is cut for the client as well.
                let rest = self.buffer.unread().len();
                self.buffer.release(rest);
                Err(DownEnd::BrokerEnd)
            }
            Err(error) => Err(DownEnd::BrokerLost(error)),
        }
    }

    /// An answer begins: it must be the one that is due.
    fn begin(&mut self, size: u32, correlation_id: i32) -> Step {
        let Some(Current::Waiting(expected)) = self.current.take() else {
            return Err(DownEnd::Confused("an answer inside an answer".to_owned()));
        };
        if expected.correlation_id() != Some(correlation_id) {
            if matches!(expected, Expected::Perhaps { .. }) {
                // That request had no answer; the next one is asked for.
                return Ok(());
            }
            let due = expected.correlation_id();
            self.current = Some(Current::Waiting(expected));
            return Err(DownEnd::Confused(format!("the broker answered {correlation_id} where {due:?} was due")));
        }
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
            Expected::Perhaps { .. } | Expected::Local(_) => {
                self.splitter.pass();
                Current::Passing { api: None, learner: None, version: 0, prefix_left: LENGTH_BYTES }
            }
        });
        Ok(())
    }

    /// Answers to produce requests are small; one that is not is passed on, and what it says is unknown.
    fn begin_settle(&mut self, size: u32, owed: Owed<'a>) -> Current<'a> {
        let whole = size as usize + LENGTH_BYTES;
        if whole <= self.link.runtime.config.limits.hold_bytes_max && self.buffer.try_hold(whole) {
            self.splitter.gather();
            return Current::Gathering(owed);
        }
        self.splitter.pass();
        if let Some(pending) = owed.take() {
            let deliverable = self.link.session().overlook(*pending, self.link.runtime.shared.now());
            self.link.note_settled();
            if !deliverable {
                self.link.lose_client(UNMERGEABLE);
            }
        }
        Current::Passing { api: Some(ApiKey::PRODUCE), learner: None, version: 0, prefix_left: LENGTH_BYTES }
    }

    fn pass(&mut self, count: usize) {
        if let Some(Current::Passing { learner: Some(learner), version, prefix_left, .. }) = &mut self.current {
            let bytes = &self.buffer.unread()[..count];
            let skipped = (*prefix_left).min(bytes.len());
            *prefix_left -= skipped;
            learn(self.link, learner, *version, &bytes[skipped..]);
        }
        self.buffer.release(count);
        if !self.splitter.mid_frame() {
            let done = self.current.take();
            self.note_passed(done);
        }
    }

    /// A whole answer was passed on.
    fn note_passed(&mut self, done: Option<Current<'a>>) {
        let Some(Current::Passing { api: Some(api), version, .. }) = done else { return };
        self.note_response(api);
        let is_sasl = api == ApiKey::SASL_HANDSHAKE || api == ApiKey::SASL_AUTHENTICATE;
        let mut session = self.link.session();
        if !is_sasl && api != ApiKey::API_VERSIONS && session.auth_mut().served() {
            self.link.place.serves_without_sasl.store(true, Ordering::Relaxed);
        }
        let is_raw = session.auth().is_raw();
        drop(session);
        if is_raw && !self.raw {
            self.raw = true;
            uplink::note_raw(self.link);
        }
        if api == ApiKey::SASL_HANDSHAKE && version == 0 {
            self.link.note_answered();
        }
    }

    /// A whole answer to a produce request.
    async fn settle(&mut self, count: usize) -> Step {
        let Some(Current::Gathering(owed)) = self.current.take() else {
            return Err(DownEnd::Confused("an answer that was not held".to_owned()));
        };
        let settled = self.take_in(owed, count);
        match settled {
            Settled::Unchanged => self.buffer.release(count),
            Settled::Merged(frame) => {
                self.flush().await;
                self.buffer.discard(count);
                self.deliver(&frame).await;
            }
            Settled::Reset => {
                self.flush().await;
                self.buffer.discard(count);
                self.link.lose_client(UNMERGEABLE);
            }
        }
        Ok(())
    }

    fn take_in(&self, owed: Owed<'a>, count: usize) -> Settled {
        self.link.runtime.metrics.broker_latency.observe(owed.since.elapsed());
        self.note_response(ApiKey::PRODUCE);
        let Some(pending) = owed.take() else { return Settled::Unchanged };
        let frame = &self.buffer.unread()[..count];
        let mut reporter = self.link.reporter();
        let mut session = self.link.session();
        let settled = session.settle(*pending, frame, self.link.runtime.shared.now(), &mut |e| reporter.take(e));
        if session.auth_mut().served() {
            self.link.place.serves_without_sasl.store(true, Ordering::Relaxed);
        }
        reporter.finish(session.ledger());
        drop(session);
        self.link.note_settled();
        settled
    }

    /// T22: what the answer was made from may have ended while it waited.
    async fn deliver_local(&mut self, local: &Local) {
        self.flush().await;
        if self.link.session().still_holds(local) {
            self.deliver(local.frame()).await;
            self.note_response(ApiKey::PRODUCE);
        } else {
            self.link.lose_client("an answer's proof ended before it could be given");
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
        if self.link.is_client_gone() {
            self.buffer.drop_ready();
            return;
        }
        let written = tokio::select! {
            biased;
            written = self.buffer.flush(&mut self.client) => written,
            () = self.link.client_gone() => Ok(0),
        };
        self.after_write(written.map(|_| ()), count);
        if self.link.is_client_gone() {
            self.buffer.drop_ready();
        }
    }

    /// Writes bytes of ours.
    async fn deliver(&mut self, bytes: &[u8]) {
        if self.link.is_client_gone() {
            return;
        }
        let written = tokio::select! {
            biased;
            written = self.client.write_all(bytes) => written,
            () = self.link.client_gone() => Ok(()),
        };
        self.after_write(written, bytes.len());
    }

    fn after_write(&self, written: io::Result<()>, count: usize) {
        match written {
            Ok(()) if self.link.is_client_gone() => {}
            Ok(()) => self.link.note_delivered(count),
            Err(_) => self.link.lose_client("the client does not take answers"),
        }
    }

    /// Raw tokens, and everything behind them.
    async fn pass_raw(&mut self) -> Step {
        let count = self.buffer.unread().len();
        self.buffer.release(count);
        self.read(1).await
    }
}

/// Feeds an answer's bytes to its learner and acts on what it tells.
fn learn(link: &Link, learner: &mut Learner, version: i16, bytes: &[u8]) {
    let present = link.present();
    let mut reporter = link.reporter();
    let mut session = link.session();
    learner.feed(
        bytes,
        &mut |fact: Fact<'_>| match session.learn(fact, version, &present, &mut |e| reporter.take(e)) {
            Learnt::Done => {}
            Learnt::ClusterId(id) => {
                let current = Arc::clone(&session.ledger().0);
                if let Some(other) = link.runtime.shared.clusters.identify(&link.place.name, &current, id)
                    && !session.switch(ClusterRef(other))
                {
                    link.lose_client("the broker changes its cluster id too often");
                }
            }
            Learnt::Broker { host, port } => {
                if let Ok(host) = std::str::from_utf8(host) {
                    link.runtime.note_advertised(&link.listener, host, port);
                }
            }
        },
    );
    reporter.finish(session.ledger());
}

/// A broker's answer that the kept-back duplicates cannot be put into.
const UNMERGEABLE: &str = "the broker's answer cannot be completed";

/// The length in front of every frame.
const LENGTH_BYTES: usize = 4;

/// Answers may be this many times as large as requests.
const RESPONSE_FACTOR: u32 = 8;
