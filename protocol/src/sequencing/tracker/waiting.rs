//! First batches whose requests wait here, for other batches or for what a log says: nothing of their producers may overtake
//! them, though they are at no broker yet.
//!
//! Two requests never wait for each other: whoever waits for one that waits has come later, and what is at a broker waits for
//! nobody.

use super::super::attempts::{Acks, Batch, ConnectionId, Millis, Sender};
use super::super::sequence::{BatchId, ProducerEpoch, ProducerId, Sequence};
use super::super::topic::{TopicId, TopicRef};
use super::{Passage, Tracker};

/// First batches that are noted at most; more of them are not waited for.
const WAITING_MAX: usize = 256;

/// Longer than any request waits here: nothing stays for good, should its end not be told.
const WAITING_MS_MAX: u64 = 60_000;

/// How long one is remembered that will not go: as long as others wait for it.
const LOST_MS_MAX: u64 = 10_000;

/// The first batch of a producer on a partition, in a request that waits.
#[derive(Debug)]
struct First {
    topic: Topic,
    partition: i32,
    producer: ProducerId,
    epoch: ProducerEpoch,
    /// When its request came, and over which connection: no other has both.
    turn: (Millis, u32),
    /// It will not go: its connection has ended, or is to be reset.
    is_lost: bool,
    until: Millis,
}

#[derive(Debug)]
enum Topic {
    Name(Box<[u8]>),
    Id(TopicId),
}

/// Those of one tracker: hardly ever any.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<First>);

impl Tracker {
    /// The request that `sender` has had since then waits, and this first batch of a producer with it.
    pub fn note_waiting(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: &Batch,
        sender: &Sender,
        now: Millis,
    ) -> bool {
        let id = batch.id;
        let is_first = id.range.first == Sequence::ZERO && !batch.transactional && sender.acks != Acks::None;
        if !sender.guards || !is_first {
            return false;
        }
        let waiting = &mut self.waiting.0;
        waiting.retain(|first| now < first.until && !first.is(topic, partition, id, sender.connection));
        if waiting.len() == WAITING_MAX {
            return false;
        }
        waiting.push(First {
            topic: match topic {
                TopicRef::Name(name) => Topic::Name(name.into()),
                TopicRef::Id(id) => Topic::Id(id),
            },
            partition,
            producer: id.producer_id,
            epoch: id.epoch,
            turn: turn_of(sender),
            is_lost: false,
            until: Millis(now.0 + WAITING_MS_MAX),
        });
        true
    }

    /// It does not wait any more: it has gone, or will not.
    pub fn end_waiting(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: BatchId,
        connection: ConnectionId,
        is_lost: bool,
        now: Millis,
    ) {
        let waiting = &mut self.waiting.0;
        let Some(at) = waiting.iter().position(|first| first.is(topic, partition, batch, connection)) else { return };
        if is_lost {
            waiting[at].is_lost = true;
            waiting[at].until = Millis(now.0 + LOST_MS_MAX);
        } else {
            waiting.swap_remove(at);
            if waiting.is_empty() {
                *waiting = Vec::new();
            }
        }
    }

    pub(super) const fn has_waiting(&self) -> bool {
        !self.waiting.0.is_empty()
    }

    /// As what would come before a first batch that is at a broker.
    pub(super) fn guard_waiting(
        &self,
        topic: TopicRef<'_>,
        partition: i32,
        (at, batch): (u32, &Batch),
        sender: &Sender,
        held: bool,
    ) -> Passage {
        let entry = &self.entries[at];
        if batch.transactional || sender.acks == Acks::None || !entry.is_cold() || entry.alone {
            return Passage::Free;
        }
        let is_first_lost = batch.id.range.first != Sequence::ZERO
            && entry.has_nothing_open()
            && self.has_lost_one_that_waited(topic, partition, batch.id);
        match (self.comes_before_one_that_waits(topic, partition, batch.id, sender), held && is_first_lost) {
            (true, _) => Passage::Hold,
            (false, true) => Passage::Reset,
            (false, false) => Passage::Free,
        }
    }

    /// Whether the first batch of its producer waits, in a request that came before this one's over another connection, and
    /// nothing was acknowledged of the producer so far.
    pub(super) fn comes_before_one_that_waits(
        &self,
        topic: TopicRef<'_>,
        partition: i32,
        batch: BatchId,
        sender: &Sender,
    ) -> bool {
        let is_before =
            |first: &First| !first.is_lost && first.turn < turn_of(sender) && first.turn.1 != sender.connection.0;
        batch.range.first != Sequence::ZERO
            && self.waiting.0.iter().any(|first| first.is_of(topic, partition, batch) && is_before(first))
            && self.is_cold_for(topic, partition, batch.producer_id)
    }

    fn is_cold_for(&self, topic: TopicRef<'_>, partition: i32, producer: ProducerId) -> bool {
        let at = self.topics.find(topic).and_then(|topic| self.find_entry_of(topic, partition, producer));
        at.is_none_or(|at| self.entries[at].is_cold())
    }

    /// Whether the first batch of its producer waited and will not go.
    fn has_lost_one_that_waited(&self, topic: TopicRef<'_>, partition: i32, batch: BatchId) -> bool {
        self.waiting.0.iter().any(|first| first.is_lost && first.is_of(topic, partition, batch))
    }
}

impl First {
    fn is(&self, topic: TopicRef<'_>, partition: i32, batch: BatchId, connection: ConnectionId) -> bool {
        self.turn.1 == connection.0 && self.is_of(topic, partition, batch)
    }

    fn is_of(&self, topic: TopicRef<'_>, partition: i32, batch: BatchId) -> bool {
        let is_topic = match (&self.topic, topic) {
            (Topic::Name(known), TopicRef::Name(name)) => **known == *name,
            (Topic::Id(known), TopicRef::Id(id)) => *known == id,
            (Topic::Name(_), TopicRef::Id(_)) | (Topic::Id(_), TopicRef::Name(_)) => false,
        };
        is_topic && (self.partition, self.producer, self.epoch) == (partition, batch.producer_id, batch.epoch)
    }
}

const fn turn_of(sender: &Sender) -> (Millis, u32) {
    (sender.since, sender.connection.0)
}
