//! Producers as the families of Kafka clients have them: what they send, how they retry, when they begin a new epoch.
//!
//! Written from the sources of the Java client, librdkafka, franz-go and sarama, as far as brokers can tell them apart.

mod answers;
mod family;
mod sending;

use std::collections::VecDeque;
use std::rc::Rc;

use crate::batch::{Batch, Record, advance};
pub(crate) use family::Family;
pub(crate) use sending::SKIPPED;

/// A batch in its client, sent or not.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) batch: Batch,
    /// How often it was sent.
    pub(crate) attempts: u32,
}

/// A batch whose answer is awaited.
#[derive(Clone, Debug)]
pub(crate) struct Flying {
    pub(crate) queued: Queued,
    pub(crate) connection: usize,
    pub(crate) correlation_id: i32,
}

/// What a client was told of a record.
#[derive(Clone, Debug)]
pub(crate) struct Acked {
    pub(crate) batch: Batch,
    /// Absent where the client takes it from the success of a later one (librdkafka).
    pub(crate) offset: Option<i64>,
}

/// One client's side of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    /// The sequence and epoch of the next batch.
    pub(crate) next: i32,
    pub(crate) epoch: i16,
    pub(crate) waiting: VecDeque<Queued>,
    pub(crate) flying: Vec<Flying>,
    /// Records made so far.
    pub(crate) made: u32,
    pub(crate) acked: Vec<Acked>,
    /// Records that the application was told are not sent.
    pub(crate) failed: Vec<Record>,
    /// What waits is numbered anew, in the client's epoch, as soon as nothing flies.
    renumbers: bool,
    /// The base of the batch behind sequences that were left out on purpose, and whether it was seen to be flagged.
    pub(crate) gap_at: Option<i32>,
    /// It was told an error since it began or since its last success.
    pub(crate) disturbed: bool,
}

/// A client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: usize,
    pub(crate) family: Family,
    /// Absent until the cluster has handed one out.
    pub(crate) producer_id: Option<i64>,
    pub(crate) asked_for_id: bool,
    pub(crate) epoch: i16,
    pub(crate) version: i16,
    pub(crate) parts: Vec<Part>,
    /// The connection to each broker.
    pub(crate) connections: Vec<Option<usize>>,
    /// Which broker it takes for the leader of each partition, and the topics' ids, as it last heard.
    pub(crate) leaders: Vec<usize>,
    pub(crate) topic_ids: Vec<u8>,
    /// It will never send again, and why.
    pub(crate) dead: Option<&'static str>,
    /// In a transaction: whether anything in it has failed.
    pub(crate) transaction_failed: bool,
    /// Everything was lost so often before it began.
    pub(crate) born_in: u32,
    /// It left sequences out on purpose, once at least.
    pub(crate) skips: bool,
    /// A rude one keeps batches to itself now and then, and sends them later.
    pub(crate) keeps: bool,
    correlation_id: i32,
    /// What it sent last, with its partition, whatever became of it: only rude ones remember.
    sent: VecDeque<(usize, Batch)>,
    /// The first sequence and epoch of a producer that has been there for long.
    begins: Option<(i32, i16)>,
}

/// The last epoch; Java takes a new producer id behind it.
const EPOCH_MAX: i16 = i16::MAX;

impl Client {
    pub(crate) fn new(
        id: usize,
        family: Family,
        version: i16,
        begins: Option<(i32, i16)>,
        shape: (usize, usize),
    ) -> Self {
        let (brokers, partitions) = shape;
        Self {
            id,
            family,
            producer_id: (!family.is_idempotent()).then_some(-1),
            asked_for_id: false,
            epoch: 0,
            version,
            parts: vec![Part::default(); partitions],
            connections: vec![None; brokers],
            leaders: vec![0; partitions],
            topic_ids: Vec::new(),
            dead: None,
            transaction_failed: false,
            born_in: 0,
            skips: false,
            keeps: false,
            correlation_id: 0,
            sent: VecDeque::new(),
            begins,
        }
    }

    /// A process of the same client that starts again and remembers nothing.
    pub(crate) fn reborn(&self, wipes: u32) -> Self {
        let shape = (self.connections.len(), self.parts.len());
        let born = Self::new(self.id, self.family, self.version, None, shape);
        Self { born_in: wipes, correlation_id: self.correlation_id, keeps: self.keeps, ..born }
    }

    /// The cluster has handed out a producer id.
    pub(crate) fn take_id(&mut self, producer_id: i64, epoch: i16) {
        self.asked_for_id = false;
        if self.producer_id.is_some() {
            // It asked twice, on two connections.
            return;
        }
        self.producer_id = Some(producer_id);
        if let Some((sequence, epoch)) = self.begins.take() {
            self.epoch = epoch;
            self.parts.iter_mut().for_each(|part| (part.epoch, part.next) = (epoch, sequence));
            return;
        }
        self.epoch = epoch;
        self.parts.iter_mut().for_each(|part| part.renumbers = true);
        self.renumber_settled();
    }

    /// A transaction has ended; `epoch` is that of the next one, if it is a new one.
    pub(crate) fn end_transaction(&mut self, epoch: Option<i16>) {
        self.transaction_failed = false;
        for part in &mut self.parts {
            let given_up = std::mem::take(&mut part.waiting);
            part.failed.extend(given_up.iter().flat_map(|queued| queued.batch.records.iter()));
        }
        if let Some(epoch) = epoch {
            self.epoch = epoch;
            self.parts.iter_mut().for_each(|part| (part.epoch, part.next) = (epoch, 0));
        }
    }

    pub(crate) fn next_correlation_id(&mut self) -> i32 {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        self.correlation_id
    }

    /// Name in the transaction coordinator.
    pub(crate) fn transactional_id(&self) -> Option<Rc<str>> {
        self.family.is_transactional().then(|| format!("txn-{}", self.id).into())
    }

    /// Nothing is in flight, and nothing waits to be sent again.
    pub(crate) fn is_idle(&self) -> bool {
        self.parts.iter().all(|part| part.flying.is_empty() && part.waiting.is_empty())
    }

    /// The connection is gone: what was in flight on it is sent again, in order.
    pub(crate) fn lose(&mut self, connection: usize) {
        for known in self.connections.iter_mut().filter(|known| **known == Some(connection)) {
            *known = None;
        }
        self.asked_for_id = false;
        let bumps = if self.keeps { self.correlation_id % 4 == 0 } else { self.correlation_id % 4 != 0 };
        if self.family == Family::Rude && bumps {
            // What is still on its way is of an epoch that is over.
            self.bump_epoch(1);
        }
        for at in 0..self.parts.len() {
            let (lost, kept) = std::mem::take(&mut self.parts[at].flying)
                .into_iter()
                .partition(|flying| flying.connection == connection);
            self.parts[at].flying = kept;
            self.parts[at].disturbed = true;
            for flying in lost {
                self.again(at, flying.queued);
            }
        }
        self.renumber_settled();
    }

    /// A batch takes its place among those that wait, in the order of sequences.
    fn again(&mut self, at: usize, mut queued: Queued) {
        if !self.family.retries() {
            self.parts[at].failed.extend(queued.batch.records.iter());
            return;
        }
        if self.family.compresses_anew() {
            queued.batch.variant = queued.batch.variant.wrapping_add(1);
        }
        let waiting = &mut self.parts[at].waiting;
        let is_behind = |other: &Queued| other.attempts == 0 || other.batch.records[0] > queued.batch.records[0];
        let place = waiting.iter().position(is_behind).unwrap_or(waiting.len());
        waiting.insert(place, queued);
    }

    /// Everything that waits is numbered from 0, in the client's epoch, on partitions where nothing flies.
    fn renumber_settled(&mut self) {
        let Some(producer_id) = self.producer_id else { return };
        for part in self.parts.iter_mut().filter(|part| part.renumbers && part.flying.is_empty()) {
            part.renumbers = false;
            part.epoch = self.epoch;
            part.next = 0;
            part.gap_at = None;
            for queued in part.waiting.iter_mut().filter(|queued| queued.attempts > 0) {
                queued.batch.producer_id = producer_id;
                queued.batch.epoch = part.epoch;
                queued.batch.base = part.next;
                part.next = advance(part.next, queued.batch.count());
            }
        }
    }

    /// A new epoch (KIP-360): here, without asking anybody, as long as there are epochs left.
    fn bump_epoch(&mut self, by: i16) {
        match self.epoch.checked_add(by).filter(|epoch| *epoch < EPOCH_MAX) {
            Some(epoch) => self.epoch = epoch,
            None => self.producer_id = None,
        }
    }
}
