//! Produce requests on their way up: held whole to be decided on, or tracked while they pass.

use std::sync::Arc;
use std::time::Duration;

use seqgate_protocol::session::{Admission, Present, Streamed};
use seqgate_protocol::wire::head::{RequestHead, RequestPrefix};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::super::fifo::{Expected, Ours};
use super::super::keep::Keep;
use super::super::link::Link;
use super::super::spares::BLOCK_ROOM;
use super::super::unwind;
use super::{Frame, Step, UpEnd, Uplink, wanted};
use crate::net::socket;
use crate::telemetry::labels::Outcome;

/// How long a batch may wait for another one to be settled (T27) before its client is reset.
const HOLD_PATIENCE: Duration = Duration::from_secs(30);

/// How long what would be the first batch that the broker sees of a producer waits for the true first one, which went
/// up another connection: clients give up on an answer after 30 s, and this is far less.
const GUARD_PATIENCE: Duration = Duration::from_secs(10);

/// What of a request that is not held is taken in without a pause: some thousand partitions, if they are tiny.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// How often a log is looked into for one request. What speaks against it meanwhile is mostly that somebody is told the
/// id of a topic that was known by its name.
const LOOKS_MAX: u32 = 3;

/// The front of a frame in which its header must end: a client id and tags are far shorter in any honest one.
const HEADER_BYTES_MAX: usize = 4 * 1024;

/// The front of a frame in which the header of its first batch must end to be decided on by it.
const FRONT_BYTES: usize = HEADER_BYTES_MAX;

/// A request that has begun to pass. Dropped before its end, it was cut off.
pub(super) struct Tracked<'a> {
    link: &'a Link,
    streamed: Option<Streamed>,
    keep: Keep<'a>,
}

impl<'a> Tracked<'a> {
    fn new(link: &'a Link, streamed: Streamed) -> Self {
        Self { link, streamed: Some(streamed), keep: link.keep(0) }
    }

    /// How many of its next bytes are not looked at.
    pub(super) fn unseen(&self) -> u64 {
        self.streamed.as_ref().map_or(0, Streamed::unseen)
    }

    /// So many of them have gone.
    pub(super) fn pass_over(&mut self, count: usize) -> bool {
        self.streamed.as_mut().is_some_and(|streamed| streamed.pass_over(count))
    }
}

impl Drop for Tracked<'_> {
    fn drop(&mut self) {
        if let Some(streamed) = self.streamed.take() {
            unwind::settle(|| {
                let present = self.link.present();
                self.link.session().cut_stream(streamed, &present);
            });
        }
    }
}

impl<'a> Uplink<'a> {
    pub(super) async fn begin_produce(&mut self, size: u32, prefix: RequestPrefix) -> Step {
        let whole = size as usize + 4;
        if whole <= self.link.runtime.config.limits.hold_bytes_max {
            if whole > BLOCK_ROOM && self.goes_by_head(size, prefix).await? {
                return Ok(());
            }
            if self.buffer.try_hold(whole) {
                self.splitter.gather();
                self.frame = Some(Frame::Gathering);
                return Ok(());
            }
        }
        self.wait_for_header(whole).await?;
        let mut reporter = self.link.reporter();
        let mut session = self.link.session();
        let streamed = session.begin_stream(self.buffer.unread(), size, &mut |event| reporter.take(event));
        drop(session);
        self.splitter.pass();
        let tracked = streamed.map(|streamed| Tracked::new(self.link, streamed));
        self.frame = Some(Frame::Streaming(tracked, prefix));
        Ok(())
    }

    /// Whether a request that is longer than what is read at once may pass as it comes, by what its front says: then its
    /// client and its broker wait for none of it, and it takes no memory of its own.
    async fn goes_by_head(&mut self, size: u32, prefix: RequestPrefix) -> Result<bool, UpEnd> {
        while self.buffer.unread().len() < FRONT_BYTES {
            self.read_ahead(FRONT_BYTES).await?;
        }
        let present = self.present(self.link.may_send_own());
        let mut reporter = self.link.reporter();
        let mut session = self.link.session();
        let streamed = session.admit_by_head(self.buffer.unread(), size, &present, &mut |event| reporter.take(event));
        reporter.finish(session.ledger());
        drop(session);
        let Some(streamed) = streamed else { return Ok(false) };
        self.splitter.pass();
        self.frame = Some(Frame::Streaming(Some(Tracked::new(self.link, streamed)), prefix));
        self.carries_batches = true;
        Ok(true)
    }

    fn present(&self, may_look: bool) -> Present {
        Present { may_look, guards: true, ..self.link.present() }
    }

    /// The header decides whether a large frame can be read at all: it is waited for, within bounds.
    async fn wait_for_header(&mut self, whole: usize) -> Step {
        loop {
            let held = self.buffer.unread().len();
            if held >= HEADER_BYTES_MAX.min(whole) || RequestHead::parse(&self.buffer.unread()[4..]).is_ok() {
                return Ok(());
            }
            self.read_ahead(held + 1).await?;
        }
    }

    /// Reads more of a request of which the broker has nothing yet, and looks up what is wanted meanwhile.
    async fn read_ahead(&mut self, wanted: usize) -> Step {
        self.read(wanted).await?;
        self.grant_wish().await
    }

    /// The next bytes of a request that is not held. Others have their turn between pieces: some hundred thousand
    /// partitions fit into what may come at once.
    pub(super) async fn track(&self, tracked: &mut Tracked<'_>, count: usize) -> Step {
        if tracked.pass_over(count) {
            return Ok(());
        }
        let mut pieces = self.buffer.unread()[..count].chunks(PIECE_BYTES_MAX);
        while let Some(piece) = pieces.next() {
            self.track_piece(tracked, piece)?;
            if pieces.len() > 0 {
                yield_now().await;
            }
        }
        Ok(())
    }

    /// Nothing of a request may be on its way that has to wait.
    fn track_piece(&self, tracked: &mut Tracked<'_>, bytes: &[u8]) -> Step {
        let Some(streamed) = &mut tracked.streamed else { return Ok(()) };
        let mut reporter = self.link.reporter();
        let present = self.link.present();
        let session = self.link.session();
        let go_on = session.stream(streamed, bytes, &present, &mut |event| reporter.take(event));
        reporter.finish(session.ledger());
        tracked.keep.set(streamed.bytes());
        if go_on {
            return Ok(());
        }
        Err(UpEnd::Reset(Outcome::Error, "a request too large to be held had to wait for the batch before it"))
    }

    /// The answer is expected before the last bytes of the request go: until then there is none.
    pub(super) async fn end_streamed(&mut self, tracked: Option<Tracked<'a>>, correlation_id: i32) -> Step {
        let Some(streamed) = tracked.and_then(|mut tracked| tracked.streamed.take()) else {
            return self.expect(Expected::Perhaps { correlation_id }).await;
        };
        let present = self.link.present();
        let pending = self.link.session().end_stream(streamed, &present);
        match pending {
            Some(pending) => self.expect_settlement(pending).await,
            None => Ok(()),
        }
    }

    /// A whole produce request.
    pub(super) async fn admit(&mut self, count: usize) -> Step {
        self.frame = None;
        let mut admission = self.decide(count, false, &self.present(self.link.may_send_own()));
        for looks_left in (0..LOOKS_MAX).rev() {
            let Admission::Look(look_ups) = admission else { break };
            let looked = self.look_into(look_ups).await?;
            let stands = self.link.session().looked(looked);
            let may_look = looks_left > 0 && !stands && self.link.may_send_own();
            admission = self.decide(count, false, &self.present(may_look));
        }
        if matches!(admission, Admission::Hold) {
            // What stands before it must be on its way, or it would wait for itself.
            self.flush().await?;
            admission = self.wait_for_turn(count).await?;
        }
        self.act(admission, count).await
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
                let _keep = self.link.keep(frame.len());
                self.expect_settlement(pending).await?;
                self.flush().await?;
                self.buffer.discard(count);
                self.send(&frame).await
            }
            Admission::Answer(local) => {
                let ours = Ours::new(self.link, local);
                self.flush().await?;
                self.buffer.discard(count);
                self.expect(Expected::Local(Box::new(ours))).await
            }
            Admission::Stream(streamed) => self.stream_held(*streamed, count).await,
            Admission::Hold | Admission::Look(_) => {
                Err(UpEnd::Reset(Outcome::Timeout, "a batch waited too long for the one before it"))
            }
            Admission::Reset => Err(UpEnd::Reset(Outcome::Error, "a batch failed that had to be acknowledged first")),
        }
    }

    /// A request that could be held, but not be decided on at once.
    async fn stream_held(&mut self, streamed: Streamed, count: usize) -> Step {
        let mut tracked = Tracked::new(self.link, streamed);
        self.track(&mut tracked, count).await?;
        let correlation_id = correlation_id_of(&self.buffer.unread()[..count]);
        self.end_streamed(Some(tracked), correlation_id).await?;
        self.carries_batches = true;
        self.buffer.release(count);
        Ok(())
    }

    /// Writes bytes of ours.
    async fn send(&mut self, frame: &[u8]) -> Step {
        let written = wanted(&self.client, socket::write_all(self.broker, frame)).await?;
        written.map_err(UpEnd::BrokerLost)?;
        self.link.note_sent(frame.len());
        self.link.note_added(self.read_at);
        Ok(())
    }

    fn decide(&self, count: usize, held: bool, present: &Present) -> Admission {
        let frame = &self.buffer.unread()[..count];
        let mut reporter = self.link.reporter();
        let mut session = self.link.session();
        let admission = session.admit(frame, held, present, &mut |event| reporter.take(event));
        reporter.finish(session.ledger());
        admission
    }

    /// Waits until the batch in flight is settled: for the first one of a producer not for long, for what may be lost
    /// otherwise (T27) until there is no use in it.
    async fn wait_for_turn(&mut self, count: usize) -> Result<Admission, UpEnd> {
        let since = Instant::now();
        let mut guards = true;
        loop {
            let deadline = since + if guards { GUARD_PATIENCE } else { HOLD_PATIENCE };
            let cluster = self.link.cluster();
            let turn = cluster.until(|| {
                if !Arc::ptr_eq(&cluster, &self.link.cluster()) {
                    return Some(None);
                }
                let admission = self.decide(count, true, &Present { guards, ..self.link.present() });
                (!matches!(admission, Admission::Hold)).then_some(Some(admission))
            });
            let turn = async {
                tokio::select! {
                    admission = turn => admission,
                    // It is perhaps what is waited for.
                    () = self.link.wished() => None,
                }
            };
            match wanted(&self.client, timeout_at(deadline, turn)).await? {
                // Before anything else is waited for: nobody else settles what is registered of it.
                Ok(Some(admission)) => return Ok(admission),
                // The connection turned out to lead to another cluster, or something is to be looked up.
                Ok(None) => {}
                Err(_) if guards => guards = false,
                Err(_) => return Ok(Admission::Hold),
            }
            self.grant_wish().await?;
        }
    }
}

/// A frame that could not be read has a prefix all the same: it was gathered by it.
fn correlation_id_of(frame: &[u8]) -> i32 {
    frame.get(4..).and_then(<[u8]>::first_chunk).map_or(0, |head| RequestPrefix::new(*head).correlation_id)
}
