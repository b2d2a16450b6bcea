//! What a client makes of an answer.

use std::collections::VecDeque;

use super::{Acked, Client, Family, Flying, Queued};
use crate::batch::advance;
use crate::wire::Said;

impl Client {
    /// Takes in what is said of the batch that it sent to partition `at` in this request.
    pub(crate) fn hear(&mut self, at: usize, connection: usize, correlation_id: i32, said: &Said) {
        let part = &mut self.parts[at];
        let is_it = |flying: &Flying| flying.connection == connection && flying.correlation_id == correlation_id;
        let Some(place) = part.flying.iter().position(is_it) else { return };
        let queued = part.flying.remove(place).queued;
        let is_before = |other: &Queued| other.attempts > 0 && other.batch.records[0] < queued.batch.records[0];
        let mut others = part.flying.iter().map(|flying| &flying.queued).chain(&part.waiting);
        let is_first = !others.any(is_before);
        part.disturbed = said.error != 0;
        match said.error {
            0 | 46 => self.succeed(at, queued, said.base_offset),
            10 if queued.batch.records.len() > 1 && self.family.retries() => self.split(at, queued),
            45 | 59 => self.out_of_order(at, queued, is_first),
            2 | 3 | 6 | 7 | 19 | 20 | 56 | 100 => self.again(at, queued),
            _ => self.fail(at, queued),
        }
        self.renumber_settled();
    }

    fn succeed(&mut self, at: usize, queued: Queued, offset: i64) {
        let part = &mut self.parts[at];
        if self.family == Family::Librdkafka {
            // What was sent before it must have been stored: nothing else would have been in order.
            let is_before = |other: &Queued| other.attempts > 0 && other.batch.records[0] < queued.batch.records[0];
            let (before, rest): (VecDeque<_>, _) = std::mem::take(&mut part.waiting).into_iter().partition(is_before);
            part.waiting = rest;
            part.acked.extend(before.into_iter().map(|queued| Acked { batch: queued.batch, offset: None }));
        }
        part.acked.push(Acked { batch: queued.batch, offset: (offset >= 0).then_some(offset) });
    }

    /// A batch that is too large becomes two, from the same sequence on (`RecordAccumulator.splitAndReenqueue`).
    fn split(&mut self, at: usize, queued: Queued) {
        let half = queued.batch.records.len() / 2;
        let (mut first, mut second) = (queued.batch.clone(), queued.batch);
        first.records = first.records[..half].into();
        second.records = second.records[half..].into();
        second.base = advance(first.base, half as i64);
        for mut batch in [first, second] {
            batch.variant = batch.variant.wrapping_add(1);
            self.again(at, Queued { batch, attempts: queued.attempts });
        }
    }

    fn out_of_order(&mut self, at: usize, queued: Queued, is_first: bool) {
        match self.family {
            // Those behind one in trouble are sent again after it.
            _ if !is_first && !matches!(self.family, Family::Sarama | Family::Rude) => self.again(at, queued),
            Family::Java | Family::OldJava => {
                self.again(at, queued);
                self.bump_epoch(1);
                self.parts[at].renumbers = true;
            }
            Family::FranzGo => {
                self.again(at, queued);
                self.bump_epoch(1);
                self.parts.iter_mut().for_each(|part| part.renumbers = true);
            }
            Family::Librdkafka => self.dead = Some("sequence desynchronization"),
            Family::Sarama => self.fail(at, queued),
            Family::Transactional(_) => {
                self.parts[at].failed.extend(queued.batch.records.iter());
                self.transaction_failed = true;
            }
            Family::Rude | Family::Plain => self.parts[at].failed.extend(queued.batch.records.iter()),
        }
    }

    /// The application is told that the batch was not sent.
    fn fail(&mut self, at: usize, queued: Queued) {
        let count = queued.batch.count();
        self.parts[at].failed.extend(queued.batch.records.iter());
        match self.family {
            Family::Transactional(_) => self.transaction_failed = true,
            Family::Sarama => {
                // Once per message in the batch.
                self.bump_epoch(count as i16);
                self.parts.iter_mut().for_each(|part| part.renumbers = true);
            }
            family if family.reuses_sequences() => self.move_down(at, &queued),
            Family::Java | Family::OldJava | Family::FranzGo | Family::Librdkafka => {
                self.bump_epoch(1);
                self.parts.iter_mut().for_each(|part| part.renumbers = true);
            }
            // It uses the numbers again, for something else.
            Family::Rude if self.parts[at].next == queued.batch.end() => self.parts[at].next = queued.batch.base,
            Family::Rude => {}
            Family::Plain => {}
        }
    }

    /// Later batches take the numbers that have become free (`TxnPartitionEntry.adjustSequencesDueToFailedBatch`).
    fn move_down(&mut self, at: usize, failed: &Queued) {
        let part = &mut self.parts[at];
        let count = failed.batch.count();
        let flying = part.flying.iter_mut().map(|flying| &mut flying.queued);
        for queued in flying.chain(part.waiting.iter_mut()).filter(|queued| queued.attempts > 0) {
            if queued.batch.records[0] > failed.batch.records[0] {
                queued.batch.base = advance(queued.batch.base, -count);
            }
        }
        part.next = advance(part.next, -count);
    }
}
