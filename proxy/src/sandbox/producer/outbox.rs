//! What an idempotent producer has still to deliver, and what it does about each answer: the moves of Kafka's Java
//! producer (`Sender`, `TransactionManager`, `RecordAccumulator`) for one partition.

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use seqgate_protocol::sequencing::{ProducerEpoch, ProducerId, Sequence};

/// Which batch an answer belongs to, whatever its sequences are by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// A batch to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) ticket: Ticket,
    pub(super) producer_id: ProducerId,
    pub(super) epoch: ProducerEpoch,
    pub(super) base_sequence: Sequence,
    pub(super) values: Vec<Bytes>,
}

/// What became of an answered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Delivered; the broker may not tell the offset.
    Acknowledged { first_record: usize, records: usize, offset: Option<i64> },
    /// Given up.
    Failed { first_record: usize, records: usize, code: i16 },
    /// Will be sent again as it is.
    Retry,
    /// Will be sent again, and all behind it, with sequences from 0 in a new epoch.
    NewEpoch,
}

#[derive(Debug)]
struct Batch {
    ticket: Ticket,
    first_record: usize,
    values: Vec<Bytes>,
    base_sequence: Sequence,
    on_the_way: bool,
    attempts: u32,
    /// Its sequences were rewritten after it was sent: an answer that refuses them says nothing.
    rewritten: bool,
}

/// Batches in the order of their records.
#[derive(Debug)]
pub(super) struct Outbox {
    identity: Option<(ProducerId, ProducerEpoch)>,
    next_sequence: Sequence,
    next_ticket: u64,
    in_flight_max: usize,
    /// Sent once at least, and not settled; at most `in_flight_max`.
    unsettled: VecDeque<Batch>,
    unsent: VecDeque<(usize, Vec<Bytes>)>,
    retries: u64,
    epoch_bumps: u64,
}

impl Outbox {
    pub(super) fn new(in_flight_max: usize) -> Self {
        assert!(in_flight_max > 0, "one batch on its way at least");
        Self {
            identity: None,
            next_sequence: Sequence::ZERO,
            next_ticket: 0,
            in_flight_max,
            unsettled: VecDeque::new(),
            unsent: VecDeque::new(),
            retries: 0,
            epoch_bumps: 0,
        }
    }

    /// Queues a batch whose first record is the producer's `first_record`-th.
    pub(super) fn push(&mut self, first_record: usize, values: Vec<Bytes>) {
        assert!(!values.is_empty(), "a batch has one record at least");
        self.unsent.push_back((first_record, values));
    }

    /// Whether the cluster has to be asked for a producer id first.
    pub(super) fn wants_identity(&self) -> bool {
        self.identity.is_none()
    }

    /// Takes over a producer id: sequences begin at 0.
    pub(super) fn identify(&mut self, id: ProducerId, epoch: ProducerEpoch) {
        self.identity = Some((id, epoch));
        self.rewrite();
    }

    /// Leaves out sequences, as no correct producer does.
    pub(super) fn skip_sequences(&mut self, count: u32) {
        self.next_sequence = self.next_sequence.advance(count);
    }

    /// The next batch that may be sent: while anything is to be retried, only the oldest, and alone.
    pub(super) fn next_attempt(&mut self) -> Option<Attempt> {
        let identity = self.identity?;
        if self.unsettled.iter().any(|batch| !batch.on_the_way) {
            let head = self.unsettled.front_mut().filter(|head| !head.on_the_way)?;
            self.retries += u64::from(head.attempts > 0);
            return Some(head.attempt(identity));
        }
        if self.unsettled.len() >= self.in_flight_max {
            return None;
        }
        let (first_record, values) = self.unsent.pop_front()?;
        let batch = self.placed(first_record, values);
        self.unsettled.push_back(batch);
        self.unsettled.back_mut().map(|batch| batch.attempt(identity))
    }

    /// Acts on an answer.
    pub(super) fn settle(&mut self, ticket: Ticket, code: i16, offset: i64) -> Settled {
        let Some(at) = self.unsettled.iter().position(|batch| batch.ticket == ticket) else {
            return Settled::Retry;
        };
        let rewritten = self.unsettled[at].rewritten;
        self.unsettled[at].on_the_way = false;
        match ResponseError::try_from_code(code) {
            None => self.acknowledged(at, (offset >= 0).then_some(offset)),
            Some(ResponseError::DuplicateSequenceNumber) => self.acknowledged(at, None),
            Some(error) if is_about_sequences(error) && rewritten => Settled::Retry,
            Some(ResponseError::OutOfOrderSequenceNumber) if at == 0 => {
                self.bump();
                Settled::NewEpoch
            }
            Some(ResponseError::OutOfOrderSequenceNumber) => Settled::Retry,
            Some(error) if error.is_retriable() => Settled::Retry,
            Some(_) => self.failed(at, code),
        }
    }

    /// The connection is gone: whatever was on its way is to be sent again.
    pub(super) fn disconnected(&mut self) {
        self.unsettled.iter_mut().for_each(|batch| batch.on_the_way = false);
    }

    /// Whether every batch has been settled.
    pub(super) fn is_empty(&self) -> bool {
        self.unsettled.is_empty() && self.unsent.is_empty()
    }

    /// How many batches were sent once at least.
    pub(super) fn batches(&self) -> u64 {
        self.next_ticket
    }

    /// How many times a batch was sent again.
    pub(super) fn retries(&self) -> u64 {
        self.retries
    }

    /// How many times the epoch was raised.
    pub(super) fn epoch_bumps(&self) -> u64 {
        self.epoch_bumps
    }

    fn placed(&mut self, first_record: usize, values: Vec<Bytes>) -> Batch {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let base_sequence = self.take_sequences(values.len());
        Batch { ticket, first_record, values, base_sequence, on_the_way: false, attempts: 0, rewritten: false }
    }

    fn take_sequences(&mut self, records: usize) -> Sequence {
        let base = self.next_sequence;
        self.next_sequence = base.advance(u32::try_from(records).expect("a batch has fewer than 2^31 records"));
        base
    }

    fn acknowledged(&mut self, at: usize, offset: Option<i64>) -> Settled {
        let (first_record, records) = self.remove(at);
        Settled::Acknowledged { first_record, records, offset }
    }

    fn failed(&mut self, at: usize, code: i16) -> Settled {
        let (first_record, records) = self.remove(at);
        // The sequences of the failed batch will never come: those behind it cannot be accepted in this epoch.
        self.bump();
        Settled::Failed { first_record, records, code }
    }

    fn remove(&mut self, at: usize) -> (usize, usize) {
        let batch = self.unsettled.remove(at).expect("the position was found just now");
        (batch.first_record, batch.values.len())
    }

    /// Raises the epoch without asking anyone (KIP-360); after the last one a new producer id is needed.
    fn bump(&mut self) {
        self.epoch_bumps += 1;
        self.identity = self.identity.and_then(|(id, epoch)| {
            let next = epoch.get().checked_add(1)?;
            Some((id, ProducerEpoch::new(next)))
        });
        self.rewrite();
    }

    /// Numbers what is unsettled from 0.
    fn rewrite(&mut self) {
        self.next_sequence = Sequence::ZERO;
        let mut unsettled = std::mem::take(&mut self.unsettled);
        for batch in &mut unsettled {
            batch.base_sequence = self.take_sequences(batch.values.len());
            batch.rewritten = batch.on_the_way;
        }
        self.unsettled = unsettled;
    }
}

impl Batch {
    fn attempt(&mut self, (producer_id, epoch): (ProducerId, ProducerEpoch)) -> Attempt {
        self.on_the_way = true;
        self.rewritten = false;
        self.attempts += 1;
        let values = self.values.clone();
        Attempt { ticket: self.ticket, producer_id, epoch, base_sequence: self.base_sequence, values }
    }
}

fn is_about_sequences(error: ResponseError) -> bool {
    matches!(error, ResponseError::OutOfOrderSequenceNumber | ResponseError::InvalidProducerEpoch)
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
