//! Judges gaps that are refused here.

use seqgate_protocol::session::Mode;

use super::World;
use crate::batch::{Batch, advance};
use crate::cluster::{Read, What};
use crate::proxy::{Api, Asked, SMALL};
use crate::wire::{Request, Response, Said};

/// The oldest version of Produce in which a gap is refused here.
const REFUSED_MIN: i16 = 7;

/// What waits is noted for so long. Nothing waits longer outside of the model, where the clock may leap.
const WAITING_MS_MAX: u64 = 60_000;

impl World {
    /// A broker is asked something on a connection: whether at this moment it would refuse the request at its front.
    pub(super) fn note_moment(&mut self, at: usize, read: &Read) {
        if read.what == What::Producers && !self.cluster.make.describes {
            self.fail("a broker is asked for what it does not understand".into());
        }
        let forgets = self.now_ms as i64 - self.policy(at).producer_expiration_ms as i64;
        let connection = &mut self.connections[at];
        let Some(frame) = connection.from_client.front().filter(|it| matches!(it.api, Api::Produce(_))) else { return };
        let request = Request::read(&frame.bytes);
        connection.looks.would_refuse |= self.cluster.would_refuse(connection.broker, &request, forgets);
    }

    /// A gap is refused without the broker, if that is what the answer does.
    ///
    /// There must have been a moment between the request's coming and its answer at which its leader would have refused it:
    /// what the broker itself says is no younger when it comes, and more can be promised only by who keeps everybody else
    /// from its log. The leader must have said so. And, which is more than a broker promises, nothing may be known to be on
    /// its way that could fill the gap before the request would have reached it.
    pub(crate) fn judge_if_refused(&mut self, at: usize, request: &Request, asked: &[Asked], response: &Response) {
        let [asked] = asked else { return };
        let Some(said) = response.said_of(asked).filter(|said| said.error != 0) else { return };
        self.tally.refused += 1;
        if let Err(why) = self.why_refused(at, request, asked, said) {
            self.fail(format!("{:?} on partition {} is refused: {why}", asked.batch, asked.partition));
        }
    }

    fn why_refused(&mut self, at: usize, request: &Request, asked: &Asked, said: &Said) -> Result<(), &'static str> {
        let (policy, now_ms) = (self.policy(at), self.now_ms);
        let Asked { batch, partition, .. } = asked;
        let is_allowed = policy.mode == Mode::Enforce && policy.authoritative && request.version >= REFUSED_MIN;
        if !is_allowed || request.acks == 0 || batch.transactional || !batch.is_idempotent() || asked.opaque {
            return Err("it is not to be refused here");
        }
        let starts = said.log_start == -1 || self.log_starts.contains(&(*partition, said.log_start));
        let whole = Said { error: 45, base_offset: -1, append_time: -1, leader: None, ..said.clone() };
        if *said != whole || !starts {
            return Err("no broker says it like that");
        }
        let forgets = now_ms as i64 - policy.producer_expiration_ms as i64;
        let told = self.connections[at].looks.told.clone();
        let known = told.listed.iter().find(|it| it.producer_id == batch.producer_id).filter(|_| told.leads);
        let known = known.ok_or("its leader has not said that it knows the producer")?;
        let missing = advance(known.last, 1);
        let ahead = batch.base.wrapping_sub(missing) & i32::MAX;
        if known.epoch != i32::from(batch.epoch) || !(1..1 << 30).contains(&ahead) {
            return Err("its leader has not said that it follows a gap");
        }
        if known.timestamp <= forgets {
            return Err("its leader may forget the producer at any moment");
        }
        if !self.connections[at].looks.would_refuse {
            return Err("its leader would not have refused it");
        }
        if self.witness(at).is_open(asked, now_ms) {
            return Err("something of its producer is open");
        }
        if self.setup.limits.producers_max > SMALL && self.witness(at).is_refusing(asked) {
            return Err("the partition has refused for another reason");
        }
        if self.waits_elsewhere(at, asked, missing, WAITING_MS_MAX) {
            return Err("what is missing waits here");
        }
        Ok(())
    }

    /// Whether the batch with the missing sequence stands at the front of another connection of the proxy, which has looked at
    /// it, and has not waited for so long.
    pub(super) fn waits_elsewhere(&self, at: usize, asked: &Asked, missing: i32, waits_ms_max: u64) -> bool {
        let Asked { batch, partition, .. } = asked;
        let is_missing = |records: &[u8]| {
            let other = Batch::read(records);
            (other.producer_id, other.epoch, other.base) == (batch.producer_id, batch.epoch, missing)
        };
        self.live.iter().filter(|other| **other != at).map(|other| &self.connections[*other]).any(|connection| {
            let is_seen = connection.held || connection.looks_now() && connection.looks.rounds > 0;
            let is_noted = connection.waits_since_ms.is_some_and(|since| self.now_ms - since < waits_ms_max);
            let is_here =
                (connection.proxy, connection.ledger) == (self.connections[at].proxy, self.connections[at].ledger);
            let front = connection.from_client.front().filter(|it| matches!(it.api, Api::Produce(_)));
            is_seen
                && is_noted
                && is_here
                && front.is_some_and(|frame| {
                    let entries = Request::read(&frame.bytes).entries;
                    entries.iter().any(|it| self.number_of(&it.0, it.1) == *partition && is_missing(&it.2))
                })
        })
    }
}
