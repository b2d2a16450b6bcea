//! Answers to produce requests: the broker's, which settle what was sent, and those made here.

use std::time::Instant;

use seqgate_protocol::session::{Incomplete, Local, Settled};
use seqgate_protocol::wire::head::ApiKey;

use super::super::fifo::{KeptBack, Owed};
use super::{Current, DownEnd, Downlink, LENGTH_BYTES, Step};
use crate::net::socket;
use crate::telemetry::labels::Outcome;

/// A broker's answer that the kept-back duplicates cannot be put into.
const UNMERGEABLE: &str = "the broker's answer cannot be completed";
/// What an answer was made from, in whole or in part, has ended (T22).
const LAPSED: &str = "an answer's proof ended before it could be given (T22)";

impl<'a> Downlink<'a> {
    /// Answers to produce requests are small; one that is not is passed on, and what it says is unknown.
    pub(super) fn begin_settle(&mut self, size: u32, owed: Owed<'a>) -> Current<'a> {
        let whole = size as usize + LENGTH_BYTES;
        if whole <= self.link.runtime.config.limits.hold_bytes_max && self.buffer.try_hold(whole) {
            self.splitter.gather();
            return Current::Gathering(owed);
        }
        self.splitter.pass();
        self.overlook(owed);
        Current::Passing { api: Some(ApiKey::PRODUCE), learner: None, version: 0, prefix_left: LENGTH_BYTES }
    }

    /// What the answer says is not believed, or not read.
    pub(super) fn overlook(&self, owed: Owed<'a>) {
        let Some(pending) = owed.take() else { return };
        let deliverable = self.link.session().overlook(*pending, self.link.runtime.shared.now());
        self.link.note_settled();
        if !deliverable {
            self.lose_client(Incomplete::Foreign);
        }
    }

    /// The client cannot be given what it waits for, and has to ask again.
    pub(super) fn lose_client(&self, why: Incomplete) {
        match why {
            Incomplete::Lapsed => self.link.lose_client(Outcome::Error, LAPSED),
            Incomplete::Foreign => self.link.lose_client(Outcome::Protocol, UNMERGEABLE),
        }
    }

    /// A whole answer to a produce request.
    pub(super) async fn settle(&mut self, count: usize) -> Step {
        let Some(Current::Gathering(owed)) = self.current.take() else {
            return Err(DownEnd::Confused("an answer that was not held".to_owned()));
        };
        let settled = self.take_in(owed, count);
        match settled {
            Settled::Unchanged => self.release(count).await,
            Settled::Merged(frame) => {
                self.flush().await;
                self.buffer.discard(count);
                if self.keeps_back() {
                    self.keep_back_bytes(frame);
                } else {
                    let _keep = self.link.keep(frame.len());
                    self.deliver(&frame).await;
                }
            }
            Settled::Look(unresolved, look_ups) => {
                // Before anything is waited for: should the connection end meanwhile, it is settled.
                let kept = KeptBack::new(self.link, unresolved);
                self.flush().await;
                self.buffer.discard(count);
                self.keep_back_unresolved(kept, look_ups);
            }
            Settled::Reset(why) => {
                self.flush().await;
                self.buffer.discard(count);
                self.lose_client(why);
            }
        }
        Ok(())
    }

    fn take_in(&self, owed: Owed<'a>, count: usize) -> Settled {
        let now = Instant::now();
        self.link.runtime.metrics.broker_latency.observe(now.duration_since(owed.since));
        self.note_response(ApiKey::PRODUCE);
        let Some(pending) = owed.take() else { return Settled::Unchanged };
        let frame = &self.buffer.unread()[..count];
        let mut reporter = self.link.reporter();
        let mut session = self.link.session();
        let now = self.link.runtime.shared.at(now);
        let settled = session.settle(*pending, frame, now, &mut |event| reporter.take(event));
        self.link.place.note_served(session.auth());
        reporter.finish(session.ledger());
        drop(session);
        if !matches!(settled, Settled::Look(..)) {
            self.link.note_settled();
        }
        settled
    }

    /// T22: what the answer was made from may have ended while it waited.
    pub(super) async fn deliver_local(&mut self, local: &Local) {
        self.flush().await;
        if self.link.session().still_holds(local, self.link.runtime.shared.now()) {
            self.deliver(local.frame()).await;
            self.note_response(ApiKey::PRODUCE);
        } else {
            self.lose_client(Incomplete::Lapsed);
        }
    }

    /// Writes bytes of ours.
    pub(super) async fn deliver(&self, bytes: &[u8]) {
        if let Some(client) = self.link.client() {
            self.link.deliver(socket::write_all(&client, bytes), bytes.len()).await;
        }
    }
}
